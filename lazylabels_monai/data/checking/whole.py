"""Findings about a data set as a whole: its splits, its classes, and images that do not go together."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.data.checking.findings import ERROR, WARNING, Fault, Finding
from lazylabels_monai.data.checking.images import odd_contrasts, odd_diameters, odd_pixel_sizes
from lazylabels_monai.data.checking.items import Entry
from lazylabels_monai.data.checking.marks import all_in_the_corner
from lazylabels_monai.data.choosing import BY_LOSS, BY_NOTHING, judged_by
from lazylabels_monai.data.datalist import LABEL_KEYS, has_key
from lazylabels_monai.errors import some
from lazylabels_monai.labels.plausible import suspect_classes, suspect_ids
from lazylabels_monai.option_text import quoted
from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS

__all__ = [
    "channel_warnings",
    "class_warnings",
    "config_errors",
    "coverage_warnings",
    "duplicates",
    "marks_as_unlabelled",
    "misplaced_marks",
    "odd_images",
    "odd_labels",
    "odd_scales",
]

#: A label of which more is not labelled is one that somebody began, not a picture of 0 and 255.
_MOST_UNLABELLED = 0.5


def config_errors(
    datalist: dict[str, Any], file: Path, sections: Sequence[str], classes: Sequence[str] | None
) -> list[Finding]:
    """What makes training impossible whatever the files hold: splits, classes, images without any label."""
    found = []
    if classes is not None and list(classes) != datalist["classes"]:
        message = (
            f"\"classes\" of '{file}' are {datalist['classes']} but the configuration says {list(classes)}: "
            f"pass --classes {quoted(str(datalist['classes']))} or correct the file."
        )
        found.append(Finding(ERROR, "classes-differ", message))
    for section in sections:
        if section == "validation" and "training" in sections:
            continue  # a training does without; see coverage_warnings
        if not datalist.get(section):
            message = f"\"{section}\" of '{file}' lists no image: add items, or move some from another split."
            found.append(Finding(ERROR, "split-empty", message, section))
    for i, item in enumerate(datalist.get("training", [])):
        if not any(has_key(item, task) for task in TASKS):
            message = (
                f"training[{i}] \"image\": '{item['image']}' has no label at all and teaches nothing: "
                f"add one under {', '.join(TASKS)}, or remove the item."
            )
            image = item["image"]
            found.append(Finding(ERROR, "image-without-label", message, "training", i, "image", image, image))
    return found


def coverage_warnings(datalist: dict[str, Any], tasks: Sequence[str]) -> list[Finding]:
    """Tasks that nothing teaches, images that teach or judge nothing, and what chooses the best model without a mask."""
    found = []
    training, validation = datalist.get("training", []), datalist.get("validation", [])
    if training and (by := judged_by(validation, tasks)) == BY_NOTHING:
        what = "has no label for the tasks" if validation else "lists no image"
        message = (
            f'"validation" {what}, so that model.pt will hold the weights of the last epoch, be they the best or not: '
            "add an image with an exact mask there."
        )
        found.append(Finding(WARNING, "split-empty", message, "validation"))
    elif training and by == BY_LOSS:
        message = (
            '"validation" has no "segmentation" mask, so that model.pt will hold the weights with the lowest loss on the marks '
            "there (val_loss), not those with the best Dice: draw the exact mask of one validation image or more."
        )
        found.append(Finding(WARNING, "validation-without-mask", message, "validation"))
    for task in tasks:
        if training and not any(has_key(item, task) for item in training):
            message = (
                f'0 of {len(training)} training images carry "{task}", so that this task learns nothing: '
                f'add labels under "{task}" or leave it out of tasks.'
            )
            if task == "segmentation" and any(has_key(item, "detection") for item in training):
                message = (
                    f'0 of {len(training)} training images carry "segmentation", so that this task learns from inner regions '
                    "alone and nothing about where objects end: draw the exact mask of an image or two."
                )
            found.append(Finding(WARNING, "task-without-label", message, "training", key=task))
    idle = sum(any(has_key(i, t) for t in TASKS) and not any(has_key(i, t) for t in tasks) for i in training)
    if idle:
        message = (
            f"{idle} of {len(training)} training images carry no label for {' or '.join(tasks)} and teach nothing "
            "here: read the items with labelled_only=True."
        )
        found.append(Finding(WARNING, "images-idle", message, "training"))
    for i, item in enumerate(validation):
        if not any(has_key(item, key) for key in LABEL_KEYS):
            message = (
                f"validation[{i}] \"image\": '{item['image']}' has no label and is judged by nothing: "
                "add a label, or remove the item."
            )
            image = item["image"]
            found.append(Finding(WARNING, "image-without-label", message, "validation", i, "image", image, image))
    return found


def duplicates(entries: Sequence[Entry]) -> list[Finding]:
    """The same image twice: an error by file or over splits, a warning by content within one split."""
    found: list[Finding] = []
    by_file: dict[str, Entry] = {}
    by_digest: dict[str, Entry] = {}
    labels: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        here, name = entry.where("image"), entry.item["image"]
        real = os.path.realpath(entry.path("image"))
        if first := by_file.get(real):
            where = "twice" if first.section == entry.section else "in two splits"
            message = f"{here}: '{name}' is listed {where}, also as {first.where('image')}: remove one of them."
            found.append(entry.finding(ERROR, "image-listed-twice", "image", message))
            continue
        by_file[real] = entry
        if entry.digest and (first := by_digest.get(entry.digest)):
            text = f"{here}: '{name}' has the same pixels as '{first.item['image']}' ({first.where('image')})"
            if first.section == entry.section:
                level, text = WARNING, f"{text}: remove one of them if that is not meant."
            else:
                level, text = ERROR, f"{text}, so that the splits overlap: remove one of them."
            found.append(entry.finding(level, "same-pixels", "image", text))
        elif entry.digest:
            by_digest[entry.digest] = entry
        for key in LABEL_KEYS:
            if not has_key(entry.item, key):
                continue
            first = labels.setdefault((key, os.path.realpath(entry.path(key))), entry)
            if first is not entry:
                message = (
                    f"{entry.where(key)}: file '{entry.item[key]}' also labels '{first.item['image']}' "
                    f"({first.where(key)}): give each image its own label."
                )
                found.append(entry.finding(WARNING, "label-shared", key, message))
    return found


def marks_as_unlabelled(entries: Sequence[Entry], datalist: dict[str, Any]) -> list[Finding]:
    """Inner regions or scribbles saved as 255, like a binary picture: an error where a split has no others of the task.

    Not where 255 stands beside marks, covers most of an image, or lies in the exact mask, too: there it is what it is here, not
    labelled. Nor where none of the scribbles of a simulation was drawn.
    """
    found: list[Finding] = []
    simulated = datalist.get("simulation")
    none_drawn = isinstance(simulated, dict) and simulated.get("interface_share") == 0
    for key, remedy in (("detection", "inner regions with their class, such as 1"), ("separation", "scribbles with 1")):
        labels = {id(e): set(e.values[key].tolist()) for e in entries if key in e.values}
        if any(IGNORE in values and values - {BACKGROUND, IGNORE} for values in labels.values()):
            continue
        if key == "separation" and none_drawn:
            continue
        for entry in entries:
            if labels.get(id(entry)) != {BACKGROUND, IGNORE} or entry.unlabelled[key] >= _MOST_UNLABELLED:
                continue
            if IGNORE in entry.values.get("segmentation", ()):
                continue
            own = [labels[id(e)] for e in entries if e.section == entry.section and id(e) in labels]
            level = WARNING if any(values - {BACKGROUND, IGNORE} for values in own) else ERROR
            message = (
                f"{entry.where(key)}: file '{entry.item[key]}' has only 0 and {IGNORE}, and {IGNORE} means not labelled: "
                f"save {remedy}, or remove the key if there are none."
            )
            found.append(entry.finding(level, "mask-empty", key, message))
    return found


def class_warnings(entries: Sequence[Entry], classes: Sequence[str], tasks: Sequence[str] = TASKS) -> list[Finding]:
    """Classes that no label of a split shows: they cannot be learnt, or not be judged."""
    found = []
    told: set[int] = set()
    for section, keys, consequence in (
        ("training", ("segmentation", "detection"), "cannot be learnt"),
        ("training", ("detection",), "is not learnt from inner regions"),  # whatever exact masks show
        ("validation", ("segmentation",), "is not judged"),
    ):
        if keys == ("detection",) and "detection" not in tasks:
            continue
        labels = [e.values[k] for e in entries if e.section == section for k in keys if k in e.values]
        seen = set(np.unique(np.concatenate(labels)).tolist()) if labels else set(range(len(classes) + 1))
        for i, name in enumerate(classes, 1):
            if i not in seen and not (keys == ("detection",) and i in told):
                told.add(i)
                message = (
                    f'class {i} "{name}" occurs in no "{section}" label under {" or ".join(keys)} and {consequence}: '
                    'label some or take it out of "classes".'
                )
                found.append(Finding(WARNING, "class-without-label", message, section))
    return found


def channel_warnings(entries: Sequence[Entry]) -> list[Finding]:
    """Gray and colour images, or pictures and volumes, in one data set."""
    kinds = defaultdict(list)
    for entry in entries:
        if entry.shape is not None:
            kinds[(len(entry.shape), entry.channels)].append(entry)
    if len(kinds) < 2:
        return []
    shown = ", ".join(
        f"{len(found)} with {dims} axes and {channels} channels (such as '{found[0].item['image']}')"
        for (dims, channels), found in sorted(kinds.items())
    )
    message = f'the files under "image" differ in kind, {shown}: convert them to one kind.'
    return [Finding(WARNING, "image-kinds-differ", message, key="image")]


def odd_scales(entries: Sequence[Entry]) -> list[Finding]:
    """Images whose ``pixel_size`` is far from the usual one."""
    return _findings(entries, odd_pixel_sizes([entry.item.get("pixel_size") for entry in entries]))


def odd_images(entries: Sequence[Entry]) -> list[Finding]:
    """Images with inverted contrast or objects of quite another size than the others; read with ``marks``."""
    return [
        *_findings(entries, odd_contrasts([entry.contrast for entry in entries])),
        *_findings(entries, odd_diameters([entry.diameter for entry in entries])),
    ]


def odd_labels(entries: Sequence[Entry], datalist: dict[str, Any]) -> list[Finding]:
    """Labels that are hardly what their key says, as :mod:`~lazylabels_monai.labels.plausible` judges; read with ``marks``.

    What the user answered when the data set was built is not asked again.
    """
    said = datalist.get("build")
    said = said if isinstance(said, dict) else {}
    settled = {"classes-background"} if said.get("names") else set()
    settled |= {"ids-outlines"} if said.get("ids") == "values" else set()
    named = not all(re.fullmatch(r"object\d*", name) for name in datalist["classes"])
    found: list[Finding] = []
    for key in ("segmentation", "detection", "instances"):
        seen = [entry for entry in entries if key in entry.looks]
        looks = [entry.looks[key] for entry in seen]
        if key == "instances" and said.get("ids") == "values":
            continue
        for suspicion in suspect_ids(looks) if key == "instances" else suspect_classes(looks, named):
            if suspicion.code not in settled and not (key == "detection" and suspicion.code == "ids-outlines"):
                entry = seen[suspicion.index]
                fault = Fault(suspicion.code, key, amount=suspicion.what)
                finding = Finding.of_fault(fault, entry.section, entry.index, entry.item)
                # Where datalist looked at the ids, what is left was drawn: an object of several parts may be meant.
                sure = suspicion.sure and not (key == "instances" and "ids" in said)
                found.append(finding if sure else replace(finding, level=WARNING))
    return found


def misplaced_marks(entries: Sequence[Entry]) -> list[Finding]:
    """Marks of all pictures in the corner of the first pixel; read with ``marks``."""
    marked = [entry for entry in entries if entry.extent is not None and len(entry.shape or ()) == 2]
    if not all_in_the_corner([entry.extent for entry in marked if entry.extent is not None]):
        return []
    shown = some([entry.item["image"] for entry in marked])
    message = (
        f"no mark of the {len(marked)} images with labels ({shown}) lies beyond the upper left quarter: if they were "
        "drawn on smaller pictures, make the data set with those, or export the marks in pixels of these."
    )
    return [Finding(WARNING, "marks-in-corner", message)]


def _findings(entries: Sequence[Entry], faults: dict[int, Fault]) -> list[Finding]:
    return [Finding.of_fault(fault, entries[i].section, entries[i].index, entries[i].item) for i, fault in faults.items()]
