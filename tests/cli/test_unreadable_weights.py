"""Every command that takes weights says in a sentence what is wrong with a file that holds none, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lazylabels_monai.apps.monailabel.folder import make_app
from lazylabels_monai.bundle_folder import bundle_config
from lazylabels_monai.cli import app
from lazylabels_monai.errors import user_error
from tests.unreadable import RAN, UNREADABLE

#: One of each kind of fault; what else there is goes through the same function (tests/test_tensor_files.py).
KINDS = ("truncated", "a pickle with code", "a folder", "another network")


@pytest.fixture(scope="module")
def places(bundle, tiny_data, trained, tmp_path_factory) -> Callable[[str], Path]:
    """By kind, a folder with such a ``model.pt`` beside the files of a training."""
    root = tmp_path_factory.mktemp("weights")

    def make(kind: str) -> Path:
        folder = root / kind.replace(" ", "_")
        if not folder.exists():
            folder.mkdir()
            for name in ("classes.json", "network.json"):
                shutil.copy(trained.parent / name, folder / name)
            UNREADABLE[kind](folder / "model.pt", trained.parent / "model.pt")
        return folder / "model.pt"

    return make


def command(*arguments: object) -> Callable[[], BaseException | None]:
    def run() -> BaseException | None:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        return result.exception if result.exit_code else None

    return run


def workflow(run: Callable[..., object], *arguments: object, **more: object) -> Callable[[], BaseException | None]:
    def call() -> BaseException | None:
        try:
            run(*arguments, **more)
        except Exception as error:
            return error
        return None

    return call


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_none(kind, places, bundle, tiny_data, tmp_path):
    weights, out = places(kind), tmp_path / "out"
    images = tiny_data / "images"
    here = bundle_config(None, "inference.yaml").parents[1]
    runs = {
        "predict": command("predict", images, "--out", out, "--weights", weights, "--device", "cpu"),
        "tune": command("tune", tiny_data, "--weights", weights, "--device", "cpu"),
        "suggest": command("suggest", tiny_data, "--weights", weights, "--out", out),
        "pack": command("pack", out, "--weights", weights),
        "pack-bioimage": command("pack-bioimage", out, "--weights", weights, "--image", images / os.listdir(images)[0]),
        "init_weights": workflow(bundle.train, tiny_data, out, init_weights=str(weights)),
        "evaluating": workflow(bundle.evaluate, tiny_data, out, weights=str(weights)),
        "inferring": workflow(bundle.infer, images, out, weights=str(weights)),
        "label": workflow(make_app, out, weights, here),
    }
    for name, run in runs.items():
        error = run()
        assert error is not None, name
        found = user_error(error)
        assert found is not None, (name, error)
        assert str(weights) in str(found), (name, found)
        assert "\n" not in str(found), (name, found)
        assert not weights.with_name(RAN).exists(), name
        left = [file for file in tmp_path.rglob("*") if file.is_file() and "tensorboard" not in file.parts]
        assert left == [], (name, left)
        shutil.rmtree(out, ignore_errors=True)


def test_a_checkpoint_of_something_else_is_not_resumed(places, bundle, tiny_data, trained, tmp_path, caplog):
    """The one before it is, and where there is none the training begins anew, what was there moves aside."""
    models = tmp_path / "models"
    shutil.copytree(trained.parent, models)
    (models / "checkpoint_epoch=9.pt").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    torch.save({"model": [1]}, models / "checkpoint_epoch=8.pt")
    bundle.train(tiny_data, tmp_path, resume=True, max_epochs=2, dropout=0.2)
    assert "Git LFS" in caplog.text
    assert "checkpoint_epoch=8.pt: this is no checkpoint" in caplog.text
    assert (models / "checkpoint_epoch=2.pt").is_file()
    assert json.loads((models / "training.json").read_text())["settings"]["max_epochs"] == 2
