"""A small sound data set, and a case for each finding about marks and images."""

from __future__ import annotations

import json

import nibabel
import numpy as np
from PIL import Image

from lazylabels_monai.data.checking import check_datalist

H, W = 96, 120


#: Corners and classes of the objects of the sound image, 20 x 20 pixels each; the first two touch.
OBJECTS = ((10, 10, 1), (10, 30, 1), (10, 70, 2), (60, 10, 2), (60, 70, 1))


def sound(shift=0, **left_out):
    """Image and labels of five square objects, marked as Ke et al. ask for."""
    labels = {key: np.zeros((H, W), np.uint8) for key in ("segmentation", "detection", "separation", "instances")}
    for number, (y, x, value) in enumerate(OBJECTS, 1):
        y += shift
        labels["segmentation"][y : y + 20, x : x + 20] = value
        labels["instances"][y : y + 20, x : x + 20] = number
        labels["detection"][y + 4 : y + 16, x + 4 : x + 16] = value
    labels["separation"][10 + shift : 30 + shift, 29:32] = 1
    noise = np.random.default_rng(shift).integers(0, 60, (H, W))
    image = (80 + noise + 60 * (labels["segmentation"] > 0)).astype(np.uint8)
    return image, {key: label for key, label in labels.items() if key not in left_out}


class DataSet:
    """Four training images and one for validation; tests break one thing each."""

    def __init__(self, root):
        self.root, self.content = root, {"classes": ["pore", "grain"], "training": [], "validation": []}
        for section, count in (("training", 4), ("validation", 1)):
            for _ in range(count):
                self.add(section)

    def add(self, section, image=None, **changed):
        number = sum(len(self.content[s]) for s in ("training", "validation"))
        made, labels = sound(number)
        item = {"image": self.write(f"images/{number}.png", made if image is None else image)}
        for key, label in {**labels, **changed}.items():
            item[key] = self.write(f"{key}/{number}.png", label)
        self.content[section].append(item)
        return item

    def write(self, name, array):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path)
        return name

    def check(self, **kwargs):
        self.save()
        return check_datalist(self.root, **{"marks": True, **kwargs})

    def save(self):
        (self.root / "datalist.json").write_text(json.dumps(self.content))
        return self.root


def crossed(labels):
    labels["separation"][60:80, 19:21] = 1


def covered(labels):
    labels["separation"][60:80, 10:30] = 1


def spanning(labels):
    labels["detection"][18:22, 14:46] = 1
    labels["separation"][:] = 0


def another_class(labels):
    labels["detection"][64:76, 74:86] = 2


def on_background(labels):
    labels["detection"][85:92, 40:52] = 1


def copied(labels):
    labels["segmentation"][:] = labels["detection"]


def meeting(labels):
    # one object, marked half with one class and half with the other
    labels["detection"][64:76, 80:86] = 2
    labels["segmentation"][60:80, 80:90] = 2


def sticking_out(labels):
    labels["detection"][64:76, 62:86] = 1
    labels["segmentation"][60:80, 66:90] = 1
    labels["instances"][60:80, 66:90] = 5


def forgotten(labels):
    labels["detection"][60:80, 70:90] = 0


def partly(labels):
    labels["detection"][:, 50:] = 0
    labels["detection"][60:] = 0
    labels["detection"][:, 30:] = 0


def sliver(labels):
    labels["segmentation"][70:72, 30:50] = 2


def lone_sliver(labels):
    labels["segmentation"][40:42, 40:70] = 2
    labels["instances"][40:42, 40:70] = 6
    labels["detection"][40:42, 50:60] = 2


def speck(labels):
    labels["segmentation"][90, 100:102] = 1


def another_object(labels):
    labels["segmentation"][40:50, 40:50] = 2
    labels["detection"][42:48, 42:48] = 2


def erased(labels):
    for key in ("segmentation", "detection"):
        labels[key][60:80, 70:90] = 0


MARKS = {
    "object without an id": (another_object, "ids-disagree", "instances", 1, (40, 40)),
    "scribble through a mark": (crossed, "inner-crosses-interface", "detection", 1, (64, 19)),
    "scribble over a mark": (covered, "inner-crosses-interface", "detection", 1, (64, 14)),
    "mark over two objects": (spanning, "inner-spans-objects", "detection", 1, (14, 14)),
    "mark of another class": (another_class, "strong-disagrees-inner", "segmentation", 1, (64, 74)),
    "mark on the background": (on_background, "strong-disagrees-inner", "segmentation", 1, (85, 40)),
    "mask is the marks": (copied, "mask-equals-inner", "segmentation", None, None),
    "marks of two classes meet": (meeting, "inner-meets-class", "detection", 2, (64, 79)),
    "mark sticks out": (sticking_out, "inner-leaves-object", "detection", 1, (64, 62)),
    "forgotten object": (forgotten, "object-without-inner", "detection", 1, (60, 70)),
    "most are not marked": (partly, "partly-marked", "detection", 4, (10, 30)),
    "tail": (sliver, "mask-sliver", "segmentation", 1, (70, 30)),
    "thin object": (lone_sliver, "mask-sliver", "segmentation", 1, (40, 40)),
    "speck": (speck, "mask-speck", "segmentation", 1, (90, 100)),
}


def noise(shape=(H, W), high=200, dtype=np.uint8):
    return np.random.default_rng(9).integers(50, high, shape).astype(dtype)


def hot():
    image = noise(dtype=np.uint16)
    image[3, 4] = 60000
    return image


def clipped():
    image = noise()
    image[40:, :60] = 255
    return image


def barred():
    image = noise()
    image[-14:] = 0
    image[-10:-4, 10:60:3] = 255
    return image


IMAGES = {
    "image-bar": (barred(), "has a data bar, 14 rows with letters along its lower edge: cut it off"),
    "image-constant": (np.full((H, W), 7, np.uint8), f"has {H * W} pixels, all of one value"),
    "image-few-levels": (noise(high=53), "has 3 different values only, like a label"),
    "image-saturated": (clipped(), f"has {56 * 60} pixels at the largest value, which is more than 20 %, first at y=40, x=0"),
    "image-outliers": (hot(), "has 1 pixels so far from the others"),
    "image-tiny": (noise((63, 200)), "has 63 pixels (less than 64) along its shortest side"),
}


def elsewhere(root, number, canonical=False):
    """A volume, its mask of voxels of another size (or of the same ones in the order that most programs show), their item."""
    values = np.random.default_rng(number).normal(40, 5, (9, 8, 7)).astype(np.float32)
    mask = np.zeros(values.shape, np.uint8)
    mask[1:4, 2:6, 1:3] = 1
    values[mask > 0] += 90
    affine = np.array([[-2.0, 0, 0, 9], [0, -1, 0, 4], [0, 0, 2, 0], [0, 0, 0, 1]])
    label = nibabel.Nifti1Image(mask, affine if canonical else affine @ np.diag([1, 2, 1, 1]))
    nibabel.save(nibabel.Nifti1Image(values, affine), root / f"image{number}.nii.gz")
    nibabel.save(nibabel.as_closest_canonical(label) if canonical else label, root / f"label{number}.nii.gz")
    return {"image": f"image{number}.nii.gz", "segmentation": f"label{number}.nii.gz"}


#: Findings about how the files of an item fit together.
FILES = {"label-elsewhere": elsewhere}
