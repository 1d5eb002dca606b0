"""What one label says about another task: the labels' own logic, as dictionary transforms.

Ke et al. 2020, Sec. 3, draw inner regions *inside* objects and scribbles *between* them. So an inner region tells the
segmentation's class and excludes an interface, and an exact mask tells where no inner region is. Each rule fills in a label
that an image does not have, and assumes something about how the person worked, which its docstring says.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform
from scipy import ndimage

from lazylabels_monai.tasks import BACKGROUND, IGNORE, INTERFACE, present_key

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
        if self.interface and has["detection"] and has["separation"] and asked["segmentation"] and not has["segmentation"]:
            sample["segmentation"] = self._interface_classes(sample["detection"], sample["separation"])
        if self.separation and asked["separation"] and not has["separation"] and (has["segmentation"] or has["detection"]):
            sample["separation"] = self._no_interface(sample, has)
            sample[present_key("separation")] = 1
        if self.detection and asked["detection"] and not has["detection"] and has["segmentation"]:
            sample["detection"] = self._inner_regions(
                sample["segmentation"], sample["separation"] if has["separation"] else None
            )
            sample[present_key("detection")] = 1
        return sample

    def _inner_regions(self, mask: torch.Tensor, separation: torch.Tensor | None) -> torch.Tensor:
        classes = np.asarray(mask[0])
        implied = np.where(classes == BACKGROUND, BACKGROUND, IGNORE).astype(classes.dtype)
        for value in np.unique(classes[(classes != BACKGROUND) & (classes != IGNORE)]):
            # an unlabelled pixel is no border of an object
            inside = (classes == value) | (classes == IGNORE)
            if separation is not None:
                inside &= np.asarray(separation[0]) != INTERFACE
            if inside.all():
                implied[classes == value] = value
                continue
            depth = np.where(classes == value, ndimage.distance_transform_edt(inside), 0)
            pieces, count = ndimage.label(depth > 0)
            deepest = np.r_[0.0, ndimage.maximum(depth, pieces, np.arange(1, count + 1))]
            implied[(depth > 0) & (depth > 0.5 * deepest[pieces])] = value
        return _filled(mask, implied)

    def _no_interface(self, sample: Mapping[Hashable, Any], has: Mapping[str, bool]) -> torch.Tensor:
        implied = np.full(sample["separation"].shape[1:], IGNORE, np.uint8)
        if has["detection"]:
            implied[_marked(np.asarray(sample["detection"][0]))] = BACKGROUND
        if has["segmentation"]:
            mask = np.asarray(sample["segmentation"][0])
            objects = mask != BACKGROUND  # an unlabelled pixel may be one
            far = ndimage.distance_transform_edt(~objects) > self.reach if objects.any() else ~objects
            implied[far] = BACKGROUND
        return _filled(sample["separation"], implied)

    def _interface_classes(self, detection: torch.Tensor, separation: torch.Tensor) -> torch.Tensor:
        inner, scribbles = np.asarray(detection[0]), np.asarray(separation[0]) == INTERFACE
        implied = np.full(inner.shape, IGNORE, np.uint8)
        regions, count = ndimage.label(_marked(inner))
        if count > 1 and scribbles.any():
            classes = np.r_[0, ndimage.maximum(inner, regions, np.arange(1, count + 1))].astype(np.int64)
            nearest = ndimage.distance_transform_edt(regions == 0, return_distances=False, return_indices=True)
            nearest = regions[tuple(nearest)]
            strokes, number = ndimage.label(scribbles, np.ones((3,) * inner.ndim))
            for index, box in enumerate(ndimage.find_objects(strokes, number), 1):
                box = tuple(slice(max(side.start - self.reach, 0), side.stop + self.reach) for side in box)
                stroke = strokes[box] == index
                around = ndimage.binary_dilation(stroke, iterations=self.reach) if self.reach else stroke
                beside = classes[np.unique(nearest[box][around])]
                if len(beside) > 1 and (beside == beside[0]).all():
                    implied[box][stroke] = beside[0]
        return _filled(detection, implied)


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

    Raises:
        ValueError: when ``background_margin`` is not above 0.
    """

    def __init__(self, enabled: bool = True, background_margin: float | None = None) -> None:
        super().__init__(("segmentation", "detection"))
        if background_margin is not None and not background_margin > 0:
            raise ValueError(f"background_margin {background_margin} must be above 0, or null to leave the background open.")
        self.enabled = enabled
        self.background_margin = background_margin

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return a copy of ``data``; needs the flags that :class:`FillMissingLabelsd` sets."""
        sample = dict(data)
        weak = sample.get(present_key("detection"), 0) and not sample.get(present_key("segmentation"), 1)
        if self.enabled and weak:
            inner = sample["detection"]
            implied = torch.where(_marked(inner), inner, sample["segmentation"])  # the latter: what ImpliedMarksd said, or 255
            if self.background_margin is not None:
                far = torch.as_tensor(self._background(np.asarray(inner[0])))[None]
                implied[far & (implied == IGNORE)] = BACKGROUND
            sample["segmentation"] = implied
            sample[present_key("segmentation")] = 1
        return sample

    def _background(self, inner: np.ndarray) -> np.ndarray:
        """True where a pixel lies far from every region of an (H, W[, D]) detection label."""
        marked = (inner != BACKGROUND) & (inner != IGNORE)
        if not marked.any():
            return np.zeros(inner.shape, dtype=bool)
        regions, count = ndimage.label(marked)
        depth = np.r_[0.0, ndimage.maximum(ndimage.distance_transform_edt(marked), regions, np.arange(1, count + 1))]
        distance, nearest = ndimage.distance_transform_edt(~marked, return_indices=True)
        far = distance >= self.background_margin * depth[regions[tuple(nearest)]] + 2
        return far & (inner == BACKGROUND)


def _marked(label: Any) -> Any:
    """True inside inner regions; arrays and tensors."""
    return (label != BACKGROUND) & (label != IGNORE)


def _filled(label: torch.Tensor, values: np.ndarray) -> torch.Tensor:
    """(spatial...) values as a label with the type and geometry of ``label``."""
    filled = label.clone()
    filled[0] = torch.as_tensor(values).to(filled.dtype)
    return filled
