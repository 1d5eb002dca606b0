"""What ``bench threads`` times, without busy minutes."""

from __future__ import annotations

import io
import sys

from lazylabels_monai.bench import threads
from lazylabels_monai.bench.timing import Times


def test_a_step_for_each_line_until_the_input_ends(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["threads"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("step\nstep\n"))
    threads._serve()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(len(line.split()) == 2 and float(line.split()[0]) > 0 for line in lines)


def test_neighbours_end_with_the_block(monkeypatch):
    made = []
    real = threads.subprocess.Popen
    monkeypatch.setattr(threads.subprocess, "Popen", lambda *given, **named: made.append(real(*given, **named)) or made[-1])
    with threads.busy_neighbours(2):
        assert [one.poll() for one in made] == [None, None]
    assert [one.poll() is not None for one in made] == [True, True]


def test_neighbours_end_with_a_program_that_is_killed():
    """Their output ends when the last of them does."""
    code = (
        "import time\nfrom lazylabels_monai.bench.threads import busy_neighbours\n"
        "with busy_neighbours(1):\n    print('busy', flush=True)\n    time.sleep(60)"
    )
    program = threads.subprocess.Popen([sys.executable, "-c", code], stdout=threads.subprocess.PIPE)
    assert program.stdout.readline() == b"busy\n"
    program.kill()
    assert program.communicate(timeout=30)[0] == b""


def test_ways_take_turns_beside_each_number_of_neighbours(monkeypatch):
    """The children are stand-ins that tell the variables they were started with."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    real = threads.subprocess.Popen
    code = (
        "import os, sys\nfor _ in sys.stdin: print(os.environ.get('OMP_NUM_THREADS', 0), len(sys.argv) - 1 + "
        "2 * ('OMP_WAIT_POLICY' in os.environ), flush=True)"
    )
    extra = []

    def start(command, **options):
        if "-m" not in command:
            extra.append(command)
            return real([sys.executable, "-IS", "-c", "import time; time.sleep(60)"])
        return real([sys.executable, "-S", "-c", code, *command[3:]], **options)

    monkeypatch.setattr(threads.subprocess, "Popen", start)
    ways = {"one": ({"OMP_NUM_THREADS": "1"}, ()), "plain": ({}, ()), "ours": ({}, ("asleep",))}
    found = threads.steps_in_turns(ways, (0, 2), 2, settle=0.0)
    assert len(extra) == 2
    each = {
        "one": Times((1.0,) * 2, (0.0,) * 2),
        "plain": Times((0.0,) * 2, (0.0,) * 2),
        "ours": Times((0.0,) * 2, (1.0,) * 2),
    }
    assert found == {0: each, 2: each}


def test_the_section_compares_with_torch_as_it_comes(monkeypatch):
    def steps(ways, neighbours, repeats):
        assert (list(ways), neighbours, repeats) == (list(threads.WAYS), (0, 1, 2), 4)
        seconds = {"as torch comes": (1.0, 10.0, 20.0)}
        return {
            number: {name: Times((seconds.get(name, (1.0, 1.25, 1.75))[number],) * 4, (2.0,) * 4) for name in ways}
            for number in neighbours
        }

    monkeypatch.setattr(threads, "steps_in_turns", steps)
    monkeypatch.setattr(threads, "_others", lambda: 1.2)
    assert "| costs nothing where nobody else computes | not measured: others used 1.2 cores |" in threads.section(4)
    monkeypatch.setattr(threads, "_others", lambda: 0.1)
    text = threads.section(4)
    assert "Others computed" not in text
    assert "| costs nothing where nobody else computes | 1.00 times as torch comes |" in text
    assert "| at most 1.5 times as long beside 1 | 1.25 times; as torch comes 10.0 times;" in text
    assert "| at most 1.5 times as long beside 2 | 1.75 times; as torch comes 20.0 times;" in text
    assert "| as torch comes | 1.00 (1.00) | 10.00 (10.00) | 20.00 (20.00) | 2.00 | 2.00 |" in text
    assert all(len(line) < 120 for line in text.splitlines() if not line.startswith("|"))
