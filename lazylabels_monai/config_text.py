"""Text of other people for MONAI's configs, where some of it is code.

MONAI runs a text that begins with ``$``, looks up one that begins with ``@`` or ``%`` (the latter in any file), and rewrites
``#`` and ``@::`` in the middle of one. Folders may be called so, and come out of a stranger's archive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["literal", "literal_path", "refuse_expressions"]

_MEANT_FOR_MONAI = re.compile(r"^[$@%]|#|[@%]::")


def literal(text: str) -> str:
    """A text that MONAI resolves to ``text``: itself where nothing in it means anything to MONAI.

    Example:
        >>> literal("a.png")
        'a.png'
        >>> literal("@x")
        "$bytes.fromhex('4078').decode('utf-8', 'surrogateescape')"
    """
    if not _MEANT_FOR_MONAI.search(text):
        return text
    # hexadecimal digits: an expression in whose quotes MONAI would replace @x, too
    return f"$bytes.fromhex('{os.fsencode(text).hex()}').decode('utf-8', 'surrogateescape')"


def literal_path(path: str | os.PathLike) -> str:
    """:func:`literal` of the absolute path, which does not depend on where it is resolved."""
    return literal(os.path.abspath(path))


def refuse_expressions(values: Any, where: str) -> None:
    """Refuse what came over a network and is to go into a config, if any text in it means something to MONAI.

    Args:
        values: a text, or lists and names of values.
        where: what the sentence calls it, such as "request".

    Raises:
        LazyLabelsError: naming the key.
    """
    for key, value in _texts(values, where):
        if value.lstrip().startswith(("$", "@", "%")):
            raise LazyLabelsError(
                f"{key} begins with {value.lstrip()[0]}, which MONAI would run or look up: give a plain value."
            )


def _texts(values: Any, key: str) -> list[tuple[str, str]]:
    if isinstance(values, str):
        return [(key, values)]
    if isinstance(values, Mapping):
        names = [(f"a name in {key}", str(name)) for name in values]
        return names + [found for name, value in values.items() for found in _texts(value, f"'{name}' of {key}")]
    if isinstance(values, list | tuple):
        return [found for value in values for found in _texts(value, key)]
    return []
