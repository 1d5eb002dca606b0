"""Images, id maps and annotation files of a folder to build from."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

SHAPE = (40, 56)


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def _image(number):
    return np.random.default_rng(number).integers(0, 255, SHAPE).astype(np.uint8)


def _ids():
    """Two touching objects, and one alone."""
    ids = np.zeros(SHAPE, np.uint16)
    ids[5:20, 5:20], ids[5:20, 20:35], ids[28:36, 8:16] = 1, 2, 9
    return ids


def _masks(folder, names="abcde", kind="masks", label=None):
    for name in names:
        _save(folder / kind / f"{name}.png", _ids() if label is None else label)


def _feature(name, kind, coordinates):
    geometry = {"type": kind, "coordinates": [coordinates] if kind == "Polygon" else coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}


def _square(x, y, width, height):
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]


def _geojson(path, *features):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _draw(folder, *features, names="abcde", kind="annotations"):
    for name in names:
        _geojson(folder / kind / f"{name}.geojson", *features)


def _coco(path, names, **more):
    images = [{"id": i, "file_name": name, "height": SHAPE[0], "width": SHAPE[1], **more} for i, name in enumerate(names)]
    corners = [5, 5, 20, 5, 20, 20, 5, 20]
    objects = [
        {"id": i, "image_id": i, "category_id": 7, "segmentation": [corners], "iscrowd": 0} for i in range(len(names) - 1)
    ]
    categories = [{"id": 7, "name": "cell"}]
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}))
