"""Exported files are known by what was written."""

from __future__ import annotations

import pytest

from lazylabels_monai.exporting.formats import FORMATS
from lazylabels_monai.exporting.written import WrittenFiles
from lazylabels_monai.result_files import EXPORTED_FILE
from tests.exporting.maps import saved_elsewhere, scene, written


def files(folder) -> WrittenFiles:
    return WrittenFiles(folder, FORMATS["roi"])


def test_a_file_is_known_until_somebody_changes_it(tmp_path):
    assert files(tmp_path / "new").names == []
    name, content = written(scene(), "roi")
    assert not files(tmp_path).changed(name)
    files(tmp_path).write(name, b"of before")
    files(tmp_path).write(name, content)
    assert files(tmp_path).names == [name]
    assert not files(tmp_path).changed(name)
    (tmp_path / name).write_bytes(b"of before")  # as a stop between the line and the file leaves it
    assert not files(tmp_path).changed(name)
    (tmp_path / name).write_bytes(b"of a person")
    assert files(tmp_path).changed(name)
    (tmp_path / name).unlink()
    assert not files(tmp_path).changed(name)
    assert files(tmp_path).names == []


def test_files_that_others_wrote_are_known_once_that_is_said(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a")
    assert WrittenFiles(tmp_path).changed("a.csv")
    WrittenFiles(tmp_path).wrote("a.csv")
    assert not WrittenFiles(tmp_path).changed("a.csv")
    (tmp_path / "a.csv").write_bytes(b"b")
    assert WrittenFiles(tmp_path).changed("a.csv")


def test_a_line_that_a_kill_cut_short_costs_no_other(tmp_path):
    (tmp_path / EXPORTED_FILE).write_text('{"file": "b.zi')
    files(tmp_path).write("a.zip", b"a")
    files(tmp_path).write("c.zip", b"c")
    assert files(tmp_path).names == ["a.zip", "c.zip"]
    assert not files(tmp_path).changed("a.zip")


@pytest.mark.parametrize("format", FORMATS)
def test_files_of_other_formats_in_the_folder_are_none_of_its_files(format, tmp_path):
    found = {}
    for other in FORMATS:
        for stem in ("a", "b.1", "ü c"):
            for name in FORMATS[other](()).names([stem]):
                WrittenFiles(tmp_path, FORMATS[other]).write(name, b"x")
                found.setdefault(other, set()).add(name)
    assert WrittenFiles(tmp_path, FORMATS[format]).names == sorted(found[format])


def test_a_name_outside_the_folder_is_none_of_its_files(tmp_path):
    (tmp_path / "mine.zip").write_bytes(b"mine")
    (tmp_path / "roi").mkdir()
    (tmp_path / "roi" / EXPORTED_FILE).write_text('{"file": "../mine.zip", "digest": "0"}\n')
    assert files(tmp_path / "roi").names == []


@pytest.mark.parametrize("format", FORMATS)
def test_files_of_before_there_were_records_are_known_by_their_form(format, tmp_path):
    for ids in (scene(), scene() * 0):
        name, content = written(ids, format)
        (tmp_path / name).write_bytes(content)
        assert not WrittenFiles(tmp_path, FORMATS[format]).changed(name)
    (tmp_path / name).write_bytes(written(scene(), format)[1])
    saved_elsewhere(tmp_path / name)
    assert WrittenFiles(tmp_path, FORMATS[format]).changed(name)
    (tmp_path / name).write_bytes(b"")
    assert WrittenFiles(tmp_path, FORMATS[format]).changed(name)
