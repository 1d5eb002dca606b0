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

#: Objects of which fewer pixels can be seen are not labelled.
MIN_PIXELS = 20

#: At most so many objects are placed one by one.
MAX_OBJECTS = 220


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
        owner, masks = _phases(size, rng), []
    elif kind == "grains":
        owner, masks = _grains(size, rng), []
    else:
        owner, masks = _placed(size, rng, kind)
    paint = {"glands": _tissue, "nuclei": _nuclei}.get(kind, _material)
    image = paint(owner, masks, rng, kind)
    image = _photographed(image, rng)
    instances = _numbered(owner)
    return {"image": _captioned(image, instances, rng), "instances": instances}


# ---------------------------------------------------------------------------------------------------------- noise


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _clouds(shape: tuple[int, int], rng: np.random.Generator, scale: float) -> np.ndarray:
    """Smooth noise, float32 of mean 0 and deviation 1; ``scale`` is its length in pixels."""
    if scale <= 1:
        return rng.standard_normal(shape, np.float32)
    coarse = tuple(int(n / scale) + 4 for n in shape)
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse, np.float32), 0.8)
    picture = Image.fromarray(noise).resize((int(coarse[1] * scale), int(coarse[0] * scale)), Image.Resampling.BICUBIC)
    field = np.asarray(picture)[int(scale) : int(scale) + shape[0], int(scale) : int(scale) + shape[1]]
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def _texture(shape: tuple[int, int], rng: np.random.Generator, finest: float = 1.0) -> np.ndarray:
    """Noise of several lengths at once, deviation about 1."""
    parts = [(_log_uniform(rng, finest, 40), rng.uniform(0.2, 1)) for _ in range(int(rng.integers(1, 4)))]
    total = sum(weight * _clouds(shape, rng, scale) for scale, weight in parts)
    return total / max(float(total.std()), 1e-6)


def _slope(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A ramp from about -1 to 1 across the picture at a random angle."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return (math.sin(angle) * y + math.cos(angle) * x).astype(np.float32)


# --------------------------------------------------------------------------------------------------------- shapes


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
        "aspect": {"rods": _log_uniform(rng, 2.2, 12), "nuclei": rng.uniform(1, 1.7)}.get(kind, rng.uniform(1, 1.4)),
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


# ------------------------------------------------------------------------------------------------------ placement


def _placed(
    size: tuple[int, int], rng: np.random.Generator, kind: str
) -> tuple[np.ndarray, list[tuple[tuple[slice, slice], np.ndarray]]]:
    """Objects one after the other.

    Returns:
        owner int32 (H, W), k where object k is seen; and for each object its box and its whole mask therein.
    """
    style = _style(kind, rng)
    biggest = 0.32 * min(size)
    radius = {"glands": lambda: rng.uniform(0.12, 0.3) * min(size), "nuclei": lambda: _log_uniform(rng, 5, 28)}.get(
        kind, lambda: _log_uniform(rng, 5, biggest)
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


def _phases(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Rounded regions of another phase with channels between them, large ones and often small ones among these."""
    scale = _log_uniform(rng, 8, 60)
    field = _clouds(size, rng, scale) + rng.uniform(0, 0.3) * _clouds(size, rng, scale / 3)
    large = ndimage.label(field > np.quantile(field, rng.uniform(0.25, 0.75)))[0]
    owner = large.astype(np.int32)
    if rng.random() < 0.5:
        small = _clouds(size, rng, max(3.0, scale / 6))
        room = ndimage.distance_transform_edt(owner == 0) > 3
        extra = ndimage.label((small > np.quantile(small, rng.uniform(0.8, 0.95))) & room)[0]
        owner[extra > 0] = extra[extra > 0] + owner.max()
    return owner


def _grains(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Cells that fill the picture, but for seams of one or two pixels."""
    radius = _log_uniform(rng, 8, 0.25 * min(size))
    count = max(4, int(size[0] * size[1] / (math.pi * radius**2)))
    marks = np.zeros(size, bool)
    marks[rng.integers(0, size[0], count), rng.integers(0, size[1], count)] = True
    numbers = np.zeros(size, np.int32)
    numbers[marks] = np.arange(1, int(marks.sum()) + 1)
    near = ndimage.distance_transform_edt(~marks, return_distances=False, return_indices=True)
    # seams that are not quite straight
    shift = [
        np.clip(np.arange(n).reshape((-1, 1) if a == 0 else (1, -1)) + 0.15 * radius * _clouds(size, rng, radius), 0, n - 1)
        for a, n in enumerate(size)
    ]
    owner = numbers[tuple(near)][shift[0].astype(int), shift[1].astype(int)]
    seam = ndimage.maximum_filter(owner, 2) != ndimage.minimum_filter(owner, 2)
    if rng.random() < 0.5:
        owner = np.where(rng.random(numbers.max() + 1) < rng.uniform(0, 0.4), 0, np.arange(numbers.max() + 1))[owner]
    return np.where(seam, 0, owner).astype(np.int32)


def _numbered(owner: np.ndarray) -> np.ndarray:
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


# ------------------------------------------------------------------------------------------------------- painting


def _depths(owner: np.ndarray) -> np.ndarray:
    """Distance of each object pixel to the nearest pixel that is not its object's."""
    edge = np.zeros(owner.shape, bool)
    edge[1:] |= owner[1:] != owner[:-1]
    edge[:, 1:] |= owner[:, 1:] != owner[:, :-1]
    return np.where(owner > 0, ndimage.distance_transform_edt(~edge), 0).astype(np.float32)


def _ground(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Grey values around 0 of a ground without objects."""
    ground = rng.uniform(0, 0.12) * _slope(shape, rng) + _log_uniform(rng, 0.004, 0.08) * _texture(shape, rng)
    if rng.random() < 0.3:  # debris, too small to be an object
        field = _clouds(shape, rng, 1.6)
        ground += rng.uniform(-0.3, 0.3) * (field > np.quantile(field, rng.uniform(0.97, 0.998)))
    if rng.random() < 0.15:  # what lies far out of focus
        ground += rng.uniform(-0.15, 0.15) * np.clip(_clouds(shape, rng, rng.uniform(15, 50)) - 1, 0, 1)
    if rng.random() < 0.15:
        y, x = np.ogrid[: shape[0], : shape[1]]
        for _ in range(int(rng.integers(1, 6))):
            turn, off = rng.uniform(0, math.pi), rng.uniform(0, max(shape))
            line = np.abs(math.sin(turn) * y + math.cos(turn) * x - off) < rng.uniform(0.6, 1.8)
            ground += rng.uniform(-0.2, 0.2) * line
    return ground


def _material(owner: np.ndarray, masks: list, rng: np.random.Generator, kind: str) -> np.ndarray:
    """Particles and phases as electron or light microscopes show them; grey values, about 0 to 1."""
    shape = owner.shape
    ground = 0.5 + _ground(shape, rng)
    look = str(rng.choice(("flat", "dome", "absorbing", "textured", "hollow"), p=(0.2, 0.3, 0.25, 0.15, 0.1)))
    sign = rng.choice((-1.0, 1.0))
    contrast = sign * _log_uniform(rng, 0.06, 0.5)
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
        grey = grey + rng.uniform(0.01, 0.12) * _texture(shape, rng)
    if rng.random() < (0.6 if look == "dome" else 0.3):  # edges shine in a secondary electron picture
        grey = grey + rng.choice((-1.0, 1.0), p=(0.25, 0.75)) * rng.uniform(0.05, 0.4) * np.exp(
            -depth / _log_uniform(rng, 1, 5)
        )
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
        image = image + rng.uniform(-0.25, 0.25) * np.exp(-((away / _log_uniform(rng, 1.5, 12)) ** 2)) * ~inside
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


def _tissue(owner: np.ndarray, masks: list, rng: np.random.Generator, kind: str) -> np.ndarray:
    """Glands: a pale lumen, a wall of cells with their nuclei at its outside, in connective tissue."""
    shape, inside = owner.shape, owner > 0
    depth = _depths(owner)
    radius = _log_uniform(rng, 2.5, 7)
    wall = radius * rng.uniform(2.5, 6)
    nuclei_wall = _sown(shape, rng, radius, rng.uniform(0.6, 1.4), rng.uniform(1, 2)) & inside & (depth < 3.2 * radius)
    around = _sown(shape, rng, radius * rng.uniform(0.6, 1), rng.uniform(0.1, 0.6), rng.uniform(1.2, 4)) & ~inside
    lumen = inside & (depth > wall) & (rng.random() < 0.85)
    eosin = np.where(inside, rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.9)) + 0.12 * _texture(shape, rng, 2)
    eosin = np.where(lumen, rng.uniform(0, 0.25), eosin)
    blue = np.where(inside & ~lumen, rng.uniform(0.1, 0.4), rng.uniform(0, 0.2)) + rng.uniform(0.6, 1.2) * (
        nuclei_wall | around
    )
    blue = ndimage.gaussian_filter(np.clip(blue, 0, None).astype(np.float32), 0.7)
    gaps = ~inside & (_clouds(shape, rng, 20) > rng.uniform(1.2, 3))  # torn or empty tissue
    return _stained(np.where(gaps, 0, blue), np.where(gaps, 0.02, np.clip(eosin, 0, None)), rng)


def _nuclei(owner: np.ndarray, masks: list, rng: np.random.Generator, kind: str) -> np.ndarray:
    """Nuclei: glowing in the dark, or stained in a section."""
    shape, inside = owner.shape, owner > 0
    depth = _depths(owner)
    count = int(owner.max())
    own = np.r_[0.0, np.exp(rng.normal(scale=rng.uniform(0.05, 0.6), size=count))][owner]
    grain = np.clip(1 + rng.uniform(0.05, 0.35) * _texture(shape, rng, 1.5), 0.1, None)
    body = own * grain * (1 - np.exp(-depth / rng.uniform(0.5, 3)))
    if rng.random() < 0.65:
        glow = rng.uniform(0, 0.3) * ndimage.gaussian_filter(body, rng.uniform(4, 20))
        haze = rng.uniform(0, 0.15) * np.clip(1 + 0.6 * _texture(shape, rng, 8), 0, None)
        return 0.6 * body + glow + haze + rng.uniform(0, 0.1)
    ring = np.exp(-depth / 1.5) * inside * rng.uniform(0, 0.6)
    eosin = rng.uniform(0.1, 0.7) + 0.12 * _texture(shape, rng, 2)
    return _stained(rng.uniform(0.4, 1.1) * body + ring, np.clip(eosin, 0, None), rng)


# ---------------------------------------------------------------------------------------------------- the picture


def _photographed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Optics, detector and file: uint8."""
    image = image.astype(np.float32)
    if rng.random() < 0.8:
        image = ndimage.gaussian_filter(image, _log_uniform(rng, 0.35, 2.2))
    image += rng.uniform(0, 0.15) * _slope(image.shape, rng)
    low, high = np.quantile(image, (rng.uniform(0, 0.01), rng.uniform(0.985, 1)))
    image = (image - low) / max(float(high - low), 0.05)
    black, white = rng.uniform(0, 0.35), rng.uniform(0.6, 1.0)
    image = black + (white - black) * np.clip(image, -0.1, 1.1)
    noise = _log_uniform(rng, 0.004, 0.12)
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
