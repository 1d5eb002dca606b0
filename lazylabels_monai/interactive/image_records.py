"""What is known of each image of a project: its item in the datalist, its state in ``project.json`` and its shape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lazylabels_monai.data.datalist import FILE_NAME, SECTIONS, DatalistError, has_key
from lazylabels_monai.images.digest import is_digest, pixel_digest
from lazylabels_monai.images.files import read_image
from lazylabels_monai.interactive.file_stamp import file_stamp
from lazylabels_monai.interactive.image_files import read_picture, spatial_shape
from lazylabels_monai.interactive.open_datalist import OpenDatalist
from lazylabels_monai.interactive.pixel_digests import PixelDigests
from lazylabels_monai.interactive.state import UNASSIGNED, ImageState, read_stamps, read_state, state_file
from lazylabels_monai.tasks import TASKS, validate_tasks

__all__ = ["ImageEntry", "ImageRecords"]


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


class ImageRecords:
    """Records by the names of the images. Entries are brought up to date with what is written here.

    Args:
        folder: of the project.

    Attributes:
        folder: of the project.
        datalist: of the project.
        lock: held while files of the project, and what is known of them, change.

    Raises:
        DatalistError: when there is no datalist, or it breaks the format.
        LazyLabelsError: when ``project.json`` cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.datalist = OpenDatalist(folder / FILE_NAME)
        self._states = read_state(folder)
        self._compared = read_stamps(folder)
        self._shapes: dict[str, tuple[Any, tuple[int, ...]]] = {}
        self._pixels = PixelDigests()
        self._undo: dict[str, ImageState | None] | None = None  # states as they were when the change under way began

    # ------------------------------------------------------------------------------------------- what there is

    @property
    def stems(self) -> dict[str, str]:
        """What files about an image are called, by its name, where files were written; also of images that are gone."""
        return {name: state.stem for name, state in self._states.items() if state.stem is not None}

    @property
    def labels(self) -> dict[Path, str]:
        """Label files that the datalist names, and the image that each is about."""
        items = [item for _, item in self.datalist.items()]
        return {self.datalist.path(item[task]): item["image"] for item in items for task in TASKS if has_key(item, task)}

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the images' pixels, by name, where they are known; also of images that are gone."""
        found = {name: state.digest for name, state in self._states.items() if state.digest}
        return found | {item["image"]: item["digest"] for _, item in self.datalist.items() if item.get("digest")}

    def digest_now(self, name: str) -> str | None:
        """Digest of the pixels that the file of this name shows; None where it cannot be read."""
        return self._pixels.of(self.datalist.path(name))

    def is_as_compared(self, name: str) -> bool:
        """Whether the file is the one whose pixels were found to be those of the digest, now or at an earlier opening."""
        return name in self._compared and self._compared[name] == file_stamp(self.datalist.path(name))

    def note_compared(self, names: Iterable[str]) -> None:
        """The pixels that :meth:`digest_now` found are those that were drawn on: no later opening reads these files again."""
        found = {name: self._pixels.stamp(self.datalist.path(name)) for name in names}
        if not found.items() <= self._compared.items():
            with self._changes():
                self._compared |= found

    def replaced(self) -> bool:
        """Whether the file of an image whose pixels are known was replaced, or is gone, since somebody looked at it."""
        return any(self._is_unseen(name) for name, digest in self.digests.items() if is_digest(digest))

    def _is_unseen(self, name: str) -> bool:
        path = self.datalist.path(name)
        looked_at = [self._pixels.stamp(path)] if self._pixels.knows(path) else []
        looked_at += [self._compared[name]] if name in self._compared else []
        return bool(looked_at) and file_stamp(path) not in looked_at

    @property
    def names(self) -> list[str]:
        """Of all images of which something is written down, also of those that are gone."""
        return [*self._states, *(item["image"] for _, item in self.datalist.items())]

    def is_known(self, name: str) -> bool:
        """Whether something was done with an image; that it was looked at, and which split it is to join, is nothing."""
        said = set(self._states.get(name, ImageState()).as_dict())
        return self.datalist.find(name) is not None or bool(said - {"predicted", "seconds", "section"})

    def item(self, entry: ImageEntry) -> dict[str, Any]:
        """What the datalist says of an image, a copy; empty where it does not name it."""
        _, item = self.datalist.find(entry.name) or ("", {})
        return dict(item)

    def state(self, entry: ImageEntry) -> ImageState:
        """What ``project.json`` says of an image; it is changed within :meth:`changes`."""
        return self._states.setdefault(entry.name, ImageState())

    def seconds(self, entry: ImageEntry) -> dict[str, float]:
        """Seconds that were spent on an image, by task or :data:`~lazylabels_monai.interactive.state.UNASSIGNED`; a copy."""
        with self.lock:
            return dict(self.state(entry).seconds)

    def shape(self, entry: ImageEntry) -> tuple[int, ...]:
        """(H, W) of an image, (Z, Y, X) of a volume, which is read once as long as its file stays the same.

        Raises:
            ReadError: when it cannot be read.
        """
        stamp, known = file_stamp(entry.path), self._shapes.get(entry.name)
        if known is not None and stamp is None:  # renamed while one draws on it
            return known[1]
        if known is None or known[0] != stamp:
            known = self._shapes[entry.name] = (stamp, spatial_shape(entry.path, read_picture(entry.path)))
        return known[1]

    # ------------------------------------------------------------------------------------------- what changes

    def update(self, entry: ImageEntry) -> None:
        """Bring an entry up to date with the datalist and the state."""
        state = self.state(entry)
        section, item = self.datalist.find(entry.name) or (state.section or "training", {})
        entry.section = section
        entry.drawn = frozenset(task for task in TASKS if has_key(item, task))
        entry.predicted, entry.finished, entry.corrected = state.predicted, state.finished, frozenset(state.corrected)
        entry.seconds = sum(state.seconds.values())

    @contextmanager
    def changes(self, entry: ImageEntry) -> Iterator[ImageState]:
        """The state of an image to change, and what goes with it: all of it is done, or nothing, in memory and on the disk.

        ``project.json`` has its room on the disk before anything is done, and is put in place last. What the block changes of
        the datalist is put back where anything is refused. Within another such block it is a part of that.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        try:
            with self._changes(entry.name):
                yield self.state(entry)
        finally:
            self.update(entry)

    @contextmanager
    def _changes(self, *names: str) -> Iterator[None]:
        """As :meth:`changes`, for images by name."""
        with self.lock:
            if self._undo is not None:
                self._note_states(names)
                yield
                return
            self._undo, compared = {}, dict(self._compared)
            self._note_states(names)
            try:
                with self.datalist.put_back(), state_file(self.folder) as fill:
                    yield
                    known = self.digests
                    fill(self._states, {name: stamp for name, stamp in self._compared.items() if name in known})
            except BaseException:
                for name, state in self._undo.items():
                    self._states.pop(name, None)
                    if state is not None:
                        self._states[name] = state
                self._compared = compared
                raise
            finally:
                self._undo = None

    def _note_states(self, names: Iterable[str]) -> None:
        for name in names:
            self._undo.setdefault(name, deepcopy(self._states.get(name)))

    def claim(self, entry: ImageEntry, stem: str) -> None:
        """Remember what the files about an image are called, before the first of them is written.

        Raises:
            LazyLabelsError: when the image cannot be read, or the disk refuses it.
        """
        if self.state(entry).stem is None:
            stamp = file_stamp(entry.path)
            digest = self.digests.get(entry.name) or pixel_digest(read_image(entry.path))
            with self.changes(entry) as state:
                state.digest, state.stem = digest, stem
            self._pixels.note(entry.path, stamp, digest)  # so that one that is replaced from now on is noticed

    def set_section(self, entry: ImageEntry, section: str) -> None:
        """Move an image to another split, where it stays.

        Raises:
            DatalistError: for a split that does not exist.
        """
        if section not in SECTIONS:
            raise DatalistError(f'section "{section}" does not exist: use one of {", ".join(SECTIONS)}.')
        with self.changes(entry) as state:
            state.section = section
            before, _ = self.datalist.find(entry.name) or (section, {})
            if before != section:

                def move(content: dict[str, Any]) -> None:
                    item = next((item for item in content[before] if item["image"] == entry.name), None)
                    if item is not None:
                        content[before].remove(item)
                        content.setdefault(section, []).append(item)

                self.datalist.change(move)

    def spend(self, entry: ImageEntry, seconds: float, task: str | None = None) -> None:
        """Count seconds of drawing.

        Args:
            entry: the image.
            seconds: 0 or more.
            task: what was drawn; None: what belongs to no task, such as looking.
        """
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds {seconds} must be 0 or more.")
        key = UNASSIGNED if task is None else validate_tasks(task)[0]
        with self.changes(entry) as state:
            state.seconds[key] = state.seconds.get(key, 0.0) + float(seconds)

    def note_predicted(self, entry: ImageEntry) -> None:
        """Remember that a prediction of the image was shown."""
        with self.lock:
            if not self.state(entry).predicted:
                with self.changes(entry) as state:
                    state.predicted = True

    def note_corrected(self, entry: ImageEntry, tasks: Sequence[str]) -> None:
        """Remember that a correction of a prediction changed labels."""
        with self.lock:
            if not set(tasks) <= self.state(entry).corrected:
                with self.changes(entry) as state:
                    state.corrected |= set(tasks)

    def remember(self, name: str, digest: str, stem: str, forget_item: bool) -> None:
        """Know of an image what would bring its item back.

        Args:
            name: of the image.
            digest: of its pixels.
            stem: what files about it are called.
            forget_item: whether the datalist names it no more.
        """
        with self._changes(name):  # before the item goes, as a kill may come in between
            state = self._states.setdefault(name, ImageState())
            section, item = self.datalist.find(name) or (state.section, {})
            state.digest, state.stem, state.section = digest, stem, section
        if forget_item and item:

            def forget(content: dict[str, Any]) -> None:
                content[section] = [other for other in content[section] if other["image"] != name]

            self.datalist.change(forget)

    def forget_finished(self, name: str) -> None:
        """Nobody is done with an image that is not there."""
        with self._changes(name):
            self._states[name].finished = False

    def rename(self, old: str, new: str, move: Callable[[], str]) -> None:
        """All that is known of an image goes with its new name.

        Args:
            old: name that it had.
            new: that it has.
            move: lets files about it be called after that, and says what they are called; the last that may be refused.

        Raises:
            LazyLabelsError: when the disk refuses it; everything is as before then.
        """

        def change(content: dict[str, Any]) -> None:
            for section in SECTIONS:
                for item in content.get(section, []):
                    if item["image"] == old:
                        item["image"] = new

        with self._changes(old, new):
            self.datalist.change(change)
            for name in (old, new):
                self._compared.pop(name, None)  # with another digest
            self._states[new] = self._states.pop(old, ImageState())  # of the new name nothing was known
            self._states[new].stem = move()
        if old in self._shapes:
            self._shapes[new] = self._shapes.pop(old)
