"""What lies where in pictures of :mod:`~lazylabels_monai.data.simulating.scenes`: shapes and their placement."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from lazylabels_monai.data.simulating.scene_noise import clouds, log_uniform

__all__ = ["MIN_PIXELS", "grains", "numbered", "phases", "placed"]

#: Objects of which fewer pixels can be seen are not labelled.
MIN_PIXELS = 20

#: At most so many objects are placed one by one.
MAX_OBJECTS = 220


def _polar_outline(y: np.ndarray, x: np.ndarray, rng: np.random.Generator, wave: float) -> np.ndarray:
    """Factor on the radius by direction: waves of ``wave`` relative height."""
    angle = np.arctan2(y, x)
    factor = np.ones(np.broadcast_shapes(y.shape, x.shape), np.float32)
    for k in range(2, 7):
        factor += rng.normal(scale=wave / k) * np.cos(k * angle + rng.uniform(0, 2 * math.pi))
    return np.maximum(factor, 0.35)


def _shape(kind: str, radius: float, rng: np.random.Generator, style: dict[str, float]) -> np.ndarray:
    """Mask of one object, bool, in a box of its own."""
    if kind == "fibres":
        return _fibre(radius, rng, style)
    aspect = style["aspect"] * math.exp(rng.normal(scale=0.15 if kind == "rods" else style["stretch"]))
    long, short = radius * math.sqrt(aspect), radius / math.sqrt(aspect)
    reach = math.ceil(1.5 * max(long, short)) + 1
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    angle = style["angle"] + rng.normal(scale=style["disorder"])
    u = (math.cos(angle) * x + math.sin(angle) * y) / long
    v = (math.cos(angle) * y - math.sin(angle) * x) / short
    if kind in ("facets", "sheets") and style["power"] < 3.5:
        count = int(rng.integers(3, 9))
        turns = (np.arange(count) + rng.uniform(-0.25, 0.25, count)) * 2 * math.pi / count + rng.uniform(0, 2 * math.pi)
        return np.max([(math.cos(t) * u + math.sin(t) * v) / rng.uniform(0.7, 1) for t in turns], axis=0) <= 1
    power = style["power"]
    level = (np.abs(u) ** power + np.abs(v) ** power) ** (1 / power)
    if style["wave"] > 0:
        level = level / _polar_outline(v, u, rng, style["wave"])
    return level <= 1


def _fibre(radius: float, rng: np.random.Generator, style: dict[str, float]) -> np.ndarray:
    """A line of constant width that bends."""
    width = max(2.0, 0.5 * radius)
    steps = int(rng.integers(8, 40))
    heading = style["angle"] + rng.normal(scale=style["disorder"]) + np.cumsum(rng.normal(scale=style["bend"], size=steps))
    course = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1) * 1.6 * width, axis=0)
    course -= course.min(axis=0) - width - 2
    wide, high = np.ceil(course.max(axis=0) + width + 2).astype(int)
    picture = Image.new("L", (int(wide), int(high)))
    pen = ImageDraw.Draw(picture)
    pen.line([tuple(p) for p in course], fill=1, width=round(width), joint="curve")
    return np.asarray(picture) > 0


def _style(kind: str, rng: np.random.Generator) -> dict[str, float]:
    """What the objects of one picture have in common."""
    return {
        "aspect": {"rods": log_uniform(rng, 2.2, 12), "nuclei": rng.uniform(1, 1.7)}.get(kind, rng.uniform(1, 1.4)),
        "stretch": rng.uniform(0, 0.06 if kind == "spheres" else 0.35),
        "power": {"spheres": 2.0, "nuclei": 2.0, "irregular": 2.0, "glands": 2.2}.get(
            kind, float(rng.choice((2.0, 3.0, 4.0, 8.0)))
        ),
        "wave": {"irregular": rng.uniform(0.1, 0.5), "glands": rng.uniform(0.1, 0.4), "sheets": rng.uniform(0, 0.3)}.get(
            kind, rng.choice((0.0, 0.04))
        ),
        "angle": rng.uniform(0, 2 * math.pi),
        "disorder": float(rng.choice((0.15, 3.0), p=(0.25, 0.75))),
        "bend": rng.uniform(0.02, 0.35),
    }


def placed(
    size: tuple[int, int], rng: np.random.Generator, kind: str
) -> tuple[np.ndarray, list[tuple[tuple[slice, slice], np.ndarray]]]:
    """Objects one after the other.

    Returns:
        owner int32 (H, W), k where object k is seen; and for each object its box and its whole mask therein.
    """
    style = _style(kind, rng)
    biggest = 0.32 * min(size)
    radius = {"glands": lambda: rng.uniform(0.12, 0.3) * min(size), "nuclei": lambda: log_uniform(rng, 5, 28)}.get(
        kind, lambda: log_uniform(rng, 5, biggest)
    )()
    spread = float(rng.choice((0.03, 0.25, 0.5)))
    order = str(rng.choice(("apart", "touching", "pile", "lattice"), p=(0.3, 0.4, 0.2, 0.1)))
    if kind == "sheets":
        order = str(rng.choice(("pile", "touching"), p=(0.8, 0.2)))
    if kind in ("rods", "fibres", "glands") and order == "lattice":
        order = "touching"
    fill = rng.uniform(0.04, 0.35) if order == "apart" else rng.uniform(0.15, 0.85)
    on_top = order == "pile" or rng.random() < 0.3
    owner = np.zeros(size, np.int32)
    masks: list[tuple[tuple[slice, slice], np.ndarray]] = []
    centres: list[tuple[float, float, float]] = []
    wanted, covered = fill * owner.size, 0
    spots = _lattice(size, radius, rng) if order == "lattice" else []
    # pictures with few objects, of whatever size, exist, too
    most = int(rng.integers(1, 6)) if rng.random() < 0.15 else MAX_OBJECTS
    failed = 0
    while covered < wanted and len(masks) < most and failed < 30 and (order != "lattice" or spots):
        failed += 1
        r = float(np.clip(radius * math.exp(rng.normal(scale=spread)), 3.5, 1.4 * biggest))
        mask = _shape(kind, r, rng, style)
        if order == "lattice":
            y, x = spots.pop()
        elif order == "touching" and centres and rng.random() < 0.75:
            y0, x0, r0 = centres[int(rng.integers(len(centres)))]
            turn = rng.uniform(0, 2 * math.pi)
            y, x = y0 + 0.98 * (r + r0) * math.sin(turn), x0 + 0.98 * (r + r0) * math.cos(turn)
        else:
            y, x = rng.uniform(-0.3 * r, size[0] + 0.3 * r), rng.uniform(-0.3 * r, size[1] + 0.3 * r)
        cut = _cut(mask, y, x, size)
        if cut is None:
            continue
        box, mask = cut
        area = int(mask.sum())
        taken = owner[box] > 0
        overlap = int((taken & mask).sum()) / max(area, 1)
        if area < MIN_PIXELS or overlap > {"apart": 0.0, "pile": 0.7}.get(order, 0.12):
            continue
        if order == "apart" and (ndimage.binary_dilation(mask, iterations=3) & taken).any():
            continue
        visible = mask if on_top else mask & ~taken
        failed = 0
        masks.append((box, mask))
        centres.append((y, x, r))
        covered += int((mask & ~taken).sum())
        owner[box][visible] = len(masks)
    return owner, masks


def _lattice(size: tuple[int, int], radius: float, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Close-packed places, turned by a random angle, some of them empty."""
    step = 2 * radius * rng.uniform(0.98, 1.15)
    reach = int(max(size) / step) + 2
    angle, missing = rng.uniform(0, math.pi), rng.uniform(0, 0.3)
    spots = []
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            v, u = row * step * 0.866, (column + 0.5 * (row % 2)) * step
            y = size[0] / 2 + math.cos(angle) * v + math.sin(angle) * u
            x = size[1] / 2 + math.cos(angle) * u - math.sin(angle) * v
            if -radius < y < size[0] + radius and -radius < x < size[1] + radius and rng.random() > missing:
                spots.append((y, x))
    rng.shuffle(spots)
    return spots


def _cut(mask: np.ndarray, y: float, x: float, size: tuple[int, int]) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """The part of a mask, centred at (y, x), that lies in the picture, and its box; None where nothing does."""
    top, left = round(y) - mask.shape[0] // 2, round(x) - mask.shape[1] // 2
    low, high = (max(top, 0), max(left, 0)), (min(top + mask.shape[0], size[0]), min(left + mask.shape[1], size[1]))
    if low[0] >= high[0] or low[1] >= high[1]:
        return None
    part = mask[low[0] - top : high[0] - top, low[1] - left : high[1] - left]
    return (slice(low[0], high[0]), slice(low[1], high[1])), part


def phases(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Rounded regions of another phase with channels between them, large ones and often small ones among these."""
    scale = log_uniform(rng, 8, 60)
    field = clouds(size, rng, scale) + rng.uniform(0, 0.3) * clouds(size, rng, scale / 3)
    large = ndimage.label(field > np.quantile(field, rng.uniform(0.25, 0.75)))[0]
    owner = large.astype(np.int32)
    if rng.random() < 0.5:
        small = clouds(size, rng, max(3.0, scale / 6))
        room = ndimage.distance_transform_edt(owner == 0) > 3
        extra = ndimage.label((small > np.quantile(small, rng.uniform(0.8, 0.95))) & room)[0]
        owner[extra > 0] = extra[extra > 0] + owner.max()
    return owner


def grains(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Cells that fill the picture, but for seams of one or two pixels."""
    radius = log_uniform(rng, 8, 0.25 * min(size))
    count = max(4, int(size[0] * size[1] / (math.pi * radius**2)))
    marks = np.zeros(size, bool)
    marks[rng.integers(0, size[0], count), rng.integers(0, size[1], count)] = True
    numbers = np.zeros(size, np.int32)
    numbers[marks] = np.arange(1, int(marks.sum()) + 1)
    near = ndimage.distance_transform_edt(~marks, return_distances=False, return_indices=True)
    # seams that are not quite straight
    shift = [
        np.clip(np.arange(n).reshape((-1, 1) if a == 0 else (1, -1)) + 0.15 * radius * clouds(size, rng, radius), 0, n - 1)
        for a, n in enumerate(size)
    ]
    owner = numbers[tuple(near)][shift[0].astype(int), shift[1].astype(int)]
    seam = ndimage.maximum_filter(owner, 2) != ndimage.minimum_filter(owner, 2)
    if rng.random() < 0.5:
        owner = np.where(rng.random(numbers.max() + 1) < rng.uniform(0, 0.4), 0, np.arange(numbers.max() + 1))[owner]
    return np.where(seam, 0, owner).astype(np.int32)


def numbered(owner: np.ndarray) -> np.ndarray:
    """Ids 1..n of the objects of which enough is seen; of an object in pieces the largest."""
    out = np.zeros(owner.shape, np.uint16)
    count = 0
    for index, box in enumerate(ndimage.find_objects(owner), start=1):
        if box is None:
            continue
        mask = owner[box] == index
        parts, number = ndimage.label(mask)
        if number > 1:
            mask = parts == np.bincount(parts.ravel())[1:].argmax() + 1
        if mask.sum() >= MIN_PIXELS and count < 65535:
            count += 1
            out[box][mask] = count
    return out
