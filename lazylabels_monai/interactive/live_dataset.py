"""The images of a training beside a window: those that carry marks by now. See ``configs/interactive.yaml``."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monai.data import CacheDataset
from scipy import ndimage

from lazylabels_monai.data.datalist import LABEL_KEYS, read_items
from lazylabels_monai.errors import LazyLabelsError, user_error
from lazylabels_monai.images.axes import like_image
from lazylabels_monai.images.files import read_image_and_dims, read_label
from lazylabels_monai.interactive.unmarked import unmarked_images
from lazylabels_monai.tasks import BACKGROUND, IGNORE, num_task_classes, validate_tasks

__all__ = ["HELD_PIXELS", "PER_CALL", "LiveDataset"]

logger = logging.getLogger(__name__)

#: Images without marks that are read at the begin of an epoch, which waits for them.
PER_CALL = 4

#: Pixels of the images without marks in memory, all together; image, labels and weights of crops are eleven bytes each.
HELD_PIXELS = 64_000_000


class LiveDataset(CacheDataset):
    """The images of one split that carry a label by now; empty until :meth:`take_up` is called for the first time.

    Only files that are new or were written again are read.

    Args:
        datalist: the file.
        section: the split.
        tasks: an image counts when it has a label for one of them.
        num_classes: with background; a label with other values is left out.
        transform: MONAI's ``Compose``; what comes before its first random transform is done once.
        unmarked: as many images without any mark are held beside; a few join with each call.
    """

    def __init__(
        self, datalist: str, section: str, tasks: Sequence[str], num_classes: int, transform: Any, unmarked: int = 0
    ) -> None:
        super().__init__([], transform, progress=False)
        self.datalist, self.section, self.num_classes = datalist, section, num_classes
        self.tasks, self.unmarked = validate_tasks(tasks), unmarked
        self.marked = 0
        self.refused: dict[str, str] = {}
        self._signs: dict[str, tuple] = {}
        self._passed_over: dict[str, tuple] = {}

    def take_up(self) -> list[str]:
        """Read what was drawn since the last call.

        An image or a label that cannot be used is left out, and ``refused`` says why; so is a datalist that cannot be read.

        Returns:
            the images that are new or have other labels.
        """
        try:
            items = read_items(self.datalist, self.section, self.tasks, labelled_only=True, may_be_empty=True)
            others = unmarked_images(self.datalist, self.section, self.tasks) if self.unmarked else []
        except LazyLabelsError as error:
            self.refused[self.datalist] = str(error)
            return []
        before = {item["image"]: (item, cached) for item, cached in zip(self.data, self._cache, strict=True)}
        self.refused = {}
        taken, kept, changed = [], [], []
        for item in items:
            name, sign = item["image"], _sign(item)
            if name in before and self._signs.get(name) == sign:
                found = before[name][1]
            else:
                self._signs[name] = sign
                found = self._loaded(item)
                changed += [name] * (found is not None)
            if found is None:
                self._signs.pop(name, None)
            else:
                taken.append(item)
                kept.append(found)
        self.marked = len(taken)
        if taken:
            self._hold(others, before, taken, kept)
        self.data, self._cache, self.cache_num = taken, kept, len(taken)
        return changed

    def regions(self) -> int:
        """How many inner regions are marked on the images."""
        found = 0
        for item in self._cache[: self.marked]:
            marks = np.asarray(item["detection"][0]) if "detection" in item else np.zeros((1, 1))
            found += ndimage.label(marks > BACKGROUND + 1)[1]  # here a zero means "not labelled"
        return found

    def _hold(self, others: Sequence[Mapping[str, Any]], before: Mapping[str, Any], taken: list, kept: list) -> None:
        """Images without marks behind those with some; one that cannot be used is passed over, as nobody asked for it."""
        held, read, pixels = 0, 0, 0
        for item in others:
            name, sign = item["image"], _sign(item)
            if held == self.unmarked:
                break
            if name in before and self._signs.get(name) == sign:
                found = before[name][1]
            elif read == PER_CALL or self._passed_over.get(name) == sign:
                continue
            else:
                read += 1
                self._signs[name], refused = sign, dict(self.refused)
                found = self._loaded(item)
                self.refused = refused
            size = 0 if found is None else int(np.prod(np.shape(found["image"])[1:]))
            if found is None or pixels + size > HELD_PIXELS:
                self._passed_over[name] = sign
                continue
            held, pixels = held + 1, pixels + size
            taken.append(item)
            kept.append(found)

    def _loaded(self, item: Mapping[str, Any]) -> Any:
        """The item as far as nothing is random; None where it cannot be used."""
        self.data = [item]
        try:
            self._require_fitting(item)
            return self._load_cache_item(0)
        except Exception as error:  # one image must not end the training
            found = user_error(error)
            if found is None:
                logger.exception(f"image {item['image']} could not be taken up")
            self.refused[item["image"]] = str(found or f"image '{item['image']}' cannot be used ({error}).")
            return None

    def _require_fitting(self, item: Mapping[str, Any]) -> None:
        image, dims = read_image_and_dims(item["image"])
        for task in self.tasks:
            if item.get(task) is None:
                continue
            label = like_image(read_label(item[task]), item[task], item["image"])
            if label.shape != image.shape[:dims]:
                raise LazyLabelsError(f"label '{item[task]}' has another size than its image: save it at the image's size.")
            top = num_task_classes(task, self.num_classes) - 1
            if ((label < 0) | (label > top) & (label != IGNORE)).any():
                raise LazyLabelsError(f"label '{item[task]}' holds values other than 0 to {top} and {IGNORE}: correct it.")


def _sign(item: Mapping[str, Any]) -> tuple:
    """Another one whenever a file of the item was written again."""
    found = []
    for key in ("image", *LABEL_KEYS):
        if item.get(key) is not None:
            try:
                stat = os.stat(item[key])
            except OSError:
                found.append((key, item[key]))
            else:
                found.append((key, item[key], stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(found)
