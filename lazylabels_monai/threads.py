"""Threads that sleep while they wait for each other.

torch splits each operation over OpenMP threads, which wait for the slowest of them by spinning: for some milliseconds they ask
again and again. Where another program wants the core, that is time in which the thread that all wait for does not run: on two
busy cores two threads took twenty times as long as one. Asleep they cost a few microseconds more an operation, and their
number, and so every result, stays as it was. See docs/performance.md, "Threads on a busy machine".
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path

__all__ = ["CHOICES", "wait_asleep"]

#: Variables by which a user says himself how threads wait: then nothing is changed.
CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")

#: Libraries in which it is done already, in this process.
_parked: set[str] = set()
_lock = threading.Lock()


def wait_asleep(environment: MutableMapping[str, str] | None = None) -> None:
    """Let OpenMP's threads of this process, and of those that it starts, wait asleep, unless the user chose how they wait.

    Before torch is imported a variable of the environment says so. GNU's library reads it once; where torch is there already,
    as in ``python -m monai.bundle``, the library is brought to it another way: it spins for no more than a moment as long as
    there are more threads than cores, so that a spare team of threads is made, which sleeps from then on. Measured on Linux;
    elsewhere torch brings another library, and nothing is done.

    Args:
        environment: default ``os.environ``.
    """
    environment = os.environ if environment is None else environment
    if sys.platform != "linux" or any(name in environment for name in CHOICES):
        return
    if "torch" not in sys.modules:
        environment["OMP_WAIT_POLICY"] = "passive"
        return
    import torch

    threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0))
    if threads > 1:  # one thread waits for nobody
        for library in _gnu_openmp():
            # the library counts the threads of all teams, and in each team but the first not the one that made it
            _park(library, max(2, cores + 2 - threads))


def _gnu_openmp() -> list[str]:
    """Files of GNU's OpenMP library in this process; torch comes with its own."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    files = {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
    return sorted(file for file in files if Path(file).name.startswith("libgomp"))


def _park(library: str, size: int) -> None:
    """Make a team of ``size`` threads that sleeps as long as this process lives; once for each library."""
    with _lock:
        if library in _parked:
            return
        _parked.add(library)
    made = threading.Event()

    def stay() -> None:
        # void GOMP_parallel(void (*fn)(void *), void *data, unsigned num_threads, unsigned flags); each thread frees nothing
        nothing = ctypes.cast(ctypes.CDLL(None).free, ctypes.c_void_p)
        parallel = ctypes.CDLL(library).GOMP_parallel
        parallel.argtypes, parallel.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
        parallel(nothing, None, size, 0)
        made.set()
        threading.Event().wait()  # a team ends with the thread that made it

    threading.Thread(target=stay, name="lazylabels-parked", daemon=True).start()
    made.wait(5)
