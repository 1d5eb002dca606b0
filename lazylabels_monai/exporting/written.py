"""Which files in a folder an export wrote, and whether somebody has changed them since.

Each file that is written adds a line to ``exported.jsonl`` beside it (:mod:`lazylabels_monai.export_records`) before it
appears. So a file with a digest that stands there is as an export wrote it, also after a stop between the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from lazylabels_monai.atomic import write_bytes
from lazylabels_monai.export_records import ExportRecords
from lazylabels_monai.exporting.formats import Writer
from lazylabels_monai.stamps import file_digest

__all__ = ["WrittenFiles"]


class WrittenFiles:
    """The exported files of a folder.

    Args:
        folder: of the files; it may be missing.
        writer: of the format, which knows files of its own that a version without ``exported.jsonl`` wrote; None where nobody
            knows, so that a file without a record counts as changed.
    """

    def __init__(self, folder: Path, writer: type[Writer] | None = None) -> None:
        self.folder, self._writer = Path(folder), writer
        self._records = ExportRecords(self.folder)

    @property
    def names(self) -> list[str]:
        """Of the format's files that are there and that an export is known to have written, perhaps changed since; sorted."""
        own = self._writer(())
        names = (name for name in self._records.names if Path(name).name == name and name in own.names([Path(name).stem]))
        return sorted(name for name in names if (self.folder / name).is_file())

    def changed(self, name: str) -> bool:
        """Whether a file is there that is not as an export wrote it: somebody's work."""
        file = self.folder / name
        if not file.is_file():
            return False
        try:
            if name in self._records.names:
                return not self._records.wrote(file)
            return self._writer is None or not self._writer.made(file.read_bytes())
        except OSError:  # nobody can say
            return True

    def write(self, name: str, content: bytes, predicted: Sequence[str] = ()) -> None:
        """Write a file, known from then on; one that is there is replaced.

        Args:
            name: of the file.
            content: of it.
            predicted: names of its images that are predictions that nobody has changed.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        self._records.add(name, hashlib.blake2b(content, digest_size=16).hexdigest(), predicted)
        write_bytes(self.folder / name, content)

    def wrote(self, name: str) -> None:
        """Record a file as it is there now, which another function of the package wrote.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        self._records.add(name, file_digest(self.folder / name))
