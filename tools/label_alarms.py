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


if __name__ == "__main__":
    main()
