"""What a person is done with leaves the project: maps as ``lazylabels predict`` writes them, which all other commands take.

So a folder of results is measured by ``measure``, shown by ``report`` and exported by ``export-objects``, and their functions
are what is called here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.atomic import whole_file, written_to
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting.folder import ExportReport, export_objects
from lazylabels_monai.images.pictures import label_palette
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.sizes import class_map
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.report import make_report
from lazylabels_monai.result_files import CLASSES_ENDING, INSTANCES_ENDING, image_stem
from lazylabels_monai.trained import write_classes

__all__ = ["export", "report", "write_masks"]


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
        image: its file; without it that of a picture.

    Returns:
        both files.

    Raises:
        LazyLabelsError: when the disk refuses them.
    """
    out, stem = Path(out), image_stem(name)
    shown, ids = class_map(objects, classes), np.asarray(objects)
    if image is not None and volumes.is_volume(image):
        files = out / f"{stem}{CLASSES_ENDING}{volumes.SUFFIX}", out / f"{stem}{INSTANCES_ENDING}{volumes.SUFFIX}"
        for file, values in zip(files, (shown, _narrow(ids)), strict=True):
            volumes.write_volume(file, values, image, "lazylabels-monai")
        write_classes(out, class_names)
        return files
    files = out / f"{stem}{CLASSES_ENDING}.png", out / f"{stem}{INSTANCES_ENDING}.tif"
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


def _narrow(ids: np.ndarray) -> np.ndarray:
    return ids.astype(np.uint16 if ids.max(initial=0) < 1 << 16 else np.uint32)


def export(out: str | os.PathLike, format: str, project: Project) -> ExportReport:
    """Export the maps of :func:`write_masks` by ``lazylabels export-objects``, in the format of another program.

    Args:
        out: folder of the maps; the files go into a folder of the format's name in it.
        format: ``"roi"``, ``"geojson"`` or ``"coco"``.
        project: gives the names of the images and of the classes.

    Raises:
        LazyLabelsError: as of the command.
    """
    return export_objects(out, format, classes=project.classes, overwrite=True)


def report(out: str | os.PathLike, project: Project, pixel_size: str | float | None = None) -> Path:
    """Measure the maps of :func:`write_masks` by ``lazylabels measure``, and write the page of ``lazylabels report``.

    Args:
        out: folder of the maps.
        project: gives the images.
        pixel_size: micrometres of the pixels of all images; None: as their files state it.

    Returns:
        the page.

    Raises:
        LazyLabelsError: as of the commands, and when there is no map.
    """
    out = Path(out)
    if not any(out.glob(f"*{INSTANCES_ENDING}.tif")):
        raise LazyLabelsError(f"'{out}' holds no result yet: finish an image first.")
    folders = {entry.path.parent for entry in project.images}
    images = folders.pop() if len(folders) == 1 else None
    measure_folder(out, out / "measured", images=images, pixel_size=pixel_size, classes=project.classes, overwrite=True)
    return make_report(out, images=images, pixel_size=pixel_size, classes=project.classes, overwrite=True)
