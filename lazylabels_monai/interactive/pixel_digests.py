"""What pixels the files of images show now, each file read once as long as it stays the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image
from lazylabels_monai.interactive.file_stamp import file_stamp

__all__ = ["PixelDigests"]


class PixelDigests:
    """Digests of images' pixels (:func:`~lazylabels_monai.images.digest.pixel_digest`) by file."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Any, str | None]] = {}

    def of(self, path: str | Path) -> str | None:
        """The digest of what a file shows now; None where it cannot be read: whoever shows it says so."""
        path = Path(path)
        stamp = file_stamp(path)
        if path not in self._known or self._known[path][0] != stamp:
            try:
                digest = None if stamp is None else pixel_digest(read_image(path))
            except MemoryError:  # another time it may be read
                return None
            except LazyLabelsError:
                digest = None
            self._known[path] = (stamp, digest)
        return self._known[path][1]

    def stamp(self, path: str | Path) -> Any:
        """The :func:`~lazylabels_monai.interactive.file_stamp.file_stamp` of a file when it was read; None where it was not."""
        return self._known.get(Path(path), (None, None))[0]

    def knows(self, path: str | Path) -> bool:
        """Whether a file was looked at, also in vain."""
        return Path(path) in self._known

    def note(self, path: str | Path, stamp: Any, digest: str) -> None:
        """Take a digest that somebody else has computed, where the file was not looked at here."""
        self._known.setdefault(Path(path), (stamp, digest))
