"""Pictures of every kind, written by the libraries that own the formats."""

from __future__ import annotations

import numpy as np
import tifffile
from PIL import Image

H, W = 20, 31


def rng():
    return np.random.default_rng(0)


def noise(dtype, *channels, top=None):
    return rng().integers(0, top or np.iinfo(dtype).max + 1, (H, W, *channels), dtype=dtype)


GRAY8, GRAY16, RGB8, RGB16 = noise(np.uint8), noise(np.uint16), noise(np.uint8, 3), noise(np.uint16, 3)


FLOAT = rng().normal(size=(H, W)).astype(np.float32)


RGBA8, RGBA16 = noise(np.uint8, 4), noise(np.uint16, 4)


def pil(name, array, **kwargs):
    return name, lambda path: Image.fromarray(array).save(path, **kwargs)


def tif(name, array, **kwargs):
    return name, lambda path: tifffile.imwrite(path, array, **kwargs)


CLASSES = noise(np.uint8, top=4)


# 255 = not labelled
CLASSES255 = np.where(CLASSES == 3, 255, CLASSES).astype(np.uint8)
