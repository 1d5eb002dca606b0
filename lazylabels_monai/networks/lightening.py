"""What a lighter :class:`~lazylabels_monai.networks.MultiTaskUNet` can take over from weights of one that is less light.

- Where R and G have fewer channels at the finest resolution, those that weigh most in what comes after them are kept (Li et al.
  2017, pruning by the sum of absolute weights; what a normalization multiplies by counts, too).
- A depthwise convolution takes, for each output channel, the product of one factor for each input channel and one kernel that
  is nearest to the full filter: the first term of its singular value decomposition.

Neither gives the same answer as before, only a better beginning than none.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["lightened", "rank_one"]


def lightened(given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names and in the shapes of a lighter network, as far as they can be made.

    Args:
        given: state dict of the weights.
        own: state dict of the network that takes them; only names and shapes count.

    Returns:
        those that ``given`` does not hold in this shape; empty where the network is no lighter.
    """
    made: dict[str, Tensor] = {}
    blocks = sorted({name.rpartition(".separation.")[0] for name in own if ".separation." in name})
    blocks += [name.removesuffix(".residual.0.conv.weight") for name in own if name.endswith(".residual.0.conv.weight")]
    for block in dict.fromkeys(name for name in blocks if name.startswith("multitask.")):
        _narrow_residual(block, given, own, made)
        _narrow_separation(block, given, own, made)
        _depthwise(block, {**given, **made}, own, made)
    return made


def rank_one(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest filters whose kernels are multiples of one another for each output channel.

    Args:
        weight: (K, C, 3, 3[, 3]).

    Returns:
        (K, C, 1, 1[, 1]) and (K, 1, 3, 3[, 3]), whose product they are.
    """
    flat = weight.float().flatten(2)
    left, values, right = torch.linalg.svd(flat, full_matrices=False)
    root = values[:, 0].sqrt()[:, None]
    ones = [1] * (weight.ndim - 2)
    return (left[:, :, 0] * root).reshape(*weight.shape[:2], *ones), (right[:, 0] * root).reshape(
        len(weight), 1, *weight.shape[2:]
    )


def _strongest(of_next: Tensor, norm: Tensor | None, count: int) -> Tensor:
    """Places of the channels that weigh most in the next layer (K, C, ...), in their order."""
    weight = of_next.float().abs().transpose(0, 1).flatten(1).sum(1)
    if norm is not None:
        weight = weight * norm.float().abs()
    return weight.topk(count).indices.sort().values


def _rows(prefix: str, keep: Tensor, given: Mapping[str, Tensor], made: dict[str, Tensor]) -> None:
    """Of every tensor below a name the rows that are kept."""
    for name, value in given.items():
        if name.startswith(prefix) and value.ndim:
            made[name] = value[keep]


def _narrow_residual(block: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor], made: dict[str, Tensor]) -> None:
    first, second = f"{block}.residual.0", f"{block}.residual.1.conv.weight"
    if not _is_narrower(f"{first}.conv.weight", given, own) or second not in given:
        return
    keep = _strongest(given[second], given.get(f"{first}.adn.N.weight"), len(own[f"{first}.conv.weight"]))
    _rows(f"{first}.", keep, given, made)
    made[second] = given[second][:, keep]


def _narrow_separation(block: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor], made: dict[str, Tensor]) -> None:
    first, tail, head = f"{block}.separation", f"{block}.separation.tails.0", "heads.separation.conv.weight"
    if (
        not _is_narrower(f"{first}.conv_skip.conv.weight", given, own)
        or f"{tail}.1.conv.weight" not in given
        or head not in given
    ):
        return
    count = len(own[f"{first}.conv_skip.conv.weight"])
    last = given[head].float()
    last = _strongest(last - last.mean(0), given.get(f"{tail}.1.adn.N.weight"), count)  # what tells its classes apart
    second = given[f"{tail}.1.conv.weight"][last]
    keep = _strongest(second, given.get(f"{tail}.0.N.weight"), count)
    for prefix in (f"{first}.conv_up.", f"{first}.conv_skip.", f"{tail}.0."):
        _rows(prefix, keep, given, made)
    _rows(f"{tail}.1.", last, given, made)
    made[f"{tail}.1.conv.weight"] = second[:, keep]
    made[head] = given[head][:, last]


def _depthwise(block: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor], made: dict[str, Tensor]) -> None:
    merge = f"{block}.separation"
    up, skip, second = (f"{merge}.{name}.conv.weight" for name in ("conv_up", "conv_skip", "tails.0.1"))
    if f"{merge}.tail.0.conv.weight" not in own or not {up, skip, second} <= set(given):
        return
    by_channel, kernels = rank_one(torch.cat([given[up], given[skip]], dim=1))
    made[up], made[skip] = by_channel.split([given[up].shape[1], given[skip].shape[1]], dim=1)
    made[f"{merge}.tail.0.conv.weight"] = kernels
    made[f"{merge}.tail.1.conv.weight"], made[f"{merge}.tail.2.conv.weight"] = rank_one(given[second])
    renamed = {
        f"{merge}.conv_skip.conv.bias": f"{merge}.tail.0.conv.bias",
        f"{merge}.tails.0.1.conv.bias": f"{merge}.tail.2.conv.bias",
    }
    for name, value in given.items():
        for before, after in (
            (f"{merge}.tails.0.0.", f"{merge}.tail.0.adn."),
            (f"{merge}.tails.0.1.adn.", f"{merge}.tail.2.adn."),
        ):
            if name.startswith(before):
                made[after + name.removeprefix(before)] = value
        if name in renamed:
            made[renamed[name]] = value


def _is_narrower(name: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    return name in given and name in own and len(own[name]) < len(given[name])
