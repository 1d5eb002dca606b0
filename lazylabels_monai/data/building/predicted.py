"""What ``predict`` wrote, put back as labels: which of its files are which, and what its classes are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from lazylabels_monai.class_names import read_class_names
from lazylabels_monai.data.building.belonging import Source
from lazylabels_monai.data.building.options import BuildError, Vocabulary
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.export_records import ExportRecords
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.labels.annotations import Annotation, Mark
from lazylabels_monai.result_files import CLASSES_ENDING, CLASSES_FILE, ENDINGS, INSTANCES_ENDING, RECORDS_FILE, image_stem
from lazylabels_monai.stamps import Records, told_other_images

__all__ = ["mark_unchanged", "names_beside", "names_by_folder", "notes_on_other_images", "own_files"]

_ENDING = {"masks": INSTANCES_ENDING, "segmentation": CLASSES_ENDING}


def own_files(kind: str, files: Sequence[Path]) -> list[Path]:
    """Of the pictures in a folder of predictions those that hold ``kind``; of another folder all."""
    own = _ENDING.get(kind)
    if own is None or not any(path.stem.endswith(own) for path in files):
        return list(files)
    others = tuple(ending for ending in ENDINGS if ending != own)
    return [path for path in files if not path.stem.endswith(others)]


def mark_unchanged(sources: Iterable[Source], vocabulary: Vocabulary, meanings: Mapping[tuple[str, str], int | str]) -> None:
    """Set ``predicted`` of images whose exact masks are as ``predict`` or an export of its results wrote them, or as a data
    set that was made of either holds them, as far as the records beside them prove it.

    Args:
        sources: the images.
        vocabulary: what the drawn names mean.
        meanings: of each name that was drawn, by kind and name.
    """

    def counts(kind: str, annotation: Annotation, mark: Mark) -> bool:
        """Whether a mark is an exact area, or one that says what is none."""
        is_class = isinstance(meanings[kind, mark.name], int)
        return mark.kind == "area" and (vocabulary.exact(kind, mark, annotation.source) if is_class else kind != "rough")

    def empty(kind: str, annotation: Annotation) -> bool:
        """Whether a file says that its image holds no object."""
        return kind == "exact" and not annotation.marks and vocabulary.said_background(kind)

    results, exports = cache(Records), cache(ExportRecords)
    predicted = cache(lambda file: exports(file.parent).predicted(file))  # a file of many images is read once

    def exported(annotation: Annotation) -> bool:
        """Whether the marks were exported of a prediction that nobody had changed, and are as they were then."""
        images = predicted(annotation.source)
        return annotation.image in images if annotation.image is not None else bool(images)

    for source in sources:
        masks = [path for kind, path in source.pictures.items() if kind in _ENDING]
        drawn = [a for kind, a in source.annotations if any(counts(kind, a, mark) for mark in a.marks) or empty(kind, a)]
        found = [_is_unchanged(path, results) for path in masks] + [exported(a) for a in drawn]
        found += [source.predicted] * ("segmentation" in source.given)
        source.predicted = bool(found) and all(found)


def _is_unchanged(path: Path, results: Callable[[Path], Records]) -> bool:
    return (name := _result(path)) is not None and results(path.parent).unchanged(name, [path])


def notes_on_other_images(sources: Iterable[Source]) -> list[str]:
    """Sentences about images that are not those that their label pictures were predicted of."""
    images: dict[Path, dict[str, Path]] = {}
    for source in sources:
        for path in source.pictures.values():
            if (name := _result(path)) is not None:
                images.setdefault(path.parent, {})[name] = source.path
    told = [told_other_images(folder, of_results, file_pixels) for folder, of_results in images.items()]
    return [sentence for sentence in told if sentence is not None]


def _result(path: Path) -> str | None:
    """The name of the result that a label picture is of, in a folder that has records of them; None elsewhere."""
    stem = image_stem(path)
    ending = next((ending for ending in _ENDING.values() if stem.endswith(ending)), None)
    return stem.removesuffix(ending) if ending is not None and (path.parent / RECORDS_FILE).is_file() else None


def names_beside(pictures: Iterable[Path]) -> list[str] | None:
    """Names of the classes in the ``classes.json`` that lies beside label pictures or beside their folder; None without one.

    Raises:
        BuildError: when it holds no names, or two of them hold others.
    """
    files = dict.fromkeys(_files_beside(pictures).values())
    distinct = [(file, _names(file)) for file in files]
    for file, names in distinct[1:]:
        if names != distinct[0][1]:
            raise BuildError(f"'{file}' names other classes than '{distinct[0][0]}': say which there are with --classes.")
    return distinct[0][1] if distinct else None


def names_by_folder(pictures: Iterable[Path], classes: Sequence[str]) -> tuple[dict[Path, list[str]], list[str]]:
    """What the values of label pictures are called, by folder, where a ``classes.json`` beside them has the classes in another
    order than ``classes``; and a sentence about each such file.

    Names that are none of ``classes`` are new names for the same values, and nothing is said about them.

    Raises:
        BuildError: when only some of the names are among the classes, at other places, so that either could be meant.
    """
    known = [name.lower() for name in classes]
    found: dict[Path, list[str]] = {}
    notes: dict[Path, str] = {}
    for folder, file in _files_beside(pictures).items():
        try:
            names = _names(file)
        except BuildError:  # the classes are given, and this file is not asked
            continue
        places = [known.index(name.lower()) if name.lower() in known else None for name in names]
        if all(place in (None, value) for value, place in enumerate(places)):
            continue
        if None in places:
            values = ",".join(f"{value}=NAME" for value in range(1, len(names) + 1))
            raise BuildError(
                f"'{file}' says that the values 1, 2, ... are {', '.join(names)}, but the classes are {', '.join(classes)}: "
                f"say what each value is with --names {values}, or name these classes in --classes, in any order."
            )
        found[folder] = names
        notes[file] = f"the values 1, 2, ... beside '{file}' are {', '.join(names)}, as it says; here {', '.join(classes)}."
    return found, list(notes.values())


def _files_beside(pictures: Iterable[Path]) -> dict[Path, Path]:
    """The ``classes.json`` of each folder of label pictures: in it, or beside it."""
    found = {}
    for folder in dict.fromkeys(path.absolute().parent for path in pictures):
        file = next((place / CLASSES_FILE for place in (folder, folder.parent) if (place / CLASSES_FILE).is_file()), None)
        if file is not None:
            found[folder] = file
    return found


def _names(file: Path) -> list[str]:
    try:
        return read_class_names(file)
    except LazyLabelsError as error:
        raise BuildError(str(error)) from error
