"""A training beside a window, in this process: the real network and trainer, tiny."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest
import torch
import yaml
from ignite.engine import Events
from monai.transforms import Compose, LoadImage, MapTransform
from PIL import Image
from torch.utils.data import WeightedRandomSampler

from lazylabels_monai.errors import user_error
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.interactive.answering import WINDOW
from lazylabels_monai.interactive.events import EventReader, EventWriter
from lazylabels_monai.interactive.live import KEPT, LiveDataset, Obey, Orders, TakeUp
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import BEGUN_FILE, learnt_images, trained_classes, trained_images, trained_network
from tests.helpers import ROOT, load
from tests.interactive.folders import pictures, stroke

OVERLAY = ROOT / "configs" / "interactive.yaml"
#: Two steps an epoch; every epoch is validated.
TINY = {"crops_per_epoch": 4, "batch_size": 2, "val_interval": 1, "ema_decay": 0.5}
SHAPE = (64, 80)
NONE = np.full(SHAPE, 255, np.uint8)


@pytest.fixture
def project(tmp_path):
    with Project.open(pictures(tmp_path / "my", 4, SHAPE), create=True, classes=["pore", "grain"]) as project:
        project.labels.save(project.images[0], "detection", stroke(stroke(NONE, 1, (5, 5, 30, 30)), 0, (40, 40, 60, 60)))
        yield project


@pytest.fixture
def parts(bundle, project, tmp_path):
    """``parts(**overrides)``: an initialized workflow of the project's training, to get its parts from."""
    with ExitStack() as stack:

        def made(**more):
            given = {**bundle.overrides(project.folder, tmp_path / "out"), **TINY, "max_epochs": 3, **more}
            return stack.enter_context(bundle.workflow(bundle.files("train.yaml", OVERLAY), "train", **given))

        yield made


def events_of(workflow, tmp_path):
    reader = EventReader(tmp_path / "out" / "events.jsonl")
    workflow.run()
    return reader.read()


def test_a_training_tells_of_each_epoch_and_its_weights_are_those_of_a_prediction(parts, project, tmp_path):
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
    assert trained_classes(model) == project.classes
    assert trained_network(model)["channels"] == [4, 8, 8]
    assert trained_images(model)
    found = Model(model, overrides={"device": "cpu"}).probabilities(project.images[0].path)
    assert found["segmentation"].shape == (3, *SHAPE)


def test_marks_that_are_drawn_meanwhile_are_trained_on_from_the_next_epoch(parts, project, tmp_path):
    """New images, new labels, labels drawn further, and a validation image; nothing that did not change is read again."""
    workflow = parts(max_epochs=4)
    trainer = workflow.parser.get_parsed_content("train#trainer")
    dataset, sampler = (workflow.parser.get_parsed_content(f"train#{part}") for part in ("dataset", "sampler"))
    a, b, c, d = project.images
    seen = {}

    def draw(engine):
        epoch = engine.state.epoch
        seen[epoch] = {os.path.basename(i["image"]): cached for i, cached in zip(dataset.data, dataset._cache, strict=True)}
        seen[epoch]["weights"] = sampler.weights.tolist()
        if epoch == 1:
            project.labels.save(b, "segmentation", stroke(np.zeros_like(NONE), 2, (10, 10, 20, 20)))
        if epoch == 2:
            project.labels.save(a, "detection", stroke(project.labels.read(a, "detection"), 2, (5, 50, 20, 70)))
            project.labels.save(c, "separation", stroke(NONE, 1, (5, 5, 8, 30)))
            project.records.set_section(d, "validation")
            project.labels.save(d, "segmentation", stroke(np.zeros_like(NONE), 1, (10, 10, 20, 20)))
        if epoch == 3:
            project.labels.save(c, "separation", NONE)

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


def test_the_cache_holds_what_the_bundles_own_training_reads(parts, bundle, tiny_data, tmp_path):
    given = {**bundle.overrides(tiny_data, tmp_path / "other"), **bundle.training}
    with bundle.workflow(bundle.files("train.yaml"), "train", **given) as workflow:
        expected = workflow.parser.get_parsed_content("train#dataset")._cache
    dataset = parts(dataset_dir=str(tiny_data)).parser.get_parsed_content("train#dataset")
    assert len(dataset.take_up()) == len(dataset.data) == len(expected)
    for ours, theirs in zip(dataset._cache, expected, strict=True):
        for key in ("image", *TASKS):
            assert torch.equal(torch.as_tensor(ours[key]), torch.as_tensor(theirs[key]))
    assert dataset.take_up() == []


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


def spoil(project, kind):
    """What another program may leave among the labels."""
    file = project.folder / "detection" / "b.png"
    project.labels.save(project.images[1], "detection", stroke(NONE, 1, (5, 5, 30, 30)))
    if kind == "no picture":
        file.write_bytes(b"no picture")
    if kind == "another size":
        Image.fromarray(NONE[:-3]).save(file)
    if kind == "another class":
        Image.fromarray(stroke(NONE, 7, (5, 5, 30, 30))).save(file)
    if kind == "gone":
        file.unlink()


@pytest.mark.parametrize("kind", ["no picture", "another size", "another class", "gone"])
def test_a_label_that_cannot_be_used_is_left_out_and_told_once(parts, project, tmp_path, kind):
    spoil(project, kind)
    events = events_of(parts(max_epochs=2), tmp_path)
    told = [event.sentence for event in events if event.kind == "sentence" and "b.png" in event.sentence]
    assert len(told) == 1
    assert "\n" not in told[0]
    assert [event.images for event in events if event.kind == "epoch"] == [1, 1]


def test_a_datalist_that_is_broken_meanwhile_leaves_the_images_of_before(parts, project):
    dataset = parts().parser.get_parsed_content("train#dataset")
    dataset.take_up()
    (project.folder / "datalist.json").write_text("{")
    assert dataset.take_up() == []
    assert len(dataset.data) == 1
    assert "datalist.json" in str(dataset.refused)


def test_nothing_to_train_on_is_said(parts, project, tmp_path):
    workflow = parts()
    project.labels.save(project.images[0], "detection", NONE)
    with pytest.raises(RuntimeError) as error:
        workflow.run()
    assert "has marks" in str(user_error(error.value))
    assert not (tmp_path / "out" / "models" / "model.pt").exists()


def test_weights_that_were_there_are_kept_unless_the_training_goes_on_from_them(bundle, project, tmp_path):
    model = tmp_path / "out" / "models" / "model.pt"

    def train(**more):
        given = {**bundle.overrides(project.folder, tmp_path / "out"), **TINY, "max_epochs": 1, **more}
        bundle.run(bundle.files("train.yaml", OVERLAY), "train", **given)
        return model.read_bytes()

    first = train()
    second = train(init_weights=str(model))
    assert second != first
    assert not list(model.parent.glob("before_*"))
    train()
    (kept,) = model.parent.glob("before_*")
    assert (kept / "model.pt").read_bytes() == second
    assert trained_classes(kept / "model.pt") == project.classes
    for number in range(KEPT + 2):
        (model.parent / f"before_2020010{number}_000000").mkdir()
    train()
    assert len(list(model.parent.glob("before_*"))) == KEPT
    assert kept.is_dir()


def test_a_training_that_goes_wrong_leaves_the_weights(parts, project, tmp_path):
    model = tmp_path / "out" / "models" / "model.pt"
    workflow = parts(max_epochs=20, learning_rate=1e3, ema_decay=0.0)
    with pytest.raises(RuntimeError) as error:
        workflow.run()
    assert "learning_rate" in str(user_error(error.value))
    assert not model.exists() or all(torch.isfinite(value).all() for value in load(model).values())


def test_validations_take_no_more_than_their_share(parts, project, tmp_path, monkeypatch):
    """A validation of a second among epochs of little more than none comes rarely."""
    project.records.set_section(project.images[1], "validation")
    project.labels.save(project.images[1], "detection", stroke(NONE, 1, (5, 5, 30, 30)))
    workflow = parts(max_epochs=12, val_time_share=0.1)
    evaluator = workflow.parser.get_parsed_content("validate#evaluator")
    run = evaluator.run
    monkeypatch.setattr(evaluator, "run", lambda epoch: (time.sleep(1.0), run(epoch)))
    validated = [event.epoch for event in events_of(workflow, tmp_path) if event.kind == "validated"]
    assert validated[0] == 1
    assert validated[-1] == 12
    assert len(validated) <= 8


def test_a_validation_image_that_the_weights_have_learnt_from_is_told_of_until_they_have_not(parts, project, tmp_path):
    _, b, c, _ = project.images
    mask = stroke(np.zeros_like(NONE), 1, (10, 10, 30, 30))
    for entry in (b, c):
        project.labels.save(entry, "segmentation", mask)
    project.records.set_section(c, "validation")
    model = str(tmp_path / "out" / "models" / "model.pt")

    def told(**given):
        events = events_of(parts(max_epochs=1, **given), tmp_path)
        (validated,) = (event for event in events if event.kind == "validated")
        assert validated.dice is not None
        return validated.learnt, [event.sentence for event in events if "learnt from" in event.sentence]

    assert told() == ([], [])  # of a and b
    project.records.set_section(b, "validation")
    learnt, (sentence,) = told(init_weights=model)
    assert learnt == [b.name]
    assert f"the validation image '{b.name}', so that the Dice is no measure" in sentence
    # by its pixels, whatever it is called
    os.replace(b.path, b.path.with_name("other.png"))
    project.refresh()
    assert told(init_weights=model)[0] == ["images/other.png"]
    shutil.copytree(tmp_path / "out" / "models", tmp_path / "kept")
    assert told(init_weights=str(tmp_path / "kept" / "model.pt"))[0] == ["images/other.png"]
    assert told() == ([], [])  # from other weights than these


def test_what_weights_of_earlier_versions_have_learnt_from_stays_unknown(parts, tmp_path):
    """Some of their images would read as all of them."""
    model = tmp_path / "out" / "models" / "model.pt"
    events_of(parts(max_epochs=1), tmp_path)
    assert learnt_images(model)
    (model.parent / BEGUN_FILE).write_text('{"anew": false}\n')
    events_of(parts(max_epochs=1, init_weights=str(model)), tmp_path)
    assert learnt_images(model) is None
    events_of(parts(max_epochs=1), tmp_path)
    assert learnt_images(model)


# ------------------------------------------------------------------------------------------- orders


@pytest.fixture
def orders():
    """Orders, and a function that sends them."""
    read, write = os.pipe()
    yield Orders(os.fdopen(read, "rb")), lambda line: os.write(write, line)
    os.write(write, b"stop\n")  # so that its end ends nothing
    time.sleep(0.1)
    os.close(write)


def test_a_training_waits_and_goes_on_and_stops_with_the_weights_of_that_moment(parts, orders, tmp_path):
    orders, send = orders
    workflow = parts(max_epochs=10_000, ema_decay=0.0)
    trainer = workflow.parser.get_parsed_content("train#trainer")
    Obey(orders).attach(trainer)
    steps = []

    def at_rest():
        before = trainer.state.iteration
        time.sleep(1.0)
        return trainer.state.iteration == before

    def wait(condition):
        end = time.monotonic() + 60
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)

    def direct():
        wait(lambda: trainer.state.iteration > 3)
        send(b"pause\n")
        wait(orders.paused.is_set)
        wait(at_rest)  # the step that was begun ends, however busy the machine is
        steps.append(trainer.state.iteration)
        time.sleep(0.5)
        steps.append(trainer.state.iteration)
        send(b"resume\n")
        wait(lambda: trainer.state.iteration > steps[1] + 2)
        steps.append(trainer.state.iteration)
        send(b"nonsense\nstop\n")

    thread = threading.Thread(target=direct)
    thread.start()
    events = events_of(workflow, tmp_path)
    thread.join()
    assert steps[0] == steps[1] < steps[2]
    assert events[-1].kind == "weights"
    saved = load(tmp_path / "out" / "models" / "model.pt")
    now = workflow.parser.get_parsed_content("network_def").state_dict()
    assert all(torch.equal(saved[name], value) for name, value in now.items())


@pytest.mark.parametrize("sent", [b"", b"pause\n", b"stop\n"])
def test_a_program_whose_window_is_gone_ends(sent):
    """Also one that pauses, and one that was stopped before it trained."""
    code = "import time; from lazylabels_monai.interactive.live import Orders; Orders(); time.sleep(300)"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    child.communicate(sent)
    assert child.returncode == -signal.SIGTERM


def test_labels_and_images_are_what_the_files_hold(parts, project):
    """Guards the helpers above: the reader of the training and that of the project are one."""
    (item,) = (dataset := parts().parser.get_parsed_content("train#dataset")).take_up() and dataset.data
    assert read_image(item["image"]).shape == SHAPE
    assert np.array_equal(read_label(item["detection"]), project.labels.read(project.images[0], "detection"))


def test_where_outlines_are_put_right_one_by_one_the_other_regions_teach_on(parts, project):
    """The exact mask says what it says; of its unlabelled pixels the inner regions do, and far from all is background."""
    a = project.images[0]
    detection = stroke(stroke(NONE, 1, (5, 5, 15, 15)), 2, (30, 30, 40, 40))
    detection[detection == 255] = 0
    segmentation = stroke(stroke(NONE, 0, (2, 2, 18, 18)), 1, (4, 4, 16, 16))
    project.labels.save(a, "detection", detection)
    project.labels.save(a, "segmentation", segmentation)
    workflow = parts()
    dataset = workflow.parser.get_parsed_content("train#dataset")
    dataset.take_up()
    # without its margins, in numpy's order of axes; 0 was "not labelled"
    held = np.asarray(dataset._cache[0]["segmentation"][0]).astype(int).T[8:-8, 8:-8] - 1
    assert held.shape == SHAPE
    assert np.array_equal(held[segmentation != 255], segmentation[segmentation != 255])
    assert (held[4:16, 4:16] == 1).all()
    assert (held[30:40, 30:40] == 2).all()
    assert held[60, 75] == 0  # far from all
    assert held[29, 35] == -1  # beside a region nobody knows


def test_images_without_marks_that_would_fill_the_memory_are_passed_over(parts, project, monkeypatch):
    monkeypatch.setattr("lazylabels_monai.interactive.live.HELD_PIXELS", 2 * (SHAPE[0] + 16) * (SHAPE[1] + 16))
    dataset = parts().parser.get_parsed_content("train#dataset")
    dataset.unmarked = 3
    read = []
    loaded = dataset._loaded
    dataset._loaded = lambda item: read.append(item["image"]) or loaded(item)
    for _ in range(3):
        dataset.take_up()
        assert (dataset.marked, len(dataset.data)) == (1, 3)
    assert len(read) == len(set(read)) == 4  # each once, that for which there is no room, too


def test_images_without_marks_are_held_a_few_at_a_time_and_drawn_as_their_share(tmp_path, monkeypatch):
    monkeypatch.setattr("lazylabels_monai.interactive.live.PER_CALL", 2)
    with Project.open(pictures(tmp_path / "my", 6, SHAPE), create=True) as project:
        a, b, *_ = project.images
        project.records.set_section(b, "testing")
        (project.folder / "images" / "c.png").write_bytes(b"no picture")
        project.labels.save(a, "detection", stroke(NONE, 1, (5, 5, 30, 30)))
        read = []

        class Noted(MapTransform):
            def __call__(self, data):
                read.append(os.path.basename(data["image"]))
                return {**data, "image": LoadImage(image_only=True)(data["image"])[None]}

        dataset = LiveDataset(str(project.records.datalist.file), "training", TASKS, 2, Compose([Noted("image")]), unmarked=3)
        sampler = WeightedRandomSampler([1.0], 8)
        take_up = TakeUp(dataset, sampler, {}, EventWriter(str(tmp_path / "events.jsonl")), unmarked_share=0.4)
        sizes = []
        for _ in range(4):
            take_up(None)
            sizes.append((dataset.marked, len(dataset.data)))
            assert len(sampler.weights) == len(dataset.data)
        assert sizes[0][0] == 1
        assert sizes[-1] == (1, 4)
        held = {os.path.basename(item["image"]) for item in dataset.data}
        assert held == {"a.png", "d.png", "e.png", "f.png"}
        assert sorted(set(read)) == sorted(read)  # each once
        assert sampler.weights.tolist() == pytest.approx([0.6, *[0.4 / 3] * 3])
        assert EventReader(tmp_path / "events.jsonl").read() == []  # nobody asked for c.png
        drawn = next(entry for entry in project.images if entry.name.endswith("e.png"))
        project.labels.save(drawn, "detection", stroke(NONE, 1, (5, 5, 30, 30)))
        take_up(None)
        assert dataset.marked == 2
        assert os.path.basename(dataset.data[1]["image"]) == "e.png"
        assert len(dataset.data) == 4
        assert sampler.weights.tolist() == pytest.approx([0.3, 0.3, 0.2, 0.2])


def test_without_weights_to_hold_to_no_image_without_marks_is_read(parts):
    dataset = parts(anchor_weight=1.0, init_weights="nothing").parser.get_parsed_content("train#dataset")
    assert dataset.unmarked == 0


def test_a_training_that_learns_anew_lets_go_and_so_does_the_next_one(parts, bundle, project, tmp_path):
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


def test_the_regions_on_the_images_are_counted(parts):
    dataset = parts().parser.get_parsed_content("train#dataset")
    dataset.take_up()
    assert dataset.regions() == 1  # and a stroke of background


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
