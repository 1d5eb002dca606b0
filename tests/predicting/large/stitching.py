"""Maps of random layouts, and the stages of stitching run on them in memory: for the tests, and for `tools/stitching.py`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from lazylabels_monai.instances import InstanceSettings, separate_objects
from lazylabels_monai.predicting.large.objects import Maps, Stitching, flags_of
from lazylabels_monai.predicting.large.tiling import Tiling


def layout(rng: np.random.Generator, shape: tuple[int, int], coarse: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class map, detection (3, H, W) and separation (2, H, W) of shapes ``coarse`` pixels wide; no two heights are equal."""

    def field(scale: float) -> np.ndarray:
        values = ndimage.gaussian_filter(rng.normal(size=shape), scale)
        return values / max(values.std(), 1e-9)

    solid = field(coarse) > rng.normal() * 0.8
    classes = np.where(solid, 1 + (field(2 * coarse) > 0.5), 0).astype(np.uint8)
    inner = 1 / (1 + np.exp(-4 * (field(coarse) + rng.uniform(-0.5, 1))))
    line = 1 / (1 + np.exp(-4 * (field(coarse / 2) - rng.uniform(0.5, 2))))
    detection = np.stack([1 - inner, inner / 2, inner / 2]).astype(np.float32)
    return classes, detection, np.stack([1 - line, line]).astype(np.float32)


def stitched(
    maps: tuple[np.ndarray, np.ndarray, np.ndarray],
    settings: InstanceSettings,
    side: int,
    halo: int = 12,
    largest: int = 4096,
    three: bool = True,
) -> tuple[np.ndarray, int]:
    """The ids of the whole picture, made tile by tile, and how many pixels are not proven."""
    classes, detection, separation = maps
    shape = classes.shape
    room = [np.zeros(shape, np.int32) for _ in range(3)]
    height = separation[1] + detection[0]
    arrays = Maps(
        classes, room[0], room[1], height, flags_of(detection, separation, settings), room[2], detection[0], separation[1]
    )
    if not three:
        arrays = Maps(classes, room[0], room[1])
    work = Stitching(Tiling(shape, side), arrays, settings, three, halo, largest)
    tiles = range(len(work.tiling))
    joined = work.join([work.label(tile) for tile in tiles])
    whole = {piece: work.whole(piece, joined) for piece in work.whole_pieces(joined)}
    numbered = work.number([work.grow(tile, joined, whole) for tile in tiles], joined)
    out = np.zeros(shape, np.uint32)
    for tile in tiles:
        out[work.tiling.tile(tile)] = work.finish(tile, joined, numbered)
    assert out.max(initial=0) == numbered["count"]
    return out, int(numbered["unproven"])


def same_objects(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two maps differ in nothing but numbers."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]).astype(np.int64), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def separated(maps: tuple[np.ndarray, np.ndarray, np.ndarray], settings: InstanceSettings, three: bool = True) -> np.ndarray:
    """The ids of the whole picture, as the bundle's post-processing finds them: on (W, H)."""
    classes, detection, separation = (np.ascontiguousarray(values.swapaxes(-1, -2)) for values in maps)
    return separate_objects(classes, *((detection, separation) if three else (None, None)), settings).T


#: By kind the settings that lead to it.
KINDS: dict[str, dict] = {
    "flood": {},
    "pieces": {"route": "components"},
    "distance": {"route": "distance"},
    "neck": {"neck": 0.6},
    "cut": {"cut": True},
    "neck and cut": {"neck": 0.5, "cut": True},
}


def differing(kind: str, seeds: Iterable[int]) -> list[int]:
    """Seeds whose objects differ between tiles and the whole picture: in any id, of whole pieces in more than the numbers."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        maps = layout(rng, tuple(rng.integers(16, 60, 2)), float(rng.uniform(0.7, 6)))
        three = kind != "pieces" or bool(rng.integers(2))
        settings = InstanceSettings(
            min_marker=int(rng.integers(0, 20)),
            min_size=int(rng.integers(0, 20)),
            max_hole=int(rng.choice([0, 0, 3, 12])),
            detection_threshold=float(rng.uniform(0.3, 0.7)),
            separation_threshold=float(rng.uniform(0.3, 0.7)),
            drop_undetected=bool(rng.integers(2)),
            **(KINDS[kind] if three else {}),
        )
        side, halo = int(rng.integers(9, 40)), int(rng.integers(1, 20) if kind == "flood" else rng.integers(26, 60))
        ids, unproven = stitched(maps, settings, side, halo, three=three)
        expected = separated(maps, settings, three)
        alike = np.array_equal(ids, expected) if kind in ("flood", "pieces") else same_objects(ids, expected)
        if unproven or not alike:
            found.append(seed)
    return found
