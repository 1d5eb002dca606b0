"""Which label file belongs to which image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.data.building import BuildError, BuildOptions, names
from lazylabels_monai.data.building.sources import find_sources
from lazylabels_monai.labels.annotations import AnnotationError
from tests.data.building.drawing import SHAPE, _coco, _draw, _feature, _ids, _image, _masks, _save, _square
from tests.data.building.test_names import plain, scenes

TRIANGLE = [[5, 5], [20, 5], [5, 20], [5, 5]]


def test_labels_of_no_image(folder, build):
    _save(folder / "masks" / "elsewhere.png", _ids())
    with pytest.raises(BuildError, match=r"'elsewhere.png' belongs to no image"):
        build()


def test_two_labels_of_one_image(folder, build):
    _masks(folder)
    _save(folder / "masks" / "a_mask.png", _ids())
    with pytest.raises(BuildError, match=r"both are masks of image 'a.png'"):
        build()


def test_no_label_at_all(folder, build):
    with pytest.raises(BuildError, match="no label for any of them"):
        build()


# --------------------------------------------------------------------------------- one picture, one origin of its marks


def _records(folder, *names):
    (folder / "exact").mkdir(exist_ok=True)
    _coco(folder / "exact" / "instances.json", [*names, "nothing drawn.png"])


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (["plate0/a.png", "plate1/a.png"], r"'plate0/a.png' and 'plate1/a.png' both could be image .*images.plate0."),
        (["a.png", "b.png", "a.png"], r"lists image 'a.png' twice"),
        (["upload/1/0a1b2c3d-a.png", "upload/1/0a1b2c3e-a.png"], "both could be image"),
    ],
)
def test_two_images_of_a_file_that_claim_one_picture(folder, build, records, said):
    _records(folder, *records)
    with pytest.raises(BuildError, match=said):
        build()


def test_folders_tell_two_images_of_a_name_apart(tmp_path, build):
    for number in range(4):
        _save(tmp_path / "set" / "images" / f"plate{number // 2}" / f"{number % 2}.png", _image(number))
    _records(tmp_path / "set", *(f"job/plate{n // 2}/{n % 2}.png" for n in range(3)))
    summary, _ = build(tmp_path / "set")
    items = summary.datalist["training"] + summary.datalist["validation"]
    assert sorted(item["image"] for item in items) == [
        "images/plate0_0.png",
        "images/plate0_1.png",
        "images/plate1_0.png",
    ]


# ------------------------------------------------------------------------------- plates whose pictures share their names

CORNERS = {"plate1": (5, 5), "plate2": (30, 20)}


def _plate(path, plate, kind, file_name="f0.png"):
    """A square of its own for each plate, as COCO (one file) or GeoJSON."""
    x, y = CORNERS[plate]
    corners = _square(x, y, 8, 8)
    path.mkdir(parents=True, exist_ok=True)
    if kind == "geojson":
        _draw(path.parent, _feature("cell", "Polygon", corners), names=["f0"], kind=path.name)
        return
    tables = {
        "images": [{"id": 1, "file_name": file_name}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [np.ravel(corners[:4]).tolist()]}],
    }
    (path / "objects.json").write_text(json.dumps(tables))


@pytest.fixture
def plates(tmp_path):
    for number, plate in enumerate(CORNERS):
        _save(tmp_path / "set" / "images" / plate / "f0.png", _image(number))
    return tmp_path / "set"


def _on_its_plate(label):
    for plate, (x, y) in CORNERS.items():
        made = np.zeros(SHAPE, int)
        made[y : y + 8, x : x + 8] = 1
        np.testing.assert_array_equal(label(f"{plate}_f0", "segmentation"), made)


@pytest.mark.parametrize("kind", ["coco", "geojson"])
def test_the_folder_of_a_file_says_of_which_plate_it_is(plates, build, tmp_path, kind):
    for plate in CORNERS:
        _plate(plates / "exact" / plate, plate, kind)
    _on_its_plate(build(plates)[1])
    # named by themselves: the folders, the files, a pattern of each
    (plates / "exact").rename(tmp_path / "marks")
    file = "objects.json" if kind == "coco" else "f0.geojson"
    for ending in ("", file, "*.*"):
        said = [("exact", tmp_path / "marks" / plate / ending) for plate in CORNERS]
        _on_its_plate(build(plates, labels=said, overwrite=True)[1])
    _on_its_plate(build(plates, labels=[("exact", tmp_path / "marks")], overwrite=True)[1])


def test_a_file_that_may_be_of_two_plates_is_named_with_ways_out_that_work(plates, build, tmp_path):
    for plate in CORNERS:
        _plate(tmp_path / f"{plate} of bob", plate, "coco")
    said = [("exact", tmp_path / f"{plate} of bob" / "objects.json") for plate in CORNERS]
    named = r"plate1 of bob.objects\.json': its image 'f0\.png' could belong to .*"
    with pytest.raises(BuildError, match=named + r"call it 'plate1/f0\.png' there; or, .*\(plate1.\)"):
        build(plates, labels=said)
    for plate in CORNERS:
        _plate(tmp_path / f"{plate} of bob", plate, "coco", f"{plate}/f0.png")
    _on_its_plate(build(plates, labels=said)[1])


def test_a_file_of_one_plate_is_of_no_image_of_another(plates, build):
    """The picture of plate1 is missing: its marks do not go to the one of plate2 that has its name."""
    _save(plates / "images" / "plate2" / "f9.png", _image(5))
    for plate in CORNERS:
        _plate(plates / "exact" / plate, plate, "coco")
    tables = json.loads((plates / "exact" / "plate1" / "objects.json").read_text())
    tables["images"].append({"id": 2, "file_name": "f9.png"})
    tables["annotations"].append({**tables["annotations"][0], "id": 2, "image_id": 2})
    (plates / "exact" / "plate1" / "objects.json").write_text(json.dumps(tables))
    summary, label = build(plates)
    _on_its_plate(label)
    assert any("'f9.png'" in note and "belong to no image" in note for note in summary.notes)
    assert sum(len(summary.datalist[s]) for s in ("training", "validation")) == 2


def test_a_folder_that_is_no_plate_says_nothing(folder, build):
    (folder / "exact" / "anna").mkdir(parents=True)
    _coco(folder / "exact" / "anna" / "c.json", ["a.png", "b.png", "c.png"])
    assert build()[1]("a", "segmentation")[12, 12] == 1


# ------------------------------------------------------------------------------------------ files that nobody can read

CVAT = '<?xml version="1.0"?><annotations><image id="0" name="c.png"><polygon label="cell"/></image></annotations>'


def test_files_of_other_formats_are_named(folder, build, tmp_path):
    _draw(folder, _feature("cell", "Polygon", TRIANGLE), names="ab")
    exact = {"areas": {"": "exact"}}
    assert not [note for note in build(**exact)[0].notes if "can be read" in note]
    (folder / "annotations" / "c.xml").write_text(CVAT)
    (folder / "annotations" / "d.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (folder / "annotations" / "README.txt").write_text("by Anna")
    _save(folder / "annotations" / "e_labels.png", _image(1))
    (note,) = [note for note in build(**exact, overwrite=True)[0].notes if "can be read" in note]
    assert "3 files hold no marks that can be read and are left out, 'c.xml', 'd.txt', 'e_labels.png': save QuPath's" in note
    assert "label pictures belong into masks/" in note
    # the folder named by --labels, where pictures may be images
    (folder / "annotations").rename(tmp_path / "marks")
    said = {"labels": [("exact", tmp_path / "marks")], "overwrite": True}
    (note,) = [note for note in build(**said)[0].notes if "can be read" in note]
    assert "2 files hold no marks that can be read and are left out, 'c.xml', 'd.txt': save" in note


@pytest.mark.parametrize("named", [False, True])
def test_a_folder_of_other_formats_alone_is_refused_with_their_names(folder, build, tmp_path, named):
    place = tmp_path / "cvat" if named else folder / "annotations"
    place.mkdir()
    (place / "annotations.xml").write_text(CVAT)
    with pytest.raises(BuildError, match=r"no annotation file for \w+, and 'annotations\.xml' cannot be read \(save QuPath"):
        build(labels=[("exact", place)] if named else [])


def test_two_files_of_one_image_are_both_meant_only_where_the_user_says_so(folder, build):
    _draw(folder, _feature("cell", "Polygon", TRIANGLE), kind="exact")
    _draw(folder, _feature("cell", "Polygon", [[30, 30], [40, 30], [30, 38], [30, 30]]), names=["a_annotation"], kind="exact")
    with pytest.raises(BuildError, match=r"both hold marks of image 'a.png'.*--labels exact=FILE"):
        build()
    said = [("exact", folder / "exact" / f"{name}.geojson") for name in ("a", "a_annotation", "b")]
    _, label = build(labels=said, validation=1)
    assert label("a", "segmentation")[7, 7] == label("a", "segmentation")[32, 32] == 1


def test_images_are_looked_at_once_however_many_files_end_with_a_class(folder, build, monkeypatch):
    _draw(folder, _feature("", "Polygon", TRIANGLE), names=[f"{name}_{word}" for name in "abcde" for word in ("cell", "pore")])
    forms, looked_at = names._image_forms, []
    monkeypatch.setattr(names, "_image_forms", lambda name: looked_at.append(name) or forms(name))
    build(areas={"": "exact"})
    assert looked_at == [*"abcde"] * 2, "for the whole names, and for those without the class"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a_cell", "a"], "both hold marks of image"),
        (["a_cell", "a_Cell"], "both hold marks of image"),
        (["a_old"], "belongs to no image"),
        (["a_v2"], "belongs to no image"),
        (["a_12"], "belongs to no image"),
    ],
)
def test_a_file_for_each_class_and_no_other(folder, build, names, said):
    (folder / "annotations").mkdir()
    rows = "index,shape-type,vertex-index,axis-0,axis-1\n" + "".join(
        f"0,polygon,{n},{y},{x}\n" for n, (y, x) in enumerate([(5, 5), (5, 20), (20, 5)])
    )
    for name in names:
        (folder / "annotations" / f"{name}.csv").write_text(rows)
    with pytest.raises(BuildError, match=said):
        build(areas={"": "exact"})


def test_what_stays_unmatched_is_named_on_both_sides_with_the_nearest(folder, build):
    _masks(folder, "abcd")
    _save(folder / "masks" / "e1.png", _ids())
    (folder / "images" / "e.png").rename(folder / "images" / "e12.png")
    summary, _ = build()
    (note,) = [note for note in summary.notes if "belong to no image" in note]
    assert "'e1.png' (the nearest without one is 'e12.png')" in note
    assert "no masks there for 'e12.png'" in note


def test_files_that_hold_no_marks_are_left_out_and_named(folder, build):
    _draw(folder, _feature("cell", "Polygon", TRIANGLE), names="abcd", kind="exact")
    (folder / "exact" / "e.geojson").write_text('{"type": "FeatureCollection", "features": [{"geometry": null}]}')
    (folder / "exact" / "project.json").write_text('{"version": 3}')
    (folder / "exact" / "table.csv").write_text("area,mean\n3,4\n")
    summary, _ = build()
    assert [[word in note for note in summary.notes].count(True) for word in ("e.geojson", "project.json", "table.csv")] == [
        1
    ] * 3
    assert sum(len(summary.datalist[s]) for s in ("training", "validation")) == 4


def test_a_damaged_file_still_stops(folder, build):
    _draw(folder, _feature("cell", "Polygon", TRIANGLE), names="abcd", kind="exact")
    (folder / "exact" / "e.geojson").write_text('{"type": "FeatureColl')
    with pytest.raises(AnnotationError, match=r"e\.geojson"):
        build()


def test_odd_marks_are_counted_in_one_note(folder, build):
    odd = {"type": "Feature", "id": "x", "geometry": None}
    _draw(folder, _feature("cell", "Polygon", TRIANGLE), odd, kind="exact")
    summary, _ = build()
    (note,) = [note for note in summary.notes if "cannot be used" in note]
    assert "5 of 10 marks" in note
    assert "object 'x' has no geometry ('a.geojson')" in note


def test_where_an_odd_mark_has_a_box_nothing_is_said(folder, build):
    """An object is there, only its outline is not; what is drawn inside the box counts."""
    _records(folder, *(f"{name}.png" for name in "abcde"))
    content = json.loads((folder / "exact" / "instances.json").read_text())
    box = {"id": 99, "image_id": 0, "category_id": 7, "segmentation": [], "bbox": [12, 10, 20, 18.5]}
    content["annotations"].append(box)
    (folder / "exact" / "instances.json").write_text(json.dumps(content))
    summary, label = build()
    expected = np.zeros(SHAPE, int)
    expected[10:29, 12:32] = 255
    expected[5:20, 5:20] = 1
    np.testing.assert_array_equal(label("a", "segmentation"), expected)
    assert label("a", "detection")[25, 25] == label("a", "separation")[25, 25] == 255
    assert any("annotation 99 has a box but no outline" in note for note in summary.notes)


def test_parts_without_an_area_are_counted(folder, build):
    _records(folder, *(f"{name}.png" for name in "abcde"))
    content = json.loads((folder / "exact" / "instances.json").read_text())
    content["annotations"][2]["segmentation"].append([5, 5, 6, 5])
    (folder / "exact" / "instances.json").write_text(json.dumps(content))
    summary, label = build()
    (note,) = [note for note in summary.notes if "fewer than three points" in note]
    assert "left out of 1 marks: 2 ('instances.json')" in note
    np.testing.assert_array_equal(label("c", "segmentation"), label("a", "segmentation"))


# ------------------------------------------------------------------------------------------------- any names at all


@settings(max_examples=60, deadline=None)
@given(scenes(), st.lists(st.sampled_from(["", "p1/", "p2/"]), min_size=12, max_size=12))
def test_every_image_has_the_marks_of_its_own_record_or_the_command_stops(tmp_path_factory, scene, folders):
    """Against a plain search: what an image carries comes from one record, and that has its name."""
    names, records = scene
    src = tmp_path_factory.mktemp("names")
    (src / "exact").mkdir()
    where = {f"{folder}{name}": name for name, folder in zip(names, folders, strict=False)}
    for place in where:
        path = src / "images" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    _coco(src / "exact" / "c.json", [*records, "nothing drawn.png"])
    try:
        sources, _ = find_sources(src, BuildOptions())
    except BuildError:
        return
    carried = [(source, annotation) for source in sources for _, annotation in source.annotations]
    assert len({annotation.image for _, annotation in carried}) == len(carried) == len({id(source) for source, _ in carried})
    for source, annotation in carried:
        assert plain(annotation.image) == plain(where[source.path.relative_to(src / "images").as_posix()[:-4]])
        assert records.count(annotation.image) == 1
