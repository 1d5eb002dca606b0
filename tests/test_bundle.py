"""The bundle's workflows end to end: train, evaluate, infer, resume, several processes, and errors for people."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from monai.bundle import ConfigParser
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lazylabels_monai.checkpoints import CheckpointSaver, keep_previous_model, latest_checkpoint
from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.errors import LazyLabelsError, check_overrides
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.tasks import TASKS, task_slices
from lazylabels_monai.trained import trained_classes, write_classes

CLASSES = ["air bubble", "ice crystal"]
STEPS = 2  # of an epoch: crops_per_epoch / batch_size in the tiny runs


def load(path: Path) -> dict:
    return torch.load(path, map_location="cpu", weights_only=True)


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def network() -> MultiTaskUNet:
    norm = ["INSTANCE", {"affine": True}]  # the bundle's default
    return MultiTaskUNet(num_classes=3, channels=(4, 8, 8), num_multitask_blocks=2, norm=norm).eval()


def adam_steps(checkpoint: dict) -> set[int]:
    return {int(state["step"]) for state in checkpoint["optimizer"]["state"].values()}


def events(out: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(out / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return accumulator


@pytest.fixture(scope="module")
def trained(bundle, tiny_data, tmp_path_factory):
    """Folder of a finished tiny training."""
    out = tmp_path_factory.mktemp("trained")
    bundle.train(tiny_data, out)
    return out


@pytest.fixture(scope="module")
def predicted(bundle, tiny_data, trained, tmp_path_factory):
    """An evaluation and a prediction of the test images by a model that predicts every class somewhere."""
    out = tmp_path_factory.mktemp("predicted")
    (out / "models").mkdir()
    net, weights = network(), load(trained / "models" / "model.pt")
    net.load_state_dict(weights)
    images = [normalised(pixels(file)) for file in sorted((tiny_data / "images").glob("*test*.png"))]
    assert len(images) == 2
    with torch.no_grad():
        logits = torch.cat([net(image)[0].flatten(1) for image in images], dim=1)
    for task, channels in task_slices(3).items():  # after so few steps one class would be everywhere
        weights[f"heads.{task}.conv.bias"] -= logits[channels].median(dim=1).values
    torch.save(weights, out / "models" / "model.pt")
    bundle.evaluate(tiny_data, out)
    bundle.infer(tiny_data, out, save_probabilities=True)
    return out


def normalised(image: np.ndarray) -> torch.Tensor:
    """(H, W) gray levels -> (1, 1, W, H), as MONAI orders the axes."""
    image = image.astype(np.float32).T
    return torch.from_numpy((image - image.mean()) / image.std())[None, None]


def plain_dice(prediction: np.ndarray, truth: np.ndarray, value: int) -> float:
    prediction, truth = prediction[truth != 255], truth[truth != 255]
    total = (prediction == value).sum() + (truth == value).sum()
    return 2 * ((prediction == value) & (truth == value)).sum() / total if total else math.nan


# ---------------------------------------------------------------------------------------------- the contract of a bundle


@pytest.mark.parametrize(
    ("files", "kind", "ids"),
    [
        (("train.yaml",), "train", ("run", "training", "initialize", "finalize")),
        (("train.yaml", "evaluate.yaml"), "train", ("run", "evaluating")),
        (("inference.yaml",), "infer", ("run", "inferring")),
    ],
)
def test_required_properties_and_ids_are_there(bundle, tiny_data, tmp_path, files, kind, ids):
    # check_properties builds the trainer or evaluator; the expressions of "initialize" are not needed for it
    overrides = bundle.overrides(tiny_data, tmp_path)
    with bundle.workflow(bundle.files(*files), kind, init_id="nothing", **overrides) as workflow:
        assert workflow.check_properties() == []
        assert [name for name in ids if name not in workflow.parser] == []


def test_what_training_and_inference_both_define_is_equal(bundle):
    train, infer, evaluate = (
        yaml.safe_load((bundle.configs / f"{name}.yaml").read_text()) for name in ("train", "inference", "evaluate")
    )
    # what each file does with the rest; training reads the classes from the data set, inference from beside the weights
    own = {"imports", "initialize", "run", "network", "classes"}
    assert train["network_def"].pop("zero_init_residual") == "@zero_init_residual"  # how weights begin: inference reads them
    shared = (set(train) & set(infer)) - own
    wanted = {"network_def", "channels", "num_classes", "tasks", "in_channels", "spatial_dims", "crop_size", "window_size"}
    assert wanted | {"num_multitask_blocks", "dropout", "ckpt_dir", "dataset_dir", "device", "amp"} <= shared
    assert {key: train[key] for key in shared} == {key: infer[key] for key in shared}
    assert evaluate["weights"] == infer["weights"]
    assert evaluate["val_overlap"] == infer["overlap"]
    assert evaluate["mirroring"] == infer["mirroring"]

    def image_steps(transforms: list) -> list:
        steps = [train["image_loader"] if step == "@image_loader" else step for step in transforms]
        return [step for step in steps if step.get("keys") == "image" and "Rand" not in step["_target_"]]

    expected = image_steps(infer["preprocessing"]["transforms"])
    assert [step["_target_"].split(".")[-1] for step in expected] == ["LoadImaged", "MatchChannelsd", "NormalizeIntensityd"]
    assert image_steps(train["train"]["preprocessing"]["transforms"]) == expected
    assert image_steps(train["validate"]["preprocessing"]["transforms"]) == expected
    # validation in training has windows and an overlap of its own and mirrors nothing: it is there to choose an epoch
    assert infer["inferer"].pop("mirroring") == "@mirroring"
    assert evaluate["validate#inferer#roi_size"] == infer["inferer"]["roi_size"] == train["val_window_size"]
    own = {"overlap": None, "roi_size": None}
    assert train["validate"]["inferer"] | own == infer["inferer"] | own


def test_prediction_knows_the_classes_of_its_training(tmp_path):
    (tmp_path / "data").mkdir()
    write_classes(tmp_path, ["pore", "grain", "crack"])
    assert trained_classes(tmp_path / "model.pt") == ["pore", "grain", "crack"]
    assert trained_classes(tmp_path / "data" / "model.pt") == list(CLASS_NAMES)
    (tmp_path / "classes.json").write_text("[")
    with pytest.raises(LazyLabelsError, match=r"classes\.json: .*--classes"):
        trained_classes(tmp_path / "model.pt")


def test_metadata_fits_the_configs_and_the_requirements(bundle):
    metadata = json.loads((bundle.configs / "metadata.json").read_text())
    required = ("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version", "task", "description")
    required += ("required_packages_version", "authors", "copyright", "network_data_format", "name")
    assert [key for key in required if not metadata.get(key)] == []
    assert metadata["version"] in metadata["changelog"]
    pins = (bundle.overlays.parent / "requirements.txt").read_text()
    assert f"torch=={metadata['pytorch_version']}" in pins
    parser = ConfigParser(ConfigParser.load_config_file(bundle.configs / "inference.yaml"))
    output, image = metadata["network_data_format"]["outputs"]["pred"], metadata["network_data_format"]["inputs"]["image"]
    names = list(output["channel_def"].values())
    assert image["num_channels"] == parser.get_parsed_content("in_channels")
    assert output["num_channels"] == len(names) == list(task_slices(len(CLASS_NAMES) + 1).values())[-1].stop
    assert names[:3] == ["background", *CLASS_NAMES]  # MONAI Label's label list


# ---------------------------------------------------------------------------------------------- train, evaluate, infer


def test_training_leaves_the_best_model_and_the_newest_checkpoints(trained):
    assert sorted(file.name for file in (trained / "models").iterdir()) == [
        "checkpoint_epoch=1.pt",
        "checkpoint_epoch=2.pt",
        "classes.json",
        "model.pt",
        "network.json",
    ]
    network().load_state_dict(load(trained / "models" / "model.pt"))
    checkpoint = load(trained / "models" / "checkpoint_epoch=2.pt")
    assert set(checkpoint) == {"model", "optimizer", "lr_scheduler", "best", "trainer"}
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


def test_metrics_file_keeps_its_contract(predicted):
    metrics = json.loads((predicted / "metrics.json").read_text())
    assert list(metrics["segmentation"]["dice"]) == [*CLASSES, "mean"]
    assert set(metrics["separation"]) == {"precision", "recall"}
    assert "f1@0.5" in metrics["objects"]
    assert metrics["images"] == 2
    dice = metrics["segmentation"]["dice"]
    assert dice["mean"] == pytest.approx((dice["air bubble"] + dice["ice crystal"]) / 2)


def test_reported_dice_is_that_of_the_written_label_maps(predicted, tiny_data):
    rows = list(csv.DictReader((predicted / "metrics.csv").open()))
    items = json.loads((tiny_data / "datalist.json").read_text())["testing"]
    assert [row["image"] for row in rows] == [item["image"] for item in items]
    expected = []
    for item in items:
        written = pixels(predicted / f"{Path(item['image']).stem}_pred.png")
        assert set(np.unique(written)) == {0, 1, 2}
        expected.append([plain_dice(written, pixels(tiny_data / item["segmentation"]), value) for value in (1, 2)])
    assert np.min(expected) > 0
    np.testing.assert_allclose([[float(row[f"dice {name}"]) for name in CLASSES] for row in rows], expected, atol=1e-12)
    dice = json.loads((predicted / "metrics.json").read_text())["segmentation"]["dice"]
    np.testing.assert_allclose([dice[name] for name in CLASSES], np.mean(expected, axis=0), atol=1e-12)


def test_written_maps_are_the_networks_in_the_orientation_of_the_image(predicted, tiny_data):
    net = network()
    net.load_state_dict(load(predicted / "models" / "model.pt"))
    inferer = MultiTaskSlidingWindowInferer((64, 64), sw_batch_size=1, overlap=0.5, num_classes=3)
    for file in sorted((tiny_data / "images").glob("*test*.png")):
        image = pixels(file)
        assert image.shape == (64, 80)
        with torch.no_grad():
            expected = inferer(normalised(image), net)[0].numpy().transpose(0, 2, 1)
        for task, channels in task_slices(3).items():
            written = tifffile.imread(predicted / f"{file.stem}_{task}_probability.tif")
            assert written.dtype == np.float32
            np.testing.assert_allclose(written, expected[channels], atol=1e-5)
        label = pixels(predicted / f"{file.stem}_pred.png")
        assert label.dtype == np.uint8
        segmentation = tifffile.imread(predicted / f"{file.stem}_segmentation_probability.tif")
        np.testing.assert_array_equal(label, segmentation.argmax(0))
        overlay = pixels(predicted / f"{file.stem}_overlay.png")
        assert overlay.shape == (64, 80, 3)
        coloured = np.ptp(overlay.astype(int), axis=2) > 0  # contours; the image itself is gray
        assert 0 < coloured.mean() < 0.9


def test_every_kind_of_picture_is_predicted_alike(bundle, predicted, tiny_data, tmp_path):
    source = tmp_path / "pictures"
    source.mkdir()
    gray = pixels(tiny_data / "images" / "microstructure_test_000.png")
    Image.fromarray(gray).save(source / "gray.png")
    Image.fromarray(gray).convert("RGB").save(source / "rgb.png")
    Image.fromarray(gray).convert("RGBA").save(source / "rgba.tif")
    Image.fromarray(gray.astype(np.uint16) * 257).save(source / "deep.png")
    tifffile.imwrite(source / "float.tif", gray.astype(np.float32) / 255)
    palette = Image.fromarray(255 - gray, mode="P")  # index k shows the gray level 255 - k
    palette.putpalette([255 - k // 3 for k in range(768)])
    palette.save(source / "palette.png")
    bundle.infer(source, tmp_path / "out", ckpt_dir=str(predicted / "models"), save_overlay=False, save_instances=False)
    maps = {file.stem.removesuffix("_pred"): pixels(file) for file in (tmp_path / "out").iterdir()}
    assert set(maps) == {"gray", "rgb", "rgba", "deep", "float", "palette"}
    for name, label in maps.items():
        assert label.shape == (64, 80), name
        assert (label == maps["gray"]).mean() > 0.995, name  # rounding may turn a pixel on a border
    np.testing.assert_array_equal(maps["gray"], pixels(predicted / "microstructure_test_000_pred.png"))


def test_one_picture_can_be_named(bundle, predicted, tiny_data, tmp_path):
    bundle.infer(tiny_data / "images" / "microstructure_train_000.png", tmp_path, weights=str(predicted / "models/model.pt"))
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "microstructure_train_000_instances.tif",
        "microstructure_train_000_overlay.png",
        "microstructure_train_000_pred.png",
    ]


@pytest.mark.parametrize("overlay", ["paper", "unet"])
def test_overlays_train_evaluate_and_infer(bundle, tiny_data, tmp_path, overlay):
    file = bundle.overlays / f"{overlay}.yaml"
    more = {"max_epochs": 1, "early_stop_patience": 3}
    workflow = bundle.train(tiny_data, tmp_path, file, **more)
    weights = workflow.parser.get_parsed_content("train#sampler#weights")
    if overlay == "paper":
        assert weights == [0.25] * 4
        assert "heads.detection.conv.weight" in load(tmp_path / "models" / "model.pt")
    else:
        assert len(weights) == 1  # the one exact mask; nothing else is drawn
        assert not any("separation" in key for key in load(tmp_path / "models" / "model.pt"))
    bundle.evaluate(tiny_data, tmp_path, file)
    bundle.infer(tiny_data, tmp_path, file, save_probabilities=True)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["segmentation"]["dice"]["mean"] is not None
    assert (metrics["separation"]["precision"] is None) or overlay == "paper"
    assert (tmp_path / "microstructure_test_000_pred.png").is_file()
    assert (tmp_path / "microstructure_test_000_detection_probability.tif").is_file() == (overlay == "paper")


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


def test_a_second_training_moves_the_first_aside(bundle, tiny_data, trained, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(trained / "models", models)
    before = {file.name: file.read_bytes() for file in models.iterdir()}
    bundle.train(tiny_data, tmp_path, max_epochs=1, seed=1)
    (previous,) = models.glob("previous_*")
    assert {file.name: file.read_bytes() for file in previous.iterdir()} == before
    assert sorted(file.name for file in models.glob("*.pt")) == ["checkpoint_epoch=1.pt", "model.pt"]
    assert (models / "model.pt").read_bytes() != before["model.pt"]
    bundle.train(tiny_data, tmp_path, max_epochs=1, seed=2)
    assert len(list(models.glob("previous_*"))) == 2
    assert {file.name: file.read_bytes() for file in previous.iterdir()} == before


def test_a_truncated_checkpoint_is_passed_over(bundle, tiny_data, trained, tmp_path, caplog):
    models = tmp_path / "models"
    shutil.copytree(trained / "models", models)
    newest = models / "checkpoint_epoch=2.pt"
    os.truncate(newest, newest.stat().st_size // 2)
    assert latest_checkpoint(models) == str(models / "checkpoint_epoch=1.pt")
    assert "checkpoint_epoch=2.pt cannot be read" in caplog.text
    bundle.train(tiny_data, tmp_path, max_epochs=3, resume=True)
    assert [value.step for value in events(tmp_path).Scalars("loss/total")] == [2, 3]  # epoch 2 was repeated
    assert adam_steps(load(models / "checkpoint_epoch=3.pt")) == {3 * STEPS}
    assert adam_steps(load(newest)) == {2 * STEPS}
    assert not list(models.glob("previous_*"))


@pytest.mark.parametrize(("best", "replaced"), [(0.999, False), (-1.0, True)])
def test_resume_keeps_the_best_model_unless_it_finds_a_better_one(bundle, tiny_data, trained, tmp_path, best, replaced):
    models = tmp_path / "models"
    shutil.copytree(trained / "models", models)
    checkpoint = load(models / "checkpoint_epoch=2.pt")
    ((score, name),) = checkpoint["best"]["_saved"]
    assert score == pytest.approx(max(value.value for value in events(trained).Scalars("val_mean_dice")), abs=1e-6)
    checkpoint["best"]["_saved"] = [(best, name)]
    torch.save(checkpoint, models / "checkpoint_epoch=2.pt")
    before = (models / "model.pt").read_bytes()
    bundle.train(tiny_data, tmp_path, max_epochs=3, resume=True)
    assert ((models / "model.pt").read_bytes() != before) == replaced
    assert load(models / "checkpoint_epoch=3.pt")["trainer"]["iteration"] == 3 * STEPS


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


def test_resume_without_a_checkpoint_overwrites_no_model(tmp_path, caplog):
    (tmp_path / "model.pt").write_bytes(b"weights from elsewhere")
    keep_previous_model(tmp_path, resume=True)
    assert "no readable checkpoint" in caplog.text
    assert [file.read_bytes() for file in tmp_path.glob("previous_*/model.pt")] == [b"weights from elsewhere"]


def test_a_checkpoint_is_whole_or_not_there(tmp_path, monkeypatch):
    class Unsavable:
        def state_dict(self):
            return {"weight": lambda: None}  # pickling fails half way

    good, saver = torch.nn.Linear(2, 2), {}
    for part, name in ((good, "good"), (Unsavable(), "bad")):
        saver[name] = CheckpointSaver(str(tmp_path), {"model": part}, save_key_metric=True, key_metric_filename="model.pt")
    from ignite.engine import Engine

    engine = Engine(lambda engine, batch: None)
    engine.state.key_metric_name, engine.state.metrics = "dice", {"dice": 0.5}
    saver["good"].metrics_completed(engine)
    before = (tmp_path / "model.pt").read_bytes()
    with pytest.raises((AttributeError, TypeError, RuntimeError), match=r"(?i)pickle|local"):
        saver["bad"].metrics_completed(engine)
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]
    assert (tmp_path / "model.pt").read_bytes() == before


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_epoch_count(bundle, tiny_data, tmp_path):
    models, more = tmp_path / "models", {**bundle.training, **bundle.overrides(tiny_data, tmp_path)}

    def command(**changes: object) -> list[str]:
        return [sys.executable, *bundle.arguments("training", bundle.files("train.yaml"), **{**more, **changes})]

    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            command(max_epochs=500), cwd=tmp_path, env=bundle.environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            end = time.monotonic() + 120
            while not (models / "checkpoint_epoch=2.pt").exists():
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.02)
        finally:
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    newest = latest_checkpoint(models)
    done = int(newest.rpartition("=")[2].removesuffix(".pt"))
    assert 2 <= done < 400
    target = done + 2
    resumed = subprocess.run(
        command(max_epochs=target, resume="true"), cwd=tmp_path, env=bundle.environment, capture_output=True, text=True
    )
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert f"epoch {target}/{target}" in resumed.stdout
    assert f"epoch {done}/{target}" not in resumed.stdout
    assert latest_checkpoint(models) == str(models / f"checkpoint_epoch={target}.pt")
    last = load(models / f"checkpoint_epoch={target}.pt")
    assert adam_steps(last) == {target * STEPS}
    assert last["trainer"]["iteration"] == target * STEPS


# ---------------------------------------------------------------------------------------------- several processes

TWO_PROCESSES = """
import socket
import sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lazylabels_monai.losses import MaskedMultiTaskLoss
from lazylabels_monai.networks import MultiTaskUNet

def batch(rank):
    generator = torch.Generator().manual_seed(rank)
    target = {t: torch.randint(0, n, (2, 1, 16, 24), generator=generator)
              for t, n in (("segmentation", 3), ("detection", 3), ("separation", 2))}
    target["segmentation_present"] = torch.tensor([1, 0]) if rank == 0 else torch.tensor([0, 0])
    target["detection_present"], target["separation_present"] = torch.tensor([0, 1]), torch.tensor([1, 1])
    return torch.randn(2, 1, 16, 24, generator=generator), target

def gradients(net, rank):
    image, target = batch(rank)
    loss = MaskedMultiTaskLoss(3)
    loss(net(image), target).backward()
    assert (loss.last_parts["segmentation"] > 0) == (rank == 0), loss.last_parts

def work(rank, folder, port):
    torch.set_num_threads(1)
    # not by a file: the process that leaves last waits for it for minutes, when the other has removed it
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.manual_seed(0)
    net = MultiTaskUNet(num_classes=3, channels=(4, 8), num_multitask_blocks=1, norm=None)
    alone = []
    for r in range(2):
        net.zero_grad(set_to_none=True)
        gradients(net, r)
        alone.append([p.grad.clone() for p in net.parameters()])
    if rank == 1:  # this process has no exact mask: the head has a gradient, and it is zero
        grads = dict(zip((n for n, _ in net.named_parameters()), alone[1]))
        assert all(not g.any() for n, g in grads.items() if n.startswith("heads.segmentation"))
    net.zero_grad(set_to_none=True)
    parallel = torch.nn.parallel.DistributedDataParallel(net)
    for step in range(2):  # a parameter without gradient would stop the second step
        net.zero_grad(set_to_none=True)
        gradients(parallel, rank)
    for p, a, b in zip(net.parameters(), *alone):
        torch.testing.assert_close(p.grad, (a + b) / 2)
    assert any(p.grad.any() for n, p in net.named_parameters() if n.startswith("heads.segmentation"))
    open(f"{folder}/fine_{rank}", "w").close()
    dist.barrier()  # the first process holds the meeting point: it must not leave before the other is done
    dist.destroy_process_group()

if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(work, args=(sys.argv[1], port), nprocs=2)
"""


@pytest.mark.slow
def test_a_process_without_exact_mask_takes_part_in_the_gradient(bundle, tmp_path):
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=bundle.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(file.name for file in tmp_path.glob("fine_*")) == ["fine_0", "fine_1"]


def launch(bundle, folder: Path, processes: int, *overlays: Path, **values: object) -> subprocess.CompletedProcess:
    """Train by torchrun."""
    arguments = bundle.arguments("training", bundle.files("train.yaml", "multi_gpu_train.yaml", *overlays), **values)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    done = subprocess.run(
        [sys.executable, *launcher, *arguments], cwd=folder, env=bundle.environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_one_and_two_processes_have_the_same_loss_curve_for_the_same_global_batch(bundle, tiny_data, tmp_path):
    """Crops are drawn anew by each process, so the curves are those of two seeds: close to each other, far from their start."""
    curves = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        share = {"batch_size": 8 // processes, "crops_per_epoch": 128 // processes}
        longer = {"max_epochs": 6, "val_interval": 6, "learning_rate": 3.0e-3}
        launch(bundle, tmp_path, processes, **{**bundle.training, **bundle.overrides(tiny_data, out), **share, **longer})
        curves.append([value.value for value in events(out).Scalars("loss/total")])
    one, two = (np.array(curve) for curve in curves)
    assert len(one) == len(two) == 6
    fall = one[0] - one[-2:].mean()
    assert fall > 0.1 * one[0]
    assert np.abs(one - two).mean() < 0.5 * fall
    assert abs(one[-2:].mean() - two[-2:].mean()) < 0.5 * fall


@pytest.mark.slow
def test_two_processes_train_together_where_one_has_no_exact_mask(bundle, tiny_data, tmp_path):
    # one of four images has an exact mask and each process draws one crop a step: nearly every step has a process without
    uniform = tmp_path / "uniform.yaml"
    uniform.write_text("sampling_shares: null\nimplied_segmentation: false\n")
    more = {**bundle.training, **bundle.overrides(tiny_data, tmp_path / "out"), "batch_size": 1}
    done = launch(bundle, tmp_path, 2, uniform, **more)
    files = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert [file for file in files if "tfevents" not in file] == [
        f"models/{name}"
        for name in ("checkpoint_epoch=1.pt", "checkpoint_epoch=2.pt", "classes.json", "model.pt", "network.json")
    ]
    assert len(files) == 6
    assert done.stdout.count("Epoch[2] Metrics -- val_mean_dice") == 1
    assert done.stdout.count("epoch 2/2 loss") == 1
    record = events(tmp_path / "out")
    assert [value.step for value in record.Scalars("val_mean_dice")] == [1, 2]
    checkpoint = load(tmp_path / "out/models/checkpoint_epoch=2.pt")
    assert adam_steps(checkpoint) == {2 * 8}
    network().load_state_dict(checkpoint["model"])  # no "module." before the names


# ---------------------------------------------------------------------------------------------- errors for people

RUN_EACH = """
import json, os, runpy, sys
import monai.bundle, monai.engines, lazylabels_monai.workflow, lazylabels_monai.evaluation.results, torch.utils.tensorboard
for name, arguments in json.load(open("cases.json")).items():
    if os.fork() == 0:  # what `python -m monai.bundle ...` does, without importing everything again
        for stream, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(f"{name}.{stream}", os.O_WRONLY | os.O_CREAT), number)
        sys.argv, status = ["-m", *arguments[2:]], 0
        try:
            runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
        except SystemExit as stop:
            status = stop.code
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 1
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    print(name, os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.fixture(scope="module")
def mistakes(bundle, tiny_data, trained, tmp_path_factory):
    """Name of a mistake -> (exit status, standard output and error), and the folder they were made in."""
    folder = tmp_path_factory.mktemp("mistakes")
    broken = folder / "broken"
    shutil.copytree(tiny_data, broken)
    first = next(item for item in json.loads((broken / "datalist.json").read_text())["training"] if "detection" in item)
    (broken / first["detection"]).unlink()
    (folder / "nan").mkdir()
    tifffile.imwrite(folder / "nan" / "hole.tif", np.full((64, 80), np.nan, np.float32))
    (folder / "poor").mkdir()
    (folder / "poor" / "notes.txt").write_text("mine")

    def train(data: Path = tiny_data, **more: object) -> list[str]:
        given = {**bundle.training, **bundle.overrides(data, folder / "out"), **more}
        return bundle.arguments("training", bundle.files("train.yaml"), **given)

    def infer(data: Path = tiny_data, models: Path = trained / "models", **more: object) -> list[str]:
        given = {**bundle.overrides(data, folder / "out"), "ckpt_dir": models, **more}
        return bundle.arguments("inferring", bundle.files("inference.yaml"), **given)

    cases = {
        "mistyped": train(lerning_rate=3),
        "missing_label": train(broken),
        "classes": train(classes="['pore']"),
        "no_data": train(folder / "nowhere"),
        "no_datalist": train(folder / "poor"),
        "false": train(resume="false"),
        "none": train(sampling_shares=None),
        "no_model": infer(models=folder / "nothing"),
        "other_network": infer(channels=[4, 8, 16]),
        "no_images": infer(folder / "nowhere"),
        "nan": infer(folder / "nan"),
        "fine": infer(),
    }
    (folder / "cases.json").write_text(json.dumps(cases))
    done = subprocess.run(
        [sys.executable, "-c", RUN_EACH], cwd=folder, env=bundle.environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    status = {name: int(code) for name, code in (line.split() for line in done.stdout.splitlines())}
    assert list(status) == list(cases)
    return folder, {
        name: (code, (folder / f"{name}.out").read_text(), (folder / f"{name}.err").read_text())
        for name, code in status.items()
    }


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mistyped", ["--lerning_rate", "did you mean --learning_rate?"]),
        ("missing_label", ["detection/", '"detection"', "remove the key"]),
        ("classes", ["['air bubble', 'ice crystal']", "['pore']", "--classes"]),
        ("no_data", ["nowhere/datalist.json' does not exist", "dataset_dir"]),
        ("no_datalist", ["poor/datalist.json' does not exist", "dataset_dir"]),
        ("false", ["--resume false", "write False"]),
        ("none", ["--sampling_shares None", "sampling_shares: null"]),
        ("no_model", ["nothing/model.pt", "--weights"]),
        ("other_network", ["model.pt", "another network", "down.2"]),
        ("no_images", ["nowhere' holds no image", "folder"]),
        ("nan", ["hole.tif", "NaN"]),
    ],
)
def test_a_mistake_ends_in_one_sentence(mistakes, name, said):
    folder, results = mistakes
    status, out, err = results[name]
    assert status == 1
    assert "Traceback" not in out + err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert [part for part in said if part not in line] == []
    assert len(line) < 400
    assert err.rstrip().endswith(line)
    assert not (folder / "nowhere").exists()
    assert [file.name for file in (folder / "poor").iterdir()] == ["notes.txt"]


def test_the_same_command_without_a_mistake_works(mistakes):
    folder, results = mistakes
    status, out, err = results["fine"]
    assert status == 0, out + err
    assert "predicting 2/2" in out
    assert (folder / "out" / "microstructure_test_001_pred.png").is_file()
    assert not (folder / "out" / "models").exists()  # no mistake got as far as training


@pytest.mark.slow
def test_a_mistyped_argument_ends_in_one_sentence_on_a_real_command_line(bundle, tmp_path):
    arguments = bundle.arguments("training", bundle.files("train.yaml"), lerning_rate=3)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=bundle.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].endswith("did you mean --learning_rate?")
    assert list(tmp_path.iterdir()) == []  # above all not the built-in data set


@pytest.mark.parametrize(
    "given",
    [
        ["--max_epochs", "3", "--train#saver_x", "1", "--loss::normalization", "labelled"],
        ["--resume", "True", "--amp", "False", "--network_def#dropout=0.1", "--final-id", "finalize"],
    ],
)
def test_overrides_of_existing_ids_pass(bundle, given):
    check_overrides(["run", "training", "--config_file", str(bundle.files("train.yaml")), *given])


@pytest.mark.parametrize("given", [["--max_epoch", "3"], ["--optimiser#lr=1"], ["--resume=false"], ["--class_weights", "null"]])
def test_overrides_that_would_do_nothing_are_refused(bundle, given):
    with pytest.raises(LazyLabelsError, match=r"^command line: '--"):
        check_overrides(["run", "training", "--config_file", str(bundle.files("train.yaml")), *given])
