#!/usr/bin/env python
"""Which objects each way from maps to objects finds: a picture of single images beside the truth.

    python tools/objects_picture.py data/synthetic objects.png --images 2 8 --weights multi=A/model.pt unet=B/model.pt

Each row is an image, each column a network and a way to objects, with the settings that `tune` left beside the weights. Blue
outlines: objects that match a true one at an IoU of 0.5; orange: objects that match none; in the column of the truth, orange
are those that no way finds. The title counts the found, the wrong and the missed objects.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from skimage.segmentation import find_boundaries

from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.images.pictures import to_uint8_rgb
from lazylabels_monai.instances import ROUTES, separate_objects
from lazylabels_monai.metrics.matching import match_overlaps, object_overlaps
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import trained_settings

FOUND, WRONG = (0, 114, 178), (230, 159, 0)


def outlined(image: np.ndarray, ids: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The image (H, W[, C]) as (H, W, 3) uint8 with the outlines of the ids (H, W), those in ``found`` in another colour."""
    picture = to_uint8_rgb(image)
    edges = find_boundaries(ids, mode="inner") & (ids > 0)
    picture[edges] = np.where(np.isin(ids, found)[edges][:, None], FOUND, WRONG)
    return picture


def panels(models: dict[str, Model], weights: dict[str, Path], item: dict) -> list[tuple[str, np.ndarray]]:
    """Titles and pictures of one row."""
    image, truth = read_image(item["image"]), read_label(item["instances"])
    row, ever_found = [], set()
    for name, model in models.items():
        maps = model.probabilities(item["image"])
        classes = maps["segmentation"].argmax(0).astype(np.uint8)
        for route in ROUTES if set(TASKS) <= set(maps) else ROUTES[1:]:
            ids = separate_objects(
                classes, maps.get("detection"), maps.get("separation"), trained_settings(weights[name], route)
            )
            overlaps = object_overlaps(ids, truth)
            pairs = match_overlaps(overlaps, 0.5)
            found, matched = overlaps.predicted_ids[overlaps.rows[pairs]], overlaps.truth_ids[overlaps.columns[pairs]]
            ever_found.update(matched.tolist())
            wrong, missed = len(overlaps.predicted_ids) - len(found), len(overlaps.truth_ids) - len(found)
            row.append((f"{name}, {route}\n{len(found)} found, {wrong} wrong, {missed} missed", outlined(image, ids, found)))
    count = len(np.unique(truth[truth > 0]))
    return [(f"truth, {count} objects", outlined(image, truth, np.array(sorted(ever_found), np.int64))), *row]


def main() -> None:
    """Read the command line and write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="data set whose items carry instances")
    parser.add_argument("out", type=Path, help="picture to write")
    parser.add_argument("--weights", nargs="+", required=True, metavar="NAME=PATH", help="networks to compare")
    parser.add_argument("--images", nargs="+", type=int, default=[0, 1], help="positions in the section")
    parser.add_argument("--section", default="testing")
    given = parser.parse_args()
    weights = {name: Path(path) for name, _, path in (text.partition("=") for text in given.weights)}
    models = {name: Model(path) for name, path in weights.items()}
    items = read_items(given.data, given.section)
    rows = [panels(models, weights, items[index]) for index in given.images]
    heights = [row[0][1].shape[0] / row[0][1].shape[1] for row in rows]
    figure, axes = plt.subplots(
        len(rows),
        len(rows[0]),
        figsize=(4 * len(rows[0]), 4.2 * sum(heights) + 0.6 * len(rows)),
        height_ratios=heights,
        squeeze=False,
    )
    for line, row in zip(axes, rows, strict=True):
        for axis, (title, picture) in zip(line, row, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set_title(title, fontsize=10)
            axis.axis("off")
    figure.tight_layout()
    figure.savefig(given.out, dpi=110)
    print(given.out)


if __name__ == "__main__":
    main()
