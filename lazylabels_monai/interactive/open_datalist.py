"""The datalist of an open project: read again before each change, as other programs may write it, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import write_bytes, write_text, written_to
from lazylabels_monai.data.datalist import SECTIONS, DatalistError, absolute_path, load_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.file_stamp import file_stamp

__all__ = ["OpenDatalist", "make_datalist"]


def make_datalist(file: Path, classes: Iterable[str]) -> None:
    """Write a datalist without images.

    Raises:
        DatalistError: for classes that no datalist takes; there is no file then.
    """
    _write(file, {"classes": list(classes), **{section: [] for section in SECTIONS}})
    try:
        load_datalist(file)
    except DatalistError:
        file.unlink()
        raise


class OpenDatalist:
    """A datalist and what it says of each image. Who changes it holds the project's lock.

    Args:
        file: the datalist.

    Attributes:
        classes: names of the object classes 1, 2, ...

    Raises:
        DatalistError: when there is no datalist, or it breaks the format.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        stamp = file_stamp(file)  # before it is read: what another program writes meanwhile is read again
        self._take(load_datalist(file), stamp)
        self.classes: list[str] = list(self._content["classes"])
        self._before: tuple[bytes, dict[str, Any]] | None = None

    def path(self, name: str) -> Path:
        """Of a file that the datalist names."""
        return Path(absolute_path(self.file, name))

    def items(self) -> list[tuple[str, dict[str, Any]]]:
        """Each split and item, in the order of the splits, as read last."""
        return [(section, item) for section in SECTIONS for item in self._content.get(section, [])]

    def find(self, image: str) -> tuple[str, dict[str, Any]] | None:
        """Split and item of an image by its name; None where the datalist does not name it."""
        return self._by_name.get(image)

    def read(self) -> None:
        """Read the datalist where another program wrote it.

        Raises:
            DatalistError: when it breaks the format, or has other classes.
        """
        stamp = file_stamp(self.file)
        if stamp != self._stamp:
            content = load_datalist(self.file)
            if content["classes"] != self.classes:
                raise DatalistError(
                    f"the classes of '{self.file}' were changed to {content['classes']} by another program: open it again."
                )
            self._take(content, stamp)

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the datalist as it is now, in one step.

        Args:
            change: changes the content that it is given.

        Raises:
            LazyLabelsError: as of :meth:`read`, and when the disk refuses it.
        """
        self.read()
        if self._before is None:
            self._before = self.file.read_bytes(), self._content
        content = json.loads(json.dumps(self._content))
        change(content)
        self._replace(content)

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """What is changed within is as before when the block fails, as far as the disk takes that."""
        self._before, classes = None, self.classes
        try:
            yield
        except BaseException:
            if self._before is not None and file_stamp(self.file) == self._stamp:  # else another program wrote it
                with suppress(OSError, LazyLabelsError):
                    write_bytes(self.file, self._before[0])
                    self._take(self._before[1], file_stamp(self.file))
                    self.classes = classes
            raise

    def set_classes(self, classes: Sequence[str]) -> None:
        """Name the classes anew; see :meth:`~lazylabels_monai.interactive.project.Project.set_classes`."""
        names = [str(name).strip() for name in classes]
        if len(names) < len(self.classes):
            raise DatalistError(
                f"'{self.file}' has {len(self.classes)} classes ({', '.join(self.classes)}) and marks may be of any of them: "
                f"name at least {len(self.classes)}, the first for what is drawn as 1."
            )
        if len(set(names)) < len(names) or not all(names):
            raise DatalistError(f"'{self.file}' cannot have the classes {', '.join(names)}: give each a name of its own.")
        self.read()
        before = self._content
        self.change(lambda content: content.update(classes=names))
        try:
            load_datalist(self.file)
        except DatalistError:  # a name that a datalist must not have
            self._replace(before)
            raise
        self.classes = names

    def _replace(self, content: dict[str, Any]) -> None:
        _write(self.file, content)
        self._take(content, file_stamp(self.file))

    def _take(self, content: dict[str, Any], stamp: tuple[int, int, int] | None) -> None:
        self._content, self._stamp = content, stamp
        self._by_name = {item["image"]: (section, item) for section, item in self.items()}


def _write(file: Path, content: Mapping[str, Any]) -> None:
    with written_to(file):
        write_text(file, json.dumps(content, indent=2) + "\n")
