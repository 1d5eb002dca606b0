"""Which label maps a folder holds, and what the classes are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lazylabels_monai.class_names import read_class_names
from lazylabels_monai.data.datalist import datalist_file
from lazylabels_monai.exporting.objects import ExportError
from lazylabels_monai.measure.finding import LabelledImage, find_labels, pictures_in
from lazylabels_monai.result_files import CLASSES_FILE, ENDINGS

__all__ = ["VALUES", "home_of", "label_maps"]

#: What the values of the pictures in a plain folder may be.
VALUES = ("ids", "classes")


def home_of(source: Path) -> Path:
    """The folder of a source: that of a datalist where its file was named."""
    return source if source.is_dir() else source.parent


def label_maps(
    source: Path, values: str | None = None, named: bool = False
) -> tuple[list[LabelledImage], tuple[str, ...] | None, bool]:
    """The label maps of a folder.

    Args:
        source: what :func:`~lazylabels_monai.measure.finding.find_labels` takes; or a folder of label pictures ``<image>.png``.
        values: "ids" or "classes", what the pictures of such a folder hold; None takes them for ids.
        named: whether the user named the classes, so that a broken ``classes.json`` does not matter.

    Returns:
        images sorted by name; names of the classes, where they are known; whether it is a folder of pictures that only the
        user can know to be ids.

    Raises:
        ExportError: for a value of ``values`` that is none, or names that occur twice.
        MeasureError: when there is no label map.
    """
    if values is not None and values not in VALUES:
        raise ExportError(f"--values {values}: say {' or '.join(VALUES)}, what the numbers in the pictures are.")
    if (plain := pictures_in(source)) and not _has_layout(source, plain):
        by_name: dict[str, Path] = {}
        for path in plain:
            if (first := by_name.setdefault(path.stem, path)) is not path:
                raise ExportError(f"'{path}' and '{first}' share a name: rename one of them.")
        key = "classes" if values == "classes" else "instances"
        images = [LabelledImage(name, **{key: str(path)}) for name, path in sorted(by_name.items())]
        return images, None if named else _class_names(source), values is None
    images, names = find_labels(source, named)
    ids = source.is_dir() and (source / "masks").is_dir() and not datalist_file(source).is_file()
    return images, names, ids and values is None


def _has_layout(source: Path, pictures: Sequence[Path]) -> bool:
    folders = [source / "classes", source / "masks"]
    return (
        datalist_file(source).is_file()
        or any(folder.is_dir() for folder in folders)
        or any(path.stem.endswith(ENDINGS) for path in pictures)
    )


def _class_names(folder: Path) -> tuple[str, ...] | None:
    """The names in ``classes.json``; None where there is none."""
    path = folder / CLASSES_FILE
    if not path.is_file():
        return None
    return tuple(read_class_names(path))
