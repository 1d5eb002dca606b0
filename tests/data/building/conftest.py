"""A folder of images, and a data set built from it."""

from __future__ import annotations

import pytest

from lazylabels_monai.data.building import BuildOptions, build_datalist
from lazylabels_monai.images.files import read_label
from tests.data.building.drawing import _image, _save


@pytest.fixture
def folder(tmp_path):
    """``images/`` with a.png to e.png."""
    for number, name in enumerate("abcde"):
        _save(tmp_path / "src" / "images" / f"{name}.png", _image(number))
    return tmp_path / "src"


@pytest.fixture
def build(folder, tmp_path):
    """Build from ``folder``; gives the datalist and a reader of its labels."""

    def made(src=folder, out=tmp_path / "out", **options):
        summary = build_datalist(src, out, BuildOptions(**options))
        items = [item for section in ("training", "validation", "testing") for item in summary.datalist[section]]
        by_name = {item["image"].rsplit("/", 1)[-1].split(".")[0]: item for item in items}
        return summary, lambda name, key: read_label(out / by_name[name][key])

    return made
