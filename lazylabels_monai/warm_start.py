"""Beginning a training from weights instead of from nothing: what fits is taken, the rest begins anew.

A tensor is taken where its name and its shape agree. Beyond that, by what they mean:

- rows of a head belong to classes and go by their names (``classes.json`` beside the weights);
- a network of one input channel and one of several see the same in a grey picture: weights are summed, or shared out;
- a network of a single path takes that of the shared sub-blocks F of :class:`~lazylabels_monai.networks.MultiTaskUNet`;
- a lighter network takes what comes nearest (:mod:`~lazylabels_monai.networks.lightening`).
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lazylabels_monai import tensor_files
from lazylabels_monai.bundle_folder import find_starter
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.option_text import quoted
from lazylabels_monai.trained import (
    ANY_OBJECT,
    CLASSES_FILE,
    built_and_stated,
    require_finite_weights,
    trained_classes,
    trained_network,
)

__all__ = [
    "ANY_OBJECT",
    "NETWORK_TAKEN",
    "NOTHING",
    "STARTER",
    "Taken",
    "begin_from",
    "beginning_of",
    "network_of",
    "starter_if_it_fits",
    "weights_named",
]

logger = logging.getLogger(__name__)

#: The name that stands for the weights that come with the package.
STARTER = "starter"

#: The word for a beginning from nothing, where a config would begin from weights.
NOTHING = "nothing"

#: Settings of a network that a training takes from beside the weights from which it begins.
NETWORK_TAKEN = ("channels", "num_multitask_blocks", "detection_stride", "finest_width", "separation_conv", "norm")

_HEAD = re.compile(r"head(s\.(?P<task>segmentation|detection))?\.conv\.(weight|bias)")


@dataclass
class Taken:
    """What a training took from weights.

    Args:
        share: of the network's weights that begin from them, 0 to 1.
        classes: classes that begin from their own row of a head.
        from_any: classes that begin from the row of "object".
        anew: classes and parts of the network that begin anew.
        dropped: classes that the weights know and the training does not.
    """

    share: float = 0.0
    classes: list[str] = field(default_factory=list)
    from_any: list[str] = field(default_factory=list)
    anew: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)

    def sentence(self, name: str) -> str:
        """What was taken and what begins anew, in a line."""
        said = [f"{self.share:.0%} of the network begins from {name}"]
        for classes, what in (
            (self.classes, "known"),
            (self.from_any, f'begin as its "{ANY_OBJECT}"'),
            (self.dropped, "not needed"),
            (self.anew, "anew"),
        ):
            if classes:
                said.append(f"{what}: {', '.join(classes)}")
        return "; ".join(said)


def weights_named(init_weights: str | Path) -> Path:
    """The file of weights that ``init_weights`` names: a path, or :data:`STARTER`.

    Raises:
        LazyLabelsError: when it is not there.
    """
    if str(init_weights) == STARTER:
        return find_starter()
    path = Path(init_weights)
    if not path.is_file():
        raise LazyLabelsError(f"init_weights '{path}': there is no such file; name a model.pt, '{STARTER}' or '{NOTHING}'.")
    return path


def network_of(init_weights: str | Path) -> dict[str, Any]:
    """Settings of the network from beside weights, those of :data:`NETWORK_TAKEN`; empty where none were written."""
    found = trained_network(weights_named(init_weights))
    return {name: found[name] for name in NETWORK_TAKEN if name in found}


def starter_if_it_fits(**network: Any) -> str:
    """What a training begins from that was told nothing: the starter where the network is the starter's, else nothing.

    Args:
        network: settings of the network, as many of them as must be the same; such as ``channels`` and ``norm``.

    Returns:
        :data:`STARTER` or :data:`NOTHING`.
    """
    known = trained_network(find_starter())
    return STARTER if all(known.get(name) == value for name, value in network.items()) else NOTHING


def begin_from(
    network: nn.Module,
    init_weights: str | Path | None,
    classes: Sequence[str],
    resume_from: str | None = None,
) -> Taken | None:
    """Let a network begin from weights, in place, and log in a line what it took.

    Args:
        network: one of ours; where it lies, and in which precision, stays.
        init_weights: ``model.pt`` of a training of ours, a checkpoint, or a state dict with the same names; :data:`STARTER`;
            None or :data:`NOTHING` leaves the network as it is.
        classes: names of the object classes of the training to come.
        resume_from: a checkpoint from which the training goes on instead; nothing is taken then.

    Returns:
        what was taken; None where nothing was asked for.

    Raises:
        LazyLabelsError: when the file cannot be read, or less than half of the network would begin from it.
    """
    if init_weights in (None, "", NOTHING) or resume_from is not None:
        return None
    taken, path = _take(network, init_weights, classes)
    logger.info(taken.sentence(str(init_weights)))
    for said in _built_otherwise(network, path):
        logger.warning(f"init_weights '{init_weights}': {said}")
    return taken


def beginning_of(network: nn.Module, init_weights: str | Path, classes: Sequence[str]) -> dict[str, Tensor]:
    """The weights that :func:`begin_from` gives a network, as a state dict; the network stays as it is, and nothing is logged.

    Raises:
        LazyLabelsError: as there.
    """
    copied = deepcopy(network)
    _take(copied, init_weights, classes)
    return {name: value.detach().cpu() for name, value in copied.state_dict().items()}


def _take(network: nn.Module, init_weights: str | Path, classes: Sequence[str]) -> tuple[Taken, Path]:
    path = weights_named(init_weights)
    given = read_state(path)
    named = trained_classes(path) if path.with_name(CLASSES_FILE).is_file() else None
    return take_over(network, given, classes, named, path), path


#: What no name and no shape of a weight tells: settings of a network, in words, and the option for each.
_UNSEEN = {"act": ("the activation", "--network_def#act"), "norm": ("the normalization", "--norm")}


def _built_otherwise(network: nn.Module, path: Path) -> list[str]:
    """A sentence for each part that fits by name and shape and was another in the training; none where nobody knows."""
    try:
        here, stated = built_and_stated(trained_network(path), network, {})
    except LazyLabelsError:  # a file beside weights that nothing else is taken from
        return []
    return [
        f"they were trained with {what} {json.dumps(stated[key])}, this network has {json.dumps(here[key])}: give "
        f"{option} {quoted(_as_option(stated[key]))} to begin from what they answer."
        for key, (what, option) in _UNSEEN.items()
        if key in stated and key in here and _named(stated[key]) != _named(here[key])
    ]


def _named(part: Any) -> tuple[str, dict[str, Any]]:
    """A name of MONAI's factories, and its arguments, in whichever of their forms they are written."""
    if isinstance(part, Sequence) and not isinstance(part, str):
        return str(part[0]).upper(), dict(part[1]) if len(part) > 1 else {}
    return str(part).upper(), {}


def _as_option(part: Any) -> str:
    return part if isinstance(part, str) else json.dumps(part)


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file of weights, without what DDP puts before the names.

    Raises:
        LazyLabelsError: when the file holds none, is damaged, or its weights are not finite.
    """
    state = {name.removeprefix("module."): value for name, value in tensor_files.read_state(path, held=True).items()}
    require_finite_weights(state, path)
    return state


@torch.no_grad()
def take_over(
    network: nn.Module, given: Mapping[str, Tensor], classes: Sequence[str], known: Sequence[str] | None, path: str | Path
) -> Taken:
    """Copy into a network what fits of a state dict; nothing is changed where it is refused.

    Args:
        network: takes the values.
        given: names and tensors.
        classes: the network's object classes.
        known: those of ``given``; None where nobody knows: they are taken to be the same where they are as many.
        path: named in errors.

    Raises:
        LazyLabelsError: when less than half of the network's weights would be taken.
    """
    own = network.state_dict(keep_vars=True)
    from lazylabels_monai.networks.lightening import lightened  # its package brings MONAI, which `train` need not wait for

    given = {**given, **lightened(given, own)}
    first = next((name for name, value in own.items() if value.ndim > 2), None)
    rows = _rows(classes, known)
    plan: dict[str, Tensor] = {}
    filled: dict[str, Tensor] = {}  # which elements of a tensor are taken
    for name, value in own.items():
        source = next((given[other] for other in _names(name, given) if other in given), None)
        if source is None or not _numbers(source, value):
            continue
        if _HEAD.fullmatch(name):
            made = _head(value, source, rows, len(known) + 1 if known is not None else None)
        else:
            made = (_same(value, source, name == first), None)
        if made[0] is not None:
            plan[name] = made[0]
            filled[name] = made[1] if made[1] is not None else torch.ones(len(value) if value.ndim else 1, dtype=torch.bool)
    weights = {value.data_ptr(): name for name, value in own.items() if isinstance(value, nn.Parameter)}  # shared ones once
    counts = {name: own[name].numel() for name in weights.values()}
    got = {name: counts[name] * filled[name].float().mean().item() if name in filled else 0.0 for name in counts}
    share = sum(got.values()) / max(1, sum(counts.values()))
    if share < 0.5:
        raise LazyLabelsError(
            f"init_weights '{path}': they fit {share:.0%} of this network, less than half; "
            f"{_remedy(path)}, or leave init_weights out."
        )
    for name, value in plan.items():
        mask = filled[name].to(value.device)
        own[name].copy_(value if mask.all() else torch.where(mask.view(-1, *[1] * (value.ndim - 1)), value, own[name].cpu()))
    heads = [name for name in own if _HEAD.fullmatch(name)]
    taken = Taken(share, dropped=[name for name in known or () if name not in classes and known != [ANY_OBJECT]])
    begun = [name for name in heads if name in filled]  # detection's sees other maps where its path ends elsewhere
    for k, label in enumerate(classes, start=1):
        got_row = bool(begun) and all(bool(filled[name][k]) for name in begun)
        by = taken.anew if not got_row else taken.from_any if known == [ANY_OBJECT] != [label] else taken.classes
        by.append(label)
    taken.anew += sorted(
        {_part(name) for name in counts if not got[name] and (name not in heads or (begun and name not in begun))}
    )
    return taken


def _numbers(source: Tensor, own: Tensor) -> bool:
    """Whether a tensor holds numbers that another can take: finite ones, and no counts in place of weights."""
    return (source.is_floating_point() or not own.is_floating_point()) and bool(torch.isfinite(source.float()).all())


def _part(name: str) -> str:
    """A part of the network in the words of its modules: ``multitask.0.separation``, ``heads.separation``, ``down.2``."""
    return ".".join(name.split(".")[: 3 if name.startswith(("multitask", "decoders")) else 2])


def _remedy(path: str | Path) -> str:
    found = trained_network(path)
    if "channels" in found:
        named = [f'--{name} "{found[name]}"' for name in NETWORK_TAKEN if name in found and name != "norm"]
        return f"take the network of their training: {' '.join(named)}"
    return "take the network settings of their training"


def _rows(classes: Sequence[str], known: Sequence[str] | None) -> list[tuple[int, int, float]] | None:
    """Row here, row there and what is added to its bias, the background first; None: as they stand."""
    if known is None:
        return None
    rows = [(0, 0, 0.0)]
    if list(known) == [ANY_OBJECT]:  # together they are as likely as the object was
        return rows + [(k, 1, -math.log(len(classes))) for k in range(1, len(classes) + 1)]
    return rows + [(k, 1 + known.index(name), 0.0) for k, name in enumerate(classes, start=1) if name in known]


def _head(
    own: Tensor, given: Tensor, rows: list[tuple[int, int, float]] | None, count: int | None
) -> tuple[Tensor | None, Tensor | None]:
    """A head's tensor and which of its rows are taken."""
    if given.shape[1:] != own.shape[1:] or (rows is None and given.shape != own.shape) or (count or len(given)) != len(given):
        return None, None
    before = own.detach().cpu()
    made, taken = before.clone(), torch.zeros(len(own), dtype=torch.bool)
    rows = rows if rows is not None else [(k, k, 0.0) for k in range(len(own))]
    sources = [there for _, there, _ in rows]
    for here, there, more in rows:
        row = given[there].to(made.dtype) + (more if own.ndim == 1 else 0.0)
        # several classes from one row: as different as rows that begin anew, or no feature would learn to tell them apart
        made[here] = row + (before[here] - before[1:].mean(0)) if sources.count(there) > 1 else row
        taken[here] = True
    return made, taken


def _same(own: Tensor, given: Tensor, is_first: bool) -> Tensor | None:
    """A tensor of the same shape; that of the first convolution also for another number of input channels."""
    if own.shape == given.shape:
        return given
    if not is_first or own.ndim != given.ndim or own.shape[:1] + own.shape[2:] != given.shape[:1] + given.shape[2:]:
        return None
    if own.shape[1] == 1:
        return given.float().sum(1, keepdim=True)
    if given.shape[1] == 1:
        return (given.float() / own.shape[1]).expand(own.shape)
    return None


def _names(name: str, given: Mapping[str, Tensor]) -> Iterator[str]:
    """Where a tensor of this name may be found in other weights, the best first."""
    yield name
    if name.startswith("head."):
        yield f"heads.segmentation.{name.removeprefix('head.')}"
    elif name.startswith("heads.segmentation."):
        yield f"head.{name.removeprefix('heads.segmentation.')}"
    steps = len({other.split(".")[1] for other in given if other.startswith("single.")})  # up-steps before the paths part
    if found := re.fullmatch(r"single\.(\d+)\.(.+)", name):
        yield f"multitask.{int(found[1]) - steps}.shared.{found[2]}"
    elif found := re.fullmatch(r"decoders\.\w+\.(\d+)\.(.+)", name):
        yield f"multitask.{found[1]}.shared.{found[2]}"
