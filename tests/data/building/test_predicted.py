"""What ``predict`` wrote, put back as labels of a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.data.building.options import BuildError
from lazylabels_monai.data.building.predicted import names_beside, own_files
from lazylabels_monai.data.datalist import SECTIONS, is_predicted
from lazylabels_monai.data.proposals import propose_dataset
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting import FORMATS, export_objects
from lazylabels_monai.result_files import RECORDS_FILE
from lazylabels_monai.stamps import Record, Records, Stamp, file_digest, locked
from tests.data.building.drawing import SHAPE, _draw, _feature, _geojson, _ids, _image, _masks, _save, _square
from tests.exporting.maps import saved_elsewhere

CLASSES = np.where(_ids() == 9, 1, 2 * (_ids() > 0)).astype(np.uint8)


@pytest.fixture
def predicted(tmp_path):
    """A folder of predictions of a.png to e.png: classes "zinc" (1) and "air" (2)."""
    out = tmp_path / "predicted"
    for name in "abcde":
        _save(out / f"{name}_pred.png", CLASSES)
        _save(out / f"{name}_overlay.png", np.zeros((*SHAPE, 3), np.uint8))
        tifffile.imwrite(out / f"{name}_instances.tif", _ids().astype(np.uint16))
        tifffile.imwrite(out / f"{name}_segmentation_probability.tif", np.zeros((3, *SHAPE), np.float32))
    (out / "classes.json").write_text(json.dumps(["zinc", "air"]))
    return out


@pytest.fixture
def recorded(predicted, folder):
    """The same with the records that ``predict`` leaves."""
    stamp, records = Stamp("11" * 16, {"classes": ["zinc", "air"]}), Records(predicted)
    with locked(predicted):
        records.add_stamp(stamp)
    for name in "abcde":
        record = Record.of(stamp, folder / "images" / f"{name}.png", predicted)
        records.add(name, record.giving(predicted / f"{name}_pred.png", [predicted / f"{name}_instances.tif"]))
    return predicted


def both(folder):
    return {"labels": [("masks", folder), ("segmentation", folder)]}


def test_the_folder_as_it_is(predicted, build):
    summary, label = build(**both(predicted), validation=4)
    assert summary.datalist["classes"] == ["zinc", "air"]  # as predicted, not sorted
    for name in "abcde":
        np.testing.assert_array_equal(label(name, "segmentation"), CLASSES)
    for item in summary.datalist["validation"]:
        pairs = set(zip(_ids().ravel().tolist(), label(Path(item["image"]).stem, "instances").ravel().tolist(), strict=True))
        assert len(pairs) == 4
    assert not [note for note in summary.notes if "id" in note.split()]


def test_masks_beside_classes(folder, build):
    """Sorted into the folders of a data set, names and all."""
    for name in "abcde":
        _save(folder / "masks" / f"{name}.png", _ids())
        _save(folder / "classes" / f"{name}.png", CLASSES)
    summary, label = build(classes=["zinc", "air"])
    np.testing.assert_array_equal(label("a", "segmentation"), CLASSES)
    (folder / "classes.json").write_text(json.dumps(["zinc", "air"]))
    assert build(overwrite=True)[0].datalist == summary.datalist


def test_ids_alone_name_the_remedy(folder, build):
    _save(folder / "masks" / "a.png", _ids())
    with pytest.raises(LazyLabelsError, match="add class pictures in classes/ or by --labels segmentation=FOLDER"):
        build(classes=["zinc", "air"])


def test_an_object_that_was_added_needs_a_class(predicted, build):
    ids = _ids()
    ids[30:35, 40:50] = 12
    tifffile.imwrite(predicted / "a_instances.tif", ids)
    said = r"a_instances.tif': object 12 \(1 in all\) has no pixel of a class in '.*a_pred.png': draw it there in its class"
    with pytest.raises(LazyLabelsError, match=said):
        build(**both(predicted))
    classes = CLASSES.copy()
    classes[32, 45] = 2  # a dab is enough
    _save(predicted / "a_pred.png", classes)
    summary, label = build(**both(predicted))
    np.testing.assert_array_equal(label("a", "segmentation"), np.where(ids == 12, 2, CLASSES))
    assert any("1 image has pixels with an object's id but no class" in note and "a.png" in note for note in summary.notes)


def test_an_object_that_grew_is_of_its_class(predicted, build):
    ids = _ids()
    ids[28:36, 16:20] = 9
    tifffile.imwrite(predicted / "a_instances.tif", ids)
    _, label = build(**both(predicted))
    np.testing.assert_array_equal(label("a", "segmentation"), np.where(ids == 9, 1, CLASSES))


def test_an_object_that_was_deleted_is_told(predicted, build):
    ids = np.where(_ids() == 9, 0, _ids())
    tifffile.imwrite(predicted / "a_instances.tif", ids)
    summary, label = build(**both(predicted))
    np.testing.assert_array_equal(label("a", "segmentation"), CLASSES)
    assert any("delete them in the class picture, too" in note and "a.png" in note for note in summary.notes)


def test_an_object_of_several_classes_is_told(predicted, build):
    """As networks predict them: the pixels stay what they are, the remedy is named."""
    classes = CLASSES.copy()
    classes[5:8, 5:8] = 1
    _save(predicted / "a_pred.png", classes)
    summary, label = build(**both(predicted))
    np.testing.assert_array_equal(label("a", "segmentation"), classes)
    (note,) = [note for note in summary.notes if "several classes" in note]
    assert note.startswith("1 image ")
    assert "export-objects" in note


def test_an_object_in_a_patch_left_open_stays_open(predicted, build):
    classes = CLASSES.copy()
    classes[25:38, 5:20] = 255
    _save(predicted / "a_pred.png", classes)
    _, label = build(**both(predicted))
    np.testing.assert_array_equal(label("a", "segmentation"), classes)


def test_exact_outlines_of_nothing(folder, build):
    """A file without a mark: nobody was there yet, unless the user says what unmarked pixels are."""
    for name in "abcd":
        square = [[5, 5], [20, 5], [20, 20], [5, 20], [5, 5]]
        cell = {"type": "Polygon", "coordinates": [square]}
        _geojson(folder / "exact" / f"{name}.geojson", {"type": "Feature", "geometry": cell, "properties": {"name": "cell"}})
    _geojson(folder / "exact" / "e.geojson")
    summary, _ = build()
    assert any("--unlabelled background says that there is no object: 'e.png'" in note for note in summary.notes)
    assert not any("e.png" in str(item) for section in ("training", "validation") for item in summary.datalist[section])
    summary, label = build(unlabelled={"": "background"}, overwrite=True)
    assert not label("e", "segmentation").any()
    assert [
        item["image"] for section in ("training", "validation") for item in summary.datalist[section] if "empty" in item
    ] == ["images/e.png"]


OTHER_ORDER = np.array([0, 2, 1], np.uint8)[CLASSES]


def test_given_classes_go_by_their_names_where_a_folder_names_its_values(predicted, build):
    """Classes "zinc" (1) and "air" (2) of the folder, in whatever order the person gives them."""
    for given, expected in ((["zinc", "air"], CLASSES), (["air", "zinc"], OTHER_ORDER), (["Air", "gas", "Zinc"], None)):
        summary, label = build(**both(predicted), classes=given, overwrite=True)
        expected = expected if expected is not None else np.array([0, 3, 1], np.uint8)[CLASSES]
        np.testing.assert_array_equal(label("a", "segmentation"), expected)
        assert summary.datalist["classes"] == given
        assert any("classes.json' are zinc, air, as it says" in note for note in summary.notes) == (given[0] != "zinc")
    summary, label = build(**both(predicted), classes=["grain", "pore"], overwrite=True)
    np.testing.assert_array_equal(label("a", "segmentation"), CLASSES)  # new names of the same values
    with pytest.raises(BuildError, match="say what each value is with --names 1=NAME,2=NAME"):
        build(**both(predicted), classes=["air", "pore"], overwrite=True)
    given = {"": {"1": "pore", "2": "air"}}
    _, label = build(**both(predicted), classes=["air", "pore"], names=given, overwrite=True)
    np.testing.assert_array_equal(label("a", "segmentation"), OTHER_ORDER)


def test_folders_that_name_their_values_each_in_its_own_way(predicted, build, tmp_path):
    other = tmp_path / "other"
    for name in "de":
        (predicted / f"{name}_pred.png").unlink()
        _save(other / f"{name}.png", OTHER_ORDER)
    (other / "classes.json").write_text(json.dumps(["air", "zinc"]))
    labels = [("segmentation", predicted), ("segmentation", other)]
    with pytest.raises(BuildError, match="say which there are with --classes"):
        build(labels=labels)
    _, label = build(labels=labels, classes=["zinc", "air"])
    for name in "abcde":
        np.testing.assert_array_equal(label(name, "segmentation"), CLASSES)


def test_classes_keep_their_order_when_the_data_set_is_made_again(predicted, build, folder):
    (predicted / "classes.json").unlink()
    build(**both(predicted), classes=["zinc", "air"])
    summary, label = build(**both(predicted), overwrite=True)
    assert summary.datalist["classes"] == ["zinc", "air"]
    assert any("the classes 1, 2, ... are zinc, air, in the order of" in note for note in summary.notes)
    values = {"": {"1": "zinc", "2": "air"}}
    summary, label = build(**both(predicted), names=values, overwrite=True)
    assert summary.datalist["classes"] == ["zinc", "air"]
    np.testing.assert_array_equal(label("a", "segmentation"), CLASSES)
    values = {"": {"1": "zinc", "2": "aether"}}
    summary, _ = build(**both(predicted), names=values, overwrite=True)
    assert summary.datalist["classes"] == ["zinc", "aether"]
    assert any("air of before occur no more" in note for note in summary.notes)
    summary, _ = build(**both(predicted), classes=["air", "zinc"], overwrite=True)
    assert summary.datalist["classes"] == ["air", "zinc"]
    assert not any("of before" in note or "order of" in note for note in summary.notes)


def test_files_of_a_kind():
    files = [
        Path(name) for name in ("a_instances.tif", "a_pred.png", "a_overlay.png", "b_pred.png", "a_segmentation_doubt.tif")
    ]
    assert [path.name for path in own_files("masks", files)] == ["a_instances.tif"]
    assert [path.name for path in own_files("segmentation", files)] == ["a_pred.png", "b_pred.png"]
    assert own_files("detection", files) == files
    others = [Path("a.png"), Path("b_overlay.png")]
    assert own_files("masks", others) == others
    assert [path.name for path in own_files("masks", [Path("a_instances.tif"), Path("b.png")])] == ["a_instances.tif", "b.png"]


def test_names_that_are_none(tmp_path):
    assert names_beside([tmp_path / "x" / "a.png"]) is None
    for folder, content in (("1", '["a"]'), ("2", '["b"]'), ("3", '{"a": 1}'), ("4", "[")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "classes.json").write_text(content)
    assert names_beside([tmp_path / "1" / "a.png", tmp_path / "1" / "masks" / "a.png"]) == ["a"]
    with pytest.raises(BuildError, match=r"names other classes than .*: say which there are with --classes"):
        names_beside([tmp_path / "1" / "a.png", tmp_path / "2" / "a.png"])
    for folder in "34":
        with pytest.raises(BuildError, match=r"classes.json' is no JSON list of class names"):
            names_beside([tmp_path / folder / "a.png"])


def test_the_picture_of_a_prediction_with_its_colours(predicted, build):
    """``_pred.png`` has a colour table; a legend for other pictures makes nothing else of it."""
    from lazylabels_monai.images.pictures import label_palette

    for name in "abcde":
        picture = Image.fromarray(CLASSES)
        picture.putpalette(label_palette().tobytes())
        picture.save(predicted / f"{name}_pred.png")
    legend = predicted / "legend.json"
    legend.write_text('{"#010203": "zinc"}')
    _, label = build(**both(predicted), classes=["zinc", "air"], legend=legend)
    np.testing.assert_array_equal(label("a", "segmentation"), CLASSES)


def others_told(summary):
    return [note for note in summary.notes if "not those that were predicted" in note]


@pytest.mark.parametrize("kinds", [("masks",), ("segmentation",), ("masks", "segmentation")])
def test_predictions_of_other_pictures_of_the_same_names_are_told(recorded, folder, build, kinds):
    given = {"labels": [(kind, recorded) for kind in kinds]}
    assert others_told(build(**given, classes=["zinc"] if kinds == ("masks",) else None)[0]) == []
    for number, name in enumerate("bd"):
        _save(folder / "images" / f"{name}.png", _image(10 + number))
    for dry_run in (True, False):
        options = {"dry_run": dry_run, "overwrite": True, "classes": ["zinc"] if kinds == ("masks",) else None}
        (said,) = others_told(build(**given, **options)[0])
        assert said.startswith(f"2 of 5 images are not those that were predicted into '{recorded}' (")
        assert "b.png' is one): predict them again" in said


def test_predictions_sorted_into_the_folders_of_the_images_are_known_by_their_records(recorded, folder, build):
    """The records go along with the folder; without them nobody can tell."""
    recorded.rename(folder / "classes")
    _save(folder / "images" / "a.png", _image(10))
    (said,) = others_told(build()[0])
    assert said.startswith(f"1 of 5 images are not those that were predicted into '{folder / 'classes'}'")
    (folder / "classes" / RECORDS_FILE).unlink()
    assert others_told(build(overwrite=True)[0]) == []


def unchanged_told(summary):
    return [note for note in summary.notes if "that nobody has changed" in note]


@pytest.mark.parametrize("kinds", [("masks",), ("segmentation",), ("masks", "segmentation")])
def test_predictions_that_nobody_changed_are_told(recorded, build, kinds):
    options = {"labels": [(kind, recorded) for kind in kinds], "classes": ["zinc"] if kinds == ("masks",) else None}
    (said,) = unchanged_told(build(**options)[0])
    assert said.startswith("5 images have predictions as exact masks that nobody has changed, so that ")
    assert "count as truth (1 of them validates or tests): correct them, or take away those that you have not looked at" in said
    ids = np.where(_ids() == 9, 0, _ids())
    if "masks" in kinds:
        tifffile.imwrite(recorded / "a_instances.tif", ids)
    else:
        _save(recorded / "a_pred.png", np.where(ids, CLASSES, 0).astype(np.uint8))
    (said,) = unchanged_told(build(**options, overwrite=True)[0])
    assert said.startswith("4 images have predictions as exact masks that nobody has changed, so that ")
    assert "'a.png'" not in said
    (recorded / RECORDS_FILE).unlink()
    assert unchanged_told(build(**options, overwrite=True)[0]) == [], "those of other programs are nobody's to judge"


def test_nobody_is_asked_what_was_deleted_of_predictions_that_nobody_changed(recorded, folder, build):
    """Small pieces have a class and no id when they are predicted."""
    classes = CLASSES.copy()
    classes[0, 0] = 1
    records = Records(recorded)
    for name in "abcde":
        _save(recorded / f"{name}_pred.png", classes)
        records.add(name, records.images[name].giving(recorded / f"{name}_pred.png", [recorded / f"{name}_instances.tif"]))
    tifffile.imwrite(recorded / "c_instances.tif", np.where(_ids() == 9, 0, _ids()))
    (said,) = [note for note in build(**both(recorded))[0].notes if "without an id" in note]
    assert said.startswith("1 image has")
    assert "'c.png'" in said


def test_predictions_that_were_drawn_over_are_changed(recorded, folder, build):
    _draw(folder, _feature("zinc", "Polygon", _square(40, 25, 8, 8)), names="ab", kind="exact")
    _draw(folder, _feature("zinc", "Polygon", _square(42, 27, 4, 4)), names="c", kind="rough")
    (said,) = unchanged_told(build(**both(recorded), classes=["zinc", "air"])[0])
    assert said.startswith("3 images have predictions")


def test_what_people_drew_validates_before_predictions_that_nobody_changed(recorded, folder, build):
    for name in "ab":  # exact masks of a person, of two images
        for file in recorded.glob(f"{name}_*"):
            file.unlink()
    _masks(folder, "ab", "segmentation", CLASSES)
    for seed in range(4):
        summary, _ = build(
            labels=[("segmentation", recorded)], seed=seed, overwrite=seed > 0, keep_splits="none", validation=0.4
        )
        (item,) = summary.datalist["validation"]
        assert item["image"] in ("images/a.png", "images/b.png"), "one of the person's two, and the other trains"
        (said,) = unchanged_told(summary)
        assert said.startswith("3 images have predictions as exact masks that nobody has changed, so that ")
        assert "validates" not in said
    summary, _ = build(labels=[("segmentation", recorded)], overwrite=True, keep_splits="none", validation=3)
    assert {item["image"] for item in summary.datalist["validation"]} > {"images/a.png", "images/b.png"}
    assert "(1 of them validates or tests)" in unchanged_told(summary)[0]


@pytest.mark.parametrize("way", ["named", "in exact/", "in annotations/"])
@pytest.mark.parametrize("format", FORMATS)
def test_exports_of_predictions_that_nobody_changed_are_told(format, way, recorded, folder, build, tmp_path):
    tifffile.imwrite(recorded / "a_instances.tif", np.where(_ids() == 9, 0, _ids()))  # corrected before the export
    there = {"named": tmp_path / "to", "in exact/": folder / "exact", "in annotations/": folder / "annotations"}[way]
    files = export_objects(recorded, format, there, images=folder / "images").files
    options = {"classes": ["zinc", "air"], "labels": [("exact", there)] if way == "named" else []}
    options |= {"areas": {"": "exact"}} if way == "in annotations/" else {}
    (said,) = unchanged_told(build(**options)[0])
    assert said.startswith("4 images have predictions as exact masks that nobody has changed, so that ")
    assert "'a.png'" not in said
    export_objects(recorded, format, there, images=folder / "images", overwrite=True)
    assert unchanged_told(build(**options, overwrite=True)[0]) == [said], "the same files again"
    changed = files[-1]  # of e, or of all
    saved_elsewhere(changed)
    told = unchanged_told(build(**options, overwrite=True)[0])
    if format == "coco":
        assert told == []
    else:
        assert told[0].startswith("3 images")
        assert "'e.png'" not in told[0]


@pytest.mark.parametrize("format", FORMATS)
def test_exports_that_somebody_made_of_more_than_predictions_are_not_told(format, recorded, folder, build):
    there = export_objects(recorded, format).folder
    exact = {"labels": [("exact", there)], "classes": ["zinc", "air"]}
    assert unchanged_told(build(**exact)[0])
    rough = {"labels": [("rough", there)], "classes": ["zinc", "air"]}
    assert unchanged_told(build(**rough, overwrite=True)[0]) == [], "no exact masks"
    either = {"labels": [("annotations", there)], "classes": ["zinc", "air"], "areas": {"": "rough"}}
    assert unchanged_told(build(**either, overwrite=True)[0]) == []
    _draw(folder, _feature("zinc", "Polygon", _square(40, 25, 8, 8)), names="ab", kind="exact")
    (said,) = unchanged_told(build(**exact, overwrite=True)[0])
    assert said.startswith("3 images have predictions"), "somebody drew on two"
    (recorded / RECORDS_FILE).unlink()  # as a window's results, which are a person's
    export_objects(recorded, format, overwrite=True)
    assert unchanged_told(build(**exact, overwrite=True)[0]) == []


def test_exports_of_predictions_without_any_object_are_told(recorded, build):
    records = Records(recorded)
    for name in "ab":
        _save(recorded / f"{name}_pred.png", 0 * CLASSES)
        tifffile.imwrite(recorded / f"{name}_instances.tif", 0 * _ids())
        records.add(name, records.images[name].giving(recorded / f"{name}_pred.png", [recorded / f"{name}_instances.tif"]))
    options = {"labels": [("exact", export_objects(recorded, "roi").folder)], "classes": ["zinc", "air"]}
    assert unchanged_told(build(**options)[0])[0].startswith("3 images")
    (said,) = unchanged_told(build(**options, unlabelled={"": "background"}, overwrite=True)[0])
    assert said.startswith("5 images")


@pytest.mark.parametrize("kind", ["pictures", "exports"])
def test_data_sets_made_of_predictions_that_nobody_changed_are_told(kind, recorded, build, tmp_path):
    labels = both(recorded)["labels"] if kind == "pictures" else [("exact", export_objects(recorded, "roi").folder)]
    build(out=tmp_path / "1", labels=labels, classes=["zinc", "air"])
    said = unchanged_told(build(out=tmp_path / "2", src=tmp_path / "1")[0])
    assert said[0].startswith("5 images have predictions as exact masks that nobody has changed, so that ")
    assert unchanged_told(build(out=tmp_path / "3", src=tmp_path / "2", classes=["air", "zinc"])[0]) == said
    corrected = tmp_path / "3" / "segmentation" / "b.png"
    _save(corrected, np.where(_ids() == 9, 0, np.asarray(Image.open(corrected))).astype(np.uint8))
    (told,) = unchanged_told(build(out=tmp_path / "4", src=tmp_path / "3")[0])
    assert told.startswith("4 images")
    assert "'b.png'" not in told


def test_predictions_laid_over_what_a_person_drew_are_a_persons(recorded, folder, build, tmp_path):
    _masks(folder, "ab", "segmentation", CLASSES)
    _draw(folder, _feature("zinc", "Polygon", _square(42, 27, 4, 4)), names="cde", kind="rough")
    build(out=tmp_path / "1", classes=["zinc", "air"])
    (said,) = unchanged_told(build(out=tmp_path / "2", src=tmp_path / "1", labels=[("segmentation", recorded)])[0])
    assert said.startswith("3 images have predictions")


def test_a_mask_that_is_gone_or_that_nobody_says_anything_of_is_no_prediction(recorded, build, tmp_path):
    file = build(out=tmp_path / "1", **both(recorded))[0].out / "datalist.json"
    content = json.loads(file.read_text())
    for number, item in enumerate(item for section in SECTIONS for item in content[section]):
        assert is_predicted(item, file)
        assert not is_predicted({**item, "predicted": None if number else 7}, file)
        (tmp_path / "1" / item["segmentation"]).unlink()
        assert not is_predicted(item, file)


def test_ids_that_somebody_changed_are_a_persons(recorded, build, tmp_path):
    summary, _ = build(out=tmp_path / "1", **both(recorded), classes=["zinc", "air"])
    made = summary.out
    (item,) = summary.datalist["validation"]
    ids = np.asarray(Image.open(made / item["instances"])).copy()
    ids[ids == 1] = ids.max() + 1
    _save(made / item["instances"], ids)
    (said,) = unchanged_told(build(out=tmp_path / "2", src=made)[0])
    assert said.startswith("4 images")


@pytest.mark.parametrize("format", FORMATS)
def test_exports_of_data_sets_made_of_predictions_that_nobody_changed_are_told(format, recorded, folder, build, tmp_path):
    made = build(out=tmp_path / "1", **both(recorded), classes=["zinc", "air"])[0].out
    _save(made / "segmentation" / "b.png", np.where(_ids() == 9, 0, CLASSES).astype(np.uint8))
    there = export_objects(made, format, tmp_path / "to").folder
    (said,) = unchanged_told(build(labels=[("exact", there)], classes=["zinc", "air"])[0])
    assert said.startswith("4 images")
    assert "'b.png'" not in said


def test_grabcuts_data_set_says_which_masks_are_predictions_that_nobody_changed(recorded, folder, build, tmp_path):
    for file in recorded.glob("b_*"):
        file.unlink()
    _draw(folder, _feature("zinc", "Polygon", _square(42, 27, 4, 4)), names="b", kind="rough")
    made = build(out=tmp_path / "1", **both(recorded), classes=["zinc", "air"], unlabelled={"rough": "background"})[0].out
    propose_dataset(made, tmp_path / "2")
    summary, _ = build(out=tmp_path / "3", src=tmp_path / "2")
    assert len(summary.datalist["training"] + summary.datalist["validation"]) == 5, "and no overlay"
    (said,) = unchanged_told(summary)
    assert said.startswith("4 images")
    assert "'b.png'" not in said


def test_a_file_of_many_images_is_read_once(recorded, build, monkeypatch):
    there, read = export_objects(recorded, "coco").folder, []
    monkeypatch.setattr("lazylabels_monai.export_records.file_digest", lambda file: read.append(file) or file_digest(file))
    assert unchanged_told(build(labels=[("exact", there)], classes=["zinc", "air"])[0])
    assert read == [there / "objects.json"]


def test_predictions_do_not_fill_up_the_validation_of_what_people_drew(recorded, folder, build, tmp_path):
    _masks(folder, "abcd", "segmentation", CLASSES)
    first, _ = build(out=tmp_path / "1", validation=1)
    for file in (file for name in "abcd" for file in recorded.glob(f"{name}_*")):
        file.unlink()
    more = {"keep_splits": first.out, "labels": [("segmentation", recorded)]}
    summary, _ = build(out=tmp_path / "2", **more, validation=0.5)
    assert [item["image"] for item in summary.datalist["validation"]] == [i["image"] for i in first.datalist["validation"]]
    assert "1 image validates where 2 would: only new images with a mask that people made can join" in " ".join(summary.notes)
    assert "validates" not in unchanged_told(summary)[0]
    summary, _ = build(out=tmp_path / "3", **more, validation=2)
    assert "(1 of them validates or tests)" in unchanged_told(summary)[0], "a count is taken at its word"
