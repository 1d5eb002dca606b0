"""The check as a whole: reports, and real sets without an error."""

from __future__ import annotations

import json
import logging

import pytest

from lazylabels_monai.data.checking import CheckReport, check_datalist
from lazylabels_monai.data.datalist import (
    SECTIONS,
    DatalistError,
    summary_table,
)
from tests.data.small_set import CLASSES, DataSet


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path)


def test_sound_data_set_has_no_finding(data):
    report = data.check(sections=SECTIONS, classes=CLASSES)
    assert report.errors == []
    assert report.warnings == []
    assert report.raise_errors() is report
    assert report.table == summary_table(data.root) == summary_table(data.content)


def test_report_logs(data, caplog):
    report = CheckReport(errors=[], warnings=["look here."], table="table")
    with caplog.at_level(logging.INFO, "lazylabels_monai"):
        assert report.log() is report
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "Data set:\ntable"),
        ("WARNING", "look here."),
    ]


def test_all_findings_are_collected(data):
    for i in range(30):
        data.content["training"].append({"image": f"images/none{i}.png", "detection": "detection/a.png"})
    data.content["testing"][0]["segmentation"] = "nowhere.png"
    report = data.check()
    assert len(report.errors) == 31
    with pytest.raises(DatalistError) as error:
        report.raise_errors()
    assert len(str(error.value).splitlines()) == 21
    assert str(error.value).endswith("... and 11 more.")
    with pytest.raises(DatalistError, match=r"and 30 more\.$"):
        report.raise_errors(limit=1)


@pytest.mark.real_data
def test_superalloy(data_root, tmp_path):
    folders = {"training": "train", "validation": "val", "testing": "test"}
    content = {"classes": ["secondary", "tertiary"]}
    for section, folder in folders.items():
        names = sorted(p.name for p in (data_root / "superalloy" / folder / "images").glob("*.png"))
        base = data_root / "superalloy" / folder
        content[section] = [{"image": f"{base}/images/{n}", "segmentation": f"{base}/classes/{n}"} for n in names]
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    report = check_datalist(tmp_path, SECTIONS, tasks=["segmentation"])
    assert report.errors == report.warnings == []
    assert [line.split()[1] for line in report.table.splitlines()[1:4]] == ["10", "4", "4"]
    # one class too few in the file: every mask is named
    content["classes"].pop()
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    errors = check_datalist(tmp_path, SECTIONS, tasks=["segmentation"]).errors
    assert len(errors) == 18
    assert all("has the values 2 where 0 to 1 and 255" in error for error in errors)


@pytest.mark.real_data
def test_what_people_drew(data_root, tmp_path):
    """Sparse outlines given as instances; given as a strong mask they are refused."""
    base = data_root / "human_lazy/bbbc007"
    names = sorted(p.name for p in (base / "images").glob("*.png"))
    items = [{"image": f"{base}/images/{n}", "instances": f"{base}/sparse/{n}"} for n in names]
    content = {"classes": ["nucleus"], "training": [], "testing": items}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    assert len(items) == 6
    assert check_datalist(tmp_path, ["testing"]).errors == []
    for entry in items:
        entry["segmentation"] = entry.pop("instances")
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    errors = check_datalist(tmp_path, ["testing"]).errors
    assert len(errors) == 6
    assert all('move the file to "instances"' in error for error in errors)
