"""Which files in a folder an export wrote, and which of their images are predictions that nobody had changed by then.

They lie beside the files in ``exported.jsonl``, a line of JSON each, of which a later one on the same content wins::

    {"file": "a.zip", "digest": "77d0..", "predicted": ["a.png"]}
    {"file": "b.zip", "digest": "19c2.."}
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from lazylabels_monai.atomic import written_to
from lazylabels_monai.result_files import EXPORTED_FILE
from lazylabels_monai.stamps import file_digest

__all__ = ["ExportRecords"]


class ExportRecords:
    """The lines of a folder's ``exported.jsonl``.

    Args:
        folder: of the exported files; it and the lines may be missing.
    """

    def __init__(self, folder: Path) -> None:
        self._file = Path(folder) / EXPORTED_FILE
        self._images = _read(self._file)

    @property
    def names(self) -> list[str]:
        """Of all files that have a line."""
        return list(self._images)

    def wrote(self, file: Path) -> bool:
        """Whether a file is as an export wrote it.

        Raises:
            OSError: when it cannot be read.
        """
        return file_digest(file) in self._images.get(file.name, {})

    def predicted(self, file: Path) -> frozenset[str]:
        """Names of those images of a file, as it is now, that were predictions that nobody had changed when it was written.

        Raises:
            OSError: when it cannot be read.
        """
        known = self._images.get(file.name)
        return known.get(file_digest(file), frozenset()) if known else frozenset()

    def add(self, name: str, digest: str, predicted: Sequence[str] = ()) -> None:
        """Append the line of a file, unless it is there.

        Args:
            name: of the file.
            digest: :func:`~lazylabels_monai.stamps.file_digest` of what is written.
            predicted: names of its images that are predictions that nobody has changed.

        Raises:
            LazyLabelsError: when the disk refuses it.
        """
        if self._images.get(name, {}).get(digest) == frozenset(predicted):
            return
        line = json.dumps({"file": name, "digest": digest, **({"predicted": list(predicted)} if predicted else {})})
        with written_to(self._file), self._file.open("a+b") as lines:
            lines.seek(max(0, lines.seek(0, os.SEEK_END) - 1))
            cut_short = lines.read() not in (b"", b"\n")  # by a kill
            lines.write(f"{chr(10) * cut_short}{line}\n".encode())
        self._images[name][digest] = frozenset(predicted)


def _read(file: Path) -> defaultdict[str, dict[str, frozenset[str]]]:
    """Predicted images by the digest of the content by the name of the file."""
    found: defaultdict[str, dict[str, frozenset[str]]] = defaultdict(dict)
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            entry = json.loads(line)
            found[str(entry["file"])][str(entry["digest"])] = frozenset(map(str, entry.get("predicted", ())))
        except (ValueError, TypeError, KeyError, AttributeError):  # cut short by a kill
            continue
    return found
