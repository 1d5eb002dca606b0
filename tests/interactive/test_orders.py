"""Pause, resume and stop of a training beside a window."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from lazylabels_monai.interactive.orders import Obey, Orders
from tests.helpers import load
from tests.interactive.live_training import events_of


@pytest.fixture
def orders():
    """Orders, and a function that sends them."""
    read, write = os.pipe()
    yield Orders(os.fdopen(read, "rb")), lambda line: os.write(write, line)
    os.write(write, b"stop\n")  # so that its end ends nothing
    time.sleep(0.1)
    os.close(write)


def test_a_training_waits_and_goes_on_and_stops_with_the_weights_of_that_moment(parts, orders, tmp_path):
    orders, send = orders
    workflow = parts(max_epochs=10_000, ema_decay=0.0)
    trainer = workflow.parser.get_parsed_content("train#trainer")
    Obey(orders).attach(trainer)
    steps = []

    def at_rest():
        before = trainer.state.iteration
        time.sleep(1.0)
        return trainer.state.iteration == before

    def wait(condition):
        end = time.monotonic() + 60
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)

    def direct():
        wait(lambda: trainer.state.iteration > 3)
        send(b"pause\n")
        wait(orders.paused.is_set)
        wait(at_rest)  # the step that was begun ends, however busy the machine is
        steps.append(trainer.state.iteration)
        time.sleep(0.5)
        steps.append(trainer.state.iteration)
        send(b"resume\n")
        wait(lambda: trainer.state.iteration > steps[1] + 2)
        steps.append(trainer.state.iteration)
        send(b"nonsense\nstop\n")

    thread = threading.Thread(target=direct)
    thread.start()
    events = events_of(workflow, tmp_path)
    thread.join()
    assert steps[0] == steps[1] < steps[2]
    assert events[-1].kind == "weights"
    saved = load(tmp_path / "out" / "models" / "model.pt")
    now = workflow.parser.get_parsed_content("network_def").state_dict()
    assert all(torch.equal(saved[name], value) for name, value in now.items())


@pytest.mark.parametrize("sent", [b"", b"pause\n", b"stop\n"])
def test_a_program_whose_window_is_gone_ends(sent):
    """Also one that pauses, and one that was stopped before it trained."""
    code = "import time; from lazylabels_monai.interactive.orders import Orders; Orders(); time.sleep(300)"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    child.communicate(sent)
    assert child.returncode == -signal.SIGTERM
