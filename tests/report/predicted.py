"""Parts of a prediction, and what a page is searched for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.images.pictures import overlay_contours
from lazylabels_monai.measure.folder import measure_folder

#: Names that HTML, SVG and matplotlib's formulas would each trip over.
CLASSES = ["<b>air</b> & $x_", 'ice "crystal"']


SHAPE = (96, 120)


def soft(classes: np.ndarray, planes: int, sure: float) -> np.ndarray:
    """Probabilities (planes, H, W) that give the class map's own value ``sure``."""
    other = (1 - sure) / (planes - 1)
    return np.where(np.arange(planes)[:, None, None] == classes, sure, other).astype(np.float32)


def write_events(folder: Path, curves: dict[str, list[float]], start: int = 1) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for tag, values in curves.items():
            for epoch, value in enumerate(values, start):
                writer.add_scalar(tag, value, epoch)


def values(text: str) -> set[float]:
    """The unrounded numbers of a page."""
    return {float(value) for value in re.findall(r'<data value="([^"]+)">', text)}


def contains(found: set[float], value: float) -> bool:
    return any(abs(value - other) <= 1e-7 * max(1, abs(value)) for other in found)


def make_prediction(root: Path) -> Path:
    """Images, a prediction of them with everything, the folder of its training; not to be written to."""
    for folder in ("images", "pred", "trained/models", "trained/tensorboard"):
        (root / folder).mkdir(parents=True)
    for k in range(3):
        name, image = f"im{k}", make_image(SHAPE, seed=[4, k])
        out, classes, ids = root / "pred", image["classes"], image["instances"].astype(np.uint16)
        Image.fromarray(image["image"]).save(root / "images" / f"{name}.png")
        Image.fromarray(classes).save(out / f"{name}_pred.png")
        tifffile.imwrite(out / f"{name}_instances.tif", ids)
        Image.fromarray(overlay_contours(image["image"], classes, ids)).save(out / f"{name}_overlay.png")
        # im1 is the least sure, then im0
        for task, planes in (("segmentation", soft(classes, 3, (0.8, 0.6, 0.9)[k])), ("detection", soft(classes, 3, 0.8))):
            tifffile.imwrite(out / f"{name}_{task}_probability.tif", planes)
        tifffile.imwrite(out / f"{name}_separation_probability.tif", soft((ids == 0).astype(int), 2, 0.7))
    images = root / "images"
    measure_folder(root / "pred", root / "pred" / "measured", images=images, pixel_size="0.5um", classes=CLASSES, resamples=200)
    metrics = {
        "images": 3,
        "segmentation": {
            "dice": {CLASSES[0]: 0.8125, CLASSES[1]: 0.75, "mean": 0.78125},
            "dice_pooled": {CLASSES[0]: 0.875, CLASSES[1]: None, "mean": 0.875},
        },
        "separation": {"precision": 0.6875, "recall": 0.9375},
        "objects": {"f1@0.5": 0.5625, "f1@0.5 three maps": 0.5625, "pq three maps": 0.4375, "f1@0.5 components": 0.3125},
    }
    (root / "pred" / "metrics.json").write_text(json.dumps(metrics))
    (root / "pred" / "metrics.csv").write_text("image,dice mean\nimages/im0.png,0.71\nimages/im1.png,0.72\nimages/im2.png,\n")
    (root / "trained" / "models" / "model.pt").write_bytes(b"")
    (root / "trained" / "models" / "classes.json").write_text(json.dumps(CLASSES))
    (root / "trained" / "models" / "network.json").write_text('{"channels": [16, 32], "note": "</pre><script>"}')
    write_events(
        root / "trained" / "tensorboard", {"loss/total": [3, 2, 1], "loss/detection": [2, 1, 0.5], "val_mean_dice": [0.5]}
    )
    return root
