"""``bench`` of the network: what it times, at a size for tests."""

from __future__ import annotations

from lazylabels_monai.bench import network
from lazylabels_monai.bench.network import format_bench, run_bench


def test_training_steps_and_predictions_are_timed(monkeypatch):
    asked = []

    def seconds(call, repeats, device):
        call()
        asked.append((repeats, device.type))
        return 0.25

    monkeypatch.setattr(network, "_seconds", seconds)
    result = run_bench(steps=4, channels=(4, 4, 4, 4, 8), batch_size=2, crop=16, image=(24, 40))
    assert asked == [(4, "cpu"), (2, "cpu")]
    assert result["training step [s]"] == result["prediction [s]"] == 0.25
    assert result["training crops/s"] == 2 / 0.25
    assert (result["channels"], result["image"]) == ((4, 4, 4, 4, 8), (24, 40))
    assert "training crops/s    8.000" in format_bench(result).splitlines()


def test_the_median_of_real_calls_counts_and_the_first_does_not():
    import torch

    calls = []
    assert network._seconds(lambda: calls.append(1), 3, torch.device("cpu")) >= 0
    assert len(calls) > 3  # a call before the clock runs
