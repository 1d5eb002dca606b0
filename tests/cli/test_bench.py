"""``bench``: what it times and prints."""

from __future__ import annotations

import pytest

from lazylabels_monai.bench import network
from lazylabels_monai.errors import LazyLabelsError


def test_labels_are_timed_at_the_size_that_was_asked_for(run):
    done = run("bench", "--labels", "--height", "60", "--width", "80", "--objects", "4")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "60" in done.output
    assert "80" in done.output


@pytest.mark.parametrize("steps", [5, 2])
def test_the_network_is_timed_where_and_as_often_as_was_asked_for(run, monkeypatch, steps):
    asked = []
    monkeypatch.setattr(network, "run_bench", lambda *given: asked.append(given) or {"training step [s]": 0.125, "crop": 32})
    done = run("bench", "--device", "cpu", *(("--steps", str(steps)) if steps != 5 else ()))
    assert done.exit_code == 0, (done.output, done.exception)
    assert asked == [("cpu", steps)]
    assert done.output.splitlines() == ["training step [s]   0.125", "crop                32"]


def test_a_part_that_is_not_there_is_refused(run):
    done = run("bench", "everything")
    assert isinstance(done.exception, LazyLabelsError)
    assert "bench everything: there is no such part" in str(done.exception)
