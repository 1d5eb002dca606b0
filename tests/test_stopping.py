"""Signals end a program with one sentence, and its children with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from lazylabels_monai import stopping
from lazylabels_monai.stopping import Stopped, run_child, stops, uninterrupted


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_a_sentence_and_an_exit_code(capsys, number, code):
    def handler(number, frame) -> None:
        """Another one than the default; tests in the background of a shell are begun with Ctrl-C ignored."""

    earlier = signal.signal(number, handler)
    try:
        with pytest.raises(Stopped) as end, stops(lambda: "all is kept."):
            signal.raise_signal(number)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, earlier)
    assert end.value.code == code
    assert capsys.readouterr().err == f"stopped by {number.name}: all is kept.\n"
    assert stopping._State.timer is None


def _import_that_is_stopped() -> None:
    """As ``pydoc.locate`` does: whatever an import raises becomes another error."""
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException as error:
        raise RuntimeError("problem in the module") from error


def test_an_end_that_a_library_renames_is_an_end(capsys):
    with pytest.raises(Stopped) as end, stops(lambda: "all is kept."):
        _import_that_is_stopped()
    assert end.value.code == 143
    assert capsys.readouterr().err == "stopped by SIGTERM: all is kept.\n"


def test_an_error_without_a_signal_stays_that_error():
    with pytest.raises(ZeroDivisionError), stops(lambda: "."):
        print(1 / 0)


@pytest.mark.parametrize("signalled", [True, False])
def test_a_renamed_end_that_nobody_catches_is_an_end(signalled):
    """As in a training, where MONAI's program is at the top."""
    script = f"""
        import signal
        from lazylabels_monai import stopping
        stopping.stop_by_signals(lambda: "kept.")
        try:
            signal.raise_signal(signal.SIGTERM) if {signalled} else None
        except BaseException:
            pass
        raise RuntimeError("problem in the module")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.returncode == (143 if signalled else 1)
    assert ("kept." in done.stderr, "Traceback" in done.stderr) == (signalled, not signalled)


def test_what_must_be_whole_is_finished_first(capsys):
    done = []

    def work() -> None:
        with uninterrupted():
            with uninterrupted():
                signal.raise_signal(signal.SIGTERM)
            done.append("written")
        done.append("never")

    with pytest.raises(Stopped), stops(lambda: "."):
        work()
    assert done == ["written"]


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops(lambda: "."):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_does_not_end_is_ended(tmp_path):
    """As an exception that somebody swallows."""
    script = """
        import signal, time
        from lazylabels_monai import stopping
        stopping._PATIENCE = 0.2
        stopping.stop_by_signals(lambda: "kept.")
        for _ in range(600):
            try:
                signal.raise_signal(signal.SIGTERM) if _ == 0 else time.sleep(0.1)
            except SystemExit:
                pass
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, "stopped by SIGTERM: kept.\n")


def test_a_child_gives_its_exit_code_and_its_end_by_a_signal():
    assert run_child([sys.executable, "-IS", "-c", "raise SystemExit(3)"]) == 3
    assert run_child(["sh", "-c", "kill -TERM $$"]) == 143


def running(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the lock of its folder must do")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(tmp_path, number):
    said = tmp_path / "child"
    parent = os.fork()
    if parent == 0:
        code = 0
        try:
            run_child(["sh", "-c", f"echo $$ > {said}.tmp; mv {said}.tmp {said}; exec sleep 600"])
        except SystemExit as end:
            code = end.code
        os._exit(code)
    end = time.monotonic() + 60
    while not said.exists() and time.monotonic() < end:
        time.sleep(0.01)
    child = int(said.read_text())
    assert running(child)
    os.kill(parent, number)
    status = os.waitstatus_to_exitcode(os.waitpid(parent, 0)[1])
    assert status == -number  # after the child, as nothing else takes care of it
    while running(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not running(child)


DEAF = """
    import ctypes, os, signal, threading
    from lazylabels_monai import stopping
    stopping._DEAFNESS = 0.3
    stopping.stop_by_signals(lambda: "kept.")
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGTERM]).start()
    lock = ctypes.create_string_buffer(256)
    for _ in range(2):  # the second waits for ever, and no signal wakes it
        ctypes.CDLL(None).pthread_mutex_lock(lock)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a lock of Linux's library")
def test_what_waits_in_a_library_is_ended():
    """As a process of a distributed training whose neighbour has ended first: no handler of Python's runs there."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(DEAF)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 143, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_what_a_fork_is_told_does_not_end_its_parent():
    """As the workers of a DataLoader, which it ends by SIGTERM."""
    script = """
        import os, signal, time
        from lazylabels_monai import stopping
        stopping._DEAFNESS = 0.2
        stopping.stop_by_signals(lambda: None)
        child = os.fork()
        if child == 0:
            try:
                time.sleep(60)
            except SystemExit as end:
                os._exit(end.code)
        time.sleep(0.3)
        os.kill(child, signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        time.sleep(1)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "143\n"), done.stderr


def test_a_block_leaves_nothing_that_listens():
    before = stopping._State.watch, threading.active_count()
    with stops(lambda: "."):
        assert signal.set_wakeup_fd(-1) != -1
    time.sleep(0.2)
    assert signal.set_wakeup_fd(-1) == -1
    assert (stopping._State.watch, threading.active_count()) == before


def test_another_ones_wakeup_is_left_alone():
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    try:
        with stops(lambda: "."):
            assert stopping._State.watch is None
        assert signal.set_wakeup_fd(-1) == write
    finally:
        signal.set_wakeup_fd(-1)
        os.close(read)
        os.close(write)
