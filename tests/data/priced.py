"""Labels whose drawing is priced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from lazylabels_monai.data.costs import AnnotationCosts

COSTS = AnnotationCosts(strong=60, inner=6, scribble=3, absent=1, image=0)


def scribble_map(*lines):
    label = np.zeros((60, 60), np.uint8)
    for rows, columns in lines:
        label[rows, columns] = 1
    return label


def priced_set(folder: Path) -> Path:
    """Two training images (one with an exact mask) and one for validation with ids: 4, 2 and 3 objects."""
    items = {"training": [], "validation": []}

    def write(name, array):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(path)
        return name

    def squares(count, inner=0, ids=False):
        label = np.zeros((40, 80), np.uint8)
        for k in range(count):
            label[10 + inner : 25 - inner, 15 * k + inner : 15 * (k + 1) - inner] = k + 1 if ids else 1
        return label

    lines = scribble_map((slice(10, 25), slice(14, 16)), (slice(10, 25), slice(29, 31)))
    first = {"image": "a.png", "segmentation": write("a_s.png", squares(4)), "detection": write("a_d.png", squares(4, 3))}
    second = {"image": "b.png", "detection": write("b_d.png", squares(2, 3)), "separation": write("b_i.png", lines)}
    third = {"image": "c.png", "instances": write("c_n.png", squares(3, ids=True))}
    items["training"], items["validation"] = [first, second], [third]
    (folder / "datalist.json").write_text(json.dumps({"classes": ["cell"], **items}))
    return folder
