"""Samples side by side: the answer, the gradients and the state are those of one call; what depends on others is one call."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy

import pytest
import torch
from monai.data import MetaTensor
from monai.networks.layers import DropPath
from torch import nn

from lazylabels_monai import batch_threads
from lazylabels_monai.batch_threads import answer_batch
from lazylabels_monai.networks import MultiTaskUNet


@pytest.fixture(autouse=True, params=[2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """torch's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


class Spy(nn.Module):
    """Passes a module's answers on and notes the sizes of its batches and where they were computed."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.batches: list[int] = []
        self.threads: list[tuple[str, int]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(x))
        self.threads.append((threading.current_thread().name, torch.get_num_threads()))
        return self.module(x)


def network(**options: object) -> MultiTaskUNet:
    torch.manual_seed(0)
    return MultiTaskUNet(
        num_classes=2, channels=(4, 8, 8), num_multitask_blocks=2, norm=("INSTANCE", {"affine": True}), **options
    )


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 6])
def test_answers_and_gradients_are_those_of_one_call(batch: int, threads: int) -> None:
    spread, plain = Spy(network().double()), network().double()
    inputs, weight = torch.randn(batch, 1, 24, 32, dtype=torch.float64), torch.randn(batch, 6, 24, 32, dtype=torch.float64)
    answer, expected = answer_batch(spread, inputs), plain(inputs)
    torch.testing.assert_close(answer, expected)
    (answer * weight).square().mean().backward()
    (expected * weight).square().mean().backward()
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(spread.module.get_parameter(name).grad, parameter.grad, msg=name)
    parts = math.gcd(batch, threads)
    assert spread.batches == [batch // parts] * parts
    if parts > 1:
        assert {count for _, count in spread.threads} == {threads // parts}
        assert all(name.startswith("lazylabels-batch") for name, _ in spread.threads)


@pytest.mark.parametrize("reduced", [False, True])
def test_trainings_are_alike_and_repeat(reduced: bool) -> None:
    def train(call: Callable[..., torch.Tensor]) -> tuple[list[float], MultiTaskUNet]:
        model = network().to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        generator = torch.Generator().manual_seed(1)
        losses = []
        for _ in range(8):
            inputs = torch.randn(6, 1, 64, 64, generator=generator).to(memory_format=torch.channels_last)
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
                answer = call(model, inputs)
            loss = nn.functional.cross_entropy(answer[:, :2].float(), (inputs[:, 0] > 0).long())
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses, model

    (once, first), (again, second), (plain, _) = train(answer_batch), train(answer_batch), train(lambda model, x: model(x))
    assert once == again
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert once == pytest.approx(plain, rel=1e-2 if reduced else 1e-4)


def test_gradients_do_not_depend_on_which_part_ends_first() -> None:
    """Autocast shares what it has cast among all threads, and a part that ends empties it for the others."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            once = self.conv(x)
            if torch.equal(x[0], inputs[0]) == self.first_is_late:
                time.sleep(0.3)
            return self.conv(once)

    inputs, found = torch.randn(6, 4, 32, 32, generator=torch.Generator().manual_seed(0)), []
    for late in (False, True):
        model = Twice()
        model.first_is_late = late
        with torch.autocast("cpu", torch.bfloat16):
            answer_batch(model, inputs).square().mean().backward()
        found.append(model.conv.weight.grad)
    assert torch.equal(*found)


def test_frozen_and_unused_weights() -> None:
    model = network()
    model.unused = nn.Linear(2, 2)
    for parameter in model.down.parameters():
        parameter.requires_grad_(False)
    model.double()
    plain, inputs = deepcopy(model), torch.randn(6, 1, 16, 16, dtype=torch.float64)
    answer_batch(model, inputs).sum().backward()
    plain(inputs).sum().backward()
    for name, parameter in plain.named_parameters():
        found = model.get_parameter(name).grad
        assert (found is None) == (parameter.grad is None), name
        if found is not None:
            torch.testing.assert_close(found, parameter.grad)


def test_grad_mode_and_autocast_hold_in_all_parts() -> None:
    model, inputs = network().eval(), torch.randn(6, 1, 16, 16)
    with torch.no_grad():
        assert not answer_batch(model, inputs).requires_grad
    with torch.inference_mode():
        assert answer_batch(model, inputs).is_inference()
    with torch.autocast("cpu", torch.bfloat16):
        reduced, expected = answer_batch(model, inputs), model(inputs)
    assert reduced.dtype == expected.dtype == torch.bfloat16
    assert answer_batch(model, inputs).dtype == torch.float32  # and is not left on
    torch.testing.assert_close(reduced, expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("module", "together"),
    [
        (lambda: nn.BatchNorm2d(1), True),
        (lambda: nn.Dropout(0.5), True),
        (lambda: nn.Dropout(0.0), False),
        (lambda: nn.InstanceNorm2d(1, track_running_stats=True), True),
        (lambda: nn.InstanceNorm2d(1, affine=True), False),
        (lambda: nn.GroupNorm(1, 1), False),
        (lambda: DropPath(0.5), True),
    ],
)
def test_samples_that_depend_on_each_other_or_on_chance_stay_together(module: Callable[[], nn.Module], together: bool) -> None:
    spy = Spy(module())
    answer_batch(spy, torch.randn(6, 1, 8, 8))
    assert (spy.batches == [6]) == together
    spy.eval()
    spy.batches.clear()
    answer_batch(spy, torch.randn(6, 1, 8, 8))
    assert len(spy.batches) > 1  # what is not learning keeps nothing and draws nothing


def test_what_predicts_by_chance_or_by_its_batch_stays_together() -> None:
    dropping = Spy(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Dropout(0.5))).eval()
    dropping.module[1].train()  # as `predict --dropout-samples` does
    batchwise = Spy(nn.BatchNorm2d(1, track_running_stats=False)).eval()
    for spy in (dropping, batchwise):
        answer_batch(spy, torch.randn(6, 1, 8, 8))
        assert spy.batches == [6]


def test_wrapped_networks_and_functions_are_called_as_they_are() -> None:
    sizes = []

    def function(inputs: torch.Tensor) -> torch.Tensor:
        sizes.append(len(inputs))
        return inputs

    answer_batch(function, torch.zeros(6, 1, 8, 8))
    assert sizes == [6]
    lists = nn.Module()
    lists.forward = lambda inputs: [inputs, inputs]
    assert [len(one) for one in answer_batch(lists, torch.zeros(6, 1, 8, 8))] == [6, 6]


def test_inputs_that_need_a_gradient_get_one() -> None:
    model, inputs = network(), torch.randn(6, 1, 16, 16, requires_grad=True)
    answer_batch(model, inputs).sum().backward()
    assert inputs.grad.abs().sum() > 0


def test_metadata_stay() -> None:
    inputs = MetaTensor(torch.randn(6, 1, 16, 16), meta={"filename_or_obj": list("abcdef")})
    answer = answer_batch(network(), inputs)
    assert isinstance(answer, MetaTensor)
    assert answer.meta["filename_or_obj"] == list("abcdef")
    answer.sum().backward()


def test_a_fault_is_that_of_the_network_and_ends_all_parts() -> None:
    """A retry with fewer windows at a time must not find the memory of the last attempt's other part still taken."""
    ended = []

    class Full(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.sum() == 0:
                raise RuntimeError("not enough memory: you tried to allocate")
            time.sleep(0.3)
            ended.append(1)
            return x

    inputs = torch.ones(6, 1, 8, 8)
    inputs[:3] = 0
    with pytest.raises(RuntimeError, match="not enough memory"):
        answer_batch(Full(), inputs)
    assert ended


def test_one_backward_pass() -> None:
    model, weight = network(), torch.ones(())
    answer = answer_batch(model, torch.randn(6, 1, 16, 16)).sum() * weight
    answer.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="one backward pass"):
        answer.backward()


def test_hooks_of_weights_are_called_once() -> None:
    model, calls = network(), []
    next(model.parameters()).register_hook(lambda gradient: calls.append(1))
    answer_batch(model, torch.randn(6, 1, 16, 16)).sum().backward()
    assert calls == [1]


def test_threads_of_the_caller_and_of_others_stay(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of those that begin to use torch while the parts' threads are made."""
    seen, model = [], network()

    def ask() -> None:
        torch.zeros(1000, 1000).exp()
        seen.append(torch.get_num_threads())

    def compute_with(*given: int) -> None:
        real(*given)
        others = [threading.Thread(target=ask) for _ in range(5)]
        for one in others:
            one.start()
        for one in others:
            one.join()

    real = batch_threads.compute_with
    monkeypatch.setattr(batch_threads, "compute_with", compute_with)
    batch_threads._pool.cache_clear()
    answer_batch(model, torch.randn(6, 1, 16, 16))
    ask()
    assert len(seen) > 5
    assert set(seen) == {threads}
