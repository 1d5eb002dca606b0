"""Images to predict, one of them 16-bit, and a file that is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import tifffile

from lazylabels_monai.images.files import read_image


def images_to_predict(images: Path, tiny_data: Path) -> Path:
    """Three images, one of them 16-bit OME-TIFF, and a file that is none."""
    images.mkdir()
    for source, name in zip(sorted((tiny_data / "images").iterdir()), ("a", "b"), strict=False):
        shutil.copyfile(source, images / f"{name}.png")
    pixels = read_image(images / "a.png").astype(np.uint16) * 200
    tifffile.imwrite(images / "c.ome.tif", pixels, metadata={"axes": "YX", "PhysicalSizeX": 0.5})
    (images / "broken.png").write_bytes(b"no picture")
    return images
