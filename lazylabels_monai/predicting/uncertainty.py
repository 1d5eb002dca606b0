"""How unsure the network is of each pixel and each object: its answers over flips of the image and over dropout samples.

A prediction is taken several times, and the answers p_1 ... p_S of a pixel give

- the mean p = 1/S sum_s p_s, whose entropy H(p) is the *predictive entropy*: high wherever the classes are hard to tell, be
  it that the network has not learned it or that the image does not show it (the blurred edge of an object);
- the *mutual information* H(p) - 1/S sum_s H(p_s), the disagreement among the answers: high where each answer is sure of
  something else, and 0 where all say alike "I cannot tell" (Houlsby, Huszar, Ghahramani, Lengyel 2011, "BALD"; for images
  Gal, Islam, Ghahramani 2017). A label resolves disagreement; it does not sharpen a blurred edge.

Answers differ by the network's dropout, switched on while predicting (Gal & Ghahramani 2016: samples of an approximate
posterior over weights), and by flips of the image (Wang, Li, Aertsen, Deprest, Ourselin, Vercauteren 2019: test-time
augmentation). Wang et al. count the latter as uncertainty about the data. Here the true label of a flipped image is the flipped
label, and the training shows flips, so that a network which answers differently has not learned it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch
from monai.data import MetaTensor
from scipy import ndimage
from torch import Tensor, nn

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.axes import to_numpy_order, to_tiff_order
from lazylabels_monai.inferers import plane_flips
from lazylabels_monai.labels.objects import border_pixels, checked_instances, compact_instances
from lazylabels_monai.result_files import uncertainty_ending
from lazylabels_monai.tasks import task_slices

if TYPE_CHECKING:
    import pandas as pd

    from lazylabels_monai.predicting.model import Model

__all__ = [
    "TaskUncertainty",
    "answer_and_uncertainty",
    "dropout_layers",
    "dropout_on",
    "entropy",
    "object_uncertainty",
    "save_uncertainty",
    "uncertainty_maps",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TaskUncertainty:
    """Uncertainty about one task in one image. 1 - uncertainty is the confidence.

    Args:
        probabilities: (classes, H, W) float32, the mean over all answers; it sums to 1.
        entropy: (H, W) float32 from 0, one class for sure, to 1, all classes alike: the predictive entropy / log(classes).
        mutual_information: (H, W) float32 from 0, all answers alike, to 1: the disagreement / log(classes). Never above
            ``entropy``, and 0 where there was one answer only.
        samples: number of answers.

    Of a volume, (X, Y, Z) stands for (H, W).
    """

    probabilities: np.ndarray
    entropy: np.ndarray
    mutual_information: np.ndarray
    samples: int


def entropy(probabilities: Tensor, dim: int = 0) -> Tensor:
    """Entropy over ``dim`` as a share of the highest possible one, log(classes).

    Args:
        probabilities: from 0 to 1, summing to 1 over ``dim``; two classes or more.

    Returns:
        from 0 to 1, without ``dim``; 0 log 0 counts as 0.

    Example:
        >>> entropy(torch.tensor([[0.5, 1.0], [0.5, 0.0]])).tolist()
        [1.0, 0.0]
    """
    total = torch.special.entr(probabilities).sum(dim) / float(np.log(probabilities.shape[dim]))
    return total.clamp(0, 1)


def dropout_layers(network: nn.Module) -> list[nn.Module]:
    """The network's dropout layers that drop anything (p > 0), in its order of modules."""
    return [m for m in network.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]


@contextmanager
def dropout_on(network: nn.Module) -> Iterator[list[nn.Module]]:
    """Switch the dropout layers alone to training; batch normalization keeps its running averages and does not touch them.

    Yields:
        those layers; empty where the network has none, and then nothing changes. The modes from before are put back.
    """
    layers = dropout_layers(network)
    before = [layer.training for layer in layers]
    try:
        for layer in layers:
            layer.train()
        yield layers
    finally:
        for layer, mode in zip(layers, before, strict=True):
            layer.train(mode)


def uncertainty_maps(
    model: Model, image_path: str | os.PathLike, flips: bool = True, dropout_samples: int = 0, seed: int = 0
) -> dict[str, TaskUncertainty]:
    """Uncertainty about each task in one image.

    The answers are those of the network as it is to each view, the image as it is and, with ``flips``, flipped left to
    right, upside down and both, each put back; and ``dropout_samples`` more with the dropout on, over the views in turn.
    All weigh the same. Each runs through the model's own sliding windows, every window with dropout of its own, so that
    where windows overlap samples differ less than without windows.

    Args:
        model: a trained network.
        image_path: picture or volume.
        flips: whether to take the four views; one otherwise.
        dropout_samples: number of further answers, 0 or more. A network without dropout (p = 0) gives none, which is logged as
            a warning; ``samples`` of the result tells.
        seed: of the dropout; the same seed gives the same maps whatever was predicted before. The global random state of
            torch stays as it was.

    Returns:
        by task, in the order of the network's output.

    Raises:
        LazyLabelsError: when ``dropout_samples`` is negative.
        RuntimeError: from MONAI's loading, when the image cannot be read; a
            :class:`~lazylabels_monai.errors.LazyLabelsError` is among its causes.

    Example:
        >>> model = Model("outputs/models/model.pt")  # doctest: +SKIP
        >>> uncertainty_maps(model, "a.png")["segmentation"].entropy.mean()  # doctest: +SKIP
    """
    return answer_and_uncertainty(model, model.load(image_path), flips, dropout_samples, seed)[1]


def answer_and_uncertainty(
    model: Model, batch: Mapping[str, Any], flips: bool = True, dropout_samples: int = 0, seed: int = 0
) -> tuple[Tensor, dict[str, TaskUncertainty]]:
    """The network's answer to an image as it is, and its uncertainty; each view is predicted once.

    Args:
        model: a trained network.
        batch: from its ``load``.
        flips, dropout_samples, seed: see :func:`uncertainty_maps`.

    Returns:
        probabilities (1, sum of classes, spatial...), those that a plain prediction gives; and what
        :func:`uncertainty_maps` returns.

    Raises:
        LazyLabelsError: when ``dropout_samples`` is negative.
    """
    if isinstance(dropout_samples, bool) or int(dropout_samples) != dropout_samples or dropout_samples < 0:
        raise LazyLabelsError(f"dropout_samples {dropout_samples} must be a whole number, 0 or more.")
    views = plane_flips(flips)
    running = _Running(task_slices(model.num_classes, model.answered))
    first: Tensor | None = None
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.inference_mode(), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for dims in views:
            answer = model.answer(batch, dims)
            first = answer if first is None else first
            running.add(_in_numpy_order(answer))
        with dropout_on(model.network) as layers:
            if dropout_samples and not layers:
                logger.warning(
                    "the network has no dropout (p = 0): uncertainty comes from flips alone; train with --dropout 0.2."
                )
            for number in range(dropout_samples if layers else 0):
                running.add(_in_numpy_order(model.answer(batch, views[number % len(views)])))
    return first, running.result()


def save_uncertainty(maps: Mapping[str, TaskUncertainty], folder: str | os.PathLike, stem: str) -> list[Path]:
    """Write ``<stem>_<task>_uncertainty.tif`` for each task: float32, two planes, entropy and mutual information, each 0 to 1.

    Args:
        maps: from :func:`uncertainty_maps`.
        folder: made where missing.
        stem: name of the image.

    Returns:
        the files, of the axes (2, H, W); of a volume (2, Z, Y, X).
    """
    folder, written = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    for task, found in maps.items():
        planes = np.stack([found.entropy, found.mutual_information]).astype(np.float32)
        planes, axes = to_tiff_order(to_numpy_order(planes), channels=True)
        written.append(folder / f"{stem}{uncertainty_ending(task)}.tif")
        tifffile.imwrite(written[-1], planes, photometric="minisblack", metadata={"axes": axes})
    return written


def object_uncertainty(instances: np.ndarray, uncertainty: np.ndarray) -> pd.DataFrame:
    """Uncertainty about each object of a label map, from any map of uncertainty.

    Args:
        instances: (H, W) or (X, Y, Z) ids, 0 = no object.
        uncertainty: the same shape, such as :attr:`TaskUncertainty.entropy` or :attr:`TaskUncertainty.mutual_information`.

    Returns:
        a row per object in the order of the ids: ``id``; ``pixels``; ``uncertainty``, the mean over its pixels;
        ``border_uncertainty``, the mean over those that have a face neighbour outside the object (that of an object which fills
        the whole image is NaN).

    Raises:
        LazyLabelsError: when the shapes differ or the instances are no ids.

    Example:
        >>> ids = np.ones((3, 3), int); ids[0] = 0
        >>> object_uncertainty(ids, np.arange(9.0).reshape(3, 3))[["uncertainty", "border_uncertainty"]].values.tolist()
        [[5.5, 4.0]]
    """
    import pandas as pd  # no prediction needs it

    ids, uncertainty = checked_instances(instances), np.asarray(uncertainty, float)
    if ids.shape != uncertainty.shape:
        raise LazyLabelsError(
            f"instances of shape {ids.shape} and uncertainty of shape {uncertainty.shape} must be of one shape."
        )
    compact, table = compact_instances(ids)
    numbers = np.arange(1, len(table))
    border = np.where(border_pixels(compact), compact, 0)
    sizes = np.bincount(border.ravel(), minlength=len(table))[1:]
    at_border = np.full(len(numbers), np.nan)
    at_border[sizes > 0] = ndimage.mean(uncertainty, border, numbers[sizes > 0]) if (sizes > 0).any() else []
    return pd.DataFrame(
        {
            "id": np.asarray(table[1:], np.int64),
            "pixels": np.bincount(compact.ravel(), minlength=len(table))[1:],
            "uncertainty": np.asarray(ndimage.mean(uncertainty, compact, numbers), float).reshape(-1),
            "border_uncertainty": at_border,
        }
    )


class _Running:
    """Means over the answers; none of them is kept."""

    def __init__(self, slices: dict[str, slice]) -> None:
        self.slices, self.count = slices, 0
        self.mean: Tensor | None = None
        self.entropies: dict[str, Tensor] = {}

    def add(self, answer: Tensor) -> None:
        """Count one more answer (sum of classes, spatial...)."""
        self.count += 1
        self.mean = answer if self.mean is None else self.mean + (answer - self.mean) / self.count
        for task, channels in self.slices.items():
            found = entropy(answer[channels])
            before = self.entropies.get(task, torch.zeros_like(found))
            self.entropies[task] = before + (found - before) / self.count

    def result(self) -> dict[str, TaskUncertainty]:
        """What :func:`uncertainty_maps` returns."""
        out = {}
        for task, channels in self.slices.items():
            mean = self.mean[channels]
            predictive = entropy(mean)
            disagreement = (predictive - self.entropies[task]).clamp(min=0)
            arrays = (np.ascontiguousarray(t.float().numpy()) for t in (mean, predictive, disagreement))
            out[task] = TaskUncertainty(*arrays, self.count)
        return out


def _in_numpy_order(answer: Tensor) -> Tensor:
    """(1, classes, W, H) as (classes, H, W) float64 on the CPU: disagreement is a small difference of two large sums."""
    answer = answer.as_tensor() if isinstance(answer, MetaTensor) else answer
    return to_numpy_order(answer[0].cpu().double())
