"""Ends that are asked for: SIGTERM and Ctrl-C stop a program with one sentence, and a program's children end with it."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

__all__ = ["Stopped", "ends_with_parent", "run_child", "stop_by_signals", "stops", "uninterrupted"]

#: Signals that ask for an end.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK") if hasattr(signal, name))


#: Seconds that an end may take before it is forced.
_PATIENCE = 8.0
#: Seconds after which one is forced whose signal was not even heeded, as by a process that waits for another one's gradients.
_DEAFNESS = 9.0


class Stopped(SystemExit):
    """The end that a signal asked for; the exit code is 128 and the signal's number, as a shell counts: 143, 130."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class _State:
    """Of the end: blocks not to be cut short, a signal that came within one, one that was heeded; the timer of a forced end."""

    depth = 0
    pending: int | None = None
    asked: int | None = None
    timer: threading.Timer | None = None
    watch: _Watch | None = None


class _Watch:
    """Ends a program that got a signal and whose main thread waits in a library, where no handler of Python's can run.

    The system's own handler writes each signal's number to a socket at once; a thread reads it.
    """

    def __init__(self) -> None:
        self._reads, self._writes = socket.socketpair()
        self._writes.setblocking(False)
        signal.set_wakeup_fd(self._writes.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        with contextlib.suppress(OSError):
            while numbers := self._reads.recv(1):
                if numbers[0] in _SIGNALS and self._unheeded():
                    os._exit(128 + numbers[0])

    def _unheeded(self) -> bool:
        """Whether nobody took care of the signal, nor of the end of the block that it waits for, in that time."""
        end = time.monotonic() + _DEAFNESS
        while time.monotonic() < end:
            time.sleep(0.05)
            if _State.asked is not None or _State.watch is not self:
                return False
        return not _State.depth

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        for end in (self._writes, self._reads):
            end.close()


def _forget_the_watch() -> None:
    """A fork shares the socket: what it is told to do must not end its parent."""
    if _State.watch is not None:
        _State.watch = None
        signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_watch)


def stop_by_signals(sentence: Callable[[], str | None]) -> dict[int, Any]:
    """From now on SIGTERM and Ctrl-C end this program with one sentence on stderr and exit code 143 or 130, within seconds.

    Open files are closed and temporary ones removed on the way; what hangs is cut short. Outside the main thread, to which
    signals belong, nothing is done.

    Args:
        sentence: says what is kept and how to go on; None says nothing, as in all processes of a training but the first.

    Returns:
        the handlers from before, by signal.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}

    def stop(number: int, frame: FrameType | None) -> None:
        if _State.depth:
            _State.pending = number
            return
        if _State.timer is not None:  # asked twice
            os._exit(128 + number)
        _State.asked = number
        _State.timer = threading.Timer(_PATIENCE, os._exit, [128 + number])
        _State.timer.daemon = True
        _State.timer.start()
        if said := sentence():
            print(f"stopped by {signal.Signals(number).name}: {said}", file=sys.stderr, flush=True)
        logging.disable(logging.CRITICAL)  # engines would log the end as an error
        raise Stopped(number)

    before: dict[int, Any] = {}
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # such as SIGHUP below nohup
            before[number] = signal.signal(number, stop)
    if _State.watch is None:
        others = signal.set_wakeup_fd(-1)
        if others == -1:
            _State.watch = _Watch()
        else:  # such as asyncio's
            signal.set_wakeup_fd(others)
    sys.excepthook = _ended_by_signal(sys.excepthook)
    return before


def _ended_by_signal(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook for errors that nobody caught: after a signal they are the end that was asked for under another name.

    Libraries catch everything and raise their own, as ``pydoc.locate`` does of what an import raises.
    """

    def said(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if _State.asked is None:
            hook(kind, error, trace)
            return
        sys.stdout.flush()
        os._exit(128 + _State.asked)

    return said


@contextlib.contextmanager
def stops(sentence: Callable[[], str | None]) -> Iterator[None]:
    """:func:`stop_by_signals` for a block; the handlers from before are put back."""
    level = logging.root.manager.disable
    hook, watch = sys.excepthook, _State.watch
    before = stop_by_signals(sentence)
    try:
        yield
    except Exception as error:
        if _State.asked is None:
            raise
        raise Stopped(_State.asked) from error  # a library made an error of its own of the end
    finally:
        sys.excepthook, _State.asked = hook, None
        if _State.watch is not None and _State.watch is not watch:
            ended, _State.watch = _State.watch, watch
            ended.close()
        if _State.timer is not None:
            _State.timer.cancel()
            _State.timer = None
            logging.disable(level)
        _put_back(before)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Within, a stop that is asked for waits until the end of the block: for what takes a moment and should be whole."""
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
        if not _State.depth and _State.pending is not None:
            number, _State.pending = _State.pending, None
            signal.raise_signal(number)


def run_child(command: Sequence[str], end_too: bool = True, **options: Any) -> int:
    """Run a program that ends when this one does, and return its exit code, 128 and the number where a signal ended it.

    SIGTERM and Ctrl-C are handed on to it. When this process is killed, Linux kills it too; elsewhere it goes on, and the lock
    of its folder (:mod:`lazylabels_monai.locks`) keeps a second one out.

    Args:
        command: the program and its arguments.
        end_too: after it has ended by a signal that was handed on, end by that signal, too.
        options: of ``subprocess.Popen``.
    """
    child = subprocess.Popen(list(command), preexec_fn=ends_with_parent(), **options)
    before: dict[int, Any] = {}
    asked: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, hand_on)
    try:
        status = child.wait()
    except BaseException:
        child.kill()
        child.wait()
        raise
    finally:
        _put_back(before)
    if asked and end_too:
        signal.raise_signal(asked[0])
    return status if status >= 0 else 128 - status


def _put_back(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def ends_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes the program (``preexec_fn``), so that Linux ends it with the thread that started it;
    None elsewhere. Loaded here, as a fork of several threads must not load anything."""
    if sys.platform != "linux":
        return None
    try:
        prctl, getppid, kill = ctypes.CDLL(None).prctl, os.getppid, os.kill
    except (OSError, AttributeError):
        return None
    parent = os.getpid()

    def end_with_parent() -> None:
        prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if getppid() != parent:  # it ended just before
            kill(os.getpid(), signal.SIGKILL)

    return end_with_parent
