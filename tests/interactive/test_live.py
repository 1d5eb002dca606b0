"""A training beside a window, in this process: the real network and trainer, tiny."""

from __future__ import annotations

import json
import os
import shutil
import time

import numpy as np
import pytest
import torch
import yaml
from ignite.engine import Events

from lazylabels_monai.errors import user_error
from lazylabels_monai.interactive.answering import WINDOW
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import trained_classes, trained_images, trained_network
from tests.helpers import ROOT, load
from tests.interactive.folders import stroke
from tests.interactive.live_training import NONE, OVERLAY, SHAPE, events_of


def test_a_training_tells_of_each_epoch_and_its_weights_are_those_of_a_prediction(parts, marked, tmp_path):
    workflow = parts()
    events = events_of(workflow, tmp_path)
    assert [event.kind for event in events] == ["epoch", "weights", "sentence"] + ["epoch", "weights"] * 2
    assert [event.epoch for event in events if event.kind == "weights"] == [1, 2, 3]
    epoch = events[-2]
    assert set(epoch.losses) == set(TASKS)
    assert epoch.images == 1
    assert epoch.epochs == 3
    assert epoch.eta == 0
    # nothing validates, which is said once, and the running mean of the last steps is there
    assert "validation" in events[2].sentence
    model = tmp_path / "out" / "models" / "model.pt"
    mean = workflow.parser.get_parsed_content("ema").ema_model.state_dict()
    saved = load(model)
    assert all(torch.equal(saved[name], value) for name, value in mean.items())
    assert trained_classes(model) == marked.classes
    assert trained_network(model)["channels"] == [4, 8, 8]
    assert trained_images(model)
    found = Model(model, overrides={"device": "cpu"}).probabilities(marked.images[0].path)
    assert found["segmentation"].shape == (3, *SHAPE)


def test_marks_that_are_drawn_meanwhile_are_trained_on_from_the_next_epoch(parts, marked, tmp_path):
    """New images, new labels, labels drawn further, and a validation image; nothing that did not change is read again."""
    workflow = parts(max_epochs=4)
    trainer = workflow.parser.get_parsed_content("train#trainer")
    dataset, sampler = (workflow.parser.get_parsed_content(f"train#{part}") for part in ("dataset", "sampler"))
    a, b, c, d = marked.images
    seen = {}

    def draw(engine):
        epoch = engine.state.epoch
        seen[epoch] = {os.path.basename(i["image"]): cached for i, cached in zip(dataset.data, dataset._cache, strict=True)}
        seen[epoch]["weights"] = sampler.weights.tolist()
        if epoch == 1:
            marked.labels.save(b, "segmentation", stroke(np.zeros_like(NONE), 2, (10, 10, 20, 20)))
        if epoch == 2:
            marked.labels.save(a, "detection", stroke(marked.labels.read(a, "detection"), 2, (5, 50, 20, 70)))
            marked.labels.save(c, "separation", stroke(NONE, 1, (5, 5, 8, 30)))
            marked.records.set_section(d, "validation")
            marked.labels.save(d, "segmentation", stroke(np.zeros_like(NONE), 1, (10, 10, 20, 20)))
        if epoch == 3:
            marked.labels.save(c, "separation", NONE)

    trainer.add_event_handler(Events.EPOCH_COMPLETED, draw)
    events = events_of(workflow, tmp_path)
    assert [set(seen[epoch]) - {"weights"} for epoch in (1, 2, 3, 4)] == [
        {"a.png"},
        {"a.png", "b.png"},
        {"a.png", "b.png", "c.png"},
        {"a.png", "b.png"},
    ]
    assert [event.images for event in events if event.kind == "epoch"] == [1, 2, 3, 2]
    # what a.png says by then is in the cache, encoded (k + 1), with the image's margins
    assert not (seen[2]["a.png"]["detection"] == 3).any()
    assert (seen[3]["a.png"]["detection"] == 3).sum() == 15 * 20
    assert seen[2]["a.png"] is seen[1]["a.png"]
    assert seen[3]["b.png"] is seen[2]["b.png"]
    # the share of exact masks follows
    assert seen[1]["weights"] == [1.0]
    assert seen[3]["weights"] == pytest.approx([0.3, 0.4, 0.3])
    validated = [event for event in events if event.kind == "validated"]
    assert [event.epoch for event in validated] == [3, 4] or [event.epoch for event in validated] == [2, 3, 4]
    assert all(0 <= event.dice <= 1 and event.images == 1 for event in validated)


def test_dice_of_a_validation_is_that_of_the_bundles_own(parts, bundle, tiny_data, tmp_path):
    events = events_of(parts(dataset_dir=str(tiny_data), max_epochs=1, ema_decay=0.0), tmp_path)
    (validated,) = [event for event in events if event.kind == "validated"]
    weights = tmp_path / "out" / "models" / "model.pt"
    given = bundle.overrides(tiny_data, tmp_path / "other", section="validation", weights=str(weights))
    bundle.run(bundle.files("train.yaml", "evaluate.yaml"), "train", **given, window_size=[768, 768])
    found = json.loads((tmp_path / "other" / "metrics.json").read_text())["segmentation"]["dice"]["mean"]
    assert validated.dice == pytest.approx(found, abs=1e-4)
    assert validated.images == 2
    assert validated.loss > 0


def test_nothing_to_train_on_is_said(parts, marked, tmp_path):
    workflow = parts()
    marked.labels.save(marked.images[0], "detection", NONE)
    with pytest.raises(RuntimeError) as error:
        workflow.run()
    assert "has marks" in str(user_error(error.value))
    assert not (tmp_path / "out" / "models" / "model.pt").exists()


def test_validations_take_no_more_than_their_share(parts, marked, tmp_path, monkeypatch):
    """A validation of a second among epochs of little more than none comes rarely."""
    marked.records.set_section(marked.images[1], "validation")
    marked.labels.save(marked.images[1], "detection", stroke(NONE, 1, (5, 5, 30, 30)))
    workflow = parts(max_epochs=12, val_time_share=0.1)
    evaluator = workflow.parser.get_parsed_content("validate#evaluator")
    run = evaluator.run
    monkeypatch.setattr(evaluator, "run", lambda epoch: (time.sleep(1.0), run(epoch)))
    validated = [event.epoch for event in events_of(workflow, tmp_path) if event.kind == "validated"]
    assert validated[0] == 1
    assert validated[-1] == 12
    assert len(validated) <= 8


def test_a_validation_image_that_the_weights_have_learnt_from_is_told_of_until_they_have_not(parts, marked, tmp_path):
    _, b, c, _ = marked.images
    mask = stroke(np.zeros_like(NONE), 1, (10, 10, 30, 30))
    for entry in (b, c):
        marked.labels.save(entry, "segmentation", mask)
    marked.records.set_section(c, "validation")
    model = str(tmp_path / "out" / "models" / "model.pt")

    def told(**given):
        events = events_of(parts(max_epochs=1, **given), tmp_path)
        (validated,) = (event for event in events if event.kind == "validated")
        assert validated.dice is not None
        return validated.learnt, [event.sentence for event in events if "learnt from" in event.sentence]

    assert told() == ([], [])  # of a and b
    marked.records.set_section(b, "validation")
    learnt, (sentence,) = told(init_weights=model)
    assert learnt == [b.name]
    assert f"the validation image '{b.name}', so that the Dice is no measure" in sentence
    # by its pixels, whatever it is called
    os.replace(b.path, b.path.with_name("other.png"))
    marked.refresh()
    assert told(init_weights=model)[0] == ["images/other.png"]
    shutil.copytree(tmp_path / "out" / "models", tmp_path / "kept")
    assert told(init_weights=str(tmp_path / "kept" / "model.pt"))[0] == ["images/other.png"]
    assert told() == ([], [])  # from other weights than these


def test_a_training_that_learns_anew_lets_go_and_so_does_the_next_one(parts, bundle, marked, tmp_path):
    def looked(workflow):
        found = [workflow.parser.get_parsed_content(name) for name in ("train#inferer", "train#dataset", "optimizer")]
        return found[0].anchor is None, found[1].unmarked == 0, {group["lr"] for group in found[2].param_groups}

    first = parts(init_weights="starter", channels="$[16, 32, 64, 128, 256]", num_multitask_blocks=4, max_epochs=1)
    assert looked(first) == (False, False, {2e-4, 1e-3})
    anew = parts(
        init_weights="starter", channels="$[16, 32, 64, 128, 256]", num_multitask_blocks=4, learns_anew=True, max_epochs=1
    )
    assert looked(anew) == (True, True, {1e-3})
    model = tmp_path / "out" / "models" / "model.pt"
    for workflow, expected in ((first, (False, False, {2e-4, 1e-3})), (anew, (True, True, {1e-3}))):
        workflow.run()
        next_one = parts(init_weights=str(model), channels="$[16, 32, 64, 128, 256]", num_multitask_blocks=4)
        assert looked(next_one) == expected


@pytest.mark.parametrize(("decay", "at_half"), [(False, 1.0), (True, 0.5)])
def test_last_layers_have_a_rate_of_their_own_and_both_follow_the_schedule(parts, decay, at_half):
    parser = parts(learning_rate=1e-4, max_epochs=4, lr_decay=decay).parser
    optimizer, network = (parser.get_parsed_content(name) for name in ("optimizer", "network_def"))
    heads = {id(weight) for weight in network.heads.parameters()}
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    assert [rates[weight] for weight in heads] == pytest.approx([5e-4] * len(heads))  # two kinds of object
    assert {rate for weight, rate in rates.items() if weight not in heads} == {1e-4}
    assert len(rates) == len(list(network.parameters()))
    scheduler = parser.get_parsed_content("lr_scheduler")
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    assert sorted(group["lr"] for group in optimizer.param_groups) == pytest.approx([1e-4 * at_half, 5e-4 * at_half])


def test_what_the_config_repeats_is_what_it_repeats():
    config = yaml.safe_load(OVERLAY.read_text())
    starter = json.loads((ROOT / "lazylabels_monai" / "starter" / "network.json").read_text())
    assert config["channels"] == starter["channels"]
    assert config["val_window_size"] == [WINDOW, WINDOW]
