"""Rows of a table, compared."""

from __future__ import annotations

import yaml

from lazylabels_monai.experiments.records import write_record
from lazylabels_monai.experiments.rows import compare_rows, read_rows
from lazylabels_monai.experiments.spec import read_table
from lazylabels_monai.experiments.tables import write_table
from tests.experiments.places import record, scores, write_spec


def test_pairs_of_all_groups_are_counted_once_and_by_set(specs, tmp_path):
    path = specs / "pairs.yaml"
    groups = [
        {"set": "synthetic", "methods": ["multitask_no_detection", "multitask"], "reference": "multitask"},
        {"set": "superalloy", "methods": ["unet_full", "multitask"], "reference": "multitask", "seeds": [0]},
    ]
    path.write_text(yaml.safe_dump({"title": "Pairs", "seeds": [0, 1], "groups": groups}))
    table = read_table(path, "tiny")
    assert [(run.dataset.name, run.seed) for run in table.runs()] == [
        *[("synthetic", 0)] * 2,
        *[("superalloy", 0)] * 2,
        *[("synthetic", 1)] * 2,
    ]
    assert {group.seeds for group in table.with_seeds([3]).groups} == {(3,)}
    dice = {("synthetic", 0): (0.7, 0.8), ("synthetic", 1): (0.6, 0.5), ("superalloy", 0): (0.9, 0.93)}
    for run in table.runs():
        first = run.method.name == "multitask"
        scored = scores([dice[run.dataset.name, run.seed][first]], [(2, 1, 1) if first else (3, 0, 0)])
        write_record(tmp_path, run, record(testing=scored, curves={"loss/total": [[1, 3.0], [2, 0.5 if first else 0.75]]}))
    page = write_table(table, tmp_path)[0].read_text()
    f1, loss = (f"-{value} (-{value} to -{value}), above 0 in 0" for value in ("0.333", "0.250"))
    assert f"microstructures | 2 | +0.000 (-0.100 to +0.100), above 0 in 1 | {f1} | {loss} |" in page
    assert "| superalloy | 1 | +0.030, above 0 in 1 | -0.333, above 0 in 0 | - |" in page
    assert f"| all | 3 | +0.010 (-0.100 to +0.100), above 0 in 2 | {f1} | {loss} |" in page


def test_other_test_images_are_not_compared(specs, tmp_path):
    table = read_table(write_spec(specs, methods=["multitask", "unet_strong"]), "tiny")
    ours, theirs = table.runs()
    write_record(tmp_path, ours, record(testing=scores([0.9, 0.8], [(1, 0, 0), (1, 0, 0)])))
    other = scores([0.9, 0.8], [(1, 0, 0), (1, 0, 0)])
    other["images"]["image"] = ["i0", "another"]
    write_record(tmp_path, theirs, record(testing=other))
    assert compare_rows(*read_rows(table, table.groups[0], tmp_path)) == {}
