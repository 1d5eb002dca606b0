"""Which images and labels a folder holds."""

from __future__ import annotations

from pathlib import PurePath

import numpy as np
import pytest

from tests.data.building.drawing import _coco, _draw, _feature, _ids, _image, _masks, _save

TRIANGLE = [[5, 5], [20, 5], [5, 20], [5, 5]]


def test_splits_come_from_folders_and_equal_names_are_told_apart(tmp_path, build):
    for number, (split, name) in enumerate((("train", "x"), ("train", "y"), ("val", "x"), ("testA", "x"), ("testB", "x"))):
        _save(tmp_path / "set" / split / "images" / f"{name}.png", _image(number))
        _save(tmp_path / "set" / split / "masks" / f"{name}.png", _ids())
    summary, _ = build(tmp_path / "set")
    images = {s: [i["image"] for i in summary.datalist[s]] for s in ("training", "validation", "testing")}
    assert images == {
        "training": ["images/train_x.png", "images/y.png"],
        "validation": ["images/val_x.png"],
        "testing": ["images/testA_x.png", "images/testB_x.png"],
    }


@pytest.mark.parametrize("ending", ["_mask", "_cp_masks", "-labels", ".annotation", "_masks_final"])
def test_labels_beside_their_images_in_one_folder(tmp_path, build, ending):
    for number, name in enumerate("abc"):
        _save(tmp_path / "flat" / f"{name}.png", _image(number))
        _save(tmp_path / "flat" / f"{name}{ending}.png", _ids())
    more = {"label_suffix": ending} if ending == "_masks_final" else {}
    summary, label = build(tmp_path / "flat", labels=[("masks", tmp_path / "flat")], **more)
    assert len(summary.datalist["training"] + summary.datalist["validation"]) == 3
    np.testing.assert_array_equal(label("a", "segmentation"), _ids() > 0)


def test_an_image_suffix_tells_images_from_labels(tmp_path, build):
    for number, name in enumerate("abc"):
        _save(tmp_path / "flat" / f"{name}_raw.png", _image(number))
        _save(tmp_path / "flat" / f"{name}_annotation.png", _ids())
    summary, label = build(tmp_path / "flat", image_suffix="_raw", labels=[("masks", f"{tmp_path}/flat/*_annotation.png")])
    assert len(summary.datalist["training"] + summary.datalist["validation"]) == 3
    np.testing.assert_array_equal(label("c", "segmentation"), _ids() > 0)


def test_what_labels_names_is_not_read_a_second_time(folder, build):
    """As its folder's kind."""
    _draw(folder, _feature("cell", "Polygon", TRIANGLE), kind="annotations")
    summary, _ = build(labels=[("exact", folder / "annotations")])
    assert [line for line in summary.readings if "marks named" in line] == ["5 marks named 'cell' in exact: class 1 cell"]


def test_labels_may_name_the_folder_above_the_images(folder, build):
    _coco(folder / "instances.json", [f"{name}.png" for name in "abcdef"])
    summary, _ = build(labels=[("exact", folder)])
    assert sum(len(summary.datalist[section]) for section in ("training", "validation")) == 5


def test_a_folder_of_labels_below_the_images_holds_no_images(tmp_path, build):
    for number, name in enumerate("abc"):
        _save(tmp_path / "flat" / "p" / f"{name}.png", _image(number))
        _save(tmp_path / "flat" / "truth" / f"{name}.png", _ids())
    summary, label = build(tmp_path / "flat", labels=[("masks", tmp_path / "flat" / "truth")])
    assert sum(len(summary.datalist[section]) for section in ("training", "validation")) == 3
    np.testing.assert_array_equal(label("a", "segmentation"), _ids() > 0)


@pytest.mark.parametrize("recorded", [True, False])
def test_results_of_a_prediction_are_neither_images_nor_marks(recorded, tmp_path, build):
    """``predict`` and ``measure`` wrote into the folder of the images, and into one called "test_results" beside it."""
    _masks(tmp_path)
    for place in (tmp_path / "flat", tmp_path / "flat" / "test_results"):
        for number, name in enumerate("abcde"):
            if place.name == "flat":
                _save(place / f"{name}.png", _image(number))
            for ending in ("pred", "instances", "overlay"):
                _save(place / f"{name}_{ending}.png", _ids())
        (place / "classes.json").write_text('["cell"]')
        (place / "summary.json").write_text('{"images": 5}')
        (place / "objects.csv").write_text("image,class_name\n")
        if recorded:
            (place / "predicted.jsonl").write_text("".join(f'{{"result": "{name}", "stamp": null}}\n' for name in "abcde"))
    summary, _ = build(tmp_path / "flat", labels=[("masks", tmp_path / "masks")])
    items = [item["image"] for section in ("training", "validation", "testing") for item in summary.datalist.get(section, [])]
    assert sorted(items) == [f"images/{name}.png" for name in "abcde"]
    for number in range(5):
        _save(tmp_path / "set" / "images" / f"{'abcde'[number]}.png", _image(number))
        _save(tmp_path / "set" / "images" / f"{'abcde'[number]}_pred.png", _ids())
    _masks(tmp_path / "set")
    summary, _ = build(tmp_path / "set", tmp_path / "second")
    assert sum(len(items) for key, items in summary.datalist.items() if key in ("training", "validation", "testing")) == 5


def test_pictures_beside_those_of_a_data_set_are_compared_with_them_once(tmp_path, build, monkeypatch):
    """Each with each takes minutes of ten thousand."""
    count = 40
    for number in range(count):
        _save(tmp_path / "some" / "images" / f"i{number:02}.png", _image(number))
        _save(tmp_path / "some" / "masks" / f"i{number:02}.png", _ids())
    out = build(src=tmp_path / "some", out=tmp_path / "1", link=True)[0].out
    for number in range(count):
        _save(out / f"n{number:02}.png", _image(count + number))
    compared, equal = [], PurePath.__eq__
    monkeypatch.setattr(PurePath, "__eq__", lambda path, other: compared.append(path) or equal(path, other))
    build(src=out, out=tmp_path / "2", dry_run=True)
    monkeypatch.undo()
    assert sum(path.parent == out for path in compared) < 10 * count
