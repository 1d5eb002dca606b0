"""Which drawn names are classes, before they are believed: numbers of objects, regions around objects, words with a meaning."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lazylabels_monai.data.building.belonging import Source
from lazylabels_monai.data.building.options import BuildError, BuildOptions, Vocabulary
from lazylabels_monai.errors import some
from lazylabels_monai.labels.annotations import Annotation, Mark
from lazylabels_monai.labels.names import object_numbers, plain, split_name
from lazylabels_monai.labels.rasterize import Patch, fill_polygons
from lazylabels_monai.option_text import naming, quoted, written_names

__all__ = ["settle_names"]

#: Marks that lie in an unnamed area, and how many times larger than their median it is, from which it is a region around them.
_AROUND, _LARGER = 2, 4.0
#: The same for an area of their own class.
_AROUND_NAMED, _LARGER_NAMED = 3, 10.0
#: Names, and marks of each on average, from which the names are those of single objects.
_MOST_NAMES, _FEW_MARKS = 20, 1.5
#: Names that are drawn a single time in all files, from which they are names of single objects.
_MOST_SINGLE = 7
#: Marks of a class in a file, on average, below which it counts as drawn once.
_FEW_ONCE = 1.2
#: 4 pi area / perimeter^2 from which an area is too compact to be an interface between objects; 1 for a disc.
_COMPACT = 0.4

#: Words that mean something here, and what people and programs write for them ("Ignore*", "Backgrounds").
_NEAR = {
    "background": ("background", "backgrounds", "back ground", "bg", "bkg", "bckg", "bgd"),
    "ignore": (
        "ignore",
        "ignored",
        "ignores",
        "unlabelled",
        "unlabeled",
        "exclude",
        "excluded",
        "un labelled",
        "un labeled",
        "not labelled",
    ),
    "interface": ("interface", "interfaces", "boundary", "boundaries", "contact", "contacts"),
    "other": ("other", "others"),
}
_MEANINGS = {word: meaning for meaning, words in _NEAR.items() for word in words}

Change = Callable[[str, Annotation, Mark], Mark | None]


def settle_names(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Give marks the names of their classes; what the user said about a name is left as it is.

    Args:
        sources: the images with their annotations, whose marks are replaced.
        options: what the user said.

    Returns:
        what was taken for what, and questions, a sentence each.

    Raises:
        BuildError: where a name may mean two things.
    """
    if not any(source.annotations for source in sources):
        return []
    _trim(sources, options)
    return [
        *_without_image_names(sources, options),
        *_without_numbers(sources, options),
        *_near_words(sources, options),
        *_without_regions(sources, options),
        *_without_named_regions(sources, options),
        *_unnamed(sources, options),
        *_words_on_areas(sources, options),
        *_once_a_file(sources, options),
        *_alike(sources, options),
    ]


def _each(sources: Iterable[Source]) -> Iterator[tuple[Source, str, Annotation, Mark]]:
    for source in sources:
        for kind, annotation in source.annotations:
            for mark in annotation.marks:
                yield source, kind, annotation, mark


def _change(sources: Iterable[Source], change: Change) -> None:
    for source in sources:
        source.annotations[:] = [
            (kind, replace(a, marks=[made for mark in a.marks if (made := change(kind, a, mark)) is not None]))
            for kind, a in source.annotations
        ]


def _said(options: BuildOptions, kind: str, name: str) -> bool:
    """Whether the user said what a name is."""
    named = {*(options.classes or ()), *options.areas} - {""}
    return name.lower() in {n.strip().lower() for n in named} or Vocabulary.renamed(options, kind, name) is not None


def _meaning(options: BuildOptions, kind: str, name: str) -> str | None:
    """What a drawn name means where it is no class: background, ignore, interface, other, drop; otherwise None."""
    renamed = Vocabulary.renamed(options, kind, name)
    return Vocabulary.reserved(options, name if renamed is None else renamed)


def _trim(sources: Sequence[Source], options: BuildOptions) -> None:
    """One writing of blanks: "Cell " is "Cell"."""

    def change(kind: str, annotation: Annotation, mark: Mark) -> Mark:
        name = " ".join(mark.name.split())
        return mark if name == mark.name or _said(options, kind, mark.name) else replace(mark, name=name)

    _change(sources, change)


def _without_image_names(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Take the name of its own image off the names of marks: ``a.tif:0012-0345`` and ``a_cell_1`` of ``a.tif``."""
    drawn = {id(source): {mark.name for _, a in source.annotations for mark in a.marks if mark.name} for source in sources}
    rests: dict[tuple[int, str], str] = {}
    for source in sources:
        if not re.search(r"[^\W\d_]", source.path.stem):  # "1.png": its number says nothing
            continue
        ending = rf"({re.escape(source.path.suffix)}|\.[a-z][a-z0-9]{{1,4}})?"
        own = re.compile(rf"{re.escape(source.path.stem)}{ending}(?P<rest>[\s_\-.:;#/|(\[].*)?", re.IGNORECASE)
        for name in drawn[id(source)]:
            if match := own.fullmatch(name):
                rests[id(source), name] = re.sub(r"^[\s_\-.:;#/|]+", "", match["rest"] or "")
    having = {number for number, _ in rests}
    if len(having) < 2 or 2 * len(having) <= sum(map(bool, drawn.values())):
        return []  # "cell.png" with cells in it
    found: set[str] = set()
    for source in sources:

        def change(kind: str, annotation: Annotation, mark: Mark, number: int = id(source)) -> Mark:
            rest = rests.get((number, mark.name))
            if rest is None or _said(options, kind, mark.name):
                return mark
            found.add(mark.name)
            return replace(mark, name=rest or annotation.word, is_class=False)  # who writes so names no classes

        _change([source], change)
    if not found:
        return []
    return [f"the names {some(sorted(found))} begin with the name of their image, which is no class and is taken off."]


def _without_numbers(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Take running numbers off names; a name that is nothing else gives way to the class in the file's name.

    A name that some file's format says is a class stays one: people number objects in names of ROIs, not in categories.
    """
    drawn = [(s.name, m) for s, kind, _, m in _each(sources) if m.name and not _said(options, kind, m.name)]
    classes = {plain(mark.name) for _, mark in drawn if mark.is_class}
    # classes without a number tell that "cell-1" beside "cell" is one of them
    asked = [(s, m.name) for s, m in drawn if plain(m.name) not in classes or not split_name(m.name).numbered]
    table = {name: stem for name, stem in object_numbers(asked).items() if plain(name) not in classes}
    for name in {mark.name for _, mark in drawn}:
        # "interface-1" is an interface even where each is drawn many times
        if plain(stem := split_name(name).stem) in _MEANINGS or plain(stem) == plain(options.interface):
            table[name] = stem
    if not table:
        return []
    _change(
        sources,
        lambda kind, a, m: (
            m if m.name not in table or _said(options, kind, m.name) else replace(m, name=table[m.name] or a.word)
        ),
    )
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(table, key=lambda name: (len(name), name)):
        if plain(table[name]) not in _MEANINGS:
            groups[table[name]].append(name)
    notes = []
    for stem, members in groups.items():
        become = f"are one class, '{stem}'" if stem else "are no classes"
        subject = f"the names {some(members)} number single objects and" if len(members) > 1 else f"the name '{members[0]}'"
        if len(members) == 1:
            become = f"is taken for the class '{stem}'" if stem else "is no class"
        listed = written_names(members[:1])
        listed = f"{listed.removesuffix(']')}, ...]" if listed.startswith("[") else f"{listed},..."
        notes.append(f"{subject} {become}; if they are classes, list them all: --classes {quoted(listed)}.")
    return notes


def _near_words(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Words close to those that mean something here: ``Ignore*`` is ``ignore``."""
    found: Counter[tuple[str, str]] = Counter()

    def change(kind: str, annotation: Annotation, mark: Mark) -> Mark:
        meaning = _MEANINGS.get(plain(mark.name))
        if meaning is None or _said(options, kind, mark.name) or Vocabulary.reserved(options, mark.name):
            return mark
        found[mark.name, meaning] += 1
        return replace(mark, name=meaning)

    _change(sources, change)
    return [
        f"{count} marks named '{name}' are taken as {meaning}; if that is not meant, say {naming(name, 'CLASS')}."
        for (name, meaning), count in found.items()
        if meaning != "other"
    ]


def _without_regions(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Leave out unnamed areas around objects: in QuPath, the region in which cells were detected."""
    regions: list[str] = []
    for source in sources:
        marks = [(kind, mark) for kind, a in source.annotations for mark in a.marks]
        # a pattern such as '*' is said of names, '' of marks without one
        said = {kind for kind in ("", *(kind for kind, _ in marks)) if "" in options.names.get(kind, {})}
        unnamed = [m for kind, m in marks if not m.name and m.kind == "area" and not {"", kind} & said]
        if not unnamed or len(marks) <= _AROUND:
            continue
        around = _Boxed(mark for _, mark in marks).regions({id(m) for m in unnamed}, _AROUND, _LARGER)
        if around:
            regions.append(source.path.name)
            source.annotations[:] = [
                (kind, replace(a, marks=[m for m in a.marks if id(m) not in around])) for kind, a in source.annotations
            ]
    if not regions:
        return []
    return [
        f"unnamed areas around other marks are regions, no objects, and are left out of {len(regions)} images "
        f"({some(regions)}): pass --unlabelled ignore if objects outside of them are not marked; if they are "
        "objects, say --names '=CLASS'."
    ]


def _without_named_regions(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Leave out an area around many marks of its own class: in QuPath, the tumour in which tumour cells were detected."""
    regions: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        groups: dict[tuple[str, str], list[Mark]] = defaultdict(list)
        for kind, a in source.annotations:
            for mark in a.marks:
                settled = any(mark.name.lower() == old.lower() for key in (kind, "") for old in options.names.get(key, {}))
                if mark.kind == "area" and mark.name and not settled:
                    groups[kind, plain(mark.name)].append(mark)
        around: set[int] = set()
        for marks in groups.values():
            if len(marks) <= _AROUND_NAMED:
                continue
            boxed = _Boxed(marks)
            large = boxed.sizes >= _LARGER_NAMED * np.median(boxed.sizes) if boxed.marks else ()
            asked = {id(m) for m, is_large in zip(boxed.marks, large, strict=True) if is_large}
            found = boxed.regions(asked, _AROUND_NAMED, _LARGER_NAMED)
            around |= found
            for name in {m.name for m in marks if id(m) in found}:
                regions[name].append(source.path.name)
        if around:
            source.annotations[:] = [
                (kind, replace(a, marks=[m for m in a.marks if id(m) not in around])) for kind, a in source.annotations
            ]
    return [
        f"areas named '{name}' around many smaller ones of that name are regions, no objects, and are left out of "
        f"{len(files)} images ({some(files)}): pass --unlabelled ignore if objects outside of them are not marked; if they are "
        f"objects, say {naming(name, name)}."
        for name, files in regions.items()
    ]


#: Pixels of a box from which nobody looks how compact the shape in it is.
_LARGE = 2**26
#: Pixels of the grid on which it is seen what lies in an area: larger areas are made smaller for it.
_GRID = 2**22
#: Points of a mark that are looked up there, and the share of them from which the mark lies in the area.
_LOOKED_UP, _INSIDE = 64, 0.5


class _Boxed:
    """Marks with their boxes, among which regions are looked for; marks without points are none of them.

    Args:
        marks: of one image.
    """

    def __init__(self, marks: Iterable[Mark]) -> None:
        found = [(mark, box) for mark in marks if (box := _box(mark)) is not None]
        self.marks = [mark for mark, _ in found]
        self.boxes = np.array([box for _, box in found]).reshape(-1, 2, 2)
        self.sizes = (self.boxes[:, 1] - self.boxes[:, 0]).prod(axis=1)

    def regions(self, asked: Collection[int], count: int, larger: float) -> set[int]:
        """The areas, by ``id()``, that are regions: other marks lie in them, holes left out, and are many times smaller.

        Args:
            asked: the areas that may be some.
            count: how many marks lie in one at least.
            larger: how many times larger it is than their median.
        """
        found = set()
        for number, mark in enumerate(self.marks):
            if id(mark) in asked and not mark.is_object and self._is_region(number, count, larger):
                found.add(id(mark))
        return found

    def _is_region(self, number: int, count: int, larger: float) -> bool:
        own, size = self.boxes[number], float(self.sizes[number])

        def many(which: np.ndarray) -> bool:
            return len(which) >= count and size >= larger * float(np.median(np.maximum(self.sizes[which], 1)))

        # boxes first, as they cost nothing; a finger's breadth of room: outlines at the region's border reach out of it
        room = 0.02 * (own[1] - own[0]) + 2
        near = np.flatnonzero(((self.boxes[:, 0] >= own[0] - room) & (self.boxes[:, 1] <= own[1] + room)).all(axis=1))
        near = near[near != number]
        if len(near) < count or size < larger * max(float(self.sizes[near].min()), 1.0):
            return False
        inside = _inside(self.marks[number], own)
        return inside is not None and many(near[[inside(_some_points(self.marks[n])) >= _INSIDE for n in near]])


def _inside(area: Mark, box: np.ndarray) -> Callable[[np.ndarray], float] | None:
    """Gives the share of points (N, 2) that lie in an area; None where it is too large to be drawn."""
    if area.raster is not None:
        if isinstance(area.raster, Patch) and area.raster.box[2] * area.raster.box[3] > 4 * _LARGE:
            return None
        mask, origin = area.raster
        origin, scale = np.asarray(origin, float), 1.0
    else:
        origin, extent = np.floor(box[0]), np.ceil(box[1]) - np.floor(box[0]) + 1
        scale = max(1.0, float(np.sqrt(extent.prod() / _GRID)), float(extent.max() / _GRID))
        shape = np.ceil(extent / scale).astype(int).tolist()
        rings = [[(np.asarray(ring, float).reshape(-1, 2) - origin) / scale for ring in polygon] for polygon in area.polygons]
        part, drawn = fill_polygons(rings, (shape[0], shape[1]))
        mask = np.zeros(shape, bool)
        mask[part] = drawn

    def share(points: np.ndarray) -> float:
        rows, columns = np.floor((points - origin) / scale).astype(int).T
        there = (rows >= 0) & (rows < mask.shape[0]) & (columns >= 0) & (columns < mask.shape[1])
        return float(np.count_nonzero(mask[rows[there], columns[there]]) / max(len(points), 1))

    return share


def _some_points(mark: Mark) -> np.ndarray:
    """Points (N, 2) of a mark, (y, x): pixels of one that is stored as pixels, else vertices of its outer rings."""
    if isinstance(mark.raster, Patch) and mark.raster.box[2] * mark.raster.box[3] > _LARGE:
        return np.zeros((0, 2))
    if mark.raster is not None:
        mask, origin = mark.raster
        points = np.argwhere(mask) + np.asarray(origin) + 0.5
    else:
        points = _points(mark)
    return points[:: -(-len(points) // _LOOKED_UP) or 1]


def _points(mark: Mark) -> np.ndarray:
    """Outer vertices (N, 2) of a mark, (y, x)."""
    if isinstance(mark.raster, Patch):
        row, column, height, width = mark.raster.box
        return np.array([(row, column), (row + height, column + width)], float) if height * width else np.zeros((0, 2))
    if mark.raster is not None:
        mask, origin = mark.raster
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
        if not rows.size:
            return np.zeros((0, 2))
        return np.array([(rows[0], columns[0]), (rows[-1] + 1, columns[-1] + 1)], float) + origin
    rings = [np.asarray(polygon[0], float).reshape(-1, 2) for polygon in mark.polygons if len(polygon)]
    return np.concatenate(rings) if rings else np.asarray(mark.points, float).reshape(-1, 2)


def _box(mark: Mark) -> np.ndarray | None:
    """First and last (y, x); None for a mark without points."""
    points = _points(mark)
    return np.stack([points.min(0), points.max(0)]) if len(points) else None


def _unnamed(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Marks without a name are the one class where nothing else is a class; beside a named one they are asked about."""
    marks = list(_each(sources))
    unnamed = [(a, m) for _, kind, a, m in marks if not m.name and not _said(options, kind, "")]
    if not unnamed:
        return []
    classes = Counter(m.name for _, kind, _, m in marks if m.name and _meaning(options, kind, m.name) is None)
    if classes and (options.classes is None or len(options.classes) > 1):
        annotation, mark = unnamed[0]
        name = classes.most_common(1)[0][0]
        raise BuildError(
            f"'{annotation.source}': {len(unnamed)} marks, the first of them {mark.id or '?'}, have no class beside those "
            f"named {some(list(classes))}: say {naming('', name)} if they are that, '=ignore' if nothing is to be learnt "
            "there, or '=drop' to leave them out."
        )
    only = options.classes[0] if options.classes else "object"
    if options.classes is not None and len(options.classes) > 1:
        return []
    return [f"{len(unnamed)} marks have no class of their own and are one class, '{only}'; another name: --classes NAME."]


def _words_on_areas(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Areas under a word that means something here, though somebody may have called objects so."""
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for _, kind, annotation, mark in _each(sources):
        if mark.kind != "area" or not mark.name or _said(options, kind, mark.name):
            continue
        meaning = Vocabulary.reserved(options, mark.name)
        if meaning == "interface" and (plain(mark.name) == plain(options.interface) != "interface" or not _compact(mark)):
            continue
        if meaning in _NEAR:
            found[mark.name, meaning].append(annotation.source)
    notes = []
    for (name, meaning), files in found.items():
        if meaning == "other":
            raise BuildError(
                f"'{files[0]}': {len(files)} areas are named '{name}', which says here that no interface is there: if it is a "
                f"class of objects, say {naming(name, 'CLASS')} or list all --classes; if it is none, "
                f"{naming(name, 'background')} (or =ignore, =drop); {naming(name, 'other')} if no interface is meant."
            )
        what = {
            "background": "background, where no object is",
            "ignore": "not labelled, so that nothing is learnt there",
            "interface": "interfaces between objects, though they are wide",
        }[meaning]
        notes.append(
            f"{len(files)} areas named '{name}' are {what}: if '{name}' is a class of objects, say {naming(name, 'CLASS')}; "
            f"{naming(name, meaning)} settles it."
        )
    return notes


def _compact(mark: Mark) -> bool:
    if mark.raster is not None:
        if isinstance(mark.raster, Patch) and mark.raster.box[2] * mark.raster.box[3] > _LARGE:
            return True
        mask = np.pad(next(iter(mark.raster)), 1)
        area = np.count_nonzero(mask)
        # of steps along rows and columns a slanting edge has 4 / pi times as many
        length = np.pi / 4 * sum(np.count_nonzero(np.diff(mask.astype(np.int8), axis=axis)) for axis in (0, 1))
    else:
        area = length = 0.0
        for polygon in mark.polygons:
            ring = np.asarray(polygon[0], float).reshape(-1, 2)
            following = np.roll(ring, -1, axis=0)
            area += abs(float((ring[:, 0] * following[:, 1] - ring[:, 1] * following[:, 0]).sum())) / 2
            length += float(np.hypot(*(following - ring).T).sum())
    return bool(length) and 4 * np.pi * area / length**2 > _COMPACT


def _alike(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Classes whose names differ by a sign or a plural alone: one of them may be a slip."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for _, kind, _, mark in _each(sources):
        if mark.name and _meaning(options, kind, mark.name) is None and not _said(options, kind, mark.name):
            words = re.sub(r"(?<=\w)[\s_\-]+(?=\w|$)", " ", mark.name.casefold()) if not mark.name.endswith("-") else mark.name
            groups[re.sub(r"(?<=[^\W\d]{3})s$", "", words.strip())][mark.name.lower()] += 1
    return [
        f"the classes {some(list(names))} have nearly the same name: if they are one, say "
        f"{naming(names.most_common()[-1][0], names.most_common(1)[0][0])}."
        for names in groups.values()
        if len(names) > 1
    ]


def _once_a_file(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Classes of which most files hold one mark, where others are drawn more often; names of which there are too many."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[str, str] = {}
    files = set()
    for source, kind, _, mark in _each(sources):
        files.add(source.name)
        if mark.name and _meaning(options, kind, mark.name) is None:
            counts[mark.name][source.name] += 1
            kinds[mark.name] = kind
    asked = {name: by_file for name, by_file in counts.items() if not _said(options, kinds[name], name)}
    total = sum(sum(by_file.values()) for by_file in asked.values())
    if len(asked) > _MOST_NAMES and total < _FEW_MARKS * sum(len(by_file) for by_file in asked.values()):
        raise BuildError(
            f"{len(asked)} names are drawn, most of them once in a file, such as {some(sorted(asked))}: if they are names "
            "of single objects, say --names '*=object' (or what they are); if they are classes, list them all as --classes."
        )
    single = [name for name, by_file in asked.items() if sum(by_file.values()) == 1]
    if len(single) > _MOST_SINGLE and len(single) > 0.8 * len(asked):
        raise BuildError(
            f"{len(single)} of {len(asked)} names are drawn a single time, such as {some(sorted(single))}: if they are "
            "names of single objects, say --names '*=object' (or what they are); if they are classes, list them all: --classes."
        )
    if len(single) < 3 or 2 * len(single) <= len(asked):
        single = []
    once = [
        name
        for name, by_file in asked.items()
        if name in single or (len(by_file) > max(1, len(files) / 2) and sum(by_file.values()) < _FEW_ONCE * len(by_file))
    ]
    if not once or len(counts) < 2:
        return []
    shown = some(sorted(once))
    return [
        f"{'each of ' if len(once) > 1 else ''}{shown} is drawn once in most files: a region or a scale bar is no class "
        f"({naming(once[0], 'drop')}, or =ignore), nor is the name of a single object ({naming(once[0], 'object')}); if it is "
        "a class, list all --classes."
    ]
