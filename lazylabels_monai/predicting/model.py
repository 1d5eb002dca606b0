"""A trained network that answers for one image after the other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from monai.data import MetaTensor, decollate_batch
from monai.data.utils import list_data_collate

from lazylabels_monai.bundle_folder import bundle_config, find_bundle
from lazylabels_monai.config_files import check_overlays, read_overlay
from lazylabels_monai.config_text import literal_path
from lazylabels_monai.errors import FOLDER_IDS
from lazylabels_monai.images.axes import to_numpy_order
from lazylabels_monai.overrides import expanded
from lazylabels_monai.predicting.agreeing import require_agreement
from lazylabels_monai.predicting.room import Room
from lazylabels_monai.predicting.stamping import stamp_of
from lazylabels_monai.stamps import Stamp
from lazylabels_monai.tasks import task_slices
from lazylabels_monai.trained import require_weights, trained_classes, trained_images, trained_network

__all__ = ["Model"]


class Model:
    """The network of ``inference.yaml`` with a training's weights; its ``stamp`` says what the answers depend on.

    Args:
        weights: ``model.pt``; what the training wrote beside it (classes, network) is used.
        bundle: folder of the bundle; None: the one that came with the package.
        overlays: config files merged after ``inference.yaml``.
        overrides: ids of the config and their values.
        needed_only: whether it answers for no more tasks than what ``write`` writes is made of (``answered_tasks`` of the
            config); otherwise for all that the network learned.

    Raises:
        LazyLabelsError: when the bundle or the weights are not there or do not fit each other.
    """

    def __init__(
        self,
        weights: str | os.PathLike,
        bundle: str | os.PathLike | None = None,
        overlays: Sequence[str] = (),
        overrides: Mapping[str, Any] | None = None,
        needed_only: bool = False,
    ) -> None:
        bundle, config = find_bundle(bundle), bundle_config(bundle, "inference.yaml")
        check_overlays(overlays)
        require_weights(weights)
        trained_classes(weights), trained_images(weights)  # the config reads them, whose error would be one of MONAI's
        trained = trained_network(weights, overlays)
        require_agreement(weights, trained, config, overlays)
        if any("window_size" in read_overlay(overlay) for overlay in overlays):
            trained.pop("window_size", None)  # how images are looked at, unlike the rest, is no property of the weights
        given = {**trained, **(overrides or {}), "bundle_root": bundle, "weights": weights}
        # MONAI runs no name of a folder
        paths = {name: literal_path(value) for name, value in given.items() if name in FOLDER_IDS}
        given.update(paths)
        if not needed_only:
            given.setdefault("answered_tasks", "@tasks")
        # before any image is named: the built-in data must not be made for this
        given.setdefault("dataset_dir", paths["bundle_root"])
        self.workflow = ConfigWorkflow(
            config_file=[str(config), *map(str, overlays)], workflow_type="infer", logging_file=False, **given
        )
        self.workflow.initialize()
        parse = self.workflow.parser.get_parsed_content
        self.preprocessing, self.inferer, self.postprocessing = map(parse, ("preprocessing", "inferer", "postprocessing"))
        self.network = parse("network").eval()
        self.device, self.amp = torch.device(parse("device")), bool(parse("amp"))
        self.num_classes, self.tasks = int(parse("num_classes")), tuple(parse("tasks"))
        self.channels = int(parse("in_channels"))
        self.room = Room(self.channels, self.num_classes, self.tasks)
        if "made_by" in self.workflow.parser.config:
            self.stamp: Stamp = parse("made_by")()
        else:  # a bundle of an earlier version
            names = ("weights", "network", "preprocessing", "inferer", "classes", "tasks", "instance_settings")
            self.stamp = stamp_of(**{name: parse(name) for name in names})

    def answering(self, tasks: Sequence[str]) -> Model:
        """This model for some of the tasks that its network learned; what only others need is not computed. Not for ``write``.

        Args:
            tasks: segmentation among them.
        """
        other = copy(self)
        if hasattr(self.inferer, "answering"):
            other.inferer = self.inferer.answering(tasks)
        return other

    @property
    def answered(self) -> tuple[str, ...]:
        """The tasks in its answers, in channel order; all that the network learned where the inferer is an earlier bundle's."""
        return tuple(getattr(self.inferer, "answered", self.tasks))

    def load(self, path: str | os.PathLike) -> dict[str, Any]:
        """A batch of one image, ready for :meth:`answer`: ``image`` (1, C, W, H) or (1, C, X, Y, Z), normalised.

        Raises:
            RuntimeError: from MONAI's loading, when the image cannot be used; a
                :class:`~lazylabels_monai.errors.LazyLabelsError` is among its causes.
        """
        self.require_room(path)
        return list_data_collate([self.preprocessing({"image": str(expanded(path))})])

    def require_room(self, path: str | os.PathLike, uncertainty: bool = False) -> None:
        """Refuse an image for whose prediction there is no memory (:class:`~lazylabels_monai.predicting.room.Room`).

        Raises:
            LazyLabelsError: naming the image, what it takes and what is free.
        """
        self.room(path, uncertainty)

    def answer(self, batch: Mapping[str, Any], flips: Sequence[int] = ()) -> torch.Tensor:
        """What the network says of an image that it sees flipped, put back.

        Args:
            batch: from :meth:`load`.
            flips: axes of (B, C, spatial...) that are flipped: one of :func:`~lazylabels_monai.inferers.plane_flips`.

        Returns:
            probabilities (1, sum of classes of ``answered``, spatial...), blended over windows, on the network's device.
        """
        image = batch["image"].to(self.device)
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=self.amp and self.device.type == "cuda"):
            if not flips:
                return self.inferer(image, self.network)
            image = image.as_tensor() if isinstance(image, MetaTensor) else image
            return torch.flip(self.inferer(torch.flip(image, tuple(flips)), self.network), tuple(flips))

    def run(self, path: str | os.PathLike) -> dict[str, Any]:
        """The sample of one image with the blended probabilities (sum of classes, spatial...) under ``pred``."""
        batch = self.load(path)
        return self._sample(batch, self.answer(batch))

    def write(self, batch: Mapping[str, Any], answer: torch.Tensor) -> None:
        """Write what the config's post-processing writes of an :meth:`answer`."""
        self.postprocessing(self._sample(batch, answer))

    def probabilities(self, path: str | os.PathLike) -> dict[str, np.ndarray]:
        """Probabilities of each task that is answered, (classes, H, W) float32; of a volume (classes, X, Y, Z)."""
        output = to_numpy_order(torch.as_tensor(self.run(path)["pred"]).cpu().float().numpy())
        slices = task_slices(self.num_classes, self.answered)
        return {task: np.ascontiguousarray(output[channels]) for task, channels in slices.items()}

    @staticmethod
    def _sample(batch: Mapping[str, Any], answer: torch.Tensor) -> dict[str, Any]:
        return decollate_batch({**batch, "pred": answer})[0]
