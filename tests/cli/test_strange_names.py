"""Folders and images whose names MONAI or a shell would take for something else; tools/strange_names.py tries more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lazylabels_monai.cli import app
from lazylabels_monai.errors import LazyLabelsError, check_overrides

CODE = "$__import__('pathlib').Path('RUN').touch()"
NAMES = (CODE, "@seed", "%seed", "a#b@::c", "~nobody")


def call(*arguments: object) -> None:
    app([str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture
def named(request, tmp_path, monkeypatch, tiny_data, trained) -> str:
    """A strange name, after which a folder of images, its image and a folder of weights are called."""
    monkeypatch.chdir(tmp_path)
    name = request.param
    for folder in ("images", "models"):
        Path(name, folder).mkdir(parents=True)
    shutil.copy(tiny_data / "images" / "microstructure_test_000.png", Path(name, "images", f"{name}.png"))
    shutil.copytree(trained.parent, Path(name, "models"), dirs_exist_ok=True)
    return name


@pytest.mark.parametrize("named", NAMES, indirect=True)
def test_relative_folders_are_names_and_not_code(named, tmp_path):
    weights = ("--weights", f"{named}/models/model.pt")
    call("predict", f"{named}/images", "--out", f"{named}/out", *weights)
    assert sorted(file.name for file in Path(named, "out").glob("*_pred.png")) == [f"{named}_pred.png"]
    call("monai-label", f"{named}/app/x", *weights)
    assert Path(named, "app", "x", "main.py").is_file()
    assert list(tmp_path.rglob("RUN")) == []


def test_a_folder_that_is_there_is_not_run_by_monai_bundle(tmp_path, monkeypatch, bundle):
    monkeypatch.chdir(tmp_path)
    Path(CODE).mkdir()
    arguments = ["--config_file", str(bundle.configs / "inference.yaml"), "--dataset_dir", CODE]
    with pytest.raises(LazyLabelsError, match=r"write \./"):
        check_overrides(arguments)
