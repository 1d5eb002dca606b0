"""What a label costs the person at the window to draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from lazylabels_monai.data.budget import drawn_labels
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.images.files import ReadError
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.tasks import LABELS, TASKS

__all__ = ["MIN_TIMED", "measured_costs"]

#: Objects of a task that must have been drawn and timed before a person's own seconds replace the published ones.
MIN_TIMED = 5


def measured_costs(project: Project) -> AnnotationCosts:
    """What a label costs this person to draw: measured seconds by task over what was drawn in them.

    Of a task with fewer than :data:`MIN_TIMED` timed objects the published seconds are taken.

    Args:
        project: whose images were drawn on.
    """
    costs = AnnotationCosts()
    objects, seconds = Counter(), Counter()
    records = project.records
    for entry in [entry for entry in project.images if entry.drawn]:
        spent = records.seconds(entry)
        if not set(spent) & set(TASKS):
            continue
        try:
            drawn = drawn_labels(records.item(entry), records.datalist.file, len(project.classes))
        except ReadError:
            continue
        for task, (count, absent) in drawn.items():
            if task in spent:
                objects[task] += count
                seconds[task] += max(0.0, spent[task] - costs.absent * absent)
    fitted = {LABELS[task].cost: seconds[task] / objects[task] for task in TASKS if objects[task] >= MIN_TIMED}
    return replace(costs, **{name: value for name, value in fitted.items() if value > 0})
