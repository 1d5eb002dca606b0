"""Readers of annotation files: what QuPath, ImageJ / Fiji, COCO tools, Label Studio and napari write, and of label pictures.

The conventions and the limits of each format are in ``docs/formats.md``.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

from lazylabels_monai.labels.annotations import Annotation, AnnotationError, Mark, NoMarksError, unusable
from lazylabels_monai.labels.formats import coco, geojson, imagej, label_studio, napari
from lazylabels_monai.labels.formats.pictures import LABEL_SUFFIXES, read_label_picture, read_legend
from lazylabels_monai.memory import TooLargeError, allowed, gunzip
from lazylabels_monai.regular import why_no_file

__all__ = [
    "ANNOTATION_FORMATS",
    "ANNOTATION_SUFFIXES",
    "LABEL_SUFFIXES",
    "read_annotations",
    "read_label_picture",
    "read_legend",
]

#: Suffixes of files that hold marks; which format a file has is seen from its content.
ANNOTATION_SUFFIXES: tuple[str, ...] = (".geojson", ".geojson.gz", ".json", ".roi", ".zip", ".csv")

#: What to save marks as, for messages.
ANNOTATION_FORMATS = "QuPath's GeoJSON, ImageJ's .roi or .zip, COCO's or Label Studio's .json or napari's .csv"

# the QuPath and ImageJ commands pack one file, or one small file a mark: anything larger is no annotation file
_LARGEST = 2**30


def read_annotations(path: Path) -> list[Annotation]:
    """Read the marks of an annotation file.

    Args:
        path: GeoJSON (QuPath; also ``.gz``, or one in a ``.zip``), ImageJ ROI or a ``.zip`` of them, COCO JSON (also of
            CVAT and Label Studio), Label Studio's own JSON, CSV of a napari Shapes or Points layer.

    Returns:
        one for each image of a COCO file or task of Label Studio, in the file's order; else one without an image's name.

        A mark that cannot be used is left out and named in ``left_out``.

    Raises:
        AnnotationError: when the file is damaged.
        NoMarksError: when it is of another format, empty, or none of its marks can be used.
    """
    path = Path(path)
    if (why := why_no_file(path)) is not None:
        raise AnnotationError(f"annotation file '{path}' {why}: correct the path.")
    try:
        if path.stat().st_size > allowed(2**40, most=2 * _LARGEST):
            raise AnnotationError(
                f"annotation file '{path}' has {path.stat().st_size} bytes, too many for marks: save {ANNOTATION_FORMATS}."
            )
        data = path.read_bytes()
    except OSError as e:
        raise AnnotationError(f"annotation file '{path}' cannot be read ({e.strerror}): correct the path.") from e
    if not data.strip():
        raise NoMarksError(f"annotation file '{path}' is empty: save the marks again, or take the file away.")
    if data[:4] == b"Iout" or path.suffix.lower() == ".roi":
        return _one(path, *imagej.marks([(path.stem, data)], in_zip=False), unturned="ImageJ")
    if data[:2] == b"PK" or path.suffix.lower() == ".zip":
        members, damaged = _members(data, path)
        rois = [(name, content) for name, content in members if name.lower().endswith(".roi")]
        if rois or not (members or damaged):  # an empty ROI set: no objects
            marks, left_out = imagej.marks(rois)
            return _one(path, marks, [*left_out, *damaged], unturned="ImageJ")
        if damaged:
            raise AnnotationError(f"annotation file '{path}' is damaged ({damaged[0]}): copy or save it again.")
        jsons = [content for name, content in members if name.lower().endswith((".geojson", ".json"))]
        if len(jsons) != 1:
            raise NoMarksError(
                f"annotation file '{path}' holds neither .roi files nor one .geojson: save {ANNOTATION_FORMATS}."
            )
        data = jsons[0]
    if data[:2] == b"\x1f\x8b":
        try:
            data = gunzip(data)
        except TooLargeError as e:
            raise AnnotationError(f"annotation file '{path}' holds no marks, {e}: save {ANNOTATION_FORMATS}.") from e
        except (EOFError, zlib.error) as e:
            raise AnnotationError(f"annotation file '{path}' is damaged ({e}): export it again.") from e
    return _text(data, path)


def _text(data: bytes, path: Path) -> list[Annotation]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise NoMarksError(f"annotation file '{path}' is of an unknown format: save {ANNOTATION_FORMATS}.") from e
    if path.suffix.lower() == ".csv":
        return _one(path, *napari.marks(text, path))
    if not text.lstrip().startswith(("{", "[")):
        raise NoMarksError(f"annotation file '{path}' is of an unknown format: save {ANNOTATION_FORMATS}.")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise AnnotationError(f"annotation file '{path}' is no valid JSON ({e}): export it again.") from e
    if geojson.is_geojson(content):
        return _one(path, *geojson.marks(content, path), unturned="QuPath")
    if coco.is_coco(content):
        return coco.annotations(content, path)
    if label_studio.is_label_studio(content):
        return label_studio.annotations(content, path)
    raise NoMarksError(f"annotation file '{path}' is {_kind(content)}: save {ANNOTATION_FORMATS}.")


def _one(path: Path, marks: list[Mark], left_out: list[str], unturned: str = "") -> list[Annotation]:
    """The annotation of a file that belongs to one image."""
    if left_out and not marks:
        raise NoMarksError(unusable(path, left_out))
    return [Annotation(path, None, None, marks, left_out, unturned=unturned)]


def _kind(content: Any) -> str:
    """What a JSON file of another program is."""
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, dict):
        if "annotation_id" in first or ("data" in first and "completions" in first):
            return "another JSON of Label Studio, which exports plain JSON, too"
        if "shapes" in first and "imagePath" in first:
            return "a LabelMe file"
    return "JSON of an unknown kind"


def _members(data: bytes, path: Path) -> tuple[list[tuple[str, bytes]], list[str]]:
    """Name and content of the files in a zip, in their order, and a phrase for each that is damaged.

    macOS's and hidden files are left out.
    """
    try:
        archive = zipfile.ZipFile(BytesIO(data))
    except Exception as e:  # zipfile raises BadZipFile, struct.error, NotImplementedError, ValueError, IndexError ...
        raise AnnotationError(f"annotation file '{path}' is damaged ({e}): copy or save it again.") from e
    with archive:
        members = [
            info
            for info in archive.infolist()
            if not info.filename.endswith("/")
            and not Path(info.filename).name.startswith(".")
            and "__MACOSX" not in info.filename
        ]
        most = allowed(len(data), most=_LARGEST)
        if sum(info.file_size for info in members) > most:
            raise AnnotationError(
                f"annotation file '{path}' holds no marks, it unpacks to more than {most} bytes: save {ANNOTATION_FORMATS}."
            )
        read, damaged = [], []
        for info in members:
            try:
                read.append((info.filename, archive.read(info)))
            except Exception as e:
                damaged.append(f"'{Path(info.filename).name}' is damaged ({e})")
    if damaged and not read:
        raise AnnotationError(f"annotation file '{path}' is damaged ({damaged[0]}): copy or save it again.")
    return read, damaged
