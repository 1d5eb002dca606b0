"""The check of a data set, from its datalist to what is drawn in its files."""

from __future__ import annotations

from collections.abc import Sequence

from lazylabels_monai.data.checking.findings import ERROR, CheckReport, Finding
from lazylabels_monai.data.checking.items import read_entries
from lazylabels_monai.data.checking.whole import (
    channel_warnings,
    class_warnings,
    config_errors,
    coverage_warnings,
    duplicates,
    marks_as_unlabelled,
    misplaced_marks,
    odd_images,
    odd_labels,
    odd_scales,
)
from lazylabels_monai.data.datalist import SECTIONS, DatalistError, datalist_file, load_datalist, summary_table
from lazylabels_monai.images.files import PathLike
from lazylabels_monai.tasks import TASKS, validate_tasks

__all__ = ["check_datalist"]


def check_datalist(
    path: PathLike,
    sections: Sequence[str] = ("training", "validation"),
    classes: Sequence[str] | None = None,
    tasks: Sequence[str] = TASKS,
    marks: bool = False,
    crop_size: int | None = None,
) -> CheckReport:
    """Check a data set, files included, before the first epoch.

    Every image and label in the datalist is read once. Errors are collected, so that one run shows them all.

    Args:
        path: datalist file or its folder.
        sections: splits that must not be empty; the others are checked where they are there.
        classes: names of the object classes that the configuration is set to; ``None``: not compared.
        tasks: tasks that are to be trained.
        marks: look at what is drawn and compare the images with each other, too. Takes a few times longer, which is why a
            training, which checks each time it starts, leaves it out; each image by itself is judged always.
        crop_size: with ``marks``: images shorter than this are reported, in pixels.

    Returns:
        findings, each a sentence that names the file, the key and the remedy, and the table of labels.

    Raises:
        ValueError: when ``tasks`` or ``sections`` name something that does not exist.
    """
    tasks = validate_tasks(tasks)
    if unknown := [section for section in sections if section not in SECTIONS]:
        raise ValueError(f"sections {unknown} must be among {list(SECTIONS)}.")
    try:
        datalist = load_datalist(path)
    except DatalistError as e:
        return CheckReport.of([Finding(ERROR, "datalist", error) for error in e.errors])
    file = datalist_file(path)
    findings = config_errors(datalist, file, sections, classes) + coverage_warnings(datalist, tasks)
    entries = read_entries(datalist, file, marks, crop_size)
    findings += [finding for entry in entries for finding in entry.findings]
    findings += marks_as_unlabelled(entries, datalist)
    findings += duplicates(entries) + class_warnings(entries, datalist["classes"], tasks) + channel_warnings(entries)
    findings += odd_scales(entries)
    if marks:
        findings += odd_images(entries) + odd_labels(entries, datalist) + misplaced_marks(entries)
    return CheckReport.of(findings, summary_table(datalist))
