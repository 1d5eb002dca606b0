"""A part of ``bench`` writes its section, and no other."""

from __future__ import annotations

import pytest

from lazylabels_monai.bench.page import write_section
from lazylabels_monai.cli.bench import PARTS
from lazylabels_monai.errors import LazyLabelsError
from tests.helpers import ROOT

PAGE = "# Speed\n<!-- bench a -->\nold\n<!-- end of a -->\n\n<!-- bench b -->\nb stays\n<!-- end of b -->\nend\n"


def test_a_section_is_written_between_its_lines(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(PAGE)
    for text in ("| new |\n", r"\1 \g<0> is no pattern"):
        write_section(page, "a", text)
        assert page.read_text() == PAGE.replace("old", text.strip())


@pytest.mark.parametrize("page", ["nothing\n", PAGE + PAGE])
def test_a_page_without_one_place_for_it_stays_as_it_is(tmp_path, page):
    path = tmp_path / "performance.md"
    path.write_text(page)
    with pytest.raises(LazyLabelsError, match="no place for 'a'"):
        write_section(path, "a", "new")
    assert path.read_text() == page


@pytest.mark.parametrize("part", PARTS)
def test_the_page_has_a_place_for_each_part(part):
    assert (ROOT / "docs" / "performance.md").read_text().count(f"<!-- bench {part} -->") == 1
