"""How often sound labels are questioned: the id maps and class maps of the public sets and of built-in images.

LAZYLABELS_DATA=FOLDER python tools/label_alarms.py

Every map is judged as what it is, all of a set together and each alone, and then, together, as what it is not, which should be
noticed. FOLDER holds the sets as docs/public-sets.md names them. Prints a table in Markdown.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lazylabels_monai.data.checking.marks import CORNER_IMAGES, all_in_the_corner, mark_extent
from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.images.files import read_label
from lazylabels_monai.labels.plausible import Look, look_at, suspect_classes, suspect_ids

#: By set, where object ids lie and where classes do.
IDS = dict.fromkeys(("emps", "glas", "nuclei_fluo", "powder"), ("*/masks/*.png",))
IDS["human_lazy"] = ("bbbc007/sparse/*.png", "misc/*sparse_annotation.png")
CLASSES = {
    "superalloy": ("*/classes/*.png",),
    "human_lazy": ("misc/*scribble_annotation.png", "misc/*merge_annotation.png"),
}
#: Seeds of the built-in images.
SEEDS = range(60)


def row(name: str, ids: Iterable[np.ndarray], classes: Iterable[np.ndarray]) -> str:
    """A row of the table."""
    ids, classes = [look_at(label) for label in ids], [look_at(label) for label in classes]
    alarms = len(suspect_ids(ids)) + len(judged(classes))
    alarms += sum(len(suspect_ids([look])) for look in ids) + sum(len(judged([look])) for look in classes)
    noticed = len(suspect_classes(ids, named=False)) + len(suspect_ids(classes))
    return f"| {name} | {len(ids) or ''} | {len(classes) or ''} | {alarms} | {noticed} |"


def judged(classes: list[Look]) -> list:
    """Suspicions of class maps whose classes somebody named, as a data set does."""
    return suspect_classes(classes, named=True)


def main() -> None:
    """Print the table."""
    root = Path(os.environ["LAZYLABELS_DATA"])
    print("| set | id maps | class maps | alarms | noticed under the other name |\n|---|---|---|---|---|")
    for name in ("superalloy", *IDS):
        maps = [
            [read_label(file) for pattern in kinds.get(name, ()) for file in sorted((root / name).glob(pattern))]
            for kinds in (IDS, CLASSES)
        ]
        print(row(name, *maps), flush=True)
    made = [make_image(seed=seed) for seed in SEEDS]
    print(row("built-in images", (m["instances"] for m in made), (m["classes"] for m in made)), flush=True)
    print("\n| set | images with all objects in the first quarter | runs of three that are questioned |\n|---|---|---|")
    for name in ("superalloy", *IDS):
        patterns = (*IDS.get(name, ()), *CLASSES.get(name, ()))
        files = [file for pattern in patterns for file in sorted((root / name).glob(pattern))]
        print(corner_row(name, (read_label(file) for file in files)), flush=True)
    print(corner_row("built-in images", (m["instances"] for m in made)), flush=True)


def corner_row(name: str, labels: Iterable[np.ndarray]) -> str:
    """A row of the second table: labels as ids, each image alone and each three that follow each other."""
    found = [extent for label in labels if (extent := mark_extent({"instances": label})) is not None]
    alone = sum(reach <= 0.5 for reach, _ in found)
    questioned = sum(all_in_the_corner(found[first : first + CORNER_IMAGES]) for first in range(len(found) - 2))
    return f"| {name} | {alone} of {len(found)} | {questioned} |"


if __name__ == "__main__":
    main()
