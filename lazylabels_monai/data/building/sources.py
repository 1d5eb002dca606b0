"""Which images there are, and which label files belong to them: by folder, and by file name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lazylabels_monai.data.building.options import ANNOTATIONS, PICTURES, BuildError, BuildOptions, kind_of
from lazylabels_monai.data.datalist import FILE_NAME
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES, file_suffix
from lazylabels_monai.labels.annotations import Annotation
from lazylabels_monai.labels.formats import ANNOTATION_SUFFIXES, LABEL_SUFFIXES, image_names, read_annotations
from lazylabels_monai.result_files import OWN_FILES, without_results

__all__ = ["Source", "find_sources", "some"]

_SPLITS = {"train": "training", "training": "training", "val": "validation", "valid": "validation", "validation": "validation"}
_FOLDERS = ("classes", "instances", *PICTURES, *ANNOTATIONS)
# What annotation programs and people append to an image's name
_ENDINGS = re.compile(
    r"[-_ .]?(cp_masks?|masks?|labels?|annotations?|segmentations?|seg|classes|instances|detection|separation|scribbles?"
    r"|gt|rois?|roiset|shapes|points|polygons)$",
    re.IGNORECASE,
)


@dataclass
class Source:
    """An image and its label files.

    Args:
        name: of its files in the data set, without suffix.
        path: of the image.
        section: split it belongs to; None where that is to be drawn.
        pictures: label picture for each kind.
        annotations: drawn marks with their kind.
    """

    name: str
    path: Path
    section: str | None
    pictures: dict[str, Path] = field(default_factory=dict)
    annotations: list[tuple[str, Annotation]] = field(default_factory=list)


def find_sources(src: Path, options: BuildOptions) -> tuple[list[Source], list[str]]:
    """Images of a source folder with their labels, and what a user should know about files that were left aside.

    Args:
        src: a folder of images; or with ``images/`` beside folders of labels; or with ``train/``, ``val/``, ``test/`` of
            those.
        options: see :class:`~lazylabels_monai.data.building.options.BuildOptions`.

    Raises:
        BuildError: where there is no image, or a label that cannot be told to belong to one.
    """
    if not src.is_dir():
        raise BuildError(f"'{src}' is no folder: name the folder that holds your images.")
    sources, notes = [], []
    for folder, section in _split_folders(src):
        sources += _folder_sources(folder, section, options, notes)
    for kind, where in options.labels:
        _attach(kind, _label_files(kind, Path(where).expanduser(), options), sources, options, str(where), notes)
    _unique_names(sources, src)
    return sources, notes


def _split_folders(src: Path) -> list[tuple[Path, str | None]]:
    if (src / "images").is_dir():
        return [(src, None)]
    found = []
    for folder in sorted(path for path in src.iterdir() if path.is_dir()):
        name = folder.name.lower()
        section = "testing" if name.startswith("test") else _SPLITS.get(name)
        if section and not _only_results(folder):
            found.append((folder, section))
    return found or [(src, None)]


def _folder_sources(folder: Path, section: str | None, options: BuildOptions, notes: list[str]) -> list[Source]:
    flat = not (folder / "images").is_dir()
    home = folder if flat else folder / "images"
    pictures = without_results(_files(home, PICTURE_SUFFIXES))
    paths = [path for path in pictures if path.stem.endswith(options.image_suffix)]
    if flat and not options.image_suffix:
        # "a_mask.png" beside "a.png" is its label, not another image
        stems = {path.stem.lower() for path in paths}
        paths = [path for path in paths if not _is_label_of(path.stem.lower(), stems, options)]
    if not paths:
        volumes = _files(home, VOLUME_SUFFIXES)
        if volumes:
            raise BuildError(
                f"'{volumes[0]}' is a volume, which this command does not build from: write datalist.json by hand."
            )
        which = f" whose name ends with '{options.image_suffix}'" if options.image_suffix else ""
        raise BuildError(f"'{home}' holds no image{which}: name a folder of {', '.join(PICTURE_SUFFIXES)} files.")
    sources = [Source(path.stem.removesuffix(options.image_suffix) or path.stem, path, section) for path in paths]
    _refuse_same_name(sources)
    if flat:
        drawn = [path for path in _annotation_files(home, options) if not options.labels]
        if drawn:
            _attach("annotations", drawn, sources, options, str(home), notes)
        return sources
    for name in _FOLDERS:
        if (folder / name).is_dir():
            kind = kind_of(name)
            _attach(kind, _label_files(kind, folder / name, options), sources, options, str(folder / name), notes)
    return sources


def _only_results(folder: Path) -> bool:
    """Whether a folder is one of predictions, such as "test_results"."""
    pictures = _files(folder, PICTURE_SUFFIXES)
    return bool(pictures) and not without_results(pictures)


def _is_label_of(stem: str, stems: set[str], options: BuildOptions) -> bool:
    return any(key in stems for key in _keys(stem, options)[1:])


def _refuse_same_name(sources: Iterable[Source]) -> None:
    seen: dict[str, Source] = {}
    for source in sources:
        other = seen.setdefault(source.name.lower(), source)
        if other is not source:
            raise BuildError(
                f"'{source.path}' and '{other.path.name}' share the name '{source.name}', so that no label can be told to "
                "belong to one of them: rename one."
            )


def _files(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    suffixes = tuple(suffixes)
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and path.name.lower().endswith(suffixes)
    )


def _annotation_files(folder: Path, options: BuildOptions) -> list[Path]:
    legend = os.path.abspath(options.legend) if options.legend is not None else None
    files = _files(folder, ANNOTATION_SUFFIXES)
    aside = {FILE_NAME, *OWN_FILES}
    return [path for path in files if path.name not in aside and os.path.abspath(path) != legend]


def _label_files(kind: str, where: Path, options: BuildOptions) -> list[Path]:
    """Files of a kind under a folder, a file or a pattern."""
    if where.is_dir():
        files = _files(where, LABEL_SUFFIXES) if kind in PICTURES else _annotation_files(where, options)
        if options.image_suffix:
            files = [path for path in files if not path.stem.endswith(options.image_suffix)]
    elif where.is_file():
        files = [where]
    else:
        files = sorted(Path(path) for path in glob.glob(str(where), recursive=True) if Path(path).is_file())
    if not files:
        what = "label picture" if kind in PICTURES else "annotation file"
        raise BuildError(f"'{where}' holds no {what} for {kind}: correct the path, or leave it out.")
    return files


def _keys(stem: str, options: BuildOptions) -> list[str]:
    """Names that an image could have whose label is called ``stem``, the likeliest first."""
    stem = stem.lower()
    keys = [stem]
    if file_suffix(stem) in PICTURE_SUFFIXES:  # "a.png.json"
        keys.append(Path(stem).stem)
    for key in list(keys):
        if options.label_suffix and key.endswith(options.label_suffix.lower()):
            keys.append(key.removesuffix(options.label_suffix.lower()))
        if options.image_suffix and key.endswith(options.image_suffix.lower()):
            keys.append(key.removesuffix(options.image_suffix.lower()))
        if _ENDINGS.search(key):
            keys.append(_ENDINGS.sub("", key))
    return list(dict.fromkeys(key for key in keys if key))


def _attach(kind: str, files: list[Path], sources: list[Source], options: BuildOptions, where: str, notes: list[str]) -> None:
    """Give label files to the images of the same name."""
    by_name: dict[str, list[Source]] = {}
    for source in sources:
        by_name.setdefault(source.name.lower(), []).append(source)
    own = {os.path.abspath(source.path) for source in sources}
    files = [path for path in files if os.path.abspath(path) not in own]
    lost: list[str] = []
    matched = 0
    if kind in PICTURES:
        for path in files:
            owner = _owner(path.stem, by_name, options, path)
            if owner is None:
                lost.append(path.name)
            elif kind in owner.pictures:
                raise BuildError(
                    f"'{path}' and '{owner.pictures[kind]}' both are {kind} of image '{owner.path.name}': name one of them "
                    f"with --labels {kind}=FILE_PATTERN."
                )
            else:
                owner.pictures[kind] = path
                matched += 1
    else:
        for path in files:
            for annotation in read_annotations(path):
                owner, word = _annotated(annotation, by_name, options)
                if owner is None and annotation.image is None and len(sources) == len(files) == 1:
                    owner = sources[0]  # one image, one file: what else could it belong to
                if owner is None:
                    lost.append(annotation.image or path.name)
                else:
                    owner.annotations.append((kind, _named(annotation, word)))
                    matched += 1
    if lost and not matched:
        raise BuildError(
            f"'{where}': '{lost[0]}' belongs to no image, nor does any other there, such as '{sources[0].path.name}': give "
            "label and image the same name, or say what follows the name with --label-suffix or --image-suffix."
        )
    if lost:
        notes.append(f"'{where}': {some(lost)} belong to no image and are left out.")


def _annotated(annotation: Annotation, by_name: Mapping[str, list[Source]], options: BuildOptions) -> tuple[Source | None, str]:
    """The image that marks belong to, and the class that the file's name gives them (``a_interface.csv``) or ""."""
    if annotation.image is not None:
        for name in image_names(annotation.image):
            if owner := _owner(Path(name).stem, by_name, options, annotation.source):
                return owner, ""
        return None, ""
    stem = _stem(annotation.source)
    if owner := _owner(stem, by_name, options, annotation.source):
        return owner, ""
    # The layers of napari and the ROIs of ImageJ carry no class: a file for each class does.
    for cut in sorted((match.start() for match in re.finditer("[-_ .]", stem)), reverse=True):
        if owner := _owner(stem[:cut], by_name, options, annotation.source):
            return owner, stem[cut + 1 :].strip()
    return None, ""


def _named(annotation: Annotation, word: str) -> Annotation:
    """Marks without a class name get ``word``."""
    if not word:
        return annotation
    return replace(annotation, marks=[mark if mark.name else replace(mark, name=word) for mark in annotation.marks])


def _stem(path: Path) -> str:
    """Name of an annotation file without its suffix, which may be double (``.geojson.gz``)."""
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.stem


def _owner(stem: str, by_name: Mapping[str, list[Source]], options: BuildOptions, path: Path) -> Source | None:
    for key in _keys(stem, options):
        owners = by_name.get(key, [])
        if len(owners) > 1:
            raise BuildError(
                f"'{path}' could belong to '{owners[0].path}' or '{owners[1].path}': put it into a label folder beside images/."
            )
        if owners:
            return owners[0]
    return None


def _unique_names(sources: list[Source], src: Path) -> None:
    """A name that occurs in two splits gets its split's folder in front."""
    lower = [source.name.lower() for source in sources]
    for source, name in zip(sources, list(lower), strict=True):
        if lower.count(name) > 1:
            source.name = f"{source.path.relative_to(src).parts[0]}_{source.name}"
    _refuse_same_name(sources)


def some(names: list[str]) -> str:
    """The first names of a list and how many more there are."""
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
