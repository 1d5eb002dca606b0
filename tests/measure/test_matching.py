"""Classes of predictions and truth, matched by their names."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.measure.matching import same_classes

#: Large squares of class 1, small ones of class 2.
CLASSES = np.concatenate(
    [
        np.kron(np.ones((2, 3), int), np.pad(np.ones((16, 16), int), 4)),
        2 * np.kron(np.ones((3, 6), int), np.pad(np.ones((6, 6), int), 3)),
    ]
).astype(np.uint8)


def data_set(folder, names, classes):
    folder.mkdir()
    items = [{"image": f"s{k}.png", "segmentation": f"s{k}.png"} for k in range(2)]
    for item in items:
        Image.fromarray(classes).save(folder / item["image"])
    (folder / "datalist.json").write_text(json.dumps({"classes": names, "testing": items}))
    return folder


def predicted(folder, names, classes):
    folder.mkdir()
    for k in range(2):
        Image.fromarray(classes).save(folder / f"s{k}_pred.png")
    if names:
        (folder / "classes.json").write_text(json.dumps(names))
    return folder


@pytest.mark.parametrize("make", [predicted, data_set])
def test_classes_are_compared_by_name(tmp_path, make):
    there = np.array([0, 2, 1], np.uint8)[CLASSES]
    perfect = make(tmp_path / "p", ["ice", "air"], CLASSES)
    truth = data_set(tmp_path / "d", ["air", "ice"], there)
    result = measure_folder(perfect, tmp_path / "o", truth=truth, resamples=100)
    assert list(result["error"]) == ["ice", "air"]
    for name, value in (("ice", 1), ("air", 2)):
        row = result["error"][name]["area_fraction"]
        assert (row["error"], row["truth"]) == (0, pytest.approx(np.mean(value == CLASSES)))
        assert result["error"][name]["mean_diameter_px"]["error"] == 0
        assert result["error"][name]["mean_diameter_px"]["truth"] > 0
    renamed = measure_folder(perfect, tmp_path / "o2", truth=truth, classes=["Eis", "Luft"], resamples=100)
    assert renamed["error"]["Eis"]["area_fraction"]["error"] == 0


def test_other_names_are_refused_and_the_remedy_works(tmp_path):
    source = predicted(tmp_path / "p", ["Eis", "Luft"], CLASSES)
    truth = data_set(tmp_path / "d", ["air", "ice"], np.array([0, 2, 1], np.uint8)[CLASSES])
    with pytest.raises(
        MeasureError, match=r"has the classes Eis, Luft and .*d' air, ice: say with --classes which of the names"
    ):
        measure_folder(source, tmp_path / "o", truth=truth, resamples=100)
    assert not (tmp_path / "o").exists()
    result = measure_folder(source, tmp_path / "o", truth=truth, classes=["ice", "air"], resamples=100)
    assert [row["area_fraction"]["error"] for row in result["error"].values()] == [0, 0]


def test_classes_without_names_are_compared_by_number_and_it_is_said(tmp_path):
    said, truth = [], data_set(tmp_path / "d", ["ice", "air"], CLASSES)
    source = predicted(tmp_path / "p", None, CLASSES)
    result = measure_folder(source, tmp_path / "o", truth=truth, resamples=100, warn=said.append)
    assert result["error"]["class 1"]["area_fraction"]["error"] == 0
    assert len(said) == 1
    assert "by number (1 is ice): name them with --classes" in said[0]


@pytest.mark.parametrize(
    ("given", "stated", "exact"),
    [
        (None, ["object"], ["grain"]),  # the starter
        (None, ["grain"], ["object"]),
        (["grain"], ["object"], ["pore"]),
        (None, None, ["grain"]),
        (["a", "b"], ["c", "d"], None),
        (["a", "b"], ["c", "d"], ["c", "d"]),
    ],
)
def test_numbers_mean_the_same(given, stated, exact):
    assert same_classes("p", "t", given, stated, exact) is None


def test_names_that_the_user_gives_go_first():
    assert same_classes("p", "t", ["b", "a"], ["a", "b"], ["a", "b"]) == [2, 1]
    assert same_classes("p", "t", ["c", "d"], ["b", "a"], ["a", "b"]) == [2, 1]


def test_one_class_of_another_name_is_refused():
    with pytest.raises(MeasureError, match="'p' has the classes pore and 't' grain"):
        same_classes("p", "t", None, ["pore"], ["grain"])
