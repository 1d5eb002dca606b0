"""What is said of a large picture and of its objects, by its middle."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor

from lazylabels_monai.data.checking.marks import mark_diameter
from lazylabels_monai.images.appearance import object_size_fault
from lazylabels_monai.images.axes import from_channels_last
from lazylabels_monai.images.faults import image_sentence
from lazylabels_monai.predicting.large.stages import Context
from lazylabels_monai.predicting.large.tiling import Place

__all__ = ["judge_image", "judge_objects"]

logger = logging.getLogger(__name__)

#: Side of the part in the middle in pixels.
_SIDE = 2048
#: What a part of a picture would be blamed for, and the picture is not.
_OF_THE_WHOLE = ("image-tiny", "image-constant", "image-few-levels", "image-bar", "image-saturated")


def judge_image(context: Context) -> None:
    """What JudgeImaged says of the middle of the picture, but for what only the whole can be blamed for."""
    for step in context.model.preprocessing.transforms:
        if type(step).__name__ == "JudgeImaged":
            values = from_channels_last(context.regions[_middle(context.job.shape)].astype(np.float32))
            shown = MetaTensor(torch.from_numpy(values), meta={"filename_or_obj": context.job.image})
            for fault in step.faults(shown):
                if fault.code not in _OF_THE_WHOLE:
                    logger.warning(image_sentence(fault, Path(context.job.image).name))


def judge_objects(context: Context) -> None:
    """What JudgeObjectsd says, of the middle of the picture."""
    for step in context.model.postprocessing.transforms:
        if type(step).__name__ == "JudgeObjectsd" and step.seen is not None:
            ids = np.asarray(context.array("objects/ids", np.uint32)[_middle(context.job.shape)]).astype(np.int32)
            fault = object_size_fault(mark_diameter({"instances": ids}), step.seen)
            if fault is not None:
                logger.warning(image_sentence(fault, Path(context.job.image).name))


def _middle(shape: tuple[int, int]) -> Place:
    """Rows and columns of the middle."""
    starts = [max(0, (size - _SIDE) // 2) for size in shape]
    return tuple(slice(start, min(size, start + _SIDE)) for start, size in zip(starts, shape, strict=True))
