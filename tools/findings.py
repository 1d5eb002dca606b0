#!/usr/bin/env python
"""The pictures of docs/checking.md: each finding on drawn objects, at the left what was found, at the right what is meant.

python tools/findings.py docs/images/findings     # all of them; each is verified: the check finds it at the left alone
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from lazylabels_monai.data.checking.findings import CODES
from lazylabels_monai.data.checking.images import odd_contrasts, odd_diameters, odd_pixel_sizes
from lazylabels_monai.data.checking.marks import mark_faults
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.judging import image_faults
from lazylabels_monai.images.pictures import INTERFACE_COLOUR, class_colour
from lazylabels_monai.images.places import Place, turn_to
from lazylabels_monai.labels.objects import instances_from_classes
from lazylabels_monai.labels.plausible import look_at, suspect_classes, suspect_ids

#: Pixels (H, W) of a picture, and pixels of the figure for each of them.
SIZE, ZOOM = (72, 96), 2
#: Centre, radius and class of the objects; the first two touch.
OBJECTS = ((20, 20, 13, 1), (20, 45, 13, 1), (52, 26, 12, 2), (50, 60, 11, 2), (22, 76, 10, 1))

Labels = dict[str, np.ndarray]
Panel = np.ndarray


def disc(y: float, x: float, radius: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Pixels (H, W) of a disc."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def scene() -> tuple[np.ndarray, Labels]:
    """A gray image (H, W) and sound labels of all kinds."""
    labels = {key: np.zeros(SIZE, np.uint8) for key in ("segmentation", "detection", "separation", "instances")}
    for number, (y, x, radius, value) in enumerate(OBJECTS, 1):
        free = disc(y, x, radius) & (labels["instances"] == 0)
        labels["instances"][free], labels["segmentation"][free] = number, value
        labels["detection"][disc(y, x, 0.6 * radius)] = value
    labels["separation"][12:29, 32:34] = 1
    noise = np.random.default_rng(3).normal(0, 14, SIZE)
    gray = 70 + 70 * (labels["segmentation"] == 1) + 110 * (labels["segmentation"] == 2)
    image = ndimage.gaussian_filter(gray + noise, 0.8).clip(0, 255).astype(np.uint8)
    return image, labels


# ------------------------------------------------------------------------------------------------------------ drawing


def gray_panel(image: np.ndarray) -> Panel:
    """A gray image as (H, W, 3)."""
    return np.repeat(image.astype(np.float32)[..., None], 3, -1)


def filled(panel: Panel, label: np.ndarray, strength: float = 0.65) -> Panel:
    """Values of a label in their colours; what is not labelled (255) hatched."""
    rows, columns = np.indices(label.shape)
    panel = panel.copy()
    for value in np.unique(label):
        if value == 255:
            panel[(label == 255) & ((rows + columns) % 4 < 2)] = 235
        elif value:
            where = label == value
            panel[where] = (1 - strength) * panel[where] + strength * np.array(colour(int(value)))
    return panel


def colour(value: int) -> tuple[int, int, int]:
    """Of an id or a class."""
    if value < 8:
        return class_colour(value)
    return tuple(int(c) for c in np.random.default_rng(value).integers(40, 255, 3))  # type: ignore[return-value]


def outlined(panel: Panel, label: np.ndarray) -> Panel:
    """Edges of a mask in its colours, drawn inside."""
    edge = (ndimage.maximum_filter(label, 3) != label) | (ndimage.minimum_filter(label, 3) != label)
    return filled(panel, np.where(edge & (label != 255), label, 0), 1)


def all_labels(image: np.ndarray, labels: Labels) -> Panel:
    """Exact mask outlined, inner regions filled, scribbles violet."""
    panel = gray_panel(image)
    if "detection" in labels:
        panel = filled(panel, labels["detection"], 0.5)
    if "segmentation" in labels:
        panel = outlined(panel, labels["segmentation"])
    if "separation" in labels:
        panel[labels["separation"] == 1] = INTERFACE_COLOUR
    return panel


def framed(panel: Panel, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Enlarged, in the middle of a panel of the common size."""
    large = panel.clip(0, 255).astype(np.uint8).repeat(ZOOM, 0).repeat(ZOOM, 1)
    out = np.full((size[0] * ZOOM, size[1] * ZOOM, 3), 255, np.uint8)
    top, left = ((a - b) // 2 for a, b in zip(out.shape, large.shape, strict=True) if a > 3)
    out[max(top, 0) : max(top, 0) + large.shape[0], max(left, 0) : max(left, 0) + large.shape[1]] = large[
        : out.shape[0], : out.shape[1]
    ]
    return out


def save(path: Path, found: Panel, meant: Panel) -> None:
    """Both panels side by side, as a PNG with a palette."""
    left, right = framed(found), framed(meant)
    gap = np.full((left.shape[0], 8, 3), 255, np.uint8)
    picture = Image.fromarray(np.concatenate([left, gap, right], axis=1))
    picture.quantize(colors=48, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"written: {path} ({path.stat().st_size / 1000:.1f} kB)")


# ------------------------------------------------------------------------------------------- labels against each other


def crossed(labels: Labels) -> None:
    labels["separation"][42:62, 25:28] = 1


def spanning(labels: Labels) -> None:
    labels["detection"][17:23, 17:48] = 1
    labels["separation"][:] = 0


def another_class(labels: Labels) -> None:
    labels["detection"][disc(22, 76, 6)] = 2


def copied(labels: Labels) -> None:
    labels["segmentation"] = labels["detection"].copy()


def meeting(labels: Labels) -> None:
    right = disc(52, 26, 7) & (np.indices(SIZE)[1] >= 27)
    labels["detection"][right] = 1
    labels["segmentation"][disc(52, 26, 12) & (np.indices(SIZE)[1] >= 27)] = 1


def leaving(labels: Labels) -> None:
    labels["detection"][disc(50, 68, 6.6)] = 2
    labels["detection"][disc(50, 60, 7) & ~disc(50, 68, 6.6)] = 0


def forgotten(labels: Labels) -> None:
    labels["detection"][disc(22, 76, 8)] = 0


def partly(labels: Labels) -> None:
    labels["detection"][:, 34:] = 0
    labels["detection"][36:] = 0


def sliver(labels: Labels) -> None:
    labels["segmentation"][58:60, 64:90] = 2


def speck(labels: Labels) -> None:
    for y, x in ((40, 80), (66, 88), (8, 60)):
        labels["segmentation"][y : y + 2, x : x + 2] = 1


def unnumbered(labels: Labels) -> None:
    labels["instances"][disc(52, 26, 12)] = 0


MARKS: dict[str, Callable[[Labels], None]] = {
    "inner-crosses-interface": crossed,
    "inner-spans-objects": spanning,
    "strong-disagrees-inner": another_class,
    "mask-equals-inner": copied,
    "inner-meets-class": meeting,
    "inner-leaves-object": leaving,
    "ids-disagree": unnumbered,
    "object-without-inner": forgotten,
    "partly-marked": partly,
    "mask-sliver": sliver,
    "mask-speck": speck,
}

# ----------------------------------------------------------------------------------------- what is no label of its kind


def edges(ids: np.ndarray) -> np.ndarray:
    """The outermost pixels of objects."""
    inner = np.any([ndimage.binary_erosion(ids == v, np.ones((3, 3))) for v in range(1, ids.max() + 1)], axis=0)
    return (ids > 0) & ~inner


def smoothed(ids: np.ndarray) -> np.ndarray:
    """A mask that was drawn with anti-aliasing."""
    return ndimage.gaussian_filter(((ids > 0) * 255).astype(np.uint8), 1.2)


def picture(ids: np.ndarray) -> np.ndarray:
    """The image with outlines drawn upon it."""
    return np.where(edges(ids), 255, scene()[0])


def speckled(ids: np.ndarray) -> np.ndarray:
    """Noise that was numbered, too."""
    spread = (np.random.default_rng(1).random(SIZE) < 0.015) & (ids == 0)
    return np.where(spread, 10 + np.arange(ids.size).reshape(SIZE) % 200, ids)


IDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "ids-binary": lambda ids: (ids > 0) * 1,
    "ids-classes": lambda ids: np.select([np.isin(ids, (1, 3, 5)), ids > 0], [1, 2], 0),
    "ids-pieces": lambda ids: np.where(edges(ids), 255, np.where(ids == 2, 1, ids)),
    "ids-background": lambda ids: np.select([ids == 0, ids == 3], [3, 0], ids),
    "ids-outlines": lambda ids: np.where(edges(ids), ids, 0),
    "ids-specks": speckled,
    "label-smoothed": smoothed,
    "label-picture": picture,
}


def value_panel(label: np.ndarray, code: str) -> Panel:
    """A label on black, each value in its colour; smoothed masks and pictures in gray."""
    if code in ("label-smoothed", "label-picture"):
        return gray_panel(label)
    return filled(np.full((*SIZE, 3), 25.0), np.where(label == 255, 9, label), 1)


# ------------------------------------------------------------------------------------------------------------- images


def image_panels() -> dict[str, tuple[Panel, Panel, bool]]:
    """For each code of images: as found, as meant, and whether the check names the first alone."""
    image, labels = scene()
    inside = labels["segmentation"] > 0

    def codes(array: np.ndarray) -> set[str]:
        return {fault.code for fault in image_faults(array, 2)}

    few = np.where(inside, 200, 80).astype(np.uint8)
    bright = (image.astype(float) * 2.2).clip(0, 255).astype(np.uint8)
    hot = image.astype(np.uint16) * 4
    hot[30, 40], hot[60, 80] = 65535, 65535
    flat = (hot / hot.max() * 255).clip(0, 255)
    flat[29:32, 39:42], flat[59:62, 79:82] = 255, 255
    small = image[10:40, 8:48]
    inverted = 220 - image
    large = image.repeat(3, 0).repeat(3, 1)[40:112, 20:116]
    sizes = [8.0] * 5 + [80.0]
    barred = with_data_bar(image.repeat(4, 0).repeat(4, 1))
    shown = np.asarray(Image.fromarray(barred).resize(SIZE[::-1], Image.Resampling.BOX))
    return {
        "image-constant": (gray_panel(np.full(SIZE, 90)), gray_panel(image), "image-constant" in codes(np.full(SIZE, 90))),
        "image-few-levels": (gray_panel(few), gray_panel(image), "image-few-levels" in codes(few)),
        "image-saturated": (gray_panel(bright), gray_panel(image), "image-saturated" in codes(bright)),
        "image-outliers": (gray_panel(flat), gray_panel(image), "image-outliers" in codes(hot)),
        "image-bar": (gray_panel(shown), gray_panel(image), "image-bar" in codes(barred)),
        "image-tiny": (gray_panel(small), gray_panel(image), "image-tiny" in codes(small)),
        "image-inverted": (gray_panel(inverted), gray_panel(image), set(odd_contrasts([2.0] * 19 + [-2.0])) == {19}),
        "image-replaced": (
            all_labels(image[::-1, ::-1], labels),
            all_labels(image, labels),
            pixel_digest(image[::-1, ::-1]) != pixel_digest(image),
        ),
        "object-size-differs": (gray_panel(large), gray_panel(image), set(odd_diameters(sizes)) == {5}),
        "pixel-size-differs": (
            with_bar(large, 60),
            with_bar(image, 20),
            set(odd_pixel_sizes([0.3, 0.3, 0.3, 0.1])) == {3},
        ),
    }


def place_panels() -> tuple[Panel, Panel, bool]:
    """A slice of a volume whose mask states larger voxels: by its place, by its index, and whether that is found."""
    image, labels = scene()
    mask = labels["segmentation"]
    larger = mask.repeat(2, 0).repeat(2, 1)[: SIZE[0], : SIZE[1]]
    here = Place(np.diag([-1.0, -1, 1, 1]), (*SIZE, 1), False)
    elsewhere = turn_to(Place(np.diag([-2.0, -2, 1, 1]), (*SIZE, 1), False), here) is None
    panel = gray_panel(image)
    return outlined(panel, larger), outlined(panel, mask), elsewhere and turn_to(here, here) is not None


def with_data_bar(image: np.ndarray) -> np.ndarray:
    """A microscope's data bar below a picture (H, W) uint8."""
    bar = np.zeros((48, image.shape[1]), np.uint8)
    cv2.putText(bar, "HV 10 kV  WD 4.1 mm", (6, 32), cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 2, cv2.LINE_AA)
    return np.vstack([image, bar])


def with_bar(image: np.ndarray, length: int) -> Panel:
    """A scale bar below the image."""
    panel = gray_panel(image)
    panel[-9:-6, 6 : 6 + length] = (255, 255, 255)
    return panel


# -------------------------------------------------------------------------------------------------------------- names


def name_panels() -> dict[str, tuple[Panel, Panel]]:
    """What ``datalist`` asks about drawn names: as the names say, as it is meant."""
    image, labels = scene()
    ids, classes = labels["instances"], (labels["instances"] > 0) * 1
    gray = gray_panel(image)
    region = np.where(ids > 0, 1, 2)
    half = np.where(np.isin(ids, (2, 4)), 255, classes)
    return {
        "names-numbers": (filled(gray, ids), filled(gray, classes)),
        "names-region": (filled(gray, region), filled(gray, classes)),
        "names-unnamed": (filled(gray, half), filled(gray, classes)),
        "names-words": (filled(gray, np.where(ids == 3, 0, classes)), filled(gray, np.where(ids == 3, 2, classes))),
    }


def main() -> None:
    """Read the command line, write and verify the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write into")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    image, sound = scene()
    verified = {fault.code for fault in mark_faults(sound)} == set()
    written = set()

    def write(code: str, found: Panel, meant: Panel, right: bool = True) -> None:
        if not right:
            raise SystemExit(f"the check does not find {code} in its picture")
        save(out / f"{code}.png", found, meant)
        written.add(code)

    for code, change in MARKS.items():
        labels = {key: label.copy() for key, label in sound.items()}
        change(labels)
        if code in ("mask-sliver", "mask-speck", "mask-equals-inner", "inner-meets-class"):
            labels["instances"] = instances_from_classes(labels["segmentation"]).astype(np.uint8)
        found = {fault.code for fault in mark_faults(labels)}
        if code == "ids-disagree":
            panels = [outlined(filled(gray_panel(image), kind["instances"]), kind["segmentation"]) for kind in (labels, sound)]
        else:
            panels = [all_labels(image, kind) for kind in (labels, sound)]
        write(code, *panels, verified and code in found)
    ids = sound["instances"].astype(np.int32)
    for code, make in IDS.items():
        found = {suspicion.code for suspicion in suspect_ids([look_at(make(ids))] * 2)}
        write(code, value_panel(make(ids), code), value_panel(ids, ""), found == {code} and not suspect_ids([look_at(ids)]))
    numbered = suspect_classes([look_at(ids)] * 2, named=False)
    write("classes-ids", value_panel(ids, ""), value_panel(sound["segmentation"], ""), numbered[0].code == "classes-ids")
    one = np.where(ids > 0, 2, 1)
    around = suspect_classes([look_at(one)] * 2, named=True)
    write("classes-background", value_panel(one, ""), value_panel(one - 1, ""), around[0].code == "classes-background")
    for code, (left, right, right_one) in image_panels().items():
        write(code, left, right, right_one)
    write("label-elsewhere", *place_panels())
    if written != set(CODES):
        raise SystemExit(f"without a picture: {set(CODES) ^ written}")
    for code, (left, right) in name_panels().items():
        save(out / f"{code}.png", left, right)


if __name__ == "__main__":
    main()
