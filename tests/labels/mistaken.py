"""Maps of ids, and what people save instead of them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from tests.labels.maps import discs

RESAMPLING = Image.Resampling


def objects(seed=0, shape=(96, 128), count=8, radius=(6, 11)):
    """``count`` discs that do not touch; int32 ids 1 .. count."""
    rng = np.random.default_rng(seed)
    circles: list[tuple[int, int, int]] = []
    while len(circles) < count:
        r = int(rng.integers(*radius))
        y, x = (int(rng.integers(r + 1, n - r - 1)) for n in shape)
        if all((y - a) ** 2 + (x - b) ** 2 > (r + c + 2) ** 2 for a, b, c in circles):
            circles.append((y, x, r))
    return discs(shape, circles)


def touching(seed=0, shape=(96, 128), count=30):
    """Regions around random points, all touching, with some left out; int32 ids."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((0, 0), shape, (count, 2))
    rows, columns = np.indices(shape)
    nearest = ((rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2).argmin(-1)
    return np.where(nearest % 4 == 0, 0, nearest + 1).astype(np.int32)


def binary(ids, value=255):
    return ((ids > 0) * value).astype(np.uint8)


def picture(ids, seed=0):
    noise = np.random.default_rng(seed).normal(0, 10, ids.shape)
    return (60 + 90 * (ids > 0) + ndimage.gaussian_filter(noise, 0.7)).clip(0, 255).astype(np.uint8)


def resized(label, factor, method):
    height, width = label.shape
    return np.array(Image.fromarray(label.astype(np.uint8)).resize((int(width * factor), int(height * factor)), method))


def jpeg(label, quality):
    buffer = io.BytesIO()
    Image.fromarray(label.astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer))


def edges(ids):
    """The outermost pixels of each object."""
    inner = np.zeros(ids.shape, bool)
    for value in range(1, ids.max() + 1):
        inner |= ndimage.binary_erosion(ids == value, np.ones((3, 3)))
    return (ids > 0) & ~inner


def swapped(ids, background=3):
    """A palette in which an object has index 0 and the background another."""
    return np.select([ids == 0, ids == background], [background, 0], ids)


def specks(ids, seed=0):
    spread = np.random.default_rng(seed).random(ids.shape) < 0.01
    return np.where(spread & (ids == 0), ids.max() + 1 + np.arange(ids.size).reshape(ids.shape), ids)


#: What is saved instead of ids: how it is made, the code that names it, and whether it is refused.
MISTAKEN = {
    "0 and 255": (binary, "ids-binary", True),
    "0 and 1": (lambda ids: binary(ids, 1), "ids-binary", True),
    "0 and 37": (lambda ids: binary(ids, 37), "ids-binary", True),
    "two classes": (lambda ids: np.where(ids > 0, 1 + ids % 2, 0), "ids-classes", True),
    "three gray levels": (lambda ids: np.array([0, 127, 255])[np.where(ids > 0, 1 + ids % 2, 0)], "ids-classes", True),
    "a number used again": (lambda ids: np.where((ids > 0) & (ids < 5), 9, ids), "ids-pieces", False),
    "void outlines": (lambda ids: np.where(edges(ids) & (ids % 2 > 0), 255, ids), "ids-pieces", False),
    "anti-aliased": (
        lambda ids: resized(resized(binary(ids), 2, RESAMPLING.BICUBIC), 0.5, RESAMPLING.BICUBIC),
        "label-smoothed",
        True,
    ),
    "blurred": (lambda ids: ndimage.gaussian_filter(binary(ids), 1), "label-smoothed", True),
    "halved": (lambda ids: resized(binary(ids), 0.5, RESAMPLING.BILINEAR), "label-smoothed", True),
    "enlarged": (lambda ids: resized(binary(ids), 3, RESAMPLING.LANCZOS), "label-smoothed", True),
    "ids resized": (lambda ids: resized(ids * 9, 0.7, RESAMPLING.BILINEAR), "label-smoothed", True),
    "ids enlarged": (lambda ids: resized(ids * 9, 2, RESAMPLING.BICUBIC), "label-smoothed", True),
    "JPEG, coarse": (lambda ids: jpeg(binary(ids), 50), "label-smoothed", True),
    "JPEG, fine": (lambda ids: jpeg(binary(ids), 95), "label-smoothed", True),
    "JPEG of ids": (lambda ids: jpeg(ids * 9, 90), "label-smoothed", True),
    "the picture": (picture, "label-picture", True),
    "outlines on the picture": (lambda ids: np.where(edges(ids), 255, picture(ids)), "label-picture", True),
    "outlines": (lambda ids: binary(edges(ids)), "ids-outlines", False),
    "outlines by id": (lambda ids: np.where(edges(ids), ids, 0), "ids-outlines", False),
    "background is 3": (swapped, "ids-background", True),
    "background is 1": (lambda ids: ids + 1, "ids-background", True),
    "inverted": (lambda ids: 255 - binary(ids), "ids-background", True),
    "more specks than objects": (specks, "ids-specks", False),
}
