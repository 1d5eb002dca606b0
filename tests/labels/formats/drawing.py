"""Marks drawn as pictures, and annotation files written for them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import roifile
import shapely
from PIL import Image

from lazylabels_monai.labels.formats import (
    read_annotations,
)

DATA = Path(__file__).parent / "files"


SHAPE = (60, 83)


def canvas(mark, shape=SHAPE, **options):
    out = np.zeros(shape, bool)
    part, mask = mark.draw(shape, **options)
    out[part] = mask
    return out


def centres(shape=SHAPE):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.points(x, y)


def inside(geometry, shape=SHAPE):
    """Pixels whose centre shapely finds in a geometry of (x, y)."""
    return shapely.contains(geometry, centres(shape))


def assert_is(mask, geometry):
    """The pixels are shapely's; it says nothing of a centre on an edge, which test_annotations.py and ImageJ's masks do."""
    clear = shapely.distance(geometry.boundary, centres(mask.shape)) > 1e-9
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(mask[clear], inside(geometry, mask.shape)[clear])


def masks_of(picture):
    return np.array(Image.open(DATA / picture)).reshape(-1, *SHAPE)


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def only(path):
    (annotation,) = read_annotations(path)
    assert annotation.source == path
    return annotation


def feature(geometry, class_name=None, **properties):
    """As QuPath 0.5 writes an annotation."""
    properties = {"objectType": "annotation", **properties}
    if class_name is not None:
        properties["classification"] = {"name": class_name, "color": [200, 0, 0]}
    return {"type": "Feature", "id": "5b1f", "geometry": geometry, "properties": properties}


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


def roi(points, kind=roifile.ROI_TYPE.POLYGON, name="bubble", **values):
    made = roifile.ImagejRoi.frompoints(points, name=name)
    made.roitype = kind
    for key, value in values.items():
        setattr(made, key, value)
    return made


def _bytes(path, data):
    path.write_bytes(data)
    return path


def coco(annotations, **tables):
    images = [
        {"id": 1, "file_name": "images/left.png", "height": SHAPE[0], "width": SHAPE[1]},
        {"id": 2, "file_name": "right.png", "height": 20, "width": 30},
    ]
    categories = [{"id": 7, "name": "air bubble"}, {"id": 3, "name": "ice crystal"}]
    return {"images": images, "categories": categories, "annotations": annotations, **tables}


def object_(id, segmentation, image=1, category=7, **values):
    return {"id": id, "image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0, **values}


def write_csv(path, columns, rows):
    with open(path, "w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(columns)
        writer.writerows(rows)
    return path


SHAPES = ["index", "shape-type", "vertex-index", "axis-0", "axis-1"]
