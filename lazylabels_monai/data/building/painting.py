"""From what a person drew on one image to its label maps."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from lazylabels_monai.data.building.belonging import Source
from lazylabels_monai.data.building.options import BuildError, BuildOptions, Vocabulary, named_ids
from lazylabels_monai.data.building.twice import DrawnTwice, Outlined, drawn_twice
from lazylabels_monai.images.files import read_label
from lazylabels_monai.labels.annotations import Mark
from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import interfaces_where_known
from lazylabels_monai.labels.objects import class_table, compact_instances, connected_pieces, instances_from_classes
from lazylabels_monai.labels.plausible import MIN_PIECE, MIN_PIECE_PIXELS
from lazylabels_monai.option_text import quoted
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, is_marked

__all__ = ["ImageLabels", "Painter"]

PictureReader = Callable[[Path, str], np.ndarray]

#: "Not labelled" in signed label pictures.
_UNLABELLED = -1

_DRAWN_LAST = {"area": 0, "line": 1, "point": 2}


class DrawnPieces(NamedTuple):
    """In how many pieces the exactly drawn areas of one class in one file are.

    Args:
        source: the file.
        name: of the class, as it was drawn.
        areas: how many there are.
        pieces: how many pieces they have together, specks aside.
        most: pieces of the one that has most.
        id: what the file calls that one.
    """

    source: Path
    name: str
    areas: int
    pieces: int
    most: int
    id: str


@dataclass
class ImageLabels:
    """The label maps of one image.

    Args:
        maps: (H, W) uint8 for each task that the image is labelled for.
        instances: (H, W) int32 ids, where every object of the image is known; otherwise None.
        objects: (H, W) int32 ids of the objects that are known exactly, whether these are all or not.
        exact: whether the segmentation comes from outlines, not from scribbles alone.
        complete: whether it is one of the whole image, patches left open on purpose aside.
        background: whether background is known elsewhere than in the halo of an outline.
        outside: marks that lie outside the image.
        hidden: exact areas that others cover altogether.
        filled: pixels with an id but no class in the class picture, which got the class of their object.
        loose: pixels with a class but no id.
        mixed: objects with an id whose pixels are of several classes in the class picture.
        drawn: marks that were drawn, those outside the image, too.
        pieces: in how many pieces exactly drawn areas are, for each file and class.
        twice: objects that were outlined twice.
        opened: (H, W) bool, pixels that somebody drew as not labelled; () where there are none.
    """

    maps: dict[str, np.ndarray] = field(default_factory=dict)
    instances: np.ndarray | None = None
    objects: np.ndarray = field(default_factory=lambda: np.zeros((), np.int32))
    exact: bool = False
    complete: bool = False
    background: bool = False
    outside: int = 0
    hidden: int = 0
    filled: int = 0
    loose: int = 0
    mixed: int = 0
    drawn: int = 0
    pieces: list[DrawnPieces] = field(default_factory=list)
    twice: list[DrawnTwice] = field(default_factory=list)
    opened: np.ndarray = field(default_factory=lambda: np.zeros((), bool))

    @property
    def has_objects(self) -> bool:
        """Whether the segmentation shows an object."""
        label = self.maps.get("segmentation")
        return label is not None and bool(is_marked(label).any())


class _Layer:
    """A label map that grows: 255 where nobody said anything yet."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.values = np.full(shape, IGNORE, np.uint8)
        self.used = False  # whether anybody drew for this task
        self.fill = False  # whether unmarked pixels are background
        self.whole = False  # likewise, whatever else was drawn: a picture is a mask of the whole image
        self.ignored: np.ndarray | None = None  # pixels that a label picture itself leaves open (255)

    def source(self, ignores: bool, whole: bool = False) -> None:
        """Take note that somebody drew for this task, and what is said about unmarked pixels."""
        self.used = True
        self.fill |= not ignores
        self.whole |= whole and not ignores

    def open(self, where: np.ndarray) -> None:
        """Make pixels unknown in the end."""
        self.values[where] = IGNORE
        if self.ignored is not None:
            self.values[self.ignored] = IGNORE


class Painter:
    """Makes the label maps of images.

    Args:
        options: what the user said.
        vocabulary: what names and values mean.
        marked: meanings that occur among the drawn marks of the whole data set.
        read: reads a label picture of a kind as integers (H, W).
    """

    def __init__(
        self,
        options: BuildOptions,
        vocabulary: Vocabulary,
        marked: Collection[str] = (),
        read: PictureReader = lambda path, kind: read_label(path),
    ) -> None:
        self.options = options
        self.vocabulary = vocabulary
        self.marked = marked
        self.read = read

    def labels(self, source: Source, shape: tuple[int, int]) -> ImageLabels:
        """Label maps of an image of ``shape`` (H, W).

        Raises:
            BuildError: for a label of another size, or a name or value without a meaning.
        """
        return _Painting(self, source, shape).finished()


class _Painting:
    """One image in the making."""

    def __init__(self, painter: Painter, source: Source, shape: tuple[int, int]) -> None:
        self.options, self.vocabulary, self.read = painter.options, painter.vocabulary, painter.read
        self.marked = painter.marked
        self.source, self.shape = source, shape
        self.segmentation, self.detection, self.separation = (_Layer(shape) for _ in range(3))
        self.objects = np.zeros(shape, np.int32)  # ids of exactly drawn objects
        self.classes = [0]  # class of each id
        self.numbers: Sequence[int] = ()  # what the id picture calls each
        self.outline = np.zeros(shape, bool)  # pixels of exactly drawn objects, with or without ids
        self.ignored = np.zeros(shape, bool)
        self.filled = False  # whether unmarked pixels became background
        self.rough: list[tuple[tuple[slice, slice], np.ndarray]] = []
        self.result = ImageLabels()

    def finished(self) -> ImageLabels:
        for kind in ("segmentation", "masks", "detection", "separation", "scribbles"):
            if kind in self.source.pictures:
                self._picture(kind)
        if self.source.annotations:
            self._annotations()
        open_objects = self._open_objects()
        self._segmentation(open_objects)
        self._detection()
        self._separation()
        return self._collected()

    # ------------------------------------------------------------------------------------------- what was drawn

    def _label(self, kind: str) -> np.ndarray:
        path = self.source.pictures[kind]
        label = self.read(path, kind)
        self._check_size(label.shape, path)
        if label.size and label.min() < 0 and not (kind == "masks" and _UNLABELLED in named_ids(self.options)):
            if label.min() < _UNLABELLED:
                raise BuildError(
                    f"'{path}' has the value {label.min()}: values are 0, 1, 2, ..., {IGNORE} and {_UNLABELLED} (not labelled)."
                )
            self._layer_ignores(kind, label == _UNLABELLED)
            label = np.where(label == _UNLABELLED, 0, label)
        return label

    def _check_size(self, shape: tuple[int, ...], path: Path) -> None:
        if tuple(shape) != tuple(self.shape):
            raise BuildError(
                f"'{path}' is {shape[1]} x {shape[0]} pixels but its image '{self.source.path}' is {self.shape[1]} x "
                f"{self.shape[0]}: give the label of this image, pixel for pixel."
            )

    def _picture(self, kind: str) -> None:
        label = self._label(kind)
        if kind == "masks":
            self._ids(label)
            return
        task = "segmentation" if kind == "scribbles" else kind
        layer = getattr(self, task)
        names_background = False
        values = np.unique(label).tolist()
        said = self.vocabulary.renamed(self.options, kind, str(IGNORE)) is not None
        if values in ([0, IGNORE], [IGNORE]) and not said and self._means_ignore(kind, IGNORE):
            meant = "interface" if kind == "separation" else self.vocabulary.classes[0]
            raise BuildError(
                f"'{self.source.pictures[kind]}' holds only 0 and {IGNORE}, and {IGNORE} means not labelled: if it means an "
                f"object, say --names {quoted(f'{kind}:{IGNORE}={meant}')}, "
                f"else {kind}:{IGNORE}=ignore."
            )
        for value in values:
            meaning = self.vocabulary.of_value(kind, value, self.source.pictures[kind])
            if meaning is None:
                continue
            where = label == value
            if isinstance(meaning, int) and kind == "separation":
                raise BuildError(
                    f"'{self.source.pictures[kind]}': value {value} of a separation label is a class: use 0 and 1."
                )
            if meaning == "ignore":
                self._layer_ignores(kind, where)
            elif meaning in ("interface", "other"):
                self.separation.source(self.vocabulary.ignores(kind, "separation"))
                self.separation.values[where] = INTERFACE if meaning == "interface" else BACKGROUND
            elif meaning == "background":
                names_background = True
                layer.values[where] = BACKGROUND
                layer.used = True
            elif meaning != "drop":
                layer.values[where] = meaning
                if kind == "segmentation":
                    self.outline |= where
                layer.used = True
        if layer.used or kind != "scribbles":
            layer.source(self.vocabulary.ignores(kind, task), whole=True)
        if kind == "segmentation" and names_background and not layer.fill and (layer.values == IGNORE).any():
            self.outline[:] = False  # brushed, like scribbles: nothing is known about what lies beside
        if kind == "scribbles" and self.options.derive:
            # A stroke inside an object is an inner region of it.
            drawn = self.segmentation.values != IGNORE
            self.detection.values[drawn] = self.segmentation.values[drawn]
            self.detection.used |= bool(drawn.any())
            self.detection.fill |= self.segmentation.fill and not self.outline.any()

    def _means_ignore(self, kind: str, value: int) -> bool:
        return self.vocabulary.of_value(kind, value, self.source.pictures[kind]) == "ignore"

    def _layer_ignores(self, kind: str, where: np.ndarray) -> None:
        """255 or -1 in a label picture: unknown to the task it is for."""
        if kind in ("masks", "segmentation", "scribbles"):
            self.ignored |= where
        else:
            layer = getattr(self, kind)
            layer.ignored = where if layer.ignored is None else layer.ignored | where

    def _ids(self, label: np.ndarray) -> None:
        path, named = self.source.pictures["masks"], "segmentation" in self.source.pictures
        known = {value: meaning for value, meaning in self.vocabulary.of_ids(path).items() if (label == value).any()}
        rest = np.where(np.isin(label, list(known)), 0, label) if known else label
        if not named and len(self.vocabulary.classes) > 1 and rest.any():
            raise BuildError(
                f"'{path}' holds object ids, which do not say whose class is which of "
                f"{', '.join(self.vocabulary.classes)}: add class pictures in classes/ or by --labels segmentation=FOLDER, or "
                "name one class."
            )
        compact, table = compact_instances(_as_ids(rest))
        if self.options.ids == "pieces":
            compact = connected_pieces(compact)
            table = np.arange(int(compact.max(initial=0)) + 1)
        self.numbers = table.tolist()
        self.objects = compact.copy()
        self.classes = class_table(compact, table, self.segmentation.values if named else None).tolist()
        for value, meaning in known.items():
            self._named_id(path, value, meaning, label == value)
        if named:
            self._agree(table)
        else:
            self.segmentation.source(self.vocabulary.ignores("masks", "segmentation"), whole=True)

    def _named_id(self, path: Path, value: int, meaning: int | str, where: np.ndarray) -> None:
        """A value of an id picture that ``--names`` says is none."""
        if meaning in ("interface", "other"):
            raise BuildError(
                f"'{path}': --names masks:{value}={meaning} says that an id picture marks interfaces: give these as "
                "--labels separation=FOLDER."
            )
        if isinstance(meaning, int):
            pieces = connected_pieces(where)
            self.objects[where] = pieces[where] + (len(self.classes) - 1)
            self.classes += [meaning] * int(pieces.max(initial=0))
        elif meaning == "ignore":
            self.ignored |= where
        elif meaning == "background":
            self.segmentation.values[where] = BACKGROUND

    def _agree(self, table: np.ndarray) -> None:
        """Ids say which pixels are objects, the class picture says which class each has: one must not deny the other.

        Args:
            table: id in the picture of each object.
        """
        values = self.segmentation.values
        classless = ((values == BACKGROUND) | (values == IGNORE)) & ~self.ignored
        bad = [id for id in np.unique(self.objects[classless]).tolist() if id and not self.classes[id]]
        if bad:
            raise BuildError(
                f"'{self.source.pictures['masks']}': object {table[bad[0]]} ({len(bad)} in all) has no pixel of a class in "
                f"'{self.source.pictures['segmentation']}': draw it there in its class, or remove it from the ids."
            )
        inside = classless & (self.objects > 0)
        own = np.asarray(self.classes, np.uint8)[self.objects]
        values[inside] = own[inside]
        self.outline |= inside
        other = (self.objects > 0) & ~self.ignored & (values != own)
        self.result.mixed = np.unique(self.objects[other]).size
        self.result.filled = int(inside.sum())
        self.result.loose = int((~classless & ~self.ignored & (self.objects == 0)).sum())

    def _annotations(self) -> None:
        drawn = []
        for kind, annotation in self.source.annotations:
            if kind == "exact" and not annotation.marks and self.vocabulary.said_background(kind):
                self.segmentation.source(ignores=False)  # somebody looked, and there is nothing
            if annotation.size is not None:
                self._check_size(annotation.size, annotation.source)
            for mark in annotation.marks:
                meaning = self.vocabulary.of_mark(kind, mark, annotation.source)
                if meaning == "drop":
                    continue
                part, mask = mark.draw(self.shape, self.options.line_width, self.options.point_radius)
                area = int(np.count_nonzero(mask))
                self.result.drawn += 1
                if area:
                    drawn.append(
                        (_DRAWN_LAST[mark.kind], -area, len(drawn), kind, annotation.source, mark, meaning, part, mask)
                    )
                else:
                    self.result.outside += 1
        # Areas first, the smaller on top of the larger: what lies inside another stays visible. Then lines, then points.
        drawn.sort(key=lambda entry: entry[:3])
        brushes_background = any(meaning == "background" for *_, meaning, _, _ in drawn)
        pieces: dict[tuple[Path, str], list[tuple[int, str]]] = defaultdict(list)
        outlined, opened = self._ids_as_outlines(), np.zeros(self.shape, bool)
        for *_, kind, path, mark, meaning, part, mask in drawn:
            if meaning == "ignore":
                opened[part] |= mask
            elif meaning in ("interface", "other"):
                self.separation.source(self.vocabulary.ignores(kind, "separation", self.marked))
                self.separation.values[part][mask] = INTERFACE if meaning == "interface" else BACKGROUND
            elif meaning == "background":
                self._background(kind, part, mask)
            elif mark.kind == "area" and self.vocabulary.exact(kind, mark, path):
                found = connected_pieces(mask) if mark.raster is not None or _rings(mark) > 1 else mask
                pieces[path, mark.name].append((_count_pieces(found), mark.id))
                outlined.append(Outlined(int(meaning), path, mark.id, part, mask))
                if self.options.ids != "pieces":
                    found = mask
                self.objects[part][mask] = found[mask].astype(np.int32) + (len(self.classes) - 1)
                self.classes += [meaning] * int(found.max())
                self.segmentation.source(self.vocabulary.ignores(kind, "segmentation", self.marked))
                self.segmentation.values[part][mask] = IGNORE  # an object drawn inside a marked background
                beneath = self.detection.values[part]
                beneath[mask & (beneath == BACKGROUND)] = IGNORE
            else:
                self.detection.source(self.vocabulary.ignores(kind, "detection", self.marked))
                self.detection.values[part][mask] = meaning
                self.rough.append((part, mask))
                if brushes_background:
                    # Strokes of object and background: the image is labelled by scribbles, each exact where it was drawn.
                    self.segmentation.used = True
                    self.segmentation.values[part][mask] = meaning
        self.ignored |= opened
        self.result.opened = opened
        self.result.twice = drawn_twice(outlined)
        for (path, name), counts in pieces.items():
            most, id = max(counts)
            self.result.pieces.append(DrawnPieces(path, name, len(counts), sum(n for n, _ in counts), most, id))

        for _, annotation in self.source.annotations:
            for top, left, height, width in annotation.unknown:
                part = tuple(
                    slice(max(int(np.floor(start)), 0), max(int(np.ceil(start + length)), 0))
                    for start, length in ((top, height), (left, width))
                )
                drawn_there = self.objects[part] > 0
                for layer in (self.segmentation, self.detection, self.separation):
                    drawn_there |= layer.values[part] != IGNORE
                self.ignored[part] |= ~drawn_there

    def _ids_as_outlines(self) -> list[Outlined]:
        """The objects of an id picture, which may be outlined in an annotation file, too."""
        return [
            Outlined(self.classes[id], self.source.pictures["masks"], self._number(id), part, self.objects[part] == id)
            for id, part in enumerate(ndimage.find_objects(self.objects), start=1)
            if part is not None
        ]

    def _number(self, id: int) -> str:
        return str(self.numbers[id]) if id < len(self.numbers) else ""

    def _background(self, kind: str, part: tuple[slice, slice], mask: np.ndarray) -> None:
        self.objects[part][mask] = 0
        for layer, task in ((self.segmentation, "segmentation"), (self.detection, "detection")):
            layer.values[part][mask] = BACKGROUND
            layer.used = True
            if task == "detection":
                layer.source(self.vocabulary.ignores(kind, task, self.marked))

    # ------------------------------------------------------------------------------------------- what follows from it

    def _open_objects(self) -> np.ndarray:
        """Pixels marked roughly, in objects whose outline nobody drew."""
        found = np.zeros(self.shape, bool)
        inside = self.outline | (self.objects > 0)
        for part, mask in self.rough:
            if 2 * np.count_nonzero(inside[part][mask]) < np.count_nonzero(mask):
                found[part] |= mask
        return found

    def _segmentation(self, open_objects: np.ndarray) -> None:
        layer = self.segmentation
        self.result.hidden = len(self.classes) - 1 - np.unique(self.objects[self.objects > 0]).size
        if "segmentation" not in self.source.pictures:
            inside = (self.objects > 0) & (layer.values == IGNORE)
            layer.values[inside] = np.asarray(self.classes, np.uint8)[self.objects[inside]]
        self.outline |= self.objects > 0
        self.result.exact = bool(self.outline.any()) or (layer.used and layer.fill)
        unmarked = layer.values == IGNORE
        self.filled = layer.whole or (layer.fill and not open_objects.any())
        if self.filled:
            layer.values[unmarked] = BACKGROUND
        self.result.background = self.detection.fill or bool((layer.values == BACKGROUND).any())
        if not self.filled and self.options.halo and self.outline.any():
            near = ndimage.distance_transform_edt(~self.outline) <= self.options.halo
            layer.values[near & unmarked & ~open_objects] = BACKGROUND
        layer.used |= bool(self.outline.any())
        layer.open(self.ignored)

    def _detection(self) -> None:
        layer, mask = self.detection, self.segmentation.values
        drawn = layer.values.copy()
        if self.options.derive and "detection" not in self.source.pictures and self.outline.any():
            # As in a simulated data set: an object's border belongs to no inner region, and neither does background.
            layer.values[:] = np.where((mask == BACKGROUND) | self.outline, BACKGROUND, IGNORE)
            ids = self.objects if self.objects.any() else instances_from_classes(np.where(self.outline, mask, BACKGROUND))
            rng = np.random.default_rng([self.options.seed, zlib.crc32(self.source.name.encode(errors="surrogateescape"))])
            inner = inner_regions(ids, mask, rng=rng)
            layer.values[inner > 0] = inner[inner > 0]
            layer.values[drawn != IGNORE] = drawn[drawn != IGNORE]
            layer.used = True
        elif self.options.derive and self.segmentation.used and self.segmentation.fill and not layer.used and self.result.exact:
            layer.values[mask == BACKGROUND] = BACKGROUND  # an exact mask without any object
            layer.used = True
        if layer.fill:
            layer.values[layer.values == IGNORE] = BACKGROUND
        layer.open(self.ignored)

    def _separation(self) -> None:
        layer, mask = self.separation, self.segmentation.values
        if layer.used:
            unmarked = layer.values == IGNORE
            if layer.fill:
                layer.values[unmarked] = BACKGROUND
            elif self.options.derive:
                # No interface runs inside an inner region.
                inner = is_marked(self.detection.values)
                layer.values[unmarked & inner] = BACKGROUND
        elif self.options.derive and self.objects.any():
            layer.values[:] = interfaces_where_known(self.objects, mask != IGNORE, self.options.gap)
            layer.used = True
        layer.open(self.ignored)

    def _collected(self) -> ImageLabels:
        for task in ("segmentation", "detection", "separation"):
            layer = getattr(self, task)
            if layer.used and (layer.values != IGNORE).any():
                self.result.maps[task] = layer.values
        self.result.objects = self.objects
        label = self.result.maps.get("segmentation")
        self.result.exact &= label is not None
        if label is not None:
            unknown = np.count_nonzero(label == IGNORE)
            # A patch that was left open on purpose does not make a mask a partial one.
            self.result.complete = not unknown or (self.filled and 2 * unknown < label.size)
            if self.objects.any() and not unknown:
                self.result.instances = self.objects
        return self.result


def _rings(mark: Mark) -> int:
    return sum(len(polygon) for polygon in mark.polygons)


def _count_pieces(pieces: np.ndarray) -> int:
    """How many of the numbered pieces of a mark count: specks beside a large one are slips of the hand."""
    sizes = np.bincount(pieces.ravel())[1:]
    return int(np.count_nonzero(sizes >= max(MIN_PIECE * sizes.max(), min(MIN_PIECE_PIXELS, sizes.max()))))


def _as_ids(label: np.ndarray) -> np.ndarray:
    """Ids as int32; those beyond its range are numbered anew."""
    if label.size and label.max() > np.iinfo(np.int32).max:
        return np.unique(label, return_inverse=True)[1].reshape(label.shape).astype(np.int32) + int(label.min() > 0)
    return label.astype(np.int32)
