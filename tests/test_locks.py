"""One process at a time in a folder; nothing of it stays."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from lazylabels_monai import locks
from lazylabels_monai.locks import FolderLock, InUseError


def lock(folder) -> FolderLock:
    return FolderLock(folder, "training", "wait for it")


@pytest.fixture
def holder(tmp_path):
    """Process id of a fork that holds ``tmp_path/held``; it ends with the test."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        held = lock(tmp_path / "held")
        os.write(told, b"1")
        signal.pause()
        os._exit(held is None)
    assert os.read(ready, 1) == b"1"
    yield child
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def test_a_second_process_is_refused_in_a_sentence_until_the_first_is_killed(tmp_path, holder):
    with pytest.raises(InUseError, match=r"held' is in use by another training that still runs: wait for it\."):
        lock(tmp_path / "held")
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    lock(tmp_path / "held").release()
    assert list((tmp_path / "held").iterdir()) == []


def test_what_was_made_for_the_lock_goes_with_it_and_what_was_there_stays(tmp_path):
    held = lock(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / ".lock").is_file()
    held.release()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").mkdir()
    held = lock(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "model.pt").touch()
    held.release()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["model.pt"]


def test_a_process_takes_a_folder_again_and_a_lost_lock_is_none(tmp_path):
    first = lock(tmp_path)
    second = lock(tmp_path)
    first.release()
    second.release()
    lock(tmp_path)  # nobody keeps it
    assert list(tmp_path.iterdir()) == []


def refused_elsewhere(folder) -> bool:
    """Whether a process of its own, which a fork is for locks, does not get the folder."""
    child = os.fork()
    if child == 0:
        try:
            lock(folder)
        except InUseError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_a_folder_that_a_process_took_twice_is_its_own_until_both_have_ended(tmp_path, first_to_end):
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "folder").mkdir()
    held = [lock(tmp_path / "folder"), lock(tmp_path / "link")]
    held.pop(first_to_end).release()
    assert refused_elsewhere(tmp_path / "folder")
    assert (tmp_path / "folder" / ".lock").is_file()
    held[0].release()
    assert not refused_elsewhere(tmp_path / "folder")
    assert not (tmp_path / "folder" / ".lock").exists()


def test_a_lock_whose_file_was_removed_does_not_remove_that_of_the_next(tmp_path):
    first = lock(tmp_path)
    first.file.unlink()
    second = lock(tmp_path)
    first.release()
    assert refused_elsewhere(tmp_path)
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_a_fork_ends_without_ending_the_lock(tmp_path):
    held = lock(tmp_path)
    child = os.fork()
    if child == 0:
        held.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert held.file.is_file()
    held.release()


@pytest.mark.parametrize("reason", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch, reason):
    def refused(*args, **kwargs):
        raise OSError(reason, os.strerror(reason), "hidden")

    monkeypatch.setattr(locks.os, "open", refused)
    with pytest.raises(OSError, match="new") as caught:
        lock(tmp_path / "new")
    assert (caught.value.errno, caught.value.filename) == (reason, str(tmp_path / "new"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_used_and_told(tmp_path, monkeypatch, caplog):
    def unknown(descriptor):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(locks, "_lock", unknown)
    held = lock(tmp_path)
    assert "cannot be locked" in caplog.text
    held.release()
    assert list(tmp_path.iterdir()) == []
