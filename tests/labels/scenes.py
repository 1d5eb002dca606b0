"""Drawn images of discs with their marks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def discs(shape, centres, radius):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.any([(rows - y) ** 2 + (columns - x) ** 2 <= radius**2 for y, x in centres], axis=0)


def scene(shape=(120, 180), gray=(60, 150, 220), noise=8, seed=0):
    """Discs of two classes on a matrix: image, class map and inner regions that are off to one side."""
    classes = np.zeros(shape, np.uint8)
    classes[discs(shape, [(30, 35), (32, 95), (85, 50)], 19)] = 1
    classes[discs(shape, [(85, 110), (40, 150)], 19)] = 2
    image = np.array(gray)[classes] + np.random.default_rng(seed).normal(0, noise, shape)
    shifted = np.where(ndimage.binary_erosion(classes > 0, iterations=6), classes, 0)
    detection = np.where(classes == np.roll(shifted, 3, axis=1), np.roll(shifted, 3, axis=1), 0)
    return image.clip(0, 255).astype(np.uint8), classes, detection.astype(np.uint8)


def marked_set(root: Path) -> Path:
    """Four training images: easy, flat (GrabCut fails), with an exact mask, without marks."""
    for name in ("images", "detection", "segmentation", "truth"):
        (root / name).mkdir(parents=True)
    items = []
    for name in ("easy", "flat", "strong", "bare"):
        image, classes, detection = scene(seed=len(name))
        Image.fromarray(image if name != "flat" else np.full_like(image, 99)).save(root / f"images/{name}.png")
        Image.fromarray(classes).save(root / f"truth/{name}.png")
        item = {"image": f"images/{name}.png", "id": name}
        if name != "bare":
            Image.fromarray(detection).save(root / f"detection/{name}.png")
            item["detection"] = f"detection/{name}.png"
        if name == "strong":
            Image.fromarray(classes).save(root / "segmentation/strong.png")
            item["segmentation"] = "segmentation/strong.png"
        items.append(item)
    content = {"classes": ["a", "b"], "training": items, "validation": [dict(items[2])], "note": "mine"}
    (root / "datalist.json").write_text(json.dumps(content))
    return root
