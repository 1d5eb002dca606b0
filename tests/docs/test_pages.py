"""The pages: links lead somewhere, lines are short, one name per thing, and the start page stays short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

#: A line of prose has fewer characters than this.
WIDTH = 120
#: Words that another one stands for, with that one.
NOT_USED = {
    r"not\s+told\s+apart": "no significant difference (95 % interval contains 0)",
    r"doubt": "uncertainty, or lowest probability",
    r"\bR\s+begins": "zero-initialised residual",
}

FENCE = re.compile(r"\s*(```+|~~~+)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
DEFINITION = re.compile(r"^ {0,3}\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)", re.M)
LONE_LINK = re.compile(r"\s*(?:[-*]\s+|\d+\.\s+)?!?\[[^\]]*\]\([^)]*\)[.,;:]?\s*")


def pages(*patterns: str) -> list[Path]:
    """The pages of these patterns below the root."""
    return sorted({path for pattern in patterns for path in ROOT.glob(pattern)})


LINKED = pages("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**/*.md", "bundle/docs/*.md")
#: Written by hand; docs/results holds what commands write.
WRITTEN = [
    page
    for page in pages("README.md", "CONTRIBUTING.md", "docs/**/*.md", "bundle/docs/*.md")
    if DOCS / "results" not in page.parents
]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines outside of code blocks, fenced or indented, with their numbers."""
    fence, in_list, before = "", False, ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = FENCE.match(line)
        if fence:
            if mark and line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            before = ""
        elif mark:
            fence, in_list = mark[1], in_list and line.startswith(" ")
        elif line.startswith("    ") and not before.strip() and not in_list:
            pass  # an indented block, which goes on as long as lines are indented or empty
        else:
            yield number, line
            if re.match(r"\s*([-*+]|\d+\.)\s", line):
                in_list = True
            elif line.strip() and not line.startswith(" "):
                in_list = False
            before = line


def without_code(text: str) -> str:
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", "\n".join(line for _, line in text_lines(text)), flags=re.S)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings by GitHub's rules, and those set by hand."""
    found: dict[str, int] = {}
    result = set(re.findall(r"<a\s+(?:id|name)=\"([^\"]+)\"", text))
    for _, line in text_lines(text):
        heading = re.match(r" {0,3}#{1,6}\s+(.+?)\s*#*\s*$", line)
        if not heading:
            continue
        shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
        shown = re.sub(r"(?<!\w)_+(\S(?:.*?\S)?)_+(?!\w)", r"\1", shown)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result


def broken_links(page: Path) -> list[str]:
    """The relative links of a page that lead to no file, or to no heading of it."""
    text, broken = without_code(page.read_text(encoding="utf-8")), []
    for target in [*LINK.findall(text), *DEFINITION.findall(text)]:
        if re.match(r"[a-zA-Z][\w+.-]*:|//", target):
            continue
        file, _, anchor = target.partition("#")
        path = page if not file else page.parent / unquote(file)
        is_page = path.suffix == ".md"
        if not path.exists() or (anchor and is_page and unquote(anchor) not in anchors(path.read_text(encoding="utf-8"))):
            broken.append(target)
    return broken


def long_lines(text: str) -> list[int]:
    """Numbers of the lines of prose that are too long; tables, pictures and single links may be."""
    return [
        number
        for number, line in text_lines(text)
        if len(line) >= WIDTH and not line.lstrip().startswith(("|", "![")) and not LONE_LINK.fullmatch(line)
    ]


def unused_words(text: str) -> list[str]:
    return [match[0] for word in NOT_USED for match in re.finditer(word, text, re.I if word.islower() else 0)]


def sections(text: str) -> dict[str, str]:
    """What stands below each heading of the second level."""
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("page", LINKED, ids=name)
def test_every_link_leads_somewhere(page):
    assert broken_links(page) == []


@pytest.mark.parametrize("page", [*WRITTEN, ROOT / "CHANGELOG.md"], ids=name)
def test_lines_are_short(page):
    assert long_lines(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [page for page in WRITTEN if DOCS / "history" not in page.parents], ids=name)
def test_one_name_per_thing(page):
    assert unused_words(page.read_text(encoding="utf-8")) == [], f"instead: {NOT_USED}"


def test_the_start_page_has_three_short_paths():
    paths = {title: body for title, body in sections((DOCS / "README.md").read_text(encoding="utf-8")).items() if "I " in title}
    assert list(paths) == ["I have images and want numbers", "I draw in napari, Fiji or QuPath", "I know MONAI"]
    assert {title: len(LINK.findall(body)) for title, body in paths.items() if not 1 <= len(LINK.findall(body)) <= 5} == {}


def test_the_start_page_lists_every_page():
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in LINK.findall((DOCS / "README.md").read_text())}
    assert [page.name for page in DOCS.glob("*.md") if page.resolve() not in linked | {DOCS / "README.md"}] == []


def test_the_checks_can_fail(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b_c`: d, e\n\n## Twice\n\n## Twice\n\n[1](page.md#a-b_c-d-e) [2](#twice-1) [3](https://x.org/#y) `[4](no.md)`\n"
        '[5](#twice-2) ![6](no.png) [two\nlines](no.md "title") [7][x]\n\n[x]: nowhere.md\n\n```sh\n[8](no.md)\n```\n'
    )
    assert broken_links(page) == ["#twice-2", "no.png", "no.md", "nowhere.md"]
    long, link = "word " * 24, "[a](" + "b" * 130 + ")"
    exempt = f"| {long} |\n![{long}](a.png)\n- {link}.\n```\n{long}\n```\n\n    {long}\n\n"
    assert long_lines(exempt + f"{long}\n- a\n\n    {long}\n{link} and {link}\n{'x' * 119}\n{'x' * 120}\n") == [10, 13, 14, 16]
    assert unused_words("Doubts, not told\napart; R begins, undoubted") == ["not told\napart", "Doubt", "doubt", "R begins"]
