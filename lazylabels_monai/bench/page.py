"""The page of measured speeds: each part of ``lazylabels bench`` writes its own section and leaves the others alone."""

from __future__ import annotations

import re
from pathlib import Path

from lazylabels_monai.atomic import write_text
from lazylabels_monai.errors import LazyLabelsError

__all__ = ["write_section"]


def write_section(page: Path, part: str, text: str) -> None:
    """Put ``text`` between ``<!-- bench PART -->`` and ``<!-- end of PART -->`` of a page.

    Args:
        page: a Markdown file that holds both lines once.
        part: name of the part.
        text: Markdown.

    Raises:
        LazyLabelsError: where the page lacks the lines or holds them more than once.
    """
    before = page.read_text(encoding="utf-8")
    marks = (f"<!-- bench {part} -->", f"<!-- end of {part} -->")
    found = re.findall(f"{re.escape(marks[0])}\n.*?{re.escape(marks[1])}", before, flags=re.DOTALL)
    if len(found) != 1:
        raise LazyLabelsError(f"{page}: there is no place for {part!r}; put the lines {marks[0]} and {marks[1]} where it goes.")
    write_text(page, before.replace(found[0], f"{marks[0]}\n{text.strip()}\n{marks[1]}"))
