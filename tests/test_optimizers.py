"""The schedule of the bundle, and settings of optimizers that a checkpoint does not overrule."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from monai.optimizers import WarmupCosineSchedule
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, OneCycleLR, ReduceLROnPlateau, SequentialLR, StepLR

from lazylabels_monai.optimizers import (
    CosineAnnealingLR,
    asked_options,
    asked_schedule,
    highest_rate,
    optimizer_differences,
    options_told,
    put_back_options,
    put_back_schedule,
    scale_rates,
    scaled,
)


def weights():
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.rand(3, generator=generator)) for _ in range(2)]


def steps(optimizer, scheduler=None, number=3):
    rates = []
    for _ in range(number):
        for group in optimizer.param_groups:
            for tensor in group["params"]:
                tensor.grad = tensor.detach().clone()
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return rates


def test_the_schedule_is_torchs_and_constant_where_it_has_no_end():
    for eta_min in (0.0, 1e-3):
        ours, theirs = (torch.optim.SGD(weights(), lr=0.1) for _ in range(2))
        plain = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 5, eta_min)
        assert steps(ours, CosineAnnealingLR(ours, 5, eta_min), 7) == steps(theirs, plain, 7)
    first, second = weights()
    parts = torch.optim.SGD([{"params": [first], "lr": 0.5}, {"params": [second]}], lr=0.1)
    assert steps(parts, CosineAnnealingLR(parts, 5, None), 7) == [[0.5, 0.1]] * 7


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"weight_decay": 0.1}, {"betas": (0.5, 0.9)}),
        ({"foreach": True}, {"foreach": False, "maximize": True}),
    ],
)
def test_an_optimizer_keeps_what_it_remembers_and_has_the_settings_asked_for(before, now):
    """Against one whose groups are written over by hand."""
    own = weights()
    old = torch.optim.Adam(own, **before)
    steps(old)
    state = deepcopy(old.state_dict())
    new, plain = torch.optim.Adam(own, **now), torch.optim.Adam(own, **before)
    asked = asked_options(new)
    for optimizer in (new, plain):
        optimizer.load_state_dict(deepcopy(state))
    assert asked_options(new) != asked
    put_back_options(new, asked)
    assert asked_options(new) == asked
    plain.param_groups[0].update(torch.optim.Adam(own, **now).param_groups[0])
    begun = [tensor.detach().clone() for tensor in own]
    steps(new)
    ended = [tensor.detach().clone() for tensor in own]
    with torch.no_grad():
        for tensor, value in zip(own, begun, strict=True):
            tensor.copy_(value)
    steps(plain)
    assert all(torch.equal(*pair) for pair in zip(own, ended, strict=True))
    assert set(options_told(state, torch.optim.Adam(own, **now))) == {*before, *now}
    assert options_told(state, old) == {}


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (torch.optim.SGD, {}, "another optimizer than SGD"),
        (torch.optim.AdamW, {}, "another optimizer than AdamW"),
        (torch.optim.Adam, {"amsgrad": True}, "the optimizer's amsgrad false, not true"),
        (torch.optim.Adam, {"weight_decay": 0.3}, ""),
    ],
)
def test_which_optimizers_cannot_go_on(kind, settings, said):
    old = torch.optim.Adam(weights())
    steps(old)
    assert "; ".join(optimizer_differences(old.state_dict(), kind(weights(), **settings))) == said


def test_an_optimizer_of_other_weights_and_a_new_memory_cannot_go_on():
    old = torch.optim.RMSprop(weights())
    assert optimizer_differences(old.state_dict(), torch.optim.RMSprop(weights()[:1])) == [
        "an optimizer of [2] tensors in its groups, not [1]"
    ]
    assert optimizer_differences(old.state_dict(), torch.optim.RMSprop(weights(), momentum=0.9)) == [
        "the optimizer's momentum 0, not 0.9"
    ]
    assert optimizer_differences({}, old) == []


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (lambda o: CosineAnnealingLR(o, 10, None), lambda o: CosineAnnealingLR(o, 20, 0.0)),
        (lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10, 0.1), lambda o: CosineAnnealingLR(o, 20, None)),
        (lambda o: StepLR(o, 2, 0.1), lambda o: StepLR(o, 3, 0.5)),
        (lambda o: LambdaLR(o, lambda e: 0.9**e), lambda o: LambdaLR(o, lambda e: 0.5**e)),
        (lambda o: WarmupCosineSchedule(o, 2, 10), lambda o: WarmupCosineSchedule(o, 2, 20)),
    ],
)
def test_a_schedule_goes_on_as_the_one_asked_for_would(before, now):
    """Against that schedule from the first epoch on."""
    old = torch.optim.SGD(weights(), lr=0.1)
    scheduler = before(old)
    steps(old, scheduler, 4)
    new, plain = (torch.optim.SGD(weights(), lr=0.3) for _ in range(2))
    resumed = now(new)
    asked = asked_schedule(resumed)
    new.load_state_dict(old.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    put_back_schedule(resumed, asked)
    expected = steps(plain, now(plain), 8)[4:]
    assert [rate for (rate,) in steps(new, resumed, 4)] == pytest.approx([rate for (rate,) in expected])


def test_a_schedule_that_depends_on_scores_is_left_alone():
    optimizer = torch.optim.SGD(weights(), lr=0.1)
    scheduler = ReduceLROnPlateau(optimizer)
    assert asked_schedule(scheduler) == {}
    put_back_schedule(scheduler, {})
    assert optimizer.param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(("decay", "expected"), [(False, [0.01] * 3), (True, [0.01, 0.0075, 0.0025])])
def test_a_rate_of_the_optimizers_own_is_the_one_that_holds(bundle, tiny_data, tmp_path, decay, expected):
    """Whatever learning_rate says: constant, or along the half cosine (1 + cos(pi epoch / 3)) / 2 from it to zero."""
    given = {**bundle.overrides(tiny_data, tmp_path), **bundle.training, "max_epochs": 3, "lr_decay": decay}
    given |= {"optimizer#lr": 0.01, "learning_rate": 1e-3}
    with bundle.workflow(bundle.files("train.yaml"), "train", init_id="nothing", **given) as workflow:
        optimizer, scheduler = (workflow.parser.get_parsed_content(name) for name in ("optimizer", "lr_scheduler"))
        assert [rate for (rate,) in steps(optimizer, scheduler)] == pytest.approx(expected)


def test_parts_of_a_network_keep_rates_of_their_own(bundle, tiny_data, tmp_path):
    given = {**bundle.overrides(tiny_data, tmp_path), **bundle.training}
    given["optimizer#params"] = "$[{'params': [p], 'lr': 0.1 * n} for n, p in enumerate([*@network.parameters()][:3], 1)]"
    with bundle.workflow(bundle.files("train.yaml"), "train", init_id="nothing", **given) as workflow:
        optimizer, scheduler = (workflow.parser.get_parsed_content(name) for name in ("optimizer", "lr_scheduler"))
        assert steps(optimizer, scheduler, 4) == [pytest.approx([0.1, 0.2, 0.3])] * 4


SCHEDULES = {
    "no decay": lambda optimizer, factor: CosineAnnealingLR(optimizer, 5, None),
    "cosine": lambda optimizer, factor: CosineAnnealingLR(optimizer, 5, 0.0),
    "lambda": lambda optimizer, factor: LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch)),
    "step": lambda optimizer, factor: StepLR(optimizer, 2, 0.5),
    "warm-up": lambda optimizer, factor: WarmupCosineSchedule(optimizer, 2, 5),
    "one cycle": lambda optimizer, factor: OneCycleLR(optimizer, [0.4 * factor, 0.8 * factor], total_steps=8),
    "cycles": lambda optimizer, factor: CyclicLR(optimizer, 0.1 * factor, 0.8 * factor, 2, cycle_momentum=False),
    "sequence": lambda optimizer, factor: SequentialLR(
        optimizer, [StepLR(optimizer, 1, 0.5), CosineAnnealingLR(optimizer, 5, 0.0)], milestones=[2]
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_that_are_multiplied_are_those_of_an_optimizer_made_with_them(name):
    found = []
    for made_with, factor in ((0.1, 1.0), (1.0, 0.1)):
        first, second = weights()
        groups = [{"params": [first], "lr": 0.5 * made_with}, {"params": [second]}]
        optimizer = torch.optim.SGD(groups, lr=0.1 * made_with, momentum=0.9)
        scheduler = SCHEDULES[name](optimizer, made_with)
        scale_rates(optimizer, scheduler, factor)
        assert scheduler.get_last_lr() == [group["lr"] for group in optimizer.param_groups]
        found.append(steps(optimizer, scheduler, 6))
    assert found[0] == [pytest.approx(rates) for rates in found[1]]
    assert found[0][0] != [0.5, 0.1]


def test_an_optimizer_that_finds_its_rate_by_itself_has_none():
    (one, _) = weights()
    own = torch.optim.SGD([one], lr=0.1)
    own.param_groups[0]["lr"] = None
    assert highest_rate(own) == 0.0
    assert highest_rate(torch.optim.SGD([{"params": [one], "lr": 0.3}], lr=0.1)) == 0.3


def test_the_highest_rate_is_one_that_a_schedule_leads_to():
    optimizer = torch.optim.SGD(weights(), lr=0.1)
    assert highest_rate(optimizer, CyclicLR(optimizer, 0.01, 0.8, cycle_momentum=False)) == 0.8
    assert highest_rate(optimizer, CosineAnnealingLR(optimizer, 5, None)) == 0.01


def test_options_that_are_put_back_leave_the_rates_of_a_schedule_as_they_are():
    """torch's OneCycleLR keeps them in the optimizer's groups."""
    optimizer, made_again = (torch.optim.SGD(weights(), lr=0.1) for _ in range(2))
    schedule, _ = (OneCycleLR(each, 0.4, total_steps=8) for each in (optimizer, made_again))
    scale_rates(optimizer, schedule, 0.1)
    state = optimizer.state_dict()
    assert options_told(state, made_again) == {}
    asked = asked_options(made_again)
    made_again.load_state_dict(state)
    put_back_options(made_again, asked)
    assert made_again.param_groups[0]["max_lr"] == pytest.approx(0.04)


def test_a_schedule_that_is_put_back_begins_from_multiplied_rates():
    optimizer = torch.optim.SGD(weights(), lr=0.1)
    scheduler = CosineAnnealingLR(optimizer, 5, 0.0)
    asked = asked_schedule(scheduler)
    scale_rates(optimizer, scheduler, 0.1)
    expected = steps(optimizer, scheduler, 3)
    put_back_schedule(scheduler, scaled(asked, 0.1))
    again = steps(optimizer, scheduler, 3)
    plain = torch.optim.SGD(weights(), lr=0.01)
    assert [*expected, *again] == [pytest.approx(r) for r in steps(plain, CosineAnnealingLR(plain, 5, 0.0), 6)]
    assert scaled({}, 0.1) == {}  # of one whose rates cannot be told: the checkpoint brings them
