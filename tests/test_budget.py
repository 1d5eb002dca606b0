"""The cost of labels: the published figures, counts in label files, and what hours buy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.budget import (
    annotation_budget,
    count_objects,
    count_scribbles,
    format_budget,
)
from lazylabels_monai.data.costs import AnnotationCosts, read_costs
from lazylabels_monai.errors import LazyLabelsError

COSTS = AnnotationCosts(strong=60, inner=6, scribble=3, absent=1, image=0)


def test_figures_of_bearman_et_al():
    """PASCAL VOC: of 20 classes an image shows 1.5, with 2.8 objects; 239.7 s for a mask, 34.9 s for squiggles."""
    costs = AnnotationCosts()
    full, squiggles = costs.seconds("segmentation", 2.8, 18.5), costs.seconds("detection", 1.5, 18.5)
    assert full == pytest.approx(239.7, abs=0.05)
    assert squiggles == pytest.approx(34.9, abs=0.1)
    assert squiggles < full / 6
    with pytest.raises(ValueError, match=r"tasks \['points'\] must name each of"):
        costs.seconds("points", 1)


@pytest.mark.parametrize(
    ("values", "count"),
    [([], 0), ([1], 1), ([1, 1], 1), ([1, 2], 2), ([1, 0, 1], 2), ([255], 0), ([1, 255, 2, 0, 2], 3)],
)
def test_count_objects(values, count):
    label = np.zeros((6, 9), np.uint8)
    label[2, : len(values)] = values
    assert count_objects(label) == count


def test_count_ids_and_volumes():
    ids = np.array([[0, 7, 7, 9], [7, 0, 300, 300]])
    assert count_objects(ids, ids=True) == 3
    volume = np.stack([ids, ids, np.zeros_like(ids)], -1)  # an object is drawn in each plane
    assert count_objects(volume, ids=True) == 6


def scribble_map(*lines):
    label = np.zeros((60, 60), np.uint8)
    for rows, columns in lines:
        label[rows, columns] = 1
    return label


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ((), 0),
        (((slice(10, 40), slice(20, 23)),), 1),
        (((slice(10, 40), slice(20, 23)), (slice(10, 40), slice(40, 43))), 2),
        # three strokes meet, as the interfaces of three objects do
        (((slice(10, 30), slice(29, 32)), (slice(28, 31), slice(8, 52))), 3),
        (((slice(10, 11), slice(10, 11)),), 1),
    ],
)
def test_count_scribbles(lines, count):
    assert count_scribbles(scribble_map(*lines)) == count


@pytest.fixture
def data(tmp_path):
    """Two training images (one with an exact mask) and one for validation with ids: 4, 2 and 3 objects."""
    items = {"training": [], "validation": []}

    def write(name, array):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(array).save(path)
        return name

    def squares(count, inner=0, ids=False):
        label = np.zeros((40, 80), np.uint8)
        for k in range(count):
            label[10 + inner : 25 - inner, 15 * k + inner : 15 * (k + 1) - inner] = k + 1 if ids else 1
        return label

    lines = scribble_map((slice(10, 25), slice(14, 16)), (slice(10, 25), slice(29, 31)))
    first = {"image": "a.png", "segmentation": write("a_s.png", squares(4)), "detection": write("a_d.png", squares(4, 3))}
    second = {"image": "b.png", "detection": write("b_d.png", squares(2, 3)), "separation": write("b_i.png", lines)}
    third = {"image": "c.png", "instances": write("c_n.png", squares(3, ids=True))}
    items["training"], items["validation"] = [first, second], [third]
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["cell"], **items}))
    return tmp_path


def test_budget(data):
    found = annotation_budget(data, COSTS, hours=2)
    training = found.spent["training"]
    # the four touching squares are one piece of the mask, but four marks say what they are
    assert (training["segmentation"].images, training["segmentation"].objects, training["segmentation"].seconds) == (1, 4, 240)
    assert (training["detection"].images, training["detection"].objects, training["detection"].seconds) == (2, 6, 36)
    assert (training["separation"].images, training["separation"].objects, training["separation"].seconds) == (1, 2, 6)
    assert found.spent["validation"]["segmentation"].seconds == 180
    assert found.seconds == 240 + 36 + 6 + 180
    assert found.density == {"segmentation": 3, "detection": 3, "separation": 2}
    assert found.per_image == {"segmentation": 180, "detection": 18, "separation": 6, "weak": 24}
    assert found.ratio == pytest.approx(24 / 180)
    assert found.buys == {"segmentation": 40, "detection": 400, "separation": 1200, "weak": 300}
    assert found.missing == {"segmentation": 1, "detection": 0, "separation": 1}
    assert "testing" not in found.spent


def test_absent_classes_and_overhead_cost_time(data):
    content = json.loads((data / "datalist.json").read_text())
    content["classes"].append("never seen")
    content["validation"] = []
    (data / "datalist.json").write_text(json.dumps(content))
    found = annotation_budget(data, AnnotationCosts(strong=0, inner=0, scribble=0, absent=5, image=7))
    # each label costs 7, each label of classes 5 more for the one that is not there
    assert {kind: cost.seconds for kind, cost in found.spent["training"].items()} == {
        "segmentation": 12,
        "detection": 24,
        "separation": 7,
    }


def test_what_is_not_known_is_not_priced(data):
    content = json.loads((data / "datalist.json").read_text())
    for item in content["training"]:
        item.pop("separation", None)
    (data / "datalist.json").write_text(json.dumps(content))
    found = annotation_budget(data, COSTS)
    assert found.per_image["separation"] is found.per_image["weak"] is found.ratio is None
    assert any("no image has interface scribbles" in note for note in found.notes)
    assert "sixth" not in format_budget(found)


def test_table(data):
    text = format_budget(annotation_budget(data, COSTS, hours=2))
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert "4 min for 1 (4)" in rows["training"]
    assert "7 min for 2 (7)" in rows["total"]
    assert "what 2 h more would buy" in text
    assert "exact masks: 3 to draw, 3 min; buys 40.0 images; 1 training images have none" in text
    assert "Weak labels of an image cost 1/7.5 of its exact mask: at most the sixth" in text


def test_costs(tmp_path):
    assert read_costs() == AnnotationCosts()
    file = tmp_path / "costs.yaml"
    file.write_text("strong: 40\nimage: 5\n")
    assert read_costs(file, ["image=2.5"]) == AnnotationCosts(strong=40, image=2.5)
    (tmp_path / "costs.json").write_text('{"inner": 8}')
    assert read_costs(tmp_path / "costs.json").inner == 8


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (None, ["strong"], "'strong' is no NAME=SECONDS"),
        (None, ["strong=fast"], "'strong=fast' is no NAME=SECONDS"),
        (None, ["strnog=4"], "'strnog' does not exist: use strong, inner, scribble, absent, image"),
        (None, ["strong=-1"], "'strong' is -1.0: give seconds, 0 or more"),
        (None, ["strong=nan"], "'strong' is nan: give seconds"),
        ("strong: many", [], "'strong' is 'many': give seconds"),
        ("- 3", [], "holds no names: write lines such as 'strong: 40'"),
        ("a: [", [], "cannot be read"),
    ],
)
def test_bad_costs(tmp_path, content, changes, message):
    file = None
    if content is not None:
        file = tmp_path / "costs.yaml"
        file.write_text(content)
    with pytest.raises(LazyLabelsError) as error:
        read_costs(file, changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_costs_file(tmp_path):
    with pytest.raises(LazyLabelsError, match=r"costs file '.*none\.yaml' cannot be read"):
        read_costs(tmp_path / "none.yaml")


@pytest.mark.parametrize("hours", [0, -1, float("nan"), float("inf")])
def test_bad_hours(data, hours):
    with pytest.raises(LazyLabelsError, match="must be a positive number"):
        annotation_budget(data, hours=hours)


def test_command(data, tmp_path):
    run = CliRunner().invoke
    result = run(app, ["budget", str(data), "--hours", "2", "--cost", "strong=60", "--json", "-"])
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["costs"]["strong"] == 60
    assert content["spent"]["training"]["segmentation"] == {"images": 1, "objects": 4, "seconds": 240}
    assert "what 2 h more would buy" in result.stderr
    out = tmp_path / "new" / "budget.json"
    assert run(app, ["budget", str(data), "--json", str(out)]).exit_code == 0
    assert json.loads(out.read_text())["costs"]["strong"] == 79
    assert isinstance(run(app, ["budget", str(data), "--json", str(out)]).exception, FileExistsError)
