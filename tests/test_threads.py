"""How OpenMP's threads wait: what the user said counts, and a process that has torch already is brought to it, too."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from lazylabels_monai import threads

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch brings another OpenMP library")


@linux
def test_before_torch_a_variable_says_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    environment = {"OMP_NUM_THREADS": "2"}
    threads.wait_asleep(environment)
    assert environment == {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}


@pytest.mark.parametrize("name", threads.CHOICES)
@pytest.mark.parametrize("there", [True, False], ids=["torch there", "before torch"])
def test_what_the_user_said_counts(monkeypatch, name, there):
    monkeypatch.setattr(threads, "_park", lambda *given: pytest.fail("a team was made"))
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    if not there:
        monkeypatch.delitem(sys.modules, "torch")
    environment = {name: "active"}
    threads.wait_asleep(environment)
    assert environment == {name: "active"}


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delitem(sys.modules, "torch")
    environment = {}
    threads.wait_asleep(environment)
    assert environment == {}


@linux
@pytest.mark.parametrize(
    ("used", "cores", "team"),
    [(1, 2, None), (2, 2, 2), (8, 16, 10), (16, 16, 2), (4, 2, 2)],  # GNU: all threads, of each team but the first one less
)
def test_a_spare_team_makes_more_threads_than_cores(monkeypatch, used, cores, team):
    made = []
    monkeypatch.setattr(threads, "_park", lambda library, size: made.append(size))
    monkeypatch.setattr(threads, "_gnu_openmp", lambda: ["libgomp.so.1"])
    monkeypatch.setattr("torch.get_num_threads", lambda: used)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(cores)))
    threads.wait_asleep({})
    assert made == [team] * (team is not None)
    assert team is None or used + team - 1 > cores


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
    environment = {name: value for name, value in bundle.environment.items() if name not in threads.CHOICES}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    same, more, again, used, forked = json.loads(done.stdout.splitlines()[-1])
    assert (same, again, used, forked) == (True, 0, 2, 7)
    import os

    assert more == (max(2, len(os.sched_getaffinity(0)) + 2 - 2) if threads._gnu_openmp() else 0)
