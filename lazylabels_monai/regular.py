"""Whether there is a file to read at a path: a pipe or a device would keep a program waiting for ever, or never end."""

from __future__ import annotations

import errno
import os
import stat

__all__ = ["odd_name", "why_no_file"]

_KINDS = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a pipe and no file"),
    (stat.S_ISSOCK, "is a socket and no file"),
    (stat.S_ISCHR, "is a device and no file"),
    (stat.S_ISBLK, "is a device and no file"),
)


def why_no_file(path: str | os.PathLike) -> str | None:
    """What is wrong, to follow a path in a sentence, where no file can be read at it; None where one can be tried.

    Example:
        >>> why_no_file("/dev/null")
        'is a device and no file'
    """
    if (phrase := odd_name(path)) is not None:
        return phrase
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if os.path.islink(path):
            return "leads in a circle" if error.errno == errno.ELOOP else "is a link to a file that is not there"
        if error.errno in (errno.EACCES, errno.EPERM):
            return "lies in a folder that may not be read"
        return "has a name that is too long" if error.errno == errno.ENAMETOOLONG else "does not exist"
    return next((phrase for is_kind, phrase in _KINDS if is_kind(mode)), None)


def odd_name(path: str | os.PathLike) -> str | None:
    """What is wrong with a name that no file can have, to follow it in a sentence; None where one can."""
    text = os.fspath(path)
    if "\0" in text:
        return "has a null byte in its name"
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return "has a character in its name that no file can have"
    return None
