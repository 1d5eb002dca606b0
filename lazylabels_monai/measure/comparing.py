"""Two label maps of one image brought to the pixels that both of them label, so that their measurements can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lazylabels_monai.tasks import IGNORE, is_marked

__all__ = ["cut_alike", "said_left_out"]

#: (H, W) ``instances`` and ``classes`` of an image, one of them perhaps None, as for ``measure_image``.
Maps = Mapping[str, np.ndarray | None]


def cut_alike(one: Maps, other: Maps) -> tuple[Maps, Maps, int]:
    """Both without the pixels that one of them does not label (255), and how many these are.

    Args:
        one, other: maps of one image.

    Returns:
        ``instances`` and ``classes`` of each, with id 0 and class 255 at those pixels; ids of which nothing of a class is left
        are taken out. The maps themselves where all is labelled, and where their shapes differ.
    """
    maps = [values for side in (one, other) for values in (side["instances"], side["classes"]) if values is not None]
    if len({values.shape for values in maps}) > 1:  # told by who measures them
        return one, other, 0
    neither = np.zeros(maps[0].shape, bool)
    for classes in (one["classes"], other["classes"]):
        if classes is not None:
            neither |= classes == IGNORE
    if not neither.any():
        return one, other, 0
    return _cut(one, neither), _cut(other, neither), int(np.count_nonzero(neither))


def said_left_out(left_out: Sequence[int], pixels: int, truth: str) -> str | None:
    """The sentence about pixels that the errors leave out; None where they leave none out.

    Args:
        left_out: pixels by image.
        pixels: of all images.
        truth: where the exact labels are.
    """
    if not any(left_out):
        return None
    share = f"{100 * sum(left_out) / pixels:.2g} %"
    return (
        f"{np.count_nonzero(left_out)} of {len(left_out)} images have pixels that '{truth}' or the predictions do not label "
        f"(255): {sum(left_out)} pixels ({share} of all) are left out of the errors, where both are measured without them, "
        "while the measurements themselves are those of all labelled pixels of the predictions."
    )


def _cut(maps: Maps, left_out: np.ndarray) -> Maps:
    instances, classes = maps["instances"], maps["classes"]
    # without a class map every object is of class 1
    classes = np.where(left_out, IGNORE, instances > 0 if classes is None else classes).astype(np.uint8)
    if instances is not None:
        ids, place = np.unique(np.where(left_out, 0, instances), return_inverse=True)
        place = place.reshape(instances.shape)
        shown = np.bincount(place[is_marked(classes)], minlength=ids.size) > 0
        instances = np.where(shown, ids, 0)[place]
    return {"instances": instances, "classes": classes}
