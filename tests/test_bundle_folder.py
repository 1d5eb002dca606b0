"""The bundle is found in a checkout, in an installed package and in what ``pack`` unzips to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lazylabels_monai import bundle_folder
from lazylabels_monai.bundle_folder import bundle_config, find_bundle, find_overlay
from lazylabels_monai.errors import LazyLabelsError

ROOT = Path(__file__).resolve().parents[1]


def made(folder: Path) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "inference.yaml").write_text("")
    return folder


def test_in_this_checkout():
    assert find_bundle() == ROOT / "bundle"
    assert bundle_config(None, "train.yaml") == ROOT / "bundle" / "configs" / "train.yaml"
    assert find_overlay("cpu.yaml") == ROOT / "configs" / "cpu.yaml"


@pytest.mark.parametrize("place", ["bundle", "lazylabels_monai/bundle", "."])
def test_beside_the_package_inside_it_and_around_it(tmp_path, monkeypatch, place):
    monkeypatch.setattr(bundle_folder, "_PACKAGE", tmp_path / "lazylabels_monai")
    with pytest.raises(LazyLabelsError, match="install it again, or pass --bundle"):
        find_bundle()
    with pytest.raises(LazyLabelsError, match=r"cpu\.yaml did not come with this installation"):
        find_overlay("cpu.yaml")
    made(tmp_path / place)
    assert find_bundle() == tmp_path / place


def test_a_folder_that_was_named_is_taken_or_refused(tmp_path):
    assert find_bundle(made(tmp_path / "mine")) == tmp_path / "mine"
    with pytest.raises(LazyLabelsError, match=r"holds no configs/inference\.yaml: name the bundle's folder by --bundle"):
        find_bundle(tmp_path)
    with pytest.raises(LazyLabelsError, match=r"train\.yaml is not there"):
        bundle_config(tmp_path / "mine", "train.yaml")
