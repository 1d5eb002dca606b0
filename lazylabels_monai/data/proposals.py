"""A data set with inner regions in, the same data set with proposals of exact masks out.

The proposals are for a person to correct, and the pseudo-label baseline of Ke et al. 2020, Table 1, as they are. What
makes one is in :mod:`lazylabels_monai.labels.grabcut`.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lazylabels_monai.atomic import filled
from lazylabels_monai.data.carrying import carry_on
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    LABEL_KEYS,
    SECTIONS,
    absolute_path,
    datalist_file,
    find_images,
    has_key,
    load_datalist,
)
from lazylabels_monai.data.replacing import WRITTEN, check_target, digests_of
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import VOLUME_SUFFIXES, PathLike, file_suffix, read_image, read_label
from lazylabels_monai.images.pictures import overlay_contours
from lazylabels_monai.labels.grabcut import GrabCutSettings, Proposal, propose
from lazylabels_monai.overrides import expanded
from lazylabels_monai.progress import Progress, Steps
from lazylabels_monai.spreadsheets import cell
from lazylabels_monai.tasks import IGNORE, is_marked

__all__ = ["FAILED", "ImageReport", "ProposalError", "ProposalSummary", "propose_dataset"]

#: What becomes of an image whose GrabCut failed: no proposal, or that of the distance rule.
FAILED: tuple[str, ...] = ("skip", "fallback")

#: Settings and reports; the file tells that a folder was made here.
_REPORT = "proposals.json"
_COLUMNS = (
    "image",
    "status",
    "class",
    "dice",
    "marks_dice",
    "foreground_share",
    "windows",
    "failed_windows",
    "seconds",
    "reason",
)


class ProposalError(LazyLabelsError):
    """What a user can mend about a data set, its truth or the folder to be made."""


@dataclass(frozen=True)
class ImageReport:
    """What happened to one image.

    Args:
        image: path as the datalist names it.
        status: ``"ok"``, ``"partly"`` (some windows took the distance rule), ``"fallback"`` (GrabCut failed, the whole
            proposal is the distance rule's), ``"failed"`` (no proposal was written), ``"kept"`` (has an exact mask) or
            ``"unmarked"`` (nothing to start from).
        reason: why, as a clause.
        seconds: of computing, without reading and writing.
        windows: windows that were cut.
        failed_windows: those among them whose cut was not used.
        shares: share of the image's pixels that each class has in the proposal.
        dice: of each class, where the truth is known.
        marks_dice: likewise of the inner regions taken for masks.
    """

    image: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    windows: int = 0
    failed_windows: int = 0
    shares: dict[str, float] = field(default_factory=dict)
    dice: dict[str, float] = field(default_factory=dict)
    marks_dice: dict[str, float] = field(default_factory=dict)

    @property
    def written(self) -> bool:
        """Whether there is a proposal."""
        return self.status in ("ok", "partly", "fallback")


@dataclass(frozen=True)
class ProposalSummary:
    """What :func:`propose_dataset` did.

    Args:
        folder: the data set that was made; None of a dry run.
        classes: names of the object classes.
        images: one report for each image looked at, in the datalist's order.
        notes: on what people wrote into the data set that is replaced, a sentence each.
    """

    folder: Path | None
    classes: list[str]
    images: list[ImageReport]
    notes: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[ImageReport]:
        """Images without a proposal because GrabCut failed."""
        return [report for report in self.images if report.status == "failed"]

    def table(self) -> str:
        """Counts, time, and Dice with its spread over the images where the truth is known."""
        counts = {
            status: sum(r.status == status for r in self.images) for status in dict.fromkeys(r.status for r in self.images)
        }
        lines = ["images: " + (", ".join(f"{n} {status}" for status, n in counts.items()) or "none")]
        seconds = [r.seconds for r in self.images if r.seconds]
        if seconds:
            lines.append(f"seconds per image: mean {np.mean(seconds):.2f}, at most {max(seconds):.2f}")
        known = [name for name in self.classes if any(name in r.dice for r in self.images)]
        if known:
            width = max(len("class"), *map(len, known))
            lines.append(f"{'class':<{width}}  images  marks as masks  proposals +- spread  lowest")
            for name in known:
                dice = np.array([r.dice[name] for r in self.images if name in r.dice])
                marks = np.array([r.marks_dice[name] for r in self.images if name in r.dice])
                lines.append(
                    f"{name:<{width}}  {dice.size:>6}  {marks.mean():>14.3f}  {dice.mean():>9.3f} +- {dice.std():.3f}    "
                    f"{dice.min():>6.3f}"
                )
        return "\n".join(lines)


def propose_dataset(
    data: PathLike,
    out: PathLike,
    *,
    section: str = "training",
    only_missing: bool = True,
    settings: GrabCutSettings | None = None,
    failed: str = "skip",
    truth: PathLike | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ProposalSummary:
    """Make a data set whose images with inner regions have a proposal of the exact mask.

    ``out`` gets ``proposals/`` (class maps), ``overlays/`` (the image with the proposal's contours, to look at),
    ``proposals.csv`` (a row for each image and class), ``proposals.json`` (settings, reports) and a ``datalist.json`` that
    names the proposals as ``segmentation``; images and all other labels stay where they are and are named by relative
    paths. An exact mask that exists is never replaced. The folder appears only when it is complete.

    Args:
        data: data set, its folder or its ``datalist.json``.
        out: folder to make.
        section: split whose images get proposals.
        only_missing: leave images alone that have an exact mask. False makes a proposal for them, too, to look at and to
            measure; the datalist keeps their exact mask.
        settings: of GrabCut.
        failed: ``"skip"`` writes no proposal for an image whose GrabCut failed, ``"fallback"`` that of the distance rule.
        truth: data set, or folder of exact labels with the images' names (class maps, or ids in ``masks/``), or folder
            with ``classes/`` or ``masks/`` in it. Default: the item's own ``segmentation``, else its ``instances`` where
            there is one class.
        dry_run: compute and report, write nothing.
        overwrite: replace an earlier ``out`` of this function.
        progress: told a line for each image.

    Raises:
        OutputExistsError: when ``out`` holds something that this function did not make, or would be overwritten unasked.
        ProposalError: for a section or choice that does not exist, labels that do not
            fit their image, volumes, truth without a file, and where no image of the section has inner regions.
        DatalistError: when the datalist breaks the format.
        ReadError: when a file cannot be read.
    """
    if section not in SECTIONS:
        raise ProposalError(f"section '{section}' does not exist: use one of {', '.join(SECTIONS)}.")
    if failed not in FAILED:
        raise ProposalError(f"failed '{failed}' must be one of {', '.join(FAILED)}.")
    file, out = datalist_file(data), expanded(out).resolve()
    content = load_datalist(file)
    items = content.get(section, [])
    if not any(has_key(item, "detection") for item in items):
        raise ProposalError(f'"{section}" of \'{file}\' has no image with inner regions ("detection"): mark some first.')
    if not dry_run:
        if out == file.parent.absolute() or out in file.absolute().parents:
            raise ProposalError(f"folder '{out}' holds the data set itself: name another folder.")
        check_target(out, overwrite, _REPORT)
    run = _Run(file, content["classes"], settings or GrabCutSettings(), failed, only_missing, _Truth(truth))
    reports, proposals, notes = [], {}, []
    names = _names(items)
    replaced = filled(out, overwrite, partial(check_target, out, overwrite, _REPORT))
    with nullcontext(out) if dry_run else replaced as target:
        steps = Steps(len(items), progress)
        for index, item in enumerate(items):
            report, classes, image = run.propose(item)
            reports.append(report)
            if classes is not None and not dry_run:
                proposals[index] = f"proposals/{names[index]}.png"
                _save(target / proposals[index], classes)
                _save(target / f"overlays/{names[index]}.png", overlay_contours(image, classes))
            steps.step(Path(item["image"]).name)
        if not dry_run:
            _write_reports(target, reports, run)
            notes = _write_datalist(target, out, file, content, section, proposals)
    return ProposalSummary(None if dry_run else out, list(content["classes"]), reports, notes)


@dataclass(frozen=True)
class _Run:
    file: Path
    classes: Sequence[str]
    settings: GrabCutSettings
    failed: str
    only_missing: bool
    truth: _Truth

    def propose(self, item: Mapping[str, Any]) -> tuple[ImageReport, np.ndarray | None, np.ndarray | None]:
        """Report, proposal to write or None, and its image."""
        name = item["image"]
        exact = self._path(item, "segmentation")
        if exact and self.only_missing:
            return ImageReport(name, "kept", "has an exact mask"), None, None
        if not has_key(item, "detection"):
            return ImageReport(name, "unmarked", "has no inner regions"), None, None
        path = self._path(item, "image")
        if file_suffix(path) in VOLUME_SUFFIXES:
            raise ProposalError(f"image '{path}' is a volume: GrabCut takes pictures, so save its slices as such.")
        image, detection = read_image(path), self._label(item, "detection", path)
        separation = self._label(item, "separation", path) if has_key(item, "separation") else None
        top = int(detection[detection != IGNORE].max(initial=0))
        if top > len(self.classes):
            raise ProposalError(
                f"label '{self._path(item, 'detection')}' holds class {top}, but '{self.file}' names {len(self.classes)} "
                "classes: correct either."
            )
        if not is_marked(detection).any():
            return ImageReport(name, "unmarked", "its inner regions are empty"), None, None
        started = time.perf_counter()
        proposal = _proposed(path, image, detection, separation, self.settings)
        status, reason = proposal.status, proposal.reason
        windows, lost = len(proposal.clusters), sum(bool(cluster.failure) for cluster in proposal.clusters)
        if status == "failed" and self.failed == "fallback":
            rule = GrabCutSettings(**{**vars(self.settings), "method": "distance"})
            proposal, status = _proposed(path, image, detection, separation, rule), "fallback"
        seconds = time.perf_counter() - started
        dice, marks_dice = {}, {}
        true = self.truth.of(path, exact, self._path(item, "instances"), len(self.classes))
        if true is not None:
            if true.shape != detection.shape:
                raise ProposalError(f"truth of '{path}' has the shape {true.shape}, the image {detection.shape}: name its own.")
            dice, marks_dice = _dices(proposal.classes, true, self.classes), _dices(detection, true, self.classes)
        shares = {n: float((proposal.classes == k).mean()) for k, n in enumerate(self.classes, 1)}
        report = ImageReport(name, status, reason, seconds, windows, lost, shares, dice, marks_dice)
        return report, proposal.classes if report.written else None, image

    def _path(self, item: Mapping[str, Any], key: str) -> str | None:
        return absolute_path(self.file, item[key]) if has_key(item, key) else None

    def _label(self, item: Mapping[str, Any], key: str, image: str) -> np.ndarray:
        path = self._path(item, key)
        return like_image(read_label(path), path, image)


def _proposed(
    path: str, image: np.ndarray, detection: np.ndarray, separation: np.ndarray | None, settings: GrabCutSettings
) -> Proposal:
    try:
        return propose(image, detection, separation, settings)
    except LazyLabelsError as error:
        raise ProposalError(f"image '{path}': {error}") from error


def _dices(classes: np.ndarray, true: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """2 |A and B| / (|A| + |B|) of each class that the truth holds, over labelled pixels."""
    known, scores = true != IGNORE, {}
    for value, name in enumerate(names, 1):
        a, b = (classes == value) & known, true == value
        if b.any():
            scores[name] = float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))
    return scores


class _Truth:
    """Finds the exact mask of an image by its name."""

    def __init__(self, source: PathLike | None) -> None:
        self.files: dict[str, tuple[Path, bool]] = {}  # by the image's stem: label and whether it holds ids
        self.source = source
        if source is None:
            return
        path = expanded(source)
        listed = datalist_file(path)
        if listed.is_file():
            content = load_datalist(listed)
            for item in (item for section in SECTIONS for item in content.get(section, [])):
                for key in ("segmentation", "instances"):
                    if has_key(item, key):
                        label = Path(absolute_path(listed, item[key]))
                        self.files.setdefault(Path(item["image"]).stem, (label, key == "instances"))
        elif path.is_dir():
            found = [path / kind for kind in ("classes", "segmentation", "masks") if (path / kind).is_dir()] or [path]
            for file in map(Path, find_images(found[0])):
                other, _ = self.files.setdefault(file.stem, (file, found[0].name == "masks"))
                if other is not file:
                    raise ProposalError(f"truth '{file}' and '{other}' share a name: remove one of them.")
        else:
            raise ProposalError(f"truth '{source}' does not exist: name a data set, or a folder of exact masks.")
        if not self.files:
            raise ProposalError(f"truth '{source}' names no exact mask: name a data set, or a folder of exact masks.")

    def of(self, image: str, exact: str | None, instances: str | None, classes: int) -> np.ndarray | None:
        """Class map of an image, or None where the truth is not known."""
        if self.source is not None:
            if Path(image).stem not in self.files:
                raise ProposalError(
                    f"truth '{self.source}' has no mask named '{Path(image).stem}': add it, or leave --truth away."
                )
            label, ids = self.files[Path(image).stem]
        elif exact is not None:
            label, ids = Path(exact), False
        elif instances is not None and classes == 1:
            label, ids = Path(instances), True
        else:
            return None
        true = like_image(read_label(label), label, image)
        if ids and classes > 1:
            raise ProposalError(f"truth '{label}' holds ids, which tell no classes: name a folder of class maps.")
        if ids:
            return (true > 0).astype(np.uint8)
        if true.max(initial=0) > IGNORE or true[true != IGNORE].max(initial=0) > classes:
            raise ProposalError(f"truth '{label}' holds values above the {classes} classes: put masks of ids into masks/.")
        return true


def _names(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """File names without suffix; a stem that occurs twice gets its folder's name or a number in front."""
    stems = [Path(item["image"]).stem for item in items]
    same = Counter(stem.lower() for stem in stems)
    return [stem if same[stem.lower()] == 1 else f"{index:04d}_{stem}" for index, stem in enumerate(stems)]


def _save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def _write_reports(target: Path, reports: Sequence[ImageReport], run: _Run) -> None:
    with open(target / "proposals.csv", "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for r in reports:
            for name in list(r.shares) or [""]:
                numbers = [f"{table[name]:.4f}" if name in table else "" for table in (r.dice, r.marks_dice, r.shares)]
                ends = (r.windows, r.failed_windows, f"{r.seconds:.2f}", r.reason)
                writer.writerow(map(cell, (r.image, r.status, name, *numbers, *ends)))
    content = {"settings": vars(run.settings), "failed": run.failed, "images": [vars(report) for report in reports]}
    (target / _REPORT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_datalist(
    target: Path, out: Path, file: Path, content: Mapping[str, Any], section: str, proposals: Mapping[int, str]
) -> list[str]:
    """Gives what to say about it."""
    made = dict(content)
    for split in SECTIONS:
        if split in content:
            made[split] = [_moved(item, file, out) for item in content[split]]
    for index, name in proposals.items():
        made[section][index].setdefault("segmentation", name)
    made["proposals"] = {"section": section, "made": [made[section][index]["image"] for index in proposals]}
    items = [(Path(item["image"]).stem, item) for split in SECTIONS for item in made.get(split, [])]
    notes = carry_on(out / FILE_NAME, items, made=out / FILE_NAME)
    made[WRITTEN] = digests_of(target)
    (target / FILE_NAME).write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    return notes


def _moved(item: Mapping[str, Any], file: Path, out: Path) -> dict[str, Any]:
    """The item with paths relative to the new folder; keys without a file are left away."""
    moved = {key: value for key, value in item.items() if value is not None}
    for key in ("image", *LABEL_KEYS):
        if key in moved:
            moved[key] = Path(os.path.relpath(absolute_path(file, moved[key]), out)).as_posix()
    return moved
