"""Where files about an image lie in a project's folder, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

from lazylabels_monai.images.files import file_suffix
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.kept import CORRECTED
from lazylabels_monai.interactive.label_files import REPLACED
from lazylabels_monai.result_files import CLASSES_ENDING, INSTANCES_ENDING, image_stem
from lazylabels_monai.tasks import TASKS

__all__ = ["ProjectFiles", "mask_files"]

#: Folder of a project with the masks of finished images.
_FINISHED = "finished"

#: Labels as they were before "everything is marked here", so that it can be taken back.
_BEFORE_COMPLETE = ".before_complete"


class ProjectFiles:
    """Names of files by those of the images, such as ``images/a.png``; images of one stem have files of their own.

    Args:
        folder: of the project.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: list[str] = []
        self._stems: Counter[str] = Counter()

    def count(self, names: Iterable[str]) -> None:
        """Take these as all images that there are."""
        self._names = list(dict.fromkeys(names))
        self._stems = Counter(_stem(name) for name in self._names)

    def stem(self, name: str) -> str:
        """What files about an image are called: its own name without the ending, unless another image has that, too."""
        return (_long_stem if self._stems[_stem(name)] > 1 else _short_stem)(name)

    def label(self, name: str, task: str) -> Path:
        """Where a window writes the label of an image."""
        return self.folder / task / f"{self.stem(name)}{_label_suffix(name)}"

    @property
    def finished_folder(self) -> Path:
        """Of the masks of finished images."""
        return self.folder / _FINISHED

    def result_name(self, name: str) -> str:
        """What the results of an image are called after."""
        return self.stem(name) + file_suffix(name)

    def before_complete(self, name: str, task: str) -> Path:
        """The label as it was before "everything is marked here"."""
        return self._before_complete(self.stem(name), name, task)

    def kept(self, name: str) -> Path:
        """The objects that the person corrected or accepted."""
        return self._kept(self.stem(name))

    def unlisted(self, name: str) -> list[Path]:
        """All files about an image that no datalist names, whether they are there or not."""
        return self._unlisted(self.stem(name), name)

    def settle(self, known: Collection[str]) -> None:
        """Let files have the names of now that they got when another image of the same stem was there, or was not yet.

        A short name that several images could have had belongs to the one that is known.

        Args:
            known: names of the images of which the project has something.
        """
        for name in self._names:
            owners = {other for other in known if other in self._names and _stem(other) == _stem(name)}
            stem = self.stem(name)
            for other in (_short_stem(name), _long_stem(name)):
                if other == stem or (other == _short_stem(name) and owners != {name}):
                    continue
                for file, target in zip(self._unlisted(other, name), self._unlisted(stem, name), strict=True):
                    if file.is_file() and not target.exists():
                        file.rename(target)

    def _kept(self, stem: str) -> Path:
        return self.folder / CORRECTED / f"{stem}.npz"

    def _before_complete(self, stem: str, name: str, task: str) -> Path:
        return self.folder / _BEFORE_COMPLETE / task / f"{stem}{_label_suffix(name)}"

    def _unlisted(self, stem: str, name: str) -> list[Path]:
        return [
            self._kept(stem),
            *(self._before_complete(stem, name, task) for task in TASKS),
            *mask_files(self.finished_folder, stem + file_suffix(name)),
        ]

    def replaced(self, task: str) -> Path:
        """Folder of what lay where labels of a task were written."""
        return self.folder / REPLACED / task


def mask_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Where the classes and the ids of a finished image lie, as ``lazylabels predict`` calls them; of a volume ``.nii.gz``.

    Args:
        folder: of the maps.
        name: of the image's file.
    """
    endings = (volumes.SUFFIX,) * 2 if volumes.is_volume(name) else (".png", ".tif")
    stem = image_stem(name)
    return folder / f"{stem}{CLASSES_ENDING}{endings[0]}", folder / f"{stem}{INSTANCES_ENDING}{endings[1]}"


def _short_stem(name: str) -> str:
    """The name of an image alone, without the ending."""
    return Path(name).name[: -len(file_suffix(name)) or None]


def _long_stem(name: str) -> str:
    """The whole path, which tells images of one stem apart."""
    return Path(name).as_posix().replace("/", "_").replace("..", "up")


def _label_suffix(image: str) -> str:
    """Ending of the label files of an image."""
    return volumes.SUFFIX if volumes.is_volume(image) else ".png"


def _stem(name: str) -> str:
    """Of a file in lower case, as file systems may not tell cases apart."""
    name = Path(name).name
    return name[: len(name) - len(file_suffix(name))].lower()
