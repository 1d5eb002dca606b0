"""Whether weights are those that were written: by the checksums inside the file, and by a digest beside it.

``torch.save`` writes a zip archive with a checksum (CRC-32) of each of its parts, which ``torch.load`` does not look at: a
flipped bit in a weight passes. Here they are looked at, of anybody's weights. A training also writes ``model.pt.sha256`` in the
form that ``sha256sum -c`` reads, which covers every byte and tells when another file took the place of the one that was saved.

A kill at any moment leaves weights that the digests beside them know: those of the file to come are added before it takes the
place of the one before, and the one before is dropped after.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import write_text
from lazylabels_monai.errors import LazyLabelsError

__all__ = ["DIGEST_SUFFIX", "announce", "damaged_part", "digest_file", "replace_weights", "require_whole", "saving", "settle"]

logger = logging.getLogger(__name__)

#: What is added to the name of the weights.
DIGEST_SUFFIX = ".sha256"

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def digest_file(weights: str | Path) -> Path:
    """Where the digest of weights lies."""
    weights = Path(weights)
    return weights.with_name(weights.name + DIGEST_SUFFIX)


def require_whole(weights: str | Path) -> None:
    """Refuse weights that are not as they were written.

    Weights without a digest pass, and so do those that somebody put in the place of others, with a warning: their own
    checksums say that they are whole.

    Args:
        weights: a file that ``torch.save`` wrote, which is there.

    Raises:
        LazyLabelsError: when the file is damaged.
    """
    weights = Path(weights)
    part, known = damaged_part(weights), _noted(weights)
    remedy = "copy it again from where it is whole, or go on from a checkpoint of its training (--resume True)"
    if part is not None:
        raise LazyLabelsError(f"{weights} is damaged ({part} is not as it was written): {remedy}.")
    if not known or _digest(weights) in known or _digest(weights) in _noted(weights):  # again: a training may save just now
        return
    note = digest_file(weights)
    if not zipfile.is_zipfile(weights):
        raise LazyLabelsError(
            f"{weights} is not the file whose digest {note.name} holds: {remedy}; or remove {note} if you put it there."
        )
    logger.warning(
        f"{weights} is not the file whose digest {note.name} holds, though it is whole: if you put it there, remove {note}; if "
        f"not, {remedy}."
    )


def damaged_part(path: str | Path) -> str | None:
    """The first part of a file by ``torch.save`` or TorchScript whose checksum is wrong; None where all are right, and for
    files that have none: those of a format before zip archives, or written without checksums.
    """
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return None
    bad: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if entry.compress_type == zipfile.ZIP_STORED]
            if len(entries) < len(archive.infolist()):  # torch compresses nothing
                return None
            for entry in entries:
                try:
                    with archive.open(entry) as part:
                        while part.read(1 << 20):
                            pass
                except (zipfile.BadZipFile, EOFError):
                    bad.append(entry.filename)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, IndexError) as error:
        return f"its list of parts ({str(error).rstrip('.') or type(error).__name__})"
    return f"its part '{bad[0]}'" if 0 < len(bad) < max(2, len(entries)) else None


def saving(path: Path, save: Callable[..., None]) -> Callable[..., None]:
    """``torch.save`` into a file that is to be renamed to ``path``, with its digest announced; :func:`settle` comes after."""

    def save_and_announce(content: Any, file: Any, **kwargs: Any) -> None:
        save(content, file, **kwargs)
        file.flush()
        announce(path, file.name)

    return save_and_announce


def announce(weights: str | Path, coming: str | Path) -> None:
    """Add the digest of a file that will take the place of the weights."""
    _note(Path(weights), [_digest(coming), *_noted(weights)])


def settle(weights: str | Path) -> None:
    """Note the digest of the weights that are there now, and no other."""
    _note(Path(weights), [_digest(weights)])


def replace_weights(new: str | Path, weights: str | Path) -> None:
    """Put new weights in the place of others in one step, with their digest."""
    announce(weights, new)
    os.replace(new, weights)
    settle(weights)


def _note(weights: Path, digests: list[str]) -> None:
    different = list(dict.fromkeys(digests))[:3]
    write_text(digest_file(weights), "".join(f"{digest}  {weights.name}\n" for digest in different))


def _noted(weights: str | Path) -> list[str]:
    """Digests beside the weights; empty where there are none, or none that can be read."""
    try:
        lines = digest_file(weights).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [found[1] for line in lines if (found := _LINE.fullmatch(line.strip()))]


def _digest(path: str | Path) -> str:
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()
