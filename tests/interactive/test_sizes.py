"""Sizes on the screen are those of `lazylabels measure`, to the last character of the file."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.images.files import read_image
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.sizes import class_map, distribution, pixel_size_of, table, write_csv
from lazylabels_monai.measure.folder import measure_folder
from tests.interactive.folders import pictures

SHAPE = (60, 80)


def objects():
    ids = np.zeros(SHAPE, np.int32)
    ids[5:15, 5:15], ids[5:15, 16:30], ids[30:50, 10:20], ids[40:60, 70:80] = 2, 3, 7, 9
    return ids, {2: 1, 3: 2, 7: 2, 9: 1}


def predicted(folder, name, ids, classes):
    """Files as `lazylabels predict` writes them."""
    folder.mkdir(exist_ok=True)
    Image.fromarray(class_map(ids, classes)).save(folder / f"{name}_pred.png")
    tifffile.imwrite(folder / f"{name}_instances.tif", ids.astype(np.uint16))
    (folder / "classes.json").write_text('["pore", "grain"]')


@pytest.mark.parametrize("pixel_size", [None, "120 nm", 0.5])
def test_rows_and_file_are_those_of_measure(tmp_path, pixel_size):
    folder = pictures(tmp_path / "my", 2, SHAPE)
    ids, classes = objects()
    tables = []
    for name in ("a", "b"):
        predicted(tmp_path / "results", name, ids, classes)
        picture = read_image(folder / "images" / f"{name}.png")
        tables.append(
            table(ids, classes, pixel_size, name=f"images/{name}.png", class_names=["pore", "grain"], picture=picture)
        )
        ids, classes = ids[::-1].copy(), {**classes, 7: 1}
    measure_folder(tmp_path / "results", tmp_path / "measured", images=folder / "images", pixel_size=pixel_size)
    file = write_csv(tables, tmp_path / "made" / "objects.csv")
    assert file.read_bytes() == (tmp_path / "measured" / "objects.csv").read_bytes()
    assert len(pd.read_csv(file)) == 8


def test_classes_come_as_array_or_by_id():
    ids, classes = objects()
    expected = np.zeros(SHAPE, int)
    for number, value in classes.items():
        expected[ids == number] = value
    array = np.array([0, 0, 1, 2, 0, 0, 0, 2, 0, 1])
    assert np.array_equal(class_map(ids, classes), expected)
    assert np.array_equal(class_map(ids, array), expected)
    assert np.array_equal(class_map(ids, {}), (ids > 0).astype(int))


def test_the_distribution_counts_each_object_once():
    ids, classes = objects()
    rows = table(ids, classes, "1um", class_names=["pore", "grain"])
    found = distribution(rows, "1um", bins=5)
    assert found.column == "equivalent_diameter_um"
    assert {name: int(counts.sum()) for name, counts in found.counts.items()} == {"pore": 2, "grain": 2}
    assert found.median == pytest.approx(rows["equivalent_diameter_um"].median())
    largest = rows["equivalent_diameter_um"].max()
    assert found.edges[0] == 0
    assert found.edges[-1] == pytest.approx(largest)
    assert len(found.edges) == 6
    nothing = distribution(table(np.zeros(SHAPE, int), {}))
    assert nothing.counts == {}
    assert np.isnan(nothing.median)


def test_the_pixel_size_is_that_of_the_file_or_of_the_datalist(tmp_path):
    folder = pictures(tmp_path / "my", 2, SHAPE)
    resolution = {"resolution": (2.0, 2.0), "metadata": {"unit": "um", "axes": "YX"}, "imagej": True}
    tifffile.imwrite(folder / "images" / "c.tif", np.zeros(SHAPE, np.uint8), **resolution)
    items = [{"image": "images/a.png", "pixel_size": "120 nm"}]
    (folder / "datalist.json").write_text(json.dumps({"classes": ["pore"], "training": items}))
    with Project.open(folder) as project:
        found = {entry.name: pixel_size_of(project, entry) for entry in project.images}
    assert found == {"images/a.png": pytest.approx(0.12), "images/b.png": None, "images/c.tif": pytest.approx(0.5)}
