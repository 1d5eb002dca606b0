"""Drawn objects, and predictions that hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.stamps import Record, Records, Stamp, locked

#: What made predictions.
ONE = Stamp("11" * 16, {"classes": ["ice"], "inferer": {"mirroring": False}})


def discs(shape, centres, radii) -> np.ndarray:
    """Label map of discs, later ones on top."""
    rows, cols = np.ogrid[: shape[0], : shape[1]]
    out = np.zeros(shape, np.int32)
    for k, ((r, c), radius) in enumerate(zip(centres, radii, strict=True), 1):
        out[(rows - r) ** 2 + (cols - c) ** 2 <= radius**2] = k
    return out


def rectangles(shape, boxes) -> np.ndarray:
    out = np.zeros(shape, np.int32)
    for k, (top, left, height, width) in enumerate(boxes, 1):
        out[top : top + height, left : left + width] = k
    return out


def predictions(folder: Path, count=3, instances=True, seed=1) -> Path:
    folder.mkdir()
    for k in range(count):
        made = make_image((64, 80), seed=(seed, k), radius=(5, 7))
        Image.fromarray(made["classes"]).save(folder / f"s{k}_pred.png")
        if instances:
            tifffile.imwrite(folder / f"s{k}_instances.tif", made["instances"])
    return folder


def stamped(folder, **stamps):
    """A folder of predictions, by name the stamp that made each; None is of unknown origin."""
    folder.mkdir()
    records = Records(folder)
    for number, (name, stamp) in enumerate(stamps.items()):
        ids = np.zeros((20, 30), np.uint8)
        ids[3 : 9 + number, 4:12] = 1
        Image.fromarray(ids).save(folder / f"{name}_pred.png")
        if stamp is not None:
            with locked(folder):
                records.add_stamp(stamp)
            image = folder / f"{name}.tif"
            tifffile.imwrite(image, ids * 50)
            records.add(name, Record.of(stamp, image, folder).giving(folder / f"{name}_pred.png"))
    return folder


def twins(tmp_path):
    """Predictions of s0 and s1, and a folder where s0 is a calibrated TIFF and, in other colours, a JPEG."""
    (tmp_path / "im").mkdir()
    for k in range(2):
        tifffile.imwrite(
            tmp_path / "im" / f"s{k}.TIF", np.full((64, 80), 50 + k, np.uint8), resolution=(20000, 20000), resolutionunit=3
        )
    Image.fromarray(np.full((64, 80), 200, np.uint8)).save(tmp_path / "im" / "s0.jpg")
    return predictions(tmp_path / "p", count=2), tmp_path / "im"
