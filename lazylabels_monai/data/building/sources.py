"""Which images there are, and which label files belong to them: by folder, and by file name."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lazylabels_monai.data.building.layouts import (
    ALL_IMAGES,
    LABEL_FOLDERS,
    is_by_product,
    object_folders,
    refuse_brush_files,
    units,
)
from lazylabels_monai.data.building.names import ImageName, LabelName, Matching, folded, image_beside, match, nearest
from lazylabels_monai.data.building.options import PICTURES, BuildError, BuildOptions
from lazylabels_monai.data.building.predicted import own_files
from lazylabels_monai.data.datalist import FILE_NAME
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES
from lazylabels_monai.labels.annotations import Annotation, NoMarksError
from lazylabels_monai.labels.formats import ANNOTATION_SUFFIXES, LABEL_SUFFIXES, read_annotations
from lazylabels_monai.overrides import expanded
from lazylabels_monai.result_files import OWN_FILES, without_results

__all__ = ["Source", "find_sources", "some"]

_SPLITS = {"train": "training", "training": "training", "val": "validation", "valid": "validation", "validation": "validation"}
# What people put behind a file's name to tell its versions apart: no class of that name is meant
_VERSION = re.compile(r"(^|[-_ .(])(old|new|copy|kopie|bak|backup|final|orig|original|test|tmp|v?\d+)\)?$", re.IGNORECASE)


@dataclass
class Source:
    """An image and its label files.

    Args:
        name: of its files in the data set, without suffix.
        path: of the image.
        section: split it belongs to; None where that is to be drawn.
        pictures: label picture for each kind; a folder where it holds a file for each object.
        annotations: drawn marks with their kind.
        home: the folder of images that it was found under.
    """

    name: str
    path: Path
    section: str | None
    pictures: dict[str, Path] = field(default_factory=dict)
    annotations: list[tuple[str, Annotation]] = field(default_factory=list)
    home: Path | None = None

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders between the folder of images and the image."""
        return self.path.relative_to(self.home).parts[:-1] if self.home is not None else ()


@dataclass(frozen=True)
class _Labels:
    """Label files of one origin: a folder, or what one ``--labels`` names.

    Args:
        kind: of the labels.
        where: the origin as people know it.
        root: folder that the folders of the files count from.
        files: the files.
    """

    kind: str
    where: str
    root: Path
    files: Sequence[Path]


def find_sources(src: Path, options: BuildOptions) -> tuple[list[Source], list[str]]:
    """Images of a source folder with their labels, and what a user should know about files that were left aside.

    Args:
        src: a folder of images; or with ``images/`` beside folders of labels; or with ``train/``, ``val/``, ``test/`` of
            those; or with a folder of these for each image. Images may lie in subfolders.
        options: see :class:`~lazylabels_monai.data.building.options.BuildOptions`.

    Raises:
        BuildError: where there is no image, or a label that cannot be told to belong to one.
    """
    if not src.is_dir():
        raise BuildError(f"'{src}' is no folder: name the folder that holds your images.")
    said = [_said(kind, expanded(where), options) for kind, where in options.labels]
    finder = _Finder(options, said)
    for folder, section in _split_folders(src):
        finder.folder(folder, section)
    for labels in said:
        finder.attach(labels, finder.sources)
    finder.hint()
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


def _said(kind: str, where: Path, options: BuildOptions) -> _Labels:
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
        raise BuildError(f"'{where}' holds no {what} for {kind}: correct the path, or leave it out.")
    return _Labels(kind, str(where), root, files)


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


def _files(folder: Path, suffixes: Iterable[str], deep: bool = False, skip: Collection[str] = ()) -> list[Path]:
    """Files with these suffixes, hidden ones left out; with ``deep`` in subfolders, too, but for those named ``skip``."""
    suffixes = tuple(suffixes)
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if deep and not n.startswith((".", "__")) and n not in skip)
        found += [Path(parent, n) for n in names if not n.startswith(".") and n.lower().endswith(suffixes)]
    return sorted(found)  # a link that leads nowhere among them: who reads it says so


class _Finder:
    """Collects images, and gives them their labels."""

    def __init__(self, options: BuildOptions, said: Sequence[_Labels]) -> None:
        self.options = options
        self.said = said
        self.sources: list[Source] = []
        self.notes: list[str] = []
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
                base = image_beside(path.stem, stems, self._endings())
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
            raise BuildError(f"'{folder}' holds no {what} for {kind}: put some there, or take the folder away.")
        if kind in PICTURES:
            refuse_brush_files(files)
        labels = _Labels(kind, str(folder), folder, files)
        if kind == "masks" and (apart := self._object_files(labels, sources, is_unit)):
            for source, place in apart:
                source.pictures[kind] = place
            return
        self.attach(labels, sources)

    def _object_files(self, labels: _Labels, sources: Sequence[Source], is_unit: bool) -> list[tuple[Source, Path]]:
        """Images with the folder that holds a file for each of their objects; empty where the files are whole pictures."""
        matching = self._match(labels, sources)
        if matching.image_of or matching.rivals or matching.torn:
            return []
        if len(sources) == 1 and all(path.parent == labels.root for path in labels.files):
            return [(sources[0], labels.root)] if is_unit or len(labels.files) > 1 else []
        folders = object_folders(labels.root, labels.files)
        found = match([LabelName(path.name) for path in folders], [_image_name(source) for source in sources])
        return [(sources[image], folders[number]) for number, image in found.image_of.items()]

    def _flat(self, home: Path, sources: Sequence[Source], beside: Sequence[tuple[Path, str]]) -> None:
        """Labels beside their images in one folder."""
        # Cellpose's names say that these are ids
        files = [path for path, ending in beside if re.search("cp_masks?$", ending, re.IGNORECASE)]
        files += [p for p in _files(home, (".npy",), any(s.folders for s in sources)) if p.stem.lower().endswith("_seg")]
        if files:
            self.attach(_Labels("masks", str(home), home, files), sources)
        self.beside += [(path, ending) for path, ending in beside if path not in files]
        drawn = [path for path in _labels_in("annotations", home, self.options) if not set(path.parts) & set(LABEL_FOLDERS)]
        if drawn:
            self.attach(_Labels("annotations", str(home), home, drawn), sources, is_aside=bool(files))

    def attach(self, labels: _Labels, sources: Sequence[Source], is_aside: bool = False) -> None:
        """Give label files of one origin to the images of the same name.

        Args:
            labels: the files.
            sources: images that they may belong to.
            is_aside: whether the files may as well be none of labels.
        """
        own = {os.path.abspath(source.path) for source in sources}
        labels = replace(labels, files=[path for path in labels.files if os.path.abspath(path) not in own])
        if labels.kind in PICTURES:
            refuse_brush_files(labels.files)
            self._attach_pictures(labels, sources)
        else:
            self._attach_annotations(labels, sources, is_aside)

    def _attach_pictures(self, labels: _Labels, sources: Sequence[Source]) -> None:
        kind, matching = labels.kind, self._match(labels, sources)
        for image, rivals in matching.rivals.items():
            first, second = (labels.files[n] for n in rivals[:2])
            raise BuildError(
                f"'{first}' and '{second.name}' both are {kind} of image '{sources[image].path.name}': name one of them "
                f"with --labels {kind}=FILE_PATTERN."
            )
        self._refuse_torn(matching, [str(path) for path in labels.files], sources)
        for number, image in matching.image_of.items():
            path, source = labels.files[number], sources[image]
            if kind in source.pictures:
                raise BuildError(
                    f"'{path}' and '{source.pictures[kind]}' both are {kind} of image '{source.path.name}': name one of them "
                    f"with --labels {kind}=FILE_PATTERN."
                )
            source.pictures[kind] = path
        self._told(labels, [labels.files[n].name for n in matching.lost], bool(matching.image_of), sources)

    def _attach_annotations(self, labels: _Labels, sources: Sequence[Source], is_aside: bool) -> None:
        read = self._read(labels, is_aside)
        names = [self._label_name(a.source, labels.root, _stem(a.source), a.image) for a in read]
        matching = match(names, [_image_name(source) for source in sources])
        for image, rivals in matching.rivals.items():
            self._refuse_rivals(sources[image], [read[n] for n in rivals], labels.kind)
        self._refuse_torn(matching, [a.image or str(a.source) for a in read], sources)
        owners = {number: (image, "") for number, image in matching.image_of.items()}
        by_word = self._by_word(labels, read, matching.lost, sources)
        for image in {image for image, _ in by_word.values()}:
            rivals = [n for n, (i, _) in {**owners, **by_word}.items() if i == image]
            words = [folded(by_word[n][1]) if n in by_word else "" for n in rivals]
            named = any(mark.name for n in rivals for mark in read[n].marks)
            if len(rivals) > 1 and (named or "" in words or len(set(words)) < len(words)):
                self._refuse_rivals(sources[image], [read[n] for n in rivals], labels.kind)
        owners |= by_word
        lost = [n for n in matching.lost if n not in owners]
        if len(lost) == len(read) == len(sources) == 1 and read[0].image is None:
            owners, lost = {0: (0, "")}, []  # one image, one file: what else could it belong to
            self.notes.append(
                f"'{read[0].source.name}' is taken for the annotation of '{sources[0].path.name}', the only image."
            )
        for number, (image, word) in sorted(owners.items()):
            sources[image].annotations.append((labels.kind, _named(read[number], word)))
        lost_names = [read[n].image or read[n].source.name for n in lost]
        self._told(labels, lost_names, bool(owners), sources)

    def _read(self, labels: _Labels, is_aside: bool) -> list[Annotation]:
        """The files' marks; files without any are left out, unless none is left."""
        read: list[Annotation] = []
        odd: list[NoMarksError] = []
        left_out: list[str] = []
        for path in labels.files:
            try:
                found = read_annotations(path)
            except NoMarksError as error:
                odd.append(error)
                continue
            read += found
            left_out += [f"{phrase} ('{path.name}')" for annotation in found for phrase in annotation.left_out]
        if odd and not is_aside and not any(annotation.marks for annotation in read):
            raise odd[0]
        if left_out:
            total = len(left_out) + sum(len(annotation.marks) for annotation in read)
            shown = "; ".join(left_out[:3]) + (f"; and {len(left_out) - 3} more" if len(left_out) > 3 else "")
            self.notes.append(
                f"'{labels.where}': {len(left_out)} of {total} marks cannot be used and count as not drawn (where "
                f"they have a box, it is not labelled): {shown}."
            )
        trimmed = [f"{mark.id} ('{a.source.name}')" for a in read for mark in a.marks if mark.trimmed]
        if trimmed:
            self.notes.append(
                f"'{labels.where}': parts or holes of fewer than three points, which have no area, are left out of "
                f"{len(trimmed)} marks: {', '.join(trimmed[:3])}{' ...' if len(trimmed) > 3 else ''}."
            )
        self.notes += [f"left out: {error}" for error in odd[:3]]
        if len(odd) > 3:
            self.notes.append(f"'{labels.where}': {len(odd) - 3} more files hold no marks and are left out.")
        return read

    def _by_word(
        self, labels: _Labels, read: Sequence[Annotation], lost: Sequence[int], sources: Sequence[Source]
    ) -> dict[int, tuple[int, str]]:
        """Image and class of the files whose name ends with a class: napari's layers and ImageJ's ROIs carry none."""
        images = [_image_name(source) for source in sources]
        found: dict[int, tuple[int, str]] = {}
        for number in lost:
            if read[number].image is not None:
                continue
            path, stem = read[number].source, _stem(read[number].source)
            for cut in sorted((m.start() for m in re.finditer("[-_ .]", stem)), reverse=True):
                word = stem[cut + 1 :].strip()
                if not re.match(r"[^\W\d]", word) or _VERSION.search(word):
                    continue
                owner = match([self._label_name(path, labels.root, stem[:cut], None)], images)
                self._refuse_torn(owner, [str(path)], sources)
                if owner.image_of:
                    found[number] = owner.image_of[0], word
                    break
        return found

    # ---------------------------------------------------------------------------------------------------------- names

    def _endings(self) -> tuple[str, ...]:
        return tuple(ending for ending in (self.options.label_suffix, self.options.image_suffix) if ending)

    def _label_name(self, path: Path, root: Path, stem: str, record: str | None) -> LabelName:
        if record is not None:
            return LabelName(record, is_record=True)
        try:
            folders = path.relative_to(root).parts[:-1]
        except ValueError:
            folders = ()
        return LabelName(stem, tuple(name for name in folders if name not in LABEL_FOLDERS), endings=self._endings())

    def _match(self, labels: _Labels, sources: Sequence[Source]) -> Matching:
        names = [self._label_name(path, labels.root, path.stem, None) for path in labels.files]
        return match(names, [_image_name(source) for source in sources])

    def _refuse_rivals(self, source: Source, rivals: Sequence[Annotation], kind: str) -> None:
        first, second = rivals[:2]
        if first.source != second.source:
            raise BuildError(
                f"'{first.source}' and '{second.source.name}' both hold marks of image '{source.path.name}': take one away, or "
                f"name each with a --labels {kind}=FILE of its own if the marks of both are to be drawn."
            )
        if first.image == second.image:
            raise BuildError(
                f"'{first.source}' lists image '{first.image}' twice, with marks of its own each time: keep one of them in the "
                "file, or give the images names or folders of their own before you export."
            )
        said = _folder_of(first.image) or _folder_of(second.image)
        folder = f"{source.home or source.path.parent}{os.sep}{said}{os.sep}"
        remedy = f"put images into folders as the file names them, such as '{folder}', or " if said else ""
        raise BuildError(
            f"'{first.source}': '{first.image}' and '{second.image}' both could be image '{source.path}': {remedy}delete one "
            "of them from the file."
        )

    def _refuse_torn(self, matching: Matching, labels: Sequence[str], sources: Sequence[Source]) -> None:
        for number, images in matching.torn.items():
            first, second = (sources[n].path for n in images[:2])
            raise BuildError(
                f"'{labels[number]}' could belong to '{first}' or '{second}': put it into a label folder beside images/, in a "
                "subfolder of the image's folder's name."
            )

    def _told(self, labels: _Labels, lost: Sequence[str], any_matched: bool, sources: Sequence[Source]) -> None:
        """Name what belongs to no image, and the images that were left without, with what is most like it."""
        if not lost:
            return
        free = [_shown(s) for s in sources if labels.kind not in (*s.pictures, *(kind for kind, _ in s.annotations))]
        close = nearest(lost[0], free or [_shown(source) for source in sources])
        like = f" (the nearest is '{close}')" if close else f", such as '{sources[0].path.name}'"
        if not any_matched and labels.kind == "masks":
            self._refuse_numbered(labels, sources)
        if not any_matched:
            raise BuildError(
                f"'{labels.where}': '{lost[0]}' belongs to no image, nor does any other there{like}: give "
                "label and image the same name, or say what follows the name with --label-suffix or --image-suffix."
            )
        shown = []
        for name in lost[:3]:
            close = nearest(name, free)
            shown.append(f"'{name}'" + (f" (the nearest without one is '{close}')" if close else ""))
        text = ", ".join(shown) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        without = f"; no {labels.kind} there for {some(free)}" if free else ""
        self.notes.append(f"'{labels.where}': {text} belong to no image and are left out{without}.")

    def _refuse_numbered(self, labels: _Labels, sources: Sequence[Source]) -> None:
        """Say where files of single objects go whose names end with a number: a_1.png, a_2.png."""
        stems = [re.sub(r"[-_ .(]+\d+\)?$", "", path.stem) for path in labels.files]
        found = match([LabelName(stem) for stem in dict.fromkeys(stems)], [_image_name(source) for source in sources])
        if found.image_of and len(labels.files) > len(set(stems)):
            source = sources[next(iter(found.image_of.values()))]
            raise BuildError(
                f"'{labels.where}': names such as '{labels.files[0].name}' look like a file for each object: put those of each "
                f"image into a folder of its name, such as '{labels.root / source.path.stem}{os.sep}'."
            )

    def hint(self) -> None:
        """Say how label pictures beside their images are named, where no image has a label at all."""
        if self.beside and not any(source.pictures or source.annotations for source in self.sources):
            path, ending = self.beside[0]
            deep = next((s.home for s in self.sources if s.folders and s.home in path.parents), None)
            folder = path.parent if deep is None else deep / "**"
            pattern = folder / (f"*{ending}{path.suffix}" if ending else path.name)
            raise BuildError(
                f"'{path}' looks like a label of the image beside it, but nothing says of which kind: add --labels "
                f"'masks={pattern}' for object ids, or segmentation= for classes."
            )


def _image_name(source: Source) -> ImageName:
    above = Path(os.path.abspath(source.home)).parts if source.home is not None else ()
    return ImageName(source.name, source.folders, above)


def _shown(source: Source) -> str:
    """An image's name with the folders that tell it from others."""
    return os.sep.join([*source.folders, source.path.name])


def _folder_of(image: str | None) -> str:
    return os.sep.join((image or "").replace("\\", "/").strip("/").split("/")[:-1])


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


def _named(annotation: Annotation, word: str) -> Annotation:
    """Marks without a class name get ``word``."""
    if not word:
        return annotation
    marks = [mark if mark.name else replace(mark, name=word) for mark in annotation.marks]
    return replace(annotation, marks=marks, word=word)


def _stem(path: Path) -> str:
    """Name of an annotation file without its suffix, which may be double (``.geojson.gz``)."""
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.stem


def _unique_names(sources: list[Source], src: Path) -> None:
    """A name that occurs in two folders gets those folders' names in front."""
    lower = [folded(source.name) for source in sources]
    for source, name in zip(sources, list(lower), strict=True):
        if lower.count(name) > 1:
            folders = [part for part in source.path.relative_to(src).parts[:-1] if part not in ALL_IMAGES]
            source.name = "_".join([*folders, source.name])
    seen: dict[str, Source] = {}
    for source in sources:
        other = seen.setdefault(folded(source.name), source)
        if other is not source:
            raise BuildError(f"'{source.path}' and '{other.path}' would share the name '{source.name}': rename one of them.")


def some(names: Sequence[str]) -> str:
    """The first names of a list and how many more there are."""
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
