"""Where files about an image lie in a project's folder, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lazylabels_monai.images.files import file_suffix
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.kept import CORRECTED
from lazylabels_monai.interactive.label_files import REPLACED
from lazylabels_monai.tasks import TASKS

__all__ = ["ProjectFiles"]

#: Labels as they were before "everything is marked here", so that it can be taken back.
_BEFORE_COMPLETE = ".before_complete"


class ProjectFiles:
    """Names of files by those of the images, such as ``images/a.png``; images of one stem have files of their own.

    Args:
        folder: of the project.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stems: Counter[str] = Counter()

    def count(self, names: Iterable[str]) -> None:
        """Take these as all images that there are."""
        self._stems = Counter(_stem(name) for name in names)

    def stem(self, name: str) -> str:
        """What files about an image are called: its own name without the ending, unless another image has that, too."""
        if self._stems[_stem(name)] > 1:  # the whole path tells them apart
            return Path(name).as_posix().replace("/", "_").replace("..", "up")
        return Path(name).name[: -len(file_suffix(name)) or None]

    def label(self, name: str, task: str) -> Path:
        """Where a window writes the label of an image."""
        return self.folder / task / f"{self.stem(name)}{_label_suffix(name)}"

    def before_complete(self, name: str, task: str) -> Path:
        """The label as it was before "everything is marked here"."""
        return self.folder / _BEFORE_COMPLETE / task / f"{self.stem(name)}{_label_suffix(name)}"

    def kept(self, name: str) -> Path:
        """The objects that the person corrected or accepted."""
        return self.folder / CORRECTED / f"{self.stem(name)}.npz"

    def unlisted(self, name: str) -> list[Path]:
        """All files about an image that no datalist names, whether they are there or not."""
        return [self.kept(name), *(self.before_complete(name, task) for task in TASKS)]

    def replaced(self, task: str) -> Path:
        """Folder of what lay where labels of a task were written."""
        return self.folder / REPLACED / task


def _label_suffix(image: str) -> str:
    """Ending of the label files of an image."""
    return volumes.SUFFIX if volumes.is_volume(image) else ".png"


def _stem(name: str) -> str:
    """Of a file in lower case, as file systems may not tell cases apart."""
    name = Path(name).name
    return name[: len(name) - len(file_suffix(name))].lower()
