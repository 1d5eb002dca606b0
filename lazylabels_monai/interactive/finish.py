"""What a person is done with leaves the project: maps as ``lazylabels predict`` writes them, which all other commands take.

So a folder of results is measured by ``measure``, shown by ``report`` and exported by ``export-objects``, and their functions
are what is called here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.atomic import whole_file, written_to
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting.folder import ExportReport, export_objects
from lazylabels_monai.exporting.formats import FORMATS
from lazylabels_monai.images.files import read_label
from lazylabels_monai.images.pictures import label_palette
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.project_files import mask_files
from lazylabels_monai.interactive.sizes import class_map, pixel_size_of
from lazylabels_monai.measure.folder import find_labels, measure_folder
from lazylabels_monai.progress import silent
from lazylabels_monai.report import make_report
from lazylabels_monai.result_files import INSTANCES_ENDING, image_stem
from lazylabels_monai.trained import write_classes

__all__ = ["export", "has_masks", "read_masks", "remove_masks", "report", "write_masks"]

#: Images that a sentence names before it counts the rest.
_NAMED = 5


def write_masks(
    out: str | os.PathLike,
    name: str,
    objects: np.ndarray,
    classes: np.ndarray | Mapping[int, int],
    class_names: Sequence[str],
    image: Path | None = None,
) -> tuple[Path, Path]:
    """Write the objects of an image, each file in one step: ``<name>_pred.png``, classes, and ``<name>_instances.tif``, ids.

    Of a volume they are ``.nii.gz``.

    Maps of the same image that are there are replaced.

    Args:
        out: folder, made where missing.
        name: of the image's file.
        objects: (H, W) ids.
        classes: class by id; see :func:`~lazylabels_monai.interactive.sizes.class_map`.
        class_names: of the classes 1, 2, ...
        image: its file, whose place in space a volume's maps take.

    Returns:
        both files.

    Raises:
        LazyLabelsError: when the disk refuses them.
    """
    out = Path(out)
    shown, ids = class_map(objects, classes), np.asarray(objects)
    files = mask_files(out, name)
    if volumes.is_volume(name):
        for file, values in zip(files, (shown, _narrow(ids)), strict=True):
            volumes.write_volume(file, values, image, "lazylabels-monai")
        write_classes(out, class_names)
        return files
    picture = Image.fromarray(shown)
    picture.putpalette(label_palette().tobytes())
    with written_to(out):
        out.mkdir(parents=True, exist_ok=True)
        with whole_file(files[0]) as stream:
            picture.save(stream, "PNG")
        with whole_file(files[1]) as stream:
            tifffile.imwrite(stream, _narrow(ids))
        write_classes(out, class_names)
    return files


def read_masks(out: str | os.PathLike, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """What :func:`write_masks` wrote of an image; None where it did not.

    Args:
        out: folder of the maps.
        name: of the image's file.
        shape: (H, W) of the image, (Z, Y, X) of a volume.

    Returns:
        ids (H, W) int32 and class by id.

    Raises:
        LazyLabelsError: when they cannot be read, or are of another size.
    """
    files = mask_files(Path(out), name)
    if not has_masks(out, name):
        return None
    shown, ids = (np.asarray(read_label(file)) for file in files)
    if volumes.is_volume(name):
        shown, ids = volumes.as_shown(shown), volumes.as_shown(ids)
    for file, values in zip(files, (shown, ids), strict=True):
        if values.shape != tuple(shape):
            raise LazyLabelsError(
                f"'{file}' is of {values.shape} pixels and its image of {tuple(shape)}: remove it, and finish the image again."
            )
    ids = ids.astype(np.int32)
    classes = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
    np.maximum.at(classes, ids.ravel(), shown.ravel().astype(np.int64))
    classes[0] = 0
    return ids, classes


def has_masks(out: str | os.PathLike, name: str) -> bool:
    """Whether both maps of an image are there; one alone is what a stop left.

    Args:
        out: folder of the maps.
        name: of the image's file.
    """
    return all(file.is_file() for file in mask_files(Path(out), name))


def remove_masks(out: str | os.PathLike, name: str) -> None:
    """Take the maps of an image that is not finished after all out of the results.

    Args:
        out: folder of the maps.
        name: of the image's file.

    Raises:
        LazyLabelsError: when the disk refuses it.
    """
    with written_to(out):
        for file in mask_files(Path(out), name):
            file.unlink(missing_ok=True)


def _narrow(ids: np.ndarray) -> np.ndarray:
    return ids.astype(np.uint16 if ids.max(initial=0) < 1 << 16 else np.uint32)


def export(
    out: str | os.PathLike,
    format: str,
    project: Project,
    pixel_size: str | float | None = None,
    warn: Callable[[str], None] = silent,
) -> ExportReport:
    """Export the maps of :func:`write_masks` by ``lazylabels export-objects``, in the format of another program.

    Args:
        out: folder of the maps; the files go into a folder of the format's name in it.
        format: ``"roi"``, ``"geojson"`` or ``"coco"``.
        project: gives the names of the images and of the classes, and the pixel sizes that are stated.
        pixel_size: as for :func:`report`.
        warn: is told what is not as one may think.

    Raises:
        LazyLabelsError: as of the command, and when there is no map.
    """
    out = Path(out)
    results = _results(out, project, warn)
    sizes = _sizes(project, results, pixel_size)
    unknown = [results[name].name for name, size in sizes.items() if size is None]
    if unknown and FORMATS[format].measures:
        warn(
            f"of {len(unknown)} of {len(sizes)} pictures no pixel size is known ('{unknown[0]}' is one), so that sizes are in "
            "pixels there: type it on the tab Sizes, and export again."
        )
    images = {name: entry.path for name, entry in results.items()}
    options = {"images": images, "pixel_size": sizes, "classes": project.classes}
    found = export_objects(out, format, **options, overwrite=True, warn=warn)
    for name, why in found.failed.items():
        warn(f"'{name}' is not exported: {why}")
    return found


def report(
    out: str | os.PathLike,
    project: Project,
    pixel_size: str | float | None = None,
    warn: Callable[[str], None] = silent,
) -> Path:
    """Measure the maps of :func:`write_masks` by ``lazylabels measure``, and write the page of ``lazylabels report``.

    Args:
        out: folder of the maps.
        project: gives the images, and the pixel sizes that are stated.
        pixel_size: micrometres, or text such as "120 nm", of the pixels of the images of which nothing is stated.
        warn: is told what is not as one may think.

    Returns:
        the page.

    Raises:
        LazyLabelsError: as of the commands, and when there is no map.
    """
    out = Path(out)
    results = _results(out, project, warn)
    sizes = _sizes(project, results, pixel_size)  # others may be of two sizes
    images = {name: entry.path for name, entry in results.items()}  # two may have one name but for its ending
    # ids="values": what a person corrected in the window are objects, in however many pieces
    options = {"images": images, "pixel_size": sizes, "classes": project.classes, "ids": "values"}
    measured = out / "measured"
    measure_folder(out, measured, **options, overwrite=True, warn=warn)
    return make_report(out, images=images, classes=project.classes, measured_in=measured, overwrite=True)


def _sizes(project: Project, results: Mapping[str, ImageEntry], pixel_size: str | float | None) -> dict[str, float | None]:
    return {name: pixel_size_of(project, entry, pixel_size) for name, entry in results.items()}


def _results(out: Path, project: Project, warn: Callable[[str], None]) -> dict[str, ImageEntry]:
    """The images that have maps, by what these are called; maps of images that are gone are told of, as are finished images
    without any.

    Raises:
        LazyLabelsError: when there is none.
    """
    names = {project.files.result_name(entry.name): entry for entry in project.images if entry.path.is_file()}
    found = {image_stem(name): entry for name, entry in names.items() if mask_files(out, name)[0].is_file()}
    awaited = _awaited(out, [entry.name for name, entry in names.items() if entry.finished and not has_masks(out, name)])
    if not any(out.glob(f"*{INSTANCES_ENDING}.tif")):
        raise LazyLabelsError(awaited or f"'{out}' holds no result yet: finish an image first.")
    if awaited:
        warn(awaited)
    gone = sorted(image.name for image in find_labels(out)[0] if image.name not in found)
    if gone:
        several = len(gone) > 1
        maps = " and ".join(file.name for file in mask_files(out, f"{gone[0]}.png"))
        sentence = (
            f"the finished picture '{gone[0]}'{f' and {len(gone) - 1} more are' if several else ' is'} not in the folder any "
            f"more and {'left out' if found else 'there is no other'}: put {'their files' if several else 'its file'} back, or "
            f"remove {maps}{' and so on' if several else ''} from '{out}'."
        )
        if not found:
            raise LazyLabelsError(sentence)
        warn(sentence)
    return found


def _awaited(out: Path, names: Sequence[str]) -> str:
    """A sentence about finished images whose masks are not there; empty where there is none."""
    if not names:
        return ""
    several = len(names) > 1
    shown = ", ".join(f"'{name}'" for name in names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if names[_NAMED:] else "")
    return (
        f"the finished picture{'s' if several else ''} {shown} {'have' if several else 'has'} no masks in '{out}' yet and "
        f"{'are' if several else 'is'} left out: show {'each of them' if several else 'it'}, and wait until "
        f"{'their' if several else 'its'} masks are written."
    )
