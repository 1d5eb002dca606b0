"""The zipped bundle: it runs from where it was unzipped, with this package hidden."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from monai.bundle import verify_net_in_out
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.packing.archive import pack_bundle
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import write_classes, write_network, write_settings
from tests.helpers import ROOT
from tests.warm import WarmPython

SETTINGS = {
    "spatial_dims": 2,
    "in_channels": 1,
    "channels": [4, 8, 8],
    "num_multitask_blocks": 2,
    "norm": ["INSTANCE", {"affine": True}],
    "dropout": 0.0,
}


# removes the installed package's way into Python; the folder that `python -m` runs in comes first only afterwards
HIDE = """
import os, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path = [p for p in sys.path if not os.path.isdir(os.path.join(p, "lazylabels_monai"))]
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """What a training leaves: weights, classes, network and, after `tune`, instance settings."""
    folder = tmp_path_factory.mktemp("weights") / "models"
    folder.mkdir()
    torch.manual_seed(0)
    net = MultiTaskUNet(num_classes=4, channels=(4, 8, 8), num_multitask_blocks=2, norm=SETTINGS["norm"])
    torch.save(net.state_dict(), folder / "model.pt")
    write_classes(folder, ["pore", "grain", "crack"])
    write_network(folder, net, **SETTINGS, tasks=list(TASKS), crop_size=[32, 32])
    write_settings(folder / "model.pt", [InstanceSettings(route="components", min_size=3)], dataset="/home/somebody/data/my")
    torch.save({}, folder / "checkpoint_epoch=1.pt")
    return folder / "model.pt"


@pytest.fixture(scope="module")
def packed(weights, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "my_model.zip"
    done = CliRunner().invoke(app, ["pack", str(out), "--weights", str(weights), "--bundle", str(ROOT / "bundle")])
    assert done.exit_code == 0, done.output
    assert [file.name for file in out.parent.iterdir()] == [out.name]
    return out


@pytest.fixture(scope="module")
def unzipped(packed, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    (root,) = folder.iterdir()
    assert root.name == "my_model"
    return root


@pytest.fixture(scope="module")
def hidden(bundle, tmp_path_factory) -> dict[str, str]:
    """Variables of a Python that finds everything but this package."""
    folder = tmp_path_factory.mktemp("hide")
    (folder / "sitecustomize.py").write_text(HIDE)
    environment = {**bundle.environment, "PYTHONPATH": str(folder)}
    tried = subprocess.run(
        [sys.executable, "-c", "import lazylabels_monai"], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert "No module named 'lazylabels_monai'" in tried.stderr
    return environment


@pytest.fixture(scope="module")
def bare(hidden, tmp_path_factory) -> str:
    """A program to call in place of Python, which has imported what the bundle needs, but for this package."""
    if sys.platform != "linux":
        return sys.executable
    modules = ("monai.bundle", "monai.engines", "monai.handlers", "torch.utils.tensorboard")
    return str(WarmPython(tmp_path_factory.mktemp("warm"), modules, hidden, lives_with=os.getpid()).program)


def test_the_zip_holds_the_bundle_the_package_and_no_path_of_this_machine(unzipped):
    for name in ("LICENSE", "docs/README.md", "configs/metadata.json", "configs/logging.conf", "lazylabels_monai/__main__.py"):
        assert (unzipped / name).is_file(), name
    assert (unzipped / "lazylabels_monai" / "report" / "templates").is_dir()
    assert sorted(file.name for file in (unzipped / "models").iterdir()) == [
        ".gitkeep",
        "classes.json",
        "instances.json",
        "model.pt",
        "model.pt.sha256",
        "network.json",
    ]
    assert not list(unzipped.rglob("__pycache__"))
    for file in unzipped.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"/home/" not in content, file
            assert str(ROOT).encode() not in content, file
    settings = json.loads((unzipped / "models" / "instances.json").read_text())
    assert settings["dataset"] == "my"
    assert settings["routes"]["components"]["min_size"] == 3


def test_the_configs_are_those_of_the_training(unzipped):
    for name in ("train.yaml", "inference.yaml"):
        ours, theirs = (yaml.safe_load((root / "configs" / name).read_text()) for root in (ROOT / "bundle", unzipped))
        changed = {key: theirs[key] for key in theirs if theirs[key] != ours[key]}
        network = {"channels": [4, 8, 8], "num_multitask_blocks": 2, "crop_size": [32, 32]}
        # these weights do not tell of a normalization: they are from before there was a choice
        assert changed == {**network, "normalization": "mean_std"}
        assert list(theirs) == list(ours)
        assert (
            "channels: [4, 8, 8] # width at each of the resolutions" in (unzipped / "configs" / name).read_text()
            or name != "train.yaml"
        )
    configs = {"meta_file": str(unzipped / "configs/metadata.json"), "config_file": str(unzipped / "configs/inference.yaml")}
    verify_net_in_out("network_def", device="cpu", any=45, **configs, ckpt_dir=str(unzipped / "models"))


def test_the_readme_is_of_the_packed_network(unzipped):
    text = (unzipped / "docs" / "README.md").read_text()
    plain = " ".join(text.split())
    assert (
        "trained for the classes pore, grain, crack. Input: a picture of one channel. Output: 10 channels of logits: " in plain
    )
    assert "0-3 segmentation (background, pore, grain, crack), 4-7 detection (" in plain
    for untrue in ("bundle ships no weights; `training`", "eight channels", "air bubble", "\n\nBuilt-in data"):
        assert untrue not in text
    ours = (ROOT / "bundle" / "docs" / "README.md").read_text()
    head, tail = ours.split("#### **Input and output**")[0], "## **Performance**" + ours.split("## **Performance**")[1]
    assert text.startswith(head)
    assert text.endswith(tail)


def test_a_packed_network_for_volumes_passes_monais_network_check(tmp_path):
    net = MultiTaskUNet(spatial_dims=3, num_classes=2, channels=(4, 8), num_multitask_blocks=1, norm=SETTINGS["norm"])
    torch.save(net.state_dict(), tmp_path / "model.pt")
    write_classes(tmp_path, ["pore"])
    of_volumes = {"spatial_dims": 3, "channels": [4, 8], "num_multitask_blocks": 1}
    write_network(tmp_path, net, **{**SETTINGS, **of_volumes}, tasks=list(TASKS), crop_size=[16, 16, 16])
    pack_bundle(tmp_path / "volumes.zip", ROOT / "bundle", tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "volumes.zip") as archive:
        archive.extractall(tmp_path)
    root = tmp_path / "volumes"
    configs = {"meta_file": str(root / "configs/metadata.json"), "config_file": str(root / "configs/inference.yaml")}
    verify_net_in_out("network_def", device="cpu", any=16, **configs, ckpt_dir=str(root / "models"))
    assert "Input: a volume of one channel." in (root / "docs" / "README.md").read_text()


@pytest.mark.slow
def test_its_torchscript_tells_of_the_trained_channels(unzipped, bare, hidden, weights, tmp_path):
    """By the commands of docs/how-to.md; with the metadata of another network a warning tells."""

    def export(*more: str) -> tuple[dict, str]:
        arguments = ["-m", "monai.bundle", "ckpt_export", "--net_id", "network_def", "--filepath", str(tmp_path / "model.ts")]
        done = subprocess.run([bare, *arguments, *more], cwd=unzipped, env=hidden, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        extra = {"metadata.json": ""}
        torch.jit.load(str(tmp_path / "model.ts"), _extra_files=extra)
        return json.loads(extra["metadata.json"])["network_data_format"]["outputs"]["pred"], done.stdout + done.stderr

    given = ["--meta_file", "configs/metadata.json", "--config_file", "configs/inference.yaml"]
    described, said = export("--ckpt_file", "models/model.pt", *given)
    names = ["background", "pore", "grain", "crack"]
    expected = [*names, *(f"detection {name}" for name in names), "separation other", "separation interface"]
    assert list(described["channel_def"].values()) == expected
    assert "it describes a network" not in said
    meta = str(ROOT / "bundle" / "configs" / "metadata.json")
    other = ["--ckpt_file", str(weights), "--meta_file", meta, "--config_file", "configs/inference.yaml"]
    _, said = export(*other)
    assert f"{meta}: it describes a network of the channels background, air bubble, ice crystal, detection" in said
    assert "though it gives background, pore, grain, crack, detection background" in said


def test_it_predicts_where_it_was_unzipped_without_the_package(unzipped, hidden, bare, bundle, weights, tiny_data, tmp_path):
    arguments = ["-m", "monai.bundle", "run", "inferring", "--config_file", "configs/inference.yaml"]
    given = [
        "--dataset_dir",
        str(tiny_data),
        "--output_dir",
        str(tmp_path / "out"),
        "--save_probabilities",
        "True",
        "--cpu_bfloat16",
        "False",
    ]
    script = "import lazylabels_monai; print(lazylabels_monai.__file__)"
    found = subprocess.run([sys.executable, "-c", script], cwd=unzipped, env=hidden, capture_output=True, text=True)
    assert found.stdout.strip() == str(unzipped / "lazylabels_monai" / "__init__.py")
    done = subprocess.run([bare, *arguments, *given], cwd=unzipped, env=hidden, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    bundle.infer(tiny_data, tmp_path / "expected", ckpt_dir=str(weights.parent), save_probabilities=True)
    expected = sorted(file.name for file in (tmp_path / "expected").iterdir())
    assert len(expected) == 2 * 6 + 1
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == expected
    for name in expected:
        ours, theirs = tmp_path / "out" / name, tmp_path / "expected" / name
        if "probability" in name:  # another process may add in another order
            np.testing.assert_allclose(tifffile.imread(ours), tifffile.imread(theirs), atol=1e-5)
        elif name == "predicted.jsonl":  # a run tells of its time and commit, too
            records = [[line for line in file.read_text().splitlines() if '"run"' not in line] for file in (ours, theirs)]
            assert records[0] == records[1]
        else:
            assert ours.read_bytes() == theirs.read_bytes(), name


@pytest.mark.slow
def test_it_trains_and_evaluates_there(unzipped, hidden, bare, tiny_data, tmp_path):
    tiny = [
        "--dataset_dir",
        str(tiny_data),
        "--output_dir",
        str(tmp_path),
        "--ckpt_dir",
        str(tmp_path / "models"),
        "--device",
        "cpu",
    ]
    train = ["--max_epochs", "1", "--crops_per_epoch", "2", "--batch_size", "2", "--val_interval", "1", "--num_workers", "0"]
    commands = (
        ["training", "--config_file", "configs/train.yaml", *tiny, *train],
        ["evaluating", "--config_file", "['configs/train.yaml','configs/evaluate.yaml']", *tiny],
    )
    for command in commands:
        arguments = ["-m", "monai.bundle", "run", *command]
        done = subprocess.run([bare, *arguments], cwd=unzipped, env=hidden, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((tmp_path / "metrics.json").read_text())["images"] == 2


def test_the_same_pack_twice_is_the_same_file(packed, weights, tmp_path):
    pack_bundle(tmp_path / "my_model.zip", ROOT / "bundle", weights)
    assert (tmp_path / "my_model.zip").read_bytes() == packed.read_bytes()


def test_a_bundle_without_weights_takes_its_network_from_an_overlay(tmp_path):
    (tmp_path / "overlay.yaml").write_text("channels: [4, 8]\nnum_multitask_blocks: 1\nckpt_dir: elsewhere\n")
    pack_bundle(tmp_path / "empty.zip", ROOT / "bundle", overlays=[tmp_path / "overlay.yaml"])
    with zipfile.ZipFile(tmp_path / "empty.zip") as archive:
        config = yaml.safe_load(archive.read("empty/configs/train.yaml"))
        assert [name for name in archive.namelist() if "/models/" in name and name.startswith("empty/models")] == [
            "empty/models/.gitkeep"
        ]
    assert (config["channels"], config["num_multitask_blocks"]) == ([4, 8], 1)
    assert config["ckpt_dir"] != "elsewhere"


def test_nothing_is_overwritten_and_what_is_missing_is_named(packed, weights, tmp_path):
    before = packed.read_bytes()
    with pytest.raises(FileExistsError, match="--overwrite"):
        pack_bundle(packed, ROOT / "bundle", weights)
    assert packed.read_bytes() == before
    with pytest.raises(LazyLabelsError, match=r"nothing\.pt: there are no trained weights"):
        pack_bundle(tmp_path / "a.zip", ROOT / "bundle", tmp_path / "nothing.pt")
    with pytest.raises(LazyLabelsError, match="--bundle"):
        pack_bundle(tmp_path / "a.zip", tmp_path, weights)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["images.json", "instances.json", "classes.json", "network.json"])
def test_a_link_beside_the_weights_brings_no_other_file_along(name, weights, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    copied = Path(shutil.copytree(Path(weights).parent, tmp_path / "models"))
    (copied / name).unlink(missing_ok=True)
    (copied / name).symlink_to(tmp_path / "secret.txt")
    with pytest.raises(LazyLabelsError, match=re.escape(name)):
        pack_bundle(tmp_path / "a.zip", weights=copied / "model.pt")
    assert not (tmp_path / "a.zip").exists()


def test_a_link_that_leads_out_of_the_bundle_is_refused(weights, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    bundle = Path(shutil.copytree(ROOT / "bundle", tmp_path / "bundle"))
    (bundle / "docs" / "inside.md").symlink_to("README.md")
    pack_bundle(tmp_path / "a.zip", bundle=bundle, weights=weights)
    (bundle / "docs" / "more.md").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(LazyLabelsError, match=r"more\.md is a link"):
        pack_bundle(tmp_path / "b.zip", bundle=bundle, weights=weights)
