"""A training in a process of its own, asked from beside: the real one, tiny."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import numpy as np
import pytest
import torch

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.trainer import Trainer
from lazylabels_monai.trained import sound_weights, write_begun
from tests.interactive.folders import pictures, stroke

SHAPE = (64, 80)
NONE = np.full(SHAPE, 255, np.uint8)
#: Epochs of two steps.
TINY = {"crop_size": [32, 32], "crops_per_epoch": 4, "device": "cpu", "cpu_bfloat16": False, "val_interval": 1}


@pytest.fixture
def project(tmp_path):
    with Project.open(pictures(tmp_path / "my", 3, SHAPE), create=True, classes=["pore", "grain"]) as project:
        project.labels.save(project.images[0], "detection", stroke(stroke(NONE, 1, (5, 5, 30, 30)), 0, (40, 40, 60, 60)))
        yield project


@pytest.fixture(scope="module")
def weights(trained):
    return trained / "models" / "model.pt"


@pytest.fixture
def trainer(project, python, weights):
    trainer = Trainer(project, weights=weights, max_epochs=10_000, **TINY)
    trainer.python = python
    yield trainer
    trainer.close()


def until(trainer, wanted, seconds=180):
    """Events until one of them is wanted."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        found += trainer.poll()
        if any(map(wanted, found)):
            return found
        time.sleep(0.02)
    raise AssertionError((found, trainer.log.read_text()[-3000:]))


def kind(name):
    return lambda event: event.kind == name


def test_draw_train_draw_pause_stop_and_go_on(trainer, project):
    """One training from its begin to its end, with marks drawn meanwhile; the next goes on from its weights."""
    assert trainer.poll() == []
    assert trainer.current_weights is None
    trainer.prepare()
    assert trainer.state == "ready"
    assert not trainer.running
    trainer.start()
    found = until(trainer, kind("weights"))
    assert [event.kind for event in found][:2] == ["epoch", "weights"]
    assert found[0].images == 1
    assert set(found[0].losses) == {"segmentation", "detection", "separation"}
    assert found[1].weights == str(trainer.current_weights)
    sound_weights(trainer.current_weights)
    # another image, and one that validates
    project.labels.save(project.images[1], "detection", stroke(NONE, 2, (5, 5, 30, 30)))
    until(trainer, lambda event: event.kind == "epoch" and event.images == 2)
    project.records.set_section(project.images[2], "validation")
    project.labels.save(project.images[2], "segmentation", stroke(np.zeros_like(NONE), 1, (5, 5, 30, 30)))
    (validated,) = [event for event in until(trainer, kind("validated")) if event.kind == "validated"]
    assert 0 <= validated.dice <= 1
    trainer.pause()
    assert trainer.state == "paused"
    time.sleep(1.0)
    trainer.poll()
    time.sleep(1.0)
    assert trainer.poll() == []
    trainer.resume()
    until(trainer, kind("epoch"))
    trainer.stop()
    assert trainer.state == "stopping"
    found = until(trainer, kind("ended"))
    assert [event.kind for event in found if event.kind in ("sentence", "ended")] == ["ended"]
    assert (found[-1].kind, found[-1].exit_code, found[-1].sentence) == ("ended", 0, "")
    assert trainer.state == "idle"
    before = torch.load(trainer.current_weights, weights_only=True)
    trainer.weights = "last"
    trainer.settings = {**TINY, "max_epochs": 1, "learning_rate": 1e-9}
    trainer.start()
    found = until(trainer, kind("ended"))
    assert found[-1].exit_code == 0
    assert found[-1].epoch == 1
    after = torch.load(trainer.current_weights, weights_only=True)
    assert all(torch.allclose(before[name], value, atol=1e-6) for name, value in after.items())
    assert not list(trainer.current_weights.parent.glob("before_*"))


#: More than the usual ones are tried by hand: KILLS=50.
KILLS = int(os.environ.get("KILLS", "10"))


def test_kills_leave_whole_weights_and_one_sentence_each(trainer):
    moments = random.Random(0)
    for number in range(KILLS):
        trainer.start()
        begun = until(trainer, kind("epoch" if number % 2 else "weights"))
        time.sleep(moments.uniform(0.0, 0.3))
        os.kill(trainer._process.pid, signal.SIGKILL)
        found = until(trainer, kind("ended"))
        (told,) = [event for event in begun + found if event.kind == "sentence" and event.error]
        assert "signal 9" in told.sentence
        assert found[-1].exit_code == -9
        assert found[-1].error
        if trainer.current_weights is not None:
            sound_weights(trainer.current_weights)
            trainer.weights = "last"
    assert trainer.current_weights is not None
    trainer.start()
    until(trainer, kind("weights"))


def test_a_training_that_reaches_its_last_epoch_ends_well(project, weights):
    """By the interpreter itself, which shuts down while a thread waits for orders: the one that forks does not."""
    trainer = Trainer(project, weights=weights, max_epochs=1, **TINY)
    assert trainer.python == sys.executable
    try:
        trainer.start()
        ended = until(trainer, kind("ended"))[-1]
        assert (ended.exit_code, ended.sentence, ended.error, ended.epoch) == (0, "", False, 1), trainer.log.read_text()
    finally:
        trainer.close()


def test_an_order_that_comes_with_the_arguments_is_not_lost(project, weights, monkeypatch):
    monkeypatch.setattr("lazylabels_monai.interactive.trainer.PATIENCE", ())  # no signal: the order alone ends it
    trainer = Trainer(project, weights=weights, max_epochs=10_000, **TINY)
    try:
        trainer.start()
        trainer.stop()  # before the process has read anything
        assert until(trainer, kind("ended"))[-1].sentence == ""
    finally:
        trainer.close()


def alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="a child learns of its parent's end by Linux")
@pytest.mark.parametrize("paused", [False, True])
def test_a_training_ends_with_its_window(project, python, weights, paused):
    """Also one that pauses. Opened again, the project goes on from the last weights."""
    project.close()
    read, write = os.pipe()
    window = os.fork()
    if not window:
        try:
            trainer = Trainer(Project.open(project.folder), weights=weights, max_epochs=10_000, **TINY)
            trainer.python = python
            trainer.start()
            until(trainer, kind("weights"))
            if paused:
                trainer.pause()
            os.write(write, str(trainer._process.pid).encode())
            time.sleep(300)
        finally:
            os._exit(1)
    os.close(write)
    child = int(os.read(read, 20))
    assert alive(child)
    os.kill(window, signal.SIGKILL)
    os.waitpid(window, 0)
    for _ in range(500):
        if not alive(child):
            break
        time.sleep(0.02)
    assert not alive(child)
    with Project.open(project.folder) as again:
        trainer = Trainer(again)
        sound_weights(trainer.current_weights)
        assert str(trainer.current_weights) == trainer._weights().as_posix()


def test_nothing_to_train_on_is_said_at_once(trainer, project):
    project.labels.save(project.images[0], "detection", NONE)
    with pytest.raises(LazyLabelsError, match="draw inner regions"):
        trainer.start()
    trainer.weights = "nowhere.pt"
    project.labels.save(project.images[0], "detection", stroke(NONE, 1, (5, 5, 30, 30)))
    with pytest.raises(LazyLabelsError, match=r"nowhere\.pt"):
        trainer.start()
    assert trainer.state == "idle"


@pytest.mark.parametrize(
    ("settings", "said"), [({"learning_rate": 1e4, "ema_decay": 0.0}, "learning_rate"), ({"crop_size": [30]}, "crop_size")]
)
def test_what_ends_a_training_is_one_sentence(trainer, settings, said):
    """A loss that explodes, and a setting that cannot be."""
    trainer.settings = {**trainer.settings, **settings}
    trainer.start()
    found = until(trainer, kind("ended"))
    told = [event.sentence for event in found if event.kind == "sentence" and event.error]
    assert len(told) == 1
    assert said in told[0]
    assert "\n" not in told[0]
    assert found[-1].sentence == told[0]
    assert found[-1].exit_code not in (0, None)
    assert trainer.state == "idle"


def test_a_process_that_was_got_ready_and_is_not_wanted_ends_without_a_word(trainer):
    trainer.prepare()
    process = trainer._process
    trainer.close()
    assert process.poll() is not None
    assert [event.kind for event in trainer.poll()] == []


def test_a_process_that_was_got_ready_and_has_ended_is_started_again(trainer):
    trainer.prepare()
    trainer._process.kill()
    trainer._process.wait()
    trainer.start()
    found = until(trainer, kind("weights"))
    assert not [event for event in found if event.error]


def test_the_arguments_are_those_of_the_bundle(trainer, project, weights):
    from lazylabels_monai.interactive.trainer import training_arguments

    arguments = training_arguments(project.folder, trainer.out, weights, max_epochs=3)
    given = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    assert arguments[:2] == ["run", "training"]
    assert json.loads(given["--channels"]) == [4, 8, 8]  # of the weights
    assert given["--max_epochs"] == "3"
    assert given["--dataset_dir"] == str(project.folder)


def test_whether_the_weights_have_learnt_from_an_image(trainer, project):
    marked, other, _ = project.images
    models = trainer.out / "models"
    assert not trainer.has_learnt_from(marked)  # there are none
    models.mkdir(parents=True)
    (models / "model.pt").write_bytes(b"")
    assert trainer.has_learnt_from(marked)  # weights of an earlier version do not say
    assert not trainer.has_learnt_from(other)
    write_begun(models, False, [pixel_digest(read_image(other.path))])
    assert not trainer.has_learnt_from(marked)
    assert trainer.has_learnt_from(other)
    trainer.state = "running"  # takes up what is marked
    assert trainer.has_learnt_from(marked)
    trainer.state = "idle"
