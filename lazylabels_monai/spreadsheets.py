"""Our tables, which people open with Excel or LibreOffice, and save there again.

Both run a cell that begins with ``=``, ``+``, ``-`` or ``@``. Such names, of images and classes that a stranger chose, get an
apostrophe in front, as OWASP advises ("CSV injection"); a program that shows formulas shows text then. :func:`read_table`
takes it away again. Numbers, negative ones too, are left alone.

Where the decimal sign is a comma, both save semicolons between the cells; Excel's "Unicode text" is UTF-16 with tabs.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lazylabels_monai.errors import LazyLabelsError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["cell", "cells", "from_cell", "from_cells", "read_table"]

#: Columns of our tables that hold text, also where it looks like a number: an image may be named 001, or NA.
_TEXT = ("image", "class_name", "scope")

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


def read_table(path: Path, needed: Sequence[str], numbers: Sequence[str] = (), *, again: str) -> pd.DataFrame:
    """A table that we wrote, also as a spreadsheet saved it: with semicolons or tabs, decimal commas, empty rows, in UTF-16.

    Args:
        path: of the file.
        needed: columns that must be there, with a value in each row; that value is a number, except in columns of names.
        numbers: others of which each value must be a number where there is one.
        again: what writes the table anew, for the sentences.

    Raises:
        OSError: when it cannot be read.
        LazyLabelsError: for what is no such table.
    """
    import pandas as pd  # here, as programs that write a cell need to begin quickly

    text = _text(path)
    separator = next(iter(re.findall(r"[,;\t]", text.partition("\n")[0])), ",")
    text = re.sub(rf"^[ {separator}]*\r?\n", "", text, flags=re.MULTILINE)  # rows that were emptied, not deleted
    content = text.encode()
    del text  # of millions of objects

    def parsed(decimal: str) -> pd.DataFrame:
        options = {"dtype": dict.fromkeys(_TEXT, str), "keep_default_na": False, "na_values": [""], "low_memory": False}
        return pd.read_csv(BytesIO(content), sep=separator, decimal=decimal, **options)

    def words(table: pd.DataFrame) -> list[str]:
        return [name for name in table if len(table) and name not in _TEXT and table[name].dtype.kind not in "iufb"]

    try:
        table = parsed(".")
        if separator != "," and words(table):
            table = min(table, parsed(","), key=lambda each: len(words(each)))
    except ValueError as error:  # pandas' own errors are ValueErrors
        reason = str(error).strip().rstrip(".")
        raise LazyLabelsError(f"'{path}' cannot be read as a table ({reason}): {again}.") from error
    if missing := [name for name in needed if name not in table]:
        raise LazyLabelsError(f"'{path}' has no column '{missing[0]}': {again}.")
    for name in (name for name in needed if table[name].isna().any()):
        row = int(table[name].isna().argmax())
        raise LazyLabelsError(f"'{path}' has no {name} in row {row + 1} below its head: complete the row, or delete it.")
    for name in (name for name in words(table) if name in {*needed, *numbers}):
        texts = [value for value in table[name] if isinstance(value, str)]
        value = next((text for text in texts if not _is_number(text)), texts[0])
        raise LazyLabelsError(f"'{path}' has '{value}' in the column '{name}', which is no number: correct it, or {again}.")
    return from_cells(table)


def _text(path: Path) -> str:
    content = path.read_bytes()
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise LazyLabelsError(
            f"'{path}' is not in UTF-8, so that nobody knows its letters beyond a to z: save it as 'CSV UTF-8' there."
        ) from error


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*|true|false", text, re.IGNORECASE) is not None
