"""The time that a person draws."""

from __future__ import annotations

from lazylabels_monai.apps.napari.clock import LONGEST_PAUSE, DrawingClock


class Watch:
    time = 100.0

    def __call__(self) -> float:
        return self.time


def test_time_between_acts_counts_and_a_long_pause_does_not():
    watch = Watch()
    clock = DrawingClock(watch)
    clock.act()
    for seconds in (2, 3, 3600):
        watch.time += seconds
        clock.act()
    assert clock.take() == 2 + 3 + LONGEST_PAUSE
    assert clock.take() == 0


def test_nothing_counts_before_the_first_act_and_after_a_stop():
    watch = Watch()
    clock = DrawingClock(watch)
    watch.time += 10
    clock.act()
    clock.stop()
    watch.time += 5
    clock.act()
    assert clock.take() == 0
