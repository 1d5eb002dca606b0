"""Whether label pictures are what their folder's name says, before they are believed."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lazylabels_monai.data.building.belonging import Source, some
from lazylabels_monai.data.building.options import BuildError, BuildOptions, named_ids
from lazylabels_monai.data.building.summary import MadeImage
from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.errors import LazyLabelsError, some_of
from lazylabels_monai.images.files import read_image
from lazylabels_monai.images.headers import orientation
from lazylabels_monai.labels.formats import read_label_picture
from lazylabels_monai.labels.formats.cellpose import is_packed
from lazylabels_monai.labels.plausible import (
    CLASS_PIECES_ALONE,
    MANY_PIECES,
    Look,
    Suspicion,
    look_at,
    suspect_classes,
    suspect_ids,
)

__all__ = ["look_at_marks", "look_at_orientations", "look_at_pictures"]

#: Colours from which a colour picture is one that was drawn upon, rather than a label in colours.
_PICTURE_COLOURS = 256

#: How many times larger than the median object 0 is at most, where it may be one.
ZERO_OBJECT = 3.0
#: Marks without a pixel from which, where they are most of all, their coordinates are no pixels of their images.
MIN_OUTSIDE = 3

_SMOOTHED = "save it without smoothing: PNG or TIFF, no anti-aliasing, resized with nearest neighbours only; or set a threshold"

#: What to do about each suspicion; {kind} and {folder} are the label's, {value} is the value concerned.
_REMEDIES = {
    "ids-binary": "pass --ids pieces if each connected piece is an object; where objects touch, name the folder segmentation/ "
    "instead, with --names segmentation:{value}=CLASS, or give ids. If one value is one object indeed: --ids values",
    "ids-classes": "name the folder segmentation/ instead of {folder}/, or say --names masks:VALUE=CLASS,... for each value, "
    "whose connected pieces are then the objects. If one value is one object indeed: --ids values",
    "ids-pieces": "give each object a number of its own, or pass --ids values if the pieces are one object; if a value is "
    "no object, say --names masks:VALUE=ignore (or =background)",
    "ids-background": "say --names masks:{value}=background (masks:{value}=background,0=CLASS if 0 is an object there). If "
    "it is an object indeed: --ids values",
    "ids-outlines": "fill the outlines (Fiji: Process > Binary > Fill Holes), as an exact mask holds the whole object. If "
    "objects are that thin: --ids values",
    "ids-specks": "erase them if they are no objects; if they are: --ids values",
    "classes-ids": "name the folder masks/ instead of {folder}/ if these are object ids (or pass it as --labels masks=PATH "
    "from elsewhere), else name all --classes",
    "classes-background": "say --names {kind}:{value}=background if it is, and name the other values, too",
}


def look_at_pictures(sources: Sequence[Source], options: BuildOptions) -> list[str]:
    """Look at all label pictures; a picture that cannot be read is left to who reads it next.

    Args:
        sources: the images with their label files.
        options: what the user said; what is said is not asked again.

    Returns:
        questions, a sentence each.

    Raises:
        DatalistError: for what cannot be meant, a sentence for each fault.
    """
    sure: list[str] = []
    questions: list[str] = []
    for kind in ("masks", "segmentation", "detection", "separation", "scribbles"):
        paths = [source.pictures[kind] for source in sources if kind in source.pictures]
        if not paths or (kind == "masks" and options.ids == "values"):
            continue
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            looks = dict(zip(paths, pool.map(lambda path, kind=kind: _look(path, kind, options), paths), strict=True))
        read = {path: look for path, look in looks.items() if look is not None}
        for suspicions in _by_code(_suspicions(kind, list(read.values()), options)):
            (sure if suspicions[0].sure else questions).append(_sentence(kind, suspicions, list(read)))
    if sure:
        raise DatalistError(sure)
    return questions


def look_at_orientations(sources: Sequence[Source]) -> list[str]:
    """Look whether a program drew on pictures as they are stored that are turned upright here, as their tags say.

    Which program wrote a label picture, COCO or CSV nobody can tell, and browsers do turn pictures.

    Args:
        sources: the images with their label files.

    Returns:
        a sentence about each program.
    """
    turned: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        drawn = {a.unturned: a.source for _, a in source.annotations if a.unturned and a.marks}
        if "masks" in source.pictures and is_packed(source.pictures["masks"]):
            drawn["Cellpose"] = source.pictures["masks"]
        if drawn and orientation(source.path) != 1:
            for program, path in drawn.items():
                turned[program].append(f"'{source.path.name}' ('{path.name}')")
    return [
        f"an orientation tag turns {some_of(names)} upright here, but not in {program}, so that what was drawn there lies "
        "elsewhere, unless it was drawn on an upright copy (as export-objects advises): open each image in Fiji, save it as "
        "TIFF, which leaves the tag out, and put that file in its place."
        for program, names in turned.items()
    ]


def look_at_marks(made: Sequence[MadeImage], options: BuildOptions) -> list[str]:
    """Look at what was drawn: whether marks lie on their images, and whether exact areas are one object each.

    Args:
        made: all images.
        options: what the user said; what is said is not asked again.

    Returns:
        questions, a sentence each.

    Raises:
        DatalistError: for what cannot be meant, a sentence for each fault.
    """
    drawn, outside = sum(m.drawn for m in made), sum(m.outside for m in made)
    if outside >= MIN_OUTSIDE and 2 * outside > drawn:
        first = next(m for m in made if m.outside)
        raise BuildError(
            f"{outside} of {drawn} marks lie outside of their images or are too small to hold a pixel, the first of them on "
            f"'{first.source.path}': their coordinates are those of another picture, or no pixels (of a crop, a stage, "
            "micrometres, shares of the width): export them in pixels of these images."
        )
    _refuse_twice(made)
    if options.ids is not None:
        return []
    found = [pieces for m in made for pieces in m.pieces if pieces.most > 1]
    sure = [p for p in found if p.pieces >= CLASS_PIECES_ALONE * p.areas]
    likely = [p for p in found if p.most >= MANY_PIECES]
    if not (sure or likely):
        return []
    worst = max(sure or likely, key=lambda p: p.most)
    called = f"'{worst.name}'" if worst.name else "without a name"
    what = f"'{worst.source}': the area {worst.id or '?'} ({called}) is in {worst.most} pieces"
    remedy = (
        "pass --ids pieces if each connected piece is an object; where objects touch, draw each by itself. If the pieces are "
        "one object indeed: --ids values"
    )
    if sure:
        files = f" (and {len(sure) - 1} more likewise)" if len(sure) > 1 else ""
        raise DatalistError([f"{what}, like all objects of a class together{files}: {remedy}."])
    return [f"{what}, which may be meant: {remedy}."]


def _refuse_twice(made: Sequence[MadeImage]) -> None:
    """An object outlined twice would become two, with an interface between them."""
    having = [m for m in made if m.twice]
    if not having:
        return
    pairs = [(m.source.path.name, pair) for m in having for pair in m.twice]
    image, pair = pairs[0]
    more = f", and {len(pairs) - 1} more likewise, in {len(having)} images ({some([m.source.path.name for m in having])})"
    apart = pair.first != pair.second
    where = f"'{pair.first}' and '{pair.second}' both outline" if apart else f"'{pair.first}' outlines twice"
    remedy = (
        "leave one of the two files out of the labels, or delete one outline of each pair" if apart else "delete one of them"
    )
    raise BuildError(
        f"{where} what is one object of image '{image}' (areas {pair.id or '?'} and {pair.second_id or '?'} of one class share "
        f"most of their pixels{more if len(pairs) > 1 else ''}): {remedy}; if they are two objects that lie on each other, "
        "draw the larger one without what the smaller one covers."
    )


def _look(path: Path, kind: str, options: BuildOptions) -> Look | None:
    try:
        return look_at(read_label_picture(path))
    except LazyLabelsError:
        if options.legend is None or kind == "masks":
            _refuse_colours(path, kind)
        return None


def _refuse_colours(path: Path, kind: str) -> None:
    try:
        picture = read_image(path)
    except LazyLabelsError:
        return
    if picture.ndim != 3 or picture.shape[-1] != 3 or (picture[..., 1:] == picture[..., :1]).all():
        return
    packed = picture.reshape(-1, 3).astype(np.int64) @ np.array((1, 1 << 16, 1 << 32))
    colours = np.unique(packed).size
    if colours > _PICTURE_COLOURS:
        raise BuildError(
            f"'{path}' is a colour picture of {colours} colours, like an image with outlines drawn upon it: give the label "
            "itself, with one value per pixel; most programs save both."
        )
    if kind == "masks":
        raise BuildError(
            f"'{path}' is a colour picture of {colours} colours: save object ids as gray values, 0 outside objects; if each "
            "colour is a class, name the folder segmentation/ and say with --legend FILE what the colours are."
        )
    raise BuildError(f"'{path}' is a colour picture of {colours} colours: say with --legend FILE what each of them is.")


def _suspicions(kind: str, looks: list[Look], options: BuildOptions) -> list[Suspicion]:
    if kind == "masks":
        known = {*named_ids(options), *_not_labelled(looks)}
        suspicions = suspect_ids([look.without(known) for look in looks])
        about_numbers = ("ids-binary", "ids-classes", "ids-pieces") if options.ids == "pieces" else ()
        return [suspicion for suspicion in suspicions if suspicion.code not in about_numbers]
    named = [int(old) for key in (kind, "") for old in options.names.get(key, {}) if old.isdigit()]
    settled = [bool(named) and not look.without([*named, 255]).values.size for look in looks]
    suspicions = suspect_classes(looks, named=options.classes is not None or bool(named))
    # Scribbles and marked interfaces hold strokes: few values, in any number of pieces.
    strokes = kind in ("separation", "scribbles")
    asked = [d for d in suspicions if not settled[d.index] and not (strokes and d.code.startswith("classes"))]
    exact = kind == "segmentation" and options.ids != "values"
    return [d for d in asked if exact or d.code != "ids-outlines"]


def _not_labelled(looks: Sequence[Look]) -> set[int]:
    """-1 is "not labelled", unless 0 is an object, too: then objects may be numbered from 0, and -1 is the background."""
    around = [look for look in looks if look.surround == -1 and (look.values > 0).any()]
    like = [0 < look.zeros <= ZERO_OBJECT * float(np.median(look.areas[look.values > 0])) for look in around]
    return set() if 2 * sum(like) > len(looks) else {-1}


def _by_code(suspicions: Sequence[Suspicion]) -> list[list[Suspicion]]:
    groups = defaultdict(list)
    for suspicion in suspicions:
        groups[suspicion.code, suspicion.sure].append(suspicion)
    return list(groups.values())


def _sentence(kind: str, suspicions: Sequence[Suspicion], paths: Sequence[Path]) -> str:
    first, path = suspicions[0], paths[suspicions[0].index]
    remedy = _REMEDIES.get(first.code, _SMOOTHED if first.code == "label-smoothed" else "")
    remedy = remedy or "give the label itself, with one value per pixel"
    more = f" (and {len(suspicions) - 1} more of the {len(paths)} {kind} pictures likewise)" if len(suspicions) > 1 else ""
    verb = "has" if first.sure else "may be meant, but has"
    return f"'{path}' {verb} {first.what}{more}: {remedy.format(kind=kind, folder=path.parent.name, value=first.value)}."
