"""Instance settings are picked on validation images and used by predictions."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import tifffile

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.evaluation.tune import Case, object_f1, tune, tune_settings
from lazylabels_monai.instances import InstanceSettings


def one_with_ids(tiny_data, place, name):
    """A data set of one validation image, whose ids are to lie in a file of this name."""
    item = json.loads((tiny_data / "datalist.json").read_text())["validation"][0]
    shutil.copy(tiny_data / item["image"], place / "image.png")
    items = [{"image": "image.png", "instances": name}]
    classes = json.loads((tiny_data / "datalist.json").read_text())["classes"]
    (place / "datalist.json").write_text(json.dumps({"classes": classes, "validation": items}))
    return place


def three_squares(interface_probability):
    """Three touching squares whose interfaces have this probability, and a speck that is no object."""
    truth = np.zeros((20, 50), np.int32)
    truth[4:16, 4:16], truth[4:16, 16:28], truth[4:16, 28:40] = 1, 2, 3
    mask = (truth > 0).astype(np.uint8)
    mask[9:12, 44:47] = 1
    detection = np.stack([1 - mask, mask]).astype(np.float32)
    separation = np.zeros((2, 20, 50), np.float32)
    separation[1, :, 15:17] = separation[1, :, 27:29] = interface_probability
    separation[0] = 1 - separation[1]
    return Case(mask, {"detection": detection, "separation": separation}, truth)


def test_the_threshold_that_parts_the_objects_is_found():
    case = three_squares(0.35)
    assert object_f1([case], InstanceSettings()) == 0, "one object of all three, and the speck is dropped"
    settings, score = tune_settings([case, case], "three maps")
    assert score == 1.0
    assert settings.separation_threshold < 0.35
    assert settings.detection_threshold == 0.5, "what brings nothing stays as it was"
    assert settings.min_size == 16


def test_undetected_pieces_are_dropped_where_that_helps():
    case = three_squares(0.9)
    case.segmentation[1:19, 42:49] = 1  # larger than any speck, and detection sees nothing there
    case.probabilities["detection"][:, :, 42:] = np.array([1, 0], np.float32)[:, None, None]
    settings, score = tune_settings([case], "three maps")
    assert (settings.drop_undetected, score) == (True, 1.0)
    assert not tune_settings([three_squares(0.9)], "three maps")[0].drop_undetected, "a start that does as well stays"


def test_f1_counts_over_all_images_together():
    good, bad = three_squares(0.9), three_squares(0.1)
    # 3 of 3 objects in one image, 0 of 3 in the other with 1 false one
    assert object_f1([good, bad], InstanceSettings()) == pytest.approx(2 * 3 / (2 * 3 + 1 + 3))
    nothing = Case(np.zeros((5, 6), np.uint8), {}, np.zeros((5, 6), np.int32))
    assert np.isnan(object_f1([nothing], InstanceSettings(route="components")))


def test_test_images_choose_nothing(trained, tiny_data, tmp_path):
    with pytest.raises(LazyLabelsError, match="test images judge the settings and must not choose them"):
        tune(tiny_data, trained / "models" / "model.pt", section="testing")
    with pytest.raises(LazyLabelsError, match='no training image has "instances"'):
        tune(tiny_data, trained / "models" / "model.pt", section="training")


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (np.ones((9, 7), np.uint8), r"'.*ids\.tif' has the shape \(9, 7\) and its image"),
        (np.full((64, 80), -2, np.int16), r"'.*ids\.tif' holds"),
        (np.full((64, 80), 0.5, np.float32), r"ids\.tif"),
    ],
)
def test_ids_that_do_not_fit_are_named_by_their_file(trained, tiny_data, tmp_path, ids, said):
    data = one_with_ids(tiny_data, tmp_path, "ids.tif")
    tifffile.imwrite(data / "ids.tif", ids)
    with pytest.raises(LazyLabelsError, match=said) as error:
        tune(data, trained / "models" / "model.pt", routes=["components"])
    assert "\n" not in str(error.value)
