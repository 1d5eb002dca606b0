"""``bench`` of the metrics times each score."""

from __future__ import annotations

import pytest

from lazylabels_monai.bench.metrics import format_metric_bench, run_metric_bench


def test_bench_times_each_score():
    result = run_metric_bench((64, 64), objects=9, repeats=1)
    assert (result["predicted"], result["true"], result["matched"]) == (9, 9, 9)
    text = format_metric_bench(result)
    assert text.startswith("maps of 64 x 64 pixels, 9 predicted and 9 true objects, 9 matched\nmatching at one IoU ")
    assert len(text.splitlines()) == 8
    with pytest.raises(ValueError, match="give more of them"):
        run_metric_bench(objects=0)
