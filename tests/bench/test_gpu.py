"""Part ``gpu`` of ``bench``: what its tables make of the records, whole or cut."""

from __future__ import annotations

import json

import pytest

from lazylabels_monai.bench.gpu import FIGURES, read_records, section
from lazylabels_monai.errors import LazyLabelsError
from tests.helpers import ROOT

MACHINE = {"date": "2026-11-27", "device": "a GPU", "cores": "16", "versions": "Python 3.12, torch 2.11", "whole": True}
RECORDS = {
    "peak": {"size": 8192, "flops": {"TF32": 4e14, "float16": 8e14, "bfloat16": 8e14}, "bytes": 3e12},
    "training": {
        **{"channels": [32, 64], "batch": 16, "crop": [256, 256], "step_flops": 2e12},
        "steps": {"float32": {"seconds": 0.05, "memory": 2**33}, "float16": {"seconds": 0.02, "memory": 2**32}},
        "loops": [{"workers": 4, "amp": True, "step": 0.08, "steps": 40, "waiting": 0.5, "busy": 0.25}],
    },
    "prediction": {
        **{"picture": [2000, 2000], "window": [512, 512], "window_flops": 10**11},
        "ways": [
            {"precision": "float16", "batch": 2, "asked": "three tasks", "seconds": 0.1, "windows": 49, "memory": 2**30},
            {
                "precision": "float16",
                "batch": 2,
                "asked": "segmentation alone",
                "seconds": 0.05,
                "windows": None,
                "memory": 2**30,
            },
        ],
    },
    "score": {
        **{"batch": 16, "seconds": 300.4, "steps": 3000, "epochs": 150, "curve_of": "val_mean_dice"},
        "curve": [[20.0, 5, 0.5], [150.0, 75, 0.81], [290.0, 145, 0.8]],
        "score": {
            **{"images": 100, "segmentation": {"dice": {"mean": 0.8123}}, "objects": {"f1@0.5": 0.6}},
            "separation": {"precision": 0.7, "recall": None},
        },
    },
    "resume": {"planned": 8, "cases": {"amp=True": {"verdicts": {"resumed": "PASS", "SIGTERM": "PASS"}, "faults": []}}},
}


def write(folder, **records):
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(MACHINE | record))
    return folder


def test_the_figures_are_worked_out(tmp_path):
    text = section(folder=write(tmp_path, **RECORDS))
    assert "a GPU, 16 CPU cores" in text
    # 2 TFLOP in 50 ms are 40 TFLOP/s of TF32's 400, in 20 ms 100 of 800; 16 images each
    assert "| float32 | 50.0 | 320.0 | 40.0 | 10 % | 8.0 |" in text
    assert "| float16 | 20.0 | 800.0 | 100.0 | 12 % | 4.0 |" in text
    assert "| mixed precision, 4 loader workers | 200.0 | 50 % | 25 % |" in text
    # 4 Mpixel in 100 ms; 49 windows of 0.1 TFLOP
    assert "| float16 | 2 | three tasks | 40.00 | 49.0 | 6 % | 1.0 |" in text
    assert "| float16 | 2 | segmentation alone | 80.00 | - | - | 1.0 |" in text
    assert "150 epochs, 3000 steps, 48000 crops" in text
    assert "0.8100 after 150 s (epoch 75)" in text
    assert "| 100 | 0.812 | 0.600 | 0.700 | - |" in text
    assert "1 of 8 cases, 0 faults" in text
    assert "rehearsal" not in text
    assert "not run" not in text


@pytest.mark.parametrize("stage", FIGURES)
def test_any_part_may_be_missing(tmp_path, stage):
    text = section(folder=write(tmp_path, **{name: record for name, record in RECORDS.items() if name != stage}))
    assert f"{stage}: not run." in text


@pytest.mark.parametrize("stage", FIGURES)
def test_any_part_may_have_been_cut_at_any_figure(tmp_path, stage):
    """A record grows key by key; each of its beginnings makes a table."""
    keys = list(RECORDS[stage])
    for count in range(len(keys)):
        write(tmp_path, **{stage: {"whole": False, **{key: RECORDS[stage][key] for key in keys[:count]}}})
        assert f"{stage}: stopped before its end" in section(folder=tmp_path)


def test_a_rehearsal_is_not_taken_for_figures(tmp_path):
    write(tmp_path, peak={**RECORDS["peak"], "quick": True})
    assert "these figures say nothing" in section(folder=tmp_path)


def test_what_is_no_folder_of_records_is_said(tmp_path):
    with pytest.raises(LazyLabelsError, match="--from FOLDER"):
        section()
    write(tmp_path, imports={})
    with pytest.raises(LazyLabelsError, match="holds no figures of a GPU"):
        section(folder=tmp_path)
    (tmp_path / "peak.json").write_text('{"size": 81')
    with pytest.raises(LazyLabelsError, match=r"peak\.json is no whole record"):
        read_records(tmp_path)


def test_the_page_says_that_it_was_not_run_or_whose_figures_stand_there():
    page = (ROOT / "docs" / "performance.md").read_text()
    own = page.partition("<!-- bench gpu -->\n")[2].partition("\n<!-- end of gpu -->")[0]
    assert own == "Not run on a GPU yet: no figure here." or own.startswith("`benchmarks/gpu.sh`, ")
    assert "rehearsal" not in own
