"""What a format's writer does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from lazylabels_monai.exporting.objects import ImageObjects

__all__ = ["File", "Writer"]

#: Name of a file and its content.
File = tuple[str, bytes]


class Writer(ABC):
    """Makes the files of one format, image by image.

    Args:
        class_names: of the classes 1, 2, ..., of all images.
    """

    #: Whether the format holds measurements.
    measures: ClassVar[bool] = False
    #: The program that it is for, where that shows pictures as they are stored, whatever orientation their tags state.
    unturned: ClassVar[str] = ""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = list(class_names)

    @abstractmethod
    def names(self, images: Sequence[str]) -> list[str]:
        """Names of the files that would be made for images of these names."""

    @classmethod
    @abstractmethod
    def made(cls, content: bytes) -> bool:
        """Whether a file looks as this writes it, and not as another program does that saved it anew."""

    @abstractmethod
    def image(self, objects: ImageObjects) -> Iterator[File]:
        """The files that are complete with this image."""

    def end(self) -> Iterator[File]:
        """The files that are complete when all images were given."""
        yield from ()
