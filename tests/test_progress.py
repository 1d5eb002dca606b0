"""Lines of progress: counted, named, and with the time that is left at the pace so far."""

from __future__ import annotations

import pytest

from lazylabels_monai import progress
from lazylabels_monai.progress import Steps, clock, silent


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00:00"), (0.6, "0:00:01"), (59.4, "0:00:59"), (59.6, "0:01:00"), (3599.7, "1:00:00"), (90061, "25:01:01")],
)
def test_clock_rounds_before_it_parts(seconds, shown):
    assert clock(seconds) == shown


def test_steps_are_counted_and_the_rest_is_at_the_pace_so_far(monkeypatch):
    now, lines = [100.0], []
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    steps = Steps(4, lines.append)
    for name, after in (("a.png", 10), ("b.png", 2), ("c.png", 3), ("d.png", 1)):
        now[0] += after
        steps.step(name)
    # 3 parts at 10 s, 2 at 6 s, 1 at 5 s, none
    assert lines == [
        "1/4 a.png, ETA 0:00:30",
        "2/4 b.png, ETA 0:00:12",
        "3/4 c.png, ETA 0:00:05",
        "4/4 d.png, ETA 0:00:00",
    ]
    assert steps.done == 4


def test_nobody_needs_to_listen(capsys):
    Steps(1).step("a")
    silent("a line")
    assert capsys.readouterr().out == ""
