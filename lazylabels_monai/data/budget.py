"""What a data set's labels cost to draw, and what the next hour would buy (:mod:`lazylabels_monai.data.costs`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from lazylabels_monai.data.checking.marks import pieces
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.data.datalist import SECTIONS, absolute_path, aligned, datalist_file, has_key, load_datalist
from lazylabels_monai.errors import LazyLabelsError, in_number
from lazylabels_monai.images.files import PathLike, read_label
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, LABELS, TASKS

__all__ = [
    "Budget",
    "annotation_budget",
    "count_objects",
    "count_scribbles",
    "drawn_labels",
    "duration",
    "format_budget",
]


@dataclass
class _Cost:
    """Counts and seconds of one task's labels in one split."""

    images: int = 0
    objects: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Budget:
    """What :func:`annotation_budget` counted.

    Args:
        costs: seconds that were reckoned with.
        spent: by split and task: ``images`` with this label, ``objects`` drawn in them, ``seconds``.
        density: by task: objects, inner regions or interface scribbles in an average image; None where nothing tells.
        per_image: by task, and under ``"weak"`` (inner regions and interface scribbles): seconds an average image.
        missing: by task: training images that do not have this label.
        ratio: seconds for weak labels of an average image as a share of those for its exact mask; None likewise.
        hours: of work that are left.
        buys: by task, and under ``"weak"``: images of average density that ``hours`` are enough for; None likewise.
        notes: what was assumed, a sentence each.
    """

    costs: AnnotationCosts
    spent: dict[str, dict[str, _Cost]]
    density: dict[str, float | None]
    per_image: dict[str, float | None]
    missing: dict[str, int]
    ratio: float | None
    hours: float
    buys: dict[str, float | None]
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Seconds that all labels cost."""
        return sum(cost.seconds for tasks in self.spent.values() for cost in tasks.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "seconds": self.seconds}


def annotation_budget(data: PathLike, costs: AnnotationCosts | None = None, hours: float = 1.0) -> Budget:
    """What the labels of a data set cost by the cost model, and what further hours would buy.

    Objects of an exact mask are its ids (``instances``) where the item has them, else the connected pieces of each class or
    the image's inner regions, whichever are more, as touching objects are one piece; an item that has ids and a class mask
    pays once. Volumes are drawn plane by plane, so that an object counts in each plane it crosses.

    Args:
        data: datalist file or its folder.
        costs: seconds to reckon with; None: the published ones.
        hours: of work that are left.

    Returns:
        counts and seconds by split and task, averages, and what the hours buy.

    Raises:
        DatalistError: when the datalist cannot be used.
        ReadError: when a label cannot be read.
        LazyLabelsError: when ``hours`` is not a positive number.
    """
    if not 0 < hours < float("inf"):
        raise LazyLabelsError(f"hours {hours} must be a positive number.")
    costs = costs or AnnotationCosts()
    content, file = load_datalist(data), datalist_file(data)
    classes = len(content["classes"])
    items = [(section, item) for section in SECTIONS for item in content.get(section, [])]
    with ThreadPoolExecutor(4) as pool:
        counted = list(pool.map(lambda entry: drawn_labels(entry[1], file, classes), items))
    spent = {section: {task: _Cost() for task in TASKS} for section in SECTIONS if content.get(section)}
    for (section, _), counts in zip(items, counted, strict=True):
        for task, (objects, absent) in counts.items():
            cost = spent[section][task]
            cost.images += 1
            cost.objects += objects
            cost.seconds += costs.seconds(task, objects, absent)
    density, absent = _averages(counted)
    per_image: dict[str, float | None] = {
        task: None if density[task] is None else costs.seconds(task, density[task], absent[task]) for task in TASKS
    }
    weak = [per_image["detection"], per_image["separation"]]
    per_image["weak"] = None if None in weak else sum(weak)
    ratio = (
        per_image["weak"] / per_image["segmentation"] if per_image["weak"] is not None and per_image["segmentation"] else None
    )
    buys = {task: hours * 3600 / value if value else None for task, value in per_image.items()}
    training = [counts for (section, _), counts in zip(items, counted, strict=True) if section == "training"]
    missing = {task: sum(task not in counts for counts in training) for task in TASKS}
    return Budget(costs, spent, density, per_image, missing, ratio, hours, buys, _notes(counted, costs))


def count_objects(label: np.ndarray, ids: bool = False) -> int:
    """Objects or marks in a label: ids, or connected pieces of each class.

    Args:
        label: (H, W), or three axes, of which the last runs over planes that are counted one by one.
        ids: the values are object ids.
    """
    if label.ndim == 3:
        return sum(count_objects(plane, ids) for plane in np.moveaxis(label, -1, 0))
    if ids:
        return int(np.count_nonzero(np.unique(label)))
    return len(pieces(label)[1]) - 1


def count_scribbles(label: np.ndarray) -> int:
    """Strokes in a separation label: a network of interfaces is cut where more than two strokes meet.

    Args:
        label: (H, W), or three axes as for :func:`count_objects`; 1 is an interface.

    Returns:
        number of strokes; those of up to 2 pixels that such a cut leaves do not count.
    """
    if label.ndim == 3:
        return sum(count_scribbles(plane) for plane in np.moveaxis(label, -1, 0))
    drawn = label == INTERFACE
    if not drawn.any():
        return 0
    from skimage.morphology import skeletonize

    line = skeletonize(drawn)
    around = ndimage.convolve(line.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant")
    crossing = line & (around > 3)
    everywhere = np.ones((3, 3))
    whole, count = ndimage.label(line, everywhere)
    parts, part_count = ndimage.label(line & ~ndimage.binary_dilation(crossing, everywhere), everywhere)
    sizes = np.bincount(parts.ravel(), minlength=part_count + 1)[1:]
    # Every piece of the network counts at least once, however short its strokes.
    owner = ndimage.maximum(whole, parts, np.arange(1, part_count + 1)).astype(int) if part_count else np.zeros(0, int)
    strokes = np.bincount(owner[sizes > 2], minlength=count + 1)[1:]
    return int(np.maximum(strokes, 1).sum())


def drawn_labels(item: Mapping[str, Any], file: Path, classes: int) -> dict[str, tuple[int, int]]:
    """What was drawn of an item's labels.

    Args:
        item: of the datalist.
        file: the datalist.
        classes: number of object classes.

    Returns:
        by task, for each that the item has a label for (ids count as an exact mask): the objects drawn (inner regions,
        interface scribbles), and the classes that are not there.
    """
    counts = {}
    labels = {
        key: read_label(absolute_path(file, item[key]))
        for key in ("segmentation", "instances", "detection", "separation")
        if has_key(item, key)
    }
    if "segmentation" in labels or "instances" in labels:
        mask, ids = labels.get("segmentation"), labels.get("instances")
        if ids is not None:
            objects = count_objects(ids, ids=True)
        else:
            objects = max(count_objects(labels[key]) for key in ("segmentation", "detection") if key in labels)
        counts["segmentation"] = (objects, _absent(ids if mask is None else mask, classes, ids=mask is None))
    if "detection" in labels:
        counts["detection"] = (count_objects(labels["detection"]), _absent(labels["detection"], classes))
    if "separation" in labels:
        strokes = count_scribbles(labels["separation"])
        counts["separation"] = (strokes, int(strokes == 0))
    return counts


def _absent(label: np.ndarray, classes: int, ids: bool = False) -> int:
    shown = np.setdiff1d(label, (BACKGROUND,) if ids else (BACKGROUND, IGNORE)).size
    # Ids do not tell classes apart: one class at least, as far as anything is there.
    return max(classes - (min(shown, 1) if ids else shown), 0)


def _averages(counted: Sequence[Mapping[str, tuple[int, int]]]) -> tuple[dict[str, float | None], dict[str, float]]:
    """Objects (scribbles) and absent classes in an average image; masks and marks have the same objects to draw."""
    objects = [counts.get("segmentation", counts.get("detection")) for counts in counted]
    density: dict[str, float | None] = {}
    absent = {}
    for task in TASKS:
        known = [counts.get(task) for counts in counted] if task == "separation" else objects
        found = [count for count in known if count is not None]
        density[task] = float(np.mean([n for n, _ in found])) if found else None
        absent[task] = float(np.mean([a for _, a in found])) if found else 0.0
    return density, absent


def _notes(counted: Sequence[Mapping[str, tuple[int, int]]], costs: AnnotationCosts) -> list[str]:
    notes = [
        f"seconds: {costs.strong:g} for the outline of an object, {costs.inner:g} for an inner region, {costs.scribble:g} for "
        f"an interface scribble, {costs.absent:g} for a class that is not there, {costs.image:g} for each label of an image; "
        "set them to your own with --cost.",
        "objects are counted in the label files: ids, else pieces of the mask or inner regions, whichever are more; what "
        "touches in a mask without ids and inner regions counts as one.",
    ]
    has = {task: any(task in counts for counts in counted) for task in TASKS}
    if not has["separation"]:
        notes.append(
            "no image has interface scribbles: how many interfaces an image has is not known, so weak labels are not priced."
        )
    if has["detection"] and not has["segmentation"]:
        notes.append("no image has an exact mask: an image is taken to have as many objects as inner regions.")
    if has["segmentation"] and not has["detection"]:
        notes.append("no image has inner regions: an image is taken to get one for each object of the exact masks.")
    return notes


def format_budget(budget: Budget) -> str:
    """The budget as a table and a few sentences for people."""
    rows = [["", *(label.name for label in LABELS.values()), "time"]]
    for section, tasks in budget.spent.items():
        cells = [_cell(tasks[task]) for task in TASKS]
        rows.append([section, *cells, duration(sum(cost.seconds for cost in tasks.values()))])
    if len(budget.spent) > 1:
        sums = []
        for task in TASKS:
            costs = [tasks[task] for tasks in budget.spent.values()]
            sums.append(_cell(_Cost(*(sum(getattr(c, f.name) for c in costs) for f in fields(_Cost)))))
        rows.append(["total", *sums, duration(budget.seconds)])
    lines = ["Time to draw the labels, for how many images (how many outlines, regions, scribbles):", *aligned(rows)]
    lines += ["", *_prices(budget), "", *(f"note: {note}" for note in budget.notes)]
    return "\n".join(lines)


def _prices(budget: Budget) -> list[str]:
    names = {task: label.name for task, label in LABELS.items()}
    names["weak"] = f"{names['detection']} and {names['separation']}"
    lines = [f"An average image of this data set, and what {budget.hours:g} h more would buy:"]
    for task, name in names.items():
        if budget.per_image[task] is None:
            continue
        many = budget.buys[task]
        left = budget.missing.get(task, 0)
        lacking = in_number(left, "; {left} training image[ has|s have] none", left=left) if left else ""
        density = f"{budget.density[task]:.0f} to draw, " if task in budget.density else ""
        bought = "any number of images" if many is None else f"{many:.1f} images"
        lines.append(f"  {name}: {density}{duration(budget.per_image[task])}; buys {bought}{lacking}")
    if budget.ratio:
        verdict = "at most" if budget.ratio <= 1 / 6 else "more than"
        share = f"1/{1 / budget.ratio:.1f}"
        lines.append(f"Weak labels of an image cost {share} of its exact mask: {verdict} the sixth that the paper claims.")
    return lines


def _cell(cost: _Cost) -> str:
    return f"{duration(cost.seconds)} for {cost.images} ({cost.objects})" if cost.images else "-"


def duration(seconds: float) -> str:
    """A time for people: ``42 s``, ``13 min`` or ``5.2 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
