"""Which of an exported file's images nobody had looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from lazylabels_monai.export_records import ExportRecords
from lazylabels_monai.result_files import EXPORTED_FILE
from lazylabels_monai.stamps import file_digest


def add(file: Path, content: bytes, *predicted: str) -> None:
    file.write_bytes(content)
    ExportRecords(file.parent).add(file.name, file_digest(file), predicted)


def test_a_files_predicted_images_are_those_of_its_content(tmp_path):
    file = tmp_path / "objects.json"
    add(file, b"1", "a.png", "ü b.png")
    add(file, b"2", "ü b.png")
    assert ExportRecords(tmp_path).predicted(file) == {"ü b.png"}
    file.write_bytes(b"1")
    assert ExportRecords(tmp_path).predicted(file) == {"a.png", "ü b.png"}
    assert ExportRecords(tmp_path).wrote(file)
    file.write_bytes(b"3")
    assert ExportRecords(tmp_path).predicted(file) == frozenset()
    assert not ExportRecords(tmp_path).wrote(file)


def test_the_last_line_on_a_content_counts(tmp_path):
    file = tmp_path / "a.zip"
    for predicted in ([], ["a.png"], ["a.png"], []):
        add(file, b"1", *predicted)
        assert ExportRecords(tmp_path).predicted(file) == set(predicted)
    assert len((tmp_path / EXPORTED_FILE).read_text().splitlines()) == 3


@pytest.mark.parametrize("line", ["[]", "7", '{"file": "a.zip"}', '{"file": "a.zip", "digest": "1", "predicted": 7}', '{"fi'])
def test_lines_that_are_none_cost_no_other(line, tmp_path):
    file = tmp_path / "a.zip"
    (tmp_path / EXPORTED_FILE).write_text(line)
    add(file, b"1", "a.png")
    assert ExportRecords(tmp_path).predicted(file) == {"a.png"}


def test_a_folder_without_lines(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"1")
    assert ExportRecords(tmp_path).names == []
    assert ExportRecords(tmp_path).predicted(tmp_path / "a.zip") == frozenset()
    assert ExportRecords(tmp_path / "none").names == []
