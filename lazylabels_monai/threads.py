"""Threads that sleep while they wait for each other, as long as other programs want the cores.

torch splits each operation over OpenMP threads, which wait for the slowest of them by spinning: for some milliseconds they ask
again and again. Where another program wants the core, that is time in which the thread that all wait for does not run: on two
busy cores two threads took twenty times as long as one. Asleep they lose less, but wake up late: where nobody else computes,
a training step took a fifth longer. So a thread looks every second at who computes. The number of threads, and so every result,
stays as it was. See docs/performance.md, "Threads on a busy machine".
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path

__all__ = ["CHOICES", "IDLE", "Computing", "compute_with", "wait_asleep"]

#: Variables by which a user says himself how threads wait: then nothing is changed.
CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")

#: Seconds between two looks at who computes, and calm ones in a row after which threads spin again.
_EVERY, _CALM = 1.0, 3
#: Cores that others may use before they count as busy: what a desktop does all the time.
IDLE = 0.25

#: Processes that have their watch, by number, as a forked one has none.
_watched: set[int] = set()
_lock = threading.Lock()


def wait_asleep(environment: MutableMapping[str, str] | None = None) -> None:
    """Let OpenMP's threads of this process wait asleep while others want its cores, unless the user chose how they wait.

    GNU's library spins for no more than a moment as long as there are more threads than cores. So a spare team of threads is
    made, which sleeps, and is sent away again once nobody else has computed for some seconds. A thread sees to that, once a
    second; before torch is imported it waits for it. Measured on Linux; elsewhere torch brings another library, and nothing is
    done.

    Args:
        environment: where the variables of a user are looked up; default ``os.environ``.
    """
    environment = os.environ if environment is None else environment
    if sys.platform != "linux" or any(name in environment for name in CHOICES):
        return
    with _lock:
        if os.getpid() in _watched:
            return
        _watched.add(os.getpid())
    watch = _Watch()
    if "torch" in sys.modules:
        watch.look()
    threading.Thread(target=watch.run, name="lazylabels-cores", daemon=True).start()


def compute_with(threads: int, others: int) -> None:
    """Let torch compute with so many threads in the thread that calls this, and in no other.

    Args:
        threads: 1 or more.
        others: torch's threads elsewhere, to which its own setting is put back where it has to be asked: that one also holds
            for threads that begin to use torch later.
    """
    import torch

    torch.get_num_threads()  # at its first call a thread takes over the setting
    for library in _gnu_openmp():
        ctypes.CDLL(library).omp_set_num_threads(threads)  # of this thread
    if torch.get_num_threads() != threads:  # another library than GNU's
        torch.set_num_threads(threads)
        aside = threading.Thread(target=torch.set_num_threads, args=(others,))
        aside.start()
        aside.join()


class Computing:
    """How much others compute on the cores of this process.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[float, float, float] | None = None

    def others(self, cores: set[int]) -> float | None:
        """Seconds a second that these cores have worked for anybody but this process since the last call; None at the first.

        Raises:
            OSError, ValueError: where there is no ``/proc/stat`` as Linux has it.
        """
        now, busy, own = self._clock(), _busy_seconds(cores), sum(os.times()[:2])
        last, self._last = self._last, (now, busy, own)
        if last is None or now <= last[0]:
            return None
        return ((busy - last[1]) - (own - last[2])) / (now - last[0])


class _Watch:
    """Keeps spare teams as long as others compute."""

    def __init__(self) -> None:
        self._computing = Computing()
        self._calm = 0
        self._teams: dict[str, threading.Event] = {}

    def run(self) -> None:
        """Until the process ends."""
        while True:
            time.sleep(_EVERY)
            try:
                self.look()
            except (OSError, ValueError):  # no /proc as Linux has it
                return

    def look(self) -> None:
        """Once; as long as nothing is known, others count as busy."""
        threads = _threads()
        if threads is None:  # torch is not there yet
            return
        cores = os.sched_getaffinity(0)
        others = self._computing.others(cores)
        self._calm = self._calm + 1 if others is not None and others <= len(cores) - threads + IDLE else 0
        if threads < 2:  # one thread waits for nobody
            self._calm = _CALM
        if self._calm >= _CALM:
            for end in self._teams.values():
                end.set()
            self._teams.clear()
        elif not self._calm:
            for library in _gnu_openmp():
                if library not in self._teams:
                    # the library counts the threads of all teams, and in each team but the first not the one that made it
                    self._teams[library] = _park(library, max(2, len(cores) + 2 - threads))


def _threads() -> int | None:
    """torch's threads; None before it is imported."""
    return getattr(sys.modules.get("torch"), "get_num_threads", lambda: None)()


def _busy_seconds(cores: set[int]) -> float:
    """Seconds that these cores have computed since the machine started, for anybody, other machines on them included."""
    ticks = 0
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name[3:].isdigit() and name.startswith("cpu") and int(name[3:]) in cores:
            user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])  # without idle and iowait
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def _gnu_openmp() -> list[str]:
    """Files of GNU's OpenMP library in this process; torch comes with its own."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    files = {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
    return sorted(file for file in files if Path(file).name.startswith("libgomp"))


def _park(library: str, size: int) -> threading.Event:
    """Make a team of ``size`` threads that sleeps until the event that is returned is set."""
    made, end = threading.Event(), threading.Event()

    def stay() -> None:
        # void GOMP_parallel(void (*fn)(void *), void *data, unsigned num_threads, unsigned flags); each thread frees nothing
        nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)
        parallel = ctypes.CDLL(library).GOMP_parallel
        parallel.argtypes, parallel.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
        parallel(nothing, None, size, 0)
        made.set()
        end.wait()  # a team ends with the thread that made it

    threading.Thread(target=stay, name="lazylabels-parked", daemon=True).start()
    made.wait(5)
    return end
