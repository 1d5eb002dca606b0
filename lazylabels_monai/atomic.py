"""Files and folders that appear whole or not at all, so that a kill or a full disk leaves what was there.

What is not whole yet has a hidden name beside its target, ``.<name>.<machine>.<process>.<random>.tmp``. What a killed process
left is removed when a process writes into that folder the next time; never what a process that runs is at.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lazylabels_monai.errors import DiskError, LazyLabelsError, refused_by_disk

__all__ = [
    "clean",
    "copy_tree",
    "filled",
    "has_ended",
    "move_in",
    "put_back",
    "refusal",
    "remove_tree",
    "require_free",
    "require_room",
    "temporary_sibling",
    "whole_file",
    "write_bytes",
    "write_text",
    "written_to",
]

#: Hidden names: of which machine and process, and whether it is new or what was there before.
_HIDDEN = re.compile(
    r"\.(?P<name>.+?)\.((?P<machine>[0-9a-f]{8})\.)?(?P<process>\d{1,10})\.(?P<mark>[0-9a-f]{8})\.(?P<kind>tmp|old)"
)

#: Age in seconds from which that of an earlier version, which does not name its machine, counts as left behind.
_DAY = 86400.0

#: Marks of the hidden names that this process is at.
_OURS: set[str] = set()

#: Folders that this process has cleaned.
_CLEANED: set[str] = set()

#: When this process began, as far as it is known here.
_STARTED = time.time()

#: Longest name of a hidden file in bytes; file systems take 255.
_LONGEST = 200

#: A disk with less room than this, in bytes, is called full when something could not be written.
_ROOM = 1 << 22


def _machine() -> str:
    return hashlib.sha1(platform.node().encode(), usedforsecurity=False).hexdigest()[:8]


def _hidden(path: Path, kind: str) -> Path:
    """A name beside ``path`` that nobody else uses; on the same disk, so that renaming is one step."""
    mark = secrets.token_hex(4)
    _OURS.add(mark)
    name = path.name.encode("utf-8", "surrogateescape")[:_LONGEST].decode("utf-8", "ignore")
    return path.parent / f".{name}.{_machine()}.{os.getpid()}.{mark}.{kind}"


def has_ended(node: str | None, process: int, path: Path) -> bool:
    """Whether the process that made a temporary file has ended.

    Args:
        node: name of its machine, or the digest of it; of another machine's processes that cannot be told, and they count as
            running. None: unknown, and only what is a day old counts as left behind.
        process: its number.
        path: the file or folder; where the number is ours, it was made before this process began, or it is ours.
    """
    if node not in (None, platform.node(), _machine()):
        return False
    try:
        written = path.lstat().st_mtime
    except OSError:
        return False
    if node is None and time.time() - written < _DAY:
        return False
    if process == os.getpid():
        return written < _STARTED
    try:
        os.kill(process, 0) if os.name != "nt" else _look_up(process)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it runs and is somebody else's
        return False
    return False


def _look_up(process: int) -> None:
    """As signal 0 does elsewhere: on Windows it would end the process."""
    import ctypes

    handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, process)  # type: ignore[attr-defined]
    if not handle:
        raise ProcessLookupError(process)
    ctypes.windll.kernel32.CloseHandle(handle)  # type: ignore[attr-defined]


def clean(folder: Path) -> None:
    """Remove what killed processes left half written in a folder, and put back what one of them was about to replace."""
    _CLEANED.add(os.path.abspath(folder))
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return
    for entry in entries:
        found, path = _HIDDEN.fullmatch(entry), Path(folder) / entry
        if found is None or found["mark"] in _OURS or not has_ended(found["machine"], int(found["process"]), path):
            continue
        if found["kind"] == "old" and not (Path(folder) / found["name"]).exists():
            with suppress(OSError):
                os.rename(path, Path(folder) / found["name"])
        else:
            remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a file or a folder, write-protected parts too; what cannot be removed stays."""
    if path.is_dir() and not path.is_symlink():
        for folder, _, _ in os.walk(path):
            with suppress(OSError):
                os.chmod(folder, stat.S_IRWXU)
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def written_to(place: str | os.PathLike) -> Iterator[None]:
    """Say of what the disk refuses within, such as a full or a write-protected one, which folder or file was to be written.

    Args:
        place: what the user named.

    Raises:
        DiskError: with the place and the reason.
    """
    try:
        yield
    except Exception as error:
        if (refused := refusal(error, place)) is None:
            raise
        raise refused from error


def refusal(error: BaseException, place: str | os.PathLike) -> DiskError | None:
    """The sentence of :func:`written_to` for an error; None where it is not about writing there."""
    cause = error.__cause__ if isinstance(error, DiskError) else error
    reason = refused_by_disk(cause, place) or (_refused_now(cause, Path(place)) if cause is not None else None)
    return None if reason is None else DiskError(f"'{place}' cannot be written: {reason}.")


def _refused_now(error: BaseException, place: Path) -> str | None:
    """Some libraries raise errors without a reason when a disk is full (PIL: "encoder error -2", torch: "file write failed"):
    whether the disk is full is tried."""
    if isinstance(error, LazyLabelsError) or not _from_writing(error):
        return None
    folder = next((parent for parent in (place, *place.parents) if parent.is_dir()), None)
    if folder is None:
        return None
    try:
        require_room(folder)
    except OSError as refused:
        return refused_by_disk(refused, place)
    return None


def require_room(folder: Path) -> None:
    """Try whether something can be written into a folder.

    Raises:
        OSError: when not even 4 MB can.
    """
    probe = _hidden(folder / "probe", "tmp")
    try:
        with probe.open("wb") as file:
            file.write(bytes(_ROOM))
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _from_writing(error: BaseException) -> bool:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if isinstance(found, OSError) and found.errno is None:
            return True
        if isinstance(found, RuntimeError) and any(text in str(found).lower() for text in ("writ", "unexpected pos")):
            return True
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return False


def require_free(path: Path, overwrite: bool, kind: str = "file") -> None:
    """Refuse to replace what lies there, unless that was asked for.

    Raises:
        FileExistsError: naming it and what to do.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already: name another {kind}, or pass --overwrite.")


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes the place of ``path`` in one step when the block has ended well.

    Raises:
        LazyLabelsError: for what the disk refuses, naming ``path``.
    """
    if os.path.abspath(path.parent) not in _CLEANED:
        clean(path.parent)
    temporary = _hidden(path, "tmp")
    try:
        with temporary.open("wb") as file:
            yield file
        os.replace(temporary, path)
    except OSError as error:
        if (refused := refusal(error, path)) is not None:
            raise refused from error
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) in one step, replacing one that is there."""
    # a file's name may hold bytes that are no text
    write_bytes(path, text.replace("\n", os.linesep).encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file in one step, replacing one that is there."""
    with whole_file(path) as file:
        file.write(content)


@contextmanager
def put_back(*files: Path) -> Iterator[None]:
    """Files that are as they were when the block fails, as far as the disk takes that."""
    before = {file: file.read_bytes() if file.is_file() else None for file in files}
    try:
        yield
    except BaseException:
        for file, content in before.items():
            with suppress(OSError, LazyLabelsError):
                if content is None:
                    file.unlink(missing_ok=True)
                elif not file.is_file() or file.read_bytes() != content:
                    write_bytes(file, content)
        raise


def temporary_sibling(out: Path) -> Path:
    """Make an empty hidden folder beside ``out`` to fill; :func:`move_in` makes it ``out``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    clean(out.parent)
    temporary = _hidden(out, "tmp")
    temporary.mkdir()
    return temporary


@contextmanager
def filled(out: Path, overwrite: bool = False, check: Callable[[], None] | None = None) -> Iterator[Path]:
    """A hidden folder to fill, which becomes ``out`` when the block has ended well, and is removed when not.

    Args:
        out: the folder to make.
        overwrite: whether it may be replaced.
        check: called before it is replaced, as somebody may have put something there meanwhile; raises where it must stay.

    Raises:
        LazyLabelsError: for what the disk refuses, naming ``out``; and as :func:`move_in`.
    """
    with written_to(out):
        temporary = temporary_sibling(out)
        try:
            yield temporary
            if overwrite and check is not None:
                check()
            move_in(temporary, out, overwrite)
        finally:
            remove_tree(temporary)


def move_in(temporary: Path, out: Path, overwrite: bool = False) -> None:
    """Put a finished folder in place in one step; with ``overwrite`` what it replaces is deleted only then.

    Raises:
        LazyLabelsError: when ``out`` holds something by now that is not to be replaced, such as what another process was faster
            to write; everything is as before then.
    """
    old = None
    if overwrite and out.is_dir() and any(out.iterdir()):
        old = _hidden(out, "old")
        with suppress(FileNotFoundError):  # another process is replacing it, too
            os.rename(out, old)
    try:
        os.rename(temporary, out)
    except OSError as error:
        if old is not None and old.exists():
            with suppress(OSError):
                os.rename(old, out)
                old = None
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            if old is not None:  # two of one kind: the later one is there
                remove_tree(old)
            raise LazyLabelsError(f"'{out}' was filled by another process meanwhile: name another folder.") from error
        raise
    if old is not None:
        remove_tree(old)


def copy_tree(source: Path, target: Path, ignore: Callable[[str, list[str]], Iterable[str]] | None = None) -> None:
    """Copy a folder's files without their rights: a copy of a write-protected folder can be written and removed."""
    target.mkdir(parents=True, exist_ok=True)
    names = sorted(os.listdir(source))
    left_out = set(ignore(str(source), names)) if ignore is not None else set()
    for name in names:
        if name in left_out:
            continue
        if (source / name).is_dir():
            copy_tree(source / name, target / name, ignore)
        else:
            shutil.copyfile(source / name, target / name)
