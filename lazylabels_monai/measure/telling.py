"""What a person is told of a folder before its numbers: maps that are gone, altered or hardly what they are called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lazylabels_monai.data.datalist import datalist_file, load_datalist
from lazylabels_monai.errors import in_number, some_of
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.measure.believing import doubtful_maps, require_classes, require_ids
from lazylabels_monai.measure.erased import largest_hole, largest_speck, shares, shares_of_files, told_bare, told_erased
from lazylabels_monai.measure.exactness import (
    in_pieces,
    remedy_for_classes,
    remedy_for_pieces,
    said_in_pieces,
    said_without_classes,
    strokes_alone,
    without_classes,
)
from lazylabels_monai.measure.finding import LabelledImage
from lazylabels_monai.measure.image import MeasureError
from lazylabels_monai.measure.maps import is_large, read_maps
from lazylabels_monai.overrides import expanded
from lazylabels_monai.result_files import RECORDS_FILE
from lazylabels_monai.spelling import composed
from lazylabels_monai.stamps import Records, Stamp, require_one_stamp, told_other_images

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "believed",
    "made_of",
    "one_stamp",
    "require_class_maps",
    "tell_changed",
    "tell_corrected",
    "tell_erased",
    "tell_pieces",
    "told_rows",
    "without_strokes",
]


def without_strokes(
    source: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None], names: Collection[str] | None = None
) -> list[LabelledImage]:
    """The images without those of a data set that are labelled by strokes alone, which are named; ``names``: that matter.

    Raises:
        MeasureError: when none is left.
    """
    asked = {i.name: i.classes for i in found if i.classes and i.instances is None and (names is None or i.name in names)}
    strokes = sorted(strokes_alone(source, asked))
    left = [image for image in found if image.name not in strokes]
    if not strokes:
        return left
    if not left or (names is not None and not any(image.name in names for image in left)):
        raise MeasureError(
            f"'{source}' holds strokes and no exact mask of its images ('{asked[strokes[0]]}' is one), whose area is that of "
            "the pen: draw exact masks, or measure predictions of the images."
        )
    warn(
        f"{len(strokes)} of {len(found)} images of '{source}' are labelled by strokes and have no exact mask ('{strokes[0]}' "
        "is one), so they are left out: draw their masks, or measure predictions of them."
    )
    return left


def tell_pieces(source: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None]) -> None:
    """Name images whose connected pieces stand beside true ids of others."""
    if not (pieces := in_pieces(source, found)):
        return
    remedy = f"name {made_of(source)} instead"
    if not datalist_file(expanded(source)).is_file():
        remedy = remedy_for_pieces(source, next(image for image in found if image.name == pieces[0]))
    warn(f"{said_in_pieces(source, pieces, len(found))}: {remedy}.")


def require_class_maps(source: str | Path, found: Sequence[LabelledImage], names: Sequence[str], truth: bool = False) -> None:
    """Refuse objects of which nobody knows the class, instead of taking all for the first one.

    Args:
        source: of the maps.
        found: the images.
        names: of the classes.
        truth: whether they are those that predictions are compared with.

    Raises:
        MeasureError: naming images and what to do.
    """
    if missing := without_classes(found, names):
        remedy = "add them, or measure predictions of other images" if truth else remedy_for_classes(source, found, missing)
        raise MeasureError(f"{said_without_classes(source, found, missing, names)}: {remedy}.")


def made_of(source: str | Path) -> str:
    """The folder that a data set was made of, in words; of another source one with all ids."""
    file = datalist_file(expanded(source))
    said = load_datalist(file).get("build") if file.is_file() else None
    folder = said.get("source") if isinstance(said, Mapping) else None
    known = folder is not None and (expanded(folder) / "masks").is_dir()
    return f"the folder that it was made of, '{folder}'," if known else "a folder of classes/ and masks/ with all ids"


def exactly_labelled(
    truth: str | Path, found: Sequence[LabelledImage], known: Sequence[LabelledImage], warn: Callable[[str], None]
) -> list[tuple[LabelledImage, LabelledImage]]:
    """The predicted images that have an exact label, each with that; of which images the errors are is told.

    Args:
        truth: of the labels, as for :func:`find_labels`.
        found: the predicted images.
        known: those of ``truth``.
        warn: is told what is left out, and what flatters.

    Raises:
        MeasureError: when no image is left.
    """
    own = {composed(image.name) for image in found}
    there = {image.name: image for image in known if composed(image.name) in own}
    if not there:
        raise MeasureError(
            f"no predicted image has an exact label in '{truth}' ('{found[0].name}' is one): name exact labels of images that "
            "were predicted, by the names of these."
        )
    there = {image.name: image for image in without_strokes(truth, known, warn, set(there)) if image.name in there}
    unchanged = [name for name, image in there.items() if image.predicted]
    pieces = in_pieces(truth, list(there.values()))
    if pieces and len({*pieces, *unchanged}) == len(there):
        raise MeasureError(
            f"{said_in_pieces(truth, pieces, len(there))}: name {made_of(truth)} by --truth instead, or measure "
            "predictions of other images."
        )
    exact = {composed(name): image for name, image in there.items() if name not in {*pieces, *unchanged}}
    pairs = [(image, exact[composed(image.name)]) for image in found if composed(image.name) in exact]
    if not pairs:
        raise MeasureError(
            f"what '{truth}' holds of the predicted images are predictions that nobody has changed ('{unchanged[0]}' is one): "
            "name labels that somebody drew or corrected."
        )
    if left := [image.name for image in found if image.name not in {one.name for one, _ in pairs}]:
        why = f"; of {len(pieces)} '{truth}' holds no ids" if pieces else ""
        why += f"; of {len(unchanged)} predictions that nobody has changed" if unchanged else ""
        warn(
            f"the errors are of {len(pairs)} of {len(found)} images, not of {some_of(left)}, which "
            f"{in_number(len(left), '[has|have]')} no exact label in '{truth}'{why}; the measurements are of all images."
        )
    if learnt := sorted(_training(truth) & {exactly.name for _, exactly in pairs}):
        warn(
            f"{len(learnt)} of the {len(pairs)} images that the errors are of {in_number(len(learnt), '[trains|train]')} in "
            f"'{truth}' ({some_of(learnt)}): of weights that learnt from them the errors are smaller than on other images."
        )
    return pairs


def tell_corrected(folder: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None]) -> None:
    """Name predicted images whose maps somebody has changed, so that their errors are not those of the weights.

    Args:
        folder: of the predictions.
        found: its images that are compared with exact labels.
        warn: is told.
    """
    records = {name: record for name, record in Records(expanded(folder)).images.items() if record.stamp is not None}
    maps = {image.name: [file for file in (image.classes, image.instances) if file] for image in found if image.name in records}
    altered = {name: records[name].altered(files) for name, files in maps.items()}
    if changed := [name for name, one in altered.items() if one is not None and one[1]]:
        were = in_number(len(changed), "[was|were]")
        warn(
            f"{len(changed)} of the {len(found)} images that the errors are of {were} changed in '{folder}' since the "
            f"prediction ({some_of(changed)}): the errors there are those of what somebody made of it, not of the weights."
        )


def _training(source: str | Path) -> set[str]:
    """Names of a data set's training images; of another source none are known."""
    file = datalist_file(expanded(source))
    return {Path(item["image"]).stem for item in load_datalist(file).get("training", [])} if file.is_file() else set()


def believed(
    source: str | Path,
    found: Sequence[LabelledImage],
    named: bool,
    warn: Callable[[str], None],
    ids: bool = True,
) -> None:
    """Refuse maps that hardly are the ids or classes that their names say; what ``datalist`` or ``predict`` made is believed.

    Args:
        source: of the maps, as for :func:`find_labels`.
        found: the images.
        named: whether somebody named the classes.
        warn: is told what is doubtful and may be meant.
        ids: whether ids are looked at, too.

    Raises:
        MeasureError: naming a file and what to do.
    """
    doubtful = doubtful_maps(source, [image.name for image in found])
    asked = [image for image in found if image.name in doubtful]
    if ids:
        require_ids([image.instances for image in asked if image.instances is not None], warn)
    require_classes([image.classes for image in asked if image.classes is not None], named, warn)


def one_stamp(folder: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None]) -> Stamp | None:
    """What made the maps of a folder, where it says so; two stamps are refused, and maps of unknown origin beside it named."""
    folder = expanded(folder)
    if not (folder / RECORDS_FILE).is_file():
        return None
    stamp, unknown = require_one_stamp(folder, [image.name for image in found])
    if unknown:
        warn(
            f"of {len(found)} images in '{folder}', {len(unknown)} do not say what made them ('{unknown[0]}' is one): an "
            "earlier version, another program or a hand did, or altered them since."
        )
    return stamp


def tell_erased(found: Sequence[LabelledImage], stamp: Stamp | None, warn: Callable[[str], None]) -> None:
    """Name images of which somebody erased objects in the ids alone, or made them smaller in the class map alone."""
    pieces, of_images = (largest_speck(stamp), largest_hole(stamp)), {}
    for image in found:
        if image.instances is None or image.classes is None:
            continue
        if is_large(image):
            of_images[image.name] = shares_of_files(image.instances, image.classes, *pieces)
        else:
            maps = read_maps(replace(image, image=None, probability=None, uncertainty=None))
            of_images[image.name] = shares(maps["instances"], maps["classes"], *pieces)
    erased, bare = ({name: share[k] for name, share in of_images.items()} for k in range(2))
    for sentence in (
        told_erased(erased, {image.name: image.classes for image in found}, len(found)),
        told_bare(bare, {image.name: image.instances for image in found}, len(found)),
    ):
        if sentence is not None:
            warn(sentence)


def tell_changed(folder: str | Path, found: Sequence[LabelledImage], warn: Callable[[str], None]) -> None:
    """Name images that are not those that were predicted into a folder."""
    images = {image.name: image.image for image in found if image.image}
    if sentence := told_other_images(expanded(folder), images, file_pixels):
        warn(sentence)


def told_rows(file: Path, objects: pd.DataFrame, images: pd.DataFrame) -> str | None:
    """Begin of the sentence about rows of objects that somebody took away or added since; None where nobody did.

    Args:
        file: ``objects.csv``, to be named.
        objects: its rows.
        images: rows of ``summary.csv`` about single images, which count the objects that were measured.
    """
    keys = ["image", "class"]
    missing = images.set_index(keys)["objects"].sub(objects.groupby(keys).size(), fill_value=0).astype(int)
    parts = [
        f"{abs(count)} {'measured objects have no row' if count > 0 else 'rows are of no measured object'}"
        for count in (missing[missing > 0].sum(), missing[missing < 0].sum())
        if count
    ]
    if not parts:
        return None
    return f"{file}: {' and '.join(parts)} there (image '{missing[missing != 0].index[0][0]}' is the first)"
