"""Which label files belong to which image: by their names, their folders, and the names that files of drawn marks hold."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lazylabels_monai.data.building.layouts import LABEL_FOLDERS, object_folders, refuse_brush_files
from lazylabels_monai.data.building.names import ImageName, LabelName, Matching, claims, folded, match, nearest
from lazylabels_monai.data.building.options import PICTURES, BuildError, BuildOptions
from lazylabels_monai.errors import some
from lazylabels_monai.labels.annotations import Annotation, NoMarksError
from lazylabels_monai.labels.formats import read_annotations

__all__ = ["Belonging", "Labels", "Source"]

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
        given: label files that a data set names for it, by their keys there.
        item: of that data set; empty without one.
        predicted: whether its exact masks are predictions that nobody has changed
            (:func:`~lazylabels_monai.data.building.predicted.mark_unchanged`).
    """

    name: str
    path: Path
    section: str | None
    pictures: dict[str, Path] = field(default_factory=dict)
    annotations: list[tuple[str, Annotation]] = field(default_factory=list)
    home: Path | None = None
    given: Mapping[str, Path] = field(default_factory=dict)
    item: Mapping[str, Any] = field(default_factory=dict)
    predicted: bool = False

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders between the folder of images and the image."""
        return self.path.relative_to(self.home).parts[:-1] if self.home is not None else ()


@dataclass(frozen=True)
class Labels:
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


class Belonging:
    """Gives images their labels.

    Args:
        options: endings of names are taken from there.
        notes: what a user should know is added to it.
    """

    def __init__(self, options: BuildOptions, notes: list[str]) -> None:
        self.options, self.notes = options, notes

    def attach(self, labels: Labels, sources: Sequence[Source], is_aside: bool = False) -> None:
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

    def _attach_pictures(self, labels: Labels, sources: Sequence[Source]) -> None:
        kind, matching = labels.kind, self._match(labels, sources)
        for image, rivals in matching.rivals.items():
            first, second = (labels.files[n] for n in rivals[:2])
            raise BuildError(
                f"'{first}' and '{second.name}' both are {kind} of image '{sources[image].path.name}': name one of them "
                f"with --labels {kind}=FILE_PATTERN."
            )
        self._refuse_torn(matching, [(path, None) for path in labels.files], sources)
        for number, image in matching.image_of.items():
            path, source = labels.files[number], sources[image]
            if kind in source.pictures:
                raise BuildError(
                    f"'{path}' and '{source.pictures[kind]}' both are {kind} of image '{source.path.name}': name one of them "
                    f"with --labels {kind}=FILE_PATTERN."
                )
            source.pictures[kind] = path
        self._told(labels, [labels.files[n].name for n in matching.lost], bool(matching.image_of), sources)

    def _attach_annotations(self, labels: Labels, sources: Sequence[Source], is_aside: bool) -> None:
        read = self._read(labels, is_aside)
        known = _known_folders(sources)
        names = [self._label_name(a.source, labels.root, _stem(a.source), a.image, known) for a in read]
        matching = match(names, [_image_name(source) for source in sources])
        for image, rivals in matching.rivals.items():
            self._refuse_rivals(sources[image], [read[n] for n in rivals], labels.kind)
        self._refuse_torn(matching, [(a.source, a.image) for a in read], sources)
        owners = {number: (image, "") for number, image in matching.image_of.items()}
        by_word = self._by_word(labels, read, matching.lost, sources)
        of_image: dict[int, list[int]] = {}
        for number, (image, _) in {**owners, **by_word}.items():
            of_image.setdefault(image, []).append(number)
        for image in {image for image, _ in by_word.values()}:
            rivals = of_image[image]
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

    def _read(self, labels: Labels, is_aside: bool) -> list[Annotation]:
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
        self, labels: Labels, read: Sequence[Annotation], lost: Sequence[int], sources: Sequence[Source]
    ) -> dict[int, tuple[int, str]]:
        """Image and class of the files whose name ends with a class: napari's layers and ImageJ's ROIs carry none."""
        known, cuts = _known_folders(sources), []
        for number in lost:
            if read[number].image is not None:
                continue
            path, stem = read[number].source, _stem(read[number].source)
            for cut in sorted((m.start() for m in re.finditer("[-_ .]", stem)), reverse=True):
                word = stem[cut + 1 :].strip()
                if not re.match(r"[^\W\d]", word) or _VERSION.search(word):
                    continue
                cuts.append((number, word, self._label_name(path, labels.root, stem[:cut], None, known)))
        wanted = claims([name for _, _, name in cuts], [_image_name(source) for source in sources])
        found: dict[int, tuple[int, str]] = {}
        for (number, word, _), images in zip(cuts, wanted, strict=True):
            if number in found or not images:
                continue
            if len(images) > 1:
                self._refuse_torn(Matching(torn={0: images}), [(read[number].source, None)], sources)
            found[number] = images[0], word
        return found

    def object_files(self, labels: Labels, sources: Sequence[Source], is_unit: bool) -> list[tuple[Source, Path]]:
        """Images with the folder that holds a file for each of their objects; empty where the files are whole pictures."""
        matching = self._match(labels, sources)
        if matching.image_of or matching.rivals or matching.torn:
            return []
        if len(sources) == 1 and all(path.parent == labels.root for path in labels.files):
            return [(sources[0], labels.root)] if is_unit or len(labels.files) > 1 else []
        folders = object_folders(labels.root, labels.files)
        found = match([LabelName(path.name) for path in folders], [_image_name(source) for source in sources])
        return [(sources[image], folders[number]) for number, image in found.image_of.items()]

    def endings(self) -> tuple[str, ...]:
        return tuple(ending for ending in (self.options.label_suffix, self.options.image_suffix) if ending)

    def _label_name(self, path: Path, root: Path, stem: str, record: str | None, known: frozenset[str]) -> LabelName:
        """What a file's name says, or the name of an image in it, with the folders that tell images of a name apart."""
        try:
            folders = path.relative_to(root).parts[:-1]
        except ValueError:
            folders = ()
        folders = tuple(name for name in folders if name not in LABEL_FOLDERS)
        # a file or a folder named by itself: the folder that it lies in may be that of its images
        within = (root.name,) if not folders and folded(root.name) in known else ()
        if record is not None:
            # "anna/" says nothing of "f0.png" in a file there, "plate1/" does where there are images of that plate
            return LabelName(record, folders if any(folded(name) in known for name in folders) else (), True, within=within)
        return LabelName(stem, folders, endings=self.endings(), within=within)

    def _match(self, labels: Labels, sources: Sequence[Source]) -> Matching:
        known = _known_folders(sources)
        names = [self._label_name(path, labels.root, path.stem, None, known) for path in labels.files]
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

    def _refuse_torn(self, matching: Matching, labels: Sequence[tuple[Path, str | None]], sources: Sequence[Source]) -> None:
        """Refuse a file, or an image that it names, that could be either of two; ``labels`` are both."""
        for number, images in matching.torn.items():
            path, record = labels[number]
            both = [sources[n] for n in images[:2]]
            paths = [os.path.abspath(source.path) for source in both]
            shown = f"'{path}'" if record is None else f"'{path}': its image '{record}'"
            could = f"{shown} could belong to '{both[0].path}' or '{both[1].path}'"
            inside = f", in a subfolder of the image's folder's name ({os.sep.join(both[0].folders)}{os.sep})"
            place = f"a label folder beside images/{inside if both[0].folders else ''}"
            if record is None:
                raise BuildError(f"{could}: put it into {place}.")
            named = Path(os.path.relpath(paths[0], os.path.commonpath(paths))).as_posix()
            raise BuildError(
                f"{could}: call it '{named}' there; or, where all images of the file lie in one folder, put the file into "
                f"{place}."
            )

    def _told(self, labels: Labels, lost: Sequence[str], any_matched: bool, sources: Sequence[Source]) -> None:
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

    def _refuse_numbered(self, labels: Labels, sources: Sequence[Source]) -> None:
        """Say where files of single objects go whose names end with a number: a_1.png, a_2.png."""
        stems = [re.sub(r"[-_ .(]+\d+\)?$", "", path.stem) for path in labels.files]
        found = match([LabelName(stem) for stem in dict.fromkeys(stems)], [_image_name(source) for source in sources])
        if found.image_of and len(labels.files) > len(set(stems)):
            source = sources[next(iter(found.image_of.values()))]
            raise BuildError(
                f"'{labels.where}': names such as '{labels.files[0].name}' look like a file for each object: put those of each "
                f"image into a folder of its name, such as '{labels.root / source.path.stem}{os.sep}'."
            )


def _known_folders(sources: Sequence[Source]) -> frozenset[str]:
    """Folders that images lie in, as names are compared."""
    return frozenset(folded(name) for source in sources for name in source.folders)


def _image_name(source: Source) -> ImageName:
    above = Path(os.path.abspath(source.home)).parts if source.home is not None else ()
    return ImageName(source.name, source.folders, above)


def _shown(source: Source) -> str:
    """An image's name with the folders that tell it from others."""
    return os.sep.join([*source.folders, source.path.name])


def _folder_of(image: str | None) -> str:
    return os.sep.join((image or "").replace("\\", "/").strip("/").split("/")[:-1])


def _named(annotation: Annotation, word: str) -> Annotation:
    """Marks without a class name get ``word``."""
    if not word:
        return annotation
    marks = [mark if mark.name else replace(mark, name=word) for mark in annotation.marks]
    return replace(annotation, marks=marks, word=word)


def _stem(path: Path) -> str:
    """Name of an annotation file without its suffix, which may be double (``.geojson.gz``)."""
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.stem
