"""A data set that a person is drawing: the folder of a datalist, with labels saved at every stroke.

The folder keeps today's layout (``images/``, a folder of labels for each task, ``datalist.json``), so that ``lazylabels train``
and all other commands take it as it is. Images without any label stand in no datalist, as they teach nothing; they join it with
their first mark. What else a window knows is in ``project.json`` (:mod:`~lazylabels_monai.interactive.state`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from lazylabels_monai.atomic import written_to
from lazylabels_monai.data.datalist import FILE_NAME, DatalistError
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import PathLike
from lazylabels_monai.interactive.image_files import no_pictures, not_shown, pictures_of
from lazylabels_monai.interactive.image_records import ImageEntry, ImageRecords
from lazylabels_monai.interactive.kept import Kept, read_kept, write_kept
from lazylabels_monai.interactive.open_datalist import make_datalist
from lazylabels_monai.interactive.project_files import ProjectFiles
from lazylabels_monai.interactive.project_labels import ProjectLabels
from lazylabels_monai.interactive.renamed import as_known, follow_renamed
from lazylabels_monai.locks import FolderLock
from lazylabels_monai.overrides import expanded
from lazylabels_monai.result_files import CLASSES_FILE
from lazylabels_monai.trained import write_classes

__all__ = ["Project"]


class Project:
    """A folder of images, labels and a datalist, opened by one window at a time. Its functions may be called by any thread.

    Use :meth:`open`.

    Attributes:
        folder: of the data set.
        images: the images of the datalist, then those of ``images/`` that it does not name.
        records: what is known of each image: splits, ticks, seconds.
        labels: what was drawn on each.
        files: where files about each image lie.
        notes: what opening found and did, a sentence each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: list[ImageEntry] = []
        self.notes: list[str] = []
        self._listed: list[str] = []
        self._use = FolderLock(folder, "window", "close it, or open another folder", ".project.lock")
        try:
            self.records, self.files = ImageRecords(folder), ProjectFiles(folder)
            self.labels = ProjectLabels(self.records, self.files)
            self.refresh()
            self._tell_other_names()
        except BaseException:
            self._use.release()
            raise

    @classmethod
    def open(cls, folder: PathLike, create: bool = False, classes: Sequence[str] = ("object",)) -> Project:
        """Open a project.

        Args:
            folder: with ``datalist.json``, or that file itself.
            create: make a datalist where there is none, for the pictures in ``images/`` or in the folder itself.
            classes: of a project that is made.

        Raises:
            DatalistError: when there is no datalist and none is to be made, or no image, or the datalist breaks the format.
            InUseError: when another window has it open.
            LazyLabelsError: when ``project.json`` cannot be used, or nothing can be written.
        """
        folder = _folder_of(folder)
        if not folder.is_dir():
            raise DatalistError(f"'{folder}' is no folder: name one that holds images or a {FILE_NAME}.")
        with written_to(folder):
            if create and not (folder / FILE_NAME).exists():
                if not pictures_of(folder):
                    raise DatalistError(no_pictures(folder))
                make_datalist(folder / FILE_NAME, classes)
            return cls(folder)

    def is_in(self, folder: PathLike) -> bool:
        """Whether :meth:`open` of this folder, or of its datalist, opens this very project."""
        folder = _folder_of(folder)
        return folder.is_dir() and os.path.samefile(folder, self.folder)

    def close(self) -> None:
        """Let another window have the folder."""
        self._use.release()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------- what there is

    @property
    def classes(self) -> list[str]:
        """Names of the object classes 1, 2, ..."""
        return self.records.datalist.classes

    def changed(self) -> bool:
        """Whether pictures were added to the folder, renamed, replaced or taken away since it was looked at last."""
        with self.records.lock:
            return pictures_of(self.folder) != self._listed or self.records.replaced()

    def refresh(self) -> None:
        """Look at the folder again: images that were added or renamed, labels and items that other programs wrote."""
        datalist = self.records.datalist
        with self.records.lock:
            datalist.read()
            listed = pictures_of(self.folder, self._note)
            pictures = as_known(self.records, listed)
            self._name_files(pictures)  # of those that are gone, too
            followed = follow_renamed(self.records, self.files, self.images, pictures, self._note)
            names = self._name_files(pictures)
            before = {entry.name: entry for entry in self.images}
            for entry in self.images:
                entry.path = datalist.path(entry.name)  # another Unicode form of it
            self.images = [before.get(name) or ImageEntry(name, datalist.path(name)) for name in dict.fromkeys(names)]
            self.labels.adopt(self.images, self.notes.append, followed)
            for entry in self.images:
                self.records.update(entry)
            self._listed = listed
            for sentence in not_shown(self.folder, self._known_files()):
                self._note(sentence)

    def _known_files(self) -> set[str]:
        """Real paths of the images and the labels."""
        return {os.path.realpath(file) for file in (*self.records.labels, *(entry.path for entry in self.images))}

    def _name_files(self, pictures: Sequence[str]) -> list[str]:
        """Names of all images that the datalist or the folder has; the files about them are called by these."""
        datalist = self.records.datalist
        names = [item["image"] for _, item in datalist.items()]
        named = {os.path.realpath(datalist.path(name)) for name in names}
        names += [name for name in pictures if os.path.realpath(datalist.path(name)) not in named]
        self.files.assign(names, self.records.stems, self.records.labels)
        return names

    def entry(self, name: str) -> ImageEntry:
        """The image of this name.

        Raises:
            LazyLabelsError: when there is none.
        """
        found = next((entry for entry in self.images if entry.name == name), None)
        if found is None:
            raise LazyLabelsError(f"'{self.folder}' has no image '{name}': look at it again, or correct the name.")
        return found

    def kept(self, entry: ImageEntry) -> Kept:
        """The objects of the image that the person corrected or accepted.

        Raises:
            LazyLabelsError: when they cannot be read.
        """
        return read_kept(self.files.kept(entry.name), self.records.shape(entry))

    # ------------------------------------------------------------------------------------------- what a person does

    def save_kept(self, entry: ImageEntry, kept: Kept) -> None:
        """Keep corrected objects for the next time.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        with self.records.lock:
            self.claim(entry)
            write_kept(self.files.kept(entry.name), kept, self.folder)

    def claim(self, entry: ImageEntry) -> None:
        """Files about the image are written: from now on they are called as they are, whatever other images come.

        Raises:
            LazyLabelsError: when the image cannot be read, or the disk refuses it.
        """
        with self.records.lock:
            self.records.claim(entry, self.files.stem(entry.name))

    def set_classes(self, classes: Sequence[str]) -> None:
        """Name the classes anew: the first name is that of class 1. More names are more classes.

        Labels hold numbers, so nothing drawn is changed; the masks of finished images go by the new names. Weights know classes
        by their names: a new name begins anew with the next training.

        Raises:
            DatalistError: for fewer names than there are classes, the same name twice or an empty one.
        """
        with self.records.lock, self.records.datalist.put_back():
            self.records.datalist.set_classes(classes)
            if self._finished_names.exists():
                with written_to(self._finished_names):
                    write_classes(self.files.finished_folder, self.classes)

    def finish(self, entry: ImageEntry, finished: bool = True) -> None:
        """Say whether one is done with an image. A finished image that is complete and shows no object is an empty one."""
        with self.records.changes(entry) as state:
            state.finished = finished
            self.labels.name_complete(entry)

    @property
    def _finished_names(self) -> Path:
        return self.files.finished_folder / CLASSES_FILE

    def _tell_other_names(self) -> None:
        """Names beside the finished masks that are not those of the project: an earlier version or a person left them there."""
        try:
            found = json.loads(self._finished_names.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            return
        except (OSError, ValueError):
            found = None
        if found != self.classes:
            said = ", ".join(map(str, found)) if isinstance(found, list) else "nothing that can be read"
            self._note(
                f"'{self._finished_names}' names the kinds {said} and the project {', '.join(self.classes)}: press Kinds… and "
                "agree to the names that are right, and both have them."
            )

    def _note(self, sentence: str) -> None:
        """Once for each window."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def _folder_of(folder: PathLike) -> Path:
    folder = expanded(folder)
    return Path(os.path.abspath(folder.parent if folder.name == FILE_NAME else folder))
