"""Names that programs and people give to what they draw: which are numbers of single objects, and which are classes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["SplitName", "object_numbers", "plain", "split_name"]

#: Marks of one name in one file, on average, from which numbered names are classes ("phase 1", "phase 2").
MIN_REPEATS = 1.5
#: Numbered names of one stem up to which they may be classes; with so many marks of each, more may.
MOST_CLASSES, MANY_REPEATS = 12, 8.0

_UUID = re.compile(r"\{?[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}\}?", re.IGNORECASE)
#: Digits and letters a to f, both, as programs number what they store.
_HEX = re.compile(r"(?=.*\d)(?=.*[a-f])(0x)?[0-9a-f]{8,}", re.IGNORECASE)
_SEPARATORS = r"[\s_\-.,:;#/|()\[\]]"
#: ImageJ's own name, (z-, t-)row-column.
_IMAGEJ = re.compile(r"([cztp]?\d+[-_ ]+)*\d{4,}-\d{4,}(-\d{1,3})?", re.IGNORECASE)
_TIME = re.compile(
    r"\d{4}[-_.]?\d{2}[-_.]?\d{2}((T|at|[\s_\-])*\d{2}[:h.\-_]?\d{2}([:m.\-_]?\d{2}([.,]\d+)?)?s?(Z|[+-]\d{2}:?\d{2})?)?",
    re.IGNORECASE,
)
_NUMBER = rf"\d+(?:(?:{_SEPARATORS}|\bof\b)+\d+)*"
#: What stands between a name and its number, or behind it.
_BEFORE = re.compile(r"[\s_\-.,:;#/|(\[]+(no|nr|num|number|id|idx|index)$", re.IGNORECASE)
_COPY = re.compile(rf"{_SEPARATORS}+copy{_SEPARATORS}*\d*{_SEPARATORS}*$", re.IGNORECASE)
_TRAILING = re.compile(rf"(?P<stem>.*?)(?P<gap>{_SEPARATORS}*)(?P<number>{_NUMBER}){_SEPARATORS}*", re.DOTALL)
_LEADING = re.compile(rf"{_SEPARATORS}*(?P<number>{_NUMBER})(?P<gap>{_SEPARATORS}+)(?P<stem>\D.*)", re.DOTALL)
#: A number between two words: "cell 12 area".
_INNER = re.compile(rf"(?P<before>[^\W\d]+){_SEPARATORS}+\d+{_SEPARATORS}+(?P<after>[^\W\d]+)")

#: What a drawn thing is called where nobody said what it shows.
_MEANINGLESS = re.compile(
    r"roi|rois|ids?|no|nr|num|number|index|labels?|objects?|obj|instance|shapes?|polygons?|poly|freehand|traced?|rect(angle)?"
    r"|oval|ellipse|circle|points?|lines?|polyline|freeline|annot(ations?)?|marks?|marker|region|area|item|element|contour"
    r"|outline|selection|untitled|unnamed|new|mask|segment|track|[ncrstzxy]"
)
#: What is counted in few, and not object by object: "phase 1" and "phase 2" are classes even where each is drawn once.
_KINDS = re.compile(r"type|class|phase|grade|stage|group|layer|kind|category|cluster|zone|level|population|subtype")


@dataclass(frozen=True)
class SplitName:
    """A name and what is left of it without its number.

    Args:
        stem: the name without its number; "" where nothing that means something is left.
        numbered: whether there is a number.
        sure: whether the name can be no class, however often it is drawn: an id, a date, a position.
        glued: whether the number follows the stem without a gap ("cell1", but also "Ki67").
    """

    stem: str
    numbered: bool = False
    sure: bool = False
    glued: bool = False


def plain(name: str) -> str:
    """A name for comparison: lower case, words separated by one space, without signs."""
    return re.sub(r"[\W_]+", " ", name.casefold()).strip()


def split_name(name: str) -> SplitName:
    """Take the number off a name.

    >>> split_name("cell-1").stem, split_name("cell (12)").stem, split_name("003_cell").stem, split_name("0012-0345").sure
    ('cell', 'cell', 'cell', True)
    """
    name = _COPY.sub("", name.strip())
    if any(pattern.fullmatch(name) for pattern in (_UUID, _HEX, _IMAGEJ, _TIME)):
        return SplitName("", True, True)
    found = _TRAILING.fullmatch(name)
    stem, glued, numbered = name, False, bool(found)
    digits = ""
    if found:
        stem, digits = found["stem"], found["number"]
        glued = bool(stem) and not found["gap"]
    if leading := _LEADING.fullmatch(stem):
        stem, numbered, glued, digits = leading["stem"], True, False, digits + leading["number"]
    if not numbered and (inner := _INNER.fullmatch(stem)):
        return SplitName(f"{inner['before']} {inner['after']}", True)
    if not numbered:
        return SplitName(name)
    stem = re.sub(rf"^{_SEPARATORS}+|{_SEPARATORS}+$", "", stem)
    stem = _BEFORE.sub("", stem)
    if not plain(stem) or _MEANINGLESS.fullmatch(plain(stem)):
        # so many digits number no classes: a date, a time, a position
        return SplitName("", True, sum(c.isdigit() for c in digits) >= 7)
    return SplitName(stem, True, bool(_IMAGEJ.fullmatch(digits)), glued)


def object_numbers(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Which names number single objects, and what they are called without their number.

    Running numbers occur once in each file. Numbered classes are few, and most files hold several marks of each.

    Args:
        names: of each mark, its file and its name.

    Returns:
        the name without its number for each that numbers objects; "" where nothing is left. Other names are not in it.
    """
    drawn = Counter(names)
    split = {name: split_name(name) for _, name in drawn}
    found = {name: parts.stem for name, parts in split.items() if parts.sure}
    families: dict[str, set[str]] = defaultdict(set)
    for name, parts in split.items():
        if parts.numbered and not parts.sure:
            families[plain(parts.stem)].add(name)
    whole = {plain(name) for name, parts in split.items() if not parts.numbered}
    for stem, members in families.items():
        if not _are_classes(stem, members, drawn, split, stem in whole):
            found |= {name: split[name].stem for name in members}
    return found


def _are_classes(
    stem: str, members: set[str], drawn: Counter[tuple[str, str]], split: dict[str, SplitName], beside: bool
) -> bool:
    counts = [count for (_, name), count in drawn.items() if name in members]
    repeats = sum(counts) / len(counts)
    several = len(members) <= MOST_CLASSES or repeats >= MANY_REPEATS
    if len(members) == 1 and not beside:
        # "Ki67" is a name, and so is "phase 2" where it alone was drawn; "cell-1" and "1" are the first of their kind.
        return all(split[name].glued for name in members) or repeats >= MIN_REPEATS or bool(_KINDS.fullmatch(stem))
    return several and (repeats >= MIN_REPEATS or bool(_KINDS.fullmatch(stem)))
