"""What can be wrong with an image, in words: for the check of a data set, for training and for every kind of prediction."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ERROR", "IMAGE_CODES", "WARNING", "Code", "Fault", "image_sentence"]

ERROR, WARNING = "error", "warning"


class Code(NamedTuple):
    """What the findings of one code say.

    Args:
        level: ``"error"`` or ``"warning"``.
        what: the fault, continuing "file 'a.png' has 3 of 40 ..."; ``{s}`` stands for the plural's ending.
        remedy: what to do about it.
        many: the fault of several images, continuing '"image" of 12 images has ...', where ``what`` does not fit.
        predicting: the remedy where an image is predicted, where ``remedy`` is one for data sets.
    """

    level: str
    what: str
    remedy: str
    many: str = ""
    predicting: str = ""


class Fault(NamedTuple):
    """What a check of one image's arrays returns.

    Args:
        code: its short name, of :data:`IMAGE_CODES` where it is about the image.
        key: which file of the item is at fault.
        objects: how many marks, objects or pieces; None where the code counts pixels.
        pixels: how many pixels.
        location: index of the first such pixel in the array, (y, x) in pictures.
        of: how many objects there are in all.
        amount: what the sentence says where it counts neither objects nor pixels, such as "37 pixels".
    """

    code: str
    key: str
    objects: int | None = None
    pixels: int | None = None
    location: tuple[int, ...] | None = None
    of: int | None = None
    amount: str | None = None

    def counted(self) -> str:
        """The number that the sentence begins with."""
        if self.amount is not None:
            return self.amount
        number = f"{self.pixels if self.objects is None else self.objects}"
        return number if self.of is None else f"{number} of {self.of}"

    def place(self) -> str:
        """Where the first pixel lies, ", first at y=1, x=2"; nothing where that is not known."""
        if self.location is None:
            return ""
        axes = ("y", "x") if len(self.location) == 2 else ("i", "j", "k")
        return ", first at " + ", ".join(f"{a}={v}" for a, v in zip(axes, self.location, strict=True))


#: The findings about images, those of one alone and those by comparison: with the other images of a data set, or with the
#: images of a training.
IMAGE_CODES: dict[str, Code] = {
    "image-constant": Code(
        ERROR,
        "pixels, all of one value",
        "export the image again, or remove the item",
        "one value only",
        "it is answered as background; export it again if it should show something",
    ),
    "image-few-levels": Code(
        WARNING,
        "different values only, like a label or a thresholded picture",
        "give the image as the microscope saved it",
        "few different values only, like a label or a thresholded picture",
    ),
    "image-saturated": Code(
        WARNING,
        "pixels at the largest value, which is more than 20 %",
        "use a shorter exposure, or set those areas to 255 (not labelled)",
        "more than 20 % of the pixels at the largest value",
        "use a shorter exposure: nothing can be seen there",
    ),
    "image-outliers": Code(
        WARNING,
        "pixels so far from the others that these look flat once intensities are normalised",
        "clip them to the range of the others",
        "a few pixels so far from the others that these look flat once intensities are normalised",
    ),
    "image-tiny": Code(
        WARNING,
        "along its shortest side",
        "stitch tiles together, or lower crop_size: what is missing is padded and teaches nothing",
        "a side shorter than 64 pixels or than the crop",
        "give a larger piece: the network sees hardly any context",
    ),
    "image-bar": Code(
        WARNING,
        "",
        "cut it off (lazylabels crop), or set it to 255 (not labelled) in every label: its letters teach objects or background "
        "that is none",
        "a data bar, a flat strip with letters along an edge",
        "cut it off (lazylabels crop): its letters may be taken for objects",
    ),
    "image-inverted": Code(
        WARNING,
        "",
        "invert the image if another detector or look-up table is the reason",
        "objects darker than their background where most images have them brighter, or the reverse",
    ),
    "image-detail": Code(
        WARNING,
        "",
        "resize it to the pixel size of the training's images if it is magnified, or look closely at what is predicted",
        "detail or noise of another kind than in the images of the training",
    ),
    "image-channels": Code(
        WARNING,
        "",
        "look closely at what is predicted, or train on such images",
        "another number of channels than the images of the training",
    ),
    "object-size-differs": Code(
        WARNING,
        "",
        "resize the image to the pixel size of the others if its magnification is another",
        "objects whose median diameter is far from that of the other images",
        "resize the image to the pixel size of the training's if its magnification is another",
    ),
    "pixel-size-differs": Code(
        WARNING,
        "",
        "resize the images to one pixel size",
        "a pixel size of more than twice, or less than half, the usual one",
        "resize it to the pixel size of the training",
    ),
}


def image_sentence(fault: Fault, name: str) -> str:
    """What is wrong with an image that is to be predicted, and what to do about it.

    Args:
        fault: of one of :data:`IMAGE_CODES`.
        name: of the image.

    Example:
        >>> image_sentence(Fault("image-tiny", "image", amount="20 pixels (less than 64)"), "a.png")
        "image 'a.png' has 20 pixels (less than 64) along its shortest side: give a larger piece: the network sees hardly any \
context."
    """
    code = IMAGE_CODES[fault.code]
    return f"image '{name}' has {f'{fault.counted()} {code.what}'.strip()}{fault.place()}: {code.predicting or code.remedy}."
