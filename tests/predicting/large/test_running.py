"""Parts are done by dask: in this process, and by workers of which one is killed."""

from __future__ import annotations

import os
import signal
import time

import pytest

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.predicting.large import running
from lazylabels_monai.predicting.large.running import runner
from tests.predicting.large.parts import failing_part, slow_part

pytest.importorskip("dask")


def done(folder):
    return sorted(int(path.stem) for path in folder.glob("*.done"))


@pytest.mark.parametrize("threads", [1, 3])
def test_every_part_once_with_lines_of_progress(tmp_path, monkeypatch, threads):
    monkeypatch.setattr(running, "_EVERY", 0.0)
    lines = []
    with runner(None, lines.append) as run:
        run("network", slow_part, [(str(tmp_path), k) for k in range(6)], threads)
        run("network", slow_part, [])
    assert done(tmp_path) == list(range(6))
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == list(range(6))
    assert len(lines) == 5
    assert lines[0].startswith("  network: 1 of 6 tiles, ETA 0:0")


def test_the_first_error_comes_through(tmp_path):
    with runner(None, print) as run, pytest.raises(ValueError, match="part 3 is broken"):
        run("network", failing_part, [(str(tmp_path), k) for k in range(6)])
    assert done(tmp_path) in ([0, 1, 2], [4, 5])  # one after the other, and none behind it


def test_a_scheduler_that_does_not_answer(monkeypatch):
    distributed = pytest.importorskip("distributed")

    def refused(*args, **kwargs):
        raise OSError("Timed out")

    monkeypatch.setattr(distributed, "Client", refused)
    with (
        pytest.raises(LazyLabelsError, match=r"no dask scheduler answers at 'tcp://127.0.0.1:1' .*dask worker"),
        runner("tcp://127.0.0.1:1", print),
    ):
        pass


@pytest.mark.slow
def test_two_workers_one_killed_nothing_lost_nothing_twice(tmp_path):
    distributed = pytest.importorskip("distributed")
    parts = [(str(tmp_path), k) for k in range(60)]
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        victim = next(iter(cluster.workers.values())).pid

        def say(line):
            nonlocal victim
            if victim is not None and len(done(tmp_path)) > 5:
                os.kill(victim, signal.SIGKILL)
                victim = None

        running_every, running._EVERY = running._EVERY, 0.0
        try:
            with runner(cluster.scheduler_address, say) as run:
                run("network", slow_part, parts)
        finally:
            running._EVERY = running_every
        assert victim is None
        deadline = time.monotonic() + 5
        while len(done(tmp_path)) < 60 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert done(tmp_path) == list(range(60))
    written = list(map(int, (tmp_path / "log").read_text().split()))
    assert len(written) - len(set(written)) <= 1  # the part that the killed worker had in hand may have been all but done
