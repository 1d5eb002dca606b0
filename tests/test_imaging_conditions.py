"""Copies of test images under other imaging conditions, and what networks lose on them (tools/imaging_conditions.py)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread, imsave

from lazylabels_monai.experiments.statistics import mean_dice
from tools.imaging_conditions import AS_IS, CONDITIONS, altered_copy, lost, table


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One test image of a bright square of 20 x 20 pixels on a gradient, and a second one that is not asked for."""
    folder = tmp_path / "data"
    for name in ("images", "instances"):
        (folder / name).mkdir(parents=True)
    label = np.zeros((40, 60), np.uint8)
    label[10:30, 20:40] = 7
    image = np.linspace(40, 120, 60)[None].repeat(40, 0) + 100 * (label > 0)
    for stem in "ab":
        imsave(folder / "images" / f"{stem}.png", image.astype(np.uint8), check_contrast=False)
        imsave(folder / "instances" / f"{stem}.png", label, check_contrast=False)
    items = [{"image": f"images/{stem}.png", "instances": f"instances/{stem}.png"} for stem in "ab"]
    datalist = {"classes": ["square"], "training": items[:1], "validation": [], "testing": items}
    (folder / "datalist.json").write_text(json.dumps(datalist), encoding="utf-8")
    return folder


@pytest.mark.parametrize("condition", CONDITIONS)
def test_labels_lie_where_the_objects_lie(condition: str, data: Path, tmp_path: Path) -> None:
    altered_copy(data, tmp_path / "out", condition, most=1)
    datalist = json.loads((tmp_path / "out" / "datalist.json").read_text(encoding="utf-8"))
    image, label = (imread(tmp_path / "out" / datalist["testing"][0][key]) for key in ("image", "instances"))
    assert len(datalist["testing"]) == 1
    assert datalist["training"] == []
    assert image.dtype == np.uint8
    assert set(np.unique(label)) == {0, 7}
    shifts = [(row, column) for row in (-2, 0, 2) for column in (-2, 0, 2)]
    fits = {by: np.corrcoef(image.ravel(), (np.roll(label, by, (0, 1)) > 0).ravel())[0, 1] for by in shifts}
    assert max(fits, key=fits.get) == (0, 0)
    original = imread(data / "images" / "a.png")
    assert np.array_equal(image, original) == (condition == AS_IS)


def test_gray_conditions_do_what_they_say(data: Path, tmp_path: Path) -> None:
    images = {}
    for number, condition in enumerate(CONDITIONS):
        altered_copy(data, tmp_path / str(number), condition, most=1)
        images[condition.split(" ")[0]] = imread(tmp_path / str(number) / "images" / "a.png").astype(float)
    plain = images["as"]
    assert images["darker"].mean() < plain.mean() - 10
    assert images["brighter"].mean() > plain.mean() + 10
    assert images["a"].std() == pytest.approx(plain.std() / 5, rel=0.1)
    assert images["a"].mean() == pytest.approx(plain.mean(), abs=1)
    assert (images["noise"] - plain).std() == pytest.approx(25.5, rel=0.1)
    assert np.abs(np.diff(images["defocus"], axis=1)).max() < np.abs(np.diff(plain, axis=1)).max() / 2


def test_losses_and_their_difference() -> None:
    def images(dice: float, hits: int) -> dict:
        return {"image": ["a", "b"], "dice square": [dice, dice], "tp": [hits] * 2, "fp": [0, 0], "fn": [10 - hits] * 2}

    found = {
        AS_IS: {"warm": [images(0.9, 10)], "cold": [images(0.8, 10)]},
        "darker": {"warm": [images(0.85, 10)], "cold": [images(0.5, 5)]},
    }
    *_, plain, darker = table(found, ["warm", "cold"])
    cells = [cell.strip() for cell in darker.split("|")]
    assert "0.900 / 0.800" in plain
    assert cells[2:5] == ["0.850 / 0.500", "0.050 / 0.300", "-0.250 (-0.250 to -0.250)"]
    assert cells[5:7] == ["1.000 / 0.667", "0.000 / 0.333"]  # 2 * 5 / (2 * 5 + 5)
    assert lost(mean_dice, 1)(np.array([[0.9, 0.6], [0.7, 0.6]])) == pytest.approx(0.2)
