"""The one table of tasks: channels in order, whatever tasks are there."""

from __future__ import annotations

from dataclasses import fields
from itertools import combinations

import pytest

from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.tasks import (
    LABELS,
    TASKS,
    class_names,
    num_task_classes,
    present_key,
    task_slices,
    total_channels,
    validate_tasks,
)

SUBSETS = [subset for count in (1, 2, 3) for subset in combinations(TASKS, count)]


@pytest.mark.parametrize("tasks", SUBSETS)
@pytest.mark.parametrize("num_classes", [2, 5])
def test_channels_of_the_tasks_follow_each_other_without_a_gap(tasks, num_classes):
    slices = task_slices(num_classes, tasks[::-1])  # the order they are given in does not matter
    assert list(slices) == [task for task in ("segmentation", "detection", "separation") if task in tasks]
    channels = [channel for found in slices.values() for channel in range(found.start, found.stop)]
    assert channels == list(range(total_channels(num_classes, tasks)))
    for task, found in slices.items():
        assert found.stop - found.start == (2 if task == "separation" else num_classes)
        assert len(class_names(task, [f"c{k}" for k in range(1, num_classes)])) == num_task_classes(task, num_classes)


@pytest.mark.parametrize("tasks", [[], ["segmentation", "segmentation"], ["contours"], ["detection", "contours"]])
def test_tasks_that_are_none(tasks):
    with pytest.raises(ValueError, match="must name each of"):
        validate_tasks(tasks)


def test_one_task_may_be_given_by_its_name():
    assert validate_tasks("detection") == ("detection",)
    with pytest.raises(ValueError, match="'contours' must be one of"):
        num_task_classes("contours", 3)


def test_every_task_has_a_label_with_a_cost_and_a_flag():
    assert tuple(LABELS) == TASKS
    assert {label.cost for label in LABELS.values()} <= {field.name for field in fields(AnnotationCosts)}
    assert len({label.name for label in LABELS.values()}) == len({present_key(task) for task in TASKS}) == 3
