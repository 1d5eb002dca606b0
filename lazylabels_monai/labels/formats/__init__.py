"""Readers of annotation files: what QuPath, ImageJ / Fiji, COCO tools and napari write, and of label pictures.

The conventions and the limits of each format are in ``docs/formats.md``.
"""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

from lazylabels_monai.labels.annotations import Annotation, AnnotationError
from lazylabels_monai.labels.formats import coco, geojson, imagej, napari
from lazylabels_monai.labels.formats.pictures import LABEL_SUFFIXES, read_label_picture, read_legend

__all__ = [
    "ANNOTATION_SUFFIXES",
    "LABEL_SUFFIXES",
    "image_names",
    "read_annotations",
    "read_label_picture",
    "read_legend",
]

#: Suffixes of files that hold marks; which format a file has is seen from its content.
ANNOTATION_SUFFIXES: tuple[str, ...] = (".geojson", ".geojson.gz", ".json", ".roi", ".zip", ".csv")

_FORMATS = "QuPath's GeoJSON, ImageJ's .roi or .zip, COCO's .json or napari's .csv"

# the QuPath and ImageJ commands pack one file, or one small file a mark: anything larger is no annotation file
_LARGEST = 2**30

image_names = coco.image_names


def read_annotations(path: Path) -> list[Annotation]:
    """Read the marks of an annotation file.

    Args:
        path: GeoJSON (QuPath; also ``.gz``, or one in a ``.zip``), ImageJ ROI or a ``.zip`` of them, COCO JSON (also of
            CVAT and Label Studio), CSV of a napari Shapes or Points layer.

    Returns:
        one for each image of a COCO file, in the file's order; else one without an image's name.

    Raises:
        AnnotationError: when the file is of another format, is damaged or has a mark that has no meaning here.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as e:
        raise AnnotationError(f"annotation file '{path}' cannot be read ({e.strerror}): correct the path.") from e
    if data[:4] == b"Iout" or path.suffix.lower() == ".roi":
        return [Annotation(path, None, None, imagej.marks([(path.stem, data)], path))]
    if data[:2] == b"PK" or path.suffix.lower() == ".zip":
        members = _members(data, path)
        rois = [(name, content) for name, content in members if name.lower().endswith(".roi")]
        if rois or not members:  # an empty ROI set: no objects
            return [Annotation(path, None, None, imagej.marks(rois, path))]
        jsons = [content for name, content in members if name.lower().endswith((".geojson", ".json"))]
        if len(jsons) != 1:
            raise AnnotationError(f"annotation file '{path}' holds neither .roi files nor one .geojson: save {_FORMATS}.")
        data = jsons[0]
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as e:
            raise AnnotationError(f"annotation file '{path}' is damaged ({e}): export it again.") from e
    return _text(data, path)


def _text(data: bytes, path: Path) -> list[Annotation]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise AnnotationError(f"annotation file '{path}' is of an unknown format: save {_FORMATS}.") from e
    if path.suffix.lower() == ".csv":
        return [Annotation(path, None, None, napari.marks(text, path))]
    if not text.lstrip().startswith(("{", "[")):
        raise AnnotationError(f"annotation file '{path}' is of an unknown format: save {_FORMATS}.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise AnnotationError(f"annotation file '{path}' is no valid JSON ({e}): export it again.") from e
    if geojson.is_geojson(content):
        return [Annotation(path, None, None, geojson.marks(content, path))]
    if coco.is_coco(content):
        return coco.annotations(content, path)
    raise AnnotationError(f"annotation file '{path}' is {_kind(content)}: save {_FORMATS}.")


def _kind(content: Any) -> str:
    """What a JSON file of another program is."""
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, dict):
        if "data" in first and ("annotations" in first or "completions" in first):
            return "Label Studio's own JSON, which its COCO export replaces"
        if "shapes" in first and "imagePath" in first:
            return "a LabelMe file"
    return "JSON of an unknown kind"


def _members(data: bytes, path: Path) -> list[tuple[str, bytes]]:
    """Name and content of the files in a zip, in their order; macOS's and hidden ones are left out."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            members = [
                info
                for info in archive.infolist()
                if not info.is_dir() and not Path(info.filename).name.startswith(".") and "__MACOSX" not in info.filename
            ]
            if sum(info.file_size for info in members) > _LARGEST:
                raise AnnotationError(f"annotation file '{path}' holds more than {_LARGEST} bytes: save {_FORMATS}.")
            return [(info.filename, archive.read(info)) for info in members]
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as e:
        raise AnnotationError(f"annotation file '{path}' is damaged ({e}): export it again.") from e
