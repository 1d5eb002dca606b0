"""Dictionary transforms by purpose: channels of the image, labels, what labels imply, outputs of the network."""

from __future__ import annotations

from lazylabels_monai.transforms.channels import MatchChannelsd
from lazylabels_monai.transforms.crops import CENTRES, CropCentresd
from lazylabels_monai.transforms.implied import ImpliedMarksd, ImpliedSegmentationd
from lazylabels_monai.transforms.intensities import CLIPPED, NORMALIZATIONS, clips
from lazylabels_monai.transforms.judging import JudgeImaged, JudgeObjectsd
from lazylabels_monai.transforms.labels import DecodeIgnoredd, EncodeIgnoredd, FillMissingLabelsd
from lazylabels_monai.transforms.outputs import (
    SaveInstancesd,
    SaveOverlayd,
    SaveProbabilitiesd,
    SeparateObjectsd,
    SplitTasksd,
)
from lazylabels_monai.transforms.plain import PlainCompose

__all__ = [
    "CENTRES",
    "CLIPPED",
    "NORMALIZATIONS",
    "CropCentresd",
    "DecodeIgnoredd",
    "EncodeIgnoredd",
    "FillMissingLabelsd",
    "ImpliedMarksd",
    "ImpliedSegmentationd",
    "JudgeImaged",
    "JudgeObjectsd",
    "MatchChannelsd",
    "PlainCompose",
    "SaveInstancesd",
    "SaveOverlayd",
    "SaveProbabilitiesd",
    "SeparateObjectsd",
    "SplitTasksd",
    "clips",
]
