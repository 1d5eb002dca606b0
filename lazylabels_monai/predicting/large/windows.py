"""The network's answer to one tile: the windows are those that the whole picture has, and so is what they add up to.

A network with instance normalization answers by all that is in its window, and so does a prediction of a small picture. Here
a pixel is answered by the same windows at the same places as if the picture were predicted in one piece, so that it makes no
difference where the picture was cut into tiles.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.utils import ensure_tuple_rep

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import swap_plane
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer, even_overlap
from lazylabels_monai.predicting.large.tiling import Place
from lazylabels_monai.tasks import total_channels

__all__ = ["answer_tile", "window_starts"]


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """Where windows begin along an axis, as ``MultiTaskSlidingWindowInferer`` has them laid."""
    window = min(window, size)
    overlap = even_overlap((size,), (window,), overlap)[0]
    interval = window if window == size else max(1, int(window * (1 - overlap)))
    return [place[0].start for place in dense_patch_slices((size,), (window,), (interval,))]


def answer_tile(
    region: Callable[[Place], np.ndarray],
    shape: tuple[int, int],
    tile: Place,
    inferer: MultiTaskSlidingWindowInferer,
    network: Callable[[torch.Tensor], torch.Tensor],
    device: torch.device,
) -> np.ndarray:
    """Blended probabilities of a tile.

    Args:
        region: gives the normalised image (C, h, w) of rows and columns.
        shape: (H, W) of the picture.
        tile: rows and columns.
        inferer: the windows, their overlap and weights, classes and tasks are its own.
        network: as it was trained.
        device: of the network.

    Returns:
        (sum of classes of its ``answered``, h, w) float32, as ``inferer`` gives for the whole picture there.

    Raises:
        LazyLabelsError: when an answer is not finite.
    """
    # the network's pictures are (C, W, H): the first axis of a window is that of the columns
    sizes, wanted = shape[::-1], tile[::-1]
    roi = tuple(min(int(side), size) for side, size in zip(_pair(inferer.roi_size), sizes, strict=True))
    overlaps = ensure_tuple_rep(inferer.overlap, 2)
    starts = [
        [start for start in window_starts(size, side, overlap) if start < part.stop and start + side > part.start]
        for size, side, overlap, part in zip(sizes, roi, overlaps, wanted, strict=True)
    ]
    spans = [slice(min(found), max(found) + side) for found, side in zip(starts, roi, strict=True)]
    image = torch.from_numpy(np.ascontiguousarray(swap_plane(region((spans[1], spans[0])))))
    channels = total_channels(inferer.num_classes, inferer.answered)
    answer = inferer.predictor(network)
    extents = [part.stop - part.start for part in wanted]
    total, weight = torch.zeros(channels, *extents), torch.zeros(extents)
    importance = compute_importance_map(roi, mode=inferer.mode, sigma_scale=inferer.sigma_scale)
    places = list(itertools.product(*starts))
    for first in range(0, len(places), max(1, int(inferer.sw_batch_size))):
        batch = places[first : first + max(1, int(inferer.sw_batch_size))]
        cut = [tuple(slice(s - span.start, s - span.start + side) for s, span, side in zip(p, spans, roi)) for p in batch]  # noqa: B905
        seen = torch.stack([image[:, across, down] for across, down in cut]).to(device)
        for place, found in zip(batch, answer(seen).cpu(), strict=True):
            own = [slice(max(s, p.start), min(s + side, p.stop)) for s, p, side in zip(place, wanted, roi, strict=True)]
            here = tuple(slice(o.start - s, o.stop - s) for o, s in zip(own, place, strict=True))
            there = tuple(slice(o.start - p.start, o.stop - p.start) for o, p in zip(own, wanted, strict=True))
            total[(slice(None), *there)] += found[(slice(None), *here)] * importance[here]
            weight[there] += importance[here]
    total /= weight
    if not torch.isfinite(total).all():
        raise LazyLabelsError(
            "the network's answer is not finite, so that its training or its precision is at fault: take the weights of "
            "another training, or set amp to false where that is on."
        )
    return np.ascontiguousarray(swap_plane(total.numpy()))


def _pair(values: Sequence[int] | int) -> Sequence[int]:
    return (values, values) if isinstance(values, int) else values
