"""The random generators that a training draws from, so that a resumed one draws what an uninterrupted one would have drawn."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from monai.transforms import Randomizable, Transform

__all__ = ["RandomStates"]

logger = logging.getLogger(__name__)

#: Words of a Mersenne Twister, numpy's ``RandomState``.
_WORDS = 624


class RandomStates:
    """States of python's, numpy's and torch's generators and of a data set's random transforms, saved with a checkpoint.

    Every process of a distributed training has its own; the checkpoint of the first holds those of all. What the workers of a
    DataLoader draw is settled by the sampler (:class:`~lazylabels_monai.data.sampling.SeededSampler`), so theirs need not be
    kept. All is plain numbers and tensors, as a checkpoint is read (:mod:`~lazylabels_monai.tensor_files`).

    Args:
        dataset: the training's data set; its ``transform`` holds the random transforms.
    """

    def __init__(self, dataset: Any = None) -> None:
        self.dataset = dataset

    def state_dict(self) -> dict[str, Any]:
        """The states of all processes, in the order of their ranks; every process must call it."""
        own = self._own()
        if not _distributed():
            return {"processes": [own]}
        found: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(found, own)
        return {"processes": found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where :meth:`state_dict` was; where the number of processes is another, nothing changes, and that is logged."""
        processes = state["processes"]
        rank, count = (dist.get_rank(), dist.get_world_size()) if _distributed() else (0, 1)
        if len(processes) != count:
            logger.warning(
                f"the training ran in {len(processes)} processes and goes on in {count}: other crops are drawn than without "
                "a stop."
            )
            return
        self._restore(processes[rank])

    def _own(self) -> dict[str, Any]:
        version, words, gauss = random.getstate()
        transforms = [_packed(found.get_state(legacy=False)) for found in self._transforms()]
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
        return {
            "python": {"version": version, "words": list(words), "gauss": gauss},
            "numpy": _packed(np.random.get_state(legacy=False)),
            "torch": torch.get_rng_state(),
            "cuda": list(cuda),
            "transforms": transforms,
        }

    def _restore(self, own: Mapping[str, Any]) -> None:
        python = own["python"]
        random.setstate((python["version"], tuple(python["words"]), python["gauss"]))
        np.random.set_state(_unpacked(own["numpy"]))
        torch.set_rng_state(own["torch"].cpu())
        self._restore_cuda(own["cuda"])
        transforms = list(self._transforms())
        if len(transforms) != len(own["transforms"]):
            logger.warning("the random transforms are others than before the stop: other crops are drawn than without it.")
            return
        for found, state in zip(transforms, own["transforms"], strict=True):
            found.set_state(_unpacked(state))

    def _restore_cuda(self, states: Sequence[torch.Tensor]) -> None:
        """Each GPU's own state; a process that saw more or fewer GPUs, or none, drew on others than those that are here."""
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if states and count < len(states):
            logger.warning(
                f"the training drew on {len(states)} GPUs and goes on with {count}: dropout draws other numbers there than "
                "without a stop."
            )
        for device, state in zip(range(count), states, strict=False):
            torch.cuda.set_rng_state(state.cpu(), device)

    def _transforms(self) -> list[np.random.RandomState]:
        return list(_generators(getattr(self.dataset, "transform", None), set()))


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def _generators(found: Any, seen: set[int]) -> Iterator[np.random.RandomState]:
    """Every generator that an object and its parts hold, each once, always in the same order."""
    if id(found) in seen or isinstance(found, (str, int, float)):
        return
    seen.add(id(found))
    if isinstance(found, np.random.RandomState):
        yield found
    elif isinstance(found, Mapping):
        for value in found.values():
            yield from _generators(value, seen)
    elif isinstance(found, (list, tuple)):
        for value in found:
            yield from _generators(value, seen)
    elif isinstance(found, (Transform, Randomizable)):
        yield from _generators(vars(found), seen)


def _packed(state: Mapping[str, Any]) -> dict[str, Any]:
    """numpy's state as a tensor and numbers."""
    words = torch.from_numpy(np.asarray(state["state"]["key"], np.uint32).view(np.int32).copy())
    return {
        "words": words,
        "position": int(state["state"]["pos"]),
        "has_gauss": int(state["has_gauss"]),
        "gauss": float(state["gauss"]),
    }


def _unpacked(state: Mapping[str, Any]) -> tuple[str, np.ndarray, int, int, float]:
    words = state["words"].cpu().numpy().view(np.uint32)
    if words.shape != (_WORDS,):
        raise ValueError(f"a random state has {words.shape} words instead of {_WORDS}")
    return ("MT19937", words, int(state["position"]), int(state["has_gauss"]), float(state["gauss"]))
