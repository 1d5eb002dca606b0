"""What is there stays whole, whatever happens."""

from __future__ import annotations

import os

import pytest

from lazylabels_monai.atomic import move_in, temporary_sibling, write_bytes, write_text
from lazylabels_monai.errors import LazyLabelsError


def filled(out):
    folder = temporary_sibling(out)
    (folder / "new").write_text("new")
    return folder


def test_text_replaces_text_and_leaves_nothing_else(tmp_path):
    write_text(tmp_path / "a.txt", "one")
    write_text(tmp_path / "a.txt", "zwei ü")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "zwei ü"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_failed_text_leaves_the_old_one(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "one")
    monkeypatch.setattr(os, "replace", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_text(tmp_path / "a.txt", "two")
    assert (tmp_path / "a.txt").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_bytes_likewise(tmp_path, monkeypatch):
    write_bytes(tmp_path / "a.zip", b"one")
    write_bytes(tmp_path / "a.zip", b"two\r\n")
    assert (tmp_path / "a.zip").read_bytes() == b"two\r\n"
    monkeypatch.setattr(os, "replace", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_bytes(tmp_path / "a.zip", b"three")
    assert (tmp_path / "a.zip").read_bytes() == b"two\r\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_folder_appears_at_once(tmp_path):
    out = tmp_path / "deep" / "out"
    folder = filled(out)
    assert not out.exists()
    move_in(folder, out)
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_folder_that_holds_something_is_replaced_on_purpose_only(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    folder = filled(out)
    with pytest.raises(LazyLabelsError, match="was filled by another process meanwhile"):
        move_in(folder, out)
    assert [path.name for path in out.iterdir()] == ["old"]
    move_in(folder, out, overwrite=True)
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failed_move_puts_the_old_folder_back(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    with pytest.raises(OSError, match="No such file"):
        move_in(tmp_path / "missing", out, overwrite=True)
    assert [path.name for path in out.iterdir()] == ["old"]
