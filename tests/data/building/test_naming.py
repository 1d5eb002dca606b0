"""Drawn names: numbers of objects, unnamed marks, words with a meaning, and what is asked about."""

from __future__ import annotations

import json

import numpy as np
import pytest
import roifile

from lazylabels_monai.data.building import BuildError
from lazylabels_monai.labels.formats.roi_names import roi_name, roi_properties
from tests.data.building.drawing import SHAPE, _draw, _feature, _geojson, _square

#: Corners of objects of 6 x 6 pixels that do not touch.
PLACES = [(x, y) for y in (2, 12, 22, 32) for x in (2, 12, 22, 32, 42)]
EXACT = {"areas": {"": "exact"}, "derive": False}
WHOLE = [[0, 0], [SHAPE[1], 0], [SHAPE[1], SHAPE[0]], [0, SHAPE[0]], [0, 0]]


def object_named(name, place):
    return _feature(name, "Polygon", _square(*PLACES[place], 6, 6))


def draw_named(folder, names):
    """Squares classified so in each of five images."""
    _draw(folder, *(object_named(name, place) for place, name in enumerate(names)))


def draw_called(folder, names):
    """The same squares as objects of these names, without a classification."""
    squares = [object_named(name, place) for place, name in enumerate(names)]
    _draw(folder, *({**square, "properties": {"name": name}} for square, name in zip(squares, names, strict=True)))


def expected(count):
    made = np.zeros(SHAPE, np.uint8)
    for x, y in PLACES[:count]:
        made[y : y + 6, x : x + 6] = 1
    return made


def rois(folder, name, members):
    (folder / "annotations").mkdir(exist_ok=True)
    made = [roifile.ImagejRoi.frompoints(np.array(_square(*PLACES[i], 6, 6)[:4]), name=n) for i, n in enumerate(members)]
    roifile.roiwrite(folder / "annotations" / name, made, name=[f"{i}" for i in range(len(made))])


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        ([f"{i}" for i in range(1, 9)], ["object"]),
        ([f"cell-{i}" for i in range(1, 9)], ["cell"]),
        ([f"cell ({i})" for i in range(1, 9)], ["cell"]),
        ([f"cell{i}" for i in range(1, 9)], ["cell"]),
        (["cell", *(f"cell-{i}" for i in range(1, 8))], ["cell"]),
        ([f"Cell {i} area" for i in range(1, 9)], ["Cell area"]),
        ([f"001_{i:03}" for i in range(1, 9)], ["object"]),
        ([f"1b4e28ba-2fa1-11d2-883f-{i:012x}" for i in range(8)], ["object"]),
        ([f"2024-05-12 10:30:{i:02}" for i in range(8)], ["object"]),
        ([f"Zelle {i}" for i in range(4)] + [f"Kern {i}" for i in range(4)], ["Kern", "Zelle"]),
        (["type_1"] * 4 + ["type_2"] * 4, ["type_1", "type_2"]),
        (["1"] * 3 + ["2"] * 5, ["1", "2"]),
        (["phase 1", "phase 2"], ["phase 1", "phase 2"]),
    ],
)
def test_numbers_of_objects_are_no_classes(folder, build, names, classes):
    draw_called(folder, names)
    summary, label = build(**EXACT)
    assert summary.datalist["classes"] == classes
    assert not any(np.unique(label("a", "segmentation")) > len(classes))
    numbers = len(set(names)) > 2
    assert any("number single objects" in note for note in summary.notes) == numbers
    # what the user lists is a class
    listed = sorted(set(names))
    assert build(**EXACT, classes=listed, dry_run=True, overwrite=True)[0].datalist["classes"] == listed
    # and so is what a classification says
    draw_named(folder, names)
    summary, _ = build(**EXACT, dry_run=True, overwrite=True)
    assert sorted(summary.datalist["classes"]) == sorted(set(names))
    assert not any("number single objects" in note for note in summary.notes)


GRADES = ["Gleason 3", "Gleason 4"]


def grades_of_coco(folder):
    (folder / "exact").mkdir()
    tables = {
        "images": [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate("abcde")],
        "categories": [{"id": n, "name": name} for n, name in enumerate(GRADES)],
        "annotations": [
            {"id": 10 * n + k, "image_id": n, "category_id": k, "segmentation": [[x, y, x + 6, y, x + 6, y + 6, x, y + 6]]}
            for n in range(5)
            for k, (x, y) in enumerate(PLACES[:2])
        ],
    }
    (folder / "exact" / "c.json").write_text(json.dumps(tables))


def grades_of_qupath(folder):
    draw_named(folder, GRADES)


def grades_of_label_studio(folder):
    (folder / "exact").mkdir()
    size = {"original_height": SHAPE[0], "original_width": SHAPE[1]}
    tasks = []
    for number, image in enumerate("abcde"):
        regions = []
        for name, (x, y) in zip(GRADES, PLACES, strict=False):
            corners = [[100 * u / SHAPE[1], 100 * v / SHAPE[0]] for u, v in _square(x, y, 6, 6)[:4]]
            value = {"points": corners, "polygonlabels": [name]}
            regions.append({"id": name, "type": "polygonlabels", "to_name": "image", "value": value, **size})
        tasks.append({"id": number, "data": {"image": f"{image}.png"}, "annotations": [{"result": regions}]})
    (folder / "exact" / "tasks.json").write_text(json.dumps(tasks))


def grades_of_export(folder):
    """As export-objects writes ROIs: the name is ambiguous, the property is not."""
    grades_of_rois(folder, lambda roi, name: setattr(roi, "props", roi_properties(name, 1)))


def grades_of_groups(folder):
    grades_of_rois(folder, lambda roi, name: setattr(roi, "group", int(name[-1])))


def grades_of_rois(folder, say):
    (folder / "annotations").mkdir()
    for image in "abcde":
        made = [
            roifile.ImagejRoi.frompoints(np.array(_square(*place, 6, 6)[:4]), name=roi_name(name, 1))
            for name, place in zip(GRADES, PLACES, strict=False)
        ]
        for roi, name in zip(made, GRADES, strict=True):
            say(roi, name)
        roifile.roiwrite(folder / "annotations" / f"{image}.zip", made, name=GRADES)


@pytest.mark.parametrize(
    ("write", "classes"),
    [
        (grades_of_coco, GRADES),
        (grades_of_qupath, GRADES),
        (grades_of_label_studio, GRADES),
        (grades_of_export, GRADES),
        (grades_of_groups, ["3", "4"]),
    ],
)
def test_a_class_by_its_format_keeps_its_number(folder, build, write, classes):
    write(folder)
    summary, label = build(**EXACT)
    assert summary.datalist["classes"] == classes
    made = expected(2)
    made[:, PLACES[1][0] :] *= 2
    np.testing.assert_array_equal(label("a", "segmentation"), made)


def test_a_name_beside_its_class_is_that_class(folder, build):
    """A ROI or an object by the name of a category is of it; one by a running number of it, too."""
    squares = [object_named(name, place) for place, name in enumerate(["Gleason 3", "Gleason 3", "cell", "cell-1"])]
    for square in (squares[1], squares[3]):
        square["properties"] = {"name": square["properties"]["classification"]["name"]}
    _draw(folder, *squares)
    assert build(**EXACT)[0].datalist["classes"] == ["cell", "Gleason 3"]


@pytest.mark.parametrize(
    ("names", "file", "options", "classes"),
    [
        (["1", "2", "3"], "a.zip", {}, ["object"]),
        (["1", "2", "3"], "a_cell.zip", {}, ["cell"]),
        (["0012-0345", "0001-0012-0345"], "a_cell.zip", {}, ["cell"]),
        (["0012-0345", "z1-t2-0012-0345"], "a.zip", {"classes": ["grain"]}, ["grain"]),
        (["air bubble-12", "air bubble-13"], "a.zip", {}, ["air bubble"]),
        (["air bubble-12", "air bubble-0012-0345"], "a.zip", {}, ["air bubble"]),
        (["cell-1", "interface-1", "interface-1", "interface-2", "interface-2"], "a.zip", {}, ["cell"]),
        (["cell-1", "cell-2"], "a.zip", {"names": {"": {"cell": "nucleus"}}}, ["nucleus"]),
        (["cell-1", "cell-2"], "a.zip", {"names": {"": {"cell-*": "nucleus"}}}, ["nucleus"]),
    ],
)
def test_rois_of_imagej(folder, build, names, file, options, classes):
    rois(folder, file, names)
    assert build(**EXACT, validation=0, **options)[0].datalist["classes"] == classes


def test_the_unnamed_region_in_which_cells_were_detected_is_no_cell(folder, build):
    region = _feature("", "Polygon", WHOLE)
    _draw(folder, region, *(object_named("Tumor", place) for place in range(8)))
    summary, label = build(**EXACT)
    np.testing.assert_array_equal(label("a", "segmentation"), expected(8))
    (note,) = (note for note in summary.notes if "region" in note)
    assert "left out of 5 images ('a.png', 'b.png', 'c.png' and 2 more)" in note
    # nor is it where nobody named anything, or the class is given
    _draw(folder, region, *(object_named("", place) for place in range(8)))
    for options in ({}, {"classes": ["Tumor"]}):
        np.testing.assert_array_equal(build(**EXACT, overwrite=True, **options)[1]("a", "segmentation"), expected(8))
    # unless the user says so
    _, label = build(**EXACT, overwrite=True, names={"": {"": "Tumor"}})
    assert label("a", "segmentation").all()


def test_unnamed_marks_beside_named_ones_are_asked_about(folder, build):
    _draw(folder, *(object_named(name, place) for place, name in enumerate(["Tumor"] * 5 + [""] * 2)))
    with pytest.raises(BuildError, match=r"10 marks, .* have no class beside those named 'Tumor': say --names '=Tumor'"):
        build(**EXACT)
    for meaning, count in (("Tumor", 7), ("drop", 5), ("background", 5)):
        _, label = build(**EXACT, overwrite=True, names={"": {"": meaning}}, unlabelled={"": "background"})
        np.testing.assert_array_equal(label("a", "segmentation"), expected(count))
    np.testing.assert_array_equal(build(**EXACT, overwrite=True, classes=["Tumor"])[1]("a", "segmentation"), expected(7))


def test_unnamed_marks_beside_interfaces_are_the_objects(folder, build):
    line = _feature("interface", "LineString", [[20, 6], [20, 19]])
    _draw(folder, line, *(object_named("", place) for place in range(3)))
    assert build(**EXACT)[0].datalist["classes"] == ["object"]


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("background", "background"),
        ("Background", "background"),
        ("Back ground", "background"),
        ("BG", "background"),
        ("ignore", "ignore"),
        ("Ignore*", "ignore"),
        ("Ignored", "ignore"),
        ("Exclude", "ignore"),
        ("un-labelled", "ignore"),
        ("interface", "interface"),
        ("Interfaces", "interface"),
        ("Boundary", "interface"),
        ("interface-1", "interface"),
    ],
)
def test_words_that_mean_something_are_questioned_on_areas(folder, build, name, meaning):
    _draw(folder, *(object_named("cell", place) for place in range(4)), object_named(name, 7))
    summary, label = build(**EXACT)
    assert summary.datalist["classes"] == ["cell"]
    said = [note for note in summary.notes if "areas named" in note or "marks named" in note]
    assert said
    assert f"--names '{said[-1].split(chr(39))[1]}=" in said[-1]
    x, y = PLACES[7]
    task, value = {"background": ("segmentation", 0), "ignore": ("segmentation", 255), "interface": ("separation", 1)}[meaning]
    assert label("a", task)[y + 2, x + 2] == value
    # settled, as a meaning or as a class
    given = {"": {name: meaning}}
    notes = build(**EXACT, overwrite=True, names=given)[0].notes
    assert not [note for note in notes if "areas named" in note or "marks named" in note]
    assert build(**EXACT, overwrite=True, names={"": {name: "thing"}})[0].datalist["classes"] == ["cell", "thing"]


@pytest.mark.parametrize("name", ["other", "Other", "Others", "Other*", "other-1"])
def test_other_on_an_area_is_asked_about(folder, build, name):
    _draw(folder, *(object_named("cell", place) for place in range(4)), object_named(name, 7))
    with pytest.raises(BuildError, match=r"5 areas are named '[Oo]ther', which says here that no interface is there"):
        build(**EXACT)
    assert build(**EXACT, names={"": {name: "rest"}})[0].datalist["classes"] == ["cell", "rest"]
    assert build(**EXACT, overwrite=True, classes=["cell", name])[0].datalist["classes"] == ["cell", name]
    _, label = build(**EXACT, overwrite=True, names={"": {name: "other"}})
    assert label("a", "separation")[PLACES[7][1] + 2, PLACES[7][0] + 2] == 0


def test_narrow_areas_named_interface_and_lines_need_no_question(folder, build):
    narrow = _feature("interface", "Polygon", _square(20, 4, 3, 30))
    lines = [_feature(name, "LineString", [[50, 6], [50, 19]]) for name in ("background", "ignore", "other", "interface")]
    _draw(folder, *(object_named("cell", place) for place in range(2)), narrow, *lines)
    assert not [note for note in build(**EXACT)[0].notes if "named" in note]


def test_a_class_drawn_once_in_most_files_is_questioned(folder, build):
    region = _feature("Region*", "Polygon", WHOLE)
    _draw(folder, region, *(object_named("Tumor", place) for place in range(8)))
    (note,) = (note for note in build(**EXACT)[0].notes if "drawn once" in note)
    assert note.startswith("'Region*' is drawn once in most files")
    _, label = build(**EXACT, overwrite=True, names={"": {"Region*": "drop"}})
    np.testing.assert_array_equal(label("a", "segmentation"), expected(8))
    assert not [n for n in build(**EXACT, overwrite=True, classes=["Region*", "Tumor"])[0].notes if "drawn once" in n]


@pytest.mark.parametrize("files", [["a"], ["a", "b", "c"]])
def test_many_marks_of_few_classes_raise_no_question(folder, build, files):
    for name in files:
        names = ["cell"] * 6 + ["debris"] * 4 + ["Ki67"] * 3
        marks = [object_named(drawn, place) for place, drawn in enumerate(names)]
        _geojson(folder / "annotations" / f"{name}.geojson", *marks)
    summary, _ = build(**EXACT, validation=0)
    assert summary.datalist["classes"] == ["cell", "debris", "Ki67"]
    assert not [note for note in summary.notes if "named" in note or "class" in note]


def test_too_many_names_are_refused(folder, build):
    words = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "pe") for b in ("ra", "si", "to", "vu", "xe")]
    for number, name in enumerate("abcde"):
        drawn = words[5 * number : 5 * number + 5]
        _geojson(folder / "annotations" / f"{name}.geojson", *(object_named(n, place) for place, n in enumerate(drawn)))
    with pytest.raises(BuildError, match=r"25 names are drawn, most of them once in a file, .*--names '\*=object'"):
        build(**EXACT)
    assert build(**EXACT, names={"": {"*": "object"}})[0].datalist["classes"] == ["object"]
    # fewer, but each of them a single time
    for path in (folder / "annotations").iterdir():
        path.unlink()
    for name, drawn in {"a": words[:4], "b": words[4:10]}.items():
        _geojson(folder / "annotations" / f"{name}.geojson", *(object_named(n, place) for place, n in enumerate(drawn)))
    with pytest.raises(BuildError, match="10 of 10 names are drawn a single time"):
        build(**EXACT, validation=0, overwrite=True)
    (folder / "annotations" / "b.geojson").unlink()
    assert any("drawn once" in note for note in build(**EXACT, validation=0, overwrite=True)[0].notes)


def test_a_region_around_objects_of_its_own_class_is_no_object(folder, build):
    _draw(folder, *(object_named("Tumor", place) for place in range(8)), _feature("Tumor", "Polygon", WHOLE))
    for options in ({}, {"classes": ["Tumor"]}):
        summary, label = build(**EXACT, overwrite=True, **options)
        np.testing.assert_array_equal(label("a", "segmentation"), expected(8))
        (note,) = (note for note in summary.notes if "are regions" in note)
        assert "left out of 5 images" in note
    # the option that the note names
    assert build(**EXACT, overwrite=True, names={"": {"Tumor": "Tumor"}})[1]("a", "segmentation").all()


@pytest.mark.parametrize(
    ("pattern", "classes"),
    [("{}_cell", ["cell"]), ("{}.tif:0001-0123", ["object"]), ("{}-cell", ["cell"]), ("{}", ["object"])],
)
def test_the_name_of_its_image_is_no_class(folder, build, pattern, classes):
    for name in "abcde":
        _draw(folder, *(object_named(pattern.format(name), place) for place in range(4)), names=name)
    summary, _ = build(**EXACT)
    assert summary.datalist["classes"] == classes
    assert any("begin with the name of their image" in note for note in summary.notes)


def test_a_class_that_one_image_is_called_by_stays_a_class(folder, build):
    draw_named(folder, ["a"] * 3 + ["b"] * 3)
    assert build(**EXACT)[0].datalist["classes"] == ["a", "b"]


def test_blanks_around_a_name_make_no_class(folder, build):
    draw_named(folder, ["air bubble"] * 3 + ["Air  bubble "] * 3)
    assert build(**EXACT)[0].datalist["classes"] == ["Air bubble"]


@pytest.mark.parametrize(("other", "asked"), [("cells", True), ("cell_", True), ("CD8-", False), ("nucleus", False)])
def test_names_that_are_nearly_the_same_are_asked_about(folder, build, other, asked):
    draw_named(folder, ["cell"] * 3 + ["CD8+"] * 3 + [other] * 3)
    notes = [note for note in build(**EXACT)[0].notes if "nearly the same name" in note]
    assert len(notes) == asked
    if asked:
        assert f"--names '{other}=cell'" in notes[0]


# ------------------------------------------------------------------------------------- what lies in an area, and what beside it

#: A bar from corner to corner, whose box is the whole picture, and the corners of squares of 5 x 5 beside it.
BAR = [[0, 0], [4, 0], [56, 36], [56, 40], [52, 40], [0, 4], [0, 0]]
BESIDE = [(20, 1), (30, 1), (40, 3), (50, 10), (1, 20), (10, 30), (20, 34), (30, 34)]


def beside(name):
    """The bar first, then the squares, as features."""
    squares = [_feature(name, "Polygon", _square(x, y, 5, 5)) for x, y in BESIDE]
    return [_feature(name, "Polygon", BAR), *squares]


def drawn_alone(*features):
    """Pixels of features by a reference of its own: pixel centres in polygons, one by one."""
    from matplotlib.path import Path as Outline

    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    centres = np.column_stack([columns.ravel(), rows.ravel()])
    found = np.zeros(SHAPE, bool)
    for feature in features:
        odd = np.zeros(SHAPE, bool)
        for ring in feature["geometry"]["coordinates"]:
            odd ^= Outline(ring).contains_points(centres).reshape(SHAPE)
        found |= odd
    return found


@pytest.mark.parametrize(("name", "options"), [("fibre", {}), ("", {}), ("fibre", {"areas": {"": "rough"}})])
def test_a_long_object_with_others_beside_it_is_no_region(folder, build, name, options):
    features = beside(name)
    _draw(folder, *features)
    summary, label = build(**{**EXACT, **options})
    made = label("a", "detection" if options else "segmentation") == 1
    assert np.count_nonzero(made ^ drawn_alone(*features)) <= 8  # centres on the bar's slanting edges
    assert not [note for note in summary.notes if "region" in note]


def test_what_lies_in_a_hole_does_not_lie_in_the_area(folder, build):
    """A ring with cells in its hole is an object; filled, it is a region around them."""
    hole = _square(1, 1, 48, 38)
    cells = [object_named("cell", place) for place in range(8)]
    for rings, is_object in (([WHOLE, hole], True), ([WHOLE], False)):
        ring = _feature("cell", "Polygon", WHOLE)
        ring["geometry"]["coordinates"] = rings
        _draw(folder, ring, *cells)
        _, label = build(**EXACT, overwrite=True)
        np.testing.assert_array_equal(label("a", "segmentation") == 1, drawn_alone(*([ring] * is_object), *cells))


def test_a_large_region_is_still_found(folder, build):
    """Beyond the grid on which it is looked up: a file of a slide, of which the picture shows a corner."""
    whole = [[0, 0], [60000, 0], [60000, 50000], [0, 50000], [0, 0]]
    _draw(folder, _feature("", "Polygon", whole), *(object_named("cell", place) for place in range(8)))
    np.testing.assert_array_equal(build(**EXACT)[1]("a", "segmentation"), expected(8))


def test_detections_of_qupath_are_objects(folder, build):
    """Whoever detected them says so: only annotations are regions."""
    whole = _feature("Tumor", "Polygon", WHOLE)
    whole["properties"]["objectType"] = "detection"
    _draw(folder, whole, *(object_named("Tumor", place) for place in range(8)))
    assert build(**EXACT)[1]("a", "segmentation").all()
