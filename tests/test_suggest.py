"""What to annotate next: costs by hand, ranking, diversity, what a data set lacks, and the command."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image
from lazylabels_monai.predicting.uncertainty import TaskUncertainty
from lazylabels_monai.suggest import Candidate, expected_work, find_pool, format_suggestions, rank, suggest
from lazylabels_monai.tasks import TASKS


def candidate(image, gain, seconds, features=None, task="segmentation"):
    return Candidate(image, task, gain, 0.1, 1.0, seconds, None if features is None else np.array(features, float))


def order(ranked):
    return [(s.image, s.task) for s in ranked]


def test_the_most_uncertainty_per_second_comes_first():
    ranked = rank([candidate("a", 10, 10), candidate("b", 30, 100), candidate("c", 6, 2, task="separation")])
    assert order(ranked) == [("c", "separation"), ("a", "segmentation"), ("b", "segmentation")]
    assert [s.rank for s in ranked] == [1, 2, 3]
    assert [s.gain_per_second for s in ranked] == pytest.approx([3, 1, 0.3])
    assert [s.label for s in ranked] == ["interface scribbles", "exact masks", "exact masks"]


def test_hours_are_filled_by_what_still_fits():
    ranked = rank(
        [candidate("a", 90, 30), candidate("b", 80, 40), candidate("c", 7, 6), candidate("d", 0, 1)], hours=36.5 / 3600
    )
    assert [(s.image, s.planned) for s in ranked] == [("a", True), ("b", False), ("c", True), ("d", False)]


def test_a_copy_comes_last_and_is_not_planned():
    pool = [candidate("a", 10, 1, [1, 5]), candidate("copy", 9, 1, [1, 5]), candidate("other", 2, 1, [4, 2])]
    ranked = rank(pool)
    assert [s.image for s in ranked] == ["a", "other", "copy"]
    assert (ranked[2].similarity, ranked[2].score, ranked[2].planned) == (1.0, 0.0, False)
    assert ranked[1].similarity == 0.0
    assert [s.image for s in rank(pool, diversity=0)] == ["a", "copy", "other"]
    half = rank(pool, diversity=0.5)
    assert [s.image for s in half] == ["a", "copy", "other"]
    assert half[1].score == pytest.approx(4.5)


def test_similarity_is_the_cosine_of_standardised_features():
    table = np.array([[0, 0, 7], [2, 4, 7], [4, 2, 7], [6, 6, 7]], float)
    ranked = rank([candidate(str(i), 10 - i, 1, row) for i, row in enumerate(table)])
    z = (table[:, :2] - table[:, :2].mean(0)) / table[:, :2].std(0)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    cosine = np.clip(z @ z.T, 0, 1)
    chosen = []
    for s in ranked:
        i = int(s.image)
        assert s.similarity == pytest.approx(max((cosine[i, j] for j in chosen), default=0.0), abs=1e-4)
        chosen.append(i)


def test_another_label_of_the_same_image_is_no_copy():
    pool = [candidate("a", 10, 1, [1, 5]), candidate("a", 9, 1, [1, 5], task="detection"), candidate("b", 2, 1, [4, 2])]
    assert order(rank(pool)) == [("a", "segmentation"), ("a", "detection"), ("b", "segmentation")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hours": 0}, "hours 0 must be a positive number"),
        ({"diversity": 1.5}, "diversity 1.5 must lie between 0 and 1"),
        ({"candidates": [candidate("a", 1, 0)]}, "exact masks of 'a' would cost 0 s"),
    ],
)
def test_ranking_refuses(change, message):
    with pytest.raises(LazyLabelsError, match=message):
        rank(**{"candidates": [candidate("a", 1, 1)], **change})


def maps_of(objects, strokes, classes=2):
    """Maps of 40 by 60 with squares of 6 pixels of class 1, sure of themselves, and vertical lines of interfaces."""
    labels = np.zeros((40, 60), int)
    for i in range(objects):
        labels[2:8, 2 + 8 * i : 8 + 8 * i] = 1
    sure = np.eye(classes)[labels].transpose(2, 0, 1)
    separation = np.zeros((2, 40, 60))
    for i in range(strokes):
        separation[1, 20:35, 5 + 10 * i : 8 + 10 * i] = 1
    separation[1, 38, 50:53] = 1  # a speck of three pixels
    separation[0] = 1 - separation[1]
    nothing = np.zeros((40, 60))
    found = {"segmentation": sure, "detection": sure, "separation": separation}
    return {task: TaskUncertainty(p.astype(np.float32), nothing, nothing, 1) for task, p in found.items()}


def test_work_is_counted_in_the_predicted_maps():
    assert expected_work(maps_of(5, 3)) == {"segmentation": (5, 0), "detection": (5, 0), "separation": (3, 0)}
    assert expected_work(maps_of(0, 0, classes=3)) == {"segmentation": (0, 2), "detection": (0, 2), "separation": (0, 1)}
    some = maps_of(2, 1)
    del some["segmentation"]
    assert expected_work(some) == {"detection": (2, 0), "separation": (1, 0)}


class FakeUncertainty:
    """Stands for uncertainty_maps: by the image's name, how many objects and strokes are seen, and how much of it."""

    def __init__(self, by_name):
        self.by_name = by_name

    def __call__(self, model, path, flips=True, dropout_samples=0):
        objects, strokes, uncertainty = self.by_name[str(path).rsplit("/", 1)[-1].split(".")[0]]
        full = np.full((40, 60), uncertainty, np.float32)
        return {
            task: TaskUncertainty(m.probabilities, full / 2, full, 4)
            for task, m in maps_of(objects, strokes).items()
            if task in model.tasks
        }


def fake_model(tasks=TASKS):
    return SimpleNamespace(tasks=tasks, num_classes=2, network=torch.nn.Identity())


@pytest.fixture
def folder(tmp_path):
    """Three pictures."""
    for name in "abc":
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_gain_and_cost_by_hand(folder, monkeypatch):
    monkeypatch.setattr(
        "lazylabels_monai.predicting.uncertainty.uncertainty_maps",
        FakeUncertainty({"a": (4, 1, 0.1), "b": (2, 3, 0.2), "c": (0, 2, 0.3)}),
    )
    costs = AnnotationCosts(strong=50, inner=10, scribble=3, absent=1, image=5)
    found = suggest(folder, fake_model(), costs=costs, hours=1)
    assert len(found.ranked) == 9
    by = {(s.image[-5], s.task): s for s in found.ranked}
    # the mean of the pool is 2 objects and 2 strokes
    assert by["a", "segmentation"].to_draw == 3
    assert by["a", "segmentation"].seconds == 5 + 50 * 3
    assert by["b", "detection"].seconds == 5 + 10 * 2
    assert by["c", "segmentation"].seconds == 5 + 50 * 1 + 1, "no object is seen: one class is looked for and not found"
    assert by["b", "separation"].seconds == 5 + 3 * 2.5
    assert by["a", "separation"].gain == pytest.approx(0.1 * 40 * 60)
    assert by["a", "separation"].uncertainty == pytest.approx(0.1)
    for s in found.ranked:
        assert s.score == pytest.approx(s.gain / s.seconds)
    assert order(found.ranked)[0] == (str(folder / "c.png"), "separation")
    entropy = suggest(folder, fake_model(), measure="entropy", tasks=["detection"])
    assert {s.task for s in entropy.ranked} == {"detection"}
    assert entropy.ranked[0].uncertainty == pytest.approx(0.15)


def test_one_answer_is_ranked_by_entropy_and_that_is_said(folder, monkeypatch):
    monkeypatch.setattr(
        "lazylabels_monai.predicting.uncertainty.uncertainty_maps", FakeUncertainty(dict.fromkeys("abc", (1, 1, 0.2)))
    )
    found = suggest(folder, fake_model(), flips=False, dropout_samples=3)
    assert found.ranked[0].uncertainty == pytest.approx(0.1)
    assert any("entropy instead" in note for note in found.notes)
    assert any("no dropout" in note for note in found.notes)


def test_what_the_network_cannot_tell_is_refused(folder):
    with pytest.raises(LazyLabelsError, match="separation: the network did not learn it"):
        suggest(folder, fake_model(("segmentation",)), tasks=["separation"])
    with pytest.raises(LazyLabelsError, match="measure 'guess' does not exist"):
        suggest(folder, fake_model(), measure="guess")


def test_a_data_set_says_what_is_missing_and_what_there_is_to_draw(tiny_data):
    pool, average = find_pool(tiny_data, classes=2)
    content = json.loads((tiny_data / "datalist.json").read_text())
    items = {item["image"].rsplit("/", 1)[-1]: item for item in content["training"]}
    assert pool
    for image in pool:
        item = items[image.path.rsplit("/", 1)[-1]]
        assert image.missing == tuple(task for task in TASKS if task not in item)
        assert ("segmentation" in image.known) == ("detection" in item and "segmentation" not in item)
    assert average["segmentation"] > 1
    with pytest.raises(LazyLabelsError, match="names 2 object classes, the network knows 1"):
        find_pool(tiny_data, classes=1)
    with pytest.raises(LazyLabelsError, match="no image lacks a label for separation"):
        find_pool(tiny_data, tasks=["separation"])
    with pytest.raises(LazyLabelsError, match="is a data set itself: leave --data out"):
        find_pool(tiny_data, tiny_data)


def test_files_that_are_part_of_a_data_set(tiny_data, folder):
    content = json.loads((tiny_data / "datalist.json").read_text())
    some = next(item for item in content["training"] if "detection" in item and "segmentation" not in item)
    for item in (some, content["testing"][0]):
        shutil.copy(tiny_data / item["image"], folder)
    pool, average = find_pool(folder, tiny_data)
    missing = {image.path.rsplit("/", 1)[-1]: image.missing for image in pool}
    assert missing == {**dict.fromkeys(("a.png", "b.png", "c.png"), TASKS), some["image"].rsplit("/", 1)[-1]: ("segmentation",)}
    assert average == find_pool(tiny_data)[1]
    assert len(find_pool(folder, tiny_data, tasks=["detection"])[0]) == 3
    assert len(find_pool(folder)[0]) == 5, "without the data set nothing is known of them"


@pytest.fixture(scope="module")
def trained(bundle, tiny_data, tmp_path_factory):
    """Weights of a tiny training with dropout."""
    out = tmp_path_factory.mktemp("trained")
    bundle.train(tiny_data, out, max_epochs=1, dropout=0.1)
    return out / "models" / "model.pt"


def run(*arguments):
    return CliRunner().invoke(app, ["suggest", *map(str, arguments)])


def test_command_on_a_data_set(trained, tiny_data, tmp_path):
    out, pictures = tmp_path / "out" / "next.csv", tmp_path / "pictures"
    arguments = (tiny_data, "--weights", trained, "--device", "cpu", "--out", out, "--dropout-samples", "2")
    result = run(*arguments, "--top", "2", "--pictures", pictures, "--cost", "image=10")
    assert result.exit_code == 0, result.output
    assert "In 1 h:" in result.output
    with out.open() as file:
        rows = list(csv.DictReader(file))
    missing = sum(len(image.missing) for image in find_pool(tiny_data)[0])
    assert [int(row["rank"]) for row in rows] == list(range(1, missing + 1))
    assert all(float(row["seconds"]) > 10 and float(row["gain"]) > 0 for row in rows)
    assert [path.name for path in out.parent.iterdir()] == ["next.csv"]
    made = sorted(pictures.iterdir())
    assert [path.name[:4] for path in made] == ["001_", "002_"]
    height, width = read_image(rows[0]["image"]).shape[:2]
    assert np.asarray(Image.open(made[0])).shape == (height, 2 * width + 4, 3)
    before = out.read_bytes()
    again = run(*arguments)
    assert again.exit_code == 1
    assert "pass --overwrite" in str(again.exception)
    assert run(*arguments[:5], "--pictures", pictures).exit_code == 1
    assert run(*arguments, "--overwrite", "--cost", "image=10").exit_code == 0
    assert out.read_bytes() == before, "the same question has the same answer"


def test_command_on_files_names_a_broken_one(trained, tiny_data, tmp_path):
    for source in sorted((tiny_data / "images").iterdir())[:2]:
        shutil.copy(source, tmp_path)
    shutil.copy(tmp_path / sorted(path.name for path in tmp_path.iterdir())[0], tmp_path / "copy.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "next.csv"
    result = run(tmp_path, "--weights", trained, "--device", "cpu", "--tasks", "segmentation", "--out", out)
    assert result.exit_code == 1
    assert "broken.png" in result.output
    assert "cannot be read as an image" in result.output
    assert "Traceback" not in result.output
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert [float(row["similarity"]) for row in rows][-1] == 1.0, "the network sees that one is a copy"


def test_nothing_to_annotate_or_to_read(trained, tmp_path):
    with pytest.raises(DatalistError, match="holds no image"):
        suggest(tmp_path, fake_model())
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = run(tmp_path, "--weights", trained, "--device", "cpu")
    assert result.exit_code == 1
    assert isinstance(result.exception, LazyLabelsError)
    assert "none of the 1 images could be used" in str(result.exception)


def test_table_names_what_fits():
    from lazylabels_monai.suggest import Suggestions

    text = format_suggestions(Suggestions(rank([candidate("x/a.png", 10, 90), candidate("b.png", 1, 5000)], 1.0), 1.0), top=1)
    assert "a.png" in text
    assert "b.png" not in text
    assert "In 1 h: exact masks of 1 (1 images), 90 s in all." in text


def test_starting_the_command_line_imports_no_torch():
    import subprocess

    code = (
        "import sys, lazylabels_monai.cli as c; sys.exit('torch' in sys.modules or 'lazylabels_monai.suggest' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
