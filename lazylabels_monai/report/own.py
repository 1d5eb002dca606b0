"""Which measurements and scores below a folder of predictions are of these predictions, and not of other label maps."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lazylabels_monai.overrides import expanded
from lazylabels_monai.stamps import Stamp

__all__ = ["Verdict", "measured_from", "newest_own", "scored_from"]


class Verdict(NamedTuple):
    """Whether a file is of the predictions of a report.

    Args:
        own: True and False where that is certain, else None.
        said: what it is of, in words, where a reader should know that.
    """

    own: bool | None
    said: str | None = None


def newest_own(
    out: Path,
    name: str,
    judge: Callable[[Mapping[str, Any], Path], Verdict],
    what: str,
    remedy: str,
    note: Callable[[str], None],
) -> Path | None:
    """The folder of a file: ``out``, or of the folders in it the one where it is newest, of those that are of ``out``.

    Args:
        out: folder of the predictions.
        name: of the file, JSON.
        judge: of its content, and its folder. Those of other maps are left out; where it is certain of one, that goes before
            those that do not say.
        what: is in the file, and what to do for those of ``out``, for the sentences.
        remedy: see ``what``.
        note: is told what was left out.
    """
    files = [path for path in (out / name, *out.glob(f"*/{name}")) if path.is_file()]
    verdicts = {path: judge(_content(path), path.parent) for path in files}
    found = [path for path in files if verdicts[path].own] or [path for path in files if verdicts[path].own is None]
    mend = "" if found else f": {remedy}"
    for path in files:
        if verdicts[path].own is False:
            note(f"The {what} in {path.parent} are {verdicts[path].said}, not of what {out} holds, and are left out{mend}.")
    if not found:
        return None
    found.sort(key=lambda path: (path.parent == out, path.stat().st_mtime))
    chosen, verdict = found[-1], verdicts[found[-1]]
    if len(found) > 1 and chosen.parent != out:
        note(f"{len(found) - 1} older {name} in other folders of {out} than {chosen.parent.name}.")
    if verdict.own is None and verdict.said is not None:
        note(f"The {what} in {chosen.parent} are {verdict.said}: unless these are what {out} holds, {remedy}.")
    return chosen.parent


def measured_from(summary: Mapping[str, Any], folder: Path, out: Path, stamp: Callable[[], Stamp | None]) -> Verdict:
    """Whether ``summary.json`` in a folder is of what ``out`` holds.

    Earlier versions wrote the path from where ``measure`` was run alone, which says little in a folder that was moved.

    Args:
        summary: its content.
        folder: of the file.
        out: folder of the predictions.
        stamp: gives what made the predictions; None where they do not say.
    """
    source = summary.get("source")
    if not isinstance(source, str):
        return Verdict(None)
    said, here = f"of '{source}'", summary.get("source_from_here")
    if _is(source, out) or (isinstance(here, str) and _is(folder / here, out)):
        return Verdict(True)
    if isinstance(here, str) and (folder / here).exists():
        return Verdict(False, said)
    if not expanded(source).exists():  # moved since
        return Verdict(None)
    made_by, made = summary.get("made_by", {}), stamp()
    if made is not None and made_by is None:  # of maps that no prediction made
        return Verdict(False, said)
    copied = made is not None and isinstance(made_by, Mapping) and made_by.get("stamp") == made.id
    return Verdict(None, None if copied else said)


def scored_from(results: Mapping[str, Any], folder: Path, out: Path, stamp: Callable[[], Stamp | None]) -> Verdict:
    """Whether ``metrics.json`` in a folder is of what ``out`` holds; see :func:`measured_from`.

    That of an evaluation names the weights, that of ``score`` the predictions; earlier versions wrote the weights alone, and of
    other programs nothing.
    """
    source, here = results.get("predictions"), results.get("predictions_from_here")
    if isinstance(source, str):
        if _is(source, out) or (isinstance(here, str) and _is(folder / here, out)):
            return Verdict(True)
        if (isinstance(here, str) and (folder / here).exists()) or expanded(source).exists():
            return Verdict(False, f"of '{source}'")
    made = stamp()  # or moved since
    if made is None:
        return Verdict(None)
    if "weights" not in results:
        return Verdict(None, "of maps that they do not name")
    return Verdict(True if results["weights"] == made.weights else None)  # the others are refused


def _is(source: str | Path, out: Path) -> bool:
    """Whether a folder, or a data set named by its file, is ``out``."""
    place = expanded(source)
    return os.path.realpath(place.parent if place.is_file() else place) == os.path.realpath(out)


def _content(path: Path) -> Mapping[str, Any]:
    """What a JSON file holds; nothing where it is broken, which is told by who reads it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
