"""Class maps as other programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.evaluation.score import score_predictions
from lazylabels_monai.images.files import read_label

INTERFACE = 3  # the built-in data has two classes


def true_classes(item: dict, interfaces: bool = False) -> np.ndarray:
    classes = read_label(item["segmentation"]).astype(np.uint8)
    return np.where(read_label(item["separation"]) == 1, INTERFACE, classes) if interfaces else classes


def write_maps(folder: Path, data: Path, section: str, change, ending: str = "", interfaces: bool = False) -> Path:
    """The true class maps of a section, changed by ``change(classes, number)``, as another program would write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(read_items(data, section)):
        changed = change(true_classes(item, interfaces), number).astype(np.uint8)
        Image.fromarray(changed).save(folder / f"{Path(item['image']).stem}{ending}.png")
    return folder


def worse(classes: np.ndarray, number: int) -> np.ndarray:
    """Classes moved by a few pixels, with a spot of class 2 and one of background."""
    moved = np.roll(classes, (2 + number, 1), (0, 1))
    moved[5:15, 5:15], moved[30:40, 30:50] = 2, 0
    return moved


def same(classes: np.ndarray, number: int) -> np.ndarray:
    return classes


def masks(item: dict) -> list[np.ndarray]:
    ids = read_label(item["instances"])
    return [ids == index for index in np.unique(ids[ids > 0])]


def message(*arguments, **options) -> str:
    with pytest.raises(LazyLabelsError) as error:
        score_predictions(*arguments, **options)
    return str(error.value)
