"""What the three tasks are: names, channel order, class values, keys. Every other module asks here.

The tasks and the labels a person draws for them are those of Ke et al. 2020, Sec. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BACKGROUND",
    "IGNORE",
    "INTERFACE",
    "LABELS",
    "TASKS",
    "TaskLabel",
    "channel_names",
    "class_names",
    "is_marked",
    "num_task_classes",
    "present_key",
    "require_num_classes",
    "task_slices",
    "total_channels",
    "validate_tasks",
]

#: The tasks in the order of the network's output channels. Segmentation comes first because MONAI Label and
#: MONAI Deploy take the first output for the label list.
TASKS: tuple[str, ...] = ("segmentation", "detection", "separation")


@dataclass(frozen=True)
class TaskLabel:
    """What a person draws for a task.

    Args:
        name: in the plural, in tables and messages.
        cost: its name in :class:`~lazylabels_monai.data.costs.AnnotationCosts`: seconds for each one drawn.
    """

    name: str
    cost: str


#: The label of each task.
LABELS: dict[str, TaskLabel] = {
    "segmentation": TaskLabel("exact masks", "strong"),
    "detection": TaskLabel("inner regions", "inner"),
    "separation": TaskLabel("interface scribbles", "scribble"),
}

#: Value of a label pixel that nobody labelled; it takes part in no loss and in no metric.
IGNORE = 255

#: Class value of everything that is not an object (segmentation, detection) and not an interface (separation).
BACKGROUND = 0

#: Class value of an interface between touching objects in a separation label.
INTERFACE = 1


def validate_tasks(tasks: Sequence[str]) -> tuple[str, ...]:
    """Return ``tasks`` as a tuple in channel order.

    Raises:
        ValueError: when ``tasks`` is empty, has a duplicate or names a task that does not exist.
    """
    if isinstance(tasks, str):
        tasks = (tasks,)
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not tasks or len(set(tasks)) != len(tasks):
        raise ValueError(f"tasks {list(tasks)} must name each of {list(TASKS)} at most once, and at least one of them.")
    return tuple(task for task in TASKS if task in tasks)


def require_num_classes(num_classes: int) -> None:
    """Refuse a number of classes that no label can hold.

    Raises:
        ValueError: when it is not from 2 to 255.
    """
    if not 2 <= num_classes <= IGNORE:
        raise ValueError(f"num_classes {num_classes} must count the background too and be from 2 to {IGNORE}.")


def num_task_classes(task: str, num_classes: int) -> int:
    """Number of classes of one task; ``num_classes`` counts the background and the object classes."""
    if task not in TASKS:
        raise ValueError(f"task '{task}' must be one of {list(TASKS)}.")
    return 2 if task == "separation" else num_classes


def task_slices(num_classes: int, tasks: Sequence[str] = TASKS) -> dict[str, slice]:
    """Channels of each task in the network's output, e.g. ``{"segmentation": slice(0, 3), ...}``."""
    slices, start = {}, 0
    for task in validate_tasks(tasks):
        stop = start + num_task_classes(task, num_classes)
        slices[task] = slice(start, stop)
        start = stop
    return slices


def total_channels(num_classes: int, tasks: Sequence[str] = TASKS) -> int:
    """Number of channels of the network's output."""
    return sum(num_task_classes(task, num_classes) for task in validate_tasks(tasks))


def class_names(task: str, classes: Sequence[str]) -> list[str]:
    """What the values 0, 1, ... of a task's class map stand for; ``classes`` are the names of the object classes."""
    names = ["other", "interface"] if task == "separation" else ["background", *classes]
    return names


def channel_names(classes: Sequence[str], tasks: Sequence[str] = TASKS) -> list[str]:
    """What the channels of a network's answer stand for; ``classes`` are the names of the object classes."""
    return [
        name if task == "segmentation" else f"{task} {name}"
        for task in validate_tasks(tasks)
        for name in class_names(task, classes)
    ]


def present_key(task: str) -> str:
    """Key of the flag (0 or 1) that says whether a sample carries a label for ``task``."""
    return f"{task}_present"


def is_marked(label: Any) -> Any:
    """Where a label, an array or a tensor, says a class: neither background nor unlabelled."""
    return (label != BACKGROUND) & (label != IGNORE)
