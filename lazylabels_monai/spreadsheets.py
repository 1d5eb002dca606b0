"""Names in tables that people open with Excel or LibreOffice, which run a cell that begins with ``=``, ``+``, ``-`` or ``@``.

Such names, of images and classes that a stranger chose, get an apostrophe in front, as OWASP advises ("CSV injection"); a
program that shows formulas shows text then. Our own readers take it away again. Numbers, negative ones too, are left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cell", "cells", "from_cell", "from_cells"]

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")  # the last four: their wide forms


def cell(value: Any) -> Any:
    """A value as a table holds it; only text changes.

    Example:
        >>> cell("=1+1"), cell(-1.5), cell("a=b")
        ("'=1+1", -1.5, 'a=b')
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_cell(value: Any) -> Any:
    """What :func:`cell` was given."""
    return value[1:] if isinstance(value, str) and value.startswith("'") and _FORMULA.match(value) else value


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts are :func:`cell`'s."""
    return table.map(cell) if len(table) else table


def from_cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table that :func:`cells` was given."""
    return table.map(from_cell) if len(table) else table
