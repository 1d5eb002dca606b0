"""How OpenMP's threads wait: what the user said counts, and a process that has torch already is brought to it, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from lazylabels_monai import threads

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch brings another OpenMP library")


@pytest.fixture
def started(monkeypatch):
    """What would run in a thread; nothing does."""
    found = []

    class Thread:
        def __init__(self, target, **_):
            self.target = target

        def start(self):
            found.append(self.target)

    monkeypatch.setattr(threads.threading, "Thread", Thread)
    monkeypatch.setattr(threads, "_watched", set())
    monkeypatch.setattr(threads._Watch, "look", lambda self: None)
    return found


@linux
def test_there_is_one_watch_in_a_process(started, monkeypatch):
    threads.wait_asleep({"OMP_NUM_THREADS": "2"})
    threads.wait_asleep({})
    assert len(started) == 1
    monkeypatch.setattr("os.getpid", lambda: -1)  # forked off: threads stay behind
    threads.wait_asleep({})
    assert len(started) == 2


@pytest.mark.parametrize("name", threads.CHOICES)
def test_what_the_user_said_counts(started, name):
    threads.wait_asleep({name: "active"})
    assert not started


def test_elsewhere_nothing_is_done(started, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    threads.wait_asleep({})
    assert not started


class Machine:
    """A machine with some cores, on which others compute as a test says, a second a look."""

    def __init__(self, monkeypatch, used, cores):
        self.now, self.busy, self.own, self.used = 0.0, 100.0, 10.0, used
        self.teams = []
        monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)))
        monkeypatch.setattr(threads, "_threads", lambda: self.used)
        monkeypatch.setattr(threads, "_busy_seconds", lambda found: self.busy)
        monkeypatch.setattr("os.times", lambda: (self.own, 0.0, 50.0, 50.0, self.now))
        monkeypatch.setattr(threads, "_gnu_openmp", lambda: ["libgomp.so.1"])
        monkeypatch.setattr(threads, "_park", self.park)
        self.watch = threads._Watch()
        self.watch._computing = threads.Computing(lambda: self.now)

    def park(self, library, size):
        self.teams.append((size, threading.Event()))
        return self.teams[-1][1]

    def second(self, others, own=1.9):
        """Whether threads are asleep after a second in which others used so many cores."""
        self.now += 1.0
        self.busy += others + own
        self.own += own
        self.watch.look()
        return any(not end.is_set() for _, end in self.teams)


@linux
def test_threads_sleep_while_others_compute_and_spin_again_after_calm_seconds(monkeypatch):
    machine = Machine(monkeypatch, used=2, cores=2)
    assert machine.second(0.0), "nothing is known yet"
    # what others do: a busy second at once, calm ones three in a row
    others = [1.0, 0.1, 0.1, 0.9, 0.1, 0.0, 0.2, 0.0, 0.0, 0.6, 0.0]
    asleep = [True, True, True, True, True, True, False, False, False, True, True]
    assert [machine.second(each) for each in others] == asleep
    assert [size for size, _ in machine.teams] == [2, 2]


@linux
def test_before_torch_is_there_nothing_happens(monkeypatch):
    machine = Machine(monkeypatch, used=None, cores=2)
    assert not machine.second(2.0)
    machine.used = 2
    assert machine.second(2.0)


@linux
@pytest.mark.parametrize("others", [0.0, 1.9])
def test_one_thread_waits_for_nobody(monkeypatch, others):
    machine = Machine(monkeypatch, used=1, cores=2)
    assert [machine.second(others, own=1.0) for _ in range(5)] == [False] * 5


@linux
def test_others_may_use_the_cores_that_this_process_leaves(monkeypatch):
    machine = Machine(monkeypatch, used=4, cores=8)
    assert machine.second(0.0)
    assert [machine.second(4.0, own=4.0) for _ in range(3)] == [True, True, False]
    assert machine.second(4.5, own=4.0)


@linux
@pytest.mark.parametrize(
    ("used", "cores", "team"),
    [(2, 2, 2), (8, 16, 10), (16, 16, 2), (4, 2, 2)],  # GNU: all threads, of each team but the first one less
)
def test_a_spare_team_makes_more_threads_than_cores(monkeypatch, used, cores, team):
    machine = Machine(monkeypatch, used, cores)
    assert machine.second(cores)
    assert [size for size, _ in machine.teams] == [team]
    assert used + team - 1 > cores


@linux
def test_seconds_of_the_cores_that_count_alone(monkeypatch):
    cores = ("0 10 20 30 1000 500 4 6 30 7 7", "1 1 1 1 1 1 1 1 1 0 0", "10 100 0 0 5 5 0 0 0 0 0")
    stat = "\n".join(("cpu  99 99 99 99 99 99 99 99 0 0", *(f"cpu{core}" for core in cores), "intr 5 6"))
    monkeypatch.setattr(threads, "Path", lambda name: type("File", (), {"read_text": lambda self, **_: stat})())
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    assert threads._busy_seconds({0}) == pytest.approx(1.0)
    assert threads._busy_seconds({0, 10}) == pytest.approx(2.0)


@linux
def test_what_this_process_computes_is_not_the_others(monkeypatch):
    monkeypatch.setattr(threads, "_busy_seconds", lambda cores: sum(os.times()[:2]))  # nobody else computes
    computing, cores = threads.Computing(), os.sched_getaffinity(0)
    assert computing.others(cores) is None
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        pass
    assert computing.others(cores) == pytest.approx(0, abs=0.1)


SCRIPT = """
    import json, os, sys
    import torch
    from lazylabels_monai import threads

    torch.set_num_threads(2)
    def net():
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(3, 8, 3)
        layer(torch.randn(2, 3, 64, 64)).square().sum().backward()
        return layer.weight.grad
    before, tasks = net(), len(os.listdir("/proc/self/task"))
    threads._EVERY = 1000.0  # the watch looks once
    threads.wait_asleep()
    after, more = net(), len(os.listdir("/proc/self/task"))
    threads.wait_asleep()  # once
    same = bool(torch.equal(before, after))
    # a process that has been forked off, as loaders of data are, computes as well
    child = os.fork()
    if not child:
        os._exit(7 if torch.equal(torch.ones(3) + 1, torch.full((3,), 2.0)) else 1)
    forked = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([same, more - tasks, len(os.listdir("/proc/self/task")) - more, torch.get_num_threads(), forked]))
"""


@linux
def test_a_process_that_has_torch_gets_a_team_that_sleeps_and_the_same_numbers(bundle):
    assert run(SCRIPT, bundle) == [True, 1 + team(), 0, 2, 7]  # the watch, and the team with the thread that made it


AGAIN = """
    import json, os, time
    import torch
    from lazylabels_monai import threads

    torch.set_num_threads(2)
    def count():
        (torch.ones(1 << 20) + 1).sum()
        return len(os.listdir("/proc/self/task"))
    first, others = count(), iter([None, 2.0, 0.0, 0.0, 0.0, 0.0, 2.0])
    watch = threads._Watch()
    watch._computing.others = lambda cores: next(others)
    found = []
    for _ in range(7):
        watch.look()
        end, last = time.monotonic() + 10, count()
        while time.monotonic() < end and last != first + (TEAM if watch._teams else 0):
            time.sleep(0.01)
            last = count()
        found.append(last - first)
    print(json.dumps(found))
"""


@linux
def test_a_team_is_sent_away_and_made_again(bundle):
    some = team()
    assert run(AGAIN.replace("TEAM", str(some)), bundle) == [some, some, some, some, 0, 0, some]


def team() -> int:
    """Threads that a spare team adds: itself and no more, as the thread that made it is one of it."""
    return max(2, len(os.sched_getaffinity(0)) + 2 - 2) if threads._gnu_openmp() else 0


def run(script, bundle):
    environment = {name: value for name, value in bundle.environment.items() if name not in threads.CHOICES}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
