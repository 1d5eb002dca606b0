"""Which image of a project to draw on next."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lazylabels_monai.interactive.drawing_costs import measured_costs
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.tasks import TASKS

if TYPE_CHECKING:
    from lazylabels_monai.instances import InstanceSettings
    from lazylabels_monai.predicting.model import Model

__all__ = ["next_images"]


def next_images(project: Project, model: Model | None = None, settings: InstanceSettings | None = None) -> list[ImageEntry]:
    """Images to draw on next, the best first.

    Args:
        project: whose images.
        model: a network whose uncertainty ranks them (:mod:`lazylabels_monai.suggest`), which predicts every image four
            times: minutes, for a thread of its own. None: images without labels in their order, then those that have some.
        settings: how objects are separated, to count them.

    Returns:
        images for training that are not finished.
    """
    todo = [entry for entry in project.images if entry.section == "training" and not entry.finished]
    plain = sorted(todo, key=lambda entry: len(entry.drawn))  # stable
    if model is None or not any(entry.drawn != set(TASKS) for entry in plain):
        return plain
    from lazylabels_monai.suggest import suggest

    images = project.folder / "images"
    pool = images if images.is_dir() else Path(glob.escape(str(project.folder))) / "*"
    found = suggest(pool, model, project.folder, costs=measured_costs(project), settings=settings)
    ranks: dict[str, int] = {}
    for one in found.ranked:
        ranks.setdefault(os.path.realpath(one.image), one.rank)
    return sorted(plain, key=lambda entry: ranks.get(os.path.realpath(entry.path), len(found.ranked) + 1))
