"""The learning rate of a training, and what optimizer and schedule are when it goes on from a checkpoint.

A checkpoint brings all settings of both along, so that others that were asked for would be without effect.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from lazylabels_monai.json_values import as_json

__all__ = [
    "CosineAnnealingLR",
    "asked_options",
    "asked_schedule",
    "highest_rate",
    "optimizer_differences",
    "options_told",
    "put_back_options",
    "put_back_schedule",
    "scale_rates",
    "scaled",
]

#: Of a group of an optimizer: the rate, that of the beginning, and what torch's OneCycleLR leads it between.
_RATES = ("lr", "initial_lr", "max_lr", "min_lr")
#: Of a schedule: the rates that it begins from, the last ones, and those that torch's CyclicLR leads to.
_SCHEDULED = ("base_lrs", "_last_lr", "max_lrs")
#: Its weights, and what is a schedule's.
_MOVING = ("params", *_RATES)
#: Settings that say what an optimizer remembers of each weight: a state without it cannot go on with it.
_REMEMBERED = ("amsgrad", "centered")


class CosineAnnealingLR(torch.optim.lr_scheduler.CosineAnnealingLR):
    """torch's, and no decay where ``eta_min`` is None: each group of the optimizer keeps the rate that it has.

    torch's ends at one rate for all, whatever the optimizer began with.
    """

    def get_lr(self) -> list[Any]:
        """The rates of the epoch to come."""
        return list(self.base_lrs) if self.eta_min is None else super().get_lr()

    def _get_closed_form_lr(self) -> list[Any]:
        return list(self.base_lrs) if self.eta_min is None else super()._get_closed_form_lr()


def asked_options(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Settings of each of an optimizer's groups, such as betas and weight_decay, without its rate."""
    return [_options(group) for group in optimizer.param_groups]


def _options(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key not in _MOVING}


def put_back_options(optimizer: torch.optim.Optimizer, asked: list[dict[str, Any]]) -> None:
    """Let an optimizer have the settings that :func:`asked_options` gave; what it remembers of the weights stays."""
    if as_json(asked) == as_json(asked_options(optimizer)):
        return
    state = optimizer.state_dict()
    for group, options in zip(state["param_groups"], asked, strict=True):
        group.update(options)
    optimizer.load_state_dict(state)  # which moves what it remembers to where the settings want it


def optimizer_differences(state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> list[str]:
    """Why an optimizer cannot go on from a state; empty where it can.

    Args:
        state: ``state_dict`` of the optimizer before.
        optimizer: the one that is to go on.
    """
    groups, name = state.get("param_groups") or [{}], type(optimizer).__name__
    if not groups[0]:
        return []
    first, own = groups[0], optimizer.param_groups[0]
    decoupled = first.get("decoupled_weight_decay") != own.get("decoupled_weight_decay")  # Adam's and AdamW's other difference
    if set(first) - {"initial_lr"} != set(own) - {"initial_lr"} or decoupled:
        return [f"another optimizer than {name}"]
    sizes, now = ([len(group["params"]) for group in each] for each in (groups, optimizer.param_groups))
    if sizes != now:
        return [f"an optimizer of {sizes} tensors in its groups, not {now}"]
    remembered = (*_REMEMBERED, *(["momentum"] if isinstance(optimizer, torch.optim.RMSprop) else []))
    return [
        f"the optimizer's {key} {json.dumps(old[key])}, not {json.dumps(new[key])}"
        for old, new in zip(groups[:1], optimizer.param_groups, strict=False)
        for key in remembered
        if key in old and bool(old[key]) != bool(new[key])
    ]


def options_told(state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, tuple[Any, Any]]:
    """Settings of an optimizer that are others than in a state: by their names the value now and that before."""
    found = {}
    for old, new in zip(state.get("param_groups") or (), optimizer.param_groups, strict=False):
        for key, value in as_json(_options(new)).items():
            if key in old and (before := as_json(_options(old))[key]) != value:
                found.setdefault(key, (value, before))
    return found


def asked_schedule(scheduler: Any) -> dict[str, Any]:
    """What a schedule was made with; empty for one whose rates cannot be told from that and the epoch."""
    if not (isinstance(scheduler, LambdaLR) or hasattr(scheduler, "_get_closed_form_lr")):
        return {}
    kept = ("optimizer", "last_epoch", "lr_lambdas")
    return {key: value for key, value in vars(scheduler).items() if not key.startswith("_") and key not in kept}


def highest_rate(optimizer: torch.optim.Optimizer, scheduler: Any = None) -> float:
    """Of those that an optimizer's groups have or will have along a schedule."""
    rates = [group.get(key) for group in optimizer.param_groups for key in _RATES]
    rates += getattr(scheduler, "max_lrs", [])
    return max((float(rate) for rate in rates if rate is not None), default=0.0)  # some optimizers find theirs by themselves


def scale_rates(optimizer: torch.optim.Optimizer, scheduler: Any, factor: float) -> None:
    """Multiply the rates of an optimizer's groups, and those that its schedule begins from, before the first step."""
    for group in optimizer.param_groups:
        group.update({key: group[key] * factor for key in _RATES if group.get(key) is not None})
    for one in (scheduler, *getattr(scheduler, "_schedulers", ())):  # of a SequentialLR, its parts as well
        for key, value in scaled(vars(one), factor).items():
            setattr(one, key, value)


def scaled(schedule: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """What :func:`asked_schedule` gave, beginning from rates that are multiplied."""
    return {key: [rate * factor for rate in value] if key in _SCHEDULED else value for key, value in schedule.items()}


def put_back_schedule(scheduler: Any, asked: Mapping[str, Any]) -> None:
    """Let a schedule go on from its epoch with what :func:`asked_schedule` gave, and its optimizer with that rate."""
    if not asked or asked == asked_schedule(scheduler):
        return
    for key, value in asked.items():
        setattr(scheduler, key, value)
    if isinstance(scheduler, LambdaLR):
        factors = [factor(scheduler.last_epoch) for factor in scheduler.lr_lambdas]
        rates = [base * factor for base, factor in zip(scheduler.base_lrs, factors, strict=True)]
    else:
        rates = scheduler._get_closed_form_lr()
    for group, rate, base in zip(scheduler.optimizer.param_groups, rates, scheduler.base_lrs, strict=True):
        group["lr"], group["initial_lr"] = rate, base
    scheduler._last_lr = list(rates)
