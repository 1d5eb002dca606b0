"""SEM-like microstructure of bubbles and crystals with exact instances, drawn from a seed.

A stand-in for the ice-cream SEM images of Ke et al. 2020, which are not public: air bubbles (round, bright-rimmed) and
ice crystals (faceted polygons) packed densely in a textured matrix. As in a microscope, the conditions change from
image to image (magnification, contrast and its sign, texture, shading, focus, noise, charging): two exactly labelled
images cannot cover them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from lazylabels_monai.data.simulating.items import SimulationError

__all__ = ["BUBBLE", "CRYSTAL", "MIN_PIXELS", "Seed", "make_image", "make_volume"]

BUBBLE, CRYSTAL = 1, 2

#: Objects of fewer pixels than this are not drawn: neither a person nor a network could tell what they are.
MIN_PIXELS = 24

Seed = int | Sequence[int] | np.random.SeedSequence


@dataclass
class _Object:
    """One object: its class, centre and radius in pixels, and its shape in units of the radius."""

    kind: int
    centre: np.ndarray  # (ndim,)
    radius: float
    axes: np.ndarray  # (ndim, ndim): maps an offset in pixels to the object's own coordinates
    normals: np.ndarray  # (faces, ndim) unit normals of a crystal; (0, ndim) for a bubble
    heights: np.ndarray  # (faces,) distance of each face from the centre
    wobble: np.ndarray  # (3, 2) amplitude and phase of a bubble's second to fourth harmonic, 2D only

    def level(self, offsets: Sequence[np.ndarray]) -> np.ndarray:
        """0 at the centre, 1 on the surface; ``offsets`` from the centre in pixels, one open array per axis."""
        own = [sum(a * o for a, o in zip(row, offsets, strict=True)) / self.radius for row in self.axes]
        if self.kind == CRYSTAL:
            return self.faces(own).max(axis=0)
        distance = np.sqrt(sum(o * o for o in own))
        if len(own) == 2:
            angle = np.arctan2(own[0], own[1])
            distance = distance / (1 + sum(a * np.cos((k + 2) * angle + p) for k, (a, p) in enumerate(self.wobble)))
        return distance

    def faces(self, own: Sequence[np.ndarray]) -> np.ndarray:
        """Level of each face of a crystal, (faces, ...)."""
        sides = zip(self.normals, self.heights, strict=True)
        return np.stack([sum(n * o for n, o in zip(normal, own, strict=True)) / h for normal, h in sides])


def _random_directions(rng: np.random.Generator, ndim: int) -> np.ndarray:
    """Unit normals of a convex body: spread evenly, then shaken."""
    if ndim == 2:
        count = int(rng.integers(4, 8))
        angles = (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * 2 * math.pi / count + rng.uniform(0, 2 * math.pi)
        return np.stack([np.sin(angles), np.cos(angles)], axis=1)
    cube = np.concatenate([np.eye(3), -np.eye(3), np.array([[1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]]) / 3**0.5])
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    normals = cube @ rotation + rng.normal(scale=0.12, size=cube.shape)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def _random_object(rng: np.random.Generator, kind: int, radius: float, ndim: int) -> _Object:
    rotation, _ = np.linalg.qr(rng.normal(size=(ndim, ndim)))
    stretch = np.exp(rng.normal(scale=0.06 if kind == BUBBLE else 0.16, size=ndim))
    axes = (rotation * (stretch / np.prod(stretch) ** (1 / ndim))) @ rotation.T
    normals = _random_directions(rng, ndim) if kind == CRYSTAL else np.zeros((0, ndim))
    heights = rng.uniform(0.78, 1.0, len(normals))
    amplitudes = rng.normal(scale=(0.02, 0.012, 0.008))
    wobble = np.stack([amplitudes, rng.uniform(0, 2 * math.pi, 3)], axis=1)
    return _Object(kind, np.zeros(ndim), radius, axes, normals, heights, wobble)


def pack_objects(
    shape: tuple[int, ...], rng: np.random.Generator, radius: float, spread: float, bubbles: float, fill: float
) -> list[_Object]:
    """Place objects one after the other, large ones first, close to those already there.

    Args:
        radius: typical radius in pixels.
        spread: standard deviation of the radius' logarithm.
        bubbles: share of bubbles among the objects.
        fill: share of the image that the objects would cover if none overlapped.
    """
    ndim = len(shape)
    unit = math.pi if ndim == 2 else 4 / 3 * math.pi
    room = math.prod(n + radius for n in shape) * fill
    radii = []
    while room > 0:
        r = float(np.clip(radius * math.exp(rng.normal(scale=spread)), 0.4 * radius, 2.4 * radius))
        radii.append(r)
        room -= unit * r**ndim
    radii.sort(reverse=True)
    centres, sizes, objects = np.zeros((len(radii), ndim)), np.zeros(len(radii)), []
    low, high = np.full(ndim, -0.5 * radius), np.array(shape) + 0.5 * radius
    for r in radii:
        tries = rng.uniform(low, high, (48, ndim))
        count = len(objects)
        if count:
            distance = np.linalg.norm(tries[:, None] - centres[None, :count], axis=2)
            clearance = (distance / (sizes[None, :count] + r)).min(axis=1)
            # A little overlap becomes a flat contact when the objects are painted.
            allowed = np.flatnonzero(clearance > 0.86)
            if not allowed.size:
                continue
            pick = allowed[clearance[allowed].argmin()] if rng.random() < 0.8 else allowed[0]
        else:
            pick = 0
        item = _random_object(rng, BUBBLE if rng.random() < bubbles else CRYSTAL, r, ndim)
        item.centre = tries[pick]
        centres[count], sizes[count] = item.centre, r
        objects.append(item)
    return objects


def _box(item: _Object, shape: tuple[int, ...]) -> tuple[slice, ...] | None:
    reach = 1.6 * item.radius + 1
    box = tuple(slice(max(int(c - reach), 0), min(int(c + reach) + 2, n)) for c, n in zip(item.centre, shape, strict=True))
    return box if all(s.start < s.stop for s in box) else None


def _offsets(item: _Object, box: tuple[slice, ...]) -> list[np.ndarray]:
    return [g - c for g, c in zip(np.ogrid[box], item.centre, strict=True)]


def paint_objects(objects: list[_Object], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, list[_Object]]:
    """Exact instances: each pixel goes to the object that it lies deepest in.

    Returns:
        uint16 instances, 1..n; uint8 classes; the n objects that can be seen.
    """
    best = np.zeros(shape, np.float32)
    owner = np.zeros(shape, np.int32)
    for index, item in enumerate(objects, start=1):
        box = _box(item, shape)
        if box is None:
            continue
        outside = ((item.level(_offsets(item, box)) - 1) * item.radius).astype(np.float32)
        won = outside < best[box]
        best[box][won] = outside[won]
        owner[box][won] = index
    instances = np.zeros(shape, np.uint16)
    classes = np.zeros(shape, np.uint8)
    seen: list[_Object] = []
    for index, box in enumerate(ndimage.find_objects(owner, max_label=len(objects))):
        if box is None:
            continue
        mask = owner[box] == index + 1
        parts, count = ndimage.label(mask)
        if count > 1:  # cut in two by a neighbour: the larger part is the object
            mask = parts == np.bincount(parts.ravel())[1:].argmax() + 1
        if mask.sum() < MIN_PIXELS:
            continue
        seen.append(objects[index])
        instances[box][mask] = len(seen)
        classes[box][mask] = objects[index].kind
    return instances, classes, seen


def _cloud(shape: tuple[int, ...], rng: np.random.Generator, scale: float | Sequence[float]) -> np.ndarray:
    """Smooth random field with zero mean and unit variance; ``scale`` is its correlation length in pixels."""
    scales = np.broadcast_to(np.asarray(scale, float), len(shape))
    # A coarse grid, enlarged: a wide Gaussian filter over the whole image would take most of the time.
    step = np.maximum(scales / 2, 1.0)
    coarse = tuple(math.ceil(n / s) + 2 for n, s in zip(shape, step, strict=True))
    field = ndimage.gaussian_filter(rng.normal(size=coarse), scales / step, mode="wrap")
    if max(step) > 1:
        at = [np.arange(n) / s for n, s in zip(shape, step, strict=True)]
        for axis, positions in enumerate(at):
            below = np.minimum(positions.astype(int), field.shape[axis] - 2)
            weight = (positions - below).reshape([-1 if a == axis else 1 for a in range(len(shape))])
            field = np.take(field, below, axis) * (1 - weight) + np.take(field, below + 1, axis) * weight
    else:
        field = field[tuple(slice(n) for n in shape)]
    return (field - field.mean()) / max(field.std(), 1e-6)


@dataclass
class _Condition:
    """How one image was taken. Grey values are shares of the full range, lengths are pixels, angles radians."""

    radius: float
    spread: float
    bubbles: float
    fill: float
    matrix: float
    bubble_contrast: float
    bubble_pit: float
    rim: float
    rim_width: float
    rim_outside: float
    crystal_contrast: float
    crystal_facets: float
    crystal_plateau: float
    crystal_edge: float
    crystal_stripes: float
    variation: float
    texture: float
    texture_scale: float
    texture_stretch: float
    pores: float
    light: float
    fading: float
    shading: float
    vignette: float
    focus: float
    astigmatism: float
    noise: float
    row_noise: float
    streaks: int
    scratches: int
    black: float
    white: float
    gamma: float


def draw_condition(rng: np.random.Generator, radius: tuple[float, float]) -> _Condition:
    """Each image has its own draw; ranges were chosen by eye so that a person could still mark the objects."""
    sign = rng.choice((-1.0, 1.0), p=(0.6, 0.4))
    magnitude = rng.uniform(0.1, 0.28)
    # Crystals are lighter or darker than the matrix, by less than the bubbles and not always the other way.
    crystal_sign = -sign if rng.random() < 0.75 else sign
    return _Condition(
        radius=math.exp(rng.uniform(math.log(radius[0]), math.log(radius[1]))),
        spread=rng.uniform(0.2, 0.45),
        bubbles=rng.uniform(0.35, 0.65),
        fill=rng.uniform(0.62, 0.9),
        matrix=rng.uniform(0.36, 0.58),
        bubble_contrast=sign * magnitude,
        bubble_pit=rng.uniform(0.02, 0.16) * rng.choice((-1.0, 1.0)),
        rim=rng.uniform(0.18, 0.4),
        rim_width=rng.uniform(1.3, 2.6),
        rim_outside=rng.uniform(0.0, 1.0),
        crystal_contrast=crystal_sign * rng.uniform(0.07, 0.18),
        crystal_facets=rng.uniform(0.05, 0.15),
        crystal_plateau=rng.uniform(0.35, 0.8),
        crystal_edge=rng.uniform(0.06, 0.16) * rng.choice((-1.0, 1.0)),
        crystal_stripes=rng.uniform(0.035, 0.08),
        variation=rng.uniform(0.01, 0.04),
        texture=rng.uniform(0.02, 0.05),
        texture_scale=math.exp(rng.uniform(math.log(0.8), math.log(7.0))),
        texture_stretch=math.exp(rng.uniform(0, 1.2)),
        pores=rng.uniform(0.0, 1.0),
        light=rng.uniform(0, 2 * math.pi),
        fading=rng.uniform(0.05, 0.35),
        shading=rng.uniform(0.0, 0.12),
        vignette=rng.uniform(0.0, 0.12),
        focus=rng.uniform(0.5, 1.2),
        astigmatism=rng.uniform(1.0, 1.5),
        noise=math.exp(rng.uniform(math.log(0.012), math.log(0.06))),
        row_noise=rng.uniform(0.0, 0.012),
        streaks=int(rng.integers(0, 9)),
        scratches=int(rng.integers(0, 4)),
        black=rng.uniform(0.05, 0.3),
        white=rng.uniform(0.62, 0.95),
        gamma=math.exp(rng.normal(scale=0.15)),
    )


def _matrix(shape: tuple[int, int], rng: np.random.Generator, c: _Condition) -> np.ndarray:
    """The matrix between the objects: grain of two sizes, pores and scratches."""
    angled = (c.texture_scale * c.texture_stretch, c.texture_scale)
    grain = _cloud(shape, rng, angled if rng.random() < 0.5 else angled[::-1])
    image = c.matrix + c.texture * (0.8 * grain + 0.45 * _cloud(shape, rng, 0.7))
    image = image + 0.5 * c.texture * _cloud(shape, rng, 4 * c.texture_scale)
    # Pores and specks look like small bubbles, and are none.
    specks = _cloud(shape, rng, 1.2)
    image -= 0.16 * c.pores * (specks > 2.6 - 0.3 * c.pores)
    image += 0.12 * c.pores * (specks < -2.9)
    return image


def _rendered(
    instances: np.ndarray, classes: np.ndarray, objects: list[_Object], rng: np.random.Generator, c: _Condition
) -> np.ndarray:
    """Ideal grey values, before the microscope's optics and noise."""
    shape = instances.shape
    image = _matrix(shape, rng, c)
    light = np.array([math.sin(c.light), math.cos(c.light)])
    ids = instances.astype(np.int32)
    border = np.zeros(shape, bool)
    for axis in (0, 1):
        step = np.diff(ids, axis=axis) != 0
        border |= np.pad(step, [(1, 0) if a == axis else (0, 0) for a in (0, 1)])
        border |= np.pad(step, [(0, 1) if a == axis else (0, 0) for a in (0, 1)])
    depth = ndimage.distance_transform_edt((ids > 0) & ~border)
    grain = _cloud(shape, rng, 1.0)
    # Contrast comes and goes over the image, so that parts of a border all but vanish.
    keep = np.clip(1 - c.fading * np.clip(0.55 + 0.6 * _cloud(shape, rng, 1.1 * c.radius), 0, 1.35), 0.15, 1)
    for index, (item, box) in enumerate(zip(objects, ndimage.find_objects(ids), strict=True), start=1):
        mask = ids[box] == index
        offsets = _offsets(item, box)
        toward = sum(o * k for o, k in zip(offsets, light, strict=True)) / item.radius
        own_grey = c.variation * rng.normal()
        if item.kind == BUBBLE:
            level = np.minimum(item.level(offsets), 1.0)
            bowl = 0.6 + 0.4 * (1 - level**2)
            grey = c.bubble_contrast * bowl + c.bubble_pit * toward * level
            side = 0.62 + 0.38 * np.clip(toward * 1.2 + 0.3 * rng.normal(), -1, 1)
            grey = grey + c.rim * side * np.exp(-((depth[box] / c.rim_width) ** 2))
            grain_share = 0.1
        else:
            own = [sum(a * o for a, o in zip(row, offsets, strict=True)) / item.radius for row in item.axes]
            faces = item.faces(own)
            tilt = (item.normals @ light)[faces.argmax(axis=0)] + 0.25 * rng.normal(size=len(faces))[faces.argmax(axis=0)]
            plateau = np.clip(c.crystal_plateau + 0.12 * rng.normal(), 0.15, 0.9)
            bevel = np.clip((faces.max(axis=0) - plateau) * item.radius / 1.5 + 0.5, 0, 1)
            grey = c.crystal_contrast + c.crystal_facets * (tilt * bevel + 0.25 * rng.normal() * (1 - bevel))
            along = rng.uniform(0, math.pi)
            period = rng.uniform(4.0, 6.5)
            wave = np.sin((offsets[0] * math.sin(along) + offsets[1] * math.cos(along)) * 2 * math.pi / period)
            grey = grey + c.crystal_stripes * wave * rng.uniform(0.6, 1.2)
            lit = 0.5 + 0.5 * np.clip(toward * 1.5, -1, 1)
            grey = grey + c.crystal_edge * lit * np.exp(-((depth[box] / 0.9) ** 2))
            grain_share = 0.2
        grey = c.matrix + own_grey + grey * keep[box] + grain_share * c.texture * grain[box]
        # A thin film of the matrix shines through, more where the contrast fades.
        film = 0.4 * (1 - keep[box])
        image[box][mask] = (grey * (1 - film) + image[box] * film)[mask]
    # The edge effect: secondary electrons leave from both sides of a bubble's edge.
    around = ndimage.distance_transform_edt(classes != BUBBLE)
    glow = 0.6 * c.rim * c.rim_outside * np.exp(-(((around - 0.5) / c.rim_width) ** 2))
    return image + glow * keep * (classes == 0)


def _detected(ideal: np.ndarray, rng: np.random.Generator, c: _Condition) -> np.ndarray:
    """What the microscope makes of it: uint8 image."""
    shape = ideal.shape
    image = ndimage.gaussian_filter(ideal, (c.focus * c.astigmatism**0.5, c.focus / c.astigmatism**0.5))
    rows, columns = (np.linspace(-1, 1, n).reshape(-1 if a == 0 else 1, -1 if a == 1 else 1) for a, n in enumerate(shape))
    angle = rng.uniform(0, 2 * math.pi)
    image = image * (1 + 1.6 * c.shading * (math.sin(angle) * rows + math.cos(angle) * columns))
    image = image - c.vignette * ((rows - rng.uniform(-0.4, 0.4)) ** 2 + (columns - rng.uniform(-0.4, 0.4)) ** 2)
    # Charging: a bright line that starts at an object and decays along the scan direction.
    for _ in range(c.streaks):
        row, start = int(rng.integers(shape[0])), int(rng.integers(shape[1]))
        length, strength = rng.uniform(0.1, 0.6) * shape[1], rng.uniform(0.04, 0.22) * rng.choice((1.0, 1.0, -0.6))
        tail = strength * np.exp(-np.arange(shape[1] - start) / length)
        for k in range(int(rng.integers(1, 4))):
            if row + k < shape[0]:
                image[row + k, start:] += tail * rng.uniform(0.4, 1.0)
    for _ in range(c.scratches):
        angle, distance = rng.uniform(0, math.pi), rng.uniform(-0.6, 0.6)
        across = rows * math.sin(angle) + columns * math.cos(angle) - distance
        width = rng.uniform(0.6, 1.4) * 2 / max(shape)
        image = image + rng.uniform(-0.08, 0.08) * np.exp(-((across / width) ** 2))
    # The operator sets brightness and contrast by the histogram.
    low, high = np.percentile(image, (1, 99))
    image = c.black + (image - low) * (c.white - c.black) / max(high - low, 1e-3)
    image = np.clip(image, 0.01, 1) ** c.gamma
    # Shot noise grows with the signal; the amplifier adds its own.
    image = image + c.noise * (0.35 + 0.9 * np.sqrt(image)) * rng.normal(size=shape)
    image = image + c.row_noise * rng.normal(size=(shape[0], 1))
    return np.clip(np.round(255 * image), 0, 255).astype(np.uint8)


def make_image(
    size: tuple[int, int] = (256, 320), seed: Seed = 0, radius: tuple[float, float] = (9.0, 20.0)
) -> dict[str, np.ndarray]:
    """One image of microstructure with its exact labels.

    Args:
        size: (H, W) in pixels, each at least 32. The paper's is (960, 1280).
        seed: the same seed gives the same image; whole number, sequence of them, or ``SeedSequence``.
        radius: range of the image's typical object radius in pixels, drawn per image: the magnification. Single objects
            vary around it. ``(20, 50)`` suits (960, 1280).

    Returns:
        ``image`` (H, W) uint8; ``classes`` (H, W) uint8, 0 = matrix, 1 = air bubble, 2 = ice crystal; ``instances`` (H,
        W) uint16, 1..n, 0 = matrix.

    Raises:
        SimulationError: for a size or a radius that no image can be made of.
    """
    size = tuple(int(n) for n in size)
    if len(size) != 2 or min(size) < 32:
        raise SimulationError(f"size {size} must be (height, width) with at least 32 pixels each.")
    if len(radius) != 2 or not 4 <= radius[0] <= radius[1]:
        raise SimulationError(f"radius {radius} must be a range (smallest, largest) of at least 4 pixels.")
    rng = np.random.default_rng(seed)
    condition = draw_condition(rng, radius)
    objects = pack_objects(size, rng, condition.radius, condition.spread, condition.bubbles, condition.fill)
    instances, classes, objects = paint_objects(objects, size)
    image = _detected(_rendered(instances, classes, objects, rng, condition), rng, condition)
    return {"image": image, "classes": classes, "instances": instances}


def make_volume(
    size: tuple[int, int, int] = (48, 56, 64), seed: Seed = 0, radius: tuple[float, float] = (6.0, 9.0)
) -> dict[str, np.ndarray]:
    """One small volume: spheres (class 1) and polyhedra (class 2), packed and touching, in a noisy matrix.

    Args:
        size: (D, H, W) in voxels, each at least 16.
        seed: the same seed gives the same volume.
        radius: range of the volume's typical object radius in voxels.

    Returns:
        ``image`` (D, H, W) uint8; ``classes`` (D, H, W) uint8; ``instances`` (D, H, W) uint16, as for
        :func:`make_image`.

    Raises:
        SimulationError: for a size or a radius that no volume can be made of.
    """
    size = tuple(int(n) for n in size)
    if len(size) != 3 or min(size) < 16:
        raise SimulationError(f"size {size} must be (depth, height, width) with at least 16 voxels each.")
    if len(radius) != 2 or not 3 <= radius[0] <= radius[1]:
        raise SimulationError(f"radius {radius} must be a range (smallest, largest) of at least 3 voxels.")
    rng = np.random.default_rng(seed)
    typical = rng.uniform(*radius)
    objects = pack_objects(size, rng, typical, rng.uniform(0.1, 0.3), rng.uniform(0.4, 0.6), rng.uniform(0.45, 0.65))
    instances, classes, objects = paint_objects(objects, size)
    sign = rng.choice((-1.0, 1.0))
    greys = np.array([0.0, sign * rng.uniform(0.12, 0.25), -sign * rng.uniform(0.1, 0.2)])
    own = np.concatenate([[0.0], 0.03 * rng.normal(size=len(objects))])
    image = 0.5 + greys[classes] + own[instances] + 0.03 * _cloud(size, rng, 2.0)
    image = ndimage.gaussian_filter(image, rng.uniform(0.5, 0.9)) + rng.uniform(0.02, 0.08) * rng.normal(size=size)
    return {
        "image": np.clip(np.round(255 * image), 0, 255).astype(np.uint8),
        "classes": classes,
        "instances": instances,
    }
