"""Images of a project on which nobody has drawn: a training beside the window is held to what it knew of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lazylabels_monai.data.datalist import SECTIONS, absolute_path, datalist_file, load_datalist, read_items
from lazylabels_monai.interactive.image_files import pictures_of
from lazylabels_monai.interactive.state import read_state
from lazylabels_monai.tasks import present_key

__all__ = ["unmarked_images"]


def unmarked_images(datalist: str, section: str, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Items of a split without a label for any of the tasks, and of the pictures that the datalist does not name.

    Args:
        datalist: the file.
        section: the split; a picture that no datalist names is of the split that was chosen in the window, or for training.
        tasks: of the labels.

    Returns:
        as of :func:`~lazylabels_monai.data.datalist.read_items`, in an order of chance that is the same each time, so that
        the first of them are of all sorts.

    Raises:
        LazyLabelsError: when datalist or ``project.json`` breaks the format.
    """
    flags = {present_key(task): 0 for task in tasks}
    found = [
        {"image": item["image"], **flags}
        for item in read_items(datalist, section, tasks, may_be_empty=True)
        if not any(item[present_key(task)] for task in tasks)
    ]
    file = datalist_file(datalist)
    content, folder = load_datalist(file), file.parent
    named = {os.path.realpath(absolute_path(file, item["image"])) for name in SECTIONS for item in content.get(name, [])}
    states = read_state(folder)
    for name in pictures_of(folder):
        chosen = states[name].section if name in states else None
        if os.path.realpath(folder / name) not in named and (chosen or "training") == section:
            found.append({"image": str(folder / name), **flags})
    found.sort(key=lambda item: item["image"])
    return [found[k] for k in np.random.default_rng(0).permutation(len(found))]
