"""How the objects of :mod:`~lazylabels_monai.data.simulating.scenes` and what is around them look, before the photograph."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from lazylabels_monai.data.simulating.scene_noise import clouds, log_uniform, slope, texture

__all__ = ["material", "nuclei", "tissue"]


def _depths(owner: np.ndarray) -> np.ndarray:
    """Distance of each object pixel to the nearest pixel that is not its object's."""
    edge = np.zeros(owner.shape, bool)
    edge[1:] |= owner[1:] != owner[:-1]
    edge[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    return np.where(owner > 0, ndimage.distance_transform_edt(~edge), 0).astype(np.float32)


def _ground(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Grey values around 0 of a ground without objects."""
    ground = rng.uniform(0, 0.12) * slope(shape, rng) + log_uniform(rng, 0.004, 0.08) * texture(shape, rng)
    if rng.random() < 0.3:  # debris, too small to be an object
        field = clouds(shape, rng, 1.6)
        ground += rng.uniform(-0.3, 0.3) * (field > np.quantile(field, rng.uniform(0.97, 0.998)))
    if rng.random() < 0.15:  # what lies far out of focus
        ground += rng.uniform(-0.15, 0.15) * np.clip(clouds(shape, rng, rng.uniform(15, 50)) - 1, 0, 1)
    if rng.random() < 0.15:
        y, x = np.ogrid[: shape[0], : shape[1]]
        for _ in range(int(rng.integers(1, 6))):
            turn, off = rng.uniform(0, math.pi), rng.uniform(0, max(shape))
            line = np.abs(math.sin(turn) * y + math.cos(turn) * x - off) < rng.uniform(0.6, 1.8)
            ground += rng.uniform(-0.2, 0.2) * line
    return ground


def material(owner: np.ndarray, masks: list, rng: np.random.Generator, kind: str) -> np.ndarray:
    """Particles and phases as electron or light microscopes show them; grey values, about 0 to 1."""
    shape = owner.shape
    ground = 0.5 + _ground(shape, rng)
    look = str(rng.choice(("flat", "dome", "absorbing", "textured", "hollow"), p=(0.2, 0.3, 0.25, 0.15, 0.1)))
    sign = rng.choice((-1.0, 1.0))
    contrast = sign * log_uniform(rng, 0.06, 0.5)
    if masks and look == "absorbing":
        return _seen_through(ground, masks, rng, abs(contrast))
    depth = _depths(owner)
    count = int(owner.max())
    boxes = ndimage.find_objects(owner)
    deepest = np.r_[1.0, ndimage.maximum(depth, owner, np.arange(1, count + 1))] if count else np.ones(1)
    deepest = np.maximum(deepest, 1).astype(np.float32)
    vary = rng.choice((0.0, 0.1, 0.5)) * contrast
    own = np.r_[0.0, rng.normal(size=count)].astype(np.float32)
    inside = owner > 0
    relative = depth / deepest[owner]
    grey = contrast + vary * own[owner]
    if look == "dome":
        round_ = np.sqrt(np.clip(1 - (1 - relative) ** 2, 0, 1))
        grey = grey * (0.35 + 0.65 * round_) if rng.random() < 0.5 else grey
        light = rng.uniform(0, 0.25) * _lit(owner, boxes, rng)
        grey = grey + light
    if look == "hollow":
        grey = np.where(
            depth < rng.uniform(1.5, 3.5) + rng.uniform(0, 0.2) * deepest[owner], grey, rng.uniform(-0.3, 0.4) * grey
        )
    if look == "textured" or rng.random() < 0.4:
        grey = grey + rng.uniform(0.01, 0.12) * texture(shape, rng)
    if rng.random() < (0.6 if look == "dome" else 0.3):  # edges shine in a secondary electron picture
        grey = grey + rng.choice((-1.0, 1.0), p=(0.25, 0.75)) * rng.uniform(0.05, 0.4) * np.exp(-depth / log_uniform(rng, 1, 5))
    if kind in ("facets", "grains") and rng.random() < 0.6:
        grey = grey + rng.uniform(0.03, 0.15) * np.sign(_lit(owner, boxes, rng))
    image = np.where(inside, ground + grey, ground)
    if kind in ("grains", "phases") and rng.random() < 0.7:  # the seams themselves
        image = np.where(inside, image, 0.5 + rng.choice((-1.0, 1.0)) * rng.uniform(0.1, 0.4) + 0.3 * (ground - 0.5))
    return _surrounded(image, inside, rng)


def _lit(owner: np.ndarray, boxes: list, rng: np.random.Generator) -> np.ndarray:
    """For each object a ramp of -1 to 1 toward the light."""
    turn = rng.uniform(0, 2 * math.pi)
    count = len(boxes)
    middle, extent = np.zeros((count + 1, 2), np.float32), np.ones(count + 1, np.float32)
    for index, box in enumerate(boxes, start=1):
        if box is not None:
            middle[index] = [(s.start + s.stop - 1) / 2 for s in box]
            extent[index] = max(s.stop - s.start for s in box) / 2
    y, x = np.ogrid[: owner.shape[0], : owner.shape[1]]
    return (math.sin(turn) * (y - middle[owner, 0]) + math.cos(turn) * (x - middle[owner, 1])) / extent[owner]


def _seen_through(ground: np.ndarray, masks: list, rng: np.random.Generator, contrast: float) -> np.ndarray:
    """Objects that absorb, as in a TEM: where two lie over one another it is darker."""
    density = np.zeros(ground.shape, np.float32)
    thick, crystal = rng.random() < 0.5, rng.choice((0.0, 0.15, 0.5))
    edge = rng.choice((0.0, 0.4))
    for box, mask in masks:
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1].astype(np.float32)
        relative = depth / max(float(depth.max()), 1)
        profile = np.sqrt(np.clip(1 - (1 - relative) ** 2, 0, 1)) if thick else np.ones(mask.shape, np.float32)
        profile = profile + edge * np.exp(-depth / 2)
        density[box] += np.where(mask, profile * max(0.15, 1 + crystal * rng.normal()), 0)
    strength = 3.0 * contrast
    image = (ground + 0.3) * np.exp(-strength * density)
    if rng.random() < 0.5:  # Fresnel fringe
        outside = ndimage.distance_transform_edt(density == 0)
        image += rng.uniform(0.03, 0.15) * np.exp(-((outside / rng.uniform(1, 3)) ** 2)) * (density == 0)
    return image


def _surrounded(image: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Halos around objects and shadows beside them."""
    if rng.random() < 0.3:
        away = ndimage.distance_transform_edt(~inside)
        image = image + rng.uniform(-0.25, 0.25) * np.exp(-((away / log_uniform(rng, 1.5, 12)) ** 2)) * ~inside
    if rng.random() < 0.25:
        shift = rng.integers(-6, 7, 2)
        shade = ndimage.gaussian_filter(np.roll(inside, tuple(shift), (0, 1)).astype(np.float32), rng.uniform(1, 5))
        image = image - rng.uniform(0, 0.25) * shade * ~inside
    return image


def _stained(haematoxylin: np.ndarray, eosin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey values of a tissue section: two dyes absorb red, green and blue, and the colours are mixed to grey."""
    absorbs_h = np.array([0.65, 0.70, 0.29]) * np.exp(rng.normal(scale=0.15, size=3))
    absorbs_e = np.array([0.07, 0.99, 0.11]) * np.exp(rng.normal(scale=0.15, size=3))
    weights = rng.dirichlet((2.0, 3.0, 1.5))
    dyes = zip(absorbs_h, absorbs_e, weights, strict=True)
    return sum(w * np.exp(-1.6 * (h * haematoxylin + e * eosin)) for h, e, w in dyes).astype(np.float32)


def _sown(shape: tuple[int, int], rng: np.random.Generator, radius: float, share: float, aspect: float) -> np.ndarray:
    """Small ellipses all over the picture, bool: the nuclei of the tissue around."""
    picture = Image.new("L", (shape[1], shape[0]))
    pen = ImageDraw.Draw(picture)
    for _ in range(min(900, int(share * shape[0] * shape[1] / (math.pi * radius**2)))):
        y, x, turn = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(0, math.pi)
        t = np.linspace(0, 2 * math.pi, 12, endpoint=False)
        r = radius * math.exp(rng.normal(scale=0.2))
        u, v = r * math.sqrt(aspect) * np.cos(t), r / math.sqrt(aspect) * np.sin(t)
        points = np.stack([x + math.cos(turn) * u - math.sin(turn) * v, y + math.sin(turn) * u + math.cos(turn) * v], axis=1)
        pen.polygon([tuple(p) for p in points], fill=1)
    return np.asarray(picture) > 0


def tissue(owner: np.ndarray, masks: list, rng: np.random.Generator, kind: str) -> np.ndarray:
    """Glands: a pale lumen, a wall of cells with their nuclei at its outside, in connective tissue."""
    shape, inside = owner.shape, owner > 0
    depth = _depths(owner)
    radius = log_uniform(rng, 2.5, 7)
    wall = radius * rng.uniform(2.5, 6)
    nuclei_wall = _sown(shape, rng, radius, rng.uniform(0.6, 1.4), rng.uniform(1, 2)) & inside & (depth < 3.2 * radius)
    around = _sown(shape, rng, radius * rng.uniform(0.6, 1), rng.uniform(0.1, 0.6), rng.uniform(1.2, 4)) & ~inside
    lumen = inside & (depth > wall) & (rng.random() < 0.85)
    eosin = np.where(inside, rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.9)) + 0.12 * texture(shape, rng, 2)
    eosin = np.where(lumen, rng.uniform(0, 0.25), eosin)
    blue = np.where(inside & ~lumen, rng.uniform(0.1, 0.4), rng.uniform(0, 0.2)) + rng.uniform(0.6, 1.2) * (
        nuclei_wall | around
    )
    blue = ndimage.gaussian_filter(np.clip(blue, 0, None).astype(np.float32), 0.7)
    gaps = ~inside & (clouds(shape, rng, 20) > rng.uniform(1.2, 3))  # torn or empty tissue
    return _stained(np.where(gaps, 0, blue), np.where(gaps, 0.02, np.clip(eosin, 0, None)), rng)


def nuclei(owner: np.ndarray, masks: list, rng: np.random.Generator, kind: str) -> np.ndarray:
    """Nuclei: glowing in the dark, or stained in a section."""
    shape, inside = owner.shape, owner > 0
    depth = _depths(owner)
    count = int(owner.max())
    own = np.r_[0.0, np.exp(rng.normal(scale=rng.uniform(0.05, 0.6), size=count))][owner]
    grain = np.clip(1 + rng.uniform(0.05, 0.35) * texture(shape, rng, 1.5), 0.1, None)
    body = own * grain * (1 - np.exp(-depth / rng.uniform(0.5, 3)))
    if rng.random() < 0.65:
        glow = rng.uniform(0, 0.3) * ndimage.gaussian_filter(body, rng.uniform(4, 20))
        haze = rng.uniform(0, 0.15) * np.clip(1 + 0.6 * texture(shape, rng, 8), 0, None)
        return 0.6 * body + glow + haze + rng.uniform(0, 0.1)
    ring = np.exp(-depth / 1.5) * inside * rng.uniform(0, 0.6)
    eosin = rng.uniform(0.1, 0.7) + 0.12 * texture(shape, rng, 2)
    return _stained(rng.uniform(0.4, 1.1) * body + ring, np.clip(eosin, 0, None), rng)
