"""From maps to objects tile by tile, with the objects that the whole picture gives (:mod:`lazylabels_monai.instances`).

What is exact, and why:

- *Pieces* of the segmentation and markers are joined across the faces of tiles (:mod:`.components`): exact at any size.
- *Holes* of up to ``max_hole`` pixels reach no further than that, so that a margin as wide decides them: exact.
- *The watershed of the three maps* is flooded in a tile and a halo around it, in which pixels at the outer edge that no marker
  holds flood, too, as "from outside", from the start on, earlier than anything outside could come in. A pixel of the tile that
  an object of the inside reaches all the same is that object's in the whole picture as well: that is a proof, pixel by pixel.
  Where "from outside" reaches into the tile, the halo is doubled, up to :data:`LARGEST_WINDOW`; what is not proven then is
  counted (``unproven``). Only where pixels of equal height are as far from two objects may the tie go another way.
- *Routes that look at a whole piece* ("distance", and three maps with ``neck`` or ``cut``) run on each piece of the
  segmentation with :data:`MARGIN` pixels around it, by the function that runs on whole pictures: a piece's distances, widths
  and watershed depend on nothing further away. Exact up to :data:`LARGEST_WINDOW`; a larger piece is refused. Their objects
  are numbered piece by piece, those of the other routes as in the whole picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import watershed

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import swap_plane
from lazylabels_monai.instances import InstanceSettings, separate_objects
from lazylabels_monai.predicting.large.components import Joined, TilePieces, join, pieces_of_tile
from lazylabels_monai.predicting.large.tiling import Place, Tiling, inside
from lazylabels_monai.tasks import BACKGROUND, INTERFACE

__all__ = ["HALO", "LARGEST_WINDOW", "Maps", "Stitching", "flags_of", "kind_of"]

#: Pixels around a tile that are flooded with it, or that a piece may reach beyond it.
HALO = 192
#: Pixels around a piece that its widths may depend on: 4 that the smoothing reaches, where another piece lies at most 6 from
#: the background between the two.
MARGIN = 12
#: Side of a window up to which a halo is doubled, and of the box of a piece that is looked at in whole.
LARGEST_WINDOW = 4096
#: Bits of the map of flags.
DETECTED, IS_INTERFACE = 1, 2

_OUTSIDE = np.iinfo(np.int32).max


class Array(Protocol):
    """A numpy or a Zarr array: what is asked of either."""

    def __getitem__(self, place: Any) -> np.ndarray:
        """Rows and columns."""


@dataclass(frozen=True)
class Maps:
    """Where tiles read and write, each (H, W).

    Args:
        classes: uint8 class map.
        height: float32, P(interface) + P(nothing detected): the landscape of the watershed.
        flags: uint8, :data:`DETECTED` and :data:`IS_INTERFACE`.
        nothing, interface: float32 P(nothing detected) and P(interface); for the routes that look at whole pieces.
        pieces, markers: int32, the numbers of each tile.
        objects: int32, the number of the object before the small ones are dropped.
    """

    classes: Array
    pieces: Array
    objects: Array
    height: Array | None = None
    flags: Array | None = None
    markers: Array | None = None
    nothing: Array | None = None
    interface: Array | None = None


def flags_of(detection: np.ndarray, separation: np.ndarray, settings: InstanceSettings) -> np.ndarray:
    """:data:`DETECTED` and :data:`IS_INTERFACE` of probabilities (classes, h, w), as ``three_map_instances`` decides them."""
    detected = detection[BACKGROUND] < 1 - settings.detection_threshold
    return detected * np.uint8(DETECTED) + (separation[INTERFACE] > settings.separation_threshold) * np.uint8(IS_INTERFACE)


class Stitching:
    """The stages by which objects are found; each works on one tile, or on what all tiles gave.

    ``label`` (tile) -> ``join`` (all) -> [``whole`` (piece)] -> ``grow`` (tile) -> ``number`` (all) -> ``finish`` (tile).

    Args:
        tiling: of the picture.
        maps: arrays of the whole picture.
        settings: how objects are separated; without detection and separation the route is "components".
        three: whether there are maps of detection and separation.
        halo: see :data:`HALO`.
        largest: see :data:`LARGEST_WINDOW`.
    """

    def __init__(
        self,
        tiling: Tiling,
        maps: Maps,
        settings: InstanceSettings,
        three: bool = True,
        halo: int = HALO,
        largest: int = LARGEST_WINDOW,
    ) -> None:
        self.tiling, self.maps, self.settings, self.halo, self.largest = tiling, maps, settings, halo, largest
        self.kind = kind_of(settings, three)

    # ------------------------------------------------------------------------------------------------------------ label

    def label(self, tile: int) -> dict[str, np.ndarray]:
        """Pieces and markers of a tile: numbers into the maps; what joining takes is returned."""
        place = self.tiling.tile(tile)
        solid = self._solid(tile)
        numbers, found = pieces_of_tile(solid, place, self.tiling.shape[0], self._corners)
        self.maps.pieces[place] = numbers
        out = found.arrays("pieces")
        if self.kind == "flood":
            flags = self.maps.flags[place]
            inner = (flags & DETECTED > 0) & (solid > 0) & (flags & IS_INTERFACE == 0)
            markers, marked = pieces_of_tile(inner, place, self.tiling.shape[0])
            self.maps.markers[place] = markers
            out |= marked.arrays("markers")
            owner = np.zeros(len(marked.sizes) + 1, np.int32)
            owner[markers] = numbers  # a marker lies in one piece
            out["owner"] = owner[1:]
        return out

    def _solid(self, tile: int) -> np.ndarray:
        """Classes of a tile with its small holes filled; of the three maps whether there is any class."""
        place = self.tiling.tile(tile)
        reach = self.settings.max_hole
        # whether a hole lies in one piece is seen close by, but where several classes meet around it
        window = self.tiling.window(tile, max(reach + 2, self.halo if self._by_class else 0) if reach else 0)
        classes = self.maps.classes[window]
        values = classes if self._by_class else (classes != BACKGROUND).astype(np.uint8)
        if reach:
            values = _filled(values, reach)
        return values[inside(place, window)]

    @property
    def _by_class(self) -> bool:
        """Whether touching pixels of two classes are two pieces."""
        return self.settings.route != "three maps" or self.kind == "pieces"

    @property
    def _corners(self) -> bool:
        """Whether pieces that touch at a corner are one: widths are taken of markers that join there, too."""
        return self.kind == "whole" and self.settings.route == "three maps" and self.settings.neck > 0

    def _ends(self, window: Place) -> list[bool]:
        return [part.stop == side for part, side in zip(window, self.tiling.shape, strict=True)]

    # ------------------------------------------------------------------------------------------------------------- join

    def join(self, tiles: list[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """What all tiles need of each other: from what :meth:`label` gave, by tile."""
        pieces = join(self.tiling, [TilePieces.read(tile, "pieces") for tile in tiles], self._corners)
        out = _stored(pieces, "pieces")
        if self.kind == "whole":
            self._require_small(pieces)
            return out
        if self.kind == "pieces":
            return {**out, "pieces_seed": np.arange(1, len(pieces.sizes) + 1, dtype=np.int32)}
        markers = join(self.tiling, [TilePieces.read(tile, "markers") for tile in tiles])
        kept = markers.sizes > max(self.settings.min_marker - 1, 0)
        seed = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
        marked = np.zeros(len(pieces.sizes), bool)
        for number, tile in enumerate(tiles):
            own = pieces.piece[pieces.offsets[number] : pieces.offsets[number + 1]]
            ours = kept[markers.piece[markers.offsets[number] : markers.offsets[number + 1]]]
            marked[own[tile["owner"][ours] - 1]] = True
        orphan = ~marked
        if self.settings.drop_undetected:
            own_seed = np.where(orphan, -1, 0).astype(np.int32)
        else:
            own_seed = np.where(orphan, np.cumsum(orphan) + kept.sum(), 0).astype(np.int32)
        return {**out, "pieces_seed": own_seed, **_stored(markers, "markers"), "markers_seed": seed}

    def _require_small(self, pieces: Joined) -> None:
        """Refuse a piece that the memory cannot hold."""
        sides = pieces.boxes[:, 2:] - pieces.boxes[:, :2]
        far = sides.max(axis=1, initial=0) > self.halo - 2 * MARGIN
        area = (sides + 2 * MARGIN).prod(axis=1)
        if (far & (area > self.largest**2)).any():
            rows, columns = sides[np.argmax(area)]
            raise LazyLabelsError(
                f"one piece of the segmentation reaches over {rows} x {columns} pixels, which route '{self.settings.route}' "
                f"with neck {self.settings.neck:g} and cut {str(self.settings.cut).lower()} must see whole: write "
                'instance_settings with the route "three maps", neck 0 and cut false into instances.json beside the weights '
                "and predict again; what the network said is kept."
            )

    def whole_pieces(self, joined: Mapping[str, np.ndarray]) -> list[int]:
        """Pieces that :meth:`whole` is to look at: those that may reach beyond a tile's halo."""
        if self.kind != "whole":
            return []
        sides = joined["pieces_boxes"][:, 2:] - joined["pieces_boxes"][:, :2]
        return np.flatnonzero(sides.max(axis=1, initial=0) > self.halo - 2 * MARGIN).tolist()

    # ------------------------------------------------------------------------------------------------------------ whole

    def whole(self, piece: int, joined: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The objects of one piece, numbered 1.. within it: ``box`` and ``objects``."""
        top, left, bottom, right = joined["pieces_boxes"][piece]
        window = tuple(
            slice(max(0, start - MARGIN), min(side, stop + MARGIN))
            for start, stop, side in zip((top, left), (bottom, right), self.tiling.shape, strict=True)
        )
        ids = np.where(self._pieces(window, joined) == piece + 1, self._separated(window), 0)
        kept, inverse = np.unique(ids, return_inverse=True)
        numbers = np.arange(len(kept)) + (0 if len(kept) and kept[0] == 0 else 1)
        return {
            "box": np.array([[part.start, part.stop] for part in window]),
            "objects": numbers[inverse].reshape(ids.shape).astype(np.int32),
        }

    def _separated(self, window: Place) -> np.ndarray:
        """The objects of a window, by the function that runs on whole pictures, in whose order of axes it is called."""
        maps = (self.maps.nothing, self.maps.interface)
        detection, separation = (None, None) if maps[0] is None else (m[window] for m in maps)
        turned = [
            np.ascontiguousarray(swap_plane(values))
            for values in (self.maps.classes[window], detection, separation)
            if values is not None
        ]
        given: list[np.ndarray | None] = [turned[0], None, None]
        if detection is not None:
            # of the classes of detection the background alone is asked for, of separation the interface
            given[1:] = turned[1][None], np.stack([1 - turned[2], turned[2]])
        return swap_plane(separate_objects(*given, self.settings))

    def _pieces(self, window: Place, joined: Mapping[str, np.ndarray]) -> np.ndarray:
        """(h, w) number of the piece of the whole picture + 1, 0 = none."""
        pieces = _read(joined, "pieces")
        return self._looked_up(self.maps.pieces, window, pieces, np.arange(1, len(pieces.sizes) + 1, dtype=np.int64))

    def _looked_up(self, numbers: Array, window: Place, joined: Joined, values: np.ndarray) -> np.ndarray:
        """(h, w) ``values`` of the pieces in a window."""
        out = np.zeros([part.stop - part.start for part in window], values.dtype)
        read = numbers[window]
        for tile in self.tiling.over(window):
            place = tuple(
                slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(self.tiling.tile(tile), window, strict=True)
            )
            here = inside(place, window)
            out[here] = joined.table(tile, values)[read[here]]
        return out

    # ------------------------------------------------------------------------------------------------------------- grow

    def grow(
        self, tile: int, joined: Mapping[str, np.ndarray], whole: Mapping[int, Mapping[str, np.ndarray]] | None = None
    ) -> dict[str, np.ndarray]:
        """The objects of a tile: numbers into the maps; how many pixels each has is returned.

        Args:
            tile: its index.
            joined: from :meth:`join`.
            whole: from :meth:`whole`, by piece, of those that reach into the tile.

        Returns:
            ``ids`` and their ``pixels`` in the tile; ``unproven`` pixels; of whole pieces ``piece`` and ``most``, the highest
            number in each.
        """
        place = self.tiling.tile(tile)
        unproven = 0
        extra: dict[str, np.ndarray] = {}
        if self.kind == "pieces":
            found = self._looked_up(self.maps.pieces, place, _read(joined, "pieces"), joined["pieces_seed"])
        elif self.kind == "flood":
            found, unproven = self._flooded(tile, joined)
        else:
            found, extra = self._placed(tile, joined, whole or {})
        self.maps.objects[place] = found
        ids, pixels = np.unique(found, return_counts=True)
        return {"ids": ids[ids > 0], "pixels": pixels[ids > 0], "unproven": np.array(unproven), **extra}

    def _flooded(self, tile: int, joined: Mapping[str, np.ndarray]) -> tuple[np.ndarray, int]:
        place, halo = self.tiling.tile(tile), self.halo
        while True:
            window = self.tiling.window(tile, halo)
            found = self._flood(window, joined, prove=True)
            core = found[inside(place, window)]
            open_ = int((core == _OUTSIDE).sum())
            covers = window == tuple(slice(0, side) for side in self.tiling.shape)
            if not open_ or covers:
                return core, 0
            if max(part.stop - part.start for part in self.tiling.window(tile, 2 * halo)) > self.largest:
                break
            halo *= 2
        plain = self._flood(window, joined, prove=False)[inside(place, window)]
        return np.where(core == _OUTSIDE, plain, core), open_

    def _flood(self, window: Place, joined: Mapping[str, np.ndarray], prove: bool) -> np.ndarray:
        pieces, markers = _read(joined, "pieces"), _read(joined, "markers")
        own = self._looked_up(self.maps.pieces, window, pieces, joined["pieces_seed"])
        mask = (self.maps.pieces[window] > 0) & (own >= 0)
        seeds = self._looked_up(self.maps.markers, window, markers, joined["markers_seed"])
        seeds = np.where(own > 0, own, seeds)
        if prove:
            rim = np.zeros(mask.shape, bool)
            starts, ends = [part.start == 0 for part in window], self._ends(window)
            rim[0], rim[-1] = not starts[0], not ends[0]
            rim[:, 0] |= not starts[1]
            rim[:, -1] |= not ends[1]
            seeds[rim & mask & (seeds == 0)] = _OUTSIDE
        # a pixel of a marker with no free neighbour floods nothing: without the insides of markers it takes a third of the time
        free = mask & (seeds == 0)
        if not free.any():
            return seeds
        near = ndimage.binary_dilation(free) & mask
        turned = [np.ascontiguousarray(swap_plane(values)) for values in (self.maps.height[window], seeds, near)]
        # as three_map_instances calls it
        return np.where(free, swap_plane(watershed(turned[0], markers=turned[1], mask=turned[2])), seeds)

    def _placed(
        self, tile: int, joined: Mapping[str, np.ndarray], whole: Mapping[int, Mapping[str, np.ndarray]]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Of pieces that are seen whole: those near the tile here, the others from where they were made."""
        place = self.tiling.tile(tile)
        window = self.tiling.window(tile, self.halo)
        pieces = self._pieces(window, joined)
        ids = self._separated(window)
        large = np.zeros(len(joined["pieces_sizes"]) + 1, bool)
        large[1:][self.whole_pieces(joined)] = True
        ids = np.where(large[pieces], 0, ids)
        core = inside(place, window)
        # numbered within their piece, in the order of their numbers: the same wherever the piece is seen whole
        seen = pieces[core]
        shown = np.unique(seen[(seen > 0) & ~large[seen]])
        chosen = np.where(np.isin(pieces, shown), ids, 0)
        out = np.zeros(chosen.shape, np.int32)
        most: dict[int, int] = {}
        pairs = np.unique(np.stack([pieces[chosen > 0], chosen[chosen > 0].astype(np.int64)]), axis=1)
        if pairs.size:
            starts = np.r_[True, np.diff(pairs[0]) > 0]
            rank = np.arange(pairs.shape[1]) - np.maximum.accumulate(np.where(starts, np.arange(pairs.shape[1]), 0)) + 1
            table = np.zeros(int(chosen.max()) + 1, np.int32)
            table[pairs[1]] = rank
            out = table[chosen]
            for piece, number in zip(pairs[0].tolist(), rank.tolist(), strict=True):
                most[piece - 1] = number
        out = out[core].copy()
        for piece in np.unique(seen[large[seen]]).tolist():
            (r0, _), (c0, _) = whole[piece - 1]["box"]
            made = whole[piece - 1]["objects"]
            own = np.argwhere(seen == piece) + np.array([place[0].start - r0, place[1].start - c0])
            out[seen == piece] = made[own[:, 0], own[:, 1]]
            most[piece - 1] = int(made.max(initial=0))
        return out, {"piece": np.array(list(most), np.int64), "most": np.array(list(most.values()), np.int64)}

    # ----------------------------------------------------------------------------------------------------------- number

    def number(self, tiles: list[Mapping[str, np.ndarray]], joined: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Which objects stay, and their final numbers: from what :meth:`grow` gave, by tile.

        Returns:
            ``table`` from numbers in the map of objects to final ones, or ``base`` of each piece to which its own numbers are
            added; ``count``; ``unproven``.
        """
        unproven = np.array(sum(int(tile["unproven"]) for tile in tiles))
        if self.kind == "whole":
            most = np.zeros(len(joined["pieces_sizes"]), np.int64)
            for tile in tiles:
                most[tile["piece"]] = tile["most"]
            ends = most.cumsum()
            return {"base": np.concatenate([[0], ends - most]), "count": ends[-1:].sum(), "unproven": unproven}
        top = max((int(tile["ids"].max(initial=0)) for tile in tiles), default=0)
        sizes = np.zeros(top + 1, np.int64)
        for tile in tiles:
            sizes[tile["ids"]] += tile["pixels"]
        kept = sizes > self.settings.min_size
        kept[0] = False
        return {"table": np.where(kept, np.cumsum(kept), 0).astype(np.uint32), "count": kept.sum(), "unproven": unproven}

    def finish(self, tile: int, joined: Mapping[str, np.ndarray], numbered: Mapping[str, np.ndarray]) -> np.ndarray:
        """The final ids of a tile, (h, w) uint32, 1..count as in the whole picture."""
        place = self.tiling.tile(tile)
        found = self.maps.objects[place]
        if self.kind != "whole":
            return numbered["table"][found]
        base = numbered["base"][self._pieces(place, joined)]
        return np.where(found > 0, base + found, 0).astype(np.uint32)


def kind_of(settings: InstanceSettings, three: bool) -> str:
    """How objects are found: "pieces" as they are, by a "flood", or with each piece seen "whole"."""
    if settings.route == "distance":
        return "whole"
    if settings.route == "components" or not three:
        return "pieces"
    return "whole" if settings.neck > 0 or settings.cut else "flood"


def _filled(values: np.ndarray, max_hole: int) -> np.ndarray:
    """Values (h, w) with each hole of at most ``max_hole`` pixels in one piece of equal values filled by that value.

    Holes that touch the edge stay: at the edge of the picture they are none, and further in they do not reach the tile.
    """
    ids = label(values, background=0, connectivity=1)
    holes, count = ndimage.label(values == 0, np.ones((3, 3)))
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    out = values.copy()
    for index, box in enumerate(ndimage.find_objects(holes), 1):
        at_edge = any(side.start == 0 or side.stop == size for side, size in zip(box, values.shape, strict=True))
        if sizes[index] > max_hole or at_edge:
            continue
        grown = tuple(slice(side.start - 1, side.stop + 1) for side in box)
        hole = holes[grown] == index
        ring = ndimage.binary_dilation(hole) & ~hole
        if len(np.unique(ids[grown][ring])) == 1:
            out[grown][hole] = values[grown][ring][0]
    return out


def _stored(joined: Joined, name: str) -> dict[str, np.ndarray]:
    return {f"{name}_{key}": value for key, value in vars(joined).items()}


def _read(arrays: Mapping[str, np.ndarray], name: str) -> Joined:
    return Joined(*(arrays[f"{name}_{key}"] for key in ("offsets", "piece", "sizes", "first", "boxes")))
