"""The simulated person, and a session of a minute at the size of seconds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.tasks import IGNORE, TASKS
from tests.interactive.folders import pictures, stroke
from tools import memory, session_experiment
from tools.simulated_person import Person, errors_of

SHAPE = (64, 80)
NOTHING = np.zeros(SHAPE, np.int32)


def truth_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    ids = NOTHING
    for number, box in enumerate(boxes, 1):
        ids = stroke(ids, number, box)
    return ids


#: Two objects that touch, one alone, one below.
TRUTH = truth_of((4, 4, 20, 20), (4, 20, 20, 36), (4, 50, 20, 66), (40, 4, 60, 30))


@pytest.fixture
def project(tmp_path):
    with Project.open(pictures(tmp_path / "my", 1, SHAPE), create=True) as project:
        yield project


def marks(project):
    return {task: project.labels.read(project.images[0], task) for task in TASKS}


def test_errors_are_what_they_are():
    predicted = truth_of((4, 4, 20, 36), (40, 4, 60, 16), (40, 17, 60, 30), (30, 60, 38, 78))
    found = errors_of(predicted, TRUTH)
    assert {(e.kind, e.number, e.parts) for e in found} == {
        ("merged", 1, (1, 2)),
        ("split", 4, (2, 3)),
        ("false", 4, ()),
        ("missed", 3, ()),
    }
    assert [e.area for e in found] == sorted((e.area for e in found), reverse=True)
    areas = {e.kind: e.area for e in found}
    assert areas == {"merged": 16 * 16, "missed": 16 * 16, "split": 20 * 12, "false": 8 * 18}
    wide = stroke(NOTHING, 1, (2, 40, 24, 79))
    piece = next(e for e in errors_of(wide, TRUTH) if e.kind == "spilled").where
    assert piece.any()
    assert not (piece & ((TRUTH > 0) | (wide == 0))).any()
    assert errors_of(TRUTH, TRUTH) == []


def test_a_merged_object_is_parted_a_false_one_erased_a_missing_one_marked(project):
    person = Person(project, {project.images[0].name: TRUTH})
    predicted = truth_of((4, 4, 20, 36), (40, 4, 60, 30), (30, 60, 38, 78))
    used = person.correct(project.images[0], predicted, 100.0)
    assert dict(person.done) == {"split": 1, "erase": 1, "missed object": 1}
    assert used == pytest.approx(2 * 2.4 + 10.9)
    assert project.images[0].seconds == pytest.approx(used)
    found = marks(project)
    rows, columns = np.nonzero(found["separation"] == 1)
    assert set(range(6, 18)) <= set(rows) <= set(range(3, 21))
    assert columns.min() >= 17
    assert columns.max() <= 22
    assert (found["segmentation"][30:38, 60:78] == 0).all()
    assert (found["detection"][30:38, 60:78] == 0).all()
    assert set(np.unique(TRUTH[found["detection"] == 1])) == {3}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 90), st.booleans())
def test_a_person_says_nothing_wrong_and_keeps_the_time(tmp_path_factory, seed, seconds, correct):
    rng = np.random.default_rng(seed)
    seeds = np.zeros(SHAPE, bool)
    seeds[rng.integers(4, 60, 8), rng.integers(4, 76, 8)] = True
    distance, nearest = ndimage.distance_transform_edt(~seeds, return_indices=True)
    ids, _ = ndimage.label(seeds)
    truth = np.where(distance < 9, ids[tuple(nearest)], 0).astype(np.int32)
    predicted = ndimage.label(np.roll(truth > 0, rng.integers(-6, 7), 1))[0]
    with Project.open(pictures(tmp_path_factory.mktemp("p") / "my", 1, SHAPE), create=True) as project:
        entry = project.images[0]
        person = Person(project, {entry.name: truth}, AnnotationCosts(), seed)
        used = person.correct(entry, predicted, seconds) if correct else 0.0
        used += person.draw(entry, seconds - used)
        assert used <= seconds
        assert entry.seconds == pytest.approx(used)
        found = marks(project)
    assert (truth[found["detection"] == 1] > 0).all()
    if not correct:  # an erased object may hold a pixel of a true one
        assert (truth[found["detection"] == 0] == 0).all()
        assert (found["segmentation"] == IGNORE).all()
        near = 11  # the width of a line, and how far the hand strays
        touching = ndimage.maximum_filter(truth, near) != -ndimage.maximum_filter(-np.where(truth > 0, truth, 99), near)
        assert touching[found["separation"] == 1].all()


def test_regions_of_a_class_are_objects_where_there_are_no_ids(tmp_path):
    (tmp_path / "classes").mkdir()
    classes = np.zeros((9, 9), np.uint8)
    classes[1:4, 1:4], classes[1:4, 4:8], classes[6:8, 1:8] = 1, 2, 1
    Image.fromarray(classes).save(tmp_path / "classes" / "a.png")
    found = session_experiment.true_ids(tmp_path, "a.png")
    assert len(np.unique(found)) == 4  # 0 among them
    assert found[2, 2] != found[2, 5]
    assert not found[classes == 0].any()


def test_a_session_is_played_and_shown(tmp_path, capsys):
    source = tmp_path / "source"
    (source / "masks").mkdir(parents=True)
    pictures(source, 3, SHAPE)
    for path in (source / "images").iterdir():
        Image.fromarray(TRUTH.astype(np.uint16)).save(source / "masks" / path.name)
    weights = memory.weights(tmp_path)
    words = ["play", str(source), str(tmp_path / "all" / "0"), "--weights", str(weights), "--draw", "2", "--held", "1"]
    words += ["--rounds", "2", "--epochs", "1", "--judged", "2", "--one-go", "2", "--forest", str(tmp_path / "none")]
    session_experiment.main([*words, "--set", "crops_per_epoch=2", "crop_size=[32,32]", "cpu_bfloat16=False"])
    result = json.loads((tmp_path / "all" / "0" / "session.json").read_text())
    assert set(result["scores"]) == {"starter alone", "session", "in one go"}
    assert set(result["scores"]["session"]) == {"2"}
    assert result["steps a round"] == 2
    assert 0 < result["drawn, seconds"]["1"] <= 60 < result["drawn, seconds"]["2"] <= 120
    capsys.readouterr()
    session_experiment.main(words)
    assert "left alone" in capsys.readouterr().out
    session_experiment.main(["table", str(tmp_path / "all"), str(tmp_path / "shown")])
    assert "| 2 | " in (tmp_path / "shown.md").read_text()
    assert Image.open(tmp_path / "shown.png").width > 500
