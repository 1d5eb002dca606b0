"""Whether a file was replaced since it was read."""

from __future__ import annotations

from pathlib import Path

__all__ = ["file_stamp"]


def file_stamp(file: Path) -> tuple[int, int, int] | None:
    """Another one whenever the file was replaced; None where there is no file."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
