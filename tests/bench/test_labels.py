"""``bench`` of the label makers measures what it says."""

from __future__ import annotations

import pytest

from lazylabels_monai.bench.labels import disc_map, format_label_bench, run_label_bench
from lazylabels_monai.labels.interfaces import touching_pairs


def test_bench_measures_what_it_says():
    result = run_label_bench((60, 80), 20, steps=("blob", "interfaces"))
    assert result["blob"]["found"] == disc_map((60, 80), 20).max() == 20
    assert result["interfaces"]["found"] == len(touching_pairs(disc_map((60, 80), 20)))
    assert result["blob"]["seconds"] > 0
    assert result["blob"]["peak MiB"] >= result["blob"]["before MiB"] > 0
    assert "60 x 80" in format_label_bench(result)
    with pytest.raises(ValueError, match="too small"):
        run_label_bench((4, 80), 20)
