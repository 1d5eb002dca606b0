"""One process at a time in a folder, by a lock of the operating system that ends with its process."""

from __future__ import annotations

import errno
import logging
import os
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["FolderLock", "InUseError"]

logger = logging.getLogger(__name__)

#: What file systems answer that know no locks, such as some network folders.
_NO_LOCKS = frozenset(
    getattr(errno, name) for name in ("ENOLCK", "ENOSYS", "ENOTSUP", "EOPNOTSUPP", "EINVAL", "EIO") if hasattr(errno, name)
)


class InUseError(LazyLabelsError):
    """Another process works in the folder."""


class FolderLock:
    """A folder that one process writes into, until :meth:`release`, the end of the process, or a kill.

    The lock is one of the process (``fcntl.lockf``, on Windows ``msvcrt.locking``), so that neither workers that were forked
    keep it nor a kill leaves it behind; ``filelock``'s would be inherited by the workers of a DataLoader, which outlive a
    killed training by seconds. A process may take a folder again that it holds: one training after another in a notebook, a
    project that is opened anew; others get it when all of these are released. On a file system without locks the folder is
    used all the same, and that is logged.

    Args:
        folder: made where missing, and removed again where nothing was put into it.
        what: that works there, for the sentence: "training".
        remedy: how to go on, for the sentence.
        name: of the file, which is removed at the end.

    Raises:
        InUseError: when another process holds it; nothing is changed then.
        OSError: when nothing can be written into the folder.
    """

    def __init__(self, folder: str | os.PathLike, what: str, remedy: str, name: str = ".lock") -> None:
        folder = Path(folder)
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        self.file = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held = _take(self.file, made)
        except OSError as error:
            _remove_empty(made)
            raise OSError(error.errno, error.strerror, str(folder)) from error
        if held is None:
            raise InUseError(f"'{folder}' is in use by another {what} that still runs: {remedy}.")
        # also where the object is lost, as after an error
        self._release = weakref.finalize(self, _free, held)

    def release(self) -> None:
        """Let others have the folder."""
        self._release()


@dataclass(eq=False)
class _Held:
    """A lock of this process. It has each one once, whatever the number of its users: any descriptor of the file that it
    closes would end it for all of them."""

    descriptor: int
    file: Path
    made: list[Path]
    owner: int
    users: int = 0

    def is_at(self, file: Path) -> bool:
        """Whether that is its file, which may have been removed, or replaced by that of another process."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.stat(file))
        except FileNotFoundError:
            return False


#: What this process holds; a fork's copy holds nothing.
_HELD: list[_Held] = []
#: Of the list; reentrant, as a lost object may be collected anywhere.
_CHANGES = threading.RLock()


def _take(file: Path, made: list[Path]) -> _Held | None:
    """The lock of a file, held already or taken now; None where another process has it."""
    with _CHANGES:
        held = next((one for one in _HELD if one.owner == os.getpid() and one.is_at(file)), None)
        if held is None:
            descriptor = _locked(file)
            if descriptor is None:
                return None
            held = _Held(descriptor, file, made, os.getpid())
            _HELD.append(held)
        held.users += 1
        return held


def _locked(file: Path) -> int | None:
    """A descriptor that holds the lock; None where another process does."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                os.close(descriptor)
                return None
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            logger.warning(f"'{file.parent}' lies where files cannot be locked: see to it that nothing else writes there.")
            return descriptor
        try:  # who held it may have removed the file between our opening and locking it
            if os.path.samestat(os.fstat(descriptor), os.stat(file)):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _free(held: _Held) -> None:
    if os.getpid() != held.owner:  # a fork, which has a copy of the object and no lock
        return
    with _CHANGES:
        held.users -= 1
        if held.users:
            return
        _HELD.remove(held)
        try:
            ours = held.is_at(held.file)
            if ours and os.name != "nt":  # where an open file cannot be removed
                held.file.unlink(missing_ok=True)
            os.close(held.descriptor)
            if ours and os.name == "nt":
                held.file.unlink(missing_ok=True)
        except OSError:
            pass
    _remove_empty(held.made)


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
