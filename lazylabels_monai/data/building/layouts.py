"""How folders lie that other programs and published sets make, beside the layout of ``docs/your-images.md``."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from lazylabels_monai.data.building.options import ANNOTATIONS, PICTURES, BuildError

__all__ = [
    "ALL_IMAGES",
    "LABEL_FOLDERS",
    "find_legend",
    "is_by_product",
    "object_folders",
    "refuse_brush_files",
    "units",
]

#: Folders of images; the second is CVAT's and Pascal VOC's.
ALL_IMAGES: tuple[str, ...] = ("images", "JPEGImages")

#: Folders whose name says of which kind the labels in them are; the last two are CVAT's "Segmentation mask".
LABEL_FOLDERS: dict[str, str] = {
    "classes": "segmentation",
    "instances": "masks",
    **{name: name for name in (*PICTURES, *ANNOTATIONS)},
    "SegmentationClass": "segmentation",
    "SegmentationObject": "masks",
}

#: CVAT's legend, beside its folders.
_LABELMAP = "labelmap.txt"

# What Cellpose writes beside an image and its masks
_BY_PRODUCTS = re.compile(r"_(cp_)?(flows?|outlines?|output|dp|cellprob|styles?)(_cp_masks)?$")

# Label Studio's "Brush labels to PNG" (or NumPy): the number of the task, not the image's name
_BRUSHED = re.compile(r"task-\d+-annotation-\d+-by-.*-\d+\.(png|npy)$", re.IGNORECASE)


def find_legend(src: Path) -> Path | None:
    """CVAT's legend for the colours of ``SegmentationClass/``, in the folder or in its splits; None where there is none."""
    folders = [src, *sorted(path for path in src.iterdir() if path.is_dir())]
    return next((f / _LABELMAP for f in folders if (f / "SegmentationClass").is_dir() and (f / _LABELMAP).is_file()), None)


def units(folder: Path) -> list[Path]:
    """Folders that each hold ``images/`` of their own, as in the Data Science Bowl 2018; empty where there are none."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and (path / "images").is_dir())


def object_folders(root: Path, files: Sequence[Path]) -> list[Path]:
    """The folders right below ``root`` that hold ``files``: one for each image where there is a file for each object."""
    return sorted({path.parent for path in files if path.parent.parent == root})


def is_by_product(stem: str, images: Collection[str]) -> bool:
    """Whether a picture is what Cellpose writes beside an image, such as ``a_flows.tif``."""
    found = _BY_PRODUCTS.search(stem.lower())
    return found is not None and stem[: found.start()].lower() in images


def refuse_brush_files(files: Sequence[Path]) -> None:
    """Raise where Label Studio's brush pictures are meant to be labels.

    Raises:
        BuildError: as their names hold the number of a task instead of the image's name.
    """
    brushed = [path for path in files if _BRUSHED.match(path.name)]
    if brushed:
        raise BuildError(
            f"'{brushed[0]}' is Label Studio's picture of one brushed region, whose name does not say of which image: export "
            "the project as JSON, too, and put that file into annotations/ in place of the pictures."
        )
