"""Training in several processes."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bundle.tiny import CLASSES, adam_steps, network
from tests.helpers import events, load
from tests.test_random_states import same, same_training

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
    mp.start_processes(work, args=(sys.argv[1], port), nprocs=2, start_method="fork")
"""


@pytest.mark.slow
def test_a_process_without_exact_mask_takes_part_in_the_gradient(bundle, python, tmp_path):
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    done = subprocess.run(
        [python, str(script), str(tmp_path)], env=bundle.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(file.name for file in tmp_path.glob("fine_*")) == ["fine_0", "fine_1"]


def launch(bundle, python: str, folder: Path, processes: int, *overlays: Path, **values: object) -> subprocess.CompletedProcess:
    """Train by torchrun."""
    arguments = bundle.arguments("training", bundle.files("train.yaml", "multi_gpu_train.yaml", *overlays), **values)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    done = subprocess.run(
        [python, *launcher, *arguments], cwd=folder, env=bundle.environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.slow
def test_one_and_two_processes_have_the_same_loss_curve_for_the_same_global_batch(bundle, tiny_data, python, tmp_path):
    """Crops are drawn anew by each process, so the curves are those of two seeds: close to each other, far from their start."""
    curves = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        share = {"batch_size": 8 // processes, "crops_per_epoch": 64 // processes}
        longer = {"max_epochs": 6, "val_interval": 6, "learning_rate": 3.0e-3}
        launch(
            bundle, python, tmp_path, processes, **{**bundle.training, **bundle.overrides(tiny_data, out), **share, **longer}
        )
        curves.append([value.value for value in events(out).Scalars("loss/total")])
    one, two = (np.array(curve) for curve in curves)
    assert len(one) == len(two) == 6
    fall = one[0] - one[-2:].mean()
    assert fall > 0.1 * one[0]
    assert np.abs(one - two).mean() < 0.5 * fall
    assert abs(one[-2:].mean() - two[-2:].mean()) < 0.5 * fall


@pytest.mark.slow
def test_two_processes_train_together_where_one_has_no_exact_mask(bundle, tiny_data, python, tmp_path):
    # one of four images has an exact mask and each process draws one crop a step: nearly every step has a process without
    uniform = tmp_path / "uniform.yaml"
    uniform.write_text("sampling_shares: null\nimplied_segmentation: false\n")
    more = {**bundle.training, **bundle.overrides(tiny_data, tmp_path / "out"), "batch_size": 1}
    done = launch(bundle, python, tmp_path, 2, uniform, **more)
    files = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert [file for file in files if "tfevents" not in file] == [
        f"models/{name}"
        for name in (
            "checkpoint_epoch=1.pt",
            "checkpoint_epoch=2.pt",
            "classes.json",
            "images.json",
            "model.pt",
            "model.pt.sha256",
            "network.json",
            "training.json",
        )
    ]
    assert len(files) == 9
    assert done.stdout.count("Epoch[2] Metrics -- val_mean_dice") == 1
    assert done.stdout.count("epoch 2/2 loss") == 1
    record = events(tmp_path / "out")
    assert [value.step for value in record.Scalars("val_mean_dice")] == [1, 2]
    checkpoint = load(tmp_path / "out/models/checkpoint_epoch=2.pt")
    assert adam_steps(checkpoint) == {2 * 8}
    network().load_state_dict(checkpoint["model"])  # no "module." before the names


@pytest.mark.slow
def test_two_processes_that_stopped_go_on_as_if_they_had_not(bundle, tiny_data, python, tmp_path):
    """Bit by bit, each with random states of its own; dropout draws from torch's in each step."""
    training = {**bundle.training, "max_epochs": 3, "dropout": 0.2, "ema_decay": 0.9, "lr_decay": True, "seed": 4}

    def train(out: Path, **more: object) -> None:
        launch(bundle, python, tmp_path, 2, **{**training, **bundle.overrides(tiny_data, out), **more})

    train(tmp_path / "whole")
    train(tmp_path / "stopped")
    newest = tmp_path / "stopped" / "models" / "checkpoint_epoch=3.pt"
    first, second = load(newest)["random"]["processes"]
    for name in ("python", "numpy", "torch", "transforms"):
        with pytest.raises(AssertionError):
            same(first[name], second[name])
    newest.unlink()  # as if killed within the third epoch
    train(tmp_path / "stopped", resume=True)
    same_training(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.slow
def test_two_processes_stop_together_where_the_loss_goes_wrong(bundle, tiny_data, python, tmp_path):
    """Neither waits for the other's gradients; both say which images it was, and nothing is saved."""
    more = {**bundle.training, **bundle.overrides(tiny_data, tmp_path / "out"), "learning_rate": 1e30}
    arguments = bundle.arguments("training", bundle.files("train.yaml", "multi_gpu_train.yaml"), **more)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [python, *launcher, *arguments], cwd=tmp_path, env=bundle.environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith("error: the training was stopped: ")]
    assert said, done.stderr[-3000:]
    assert len(set(said)) == 1
    assert "of the images 'microstructure_train_0" in said[0]
    assert not list((tmp_path / "out").rglob("*.pt"))


@pytest.mark.slow
def test_two_processes_that_are_told_to_end_do_and_go_on_as_if_they_had_not(bundle, tiny_data, python, tmp_path):
    """What a cluster's time limit does to torchrun, which hands it on to all processes."""
    training = {**bundle.training, "max_epochs": 3, "dropout": 0.2, "seed": 4}
    launch(bundle, python, tmp_path, 2, **{**training, **bundle.overrides(tiny_data, tmp_path / "whole")})
    given = {**training, **bundle.overrides(tiny_data, tmp_path / "stopped")}
    arguments = bundle.arguments("training", bundle.files("train.yaml", "multi_gpu_train.yaml"), **given)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    models = tmp_path / "stopped" / "models"
    with (tmp_path / "log").open("w") as log:
        # a program of its own: `python` is a client of a warm one, which kills what it runs when the client ends
        real = [sys.executable, *launcher, *arguments]
        running = subprocess.Popen(real, cwd=tmp_path, env=bundle.environment, stderr=log, stdout=log)
        try:
            while not (models / "checkpoint_epoch=1.pt").is_file():
                assert running.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.02)
            running.terminate()
            assert running.wait(timeout=120) != 0
        finally:
            running.kill()
    said = (tmp_path / "log").read_text()
    assert said.count("stopped by SIGTERM: ") == 1, said  # by the first
    assert "Unable to shutdown" not in said, said  # as torchrun says of those that it kills after 30 s
    assert not (models / "checkpoint_epoch=3.pt").exists(), said
    launch(bundle, python, tmp_path, 2, **{**given, "resume": True})
    same_training(tmp_path / "whole", tmp_path / "stopped")


def fewer_exact_masks_than_processes(folder: Path) -> Path:
    """Pictures so large that windows of them validate; one of the two for validation has an exact mask."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("train", "judges", "marked"):
        mask = np.kron(rng.integers(0, 3, (9, 9)), np.ones((72, 72))).astype(np.uint8)
        Image.fromarray((80 * mask + rng.integers(0, 60, mask.shape)).astype(np.uint8)).save(folder / f"{name}.png")
        Image.fromarray(mask).save(folder / f"{name}_mask.png")
    exact = [{"image": f"{name}.png", "segmentation": f"{name}_mask.png"} for name in ("train", "judges")]
    marked = {"image": "marked.png", "detection": "marked_mask.png"}
    lists = {"training": exact[:1], "validation": [marked, exact[1]]}
    (folder / "datalist.json").write_text(json.dumps({"classes": CLASSES, **lists}))
    return folder


@pytest.mark.slow
def test_fewer_exact_masks_than_processes_judge_as_in_one_process(bundle, trained, python, tmp_path, caplog):
    """On the way, in the final choice and between beginning and end; steps of 1e-30 leave the weights as they begin."""
    data = fewer_exact_masks_than_processes(tmp_path / "data")
    more = {"max_epochs": 1, "val_share": 0.01, "learning_rate": 1e-30, "init_weights": str(trained / "models" / "model.pt")}
    with caplog.at_level(logging.INFO):
        bundle.train(data, tmp_path / "one", **more)
    given = {**bundle.training, **more, **bundle.overrides(data, tmp_path / "two")}
    said = launch(bundle, python, tmp_path, 2, **given)
    between = [
        re.search("val_mean_dice.* windows of 1 image: 0%.*100% .*;", text)[0]
        for text in (caplog.text, said.stdout + said.stderr)
    ]
    assert between[0] == between[1]
    one, two = (events(tmp_path / name) for name in ("one", "two"))
    for name in ("val_mean_dice_windows", "val_mean_dice_more_windows"):
        expected = [value.value for value in one.Scalars(name)]
        assert expected[0] > 0.05
        assert [value.value for value in two.Scalars(name)] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_two_processes_train_without_a_validation_image(bundle, tiny_data, python, tmp_path):
    data = shutil.copytree(tiny_data, tmp_path / "data")
    lists = json.loads((data / "datalist.json").read_text())
    (data / "datalist.json").write_text(json.dumps({**lists, "validation": []}))
    launch(bundle, python, tmp_path, 2, **{**bundle.training, **bundle.overrides(data, tmp_path / "out"), "max_epochs": 1})
    network().load_state_dict(load(tmp_path / "out/models/model.pt"))
