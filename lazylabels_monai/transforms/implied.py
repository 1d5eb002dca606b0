"""What one label says about another task (:mod:`lazylabels_monai.labels.implied`), as dictionary transforms.

Each rule fills in a label that an image does not have, and assumes something about how the person worked, which its docstring
says.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform

from lazylabels_monai.labels.implied import (
    inner_regions_of_mask,
    interface_classes,
    no_interface,
    require_margin,
    segmentation_of_inner_regions,
)
from lazylabels_monai.tasks import BACKGROUND, IGNORE, present_key

__all__ = ["ImpliedMarksd", "ImpliedSegmentationd"]


class ImpliedMarksd(MapTransform):
    """Supervise detection and separation by the other labels of an image that lacks them.

    Use it before :class:`ImpliedSegmentationd`, while the segmentation label is still the exact mask or absent. Rules:

    ``detection`` (images with an exact mask and no inner regions): no inner region where the mask has background, 0; one
    of the mask's class where it is deeper than half of the deepest point of its piece, scribbles cutting the mask into
    pieces; 255 between, as nobody said how deep a region would have reached. Assumes nothing where the image has
    scribbles; where it has none, that a contact of two objects is less than half as wide as the larger of them.

    ``separation`` (images with inner regions or an exact mask and no scribbles): no interface runs inside an inner
    region, nor in background further than ``reach`` pixels from every object of an exact mask: 0 there, 255 elsewhere.
    Assumes that no inner region runs across a contact of two objects.

    ``interface`` (images with inner regions and scribbles and no exact mask): a scribble runs between two objects; where
    the inner regions nearest to the pixels within ``reach`` of it are of one class, the segmentation has that class
    under the scribble. Assumes that touching objects share their border, with no more background between them than the
    scribble is wide.

    Args:
        detection, separation, interface: which rules are used.
        reach: pixels around an object within which its interfaces run.

    Raises:
        ValueError: when ``reach`` is negative.
    """

    def __init__(self, detection: bool = True, separation: bool = True, interface: bool = False, reach: int = 3) -> None:
        super().__init__(("segmentation", "detection", "separation"))
        if reach < 0:
            raise ValueError(f"reach {reach} must be 0 pixels or more.")
        self.detection, self.separation, self.interface = detection, separation, interface
        self.reach = reach

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data``; needs the flags that :class:`~lazylabels_monai.transforms.FillMissingLabelsd` sets."""
        sample = dict(data)
        has = {task: bool(sample.get(present_key(task), 0)) for task in self.keys}
        asked = {task: present_key(task) in sample for task in self.keys}
        maps = {task: np.asarray(sample[task][0]) if has[task] else None for task in self.keys}
        if self.interface and has["detection"] and has["separation"] and asked["segmentation"] and not has["segmentation"]:
            made = interface_classes(maps["detection"], maps["separation"], self.reach)
            sample["segmentation"] = _filled(sample["detection"], made)
        if self.separation and asked["separation"] and not has["separation"] and (has["segmentation"] or has["detection"]):
            made = no_interface(maps["detection"], maps["segmentation"], self.reach)
            sample["separation"] = _filled(sample["separation"], made)
            sample[present_key("separation")] = 1
        if self.detection and asked["detection"] and not has["detection"] and has["segmentation"]:
            made = inner_regions_of_mask(maps["segmentation"], maps["separation"])
            sample["detection"] = _filled(sample["segmentation"], made)
            sample[present_key("detection")] = 1
        return sample


class ImpliedSegmentationd(MapTransform):
    """Supervise segmentation by the inner regions of images that have no exact mask.

    Ke et al. 2020, Sec. 3: inside an inner region the detection class is the segmentation class. Where a sample has a
    detection label and no segmentation label, its segmentation becomes the detection class inside the inner regions, 255
    elsewhere, and the segmentation flag becomes 1.

    With ``background_margin`` pixels far from every inner region become background, too. This assumes that the person
    marked *every* object of the image and reached into each one's depth: with d the depth of the nearest region (the
    largest distance from its inside to its border), a pixel is background from ``background_margin * d + 2`` pixels on.
    An inner region that keeps the inner share s of its object's depth misses (1 - s) / s of its own: 0.4 for s = 0.7.

    Args:
        enabled: False returns samples unchanged, so that a config value can switch the rule.
        background_margin: in depths of the nearest inner region, above 0; None says nothing about the background.
        fill_partial: say it of the unlabelled pixels (255) of an image with an exact mask of some objects, too: where single
            outlines are put right, the others' inner regions teach on. And where some pixels of the inner regions' label
            are unlabelled (255), or it shows no region, its background was drawn as such, and is background whatever the
            margin.

    Raises:
        ValueError: when ``background_margin`` is not above 0.
    """

    def __init__(self, enabled: bool = True, background_margin: float | None = None, fill_partial: bool = False) -> None:
        super().__init__(("segmentation", "detection"))
        require_margin(background_margin)
        self.enabled = enabled
        self.background_margin = background_margin
        self.fill_partial = fill_partial

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data``; needs the flags that :class:`FillMissingLabelsd` sets."""
        sample = dict(data)
        weak = sample.get(present_key("detection"), 0) and not sample.get(present_key("segmentation"), 1)
        if self.enabled and weak:
            known = np.asarray(sample["segmentation"][0])  # what ImpliedMarksd said, or 255
            inner = np.asarray(sample["detection"][0])
            sample["segmentation"] = _filled(sample["detection"], self._made(inner, known))
            sample[present_key("segmentation")] = 1
        elif self.enabled and self.fill_partial and sample.get(present_key("detection"), 0):
            known = np.asarray(sample["segmentation"][0])
            if (known == IGNORE).any():
                made = self._made(np.asarray(sample["detection"][0]), known)
                sample["segmentation"] = _filled(sample["segmentation"], np.where(known == IGNORE, made, known))
        return sample

    def _made(self, inner: np.ndarray, known: np.ndarray) -> np.ndarray:
        made = segmentation_of_inner_regions(inner, self.background_margin, known)
        drawn = (inner == IGNORE).any() or (inner == BACKGROUND).all()
        if self.fill_partial and drawn:  # background that somebody drew, be a region ever so near
            made = np.where((made == IGNORE) & (inner == BACKGROUND), BACKGROUND, made)
        return made


def _filled(label: torch.Tensor, values: np.ndarray) -> torch.Tensor:
    """(spatial...) values as a label with the type and geometry of ``label``."""
    filled = label.clone()
    filled[0] = torch.as_tensor(values).to(filled.dtype)
    return filled
