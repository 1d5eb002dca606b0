"""Tables say what the records say."""

from __future__ import annotations

import csv

import pytest
import yaml

from lazylabels_monai.experiments.records import write_record
from lazylabels_monai.experiments.spec import read_table
from lazylabels_monai.experiments.tables import write_table
from tests.experiments.places import record, scores, write_spec


def test_a_table_says_what_the_records_say(specs, tmp_path):
    table = read_table(write_spec(specs, methods=["multitask", "unet_strong"], reference="multitask"), "tiny")
    ours, theirs = table.runs()
    write_record(tmp_path, ours, record(testing=scores([0.9, 0.8, 0.7], [(8, 1, 1), (9, 0, 0), (7, 1, 2)])))
    write_record(tmp_path, theirs, record(testing=scores([0.8, 0.7, 0.6], [(2, 5, 5), (1, 5, 8), (3, 6, 6)])))
    paths = write_table(table, tmp_path)
    assert [path.name for path in paths] == ["small_tiny.md", "small_tiny.csv", "small_tiny_scores.png"]  # no curve was kept
    page = paths[0].read_text()
    assert "| multi-task | 1 of 1 | 0.800 | " in page
    assert "| U-Net on strong labels | +0.100 (+0.100 to +0.100) better, one seed |" in page
    assert "| +33 % |" in page  # of the error: 0.3 became 0.2
    assert "not done yet" not in page
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["dice mean"]) for row in rows] == pytest.approx([0.8, 0.7])
    assert float(rows[0]["f1@0.5"]) == pytest.approx(2 * 24 / (2 * 24 + 2 + 3))


def test_a_run_in_two_groups_is_counted_once(specs, tmp_path):
    path = specs / "twice.yaml"
    groups = [{"set": "synthetic", "methods": ["multitask", other]} for other in ("unet_full", "unet_strong")]
    path.write_text(yaml.safe_dump({"title": "Twice", "groups": groups}))
    table = read_table(path, "tiny")
    write_record(tmp_path, next(table.runs()), record(testing=scores([0.9], [(1, 0, 0)])))
    page = write_table(table, tmp_path)[0].read_text()
    assert "2 of 3 runs are not done yet" in page
    assert "- 1 runs, 0.1 hours" in page  # 3 minutes


def test_a_run_that_is_missing_is_said_to_be(specs, tmp_path):
    table = read_table(write_spec(specs, methods=["multitask", "unet_strong"]), "tiny")
    page = write_table(table, tmp_path)[0].read_text()
    assert "None of 2 runs is done yet" in page
    write_record(tmp_path, next(table.runs()), record(testing=scores([0.9], [(1, 0, 0)])))
    page = write_table(table, tmp_path)[0].read_text()
    assert "1 of 2 runs are not done yet" in page
    assert "| U-Net on strong labels | 0 of 1 | - |" in page
