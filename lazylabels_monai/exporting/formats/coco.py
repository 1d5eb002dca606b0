"""COCO: one ``objects.json`` for all images, the masks as run lengths, so that they are exact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from lazylabels_monai.exporting.formats.writer import File, Writer
from lazylabels_monai.exporting.objects import ImageObjects
from lazylabels_monai.labels.formats.coco import WRITTEN_HERE

__all__ = ["CocoFile", "run_lengths"]


class CocoFile(Writer):
    """An annotation for each object; categories are the classes, with their values as ids.

    ``iscrowd`` is 0, as each mask is one object: 1 would take it out of COCO's evaluation.
    Source: https://cocodataset.org/#format-data
    """

    NAME = "objects.json"
    _INFO: ClassVar = {"description": WRITTEN_HERE}

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__(class_names)
        self._images: list[dict] = []
        self._annotations: list[dict] = []

    def names(self, images: Sequence[str]) -> list[str]:
        """``objects.json``."""
        return [self.NAME]

    @classmethod
    def made(cls, content: bytes) -> bool:
        """By the first line."""
        return content.startswith(f'{{"info": {json.dumps(cls._INFO)},\n'.encode())

    def image(self, objects: ImageObjects) -> Iterator[File]:
        """Nothing yet: the file is complete at the end."""
        from pycocotools import mask as coco_mask

        height, width = objects.shape
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": objects.file_name, "width": width, "height": height})
        for id, counts in run_lengths(objects.ids).items():
            packed = coco_mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": objects.classes[id],
                    "segmentation": {"size": [height, width], "counts": packed["counts"].decode("ascii")},
                    "area": int(coco_mask.area(packed)),
                    "bbox": coco_mask.toBbox(packed).tolist(),
                    "iscrowd": 0,
                }
            )
        yield from ()

    def end(self) -> Iterator[File]:
        """The file."""
        tables = {
            "info": self._INFO,
            "images": self._images,
            "categories": [{"id": k, "name": name, "supercategory": ""} for k, name in enumerate(self.class_names, start=1)],
            "annotations": self._annotations,
        }
        lines = []
        for key, table in tables.items():
            rows = [json.dumps(row, ensure_ascii=False) for row in (table if isinstance(table, list) else [table])]
            inner = ",\n".join(rows)
            lines.append(f'"{key}": ' + (f"[\n{inner}\n]" if isinstance(table, list) else inner))
        yield self.NAME, ("{" + ",\n".join(lines) + "}\n").encode("utf-8", "replace")


def run_lengths(ids: np.ndarray) -> dict[int, list[int]]:
    """Run lengths of each object of a map, as COCO counts them: down the columns, background first.

    Args:
        ids: (H, W) whole numbers, 0 = no object.

    Returns:
        lengths of the runs, which add up to H * W, by id, ids ascending.

    Example:
        >>> run_lengths(np.array([[0, 5], [5, 5]]))
        {5: [1, 3]}
    """
    flat = np.ascontiguousarray(np.asarray(ids).T).ravel()
    change = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    start, stop = np.r_[0, change][: flat.size], np.r_[change, flat.size][: flat.size]
    owner = flat[start]
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] != 0]
    start, stop, owner = start[order], stop[order], owner[order]
    first = np.r_[True, owner[1:] != owner[:-1]][: len(owner)]
    gap = start - np.where(first, 0, np.r_[0, stop[:-1]][: len(owner)])
    runs = np.stack([gap, stop - start], axis=1).ravel().tolist()
    cuts = np.r_[np.flatnonzero(first), len(owner)]
    made = {}
    for begin, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        rest = flat.size - int(stop[end - 1])
        made[int(owner[begin])] = runs[2 * begin : 2 * end] + ([rest] if rest else [])
    return made
