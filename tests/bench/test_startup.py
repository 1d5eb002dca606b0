"""What ``bench startup`` times, with programs that end at once."""

from __future__ import annotations

import subprocess

import pytest

from lazylabels_monai.bench import startup
from lazylabels_monai.bench.timing import Times


def test_programs_take_turns_and_may_tell_their_seconds_themselves(monkeypatch):
    order = []
    real = subprocess.run

    def run(command, **options):
        order.append(command[-1])
        return real(command, **options)

    monkeypatch.setattr(startup.subprocess, "run", run)
    commands = {"a": ["-IS", "-c", "sum(range(3_000_000))"], "b": ["-IS", "-c", "print('x'); print(0.5, 0.25)"]}
    found = startup.run_commands(commands, 2, ["b"])
    assert order == [commands["a"][-1], commands["b"][-1]] * 3
    assert found["b"] == Times((0.5, 0.5), (0.25, 0.25))
    assert all(cpu > 0.01 for cpu in found["a"].cpu)


def test_a_program_that_fails_is_an_error():
    with pytest.raises(subprocess.CalledProcessError):
        startup.run_commands({"a": ["-IS", "-c", "raise SystemExit(3)"]}, 1)


def test_the_section_says_what_was_aimed_at_and_what_was_reached(monkeypatch):
    asked = {}

    def run(commands, repeats, printed):
        asked.update(commands=commands, repeats=repeats, printed=list(printed))
        # the first aim is reached, the others are not
        return {name: Times((9.0,), (0.25 if name.endswith("lazylabels --help`") else 8.0,)) for name in commands}

    monkeypatch.setattr(startup, "run_commands", run)
    text = startup.section(3)
    assert asked["repeats"] == 3
    assert len(asked["printed"]) == 2
    assert set(asked["printed"]) < set(asked["commands"])
    assert "| `lazylabels --help` | 0.25 (0.25-0.25) | 9.00 (9.00-9.00) | < 0.4 s | yes |" in text
    assert "| < 0.4 s | no, 20.0 times that |" in text
    assert "| <= 6 s | no, 1.3 times that |" in text
    assert all(len(line) < 120 for line in text.splitlines() if not line.startswith("|"))
