"""What is said of a folder before its numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.measure.finding import find_labels
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.stamps import Records, locked
from tests.measure.drawn import ONE, stamped


def test_predictions_of_two_stamps_are_not_measured(tmp_path):
    other = ONE.having(inferer={"mirroring": True})
    mixed = stamped(tmp_path / "mixed", a=ONE, b=other, c=ONE)
    with pytest.raises(LazyLabelsError, match=r"'b' were made otherwise \(inferer\.mirroring False and True\); predict"):
        measure_folder(mixed, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(LazyLabelsError, match="mixes results"):
        measure_folder(mixed, tmp_path / "out", dry_run=True)
    (mixed / "b_pred.png").unlink()
    result = measure_folder(mixed, tmp_path / "out", resamples=100)
    assert result["made_by"]["stamp"] == ONE.id
    assert list(result["classes"]) == ["ice"], "the stamp knows the names where classes.json is missing"
    with locked(mixed):  # other weights began, wrote their names, and were killed
        Records(mixed).add_stamp(ONE.having(classes=["air"]))
    for written, read in (["air"], "ice"), (["ice"], "ice"), (["Eis"], "Eis"):
        (mixed / "classes.json").write_text(json.dumps(written))
        assert find_labels(mixed)[1] == (read,)


def test_maps_of_unknown_origin_and_images_that_changed_are_told(tmp_path):
    said = []
    folder = stamped(tmp_path / "some", a=ONE, b=None)
    measure_folder(folder, tmp_path / "out", resamples=100, warn=said.append)
    assert len(said) == 1
    assert "1 do not say what made them ('b' is one)" in said[0]
    (folder / "b_pred.png").unlink()
    measure_folder(folder, tmp_path / "images", images=folder, resamples=100, warn=said.append)
    assert len(said) == 1
    tifffile.imwrite(folder / "a.tif", np.zeros((20, 30), np.uint8))
    measure_folder(folder, tmp_path / "changed", images=folder, resamples=100, warn=said.append)
    assert "1 of 1 images are not those that were predicted" in said[1]
    plain = stamped(tmp_path / "plain", a=None)
    result = measure_folder(plain, tmp_path / "other", resamples=100, warn=said.append)
    assert len(said) == 2, "maps of other programs are nothing to warn of"
    assert result["made_by"] is None
    altered = stamped(tmp_path / "altered", a=ONE, b=ONE)
    Image.fromarray(np.eye(20, 30, dtype=np.uint8)).save(altered / "a_pred.png")  # another model's, or corrected by hand
    measure_folder(altered, tmp_path / "last", resamples=100, warn=said.append)
    assert "of 2 images in" in said[2]
    assert "1 do not say what made them ('a' is one)" in said[2]
