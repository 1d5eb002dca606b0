"""Records of runs."""

from __future__ import annotations

import pytest

from lazylabels_monai.experiments.records import images_of, read_record, record_file
from lazylabels_monai.experiments.spec import ExperimentError, read_table


def test_kept_columns_are_those_of_the_evaluation(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "image,dice a,dice mean,interface correct,objects three maps tp,objects components tp,objects components fp\n"
        "images/x.png,0.1234567,0.1234567,,3,4.0,\n"
        "images/y.png,,,,3,0.0,2.0\n"
    )
    assert images_of(tmp_path, "components") == {
        "image": ["x", "y"],
        "dice a": [0.12346, None],
        "tp": [4, 0.0],
        "fp": [None, 2],
    }


def test_a_record_that_cannot_be_read_is_named(specs, tmp_path):
    run = next(read_table(specs / "small.yaml", "tiny").runs())
    path = record_file(tmp_path, run)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ExperimentError, match="multitask_s0"):
        read_record(tmp_path, run)
