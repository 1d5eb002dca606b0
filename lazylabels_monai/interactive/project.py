"""A data set that a person is drawing: the folder of a datalist, with labels saved at every stroke.

The folder keeps today's layout (``images/``, a folder of labels for each task, ``datalist.json``), so that ``lazylabels train``
and all other commands take it as it is. Images without any label stand in no datalist, as they teach nothing; they join it with
their first mark. What else a window knows is in ``project.json`` (:mod:`~lazylabels_monai.interactive.state`).

A stroke is in its label file before anything else is written. A kill in between leaves a label that no datalist names, which is
taken up when the project is opened again.
"""

from __future__ import annotations

import glob
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lazylabels_monai.atomic import write_text, written_to
from lazylabels_monai.data.budget import drawn_labels
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    LABEL_KEYS,
    SECTIONS,
    DatalistError,
    absolute_path,
    find_images,
    has_key,
    load_datalist,
)
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import (
    PICTURE_SUFFIXES,
    VOLUME_SUFFIXES,
    PathLike,
    ReadError,
    file_suffix,
    read_image,
)
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.kept import CORRECTED, Kept, read_kept, write_kept
from lazylabels_monai.interactive.label_files import REPLACED, is_ours, keep_copy, read_marks, write_marks
from lazylabels_monai.interactive.state import UNASSIGNED, ImageState, read_state, write_state
from lazylabels_monai.locks import FolderLock
from lazylabels_monai.overrides import expanded
from lazylabels_monai.progress import silent
from lazylabels_monai.tasks import BACKGROUND, IGNORE, LABELS, TASKS, num_task_classes, validate_tasks

if TYPE_CHECKING:
    from lazylabels_monai.instances import InstanceSettings
    from lazylabels_monai.predicting.model import Model

__all__ = ["ImageEntry", "Project", "has_pictures", "pictures_of", "spatial_shape"]

#: Objects of a task that must have been drawn and timed before a person's own seconds replace the published ones.
MIN_TIMED = 5

#: Keys of an item that this module writes itself; an item of other keys stays in the datalist when its marks are gone.
_OWN_KEYS = {"image", "digest"}

#: Labels as they were before "everything is marked here", so that it can be taken back.
_BEFORE_COMPLETE = ".before_complete"


@dataclass
class ImageEntry:
    """An image of a project, and how far the person is with it. The project keeps it up to date.

    Args:
        name: path of the image as the datalist has it (``images/a.png``), which tells images apart.
        path: of the file.
        section: ``"training"``, ``"validation"`` or ``"testing"``.
        drawn: tasks that it has a label for.
        predicted: whether a prediction of it was shown.
        corrected: tasks whose labels a correction changed.
        finished: whether the person is done with it.
        seconds: that were spent on it.
    """

    name: str
    path: Path
    section: str = "training"
    drawn: frozenset[str] = frozenset()
    predicted: bool = False
    corrected: frozenset[str] = frozenset()
    finished: bool = False
    seconds: float = 0.0


class Project:
    """A folder of images, labels and a datalist, opened by one window at a time. Its functions may be called by any thread.

    Use :meth:`open`.

    Attributes:
        folder: of the data set.
        file: its ``datalist.json``.
        classes: names of the object classes 1, 2, ...
        images: the images of the datalist, then those of ``images/`` that it does not name.
        notes: what opening found and did, a sentence each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / FILE_NAME
        self.images: list[ImageEntry] = []
        self.notes: list[str] = []
        self._lock = threading.RLock()
        self._listed: list[str] = []
        self._stems: Counter[str] = Counter()
        self._shapes: dict[str, tuple[Any, tuple[int, ...]]] = {}
        self._use = FolderLock(folder, "window", "close it, or open another folder", ".project.lock")
        try:
            self._content: dict[str, Any] = load_datalist(self.file)
            self._stamp = _stamp(self.file)
            self._states = read_state(folder)
            self.classes: list[str] = list(self._content["classes"])
            self.refresh()
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
        folder = expanded(folder)
        folder = Path(os.path.abspath(folder.parent if folder.name == FILE_NAME else folder))
        if not folder.is_dir():
            raise DatalistError(f"'{folder}' is no folder: name one that holds images or a {FILE_NAME}.")
        with written_to(folder):
            if create and not (folder / FILE_NAME).exists():
                if not pictures_of(folder):
                    raise DatalistError(f"'{folder}' holds no image: put pictures there or into its folder images.")
                content = {"classes": list(classes), **{section: [] for section in SECTIONS}}
                _write(folder / FILE_NAME, content)
                try:
                    load_datalist(folder)
                except DatalistError:
                    (folder / FILE_NAME).unlink()
                    raise
            return cls(folder)

    def close(self) -> None:
        """Let another window have the folder."""
        self._use.release()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------- what there is

    def changed(self) -> bool:
        """Whether pictures were added to the folder, renamed or taken away since it was looked at last."""
        return pictures_of(self.folder) != self._listed

    def refresh(self) -> None:
        """Look at the folder again: images that were added or renamed, labels and items that other programs wrote."""
        with self._lock:
            self._read()
            self._listed = pictures_of(self.folder, self._note)
            self._follow_renamed()
            items = [(section, item) for section in SECTIONS for item in self._content.get(section, [])]
            known = {os.path.realpath(absolute_path(self.file, item["image"])) for _, item in items}
            names = [item["image"] for _, item in items]
            names += [name for name in self._listed if os.path.realpath(self.folder / name) not in known]
            before = {entry.name: entry for entry in self.images}
            self.images = [before.get(name) or ImageEntry(name, self._path(name)) for name in dict.fromkeys(names)]
            self._stems = Counter(_stem(name) for name in names)
            self._by_name = {item["image"]: (section, item) for section, item in items}
            self._adopt()
            for entry in self.images:
                self._update(entry)

    def entry(self, name: str) -> ImageEntry:
        """The image of this name.

        Raises:
            LazyLabelsError: when there is none.
        """
        found = next((entry for entry in self.images if entry.name == name), None)
        if found is None:
            raise LazyLabelsError(f"'{self.folder}' has no image '{name}': look at it again, or correct the name.")
        return found

    def item(self, entry: ImageEntry) -> dict[str, Any]:
        """What the datalist says of an image, a copy; empty where it does not name it."""
        return dict(self._by_name.get(entry.name, ("", {}))[1])

    def picture(self, entry: ImageEntry) -> np.ndarray:
        """The image as one looks at it: (H, W) or (H, W, C), a volume (Z, Y, X); in the type stored.

        Raises:
            ReadError: when it cannot be read, or a volume is too large to draw on.
        """
        return volumes.read_volume(entry.path) if volumes.is_volume(entry.path) else read_image(entry.path)

    def marks(self, entry: ImageEntry, task: str) -> np.ndarray:
        """The label of a task in its file's coding.

        Args:
            entry: the image.
            task: one of :data:`~lazylabels_monai.tasks.TASKS`.

        Returns:
            (H, W), of a volume (Z, Y, X), uint8 of the caller's own: class values, 255 not labelled; 255 everywhere where there
            is no label.

        Raises:
            LazyLabelsError: when image or label cannot be read, or do not fit each other.
        """
        return self._marks(entry, task, self._shape(entry))

    def complete(self, entry: ImageEntry, task: str) -> bool:
        """Whether every object of the image is marked for the task, so that what is not marked is none.

        Where nobody said so, a label without any unlabelled pixel is complete.
        """
        _check(task)
        said = self._state(entry).complete.get(task)
        if said is not None:
            return said
        return task in entry.drawn and not (self.marks(entry, task) == IGNORE).any()

    # ------------------------------------------------------------------------------------------- what a person does

    def save_marks(self, entry: ImageEntry, task: str, label: np.ndarray) -> None:
        """Save a label, whole or not at all.

        Unmarked pixels of an image that is complete for the task are saved as background. A label of which nothing is left
        stands in no datalist any more.

        Args:
            entry: the image.
            task: one of :data:`~lazylabels_monai.tasks.TASKS`.
            label: (H, W), of a volume (Z, Y, X), class values, 255 not labelled.

        Raises:
            LazyLabelsError: for a label of another size or with values that are no class, and when the disk refuses it;
                nothing is changed then.
        """
        with self._lock:
            label = self._checked(entry, task, label)
            if self._state(entry).complete.get(task):
                label = np.where(label == IGNORE, np.uint8(BACKGROUND), label)
            self._write_label(entry, task, label)

    def set_complete(self, entry: ImageEntry, task: str, complete: bool) -> None:
        """Say that everything is marked for a task, or some objects only.

        Taken back, what was not marked before is not labelled again; background that was drawn stays.
        """
        _check(task)
        with self._lock:
            state = self._state(entry)
            if state.complete.get(task) == complete:
                return
            label, kept = self.marks(entry, task), self._label_file(entry, task, _BEFORE_COMPLETE)
            if complete:
                if (label == BACKGROUND).any() and (label == IGNORE).any():
                    write_marks(kept, label, entry.path)
                else:
                    kept.unlink(missing_ok=True)
                label[label == IGNORE] = BACKGROUND
            elif self.complete(entry, task):
                drawn = read_marks(kept, entry.path, label.shape) if kept.is_file() else np.full_like(label, IGNORE)
                label[(label == BACKGROUND) & (drawn != BACKGROUND)] = IGNORE
            # the label first: one that is complete without anybody saying so is read as what it is
            self._write_label(entry, task, label, complete)
            state.complete[task] = complete
            self._save_state(entry)

    def set_classes(self, classes: Sequence[str]) -> None:
        """Name the classes anew: the first name is that of class 1. More names are more classes.

        Labels hold numbers, so nothing drawn is changed. Weights know classes by their names: a new name begins anew with the
        next training.

        Raises:
            DatalistError: for fewer names than there are classes, the same name twice or an empty one.
        """
        names = [str(name).strip() for name in classes]
        if len(names) < len(self.classes):
            raise DatalistError(
                f"'{self.file}' has {len(self.classes)} classes ({', '.join(self.classes)}) and marks may be of any of them: "
                f"name at least {len(self.classes)}, the first for what is drawn as 1."
            )
        if len(set(names)) < len(names) or not all(names):
            raise DatalistError(f"'{self.file}' cannot have the classes {', '.join(names)}: give each a name of its own.")
        with self._lock:
            before = self._read()

            def change(content: dict[str, Any]) -> None:
                content["classes"] = names

            self._change(change)
            try:
                load_datalist(self.file)
            except DatalistError:  # a name that a datalist must not have
                _write(self.file, before)
                self._content, self._stamp = before, _stamp(self.file)
                raise
            self.classes = names

    def set_section(self, entry: ImageEntry, section: str) -> None:
        """Move an image to another split, where it stays.

        Raises:
            DatalistError: for a split that does not exist.
        """
        if section not in SECTIONS:
            raise DatalistError(f'section "{section}" does not exist: use one of {", ".join(SECTIONS)}.')
        with self._lock:
            self._state(entry).section = section
            self._save_state(entry)
            before, _ = self._by_name.get(entry.name, (section, {}))
            if before != section:

                def move(content: dict[str, Any]) -> None:
                    item = next((item for item in content[before] if item["image"] == entry.name), None)
                    if item is not None:
                        content[before].remove(item)
                        content.setdefault(section, []).append(item)

                self._change(move)
            self._update(entry)

    def finish(self, entry: ImageEntry, finished: bool = True) -> None:
        """Say whether one is done with an image. A finished image that is complete and shows no object is an empty one."""
        with self._lock:
            self._state(entry).finished = finished
            self._save_state(entry)
            for task in TASKS:
                if self._state(entry).complete.get(task):
                    self._name_label(entry, task, self.marks(entry, task))
            self._update(entry)

    def spend(self, entry: ImageEntry, seconds: float, task: str | None = None) -> None:
        """Count seconds of drawing.

        Args:
            entry: the image.
            seconds: 0 or more.
            task: what was drawn; None: what belongs to no task, such as looking.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds {seconds} must be 0 or more.")
        with self._lock:
            spent = self._state(entry).seconds
            key = UNASSIGNED if task is None else _check(task)
            spent[key] = spent.get(key, 0.0) + float(seconds)
            self._save_state(entry)

    def kept(self, entry: ImageEntry) -> Kept:
        """The objects of the image that the person corrected or accepted.

        Raises:
            LazyLabelsError: when they cannot be read.
        """
        return read_kept(self._kept_file(entry), self._shape(entry))

    def save_kept(self, entry: ImageEntry, kept: Kept) -> None:
        """Keep corrected objects for the next time.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        with self._lock:
            write_kept(self._kept_file(entry), kept, self.folder)

    def note_predicted(self, entry: ImageEntry) -> None:
        """Remember that a prediction of the image was shown."""
        with self._lock:
            if not self._state(entry).predicted:
                self._state(entry).predicted = True
                self._save_state(entry)

    def note_corrected(self, entry: ImageEntry, tasks: Sequence[str]) -> None:
        """Remember that a correction of a prediction changed labels."""
        with self._lock:
            if not set(tasks) <= self._state(entry).corrected:
                self._state(entry).corrected |= set(tasks)
                self._save_state(entry)

    # ------------------------------------------------------------------------------------------- what to do next

    def suggest(self, model: Model | None = None, settings: InstanceSettings | None = None) -> list[ImageEntry]:
        """Images to draw on next, the best first.

        Args:
            model: a network whose uncertainty ranks them (:mod:`lazylabels_monai.suggest`), which predicts every image four
                times: minutes, for a thread of its own. None: images without labels in their order, then those that have some.
            settings: how objects are separated, to count them.

        Returns:
            images for training that are not finished.
        """
        todo = [entry for entry in self.images if entry.section == "training" and not entry.finished]
        plain = sorted(todo, key=lambda entry: len(entry.drawn))  # stable
        if model is None or not any(entry.drawn != set(TASKS) for entry in plain):
            return plain
        from lazylabels_monai.suggest import suggest

        images = self.folder / "images"
        pool = images if images.is_dir() else Path(glob.escape(str(self.folder))) / "*"
        found = suggest(pool, model, self.folder, costs=self.cost_model(), settings=settings)
        ranks: dict[str, int] = {}
        for one in found.ranked:
            ranks.setdefault(os.path.realpath(one.image), one.rank)
        return sorted(plain, key=lambda entry: ranks.get(os.path.realpath(entry.path), len(found.ranked) + 1))

    def cost_model(self) -> AnnotationCosts:
        """What a label costs this person to draw: measured seconds by task over what was drawn in them.

        Of a task with fewer than :data:`MIN_TIMED` timed objects the published seconds are taken.
        """
        costs = AnnotationCosts()
        objects, seconds = Counter(), Counter()
        with self._lock:
            timed = [(e, self._state(e).seconds) for e in self.images if e.drawn and set(self._state(e).seconds) & set(TASKS)]
        for entry, spent in timed:
            _, item = self._by_name[entry.name]
            try:
                drawn = drawn_labels(item, self.file, len(self.classes))
            except ReadError:
                continue
            for task, (count, absent) in drawn.items():
                if task in spent:
                    objects[task] += count
                    seconds[task] += max(0.0, spent[task] - costs.absent * absent)
        fitted = {LABELS[task].cost: seconds[task] / objects[task] for task in TASKS if objects[task] >= MIN_TIMED}
        return replace(costs, **{name: value for name, value in fitted.items() if value > 0})

    # ------------------------------------------------------------------------------------------- files

    def _path(self, name: str) -> Path:
        return Path(absolute_path(self.file, name))

    def _shape(self, entry: ImageEntry) -> tuple[int, ...]:
        """(H, W) of an image, (Z, Y, X) of a volume, which is read once as long as its file stays the same."""
        stamp, known = _stamp(entry.path), self._shapes.get(entry.name)
        if known is not None and stamp is None:  # renamed while one draws on it
            return known[1]
        if known is None or known[0] != stamp:
            known = self._shapes[entry.name] = (stamp, spatial_shape(entry, self.picture(entry)))
        return known[1]

    def _note(self, sentence: str) -> None:
        """Once for each window."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def _state(self, entry: ImageEntry) -> ImageState:
        return self._states.setdefault(entry.name, ImageState())

    def _save_state(self, entry: ImageEntry) -> None:
        write_state(self.folder, self._states)
        self._update(entry)

    def _update(self, entry: ImageEntry) -> None:
        """Bring an entry up to date with the datalist and the state."""
        state = self._state(entry)
        section, item = self._by_name.get(entry.name, (state.section or "training", {}))
        entry.section = section
        entry.drawn = frozenset(task for task in TASKS if has_key(item, task))
        entry.predicted, entry.finished, entry.corrected = state.predicted, state.finished, frozenset(state.corrected)
        entry.seconds = sum(state.seconds.values())

    def _read(self) -> dict[str, Any]:
        """The datalist as it is now: other programs may write it, too."""
        stamp = _stamp(self.file)
        if stamp != self._stamp:
            content = load_datalist(self.file)
            if content["classes"] != self.classes:
                raise DatalistError(
                    f"the classes of '{self.file}' were changed to {content['classes']} by another program: open it again."
                )
            self._content, self._stamp = content, stamp
        return self._content

    def _change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the datalist as it is now, in one step."""
        content = json.loads(json.dumps(self._read()))
        change(content)
        _write(self.file, content)
        self._content, self._stamp = content, _stamp(self.file)
        self._by_name = {item["image"]: (section, item) for section in SECTIONS for item in content.get(section, [])}

    def file_stem(self, entry: ImageEntry) -> str:
        """What files about an image are called: its own name without the ending, unless another image has that, too."""
        if self._stems[_stem(entry.name)] > 1:  # the whole path tells them apart
            return Path(entry.name).as_posix().replace("/", "_").replace("..", "up")
        return Path(entry.name).name[: -len(file_suffix(entry.name)) or None]

    def _label_file(self, entry: ImageEntry, task: str, folder: str = "") -> Path:
        """Where a window writes the label of an image."""
        return self.folder / folder / task / f"{self.file_stem(entry)}{_label_suffix(entry)}"

    def _kept_file(self, entry: ImageEntry) -> Path:
        return self.folder / CORRECTED / f"{self.file_stem(entry)}.npz"

    def _named_file(self, entry: ImageEntry, task: str) -> Path | None:
        """The label file that the datalist names."""
        _, item = self._by_name.get(entry.name, ("", {}))
        return self._path(item[task]) if has_key(item, task) else None

    def _marks(self, entry: ImageEntry, task: str, shape: tuple[int, ...]) -> np.ndarray:
        _check(task)
        file = self._named_file(entry, task)
        if file is None:  # one of ours that says too little for a datalist, such as background alone
            file = self._label_file(entry, task)
            file = file if file.is_file() and is_ours(file) else None
        return np.full(shape, IGNORE, np.uint8) if file is None else read_marks(file, entry.path, shape)

    def _checked(self, entry: ImageEntry, task: str, label: np.ndarray) -> np.ndarray:
        _check(task)
        label, shape = np.asarray(label), self._shape(entry)
        if label.shape != shape:
            raise LazyLabelsError(f"the marks are of {label.shape} pixels, image '{entry.name}' of {shape}: draw on it again.")
        top = num_task_classes(task, len(self.classes) + 1) - 1
        if label.dtype.kind not in "biu" or ((label != IGNORE) & ((label < 0) | (label > top))).any():
            raise LazyLabelsError(
                f"the marks of image '{entry.name}' hold values other than 0 to {top} and {IGNORE}: draw with a class of the "
                f"project ({', '.join(self.classes)})."
            )
        return label.astype(np.uint8)

    def _write_label(self, entry: ImageEntry, task: str, label: np.ndarray, complete: bool | None = None) -> None:
        """The label's file, then its name in the datalist."""
        named, file = self._named_file(entry, task), self._label_file(entry, task)
        if named is not None and is_ours(named) and file_suffix(named) == _label_suffix(entry) and self.folder in named.parents:
            file = named
        elif named is None and not file.exists() and (label == IGNORE).all():
            return
        elif file.exists() and not is_ours(file):
            keep_copy(file, self.folder / REPLACED / task)
        write_marks(file, label, entry.path)
        self._name_label(entry, task, label, file, complete)
        self._update(entry)

    def _name_label(
        self, entry: ImageEntry, task: str, label: np.ndarray, file: Path | None = None, complete: bool | None = None
    ) -> None:
        """Let the datalist name a label that says something, and no other."""
        state = self._state(entry)
        file = file or self._named_file(entry, task) or self._label_file(entry, task)
        objects = bool(((label != BACKGROUND) & (label != IGNORE)).any())
        filled = state.complete.get(task, False) if complete is None else complete
        empty = filled and state.finished and not objects and file.exists()
        said = objects or empty or (not filled and task != "segmentation" and bool((label == BACKGROUND).any()))
        name = Path(os.path.relpath(file, self.folder)).as_posix() if said else None
        _, item = self._by_name.get(entry.name, ("", {}))
        is_empty = bool(item.get("empty", False))
        if task == "segmentation":  # the flag of an item without a mask is somebody else's
            is_empty = empty or (is_empty and not objects and not has_key(item, task))
        if item.get(task) == name and item.get("empty", False) == is_empty:
            return

        def change(content: dict[str, Any]) -> None:
            section, item = self._item(content, entry)
            item.pop(task, None)
            item.pop("empty", None)
            if name is not None:
                item[task] = name
            if is_empty:
                item["empty"] = True
            if not any(has_key(item, key) for key in LABEL_KEYS) and set(item) <= _OWN_KEYS:
                content[section].remove(item)

        self._change(change)

    def _item(self, content: dict[str, Any], entry: ImageEntry) -> tuple[str, dict[str, Any]]:
        """The item of an image and its split; added where the datalist has none."""
        for section in SECTIONS:
            for item in content.get(section, []):
                if item["image"] == entry.name:
                    return section, item
        section, item = entry.section, {"image": entry.name}
        item["digest"] = pixel_digest(read_image(entry.path))
        content.setdefault(section, []).append(item)
        return section, item

    def _follow_renamed(self) -> None:
        """Where an image of the datalist is not there, one of the same pixels that no item names is that image, renamed."""
        items = [item for section in SECTIONS for item in self._content.get(section, [])]
        lost = {
            item["digest"]: item["image"] for item in items if item.get("digest") and not self._path(item["image"]).exists()
        }
        if not lost:
            return
        known = {os.path.realpath(absolute_path(self.file, item["image"])) for item in items}
        for new in [name for name in self._listed if os.path.realpath(self.folder / name) not in known]:
            try:
                old = lost.pop(pixel_digest(read_image(self._path(new))), None)
            except LazyLabelsError:  # whoever shows it says so
                continue
            if old is not None:
                self._rename(old, new)
                self._note(f"'{old}' is called '{new}' now: what was drawn on it goes with it.")

    def _rename(self, old: str, new: str) -> None:
        entry = next((entry for entry in self.images if entry.name == old), None) or ImageEntry(old, self._path(old))
        moved = [self._kept_file(entry), *(self._label_file(entry, task, _BEFORE_COMPLETE) for task in TASKS)]
        entry.name, entry.path = new, self._path(new)  # a window goes on with the same entry
        targets = [self._kept_file(entry), *(self._label_file(entry, task, _BEFORE_COMPLETE) for task in TASKS)]
        for file, target in zip(moved, targets, strict=True):
            if file.is_file() and not target.exists():
                file.rename(target)

        def change(content: dict[str, Any]) -> None:
            for section in SECTIONS:
                for item in content.get(section, []):
                    if item["image"] == old:
                        item["image"] = new

        self._change(change)
        self._states.setdefault(new, self._states.pop(old, ImageState()))
        write_state(self.folder, self._states)
        if old in self._shapes:
            self._shapes[new] = self._shapes.pop(old)

    def _adopt(self) -> None:
        """Let the datalist name labels of ours that a kill left without their name."""
        for entry in self.images:
            _, item = self._by_name.get(entry.name, ("", {}))
            for task in TASKS:
                file = self._label_file(entry, task)
                if has_key(item, task) or not file.is_file() or not is_ours(file):
                    continue
                try:
                    label = read_marks(file, entry.path, self._shape(entry))
                except LazyLabelsError:
                    continue
                self._update(entry)
                self._name_label(entry, task, label, file)
                if has_key(self._by_name.get(entry.name, ("", {}))[1], task):
                    self.notes.append(f"the {LABELS[task].name} of '{entry.name}', which a stop left unnamed, are there again.")


def spatial_shape(entry: ImageEntry, picture: np.ndarray) -> tuple[int, ...]:
    """(H, W) of a picture with or without channels, (Z, Y, X) of a volume."""
    return picture.shape if volumes.is_volume(entry.path) else picture.shape[:2]


def _label_suffix(entry: ImageEntry) -> str:
    return volumes.SUFFIX if volumes.is_volume(entry.path) else ".png"


def _check(task: str) -> str:
    return validate_tasks(task)[0]


def _stem(name: str) -> str:
    """Of a file in lower case, as file systems may not tell cases apart."""
    name = Path(name).name
    return name[: len(name) - len(file_suffix(name))].lower()


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """Another one whenever the file was replaced."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _write(file: Path, content: Mapping[str, Any]) -> None:
    with written_to(file):
        write_text(file, json.dumps(content, indent=2) + "\n")


def has_pictures(folder: PathLike) -> bool:
    """Whether a project can be made of the folder: there is a picture in it or in its ``images/``."""
    return bool(pictures_of(Path(folder)))


def pictures_of(folder: Path, note: Callable[[str], None] = silent) -> list[str]:
    """Names of the pictures in ``images/``, or in the folder itself where there is none, as a datalist has them."""
    place = folder / "images" if (folder / "images").is_dir() else folder
    try:
        found = find_images(place, note)
    except DatalistError:
        return []
    suffixes = (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES)
    return [Path(path).relative_to(folder).as_posix() for path in found if file_suffix(path) in suffixes]
