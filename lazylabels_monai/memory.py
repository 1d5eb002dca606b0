"""How much memory is at hand, and unpacking no more than that: what a file claims or unpacks to may be anything."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["MOST_PACKED", "TooLargeError", "allowed", "fits", "gunzip", "memory_at_hand", "unpacked"]

#: No text or picture that anybody made packs better than to one byte of so many; what is small may.
MOST_PACKED = 200
_SMALL = 2**26
_BLOCK = 2**20
_GROUP = Path("/sys/fs/cgroup")


class TooLargeError(ValueError):
    """Something would unpack to more than it may."""


def memory_at_hand() -> int | None:
    """Bytes that this process may still take, from what the machine has free and what limits it; None where nobody says."""
    found = [*_free(), *_of_group(), *_of_limits()]
    return max(0, min(found)) if found else None


def _free() -> Iterator[int]:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024


def _of_group() -> Iterator[int]:
    """Of a container; copies of files that it keeps in memory are given up when somebody needs the room."""
    with suppress(OSError, ValueError):  # "max": no limit
        room = int((_GROUP / "memory.max").read_text()) - int((_GROUP / "memory.current").read_text())
        with suppress(OSError, ValueError, IndexError):
            for line in (_GROUP / "memory.stat").read_text().splitlines():
                if line.split()[0] in ("inactive_file", "active_file", "slab_reclaimable"):
                    room += int(line.split()[1])
        yield room


def _of_limits() -> Iterator[int]:
    """Of ``ulimit -v`` and batch systems."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return
    try:
        yield limit - int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        yield limit


def unpacked(data: bytes | BinaryIO, most: int) -> bytes:
    """What a gzip file holds; several, one behind the other, are one.

    Args:
        data: the packed bytes, or an open file of them.
        most: bytes that it may unpack to.

    Raises:
        TooLargeError: when it is more.
        zlib.error, EOFError: when it is damaged or cut short.
    """
    source = data.read() if not isinstance(data, bytes) else data
    made: list[bytes] = []
    size = 0
    while source:
        packer = zlib.decompressobj(zlib.MAX_WBITS | 16)
        while not packer.eof:
            part = packer.decompress(source, _BLOCK)
            source = packer.unconsumed_tail
            if not part and not source and not packer.eof:
                raise EOFError("it is cut short")
            size += len(part)
            if size > most:
                raise TooLargeError(f"it unpacks to more than {most} bytes")
            made.append(part)
        source = packer.unused_data.lstrip(b"\0")  # gzip allows zeros behind
    return b"".join(made)


def gunzip(data: bytes) -> bytes:
    """:func:`unpacked` for text that is parsed, which takes many times its bytes.

    Raises:
        TooLargeError, zlib.error, EOFError: as :func:`unpacked`.
    """
    return unpacked(data, allowed(len(data)))


def allowed(packed: int, most: int = 2**30) -> int:
    """Bytes that ``packed`` bytes of text may unpack to: ``most``, and a tenth of the memory at hand."""
    at_hand = memory_at_hand()
    room = most if at_hand is None else min(most, at_hand // 10)
    return min(room, max(_SMALL, packed * MOST_PACKED))


def fits(size: float) -> bool:
    """Whether so many bytes can be had now, as far as anybody can say."""
    at_hand = memory_at_hand()
    return at_hand is None or size <= at_hand
