"""Pictures inside the page: an image, layers to lay over it, crops of objects. All as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation
from skimage.segmentation import find_boundaries

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.pictures import INTERFACE_COLOUR, class_colour, to_uint8_rgb
from lazylabels_monai.images.regions import read_whole
from lazylabels_monai.labels.interfaces import touching_pairs
from lazylabels_monai.labels.objects import compact_instances
from lazylabels_monai.report.probability import highest_probability
from lazylabels_monai.report.reading import Note, Predicted, ReportError
from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE

__all__ = ["LAYERS", "UNDECIDED_COLOUR", "Picture", "crop", "data_uri", "make_picture", "object_colours", "shown_image"]

#: Layers of the gallery and what they show.
LAYERS: dict[str, str] = {
    "detection": "where the network sees the inside of objects, in class colours",
    "separation": "the probability of an interface between touching objects",
    "segmentation": "the class of each pixel",
    "instances": "the single objects; those that touch differ in colour",
    "probability": "how little probable the likeliest class is: full colour where all classes are equally likely",
}
#: Colour of undecided pixels: none of the classes has it.
UNDECIDED_COLOUR = (255, 0, 160)

_FILL = 0.4
_ALPHA_STEPS = 15  # few values compress well


@dataclass
class Picture:
    """One image of the gallery: ``layers`` are data URIs by name, of the size of ``base``."""

    name: str
    width: int
    height: int
    base: str | None
    layers: dict[str, str] = field(default_factory=dict)
    shape: tuple[int, int] = (0, 0)  # of the image itself


def data_uri(pixels: np.ndarray, lossless: bool = False) -> str:
    """(H, W, 3 or 4) uint8 as a WebP inside a data URI."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=lossless, quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def shown_image(files: Predicted, note: Note) -> np.ndarray | None:
    """(H, W, 3) uint8 of the image, of its overlay where it is not there, or None."""
    path = files.image or files.overlay
    try:
        return None if path is None else to_uint8_rgb(read_whole(path))
    except LazyLabelsError as error:
        note(f"Image '{files.name}': {error}")
        return None


def make_picture(files: Predicted, longest: int, note: Note) -> Picture | None:
    """The image of a prediction with every layer that its files allow; None where its maps cannot be read.

    Args:
        files: of the prediction.
        longest: side of the picture in pixels, at most.
        note: is told what cannot be read.
    """
    try:
        coarse = files.coarse(longest)
        classes, ids = (files.class_map(), files.ids()) if coarse is None else coarse[:2]
        detection, separation, segmentation = (files.probability(t) for t in ("detection", "separation", "segmentation"))
        _check_shapes([m for m in (classes, ids) if m is not None])
    except LazyLabelsError as error:
        note(f"Image '{files.name}' in the gallery: {error}")
        return None
    first = classes if classes is not None else ids
    if coarse is None:
        pixels, shape = shown_image(files, note), first.shape
    else:
        pixels, shape = None if coarse[2] is None else to_uint8_rgb(coarse[2]), coarse[3]
    if coarse is None and pixels is not None and pixels.shape[:2] != shape:
        note(f"Image '{files.name}': it has the size {pixels.shape[:2]} and its prediction {shape}; predict it again.")
        pixels = None
    scale = min(1.0, longest / max(shape))
    height, width = (max(1, round(side * scale)) for side in shape)
    size = (height, width)
    base = None if pixels is None else data_uri(np.asarray(Image.fromarray(pixels).resize((width, height), Image.LANCZOS)))
    layers = {}
    if detection is not None:
        layers["detection"] = _class_layer(_nearest(detection.argmax(0), size))
    if separation is not None:
        layers["separation"] = _shade(_averaged(separation[INTERFACE], size), INTERFACE_COLOUR)
    if classes is not None:
        layers["segmentation"] = _class_layer(_nearest(classes, size))
    if ids is not None:
        numbers, _ = compact_instances(ids)
        layers["instances"] = _object_layer(_nearest(numbers, size), object_colours(numbers))
    if segmentation is not None:
        # full colour where all classes are equally likely
        most = max(1 - 1 / len(segmentation), 1e-6)
        layers["probability"] = _shade(_averaged(1 - highest_probability(segmentation), size) / most, UNDECIDED_COLOUR)
    return Picture(files.name, width, height, base, {n: data_uri(layers[n], True) for n in LAYERS if n in layers}, shape)


def crop(
    pixels: np.ndarray | None, ids: np.ndarray, number: int, box: tuple[int, int, int, int], value: int, side: int = 192
) -> str:
    """A square picture of one object with its surroundings and its contour in the class colour, as a data URI.

    Args:
        pixels: (H, W, 3) uint8 or None.
        ids: (H, W) ids.
        number: of the object.
        box: its first and last row, first and last column, the last ones excluded.
        value: its class.
        side: of the picture.
    """
    top, bottom, left, right = box
    half = int(max(bottom - top, right - left, 20) * 0.8)
    row, column = (top + bottom) // 2, (left + right) // 2
    rows, columns = ((np.arange(side) + 0.5) * (2 * half / side) + start for start in (row - half, column - half))
    inside = ((rows >= 0) & (rows < ids.shape[0]))[:, None] & ((columns >= 0) & (columns < ids.shape[1]))[None]
    r, c = (np.clip(x.astype(int), 0, n - 1) for x, n in zip((rows, columns), ids.shape, strict=True))
    gray = np.full((*ids.shape, 3), 128, np.uint8) if pixels is None else pixels
    lowest = (max(row - half, 0), max(column - half, 0))
    window = Image.fromarray(gray[lowest[0] : row + half, lowest[1] : column + half])
    scale = side / (2 * half)
    shown = np.full((side, side, 3), 128, np.uint8)
    resized = np.asarray(
        window.resize((max(1, round(window.width * scale)), max(1, round(window.height * scale))), Image.BICUBIC)
    )
    at = (round((lowest[0] - row + half) * scale), round((lowest[1] - column + half) * scale))
    part = resized[: side - at[0], : side - at[1]]
    shown[at[0] : at[0] + part.shape[0], at[1] : at[1] + part.shape[1]] = part
    own = (ids[np.ix_(r, c)] == number) & inside
    line = binary_dilation(own, iterations=2) & ~own
    shown[binary_dilation(own, iterations=4) & ~own] = 0  # beside black the coloured line shows on any gray
    shown[line] = class_colour(value)
    return data_uri(shown)


def _check_shapes(maps: list[np.ndarray]) -> None:
    shapes = {values.shape for values in maps}
    if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
        raise ReportError(f"its maps have the shapes {' and '.join(map(str, sorted(shapes)))}: only maps of one 2D image show.")


def _nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (((np.arange(n) + 0.5) * (old / n)).astype(int) for n, old in zip(size, values.shape, strict=True))
    return values[np.ix_(rows, columns)]


def _averaged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size[::-1], Image.BOX))


def _shade(alpha: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """One colour, as opaque as ``alpha`` in 0..1 says."""
    steps = (np.clip(alpha, 0, 1) * _ALPHA_STEPS).round() * (255 / _ALPHA_STEPS)
    layer = np.zeros((*alpha.shape, 4), np.uint8)
    layer[..., :3], layer[..., 3] = colour, steps
    layer[layer[..., 3] == 0] = 0
    return layer


def _class_layer(classes: np.ndarray) -> np.ndarray:
    """Filled in class colours with a full contour."""
    layer = np.zeros((*classes.shape, 4), np.uint8)
    for value in np.unique(classes):
        if value not in (BACKGROUND, IGNORE):
            layer[classes == value] = (*class_colour(value), round(255 * _FILL))
    known = np.where(classes == IGNORE, BACKGROUND, classes)
    layer[find_boundaries(known, mode="inner", background=BACKGROUND) & (layer[..., 3] > 0), 3] = 255
    return layer


def object_colours(ids: np.ndarray) -> np.ndarray:
    """A colour for each object, such that those in contact differ as long as there are colours left.

    Args:
        ids: (H, W) from 1 to n, 0 = no object.

    Returns:
        (n + 1,) numbers from 0 to 11. Objects take turns, but where a touching one of lower id has a colour already.
    """
    count = len(_OBJECT_COLOURS)
    colours = np.arange(int(ids.max(initial=0)) + 1) % count
    for pairs in _by_second(touching_pairs(ids)):
        taken = set(colours[pairs[:, 0]].tolist())
        own = int(pairs[0, 1])
        colours[own] = next((c for c in range(own, own + count) if c % count not in taken), own) % count
    return colours


def _by_second(pairs: np.ndarray) -> list[np.ndarray]:
    """Pairs (N, 2) grouped by their second id, in its order."""
    pairs = pairs[np.argsort(pairs[:, 1], kind="stable")]
    return np.split(pairs, np.flatnonzero(np.diff(pairs[:, 1])) + 1) if len(pairs) else []


def _object_layer(ids: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Each object in its colour with a full contour."""
    layer = np.zeros((*ids.shape, 4), np.uint8)
    inside = ids > 0
    layer[inside, :3] = _OBJECT_COLOURS[colours[ids[inside]]]
    layer[inside, 3] = round(255 * _FILL)
    layer[find_boundaries(ids, mode="inner") & inside, 3] = 255
    return layer


#: Paul Tol's "muted" and "bright" schemes, interleaved so that following ids differ most.
_OBJECT_COLOURS = np.array(
    [
        (68, 119, 170),
        (238, 102, 119),
        (221, 204, 119),
        (34, 136, 51),
        (170, 68, 153),
        (102, 204, 238),
        (153, 153, 51),
        (204, 102, 119),
        (68, 170, 153),
        (204, 187, 68),
        (136, 34, 85),
        (136, 204, 238),
    ],
    np.uint8,
)
