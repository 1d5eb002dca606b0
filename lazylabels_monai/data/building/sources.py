"""Which images there are in a folder, and which files hold labels; which of them belong together: :mod:`.belonging`."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from lazylabels_monai.data.building.belonging import Belonging, Labels, Source
from lazylabels_monai.data.building.given import GivenDataset
from lazylabels_monai.data.building.layouts import (
    ALL_IMAGES,
    LABEL_FOLDERS,
    is_by_product,
    refuse_brush_files,
    units,
)
from lazylabels_monai.data.building.names import folded, image_beside
from lazylabels_monai.data.building.options import PICTURES, BuildError, BuildOptions
from lazylabels_monai.data.building.predicted import own_files
from lazylabels_monai.data.datalist import FILE_NAME, LABEL_KEYS, folders_passed_over
from lazylabels_monai.errors import some
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES
from lazylabels_monai.labels.formats import ANNOTATION_FORMATS, ANNOTATION_SUFFIXES, LABEL_SUFFIXES
from lazylabels_monai.option_text import quoted
from lazylabels_monai.overrides import expanded
from lazylabels_monai.result_files import OWN_FILES, PROJECT_FILE, without_results

__all__ = ["find_sources"]

#: What a window leaves beside the pictures of its project.
_WINDOWS = frozenset([PROJECT_FILE])

_SPLITS = {"train": "training", "training": "training", "val": "validation", "valid": "validation", "validation": "validation"}


def find_sources(src: Path, options: BuildOptions, given: GivenDataset | None = None) -> tuple[list[Source], list[str]]:
    """Images of a source folder with their labels, and what a user should know about files that were left aside.

    Args:
        src: a folder of images; or with ``images/`` beside folders of labels; or with ``train/``, ``val/``, ``test/`` of
            those; or with a folder of these for each image. Images may lie in subfolders.
        options: see :class:`~lazylabels_monai.data.building.options.BuildOptions`.
        given: the data set that the folder is: its file says which images and labels there are.

    Raises:
        BuildError: where there is no image, or a label that cannot be told to belong to one.
    """
    if not src.is_dir():
        raise BuildError(f"'{src}' is no folder: name the folder that holds your images.")
    said = [_said(kind, expanded(where), options) for kind, where in options.labels]
    finder = _Finder(options, said)
    for labels in said:
        if labels.kind not in PICTURES and Path(labels.where).is_dir():
            finder.notes += _told_unread(Path(labels.where), pictures=False)
    if given is not None:
        finder.dataset(src, given)
    else:
        for folder, section in _split_folders(src):
            finder.folder(folder, section)
    for labels in said:
        finder.belonging.attach(labels, finder.sources)
    finder.hint()
    finder.together()
    _unique_names(finder.sources, src)
    return finder.sources, finder.notes


def _split_folders(src: Path) -> list[tuple[Path, str | None]]:
    if any((src / name).is_dir() for name in ALL_IMAGES):
        return [(src, None)]
    found = []
    for folder in sorted(path for path in src.iterdir() if path.is_dir()):
        name = folder.name.lower()
        section = "testing" if name.startswith("test") else _SPLITS.get(name)
        if section and not _only_results(folder):
            found.append((folder, section))
    return found or [(src, None)]


def _said(kind: str, where: Path, options: BuildOptions) -> Labels:
    """What ``--labels KIND=WHERE`` names: the files of a folder, a file or a pattern."""
    if where.is_dir():
        root, files = where, _labels_in(kind, where, options)
    elif where.is_file():
        root, files = where.parent, [where]
    else:
        files = sorted(Path(path) for path in glob.glob(str(where), recursive=True) if Path(path).is_file())
        fixed = list(where.parts[:-1])
        wild = next((n for n, part in enumerate(fixed) if glob.has_magic(part)), len(fixed))
        root = Path(*fixed[:wild])
    if not files:
        what = "label picture" if kind in PICTURES else "annotation file"
        remedy = "correct the path, or leave it out"
        raise BuildError(f"'{where}' holds no {what} for {kind}{_but_unread(kind, where)}: {remedy}.")
    return Labels(kind, str(where), root, files)


def _labels_in(kind: str, folder: Path, options: BuildOptions) -> list[Path]:
    """Label files of a kind in a folder; where it holds none itself, in its subfolders."""
    suffixes = LABEL_SUFFIXES if kind in PICTURES else ANNOTATION_SUFFIXES
    legend = os.path.abspath(options.legend) if options.legend is not None else None
    for deep in (False, True):
        files = [path for path in _files(folder, suffixes, deep) if os.path.abspath(path) != legend]
        files = [path for path in files if path.name != FILE_NAME and path.name not in OWN_FILES]
        if kind in PICTURES:
            files = own_files(kind, files)
        if kind in PICTURES and options.image_suffix:
            files = [path for path in files if not path.stem.endswith(options.image_suffix)]
        if files:
            break
    return files


#: Files of the system and of people that nobody takes for marks.
_NO_MARKS = ("thumbs.db", "desktop.ini", "readme", "license", "licence")


def _unread(folder: Path, pictures: bool = True) -> list[Path]:
    """Files of a folder of annotations that no reader takes: of other programs' formats (CVAT's and VOC's XML, YOLO's text).

    Args:
        folder: with its subfolders.
        pictures: whether pictures count: beside images they may be images.
    """
    return [
        path
        for path in _files(folder, ("",), deep=True)
        if path.is_file()
        and not path.name.lower().endswith(ANNOTATION_SUFFIXES)
        and (pictures or not path.name.lower().endswith((*PICTURE_SUFFIXES, *VOLUME_SUFFIXES, *LABEL_SUFFIXES)))
        and not path.name.lower().startswith(_NO_MARKS)
        and path.name not in OWN_FILES
    ]


def _told_unread(folder: Path, pictures: bool = True) -> list[str]:
    found = _unread(folder, pictures)
    if not found:
        return []
    one = len(found) == 1
    count = (
        "1 file holds no marks that can be read and is" if one else f"{len(found)} files hold no marks that can be read and are"
    )
    where = "; label pictures belong into masks/ or segmentation/" if any(_is_picture(path) for path in found) else ""
    named = some([str(path.relative_to(folder)) for path in found])
    return [f"'{folder}': {count} left out, {named}: save {ANNOTATION_FORMATS}{where}."]


def _but_unread(kind: str, folder: Path) -> str:
    """What an empty folder of annotations holds in their stead."""
    found = _unread(folder) if kind not in PICTURES and folder.is_dir() else []
    return f", and {some([path.name for path in found])} cannot be read (save {ANNOTATION_FORMATS})" if found else ""


def _is_picture(path: Path) -> bool:
    return path.name.lower().endswith((*PICTURE_SUFFIXES, *LABEL_SUFFIXES))


def _files(folder: Path, suffixes: Iterable[str], deep: bool = False, skip: Collection[str] = ()) -> list[Path]:
    """Files with these suffixes, hidden ones left out; with ``deep`` in subfolders, too, but for those named ``skip``."""
    suffixes = tuple(suffixes)
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if deep and not n.startswith((".", "__")) and n not in skip)
        found += [Path(parent, n) for n in names if not n.startswith(".") and n.lower().endswith(suffixes)]
    return sorted(found)  # a link that leads nowhere among them: who reads it says so


def _named_like_pictures(home: Path, but: Collection[str]) -> list[Path]:
    """Folders beside pictures, but for some that are told of already."""
    named = [path for path in home.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")]
    return [path for path in named if path.is_dir() and path.name not in but]


class _Finder:
    """Collects images, and gives them their labels."""

    def __init__(self, options: BuildOptions, said: Sequence[Labels]) -> None:
        self.options = options
        self.said = said
        self.sources: list[Source] = []
        self.notes: list[str] = []
        self.belonging = Belonging(options, self.notes)
        self.beside: list[tuple[Path, str]] = []  # label pictures beside their images that nobody named, with their ending
        # What --labels names is that and nothing else
        self.named = {os.path.abspath(p) for labels in said for p in labels.files if not Path(labels.where).is_dir()}
        self.named_folders = {os.path.abspath(labels.where) for labels in said if Path(labels.where).is_dir()}

    # --------------------------------------------------------------------------------------------------------- images

    def folder(self, folder: Path, section: str | None, is_unit: bool = False) -> None:
        """Take the images of a folder and the labels that lie there."""
        home = next((folder / name for name in ALL_IMAGES if (folder / name).is_dir()), folder)
        flat = home == folder
        paths = self._pictures(home, flat)
        if flat and not any(path.parent == home for path in paths) and (parts := units(folder)):
            for part in parts:
                self.folder(part, section, is_unit=True)
            aside = sorted({path.relative_to(home).parts[0] for path in paths} - {part.name for part in parts})
            if aside:
                self.notes.append(f"'{folder}': the pictures in {some(aside)} are left out, as they lie in no images/ there.")
            return
        labels_beside: list[tuple[Path, str]] = []
        if flat and not self.options.image_suffix:
            paths, labels_beside = self._without_labels(paths)
        if not paths:
            self._no_image(home)
        sources = [
            Source(path.stem.removesuffix(self.options.image_suffix) or path.stem, path, section, home=home) for path in paths
        ]
        _refuse_same_name(sources)
        self.sources += sources
        for name, kind in LABEL_FOLDERS.items():
            if (folder / name).is_dir():
                self._own_folder(kind, folder / name, sources, is_unit)
        if flat and not self.said:
            self._flat(home, sources, labels_beside)

    def dataset(self, src: Path, given: GivenDataset) -> None:
        """Take the images that a data set names with their labels, other pictures that lie there, and marks beside them."""
        src = Path(os.path.abspath(src))  # as its datalist's files are
        home = src / "images" if (src / "images").is_dir() else src
        flat = home == src
        listed = {os.path.realpath(path) for path in (*given.files, *(given.written if flat else ()))}
        sources = []
        for item in given.items:
            place = home if home in item.image.parents else item.image.parent
            own = {"given": item.labels, "item": item.item, "predicted": item.predicted}
            sources.append(Source(item.image.stem, item.image, None, home=place, **own))
        more = [path for path in without_results(_files(home, PICTURE_SUFFIXES)) if os.path.realpath(path) not in listed]
        more = [path for path in more if os.path.abspath(path) not in self.named and not path.is_dir()]
        if flat:
            others = set(more)
            more = [path for path in self._without_labels([*(s.path for s in sources), *more])[0] if path in others]
        sources += [Source(path.stem, path, None, home=home) for path in more]
        if not sources:
            self._no_image(home)
        _refuse_same_name(sources)
        self.sources += sources
        own = {*LABEL_KEYS, *(path.parent.name for path in given.files if path.parent.parent == src)}
        for name, kind in LABEL_FOLDERS.items():
            if name not in own and (src / name).is_dir():
                self._own_folder(kind, src / name, sources, is_unit=False)
        if flat and not self.said:
            drawn = [path for path in _labels_in("annotations", src, self.options) if path.parent == src]
            if drawn := [path for path in drawn if path.name not in _WINDOWS and os.path.realpath(path) not in listed]:
                self.belonging.attach(Labels("annotations", str(src), src, drawn), sources)

    def _pictures(self, home: Path, flat: bool) -> list[Path]:
        """Pictures of a folder; where it holds none itself, those of its subfolders."""

        below = {folder for folder in self.named_folders if Path(os.path.abspath(home)) in Path(folder).parents}

        def usable(paths: list[Path]) -> list[Path]:
            return [
                path
                for path in paths
                if path.stem.endswith(self.options.image_suffix)
                and os.path.abspath(path) not in self.named
                and not any(os.path.abspath(parent) in below for parent in path.parents)
            ]

        skip = (*LABEL_FOLDERS, *ALL_IMAGES) if flat else ()
        found, deep = (usable(without_results(_files(home, PICTURE_SUFFIXES, deep, skip))) for deep in (False, True))
        apart = sorted({path.relative_to(home).parts[0] for path in deep if path.parent != home}) if found else []
        if found and (said := folders_passed_over(_named_like_pictures(home, () if flat else apart))):
            self.notes.append(said)
        if apart and not flat:
            count = len(deep) - len(found)
            self.notes.append(
                f"'{home}': {count} pictures in {some(apart)} are left out, as there are images beside these folders: put all "
                "images into folders, or none."
            )
        return found or deep

    def _without_labels(self, paths: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
        """Images alone: "a_mask.png" beside "a.png" is its label. Also these labels, with what follows the image's name."""
        by_folder: dict[Path, list[Path]] = {}
        for path in paths:
            by_folder.setdefault(path.parent, []).append(path)
        images, labels = [], []
        for inside in by_folder.values():
            stems = {folded(path.stem) for path in inside}
            for path in inside:
                base = image_beside(path.stem, stems, self.belonging.endings())
                if base is not None:
                    labels.append((path, path.stem[len(base) :] if folded(path.stem).startswith(base) else ""))
                elif not is_by_product(path.stem, stems):
                    images.append(path)
        return images, labels

    def _no_image(self, home: Path) -> None:
        volumes = _files(home, VOLUME_SUFFIXES)
        if volumes:
            raise BuildError(
                f"'{volumes[0]}' is a volume, which this command does not build from: write datalist.json by hand."
            )
        suffix = self.options.image_suffix
        which = f" whose name ends with '{suffix}'" if suffix else ""
        raise BuildError(f"'{home}' holds no image{which}: name a folder of {', '.join(PICTURE_SUFFIXES)} files.")

    # --------------------------------------------------------------------------------------------------------- labels

    def _own_folder(self, kind: str, folder: Path, sources: Sequence[Source], is_unit: bool) -> None:
        """Labels of a folder whose name says their kind."""
        if os.path.abspath(folder) in self.named_folders:
            return
        every = _labels_in(kind, folder, self.options)
        files = [path for path in every if os.path.abspath(path) not in self.named]
        if every and not files:
            return
        if not files:
            what = "label picture" if kind in PICTURES else "annotation file"
            remedy = "put some there, or take the folder away"
            raise BuildError(f"'{folder}' holds no {what} for {kind}{_but_unread(kind, folder)}: {remedy}.")
        if kind in PICTURES:
            refuse_brush_files(files)
        else:
            self.notes += _told_unread(folder)
        labels = Labels(kind, str(folder), folder, files)
        if kind == "masks" and (apart := self.belonging.object_files(labels, sources, is_unit)):
            for source, place in apart:
                source.pictures[kind] = place
            return
        self.belonging.attach(labels, sources)

    def _flat(self, home: Path, sources: Sequence[Source], beside: Sequence[tuple[Path, str]]) -> None:
        """Labels beside their images in one folder."""
        # Cellpose's names say that these are ids
        files = [path for path, ending in beside if re.search("cp_masks?$", ending, re.IGNORECASE)]
        files += [p for p in _files(home, (".npy",), any(s.folders for s in sources)) if p.stem.lower().endswith("_seg")]
        if files:
            self.belonging.attach(Labels("masks", str(home), home, files), sources)
        self.beside += [(path, ending) for path, ending in beside if path not in files]
        drawn = [path for path in _labels_in("annotations", home, self.options) if not set(path.parts) & set(LABEL_FOLDERS)]
        if drawn:
            self.belonging.attach(Labels("annotations", str(home), home, drawn), sources, is_aside=bool(files))

    def hint(self) -> None:
        """Say how label pictures beside their images are named, where no image has a label at all."""
        if self.beside and not any(source.pictures or source.annotations for source in self.sources):
            path, ending = self.beside[0]
            deep = next((s.home for s in self.sources if s.folders and s.home in path.parents), None)
            folder = path.parent if deep is None else deep / "**"
            pattern = folder / (f"*{ending}{path.suffix}" if ending else path.name)
            raise BuildError(
                f"'{path}' looks like a label of the image beside it, but nothing says of which kind: add --labels "
                f"{quoted(f'masks={pattern}')} for object ids, or segmentation= for classes."
            )

    def together(self) -> None:
        """Name images that take marks of one kind from several files: folders and files that were named each."""
        shared = []
        for source in self.sources:
            files: dict[str, list[Path]] = {}
            for kind, annotation in source.annotations:
                if not annotation.word and annotation.source not in files.setdefault(kind, []):
                    files[kind].append(annotation.source)
            shared += [(source, paths) for paths in files.values() if len(paths) > 1]
        if shared:
            source, paths = shared[0]
            images = "1 image takes" if len(shared) == 1 else f"{len(shared)} images take"
            self.notes.append(
                f"{images} the marks of several files together, such as '{source.path.name}' those of "
                f"{some([str(path) for path in paths])}: leave out what is not meant."
            )


def _only_results(folder: Path) -> bool:
    """Whether a folder is one of predictions, such as "test_results"."""
    pictures = _files(folder, PICTURE_SUFFIXES)
    return bool(pictures) and not without_results(pictures)


def _refuse_same_name(sources: Iterable[Source]) -> None:
    seen: dict[tuple, Source] = {}
    for source in sources:
        other = seen.setdefault((source.path.parent, folded(source.name)), source)
        if other is not source:
            raise BuildError(
                f"'{source.path}' and '{other.path.name}' share the name '{source.name}', so that no label can be told to "
                "belong to one of them: rename one."
            )


def _unique_names(sources: list[Source], src: Path) -> None:
    """A name that occurs in two folders gets those folders' names in front."""
    lower = [folded(source.name) for source in sources]
    for source, name in zip(sources, list(lower), strict=True):
        if lower.count(name) > 1:
            path, top = Path(os.path.abspath(source.path)), Path(os.path.abspath(src))
            top = top if top in path.parents else path.parent.parent  # a data set's images may be elsewhere
            folders = [part for part in path.relative_to(top).parts[:-1] if part not in ALL_IMAGES]
            source.name = "_".join([*folders, source.name])
    seen: dict[str, Source] = {}
    for source in sources:
        other = seen.setdefault(folded(source.name), source)
        if other is not source:
            raise BuildError(f"'{source.path}' and '{other.path}' would share the name '{source.name}': rename one of them.")
