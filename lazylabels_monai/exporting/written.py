"""Which files in a folder an export wrote, and whether somebody has changed them since.

Beside the files lies ``exported.jsonl``, to which each that is written adds a line before it appears::

    {"file": "a.zip", "digest": "77d0.."}

So a file with a digest that stands there is as an export wrote it, also after a stop between the two.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from pathlib import Path

from lazylabels_monai.atomic import write_bytes, written_to
from lazylabels_monai.exporting.formats import Writer
from lazylabels_monai.result_files import EXPORTED_FILE
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
        self._known = _read(self.folder / EXPORTED_FILE)

    @property
    def names(self) -> list[str]:
        """Of the format's files that are there and that an export is known to have written, perhaps changed since; sorted."""
        own = self._writer(())
        names = (name for name in self._known if Path(name).name == name and name in own.names([Path(name).stem]))
        return sorted(name for name in names if (self.folder / name).is_file())

    def changed(self, name: str) -> bool:
        """Whether a file is there that is not as an export wrote it: somebody's work."""
        file = self.folder / name
        if not file.is_file():
            return False
        try:
            if name in self._known:
                return file_digest(file) not in self._known[name]
            return self._writer is None or not self._writer.made(file.read_bytes())
        except OSError:  # nobody can say
            return True

    def write(self, name: str, content: bytes) -> None:
        """Write a file, known from then on; one that is there is replaced.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        self._record(name, hashlib.blake2b(content, digest_size=16).hexdigest())
        write_bytes(self.folder / name, content)

    def wrote(self, name: str) -> None:
        """Record a file as it is there now, which another function of the package wrote.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        self._record(name, file_digest(self.folder / name))

    def _record(self, name: str, digest: str) -> None:
        if digest not in self._known.get(name, ()):
            record, line = self.folder / EXPORTED_FILE, json.dumps({"file": name, "digest": digest})
            with written_to(record), record.open("a+b") as lines:
                lines.seek(max(0, lines.seek(0, os.SEEK_END) - 1))
                cut_short = lines.read() not in (b"", b"\n")  # by a kill
                lines.write(f"{chr(10) * cut_short}{line}\n".encode())
            self._known[name].add(digest)


def _read(record: Path) -> defaultdict[str, set[str]]:
    """Digests by the name of the file."""
    known: defaultdict[str, set[str]] = defaultdict(set)
    try:
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return known
    for line in lines:
        try:
            entry = json.loads(line)
            known[str(entry["file"])].add(str(entry["digest"]))
        except (ValueError, TypeError, KeyError):  # cut short by a kill
            continue
    return known
