"""Class maps of other programs: what they stand for, their scores against plain restatements, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.evaluation.score import maps_of_classes, score_predictions
from lazylabels_monai.images.files import read_label
from lazylabels_monai.stamps import Record, Records, Stamp, locked
from tests.evaluation.maps import INTERFACE, masks, message, same, true_classes, worse, write_maps

# ------------------------------------------------------------------------------------------------ class maps


def test_an_interface_belongs_to_the_nearest_class_and_splits_the_detection():
    classes = np.array([[0, 1, 1, 3, 1, 1, 0], [0, 1, 1, 3, 3, 2, 2], [0, 0, 0, 0, 0, 2, 2]])
    maps = maps_of_classes(classes, 3)
    assert {task: array.shape[0] for task, array in maps.items()} == {"segmentation": 3, "detection": 3, "separation": 2}
    assert maps["detection"].argmax(0).tolist() == [[0, 1, 1, 0, 1, 1, 0], [0, 1, 1, 0, 0, 2, 2], [0, 0, 0, 0, 0, 2, 2]]
    assert maps["separation"].argmax(0).tolist() == [[0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0, 0], [0] * 7]
    filled = maps["segmentation"].argmax(0)
    assert filled[0, 3] == 1, "both neighbours are of class 1"
    assert (filled != 3).all()
    for array in maps.values():
        assert array.dtype == np.float32
        assert np.array_equal(array.sum(0), np.ones(classes.shape))


def test_filled_pixels_have_a_class_of_a_nearest_pixel():
    classes = np.random.default_rng(0).integers(0, 4, (17, 23))
    filled = maps_of_classes(classes, INTERFACE)["segmentation"].argmax(0)
    known = np.argwhere(classes != INTERFACE)
    for place in np.argwhere(classes == INTERFACE):
        distance = ((known - place) ** 2).sum(1)
        assert filled[tuple(place)] in {classes[tuple(other)] for other in known[distance == distance.min()]}
    assert np.array_equal(filled[tuple(known.T)], classes[tuple(known.T)])


def test_without_interfaces_the_detection_is_the_segmentation():
    classes = np.array([[0, 1], [2, 1]])
    maps = maps_of_classes(classes, 3)
    assert np.array_equal(maps["segmentation"], maps["detection"])
    assert maps["separation"][1].sum() == 0


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ([[0, 4]], "0 to 4: 0 to 3 are known"),
        ([[-1, 0]], "-1 to 0"),
        ([[255, 0]], "255"),
        ([[3, 3]], "nothing but interfaces"),
    ],
)
def test_other_values_are_no_class_map(classes, words):
    with pytest.raises(ValueError, match=words):
        maps_of_classes(np.array(classes), 3)


# ------------------------------------------------------------------------------------------------ scores


def plain_dice(predicted: np.ndarray, truth: np.ndarray, value: int) -> float:
    x, y = predicted == value, truth == value
    return 2 * (x & y).sum() / (x.sum() + y.sum()) if x.any() or y.any() else float("nan")


def plain_objects(classes: np.ndarray, min_size: int = 16) -> list[np.ndarray]:
    """Masks of the four-connected components of each class with more than ``min_size`` pixels."""
    found = []
    for value in (1, 2):
        ids, count = ndimage.label(classes == value)
        found += [ids == index for index in range(1, count + 1) if (ids == index).sum() > min_size]
    return found


def plain_counts(predicted: list[np.ndarray], truth: list[np.ndarray]) -> tuple[int, int, int]:
    """At an IoU above one half each object has one partner at most."""
    hits = sum(any((p & t).sum() > 0.5 * (p | t).sum() for t in truth) for p in predicted)
    return hits, len(predicted) - hits, len(truth) - hits


@pytest.mark.parametrize("ending", ["", "_pred"])
def test_scores_are_those_of_their_definitions(tiny_data, tmp_path, ending):
    maps = write_maps(tmp_path / "maps", tiny_data, "testing", worse, ending)
    found = score_predictions(tiny_data, maps, tmp_path / "out")
    items = read_items(tiny_data, "testing")
    truths = [true_classes(item) for item in items]
    predicted = [worse(classes, number) for number, classes in enumerate(truths)]
    dice = np.array([[plain_dice(p, t, value) for value in (1, 2)] for p, t in zip(predicted, truths, strict=True)])
    assert 0.2 < np.nanmean(dice) < 0.95, "neither right nor wrong throughout"
    names = json.loads((tiny_data / "datalist.json").read_text())["classes"]
    assert [found["segmentation"]["dice"][name] for name in names] == pytest.approx(np.nanmean(dice, 0))
    assert found["segmentation"]["dice"]["mean"] == pytest.approx(np.nanmean(dice, 0).mean())

    counts = []
    for item, classes in zip(items, predicted, strict=True):
        ids = read_label(item["instances"])
        counts.append(plain_counts(plain_objects(classes), [ids == index for index in np.unique(ids[ids > 0])]))
    hits, extra, missed = np.sum(counts, 0)
    assert hits > 0
    assert found["objects"]["f1@0.5 components"] == pytest.approx(2 * hits / (2 * hits + extra + missed))
    with (tmp_path / "out" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [Path(item["image"]).name for item in items]
    assert [[float(row[f"objects components {name}"]) for name in ("tp", "fp", "fn")] for row in rows] == [
        list(map(float, row)) for row in counts
    ]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == found
    assert found["separation"] == {"precision": None, "recall": None}, "nothing was said of interfaces"
    assert "f1@0.5 three maps" not in found["objects"]


def test_true_class_maps_with_interfaces_part_touching_objects(tiny_data, tmp_path):
    maps = write_maps(tmp_path / "maps", tiny_data, "testing", same, interfaces=True)
    found = score_predictions(tiny_data, maps, tmp_path / "out", interfaces=True)
    assert found["separation"]["recall"] > 0.9
    assert found["separation"]["precision"] > 0.95
    assert found["objects"]["f1@0.5 three maps"] > 0.9 > found["objects"]["f1@0.5 components"]
    assert found["segmentation"]["dice"]["mean"] > 0.95, "interfaces went to the classes beside them"


def test_settings_are_picked_on_the_validation_maps(tiny_data, tmp_path):
    """Specks of 20 pixels: the default drops 16, so that a larger size is chosen."""

    def specks(classes: np.ndarray, number: int) -> np.ndarray:
        out = classes.copy()
        for row in range(2, 60, 8):
            out[row : row + 4, 2:7] = 1
            out[row + 4, 1:9] = out[row - 1, 1:9] = out[row : row + 4, 1] = out[row : row + 4, 7] = 0
        return out

    testing = write_maps(tmp_path / "testing", tiny_data, "testing", specks)
    validation = write_maps(tmp_path / "validation", tiny_data, "validation", specks)
    plain = score_predictions(tiny_data, testing, tmp_path / "plain")
    assert not (tmp_path / "plain" / "instances.json").exists()
    tuned = score_predictions(tiny_data, testing, tmp_path / "tuned", tune_on=validation)
    written = json.loads((tmp_path / "tuned" / "instances.json").read_text())
    assert written["routes"]["components"]["min_size"] >= 32
    assert (written["section"], written["images"]) == ("validation", 2)
    assert set(written["routes"]) == {"components", "distance"}
    assert written["routes"]["components"]["max_hole"] == 0
    for found, min_size in ((plain, 16), (tuned, written["routes"]["components"]["min_size"])):
        counts = [
            plain_counts(plain_objects(specks(true_classes(item), 0), min_size), masks(item))
            for item in read_items(tiny_data, "testing")
        ]
        hits, extra, missed = np.sum(counts, 0)
        assert found["objects"]["f1@0.5 components"] == pytest.approx(2 * hits / (2 * hits + extra + missed))
    assert plain["objects"]["f1@0.5 components"] < tuned["objects"]["f1@0.5 components"]
    assert plain["segmentation"] == tuned["segmentation"]


def test_validation_can_be_scored(tiny_data, tmp_path):
    maps = write_maps(tmp_path / "maps", tiny_data, "validation", same)
    found = score_predictions(tiny_data, maps, tmp_path / "out", section="validation", tune_on=maps)
    assert (found["section"], found["dataset"]) == ("validation", str(tiny_data))
    assert found["segmentation"]["dice"]["mean"] == 1.0


# ------------------------------------------------------------------------------------------------ refusals


def test_what_is_missing_or_wrong_is_named(tiny_data, tmp_path):
    maps = write_maps(tmp_path / "maps", tiny_data, "testing", same)
    first = sorted(maps.iterdir())[0]
    right = Image.open(first).copy()

    first.unlink()
    assert f"no class map of '{first.stem}'" in message(tiny_data, maps, tmp_path / "out")

    Image.fromarray(np.full((64, 80), 9, np.uint8)).save(first)
    assert str(first) in (found := message(tiny_data, maps, tmp_path / "out"))
    assert "9" in found

    Image.fromarray(np.asarray(right)[:60]).save(first)
    assert "(60, 80)" in (found := message(tiny_data, maps, tmp_path / "out"))
    assert "(64, 80)" in found

    lines = np.asarray(right).copy()
    lines[3, 3] = INTERFACE
    Image.fromarray(lines).save(first)
    assert "--interfaces" in message(tiny_data, maps, tmp_path / "out")
    assert not (tmp_path / "out").exists(), "nothing is written before all is known"


def test_class_maps_whose_values_mean_other_classes_are_not_scored(tiny_data, tmp_path):
    maps = write_maps(tmp_path / "maps", tiny_data, "testing", same)
    validation = write_maps(tmp_path / "validation", tiny_data, "validation", same)
    for folder, given in ((maps, {}), (validation, {"tune_on": validation})):
        (folder / "classes.json").write_text('["ice crystal", "air bubble"]')
        found = message(tiny_data, maps, tmp_path / "out", **given)
        assert f"'{folder / 'classes.json'}' has the classes in the order ice crystal, air bubble, the" in found
        (folder / "classes.json").write_text('["air bubble", "ice crystal"]')
    assert not (tmp_path / "out").exists()
    found = score_predictions(tiny_data, maps, tmp_path / "out")
    assert found["segmentation"]["dice"]["mean"] == 1.0


def test_validation_maps_of_another_size_are_named(tiny_data, tmp_path):
    testing = write_maps(tmp_path / "maps", tiny_data, "testing", same)
    cut = write_maps(tmp_path / "cut", tiny_data, "validation", lambda classes, number: classes[:60])
    found = message(tiny_data, testing, tmp_path / "out", tune_on=cut)
    assert "(60, 80)" in found
    assert "(64, 80)" in found


def test_nothing_is_written_when_a_test_map_is_missing_after_the_settings_were_picked(tiny_data, tmp_path):
    validation = write_maps(tmp_path / "validation", tiny_data, "validation", same)
    (tmp_path / "maps").mkdir()
    assert "no class map" in message(tiny_data, tmp_path / "maps", tmp_path / "out", tune_on=validation)
    assert not (tmp_path / "out").exists(), "a second try would be refused"


def test_settings_need_ids_on_validation_images(tiny_data, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(tiny_data, data)
    content = json.loads((data / "datalist.json").read_text())
    for item in content["validation"]:
        del item["instances"]
    (data / "datalist.json").write_text(json.dumps(content))
    maps = write_maps(tmp_path / "maps", tiny_data, "testing", same)
    found = message(data, maps, tmp_path / "out", tune_on=maps)
    assert str(data) in found
    assert "instances" in found


def test_settings_of_an_earlier_run_are_not_taken_in_silence(tiny_data, tmp_path):
    maps = write_maps(tmp_path / "maps", tiny_data, "testing", same)
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "instances.json"
    file.write_text('{"best": "components", "routes": {}}')
    assert "instances.json is of an earlier run" in message(tiny_data, maps, tmp_path / "out")
    for overwrite in (False, True):  # neither are others' files
        for content, weights in (
            ("{}", False),
            ("mine", False),
            ('{"best": "distance", "dataset": "d"}', False),
            ('{"best": ""}', True),
        ):
            file.write_text(content)
            (file.parent / "model.pt").touch() if weights else (file.parent / "model.pt").unlink(missing_ok=True)
            assert "instances.json' is not of earlier scores" in message(tiny_data, maps, file.parent, overwrite=overwrite)
            assert file.read_text() == content
    (file.parent / "model.pt").unlink()
    file.write_text('{"best": "components", "routes": {}}')
    score_predictions(tiny_data, maps, file.parent, overwrite=True)
    assert sorted(path.name for path in file.parent.iterdir()) == ["metrics.csv", "metrics.json"]


def test_maps_of_two_models_are_not_scored_as_one(tiny_data, tmp_path):
    one, other = Stamp("11" * 16, {}), Stamp("22" * 16, {})

    def made_by(section, *stamps):
        folder = write_maps(tmp_path / section, tiny_data, section, worse)
        for item, stamp in zip(read_items(tiny_data, section), stamps, strict=True):
            records = Records(folder)
            with locked(folder):
                records.add_stamp(stamp)
            records.add(Path(item["image"]).stem, Record(stamp.id))
        return folder

    testing, validation = made_by("testing", one, other), made_by("validation", one, one)
    with pytest.raises(LazyLabelsError, match="testing' mixes results"):
        score_predictions(tiny_data, testing, tmp_path / "out")
    made_by("testing", other, other)
    score_predictions(tiny_data, testing, tmp_path / "out")
    with pytest.raises(LazyLabelsError, match=r"were made by different weights \(111111, 222222\)"):
        score_predictions(tiny_data, testing, tmp_path / "tuned", tune_on=validation)
    made_by("validation", other, other)
    score_predictions(tiny_data, testing, tmp_path / "tuned", tune_on=validation)


def test_predictions_of_other_pictures_of_the_same_names_are_told(tiny_data, tmp_path):
    folder, stamp = write_maps(tmp_path / "maps", tiny_data, "testing", worse), Stamp("11" * 16, {})
    items, records = read_items(tiny_data, "testing"), Records(folder)
    with locked(folder):
        records.add_stamp(stamp)
    for item in items:
        records.add(Path(item["image"]).stem, Record.of(stamp, item["image"], folder))
    said = []
    score_predictions(tiny_data, folder, tmp_path / "same", progress=said.append)
    assert not [line for line in said if "predicted" in line]
    records.add(Path(items[0]["image"]).stem, Record.of(stamp, items[1]["image"], folder))
    score_predictions(tiny_data, folder, tmp_path / "other", progress=said.append)
    (sentence,) = [line for line in said if "predicted" in line]
    assert sentence.startswith(f"note: 1 of {len(items)} images are not those that were predicted into '{folder}' (")
