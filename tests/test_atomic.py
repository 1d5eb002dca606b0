"""What is there stays whole, whatever happens."""

from __future__ import annotations

import errno
import os

import pytest

from lazylabels_monai import atomic
from lazylabels_monai.atomic import clean, copy_tree, move_in, put_back, temporary_sibling, write_bytes, write_text, written_to
from lazylabels_monai.atomic import filled as filled_folder
from lazylabels_monai.errors import DiskError, LazyLabelsError


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


def test_a_block_that_fails_leaves_its_files_as_they_were(tmp_path):
    there, gone, new = (tmp_path / name for name in ("there", "gone", "new"))
    there.write_bytes(b"1")
    gone.write_bytes(b"2")

    def change(wrong=False):
        there.write_bytes(b"one")
        gone.unlink()
        new.write_bytes(b"3")
        assert not wrong

    with pytest.raises(AssertionError), put_back(there, gone, new):
        change(wrong=True)
    assert (there.read_bytes(), gone.read_bytes(), new.exists()) == (b"1", b"2", False)
    with put_back(there, gone, new):
        change()
    assert (there.read_bytes(), gone.exists(), new.read_bytes()) == (b"one", False, b"3")


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


def dead() -> int:
    """Number of a process that has ended."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return child


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    ours, theirs = atomic._machine(), "0123abcd" if atomic._machine() != "0123abcd" else "0123abce"
    ended, parent = dead(), os.getppid()
    gone = [f".out.{ours}.{ended}.00000001.tmp", f".a.b.json.{ours}.{ended}.00000002.tmp", f".out.{ended}.00000003.tmp"]
    stay = [
        f".out.{ours}.{parent}.00000004.tmp",  # it runs
        f".out.{theirs}.{ended}.00000005.tmp",  # on another machine, about whose processes nothing is known
        f".out.{ended}.00000006.tmp",  # of an earlier version and of today
        f".out.{ours}.{ended}.tmp",
        ".hidden",
        "tmp12345678",
        "notes.tmp",
    ]
    for name in (*gone, *stay):
        (tmp_path / name).mkdir() if "out" in name else (tmp_path / name).touch()
    (tmp_path / gone[0] / "part").mkdir()
    (tmp_path / gone[0] / "part").chmod(0o500)
    os.utime(tmp_path / gone[2], (1, 1))
    clean(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stay)


def test_a_kill_between_the_two_steps_of_a_replacement_is_mended(tmp_path):
    old = tmp_path / f".out.{atomic._machine()}.{dead()}.00000001.old"
    old.mkdir()
    (old / "datalist.json").touch()
    clean(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["out", "out/datalist.json"]


def test_a_process_that_writes_loses_nothing_to_itself(tmp_path):
    folder = temporary_sibling(tmp_path / "out")
    os.utime(folder, (1, 1))
    write_text(tmp_path / "other", "text")
    clean(tmp_path)
    assert folder.is_dir()
    move_in(folder, tmp_path / "out")


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_refuses_is_a_sentence_with_the_place(tmp_path, monkeypatch, reason):
    write_text(tmp_path / "a.txt", "one")
    refused = OSError(reason, os.strerror(reason))

    def fail(*args, **kwargs):
        raise refused

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DiskError, match=r"a\.txt' cannot be written: (the disk|this disk|your share)"):
        write_text(tmp_path / "a.txt", "two")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["one"]

    def fill():
        with filled_folder(tmp_path / "out") as folder:
            (folder / "a").touch()
            raise RuntimeError("applying transform <object>") from refused

    with pytest.raises(DiskError, match="out' cannot be written"):
        fill()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_without_a_reason_is_looked_into(tmp_path, monkeypatch):
    """As those of PIL and torch on a full disk; elsewhere they stay what they are."""
    for error in (OSError("encoder error -2 when writing image file"), RuntimeError("PytorchStreamWriter failed writing file")):
        with pytest.raises(type(error)), written_to(tmp_path / "out"):
            raise error
        with monkeypatch.context() as full:

            def require(folder):
                raise OSError(errno.ENOSPC, "full")

            full.setattr(atomic, "require_room", require)
            with pytest.raises(DiskError, match="out' cannot be written: the disk is full"), written_to(tmp_path / "out"):
                raise error


def test_missing_rights_count_where_it_is_written_only(tmp_path):
    with pytest.raises(DiskError, match="permission denied"), written_to(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "out" / "a"))
    with pytest.raises(PermissionError), written_to(tmp_path / "out"):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "images" / "a.png"))


def test_the_copy_of_a_write_protected_folder_can_be_written(tmp_path):
    source = tmp_path / "source"
    (source / "configs").mkdir(parents=True)
    for name in ("configs/a.yaml", "b.pyc"):
        (source / name).write_text("x")
        (source / name).chmod(0o400)
    (source / "configs").chmod(0o500)
    copy_tree(source, tmp_path / "copy", lambda folder, names: [name for name in names if name.endswith("pyc")])
    copied = sorted((tmp_path / "copy").rglob("*"))
    assert [path.name for path in copied] == ["configs", "a.yaml"]
    assert all(path.stat().st_mode & 0o200 for path in copied)
