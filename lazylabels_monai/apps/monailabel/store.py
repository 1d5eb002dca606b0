"""The datastore's tags: a label for a task lies under the tag of the task's name, and most images lack most of them."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lazylabels_monai.atomic import write_text
from lazylabels_monai.data.datalist import FILE_NAME
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.images.files import PICTURE_SUFFIXES, file_suffix
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.training_file import training_facts

if TYPE_CHECKING:
    from monailabel.interfaces.datastore import Datastore

__all__ = [
    "images_without",
    "keep_learnt",
    "known_items",
    "labelled_items",
    "learnt_sentence",
    "of_last_training",
    "picture_patterns",
    "require_all_served",
    "split_items",
    "write_datalist",
    "write_seen",
]

#: Key of the datalist with the images that the weights had learnt from.
_LEARNT = "learnt"
#: Below the folder of the served weights: that of the trainings, as ``train.yaml`` says, and the datalist of their own one.
_TRAINING, _SERVED = "training", "learnt.json"
#: Key of the latter with digests of the images that a training by hand saw, which made the weights that the app began with.
_PIXELS = "pixels"


def picture_patterns() -> list[str]:
    """Names of the pictures that are served: MONAI Label tells ``.TIF`` from ``.tif``, and leaves others out without a word."""
    return [f"*{each}" for suffix in PICTURE_SUFFIXES for each in (suffix, suffix.upper(), f".{suffix[1:].title()}")]


def require_all_served(datastore: Datastore, folder: str | Path) -> None:
    """Refuse a folder with a picture that MONAI Label leaves out, as it knows pictures by their names without ending.

    Raises:
        LazyLabelsError: naming the picture.
    """
    served = {datastore.get_image_uri(image) for image in datastore.list_images()}
    for path in sorted(Path(folder).iterdir()):
        if path.is_file() and file_suffix(path) in PICTURE_SUFFIXES and os.path.realpath(path) not in served:
            raise LazyLabelsError(
                f"'{path}' would not be served: MONAI Label knows pictures by their names without ending, so rename it to one "
                "that no other picture of the folder has and that holds its ending once."
            )


def images_without(datastore: Datastore, task: str) -> list[str]:
    """Ids of the images that have no label for ``task``, sorted; the folder is looked into anew."""
    datastore.refresh()  # MONAI Label watches the folders of those tags only that were there when it started
    return sorted(image for image in datastore.list_images() if task not in datastore.get_labels_by_image_id(image))


def known_items(datastore: Datastore, tasks: Sequence[str] = TASKS) -> list[dict[str, str]]:
    """Items of a datalist, an image's path and those of its labels, for the images that have a label for any of ``tasks``, as
    the datastore knows them by now."""
    items = []
    for image in sorted(datastore.list_images()):
        tags = datastore.get_labels_by_image_id(image)
        labels = {task: datastore.get_label_uri(tags[task], task) for task in tasks if task in tags}
        if labels:
            items.append({"image": datastore.get_image_uri(image), **labels})
    return items


def labelled_items(datastore: Datastore, folder: str | Path, tasks: Sequence[str] = TASKS) -> list[dict[str, str]]:
    """:func:`known_items` after a look into the folder of the pictures.

    Raises:
        LazyLabelsError: when no image has a label, or a picture is left out.
    """
    datastore.refresh()  # as above
    require_all_served(datastore, folder)
    items = known_items(datastore, tasks)
    if not items:
        raise LazyLabelsError(
            f"no image of the datastore carries a label to train on: save labels under the tags {', '.join(tasks)}, "
            "as PUT /datastore/label?image=ID&tag=detection does."
        )
    return items


def split_items(
    items: Sequence[dict[str, Any]], share: float, before: Collection[str] = (), learnt: Collection[str] = ()
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Training and validation items; only images with an exact mask can validate.

    Args:
        items: labelled images.
        share: of the images with an exact mask, below 1; at least one of them validates and one trains.
        before: images that validated an earlier training: they do again. Others are drawn by the name of the file.
        learnt: images that the weights have learnt from: they validate where no other can.

    Returns:
        both lists; none validate where fewer than two images have an exact mask or ``share`` is 0 or less.
    """
    exact = [item for item in items if "segmentation" in item]
    if len(exact) < 2 or share <= 0:
        return list(items), []
    number = min(max(1, round(share * len(exact))), len(exact) - 1)

    def place(item: dict[str, Any]) -> tuple[bool, bool, int, str]:
        image = item["image"]
        by_name = zlib.crc32(Path(image).name.encode(errors="surrogateescape"))
        return image in learnt, image not in before, by_name, image

    drawn = sorted(exact, key=place)[:number]
    return [item for item in items if item not in drawn], drawn


def of_last_training(models: Path, images: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Images that validated the training of the weights that are served, and those that these have learnt from since they
    knew nothing.

    Args:
        models: folder of the weights that are served; both are empty where nobody knows of a training.
        images: of the datastore, among which those are looked for, by their pixels, that the training before the app saw.
    """
    file = models / _SERVED
    if not file.is_file():  # of an earlier version: the last training's, whether it failed or not
        file = models / _TRAINING / FILE_NAME
    if not file.is_file():
        return [], []
    last = json.loads(file.read_text(encoding="utf-8"))
    validated, trained = ([item["image"] for item in last.get(section, [])] for section in ("validation", "training"))
    seen = set(last.get(_PIXELS, []))
    known = [image for image in images if file_pixels(image).partition(" ")[0] in seen] if seen else []
    return validated, list(dict.fromkeys([*last.get(_LEARNT, []), *trained, *known]))


def write_seen(models: Path, training: Path) -> None:
    """With weights that a training by hand made, note the pixels of its training images, for :func:`of_last_training`.

    Args:
        models: folder of the weights that are served.
        training: that of the training; where ``training.json`` names no digests, nothing is written.
    """
    images = training_facts(training).get("images", {}).get("training", {})
    if digests := sorted({digest for digest in images.values() if digest}):
        write_text(models / _SERVED, json.dumps({_PIXELS: digests}, indent=1) + "\n")


def keep_learnt(training: Path, models: Path) -> None:
    """With weights that are served from now on, keep what :func:`of_last_training` asks for: a training to come may fail.

    Args:
        training: the folder of the training; without a datalist, as the stock app leaves it, what is known stays.
        models: of the weights.
    """
    if (training / FILE_NAME).is_file():
        write_text(models / _SERVED, (training / FILE_NAME).read_text(encoding="utf-8"))


def learnt_sentence(validation: Sequence[dict[str, Any]], learnt: Collection[str]) -> str | None:
    """What to say of validation images that the weights have learnt from; None where there is none.

    Args:
        validation: items that validate.
        learnt: images that the weights have learnt from.
    """
    names = [Path(item["image"]).name for item in validation if item["image"] in learnt]
    if not names:
        return None
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"the weights have learnt from the validation image '{names[0]}'{others}, so that the Dice is no measure of new "
        'images: save an exact mask of an image that has no label yet, or train with "pretrained": false.'
    )


def write_datalist(
    file: Path,
    classes: Sequence[str],
    training: Sequence[dict[str, Any]],
    validation: Sequence[dict[str, Any]] = (),
    learnt: Sequence[str] = (),
) -> Path:
    """Write the items as the data set that the bundle and the other commands read.

    Args:
        file: that is written.
        classes: names of the classes 1, 2, ...
        training: items that train.
        validation: items that validate.
        learnt: images that the weights, with which the training begins, have learnt from.
    """
    content = {"classes": list(classes), "training": list(training), "validation": list(validation)}
    content |= {_LEARNT: list(learnt)} if learnt else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(content, indent=1) + "\n")
    return file
