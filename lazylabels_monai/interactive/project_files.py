"""Where files about an image lie in a project's folder, and what they are called."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lazylabels_monai.images.files import file_suffix
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.kept import CORRECTED
from lazylabels_monai.interactive.label_files import REPLACED, keep_copy
from lazylabels_monai.result_files import CLASSES_ENDING, INSTANCES_ENDING, image_stem
from lazylabels_monai.spelling import as_spelled, composed
from lazylabels_monai.tasks import TASKS

__all__ = ["FINISHED", "ProjectFiles", "mask_files"]

#: Folder of a project with the masks of finished images.
FINISHED = "finished"

#: Labels as they were before "everything is marked here", so that it can be taken back.
_BEFORE_COMPLETE = ".before_complete"
#: Ids of objects that somebody gave, and the exact mask that they were given with; and those that go with the mask as drawn.
_BEFORE_IDS, _IDS = ".before_ids", "instances"
#: Characters of a path that a file is called by, at most.
_LONGEST = 120


class ProjectFiles:
    """Names of files by those of the images, such as ``images/a.png``; every image has files of its own.

    Args:
        folder: of the project.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stems: dict[str, str] = {}
        self._twins: frozenset[str] = frozenset()

    def assign(self, names: Iterable[str], recorded: Mapping[str, str], labels: Mapping[Path, str]) -> None:
        """Say what the files about each image are called.

        An image whose files were called something keeps that. Any other is called by its own name without the ending, or by
        its whole path where another image has that name, or had it when its files were written.

        Args:
            names: of all images.
            recorded: what files are called, by image; also of images that are not there any more.
            labels: files that the datalist names, and the image that each is about.
        """
        names = list(dict.fromkeys(names))
        shared = Counter(_alike(_short_stem(name)) for name in names)
        self._name(dict(recorded))
        taken = {_alike(stem) for stem in recorded.values()}
        named = {_alike(str(file)): image for file, image in labels.items()}
        for name in names:
            if name in recorded:
                continue

            def is_free(stem: str, name: str = name) -> bool:
                others = (named.get(_alike(str(self._label(stem, name, task))), name) for task in TASKS)
                return _alike(stem) not in taken and all(other == name for other in others)

            self._stems[name] = next(filter(is_free, _stems_for(name, shared[_alike(_short_stem(name))] > 1)))
            taken.add(_alike(self._stems[name]))

    def stem(self, name: str) -> str:
        """What files about an image are called, without an ending."""
        return self._stems.get(name) or _short_stem(name)

    def label(self, name: str, task: str) -> Path:
        """Where a window writes the label of an image."""
        return self._label(self.stem(name), name, task)

    def before_complete(self, name: str, task: str) -> Path:
        """The label as it was before "everything is marked here"."""
        return self._before_complete(self.stem(name), name, task)

    def kept(self, name: str) -> Path:
        """The objects that the person corrected or accepted."""
        return self._kept(self.stem(name))

    def before_ids(self, name: str) -> Path:
        """The ids that somebody gave, with their exact mask."""
        return self._before_ids(self.stem(name))

    def ids(self, name: str) -> Path:
        """Where a window writes the ids that go with an exact mask that was changed."""
        ending = volumes.SUFFIX if volumes.is_volume(name) else ".tif"
        return self._place(self.stem(name), f"{_IDS}/{self.stem(name)}_drawn{ending}")

    @property
    def finished_folder(self) -> Path:
        """Of the masks of finished images."""
        return self.folder / FINISHED

    def result_name(self, name: str) -> str:
        """What the results of an image are called after, as the disk spells it."""
        stem, suffix = self.stem(name), file_suffix(name)
        for file in mask_files(self.finished_folder, stem + suffix):
            if (there := self._place(stem, f"{FINISHED}/{file.name}")) != file:
                return there.name[: len(image_stem(stem + suffix)) - len(file.name)] + suffix
        return stem + suffix

    def replaced(self, task: str) -> Path:
        """Folder of what lay where labels of a task were written."""
        return self.folder / REPLACED / task

    def stem_after(self, old: str, new: str) -> str:
        """What the files about an image that is renamed are to be called; as now where something else has the new name.

        Args:
            old: name that the image had.
            new: that it has.
        """
        stem, taken = self.stem(old), {_alike(other) for name, other in self._stems.items() if name not in (old, new)}
        for target in _stems_for(new, shared=False):
            if composed(target) == composed(stem):
                return stem
            if _alike(target) in taken:
                continue
            if not any(there.exists() for there in self._all(target, new)):
                return target
            if target != _short_stem(new):
                return stem
        raise AssertionError("there are endlessly many")

    def move(self, old: str, new: str, target: str, labels: Collection[Path]) -> str:
        """Let the files about an image that was renamed have its new name, all of them or none.

        Those that a stop has left under the new name go with the others; what another window drew since takes their place.

        Args:
            old: name that the image had.
            new: that it has.
            target: what :meth:`stem_after` said.
            labels: files that the datalist names, which stay where they are.

        Returns:
            what they are called now: as before where the disk refuses it.
        """
        stem = self.stem(old)
        if target != stem:
            pairs = list(zip(self._all(stem, old), self._all(target, new), strict=True))
            moving = [(file, there) for file, there in pairs if file.is_file() and file not in labels]
            for there in (there for _, there in moving if there.is_file()):
                keep_copy(there, self.folder / REPLACED / there.parent.name)
            if _moved(moving):
                stem = target
            else:
                _moved([(there, file) for file, there in pairs if there.is_file() and not file.exists()])
        self._name({name: other for name, other in self._stems.items() if name != old} | {new: stem})
        return stem

    def put_masks_away(self, name: str) -> None:
        """Move the masks of an image from the results to ``replaced/``.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        for file in mask_files(self.finished_folder, self.result_name(name)):
            if file.is_file():
                keep_copy(file, self.folder / REPLACED / FINISHED)
                file.unlink()

    def _name(self, stems: dict[str, str]) -> None:
        self._stems = stems
        forms = Counter(map(composed, {stem for stem in stems.values() if not stem.isascii()}))
        self._twins = frozenset(stem for stem in stems.values() if forms[composed(stem)] > 1)

    def _place(self, stem: str, path: str) -> Path:
        """A file about an image, as the disk spells it; as it is written where two images differ in nothing but that."""
        return self.folder / path if stem in self._twins else as_spelled(self.folder, path)

    def _label(self, stem: str, name: str, task: str) -> Path:
        return self._place(stem, f"{task}/{stem}{_label_suffix(name)}")

    def _kept(self, stem: str) -> Path:
        return self._place(stem, f"{CORRECTED}/{stem}.npz")

    def _before_ids(self, stem: str) -> Path:
        return self._place(stem, f"{_BEFORE_IDS}/{stem}.npz")

    def _before_complete(self, stem: str, name: str, task: str) -> Path:
        return self._place(stem, f"{_BEFORE_COMPLETE}/{task}/{stem}{_label_suffix(name)}")

    def _all(self, stem: str, name: str) -> list[Path]:
        """All files about an image, whether they are there or not."""
        masks = mask_files(self.finished_folder, stem + file_suffix(name))
        return [
            self._kept(stem),
            self._before_ids(stem),
            *(self._place(stem, f"{FINISHED}/{file.name}") for file in masks),
            *(place(stem, name, task) for task in TASKS for place in (self._label, self._before_complete)),
        ]


def mask_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Where the classes and the ids of a finished image lie, as ``lazylabels predict`` calls them; of a volume ``.nii.gz``.

    Args:
        folder: of the maps.
        name: of the image's file.
    """
    endings = (volumes.SUFFIX,) * 2 if volumes.is_volume(name) else (".png", ".tif")
    stem = image_stem(name)
    return folder / f"{stem}{CLASSES_ENDING}{endings[0]}", folder / f"{stem}{INSTANCES_ENDING}{endings[1]}"


def _alike(text: str) -> str:
    """By which names are the same that some disk takes for the same."""
    return composed(text).lower()


def _short_stem(name: str) -> str:
    """The name of an image alone, without the ending."""
    return Path(name).name[: -len(file_suffix(name)) or None]


def _stems_for(name: str, shared: bool) -> Iterator[str]:
    """What files about an image may be called, the best first: endlessly many."""
    if not shared:
        yield _short_stem(name)
    path = Path(name).as_posix().replace("/", "_").replace("..", "up")  # tells images of one name apart
    if len(path) > _LONGEST:
        path = f"{path[-_LONGEST:]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    yield path
    yield from (f"{path}_{number}" for number in itertools.count(2))


def _moved(pairs: Sequence[tuple[Path, Path]]) -> bool:
    """Rename files; False, and all are where they were, when the disk refuses one."""
    done: list[tuple[Path, Path]] = []
    try:
        for file, there in pairs:
            file.rename(there)
            done.append((file, there))
    except OSError:
        for file, there in done:
            there.rename(file)
        return False
    return True


def _label_suffix(image: str) -> str:
    """Ending of the label files of an image."""
    return volumes.SUFFIX if volumes.is_volume(image) else ".png"
