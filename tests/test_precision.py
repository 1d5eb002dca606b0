"""bfloat16 where it is faster: asked of the processor, measured once, and never on other devices."""

from __future__ import annotations

import warnings

import pytest
import torch

from lazylabels_monai import precision
from lazylabels_monai.precision import measured_gain, trains_channels_last, use_bfloat16


@pytest.fixture(autouse=True)
def forgotten():
    """Nothing measured before or after."""
    precision._is_faster.cache_clear()
    yield
    precision._is_faster.cache_clear()


def machine(monkeypatch, instructions: bool, gain: float | None = None) -> list[int]:
    """A processor with or without the instructions, so many times as fast; gives a list of the measurements taken."""
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: instructions)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    taken = []
    monkeypatch.setattr(precision, "measured_gain", lambda: taken.append(1) or gain)
    return taken


@pytest.mark.parametrize(("gain", "chosen"), [(1.6, True), (1.0, False), (0.1, False)])
def test_auto_takes_what_is_faster_and_measures_once(monkeypatch, gain, chosen):
    taken = machine(monkeypatch, True, gain)
    assert [use_bfloat16("auto", "cpu") for _ in range(3)] == [chosen] * 3
    assert len(taken) == 1


def test_auto_without_instructions_is_float32_unmeasured_and_says_nothing(monkeypatch):
    taken = machine(monkeypatch, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not use_bfloat16("auto", "cpu")
    assert not taken


def test_yes_and_no_are_not_measured(monkeypatch):
    taken = machine(monkeypatch, True, 0.1)
    assert use_bfloat16(True, "cpu")
    assert use_bfloat16("true", torch.device("cpu"))
    assert not use_bfloat16(False, "cpu")
    assert not taken
    machine(monkeypatch, False)
    with pytest.warns(UserWarning, match="no bfloat16 instructions"):
        assert not use_bfloat16(True, "cpu")


@pytest.mark.parametrize("setting", [True, "auto", False])
def test_other_devices_have_their_own_switch(monkeypatch, setting):
    taken = machine(monkeypatch, True, 9.0)
    assert not use_bfloat16(setting, "cuda:1")
    assert not taken


def test_measuring_draws_no_random_number_and_gives_a_ratio():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert 0 < measured_gain(0.01) < 100
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("instructions", "setting", "on_a_cpu"), [(True, "auto", True), (False, "auto", False), (True, False, False)]
)
def test_steps_are_in_channels_last_order_on_gpus_and_in_bfloat16(monkeypatch, instructions, setting, on_a_cpu):
    machine(monkeypatch, instructions, 1.6)
    assert trains_channels_last(2, "cpu", setting) is on_a_cpu
    assert trains_channels_last(2, "cuda", setting) is True
    assert trains_channels_last(3, "cuda", setting) is False
    assert trains_channels_last(3, "cpu", setting) is False


def test_a_training_that_goes_on_computes_as_before(monkeypatch, tmp_path):
    taken = machine(monkeypatch, True, 9.0)
    (tmp_path / "training.json").write_text('{"settings": {"bfloat16": false}}')
    assert use_bfloat16("auto", "cpu", tmp_path) is False
    assert use_bfloat16(True, "cpu", tmp_path) is True
    (tmp_path / "training.json").write_text('{"settings": {"bfloat16": true}}')
    assert use_bfloat16("auto", "cpu", tmp_path) is True
    assert not taken
    machine(monkeypatch, False)
    assert use_bfloat16("auto", "cpu", tmp_path) is False
    machine(monkeypatch, True, 9.0)
    (tmp_path / "training.json").write_text('{"settings": {}}')  # of an earlier version
    assert use_bfloat16("auto", "cpu", tmp_path) is True


def test_the_first_of_several_processes_measures_for_all(monkeypatch):
    machine(monkeypatch, True, 9.0)
    monkeypatch.setattr(precision.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(precision.dist, "broadcast_object_list", lambda found: found.__setitem__(0, 0.9))
    assert not use_bfloat16("auto", "cpu")


def test_a_process_without_the_instructions_hears_the_first_one_all_the_same(monkeypatch):
    """Else the others wait for it, or it takes what comes next for the measurement."""
    heard = []
    machine(monkeypatch, False)
    monkeypatch.setattr(precision.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(
        precision.dist, "broadcast_object_list", lambda found: heard.append(found[0]) or found.__setitem__(0, 9.0)
    )
    assert not use_bfloat16("auto", "cpu")
    assert heard == [0.0]
