"""From folders and annotation files to a data set that passes the check."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from lazylabels_monai.data.building import BuildError
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from tests.data.building.drawing import SHAPE, _coco, _draw, _feature, _ids, _masks, _save, _square

# ------------------------------------------------------------------------------------------------------- folders


def test_ids_give_all_three_labels_and_pass_the_check(folder, build, tmp_path):
    _masks(folder)
    summary, label = build(classes=["particle"])
    assert check_datalist(tmp_path / "out").errors == []
    assert summary.datalist["classes"] == ["particle"]
    assert [len(summary.datalist[s]) for s in ("training", "validation", "testing")] == [4, 1, 0]
    np.testing.assert_array_equal(label("a", "segmentation"), _ids() > 0)
    inner, lines = label("a", "detection"), label("a", "separation")
    assert set(np.unique(inner)) == {0, 1}
    assert inner[12, 12] == inner[12, 27] == 1
    assert not inner[_ids() == 0].any()
    assert inner[5].max() == 0  # a region misses its object's border
    assert lines[12, 19] == lines[12, 20] == 1
    assert lines[32, 8] == 0
    assert set(np.unique(lines)) == {0, 1}
    # ids judge objects in validation; nothing is trained on them
    (judged,) = summary.datalist["validation"]
    np.testing.assert_array_equal(np.unique(read_label(tmp_path / "out" / judged["instances"])), [0, 1, 2, 3])
    assert all("instances" not in item for item in summary.datalist["training"])
    assert len(list((tmp_path / "out" / "instances").iterdir())) == 1


def test_without_deriving_only_the_mask_is_kept(folder, build):
    _masks(folder)
    summary, _ = build(derive=False)
    assert all(set(item) == {"image", "segmentation", "digest"} for item in summary.datalist["training"])


def test_folders_of_each_task_are_taken_as_they_are(folder, build, tmp_path):
    detection, separation = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    detection[8:12, 8:12], separation[6:18, 20] = 2, 1
    classes = np.where(_ids() > 1, 1, np.where(_ids() > 0, 2, 0)).astype(np.uint8)
    _masks(folder, "ab", "classes", classes)
    _masks(folder, "acde", "detection", detection)
    _masks(folder, "d", "separation", separation)
    summary, label = build()
    assert summary.datalist["classes"] == ["object1", "object2"]
    np.testing.assert_array_equal(label("b", "segmentation"), classes)
    np.testing.assert_array_equal(label("a", "detection"), detection)
    np.testing.assert_array_equal(label("d", "separation"), separation)
    # connected regions of a class picture may be several objects: no interfaces follow from it
    assert sum("separation" in item for s in ("training", "validation") for item in summary.datalist[s]) == 1
    assert check_datalist(tmp_path / "out").errors == []


def test_ids_beside_class_pictures_have_the_class_of_most_of_their_pixels(folder, build):
    classes = np.where(_ids() == 2, 2, (_ids() > 0).astype(np.uint8)).astype(np.uint8)
    _masks(folder)
    _masks(folder, kind="segmentation", label=classes)
    _, label = build()
    assert label("a", "detection")[12, 27] == 2
    assert label("a", "detection")[12, 12] == 1
    assert label("a", "separation")[12, 20] == 1


def test_napari_label_layers_as_tiff_and_npy(folder, build):
    for name in "abcd":
        tifffile.imwrite(folder / f"{name}.tif", _ids().astype(np.int32))
    np.save(folder / "e.npy", _ids().astype(np.int64))
    summary, label = build(labels=[("masks", folder / "*.tif"), ("masks", folder / "e.npy")])
    assert len(summary.datalist["training"]) == 4
    np.testing.assert_array_equal(label("e", "segmentation"), _ids() > 0)


def test_colours_with_a_legend(folder, build, tmp_path):
    colours = np.zeros((*SHAPE, 3), np.uint8)
    colours[_ids() == 1], colours[_ids() == 2], colours[_ids() == 9] = (255, 0, 0), (0, 0, 255), (9, 9, 9)
    _masks(folder, kind="segmentation", label=colours)
    legend = tmp_path / "legend.json"
    legend.write_text(json.dumps({"#ff0000": "bubble", "#0000ff": "crystal", "#000000": "background", "#090909": "unlabelled"}))
    summary, label = build(legend=legend)
    assert summary.datalist["classes"] == ["bubble", "crystal"]
    expected = np.select([_ids() == 1, _ids() == 2, _ids() == 9], [1, 2, 255], 0)
    np.testing.assert_array_equal(label("a", "segmentation"), expected)
    assert label("a", "detection")[12, 12] == 1
    assert label("a", "detection")[32, 12] == 255


# ---------------------------------------------------------------------------------------------- what is not labelled


def test_sparse_ids_leave_the_rest_unknown_but_for_a_halo(folder, build, tmp_path):
    _masks(folder)
    _, label = build(unlabelled={"": "ignore"}, halo=2)
    mask, inner, lines = (label("a", task) for task in ("segmentation", "detection", "separation"))
    np.testing.assert_array_equal(mask == 1, _ids() > 0)
    assert mask[12, 35] == mask[12, 36] == 0  # the halo
    assert mask[12, 37] == mask[39, 55] == 255
    assert inner[39, 55] == lines[39, 55] == 255
    assert inner[12, 36] == 0
    assert lines[12, 20] == 1  # between two marked objects
    assert lines[12, 12] == 0
    assert lines[12, 36] == 255  # an unmarked object may begin beside it
    assert check_datalist(tmp_path / "out").errors == []


def test_one_kind_may_be_partial_and_another_whole(folder, build):
    separation = np.zeros(SHAPE, np.uint8)
    separation[6:18, 20] = 1
    _masks(folder)
    _masks(folder, kind="separation", label=separation)
    _, label = build(unlabelled={"masks": "ignore"})
    assert 255 in label("a", "segmentation")
    np.testing.assert_array_equal(label("a", "separation"), separation)


def test_a_mask_without_objects_is_background_and_named(folder, build, tmp_path):
    _masks(folder, "abcd")
    _masks(folder, "e", label=np.zeros(SHAPE, np.uint8))
    summary, label = build()
    assert not label("e", "segmentation").any()
    (empty,) = [item for item in summary.datalist["training"] if item.get("empty")]
    assert empty["image"] == "images/e.png"
    assert any("1 image shows no object" in note and "'e.png'" in note for note in summary.notes)
    assert check_datalist(tmp_path / "out").errors == []


# ------------------------------------------------------------------------------------------------------ drawn marks


def test_images_nobody_drew_on_are_left_out_and_named(folder, build, tmp_path):
    _coco(tmp_path / "coco.json", ["a.png", "b.png", "c.png"])
    summary, _ = build(labels=[("exact", tmp_path / "coco.json")])
    items = summary.datalist["training"] + summary.datalist["validation"]
    assert sorted(item["image"] for item in items) == ["images/a.png", "images/b.png"]
    assert len(list((tmp_path / "out" / "images").iterdir())) == 2
    assert any(note.startswith("3 images have no label") for note in summary.notes)


def test_more_objects_than_16_bits_hold(tmp_path, build):
    ids = np.arange(300 * 300, dtype=np.uint32).reshape(300, 300)
    for number in range(2):
        _save(tmp_path / "big" / "images" / f"{number}.png", np.full((300, 300), number, np.uint8))
        (tmp_path / "big" / "masks").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "big" / "masks" / f"{number}.tif", ids)
    summary, _ = build(tmp_path / "big", derive=False, validation=1)
    (item,) = summary.datalist["validation"]
    assert read_label(tmp_path / "out" / item["instances"]).max() == 89999


# ---------------------------------------------------------------------------------------------------------- writing


def test_links_refer_to_the_images_where_they_are(folder, build, tmp_path):
    _masks(folder)
    summary, _ = build(link=True)
    assert summary.datalist["training"][0]["image"].startswith("../src/images/")
    assert not (tmp_path / "out" / "images").exists()
    assert check_datalist(tmp_path / "out").errors == []


def test_a_dry_run_writes_nothing(folder, build, tmp_path):
    _masks(folder)
    before = sorted(tmp_path.rglob("*"))
    summary, _ = build(dry_run=True)
    assert sorted(tmp_path.rglob("*")) == before
    assert summary.datalist == build()[0].datalist


def test_nothing_is_overwritten_unless_asked_and_never_the_source(folder, build, tmp_path):
    _masks(folder)
    first = build()[0].datalist
    with pytest.raises(LazyLabelsError, match="not empty"):
        build()
    assert build(overwrite=True)[0].datalist == first
    out = folder.parent / "out"
    with pytest.raises(BuildError, match=r"holds .* which the data set is made from"):
        build(out, overwrite=True)
    assert (out / "datalist.json").is_file()


def test_a_failure_leaves_nothing_behind_and_names_every_wrong_file(folder, build, tmp_path):
    _masks(folder, "acd")
    _masks(folder, "be", label=np.ones((40, 55), np.uint8))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LazyLabelsError) as error:
        build()
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert all("55 x 40 pixels but its image" in line and "56 x 40" in line for line in lines)
    assert "b.png" in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


# --------------------------------------------------------------------------------------------------------- mistakes


TRIANGLE = [[5, 5], [20, 5], [5, 20], [5, 5]]


@pytest.mark.parametrize(
    ("kind", "label", "options", "said"),
    [
        ("masks", None, {"classes": ["a", "b"]}, "do not say whose class"),
        ("segmentation", None, {}, "values 1, 2, 9 ... in its class pictures: if they are object ids"),
        ("segmentation", None, {"classes": ["a"]}, "has the value 2, but there are 1 classes"),
        ("separation", None, {"validation": 0}, "separation:2=other"),
        ("scribbles", None, {"names": {"scribbles": {"1": "x", "2": "background"}}}, "has the value 9, which means nothing"),
        ("scribbles", None, {"classes": ["x"], "names": {"scribbles": {"1": "y"}}}, "'y', which is none of the classes x"),
        ("annotations", "cell", {}, "--areas exact if"),
        ("annotations", "cell", {"areas": {"": "exact"}, "classes": ["x", "y"]}, "the names drawn are cell"),
        ("annotations", "", {"areas": {"": "exact"}, "classes": ["x", "y"]}, "no class name"),
        ("masks", None, {"labels": [("masks", "nowhere")]}, "holds no label picture"),
        ("masks", None, {"image_suffix": "_x"}, "holds no image whose name ends with '_x'"),
    ],
)
def test_labels_that_mean_nothing(folder, build, tmp_path, kind, label, options, said):
    if label is None:
        _masks(folder, kind=kind)
    else:
        _draw(folder, _feature(label, "Polygon", TRIANGLE))
    with pytest.raises(LazyLabelsError, match=said):
        build(**options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["segmentation", "detection", "separation"])
def test_binary_pictures_of_0_and_255_need_a_word(folder, build, kind):
    _masks(folder, "abcd")
    _masks(folder, "e", kind, ((_ids() == 1) * 255).astype(np.uint8))
    with pytest.raises(LazyLabelsError, match="holds only 0 and 255"):
        build(classes=["x"])
    _, label = build(classes=["x"], names={kind: {"255": "interface" if kind == "separation" else "x"}}, validation=1)
    np.testing.assert_array_equal(label("e", kind), _ids() == 1)


def test_objects_drawn_upon_a_background_keep_their_inner_regions(folder, build):
    whole = [[0, 0], [SHAPE[1], 0], [SHAPE[1], SHAPE[0]], [0, SHAPE[0]], [0, 0]]
    _draw(folder, _feature("background", "Polygon", whole), _feature("cell", "Polygon", _square(5, 5, 15, 15)))
    _, label = build(areas={"": "exact"})
    inner = label("a", "detection")
    assert [inner[12, 12], inner[5, 5], inner[30, 30]] == [1, 0, 0]


@pytest.mark.parametrize("kind", ["segmentation", "scribbles", "detection"])
def test_white_among_gray_values_is_an_object_or_not_labelled_as_the_user_says(kind, folder, build):
    """Gray class pictures of 0, 127 and 255; that of image b has 127 alone, that of c 255 alone."""
    gray = np.array([0, 127, 255], np.uint8)[np.where(_ids() == 9, 2, _ids() > 0)]
    _masks(folder, "ade", kind, gray)
    _masks(folder, "b", kind, np.where(gray == 127, gray, 0).astype(np.uint8))
    _masks(folder, "c", kind, np.where(gray == 255, gray, 0).astype(np.uint8))
    if kind != "scribbles":
        said = r"the values 127, 255 \.\.\. .* as in --names 127=NAME,255=NAME \(255=ignore if 255 is not labelled\)"
        with pytest.raises(BuildError, match=said):
            build()
    with pytest.raises(LazyLabelsError, match=f"value 255 beside gray values such as 127.*{kind}:255=NAME.*{kind}:255=ignore"):
        build(names={"": {"127": "a"}})
    unlabelled = 255 if kind == "scribbles" else 0
    key = "segmentation" if kind == "scribbles" else kind
    summary, label = build(names={"": {"127": "a"}, kind: {"255": "b"}}, derive=False)
    assert summary.datalist["classes"] == ["a", "b"]
    np.testing.assert_array_equal(label("a", key), np.where(gray == 127, 1, np.where(gray == 255, 2, unlabelled)))
    _, label = build(names={"": {"127": "a"}, kind: {"255": "ignore"}}, derive=False, overwrite=True)
    np.testing.assert_array_equal(label("a", key), np.where(gray == 127, 1, np.where(gray == 255, 255, unlabelled)))


def test_white_beside_numbers_of_classes_is_not_labelled_without_a_question(folder, build):
    label = np.array([0, 2, 255], np.uint8)[np.where(_ids() == 9, 2, _ids() > 0)]
    _masks(folder, kind="segmentation", label=label)
    _, made = build(names={"": {"2": "a"}}, derive=False)
    np.testing.assert_array_equal(made("a", "segmentation"), np.where(label == 2, 1, label))
