"""A training that goes wrong ends with one sentence that names its images, and what was saved before stays as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ignite.distributed as idist
import numpy as np
import pytest
import tifffile
import torch
from ignite.engine import Events

from lazylabels_monai.checkpoints import CheckpointSaver, latest_checkpoint
from lazylabels_monai.errors import LazyLabelsError, user_error
from lazylabels_monai.guards import TrainingGuard, not_finite, require_finite


def fault_of(action) -> str:
    """The sentence in which an action ends."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - MONAI wraps it
        action()
    found = user_error(raised.value)
    assert isinstance(found, LazyLabelsError), raised.value
    return str(found)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def spoil(trainer, step: int, how) -> None:
    trainer.add_event_handler(Events.ITERATION_STARTED(once=step), how)


@pytest.mark.parametrize("more", [{}, {"ema_decay": 0.9}, {"tasks": ["segmentation", "detection"]}])
def test_a_learning_rate_beyond_all_measure_ends_and_saves_nothing(bundle, tiny_data, tmp_path, more):
    said = fault_of(lambda: bundle.train(tiny_data, tmp_path, learning_rate=1e30, **more))
    assert "the training was stopped: the " in said
    assert "of epoch 1, of the images 'microstructure_train_0" in said
    assert "lower learning_rate (it is 1e+30)" in said
    assert not list((tmp_path / "models").glob("*.pt"))


@pytest.mark.parametrize("more", [{}, {"ema_decay": 0.9}])
def test_what_earlier_epochs_saved_stays_good_and_is_what_is_resumed_from(bundle, tiny_data, tmp_path, more):
    bundle.train(tiny_data, tmp_path, **more)
    before = content(tmp_path / "models")
    said = fault_of(lambda: bundle.train(tiny_data, tmp_path, resume=True, max_epochs=4, learning_rate=1e30, **more))
    assert "of epoch 3" in said
    after = content(tmp_path / "models")
    names = [name for name in before if name.endswith(".pt")]
    assert [name for name in names if after[name] != before[name]] == []
    for name in names:
        assert not_finite(torch.load(tmp_path / "models" / name, weights_only=True)) == []
    bundle.train(tiny_data, tmp_path, resume=True, max_epochs=3, **more)
    assert latest_checkpoint(tmp_path / "models").endswith("checkpoint_epoch=3.pt")


def test_weights_spoiled_by_the_last_step_of_an_epoch_are_not_saved(bundle, tiny_data, tmp_path):
    """The loss of that step is finite: only the weights tell."""
    files, given = bundle.files("train.yaml"), {**bundle.overrides(tiny_data, tmp_path), **bundle.training}

    def run():
        with bundle.workflow(files, "train", **given) as workflow:
            trainer = workflow.parser.get_parsed_content("train#trainer")
            rates = trainer.optimizer.param_groups
            spoil(trainer, 4, lambda: rates[0].update(lr=float("inf")))
            workflow.run()

    said = fault_of(run)
    assert "the weights are not finite after step 2 of epoch 2, of the images 'microstructure_train_0" in said
    assert [path.name for path in (tmp_path / "models").glob("checkpoint*")] == ["checkpoint_epoch=1.pt"]
    assert not_finite(torch.load(tmp_path / "models" / "model.pt", weights_only=True)) == []


def test_an_image_whose_values_are_not_finite_is_named_alone(bundle, tiny_data, tmp_path):
    """No file of such an image gets that far; something else in a config may make one."""
    name, seen = "microstructure_train_003.png", []
    files, given = bundle.files("train.yaml"), {**bundle.overrides(tiny_data, tmp_path), **bundle.training}

    def spoil_one(engine):
        batch = engine.state.batch
        seen.append([Path(path).name for path in batch["name"]])
        for image, own in zip(batch["image"], seen[-1], strict=True):
            if own == name:
                image[0, 0, 0] = float("inf")

    def run():
        with bundle.workflow(files, "train", **given) as workflow:
            trainer = workflow.parser.get_parsed_content("train#trainer")
            trainer.add_event_handler(Events.ITERATION_STARTED, spoil_one)
            workflow.run()

    said = fault_of(run)
    assert name in seen[-1]
    assert f"as the values of '{name}' are not finite" in said
    assert all(other not in said for other in set(seen[-1]) - {name})


def test_an_exploding_loss_ends_though_it_is_finite(bundle, tiny_data, tmp_path):
    files, given = bundle.files("train.yaml"), {**bundle.overrides(tiny_data, tmp_path), **bundle.training}

    def enlarge(engine):
        for head in engine.network.heads.values():
            head.conv.weight.data.mul_(1e6)

    def run():
        with bundle.workflow(files, "train", **given) as workflow:
            spoil(workflow.parser.get_parsed_content("train#trainer"), 3, enlarge)
            workflow.run()

    assert "in step 1 of epoch 2, of the images '" in fault_of(run)


@pytest.mark.parametrize("value", [-3.4028235e38, np.nan, np.inf, 1e300])
def test_a_picture_with_no_data_is_named_before_the_training(bundle, tiny_data, tmp_path, value):
    shutil.copytree(tiny_data, tmp_path / "data")
    file = tmp_path / "data" / "datalist.json"
    listed = json.loads(file.read_text())
    image = np.random.default_rng(0).random((64, 80))
    image[:5, :5] = value
    kind = np.float64 if value == 1e300 else np.float32
    tifffile.imwrite(tmp_path / "data" / "images" / "x.tif", image.astype(kind))
    listed["training"][0]["image"] = "images/x.tif"
    file.write_text(json.dumps(listed))
    said = fault_of(lambda: bundle.train(tmp_path / "data", tmp_path / "out"))
    assert "x.tif' has 25 " in said
    assert not (tmp_path / "out").exists()


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_too_little_memory_names_the_settings_that_lower_it(bundle, tiny_data, tmp_path, error):
    files, given = bundle.files("train.yaml"), {**bundle.overrides(tiny_data, tmp_path), **bundle.training}

    def refuse(*args):
        raise error

    def run():
        with bundle.workflow(files, "train", **given) as workflow:
            spoil(workflow.parser.get_parsed_content("train#trainer"), 3, refuse)
            workflow.run()

    said = fault_of(run)
    assert "not enough for a step of 4 crops of 32 x 32 pixels: lower batch_size (--batch_size 2), crop_size" in said
    assert [path.name for path in (tmp_path / "models").glob("checkpoint*")] == ["checkpoint_epoch=1.pt"]


def test_mixed_precision_skips_a_few_steps(bundle, tiny_data, tmp_path):
    """Its scaler leaves the weights as they are in such a step; here it is played."""
    files, given = bundle.files("train.yaml"), {**bundle.overrides(tiny_data, tmp_path), **bundle.training}
    with bundle.workflow(files, "train", **given) as workflow:
        (guard,) = [h for h in workflow.parser.get_parsed_content("train#handlers") if type(h).__name__ == "TrainingGuard"]

    class Scaler:
        def is_enabled(self):
            return True

    class Played:
        amp, scaler, network = True, Scaler(), torch.nn.Linear(1, 1)
        state = type("State", (), {"iteration": 1, "epoch": 1, "epoch_length": 2, "batch": {"name": ["a.png"]}})

    def step(loss):
        Played.state.output = {"loss": torch.tensor(loss), "image": torch.zeros(1, 1, 2, 2)}
        guard.loss_completed(Played)

    for loss in (1.0, *[float("nan")] * 20, 1.0, *[float("inf")] * 20):
        step(loss)
    with pytest.raises(LazyLabelsError, match=r"the loss is nan in step 1 of epoch 1, of the images 'a\.png'"):
        step(float("nan"))


def test_nothing_that_is_not_finite_is_saved_by_anybody(tmp_path):
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    objects = {"model": network, "optimizer": optimizer, "best": object()}
    require_finite(objects)
    optimizer.state[network.weight]["exp_avg_sq"][0, 0] = float("inf")
    with pytest.raises(LazyLabelsError, match="of the optimizer hold NaN or infinite values"):
        require_finite(objects)
    network.weight.data[0, 0] = float("nan")
    saver = CheckpointSaver(str(tmp_path), {"model": network}, save_final=True, final_filename="model.pt")
    begun = []
    saver.before_first_save = lambda: begun.append(1)
    with pytest.raises(LazyLabelsError, match=r"1 tensors of the model hold NaN or infinite values \(weight the first\)"):
        saver.completed(None)
    assert not begun
    assert list(tmp_path.iterdir()) == []


def test_another_process_that_ended_is_no_fault_of_the_program(monkeypatch):
    error = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:2479. This is typically ...")
    guard = TrainingGuard(None, 2, [32, 32])
    with pytest.raises(RuntimeError):
        guard.exception_raised(None, error)
    monkeypatch.setattr(idist, "get_world_size", lambda: 2)
    with pytest.raises(LazyLabelsError, match=r"another process of this training has ended.* --resume True"):
        guard.exception_raised(None, error)
    with pytest.raises(KeyError):
        guard.exception_raised(None, KeyError("mine"))
