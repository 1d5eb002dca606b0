"""What the files of one image hold."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure.finding import find_labels
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.measure.image import MeasureError
from tests.measure.drawn import predictions

CLASSES, IDS, IMAGE = "labels/classes.tif", "labels/ids.tif", "images/picture_of_a.tif"
SQUARE = np.pad(np.ones((10, 12), np.uint8), 5)


def test_probabilities_of_the_class_shown(tmp_path):
    predictions(tmp_path / "p", count=1)
    classes = np.asarray(Image.open(tmp_path / "p" / "s0_pred.png"))
    planes = np.stack([np.full(classes.shape, v, np.float32) for v in (0.1, 0.3, 0.6)])
    path = tmp_path / "p" / "s0_segmentation_probability.tif"
    tifffile.imwrite(path, planes, photometric="minisblack", metadata={"axes": "CYX"})
    measure_folder(tmp_path / "p", tmp_path / "o", resamples=100)
    means = pd.read_csv(tmp_path / "o" / "objects.csv").groupby("class")["mean_probability"]
    assert means.mean().to_dict() == pytest.approx({1: 0.3, 2: 0.6})
    assert means.std().max() < 1e-6
    tifffile.imwrite(path, planes[:2], photometric="minisblack")
    with pytest.raises(LazyLabelsError, match="do not fit"):
        measure_folder(tmp_path / "p", tmp_path / "o2")


def test_uncertainty_of_an_earlier_version_is_read(tmp_path):
    ids = np.zeros((20, 30), np.uint16)
    ids[5:12, 5:15] = 1
    Image.fromarray((ids > 0).astype(np.uint8)).save(tmp_path / "a_pred.png")
    tifffile.imwrite(tmp_path / "a_instances.tif", ids)
    planes = np.stack([np.full(ids.shape, 0.5), np.full(ids.shape, 0.25)]).astype(np.float32)
    tifffile.imwrite(tmp_path / "a_segmentation_doubt.tif", planes)
    (found,), _ = find_labels(tmp_path)
    assert found.uncertainty == str(tmp_path / "a_segmentation_doubt.tif")
    measure_folder(tmp_path, tmp_path / "measured", resamples=100)
    rows = pd.read_csv(tmp_path / "measured" / "objects.csv")
    assert rows[["mean_entropy", "mean_mutual_information"]].to_numpy().tolist() == [[0.5, 0.25]]


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({CLASSES: SQUARE * 4}, [CLASSES]),  # a class without a name
        ({CLASSES: SQUARE.astype(np.int32) * 999}, [CLASSES]),
        ({CLASSES: SQUARE[:9]}, [CLASSES, IDS]),
        ({CLASSES: SQUARE * 0}, [CLASSES, IDS]),
        ({IDS: SQUARE[:, :7]}, [CLASSES, IDS]),
        ({IDS: SQUARE.astype(np.int16) - 3}, [IDS]),
        ({IMAGE: SQUARE[:1, :1]}, [IMAGE, CLASSES, IDS]),
        ({IMAGE: SQUARE[:3], IDS: None}, [IMAGE, CLASSES]),
        ({CLASSES: SQUARE.astype(np.int16) - 3, IDS: None}, [CLASSES]),
    ],
)
def test_a_map_that_cannot_be_measured_is_named_by_its_file(tmp_path, broken, named):
    maps = {IMAGE: SQUARE * 200, CLASSES: SQUARE, IDS: SQUARE.astype(np.uint16), **broken}
    for name, array in maps.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if array is not None:
            tifffile.imwrite(tmp_path / name, array)
    keys = {"image": IMAGE, "segmentation": CLASSES, "instances": IDS}
    item = {key: name for key, name in keys.items() if maps[name] is not None}
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["grain"], "training": [item]}))
    with pytest.raises(MeasureError) as error:
        measure_folder(tmp_path, tmp_path / "o", resamples=100)
    said = str(error.value)
    assert [name for name in (IMAGE, CLASSES, IDS) if str(tmp_path / name) in said] == named, said
    assert "\n" not in said
    assert said.endswith(".")
