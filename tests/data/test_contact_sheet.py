"""Contact sheets: labels drawn over their images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.contact_sheet import draw_labels, write_contact_sheet
from lazylabels_monai.images.pictures import INTERFACE_COLOUR
from tests.data.checking.cases import DataSet, H, W, sound


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path / "set")


def test_draw_labels():
    image, labels = sound(0)
    picture = draw_labels(image, labels)
    assert picture.shape == (H, W, 3)
    assert picture.dtype == np.uint8
    assert tuple(picture[20, 30]) == INTERFACE_COLOUR
    assert tuple(picture[60, 75]) == (230, 159, 0)  # outline of class 1
    assert tuple(picture[10, 75]) == (86, 180, 233)  # outline of class 2
    gray = np.ptp(picture[45, 60].astype(int))
    assert gray == 0  # nothing is drawn on the background
    assert picture[20, 16, 0] > picture[20, 16, 2] + 60  # a mark is tinted
    # one-pixel scribbles survive in a small picture
    thin = {"separation": np.zeros((H, W), np.uint8)}
    thin["separation"][:, 61] = 1
    small = draw_labels(image, thin, 0.25)
    assert small.shape == (24, 30, 3)
    assert (small == INTERFACE_COLOUR).all(-1).sum(axis=1).tolist() == [1] * 24
    hatched = draw_labels(image, {"detection": np.full((H, W), 255, np.uint8)})
    assert (hatched == 128).all(-1).mean() > 0.1
    with pytest.raises(ValueError, match="scale 0 must be positive"):
        draw_labels(image, labels, 0)


def colour_count(path, colour):
    # the palette may shift a colour by a few steps
    return int((np.abs(np.asarray(Image.open(path).convert("RGB")).astype(int) - colour).max(-1) < 16).sum())


def test_contact_sheet(data, tmp_path):
    path = tmp_path / "new" / "sheet.png"
    assert write_contact_sheet(data.save(), path) == [path]
    plain = colour_count(path, (190, 40, 200))
    with pytest.raises(FileExistsError, match=r"sheet\.png is there already"):
        write_contact_sheet(data.root, path)
    write_contact_sheet(data.root, path, {("training", 2): "warning"}, overwrite=True)
    assert colour_count(path, (190, 40, 200)) > plain + 1000  # the frame
    pages = write_contact_sheet(data.root, tmp_path / "p.png", per_page=2)
    assert [p.name for p in pages] == ["p_1.png", "p_2.png", "p_3.png"]
    assert all(p.is_file() for p in pages)
    with pytest.raises(ValueError, match=r"must be a PNG file"):
        write_contact_sheet(data.root, tmp_path / "sheet.jpg")


def test_contact_sheet_of_a_broken_set(data, tmp_path):
    data.content["training"][0]["image"] = "nowhere.png"
    data.content["training"][1]["detection"] = "nowhere.png"
    run = CliRunner().invoke(app, ["check", str(data.save()), "--sheet", str(tmp_path / "sheet.png")])
    assert run.exit_code == 1
    assert (tmp_path / "sheet.png").is_file()
