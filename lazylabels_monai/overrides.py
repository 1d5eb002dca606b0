"""Names of folders on the command line of ``python -m monai.bundle``, which takes some of them for something else.

python-fire reads ``--dataset_dir 2024_05`` as the number 202405, ``1e3`` as 1000.0, ``a,b`` as a pair, ``[x]`` as a list, and
of ``run#3`` it keeps ``run``. A config file in YAML does likewise. The name is what was typed.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

from lazylabels_monai.errors import FOLDER_IDS, LazyLabelsError, given_overrides

__all__ = ["FOLDER_IDS", "as_text", "expanded"]

_EXPRESSIONS = ("$", "@", "%")


def as_text(value: Any, name: str) -> str:
    """The path that was meant by an id of a config.

    Args:
        value: what MONAI made of it.
        name: the id, such as "dataset_dir".

    Raises:
        LazyLabelsError: where the value is no text and the text it came from is not known, with the remedy.
    """
    typed = given_overrides().get(name)
    if typed is not None and not typed.startswith(_EXPRESSIONS):
        if not typed or typed.startswith("--"):
            raise LazyLabelsError(f"command line: '--{name}' has no value; name a folder after it.")
        return _unquoted(typed)
    if typed is not None and Path(typed).exists():
        raise LazyLabelsError(f"command line: '--{name} {typed}' is read as an expression; write ./{typed} for that path.")
    if isinstance(value, (str, os.PathLike)):
        return os.fspath(value)
    raise LazyLabelsError(
        f"{name} is {value!r} in the config, {_kind(value)}, where a path is expected: write it in quotes, as text; a name "
        'such as 2024_05 as "./2024_05".'
    )


def _unquoted(typed: str) -> str:
    """Without quotes that were typed for python-fire, as in ``"'2024_05'"``; a folder whose name has them keeps them."""
    if typed[0] not in "'\"" or Path(typed).exists():
        return typed
    try:
        meant = ast.literal_eval(typed)
    except (SyntaxError, ValueError):
        return typed
    return meant if isinstance(meant, str) else typed


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "true, false or nothing"
    return "a number" if isinstance(value, (int, float, complex)) else f"a {type(value).__name__}"


def expanded(path: str | os.PathLike) -> Path:
    """``~`` and ``~name`` as a shell reads them; what is called ``~x`` where that is there, or nobody of that name is known.

    The latter is an absolute path then: MONAI's readers would look for the home folder of ``x``.
    """
    path = Path(path)
    if not str(path).startswith("~"):
        return path
    try:
        return path.expanduser() if not os.path.lexists(path) else Path(os.path.abspath(path))
    except RuntimeError:
        return Path(os.path.abspath(path))
