"""Training by the bundle: what it leaves, what a seed decides, when it stops."""

from __future__ import annotations

import math
import shutil

import pytest
import torch

from lazylabels_monai.errors import user_error
from lazylabels_monai.tasks import TASKS
from tests.bundle.tiny import STEPS, adam_steps, network
from tests.helpers import events, load

# ---------------------------------------------------------------------------------------------- train, evaluate, infer


def test_training_leaves_the_best_model_and_the_newest_checkpoints(trained):
    assert sorted(file.name for file in (trained / "models").iterdir()) == [
        "checkpoint_epoch=1.pt",
        "checkpoint_epoch=2.pt",
        "classes.json",
        "images.json",
        "model.pt",
        "model.pt.sha256",
        "network.json",
        "training.json",
    ]
    network().load_state_dict(load(trained / "models" / "model.pt"))
    checkpoint = load(trained / "models" / "checkpoint_epoch=2.pt")
    assert set(checkpoint) == {"model", "optimizer", "lr_scheduler", "best", "trainer", "judged", "random", "fine_tuning"}
    assert adam_steps(checkpoint) == {2 * STEPS}


def test_tensorboard_holds_losses_metric_and_panels(trained):
    record = events(trained)
    for tag in ("loss/segmentation", "loss/detection", "loss/separation", "loss/total", "val_mean_dice"):
        values = record.Scalars(tag)
        assert [value.step for value in values] == [1, 2], tag
        assert all(math.isfinite(value.value) for value in values)
    for epoch in range(2):
        parts = sum(record.Scalars(f"loss/{task}")[epoch].value for task in TASKS)
        assert record.Scalars("loss/total")[epoch].value == pytest.approx(parts, rel=1e-5)
    assert record.Tags()["images"] == ["validation/0", "validation/1"]
    panel = record.Images("validation/0")[-1]
    assert panel.height >= 64
    assert panel.width >= 7 * 80  # the image, then label and prediction of three tasks


@pytest.mark.parametrize("implied", [True, False])
def test_a_batch_holds_the_labels_that_its_images_carry(bundle, tiny_data, tmp_path, implied):
    more = {**bundle.training, "implied_segmentation": implied, "batch_size": 8}
    with bundle.workflow(bundle.files("train.yaml"), "train", **bundle.overrides(tiny_data, tmp_path), **more) as workflow:
        items = workflow.parser.get_parsed_content("train#items")
        batch = next(iter(workflow.parser.get_parsed_content("train#dataloader")))
        weights = workflow.parser.get_parsed_content("train#sampler#weights")
    assert sum(weight for weight, item in zip(weights, items, strict=True) if "segmentation" in item) == pytest.approx(0.4)
    assert batch["image"].shape == (8, 1, 32, 32)
    for task in TASKS:
        assert batch[task].shape == (8, 1, 32, 32)
        for label, present in zip(batch[task], batch[f"{task}_present"], strict=True):
            assert set(label.unique().tolist()) <= {0, 1, 2, 255}
            assert bool(present) or (label == 255).all()
    exact = [(label == 0).any().item() for label in batch["segmentation"]]  # implied labels say nothing of background
    assert 0 < sum(exact) < 8
    assert (int(batch["segmentation_present"].sum()) > sum(exact)) == implied


# ---------------------------------------------------------------------------------------------- seeds, stop, resume


def test_a_seed_decides_the_training(bundle, tiny_data, trained, tmp_path):
    bundle.train(tiny_data, tmp_path / "same")
    bundle.train(tiny_data, tmp_path / "other", seed=1)
    weights = {
        out: load(out / "models/checkpoint_epoch=2.pt")["model"] for out in (trained, tmp_path / "same", tmp_path / "other")
    }
    first, same, other = weights.values()
    assert all(torch.equal(value, same[key]) for key, value in first.items())
    assert not any(torch.equal(first[key], other[key]) for key in first if key.endswith("conv.weight"))
    losses = [[value.value for value in events(out).Scalars("loss/total")] for out in weights]
    assert losses[0] == losses[1] != losses[2]


def test_early_stop_ends_a_training_that_gets_no_better(bundle, tiny_data, tmp_path):
    # a network that no longer learns changes by its batch statistics alone
    workflow = bundle.train(tiny_data, tmp_path, max_epochs=40, learning_rate=0.0, early_stop_patience=1)
    scores = [value.value for value in events(tmp_path).Scalars("val_mean_dice")]
    assert workflow.parser.get_parsed_content("train#trainer").state.epoch == len(scores) < 40
    assert scores[-1] <= max(scores[:-1])
    assert all(later > max(scores[:n]) for n, later in enumerate(scores[1:-1], 1))


def test_the_saved_model_is_the_running_mean_of_the_weights(bundle, tiny_data, tmp_path):
    """One step an epoch, so that the checkpoints hold the weights after every step; the last epoch is resumed."""
    decay, key = 0.6, "heads.segmentation.conv.weight"
    values = {"ema_decay": decay, "crops_per_epoch": 2, "batch_size": 2, "val_interval": 1}
    means, weights = [], []
    for epochs in (1, 2, 3):
        bundle.train(tiny_data, tmp_path, max_epochs=epochs, resume=epochs > 1, **values)
        checkpoint = load(tmp_path / "models" / f"checkpoint_epoch={epochs}.pt")
        means.append(checkpoint["ema"][key])
        weights.append(checkpoint["model"][key])
    for i in (1, 2):
        torch.testing.assert_close(means[i], decay * means[i - 1] + (1 - decay) * weights[i])
        assert not torch.allclose(means[i], weights[i])
    best = max(events(tmp_path).Scalars("val_mean_dice"), key=lambda value: value.value).step
    torch.testing.assert_close(load(tmp_path / "models" / "model.pt")[key], means[best - 1])
    bundle.evaluate(tiny_data, tmp_path, ema_decay=decay)


@pytest.mark.parametrize(("other", "remedy"), [("evaluate.yaml", "evaluating"), ("inference.yaml", "inferring")])
def test_a_config_to_evaluate_or_predict_trains_nothing(bundle, tiny_data, trained, tmp_path, other, remedy):
    shutil.copytree(trained / "models", tmp_path / "models")
    before = {file.name: file.read_bytes() for file in (tmp_path / "models").iterdir()}
    given = {**bundle.overrides(tiny_data, tmp_path), **bundle.training}
    with (
        bundle.workflow(bundle.files("train.yaml", other), "train", run_id="training", **given) as workflow,
        pytest.raises(Exception, match="ConfigExpression") as refused,
    ):
        workflow.run()
    said = str(user_error(refused.value))
    assert f"{other} is among" in said
    assert f"'run {remedy}'" in said
    assert {file.name: file.read_bytes() for file in (tmp_path / "models").iterdir()} == before
