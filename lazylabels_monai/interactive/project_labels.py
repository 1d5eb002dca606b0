"""The labels of a project: read and saved in its folder, and named by its datalist as soon as they say something.

A stroke is in its label file before anything else is written. A kill in between leaves a label that no datalist names, which is
taken up when the project is opened again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.atomic import put_back
from lazylabels_monai.data.datalist import LABEL_KEYS, PREDICTED, SECTIONS, has_key
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import file_suffix, read_image
from lazylabels_monai.interactive.drawn_ids import Given, ids_after, read_given, read_ids, software_of, write_given, write_ids
from lazylabels_monai.interactive.image_records import ImageEntry, ImageRecords
from lazylabels_monai.interactive.label_files import SOFTWARE, is_ours, keep_copy, read_marks, write_marks
from lazylabels_monai.interactive.project_files import ProjectFiles
from lazylabels_monai.tasks import BACKGROUND, IGNORE, LABELS, TASKS, is_marked, num_task_classes, validate_tasks

__all__ = ["ProjectLabels"]

#: Keys of an item that no person wrote; an item of other keys stays in the datalist when its marks are gone.
_OWN_KEYS = {"image", "digest", PREDICTED}
#: Key of the ids of objects, which are no task.
_IDS = "instances"


class ProjectLabels:
    """Labels by image and task; a task is one of :data:`~lazylabels_monai.tasks.TASKS`.

    Args:
        records: of the images.
        files: where the labels lie.
    """

    def __init__(self, records: ImageRecords, files: ProjectFiles) -> None:
        self._records, self._files, self._datalist = records, files, records.datalist

    def read(self, entry: ImageEntry, task: str) -> np.ndarray:
        """The label of a task in its file's coding.

        Args:
            entry: the image.
            task: of the label.

        Returns:
            (H, W), of a volume (Z, Y, X), uint8 of the caller's own: class values, 255 not labelled; 255 everywhere where there
            is no label.

        Raises:
            LazyLabelsError: when image or label cannot be read, or do not fit each other.
        """
        shape = self._records.shape(entry)
        _check(task)
        file = self._named_file(entry, task)
        if file is None:  # one of ours that says too little for a datalist, such as background alone
            file = self._files.label(entry.name, task)
            file = file if file.is_file() and is_ours(file) else None
        return np.full(shape, IGNORE, np.uint8) if file is None else read_marks(file, entry.path, shape)

    def drawn(self, entry: ImageEntry, task: str) -> np.ndarray:
        """As :meth:`read`, but 255 where only "everything is marked here" made background."""
        label = self.read(entry, task)
        return self._unfilled(entry, task, label) if self._records.state(entry).complete.get(task) else label

    def is_complete(self, entry: ImageEntry, task: str) -> bool:
        """Whether every object of the image is marked for the task, so that what is not marked is none.

        Where nobody said so, a label without any unlabelled pixel is complete.
        """
        _check(task)
        said = self._records.state(entry).complete.get(task)
        if said is not None:
            return said
        return task in entry.drawn and not (self.read(entry, task) == IGNORE).any()

    def save(self, entry: ImageEntry, task: str, label: np.ndarray) -> None:
        """Save a label, whole or not at all.

        Unmarked pixels of an image that is complete for the task are saved as background. A label of which nothing is left
        stands in no datalist any more.

        Args:
            entry: the image.
            task: of the label.
            label: (H, W), of a volume (Z, Y, X), class values, 255 not labelled.

        Raises:
            LazyLabelsError: for a label of another size or with values that are no class, and when the disk refuses it;
                nothing is changed then.
        """
        with self._records.lock:
            label = self._checked(entry, task, label)
            if not self._records.state(entry).complete.get(task):
                self._write(entry, task, label)
                return
            nothing = label == IGNORE
            self._write(entry, task, np.where(nothing, np.uint8(BACKGROUND), label))
            kept = self._files.before_complete(entry.name, task)
            if kept.is_file() and nothing.any():  # rubbed out: it is no background that was drawn any more
                before = read_marks(kept, entry.path, label.shape)
                if (before[nothing] == BACKGROUND).any():
                    before[nothing] = IGNORE
                    write_marks(kept, before, entry.path)

    def save_drawn(self, entry: ImageEntry, task: str, label: np.ndarray) -> None:
        """Save a label as :meth:`drawn` gives it: its background stays when "everything is marked here" is taken back.

        Args:
            entry: the image.
            task: of the label.
            label: as of :meth:`save`.

        Raises:
            LazyLabelsError: as :meth:`save` does.
        """
        with self._records.lock:
            label = self._checked(entry, task, label)
            if self._records.state(entry).complete.get(task):
                self._keep(entry, task, label)
            self.save(entry, task, label)

    def set_complete(self, entry: ImageEntry, task: str, complete: bool) -> None:
        """Say that everything is marked for a task, or some objects only.

        Taken back, what was not marked before is not labelled again; background that was drawn stays.
        """
        _check(task)
        with self._records.lock:
            if self._records.state(entry).complete.get(task) == complete:
                return
            label, was = self.read(entry, task), self.is_complete(entry, task)
            if complete or (label != IGNORE).any():
                self._claim(entry)  # before the change, which says what it is called at its end alone
            written = (self._files.label(entry.name, task), self._files.before_complete(entry.name, task))
            named = self._named_file(entry, task)
            with put_back(*written, *([] if named is None else [named])), self._records.changes(entry) as state:
                if complete:
                    self._keep(entry, task, label, not was)
                    label[label == IGNORE] = BACKGROUND
                elif was:
                    label = self._unfilled(entry, task, label)
                # the label first: one that is complete without anybody saying so is read as what it is
                self._write(entry, task, label, complete)
                state.complete[task] = complete

    # ------------------------------------------------------------------------------------------- names in the datalist

    def name_complete(self, entry: ImageEntry) -> None:
        """Name the complete labels of an image anew: those that show no object say something once it is finished."""
        for task in TASKS:
            if self._records.state(entry).complete.get(task):
                self._name(entry, task, self.read(entry, task))

    def adopt(self, images: Iterable[ImageEntry], note: Callable[[str], None], known: Container[str] = ()) -> None:
        """Let the datalist name labels of ours that a kill left without their name, or that waited for their image.

        Args:
            images: all of the project.
            note: takes a sentence about each of them.
            known: names of images whose labels nobody misses.
        """
        for entry in images:
            item = self._records.item(entry)
            for task in TASKS:
                file = self._files.label(entry.name, task)
                if has_key(item, task) or not file.is_file() or not is_ours(file):
                    continue
                try:
                    label = read_marks(file, entry.path, self._records.shape(entry))
                except LazyLabelsError:
                    continue
                self._records.update(entry)
                self._name(entry, task, label, file)
                if has_key(self._records.item(entry), task) and entry.name not in known:
                    note(f"the {LABELS[task].name} of '{entry.name}', which a stop left unnamed, are there again.")

    def _claim(self, entry: ImageEntry) -> None:
        """Before a file about the image is written."""
        self._records.claim(entry, self._files.stem(entry.name))

    def _keep(self, entry: ImageEntry, task: str, label: np.ndarray, keep: bool = True) -> None:
        """Keep what was drawn, for the time when not everything is marked any more."""
        kept = self._files.before_complete(entry.name, task)
        if keep and (label == BACKGROUND).any():
            self._claim(entry)
            write_marks(kept, label, entry.path)
        else:
            kept.unlink(missing_ok=True)

    def _unfilled(self, entry: ImageEntry, task: str, label: np.ndarray) -> np.ndarray:
        """A complete label without the background that nobody drew."""
        kept = self._files.before_complete(entry.name, task)
        drawn = read_marks(kept, entry.path, label.shape) if kept.is_file() else np.full_like(label, IGNORE)
        return np.where((label == BACKGROUND) & (drawn != BACKGROUND), np.uint8(IGNORE), label)

    def _named_file(self, entry: ImageEntry, task: str) -> Path | None:
        """The label file that the datalist names."""
        item = self._records.item(entry)
        return self._datalist.path(item[task]) if has_key(item, task) else None

    def _checked(self, entry: ImageEntry, task: str, label: np.ndarray) -> np.ndarray:
        _check(task)
        label, shape, classes = np.asarray(label), self._records.shape(entry), self._datalist.classes
        if label.shape != shape:
            raise LazyLabelsError(f"the marks are of {label.shape} pixels, image '{entry.name}' of {shape}: draw on it again.")
        top = num_task_classes(task, len(classes) + 1) - 1
        if label.dtype.kind not in "biu" or ((label != IGNORE) & ((label < 0) | (label > top))).any():
            raise LazyLabelsError(
                f"the marks of image '{entry.name}' hold values other than 0 to {top} and {IGNORE}: draw with a class of the "
                f"project ({', '.join(classes)})."
            )
        return label.astype(np.uint8)

    def _write(self, entry: ImageEntry, task: str, label: np.ndarray, complete: bool | None = None) -> None:
        """The label's file, then its name in the datalist."""
        named, file, folder = self._named_file(entry, task), self._files.label(entry.name, task), self._records.folder
        if named is not None and is_ours(named) and file_suffix(named) == file_suffix(file) and folder in named.parents:
            file = named
        elif named is None and not file.exists() and (label == IGNORE).all():
            return
        elif file.exists() and not is_ours(file):
            keep_copy(file, self._files.replaced(task))
        self._claim(entry)
        given = self._given_ids(entry) if task == "segmentation" else None
        write_marks(file, label, entry.path)
        self._name(entry, task, label, file, complete)
        if given is not None:
            self._renew_ids(entry, label, given)
        self._records.update(entry)

    def _given_ids(self, entry: ImageEntry) -> Given | None:
        """Ids of objects that somebody gave, with the exact mask that they go with, before that is changed."""
        item, kept = self._records.item(entry), self._files.before_ids(entry.name)
        if not has_key(item, _IDS) and not kept.is_file():
            return None
        shape = self._records.shape(entry)
        file = self._datalist.path(item[_IDS]) if has_key(item, _IDS) else None  # none while there was no mask
        if (file is None or SOFTWARE in software_of(file)) and (given := read_given(kept, shape)) is not None:
            return given
        if file is None:
            return None
        try:
            given = Given(read_ids(file, entry.path), self.read(entry, "segmentation"), item[_IDS])
        except LazyLabelsError:  # check tells of them
            return None
        if given.ids.shape != shape:
            return None
        write_given(kept, given)
        return given

    def _renew_ids(self, entry: ImageEntry, label: np.ndarray, given: Given) -> None:
        """Let the datalist name ids that show the objects of the exact mask as it is; none where there is no mask."""
        name: str | None = None
        if has_key(self._records.item(entry), "segmentation"):
            name = given.name
            if not np.array_equal(ids := ids_after(given, label), given.ids):
                write_ids(file := self._ids_file(entry), ids, entry.path)
                name = Path(os.path.relpath(file, self._records.folder)).as_posix()
        if self._records.item(entry).get(_IDS) == name:
            return

        def change(content: dict[str, Any]) -> None:
            section, item = _item_of(content, entry)
            item.pop(_IDS, None)
            if name is not None:
                item[_IDS] = name
            _drop_if_bare(content, section, item)

        self._change_item(entry, change)

    def _change_item(self, entry: ImageEntry, change: Callable[[dict[str, Any]], None]) -> None:
        """Change what the datalist says of an image; one that it names no more stays in its split when it comes back."""
        with self._records.changes(entry) as state:
            before = self._datalist.find(entry.name)
            self._datalist.change(change)
            if before is not None and self._datalist.find(entry.name) is None:
                state.section = before[0]

    def _ids_file(self, entry: ImageEntry) -> Path:
        """Where our ids go: to a file that is ours already, or nobody's."""
        file, number = self._files.ids(entry.name), 2
        stem, ending = file.name.removesuffix(file_suffix(file)), file_suffix(file)
        while file.exists() and SOFTWARE not in software_of(file):
            file, number = file.with_name(f"{stem}_{number}{ending}"), number + 1
        return file

    def _name(
        self, entry: ImageEntry, task: str, label: np.ndarray, file: Path | None = None, complete: bool | None = None
    ) -> None:
        """Let the datalist name a label that says something, and no other."""
        state = self._records.state(entry)
        file = file or self._named_file(entry, task) or self._files.label(entry.name, task)
        objects = bool(is_marked(label).any())
        filled = state.complete.get(task, False) if complete is None else complete
        empty = filled and state.finished and not objects and file.exists()
        said = objects or empty or (not filled and task != "segmentation" and bool((label == BACKGROUND).any()))
        name = Path(os.path.relpath(file, self._records.folder)).as_posix() if said else None
        item = self._records.item(entry)
        is_empty = bool(item.get("empty", False))
        if task == "segmentation":  # the flag of an item without a mask is somebody else's
            is_empty = empty or (is_empty and not objects and not has_key(item, task))
        if item.get(task) == name and item.get("empty", False) == is_empty:
            return

        def change(content: dict[str, Any]) -> None:
            section, item = _item_of(content, entry)
            item.pop(task, None)
            item.pop("empty", None)
            if name is not None:
                item[task] = name
            if is_empty:
                item["empty"] = True
            _drop_if_bare(content, section, item)

        self._change_item(entry, change)


def _item_of(content: dict[str, Any], entry: ImageEntry) -> tuple[str, dict[str, Any]]:
    """The split and the item of an image in a datalist's content; added where there is none."""
    for section in SECTIONS:
        for item in content.get(section, []):
            if item["image"] == entry.name:
                return section, item
    section, item = entry.section, {"image": entry.name}
    item["digest"] = pixel_digest(read_image(entry.path))
    content.setdefault(section, []).append(item)
    return section, item


def _drop_if_bare(content: dict[str, Any], section: str, item: dict[str, Any]) -> None:
    """An item that says nothing is none."""
    if not any(has_key(item, key) for key in LABEL_KEYS) and set(item) <= _OWN_KEYS:
        content[section].remove(item)


def _check(task: str) -> None:
    validate_tasks(task)
