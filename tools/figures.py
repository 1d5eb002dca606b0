#!/usr/bin/env python
"""The drawn figures of docs/explanation.md.

python tools/figures.py labels docs/images/labels.png      # the three kinds of label on one built-in image
python tools/figures.py network docs/images/network.png    # the network of Eq. 4 as a diagram
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from lazylabels_monai.images.pictures import INTERFACE_COLOUR

#: Of the built-in image: dark bubbles and bright crystals, many of which touch.
SEED, SIZE, RADIUS = (11,), (132, 180), (14, 18)
#: Pixels of the figure for one pixel of the image.
ZOOM = 4
#: Colours of the network's tasks; separation has that of the scribbles.
DETECTION, SEGMENTATION, SEPARATION = "#009E73", "#0072B2", "#" + bytes(INTERFACE_COLOUR).hex()
SHARED, CONTRACTING = "#E8E2F4", "#ECECEC"
#: Inches: 9 of them are the width of the page.
WIDTH = 9.0


def save(figure: Any, path: Path) -> None:
    """Write the figure as a PNG with a palette."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, facecolor="white", format="png")
    picture = Image.open(buffer).convert("RGB").quantize(64, kmeans=3, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
    print(f"written: {path} ({picture.width} x {picture.height}, {path.stat().st_size / 1000:.0f} kB)")


def drawn_labels() -> dict[str, np.ndarray]:
    """The image (H, W) and its labels as somebody would draw them: class maps (H, W), 0 background, 255 unlabelled."""
    import torch

    from lazylabels_monai.data.simulating.microstructures import make_image
    from lazylabels_monai.labels.marking import Marking
    from lazylabels_monai.tasks import present_key
    from lazylabels_monai.transforms import ImpliedSegmentationd

    made = make_image(SIZE, SEED, RADIUS)
    marking = Marking(style="blob", keep=0.6, wobble=0.6)
    inner = marking.detection(made["instances"], made["classes"], 0, "figure")
    scribbles = marking.separation(made["instances"], 0, "figure").label
    # What inner regions say about segmentation: their class inside, background far away, nothing in the strip between.
    sample = {
        "segmentation": torch.full((1, *SIZE), 255, dtype=torch.uint8),
        present_key("segmentation"): 0,
        "detection": torch.from_numpy(inner)[None],
        present_key("detection"): 1,
    }
    implied = ImpliedSegmentationd(background_margin=1.0)(sample)["segmentation"][0]
    return {"image": made["image"], "inner": np.asarray(implied), "scribbles": scribbles, "mask": made["classes"]}


def painted(image: np.ndarray, label: np.ndarray, colours: dict[int, tuple[int, int, int]]) -> np.ndarray:
    """The image under a label, (ZOOM H, ZOOM W, 3) uint8: classes in their colours, background dark, unlabelled hatched."""
    grey = image.astype(np.float32)[..., None].repeat(3, -1)
    picture = np.where((label == 0)[..., None], 0.45 * grey, grey)
    for value, colour in colours.items():
        picture[label == value] = 0.2 * grey[label == value] + 0.8 * np.array(colour)
    picture = picture.repeat(ZOOM, 0).repeat(ZOOM, 1)
    rows, columns = np.indices(picture.shape[:2])
    stripes = (label == 255).repeat(ZOOM, 0).repeat(ZOOM, 1)
    picture[stripes] = np.where(((rows + columns) % 12 < 5)[stripes][:, None], 250, 0.4 * picture[stripes] + 120)
    return picture.clip(0, 255).round().astype(np.uint8)


def labels_figure() -> Any:
    """The image, and what each of the three kinds of label says about each of its pixels."""
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    from lazylabels_monai.images.pictures import class_colour, to_uint8_rgb
    from lazylabels_monai.tasks import INTERFACE

    drawn = drawn_labels()
    classes = {value: class_colour(value) for value in (1, 2)}
    image = to_uint8_rgb(drawn["image"])[..., 0]
    panels = [
        ("The image", "two kinds of object: bubbles and crystals", image.repeat(ZOOM, 0).repeat(ZOOM, 1)),
        (
            "Inner regions, for detection",
            "on most images: inside each object, not its border",
            painted(image, drawn["inner"], classes),
        ),
        (
            "Interface scribbles, for separation",
            "a line wherever two objects touch",
            painted(image, drawn["scribbles"], {INTERFACE: INTERFACE_COLOUR}),
        ),
        (
            "Exact mask, for segmentation",
            "on very few images: every pixel has its class",
            painted(image, drawn["mask"], classes),
        ),
    ]
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 7.6))
    for axis, (title, below, picture) in zip(axes.flat, panels, strict=True):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        axis.set_title(title, fontsize=13, fontweight="bold", loc="left", pad=5)
        axis.text(0, -0.03, below, transform=axis.transAxes, va="top", fontsize=11)
        axis.axis("off")
    figure.subplots_adjust(left=0.01, right=0.99, top=0.96, bottom=0.115, wspace=0.03, hspace=0.2)
    colour = {name: np.array(value) / 255 for name, value in (("bubble", classes[1]), ("crystal", classes[2]))}
    handles = [
        Patch(color=colour["bubble"], label="air bubble"),
        Patch(color=colour["crystal"], label="ice crystal"),
        Patch(color=np.array(INTERFACE_COLOUR) / 255, label="interface"),
        Patch(color="#484848", label="background, no interface"),
        Patch(facecolor="#B4B4B4", edgecolor="white", hatch="////", label="unlabelled: nothing is learnt here"),
    ]
    figure.legend(handles=handles, loc="lower center", ncols=5, fontsize=10, frameon=False, handlelength=1.3, columnspacing=1.2)
    return figure


class Diagram:
    """Boxes, arrows and words in inches."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib import pyplot as plt

        self.figure = plt.figure(figsize=(width, height))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.axis("off")

    def box(
        self, x: float, y: float, width: float, height: float, text: str, fill: str, edge: str = "#555555", **font: Any
    ) -> None:
        """A box around the point (x, y)."""
        from matplotlib.patches import FancyBboxPatch

        style = "round,pad=0,rounding_size=0.06"
        corner = (x - width / 2, y - height / 2)
        self.axes.add_patch(
            FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=fill, edgecolor=edge, linewidth=1.3)
        )
        self.word(x, y, text, **font)

    def word(self, x: float, y: float, text: str, size: float = 11, **font: Any) -> None:
        """Text, by default around the point."""
        self.axes.text(x, y, text, fontsize=size, **{"ha": "center", "va": "center", **font})

    def arrow(self, *points: tuple[float, float], colour: str = "#333333", head: bool = True, dashed: bool = False) -> None:
        """A line through the points, with a head at the last one."""
        style = {"color": colour, "linewidth": 1.5, "linestyle": (0, (4, 2)) if dashed else "-"}
        xs, ys = zip(*points, strict=True)
        self.axes.plot(xs, ys, solid_capstyle="butt", **style)
        if head:
            ends = {"xy": points[-1], "xytext": points[-2]}
            self.axes.annotate(
                "", **ends, arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
            )


def network_figure() -> Any:
    """The whole network at the left, one of its multi-task blocks at the right."""
    height = 6.9
    draw = Diagram(WIDTH, height)
    bold = {"fontweight": "bold", "size": 13, "ha": "left"}

    draw.word(0.2, height - 0.25, "The network", **bold)
    levels, left, right = 6, 0.85, 2.75
    rows = [4.6 - 0.72 * level for level in range(levels)]
    draw.word(left, 5.4, "image")
    draw.arrow((left, 5.25), (left, rows[0] + 0.22))
    for level, y in enumerate(rows):
        draw.box(left, y, 1.2 - 0.1 * level, 0.44, "", CONTRACTING)
        draw.word(left, y, f"1/{2**level}" if level else "full size", size=9.5)
        if level:
            draw.arrow((left, rows[level - 1] - 0.22), (left, y + 0.22))
    lanes = ((DETECTION, -0.35), (SEGMENTATION, 0.0), (SEPARATION, 0.35))
    for level in range(levels - 2, -1, -1):
        y, alone = rows[level], level == levels - 2
        draw.arrow((left + 0.6 - 0.05 * level, y), (right - 0.62, y))
        draw.box(right, y, 1.24, 0.44, "F" if alone else "multi-task block", SHARED if alone else "#FFFFFF", size=9.5)
        if level:
            for colour, shift in lanes if not alone else [("#333333", 0.0)]:
                draw.arrow((right + shift, y + 0.22), (right + shift, rows[level - 1] - 0.22), colour=colour)
    draw.arrow((left + 0.35, rows[-1]), (right, rows[-1]), (right, rows[-2] - 0.22))
    for (colour, shift), name in zip(lanes, ("detection", "segmentation", "separation"), strict=True):
        draw.arrow((right + shift, rows[0] + 0.22), (right + shift, rows[0] + 0.5), colour=colour)
        draw.box(right + shift, rows[0] + 0.63, 0.3, 0.26, "1×1", "#FFFFFF", colour, size=8)
        draw.arrow((right + shift, rows[0] + 0.76), (right + shift, rows[0] + 1.02), colour=colour)
        draw.word(
            right + shift,
            rows[0] + 1.08,
            name,
            size=10,
            color=colour,
            rotation=40,
            ha="left",
            va="bottom",
            rotation_mode="anchor",
        )
    draw.word(1.72, rows[0] + 0.12, "c", size=10, style="italic", va="bottom")
    draw.word(left, 0.5, "contracting path", size=10)
    draw.word(right, 0.5, "expanding path", size=10)

    draw.axes.plot((4.2, 4.2), (0.3, height - 0.3), color="#BBBBBB", linewidth=1)
    draw.word(4.4, height - 0.25, "One multi-task block (Eq. 4)", **bold)
    x, z, y, merge, bottom = 5.35, 6.85, 8.35, 2.85, 1.5
    named = {x: ("detection", DETECTION, "x"), z: ("segmentation", SEGMENTATION, "z"), y: ("separation", SEPARATION, "y")}
    top, sum_at, g_at = 5.75, 4.4, 5.0
    for lane, (name, colour, letter) in named.items():
        draw.word(lane, bottom - 0.38, letter, size=12, style="italic", color=colour)
        draw.box(lane, bottom + 0.12, 0.8, 0.36, "up ×2", "#FFFFFF", size=10)
        draw.arrow((lane, bottom - 0.26), (lane, bottom - 0.06), colour=colour)
        draw.word(lane, top + 0.14, f"{letter}′", size=12, style="italic", color=colour)
        draw.word(lane, top + 0.4, name, size=10.5, color=colour)
    for lane in (x, z):
        draw.arrow((lane, bottom + 0.3), (lane, merge - 0.25), colour=named[lane][1])
        draw.box(lane, merge, 0.8, 0.5, "F", SHARED, size=14, fontweight="bold")
    draw.word((x + z) / 2, merge + 0.1, "same", size=9)
    draw.word((x + z) / 2, merge - 0.1, "weights", size=9)
    draw.word(4.62, 2.26, "c", size=12, style="italic")
    draw.arrow((4.72, 2.26), (z - 0.28, 2.26), (z - 0.28, merge - 0.25))
    draw.arrow((x - 0.28, 2.26), (x - 0.28, merge - 0.25))
    draw.arrow((x, merge + 0.25), (x, top), colour=DETECTION)
    # h + R(h)
    draw.arrow((z, merge + 0.25), (z, sum_at - 0.16), colour=SEGMENTATION)
    draw.word(z - 0.13, merge + 0.42, "h", size=11, style="italic")
    draw.arrow((z, 3.42), (z + 0.62, 3.42), (z + 0.62, 3.6), colour=SEGMENTATION)
    draw.box(z + 0.62, 3.83, 0.56, 0.46, "R", "#DCEBF5", size=14, fontweight="bold")
    draw.arrow((z + 0.62, 4.06), (z + 0.62, sum_at), (z + 0.16, sum_at), colour=SEGMENTATION)
    draw.box(z, sum_at, 0.32, 0.32, "+", "#FFFFFF", SEGMENTATION, size=13)
    draw.arrow((z, sum_at + 0.16), (z, top), colour=SEGMENTATION)
    # G
    draw.arrow((z, g_at), (y - 0.4, g_at), colour=SEGMENTATION)
    draw.arrow((y, bottom + 0.3), (y, g_at - 0.25), colour=SEPARATION)
    draw.box(y, g_at, 0.8, 0.5, "G", "#FBE3E6", size=14, fontweight="bold")
    draw.arrow((y, g_at + 0.25), (y, top), colour=SEPARATION)
    notes = (
        "c: the map of the contracting path at this size",
        "F, G: join two maps, then two 3×3 convolutions",
        "R: the residual, from rough region to exact outline",
    )
    for row, note in enumerate(notes):
        draw.word(4.75, 0.74 - 0.24 * row, note, size=10, ha="left")
    return draw.figure


def main() -> None:
    """Read the command line and write the figure."""
    import matplotlib

    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure", choices=("labels", "network"))
    parser.add_argument("out", type=Path, help="picture to write")
    given = parser.parse_args()
    save({"labels": labels_figure, "network": network_figure}[given.figure](), given.out)


if __name__ == "__main__":
    main()
