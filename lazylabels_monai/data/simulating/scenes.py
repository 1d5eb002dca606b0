"""Pictures of many kinds with exact instances, made from a seed: what the built-in microstructure does not show.

One kind of picture teaches a network one kind of object. These have what pictures of other laboratories have: spheres, rods,
fibres, facetted crystals, overlapping sheets, phases, grains, stained tissue and nuclei; bright on dark, dark on bright and
see-through as in a TEM; halos, shadows, defocus, noise, compression; and scale bars and captions, which are no objects.
They serve to pretrain (:mod:`lazylabels_monai.starter`), not to measure: nothing in them is to scale with reality.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from lazylabels_monai.data.simulating.items import SimulationError
from lazylabels_monai.data.simulating.microstructures import Seed
from lazylabels_monai.data.simulating.scene_noise import log_uniform, slope
from lazylabels_monai.data.simulating.scene_objects import MIN_PIXELS, grains, numbered, phases, placed
from lazylabels_monai.data.simulating.scene_painting import material, nuclei, tissue

__all__ = ["KINDS", "make_scene"]

#: Kinds of pictures, by what is in them.
KINDS: tuple[str, ...] = (
    "spheres",
    "irregular",
    "rods",
    "fibres",
    "facets",
    "sheets",
    "phases",
    "grains",
    "glands",
    "nuclei",
)


def make_scene(size: tuple[int, int] = (384, 384), seed: Seed = 0, kind: str | None = None) -> dict[str, np.ndarray]:
    """A picture and its exact instances.

    Args:
        size: (H, W) in pixels, each at least 64.
        seed: the picture depends on it, the size and the kind alone.
        kind: one of :data:`KINDS`; drawn by the seed if None.

    Returns:
        ``image`` uint8 (H, W) and ``instances`` uint16 (H, W), ids 1..n, 0 outside objects. There may be no object.

    Raises:
        SimulationError: for a size or a kind that does not exist.

    Example:
        >>> made = make_scene((96, 128), seed=1, kind="rods")
        >>> made["image"].shape, made["instances"].dtype
        ((96, 128), dtype('uint16'))
    """
    if min(size) < 64:
        raise SimulationError(f"size {tuple(size)} must be at least 64 pixels high and wide.")
    if kind is not None and kind not in KINDS:
        raise SimulationError(f"kind '{kind}' does not exist: use one of {', '.join(KINDS)}.")
    rng = np.random.default_rng(seed)
    drawn = str(rng.choice(KINDS))
    kind = drawn if kind is None else kind
    if kind == "phases":
        owner, masks = phases(size, rng), []
    elif kind == "grains":
        owner, masks = grains(size, rng), []
    else:
        owner, masks = placed(size, rng, kind)
    paint = {"glands": tissue, "nuclei": nuclei}.get(kind, material)
    image = paint(owner, masks, rng, kind)
    image = _photographed(image, rng)
    instances = numbered(owner)
    return {"image": _captioned(image, instances, rng), "instances": instances}


def _photographed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Optics, detector and file: uint8."""
    image = image.astype(np.float32)
    if rng.random() < 0.8:
        image = ndimage.gaussian_filter(image, log_uniform(rng, 0.35, 2.2))
    image += rng.uniform(0, 0.15) * slope(image.shape, rng)
    low, high = np.quantile(image, (rng.uniform(0, 0.01), rng.uniform(0.985, 1)))
    image = (image - low) / max(float(high - low), 0.05)
    black, white = rng.uniform(0, 0.35), rng.uniform(0.6, 1.0)
    image = black + (white - black) * np.clip(image, -0.1, 1.1)
    noise = log_uniform(rng, 0.004, 0.12)
    if rng.random() < 0.5:
        image += noise * rng.standard_normal(image.shape, np.float32)
    else:  # counted electrons or photons
        image += noise * np.sqrt(np.clip(image, 0.02, None)) * rng.standard_normal(image.shape, np.float32) * 1.4
    if rng.random() < 0.2:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 0.8))  # resampled, so that the noise is no longer sharp
    if rng.random() < 0.2:
        image += rng.uniform(0.003, 0.03) * rng.standard_normal((image.shape[0], 1), np.float32)
    image = np.clip(image, 0, 1) ** math.exp(rng.normal(scale=0.25))
    out = np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)
    if rng.random() < 0.3:
        file = io.BytesIO()
        Image.fromarray(out).save(file, "JPEG", quality=int(rng.integers(25, 95)))
        out = np.array(Image.open(file))
    return out


_WORDS = (
    "100 nm",
    "500 nm",
    "1 um",
    "2 um",
    "20 nm",
    "SU8010 5.0kV 9.2mm x600",
    "WD 8.8 mm",
    "EHT = 5.00 kV",
    "2 um",
    "Mag = 40 K X",
)
_LETTERS = ("a", "b", "(c)", "(A)", "B", "d1", "(ii)", "E")


def _captioned(image: np.ndarray, instances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scale bar, panel letter and information strip; what a box covers is no object in ``instances``, which is changed."""
    high, wide = image.shape
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)

    def write(box: tuple[int, int, int, int], text: str, size: int, boxed: bool, bar: int = 0) -> None:
        paper = int(rng.choice((0, 255)))
        ink = 255 - paper
        if boxed:
            pen.rectangle(box, fill=paper)
            instances[max(box[1], 0) : box[3] + 1, max(box[0], 0) : box[2] + 1] = 0
        if bar:
            pen.rectangle((box[0] + 4, box[1] + 3, box[0] + 4 + bar, box[1] + 3 + max(2, size // 4)), fill=ink)
        pen.text((box[0] + 4, box[1] + (3 + size // 2 if bar else 1)), text, fill=ink, font=ImageFont.load_default(size))

    size = int(rng.integers(10, 26))
    if rng.random() < 0.12:
        height = int(rng.integers(14, 34))
        text = "   ".join(str(word) for word in rng.choice(_WORDS, 4))
        write((0, high - height, wide, high), text, min(size, height - 4), True, bar=int(rng.choice((0, 40))))
    elif rng.random() < 0.25:
        bar = int(rng.integers(20, max(21, wide // 4)))
        left = int(rng.choice((6, max(7, wide - bar - 14))))
        box = (left, high - 2 * size - 8, left + max(bar + 8, 4 * size), high - 3)
        write(box, str(rng.choice(_WORDS[:5])), size, rng.random() < 0.5, bar)
    if rng.random() < 0.2:
        size = int(rng.integers(14, 36))
        write((2, 2, 2 + 2 * size, 4 + int(1.3 * size)), str(rng.choice(_LETTERS)), size, rng.random() < 0.5)
    out = np.array(picture)
    sizes = np.bincount(instances.ravel())
    gone = (sizes > 0) & (sizes < MIN_PIXELS)
    if gone[1:].any():
        instances[gone[instances] & (instances > 0)] = 0
    return out
