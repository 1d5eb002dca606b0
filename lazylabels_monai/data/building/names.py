"""Which label belongs to which image, by their names alone.

A name that is written in another way - other folders, an address, decomposed letters, ``a_mask`` for ``a`` - may match, but
only where one label and one image claim each other. Every difference has a price (:data:`SPELLING`, :data:`ENDING` ...); a
label claims the images that cost it least. An image that two labels claim, and a label that claims two images, are for the
user to settle: no image takes marks of two origins unasked.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

from lazylabels_monai.images.files import PICTURE_SUFFIXES

__all__ = [
    "CHARACTERS",
    "ENDING",
    "FOLDER",
    "SPELLING",
    "ImageName",
    "LabelName",
    "Matching",
    "claims",
    "folded",
    "image_beside",
    "match",
    "nearest",
]

#: Prices: the same name in another spelling; folders that say nothing of each other; an ending such as ``_mask``;
#: characters that Label Studio replaces when a picture is uploaded ("a (1).png" becomes "a_1.png").
SPELLING, FOLDER, ENDING, CHARACTERS = 1, 2, 4, 16

# What annotation programs and people put behind an image's name, and before it
_ENDING = re.compile(
    r"([-_ .]?(cp_masks?|masks?|labels?|annotations?|segmentations?)"
    r"|[-_ .](pred|seg|simple segmentation|classes|instances|detection|separation|scribbles?|gt|rois?|roiset|shapes|points"
    r"|polygons))$"
)
_BEGINNING = re.compile(r"^(masks?|labels?|annotations?|segmentations?|seg|gt|rois?|roiset)[-_ .]")
_IMAGE_ENDING = re.compile(r"[-_ .](images?|img|raw)$")
#: QuPath's and Bio-Formats' name of an image in a file: "a.tif - Series 0".
_SERIES = re.compile(r"(?<=.)\.[a-z][a-z0-9]{1,4} - .+$")
_SUFFIX = re.compile(r"(?<=.)\.[a-z][a-z0-9]{1,4}$")
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
#: The eight hexadecimal digits that Label Studio puts before the name of an upload.
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
#: Where Label Studio's server keeps uploads: a project's number, which says nothing of the user's folders.
_UPLOADED = re.compile(r"(^|/)upload/\d+/")


@dataclass(frozen=True)
class ImageName:
    """An image as labels may call it.

    Args:
        name: without folders, suffix and ``--image-suffix``.
        folders: below the folder of images, outermost first.
        above: the folders that lead there.
    """

    name: str
    folders: tuple[str, ...] = ()
    above: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelName:
    """What a label says about its image's name.

    Args:
        text: a file's name without suffix; or with ``is_record`` the name, path or address of an image in a file.
        folders: below the folder of labels, outermost first; of a record, where it has none of its own.
        is_record: whether ``text`` is an image's name as an annotation file gives it.
        endings: what ``--label-suffix`` and ``--image-suffix`` say may follow the image's name.
        within: folders that count where the others say nothing.
    """

    text: str
    folders: tuple[str, ...] = ()
    is_record: bool = False
    endings: tuple[str, ...] = ()
    within: tuple[str, ...] = ()


@dataclass
class Matching:
    """Who belongs to whom, by positions.

    Args:
        image_of: the image of each label that has one of its own.
        rivals: images that several labels claim, with these.
        torn: labels that claim several images, with these.
        lost: labels that claim none.
    """

    image_of: dict[int, int] = field(default_factory=dict)
    rivals: dict[int, list[int]] = field(default_factory=dict)
    torn: dict[int, list[int]] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)


def folded(text: str) -> str:
    """One spelling of a name: composed letters (NFC), lower case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def claims(labels: Sequence[LabelName], images: Sequence[ImageName]) -> list[list[int]]:
    """The images that each label claims, whatever others claim; empty for a label that claims none.

    Args:
        labels: of any origin.
        images: that they may belong to.
    """
    forms = [_image_forms(image.name) for image in images]
    exactly: dict[str, list[int]] = {}
    loosely: dict[str, list[tuple[int, int]]] = {}
    for number, (image, known) in enumerate(zip(images, forms, strict=True)):
        exactly.setdefault(image.name, []).append(number)
        for form, price in known.items():
            loosely.setdefault(form, []).append((number, price))
    return [_claims(label, images, exactly, loosely) for label in labels]


def match(labels: Sequence[LabelName], images: Sequence[ImageName]) -> Matching:
    """Give each label the image that it and no other label claims.

    Args:
        labels: of one origin, such as a folder or an annotation file.
        images: that they may belong to.
    """
    all_wanted = claims(labels, images)
    claimed: dict[int, list[int]] = {}
    for number, wanted in enumerate(all_wanted):
        for image in wanted:
            claimed.setdefault(image, []).append(number)
    result = Matching()
    for number, wanted in enumerate(all_wanted):
        if not wanted:
            result.lost.append(number)
        elif len(wanted) > 1:
            result.torn[number] = wanted
        elif len(claimed[wanted[0]]) > 1:
            result.rivals[wanted[0]] = claimed[wanted[0]]
        else:
            result.image_of[number] = wanted[0]
    return result


def image_beside(name: str, images: Collection[str], endings: Sequence[str] = ()) -> str | None:
    """The image, of those in one folder, whose label ``name`` is by what follows or precedes the image's name.

    Args:
        name: of a picture, without suffix.
        images: names of all pictures there, as :func:`folded` gives them.
        endings: what else may follow an image's name.
    """
    forms = dict(_label_forms(name))
    for ending in endings:
        if folded(name).endswith(folded(ending)):
            forms.setdefault(folded(name)[: -len(ending)], ENDING)
    own = folded(name)
    found = [(price, form) for form, price in forms.items() if form != own and form in images and price < CHARACTERS]
    return min(found)[1] if found else None


def nearest(text: str, names: Sequence[str]) -> str | None:
    """The name most like ``text``, numbers without their leading zeros first; None where none is like it."""
    known = {folded(name): name for name in names}
    for form, name in known.items():
        if _LEADING_ZEROS.sub("", form) == _LEADING_ZEROS.sub("", folded(text)):
            return name
    begun = [form for form in known if form.startswith(folded(text)) or folded(text).startswith(form)]
    if begun:
        return known[min(begun, key=lambda form: abs(len(form) - len(folded(text))))]
    close = difflib.get_close_matches(folded(text), list(known), n=1, cutoff=0.5)
    return known[close[0]] if close else None


def _claims(
    label: LabelName, images: Sequence[ImageName], exactly: dict[str, list[int]], loosely: dict[str, list[tuple[int, int]]]
) -> list[int]:
    """The images that cost a label least."""
    prices: dict[int, int] = {}

    def offer(image: int, folders: tuple[str, ...], price: int) -> None:
        apart = _folder_price(folders, images[image])
        if apart is not None:
            prices[image] = min(prices.get(image, price + apart), price + apart)

    for said, folders, price in _sayings(label):
        for read in {folders, folders or label.within}:
            for image in exactly.get(said, ()):
                offer(image, read, price)
            for form, more in _label_forms(said).items():
                for image, other in loosely.get(form, ()):
                    offer(image, read, price + SPELLING + more + other)
    least = min(prices.values(), default=0)
    return sorted(image for image, price in prices.items() if price == least)


def _sayings(label: LabelName) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """Names with their folders that a label's text may stand for, and the price of reading it so."""
    if not label.is_record:
        yield label.text, label.folders, 0 if not label.endings else SPELLING
        for ending in label.endings:
            if folded(label.text).endswith(folded(ending)) and len(label.text) > len(ending):
                yield label.text[: -len(ending)], label.folders, 0
        return
    for text, price in _addresses(label.text).items():
        path = PurePosixPath(_UPLOADED.sub("/", text.replace("\\", "/")))
        folders = tuple(part for part in path.parts[:-1] if part not in ("/", ".", "..") and not part.endswith(":"))
        name = path.name
        if name.lower().endswith(PICTURE_SUFFIXES):
            name = name[: name.rindex(".")]
        yield name, folders or label.folders, price
        if _UPLOAD.match(folded(name)):
            yield name, label.folders, price  # the folder is the server's


def _addresses(text: str) -> dict[str, int]:
    """A path as it is written, without the escapes (``%20``) and the query (``?d=...``) of an address."""
    found = {text: 0}
    for _ in range(2):  # an address inside another is escaped twice
        for known, price in list(found.items()):
            found.setdefault(unquote(known), price + SPELLING)
    for known, price in list(found.items()):
        if "?" in known or "://" in known:
            try:
                address = urlsplit(known)
            except ValueError:  # such as an unfinished IPv6 address
                continue
            values = [value for _, value in parse_qsl(address.query) if value.lower().endswith(PICTURE_SUFFIXES)]
            for part in (*values, address.path):
                found.setdefault(part, price + SPELLING)
    return {known: price for known, price in found.items() if known}


def _closure(name: str, steps: Sequence[tuple[Callable[[str], str], int]]) -> dict[str, int]:
    """All names that the steps lead to, with their least price."""
    found, todo = {name: 0}, [name]
    while todo:
        known = todo.pop()
        for step, price in steps:
            other = step(known)
            if other and found[known] + price < found.get(other, 10**6):
                found[other] = found[known] + price
                todo.append(other)
    return found


@lru_cache(maxsize=2**16)
def _label_forms(name: str) -> dict[str, int]:
    steps = (
        (lambda text: folded(unquote(text)), SPELLING),
        (lambda text: _SUFFIX.sub("", text), SPELLING),
        (lambda text: _SERIES.sub("", text), SPELLING),
        (lambda text: _UPLOAD.sub("", text), SPELLING),
        (lambda text: _ENDING.sub("", text), ENDING),
        (lambda text: _BEGINNING.sub("", text), ENDING),
        (_uploaded, CHARACTERS),
    )
    return _closure(folded(name), steps)


def _image_forms(name: str) -> dict[str, int]:
    steps = (
        (lambda text: folded(unquote(text)), SPELLING),
        (lambda text: text.removesuffix(".ome"), SPELLING),
        (lambda text: _IMAGE_ENDING.sub("", text), ENDING),
        (_uploaded, CHARACTERS),
    )
    return _closure(folded(name), steps)


def _uploaded(name: str) -> str:
    """As Django, on which Label Studio stands, names the file of an upload."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _folder_price(said: tuple[str, ...], image: ImageName) -> int | None:
    """What it costs that a label's folders are not an image's; None where they contradict each other."""
    if said == image.folders:
        return 0
    said, below = tuple(map(folded, said)), tuple(map(folded, image.folders))
    above = tuple(map(folded, image.above))
    # the name of the folder of images itself is often left out: train/a.png for train/images/a.png
    agree = max(_agreeing(said, above + below), _agreeing(said, above[:-1] + below))
    if said and agree and (agree == len(said) or agree >= len(below) > 0):
        return 0
    if said and below:
        return SPELLING if agree else None
    return FOLDER


def _agreeing(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """How many of the innermost folders agree."""
    count = 0
    while count < min(len(a), len(b)) and a[-1 - count] == b[-1 - count]:
        count += 1
    return count
