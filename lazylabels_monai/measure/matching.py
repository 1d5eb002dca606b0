"""Which class of the truth is which of the predictions: by name where both sides have names, else by number."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lazylabels_monai.measure.image import ImageMeasurements, MeasureError
from lazylabels_monai.option_text import written_names
from lazylabels_monai.result_files import CLASSES_FILE
from lazylabels_monai.trained import ANY_OBJECT

__all__ = ["reordered", "same_classes"]


def same_classes(
    predictions: str | Path,
    truth: str | Path,
    given: Sequence[str] | None,
    stated: Sequence[str] | None,
    exact: Sequence[str] | None,
    warn: Callable[[str], None] = lambda sentence: None,
) -> list[int] | None:
    """For each class of the predictions the number of that class in the truth; None where numbers mean the same.

    Args:
        predictions, truth: their folders, for sentences.
        given: names that the user gave the classes of the predictions.
        stated: names that the predictions have.
        exact: names that the truth has.
        warn: is told where nobody can know.

    Raises:
        MeasureError: where the names are others.
    """
    if exact is None:
        if len(known := given or stated or ()) > 1:
            warn(
                f"'{truth}' does not name its classes, so that those of '{predictions}' are compared with them by number (1 is "
                f"{known[0]}): write its names into '{Path(truth) / CLASSES_FILE}', such as {json.dumps(list(known))}."
            )
        return None
    for names in (given, stated):
        if names is not None and sorted(names) == sorted(exact):
            order = [list(exact).index(name) + 1 for name in names]
            return None if order == list(range(1, len(order) + 1)) else order
    known = given or stated
    if known is None:
        if len(exact) > 1:
            warn(
                f"'{predictions}' does not name its classes, so that they are compared with those of '{truth}' by number (1 is "
                f"{exact[0]}): name them with --classes."
            )
        return None
    if len(known) == len(exact) == 1 and ANY_OBJECT in (*(stated or ()), *(given or ()), *exact):
        return None
    raise MeasureError(
        f"'{predictions}' has the classes {', '.join(known)} and '{truth}' {', '.join(exact)}: say with --classes which of the "
        f"names {written_names(exact)} the classes 1, 2, ... of the predictions have, in this order."
    )


def reordered(measured: ImageMeasurements, order: Sequence[int], names: Sequence[str]) -> ImageMeasurements:
    """The same measurements with other numbers and names of the classes.

    Args:
        measured: of one image.
        order: for each new class the number that it has.
        names: of the new classes.
    """
    numbers = np.zeros(len(measured.class_names) + 1, np.int64)
    numbers[list(order)] = np.arange(1, len(order) + 1)
    objects = measured.objects.copy()
    objects["class"] = numbers[objects["class"].to_numpy(np.int64)]
    objects["class_name"] = [names[k - 1] for k in objects["class"]]
    pixels = measured.tile_class_pixels[[k - 1 for k in order]]
    return replace(measured, objects=objects, class_names=tuple(names), tile_class_pixels=pixels)
