"""Part ``training`` of ``bench``: what it times, at a size for tests, and what it makes of the figures."""

from __future__ import annotations

import pytest

from lazylabels_monai.bench.timing import Times
from lazylabels_monai.bench.training import measure, shares
from lazylabels_monai.cli.bench import PARTS


def test_crops_steps_and_windows_are_timed(tiny_data, bundle):
    found = measure(tiny_data, repeats=2, **{**bundle.network, **bundle.training})
    assert {name: len(times.wall) for name, times in found["times"].items()} == dict.fromkeys(
        ("crops before", "crops", "step", "window"), 2
    )
    assert (found["batch"], found["steps"], found["epochs"], found["crop"]) == (4, 2, 2, 32 * 32)
    assert (found["validations"], found["count"], found["final"]) == (2, 0, 0)  # so small that whole images cost nothing
    assert found["windows"] == found["whole"] > 0
    assert "training" in PARTS


def test_what_the_figures_mean():
    def took(seconds: float) -> Times:
        return Times((9.0,), (seconds,))

    times = {"crops before": took(0.8), "crops": took(0.08), "step": took(0.38), "window": took(0.1)}
    found = {"times": times, "batch": 2, "steps": 80, "epochs": 30, "validations": 6, "crop": 1000, "window": 1000}
    said = shares(found | {"whole": 2_000_000, "windows": 100_000, "final": 400_000})
    assert said["crop [ms]"] == pytest.approx(10)
    assert said["waiting"] == pytest.approx(0.02 / 0.40)
    assert said["waiting before"] == pytest.approx(0.2 / 0.58)
    training = 2400 * 0.4
    assert said["validation whole"] == pytest.approx(1200 / (1200 + training))
    assert said["validation"] == pytest.approx((60 + 40) / (100 + training))
    assert said["step cost"] == pytest.approx(0.38 / 2000 / 1e-4)
