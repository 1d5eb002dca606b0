"""A small sound data set, and ways to spoil its datalist."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import (
    SECTIONS,
)

H, W = 72, 97


CLASSES = ["air bubble", "ice crystal"]


def image(seed):
    return np.random.default_rng(seed).integers(0, 256, (H, W), dtype=np.uint8)


def mask(*values):
    label = np.zeros((H, W), np.uint8)
    for i, value in enumerate(values):
        label[i] = value
    return label


class DataSet:
    """A sound data set: four training, one validation, one test image. Tests break one thing each."""

    def __init__(self, root):
        self.root = root
        self.content = {"classes": list(CLASSES), "training": [], "validation": [], "testing": []}
        self.add("training", "a.png", segmentation=mask(1, 2, 255), detection=mask(1, 2, 255), separation=mask(1))
        self.add("training", "b.png", detection=mask(1, 2), separation=mask(0))
        self.add("training", "c.png", separation=mask(1, 255))
        self.add("training", "d.png", detection=mask(255, 1), instances=mask(7, 8))
        self.add("validation", "e.png", segmentation=mask(1, 2))
        self.add("testing", "f.png", segmentation=mask(1), instances=mask(3, 255))

    def write(self, name, array):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".nii.gz"):
            nib.save(nib.Nifti1Image(array, np.eye(4)), path)
        elif name.endswith(".tif"):
            tifffile.imwrite(path, array)
        else:
            Image.fromarray(array).save(path)

    def add(self, section, name, array=None, **labels):
        count = sum(len(self.content[s]) for s in SECTIONS)
        self.write(f"images/{name}", image(count) if array is None else array)
        item = {"image": f"images/{name}"}
        for key, label in labels.items():
            item[key] = f"{key}/{name}"
            self.write(item[key], label)
        self.content[section].append(item)
        return item

    def save(self):
        (self.root / "datalist.json").write_text(json.dumps(self.content))
        return self.root

    def check(self, **kwargs):
        return check_datalist(self.save(), **kwargs)


def one(findings, *parts):
    """The single finding holds all of ``parts`` and is one sentence of one line."""
    assert len(findings) == 1, findings
    for part in parts:
        assert part in findings[0]
    assert "\n" not in findings[0]
    assert findings[0].endswith(".")
    assert not findings[0].endswith("..")


def broken(**changes):
    def change(content):
        content |= changes

    return change


def item(**changes):
    def change(content):
        content["training"][1] |= changes

    return change


def renamed(old, new):
    def change(content):
        content[new] = content.pop(old)

    return change


RGB = np.random.default_rng(1).integers(0, 3, (H, W, 3), dtype=np.uint8)
