"""Which label maps a folder holds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting.finding import home_of, label_maps
from tests.exporting.maps import NAMES, predictions, scene


def saved(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def test_predictions(tmp_path):
    images, names, unsure = label_maps(predictions(tmp_path / "p", {"a": scene(), "b.c": scene()}))
    assert [image.name for image in images] == ["a", "b.c"]
    assert all(image.instances and image.classes for image in images)
    assert names == tuple(NAMES)
    assert not unsure


@pytest.mark.parametrize(
    ("values", "key", "unsure"), [(None, "instances", True), ("ids", "instances", False), ("classes", "classes", False)]
)
def test_plain_pictures(tmp_path, values, key, unsure):
    saved(tmp_path / "b.png", [[1]])
    saved(tmp_path / "a.tif", [[1]])
    images, names, asked = label_maps(tmp_path, values)
    assert [getattr(image, key) for image in images] == [str(tmp_path / "a.tif"), str(tmp_path / "b.png")]
    assert names is None
    assert asked == unsure


def test_masks_and_classes_with_names_beside(tmp_path):
    saved(tmp_path / "masks" / "a.png", [[1]])
    saved(tmp_path / "classes" / "a.png", [[1]])
    (tmp_path / "classes.json").write_text(json.dumps(["x"]))
    (image,), names, unsure = label_maps(tmp_path)
    assert (image.name, names, unsure) == ("a", ("x",), True)


def test_given_names_go_before_a_file_that_holds_none(tmp_path):
    for folder in (predictions(tmp_path / "p", {"a": scene()}), tmp_path / "plain", tmp_path / "exact"):
        if folder.name != "p":
            saved(folder / ("masks" if folder.name == "exact" else "") / "a.png", [[1]])
        (folder / "classes.json").write_text('["x",]')
        with pytest.raises(LazyLabelsError, match=r"is no JSON list of class names \(.*: remove it, or pass --classes"):
            label_maps(folder)
        assert [image.name for image in label_maps(folder, named=True)[0]] == ["a"]


def test_a_datalist(tiny_data):
    images, names, unsure = label_maps(tiny_data)
    assert names
    assert all(image.image for image in images)
    assert not unsure
    assert label_maps(tiny_data / "datalist.json")[0] == images
    assert home_of(tiny_data / "datalist.json") == home_of(tiny_data) == tiny_data


def test_what_is_refused(tmp_path):
    with pytest.raises(LazyLabelsError, match="does not exist"):
        label_maps(tmp_path / "none")
    with pytest.raises(LazyLabelsError, match="holds no label map"):
        label_maps(tmp_path)
    saved(tmp_path / "a.png", [[1]])
    with pytest.raises(LazyLabelsError, match="--values masks: say ids or classes"):
        label_maps(tmp_path, "masks")
    (tmp_path / "classes.json").write_text('{"a": 1}')
    with pytest.raises(LazyLabelsError, match=r"classes.json' is no JSON list of class names: remove it, or pass --classes"):
        label_maps(tmp_path)
    (tmp_path / "classes.json").unlink()
    saved(tmp_path / "a.tif", [[1]])
    with pytest.raises(LazyLabelsError, match="share a name: rename one"):
        label_maps(tmp_path)
