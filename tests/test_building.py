"""``datalist``: from folders and annotation files to a data set that passes the check, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from roifile import ROI_TYPE, ImagejRoi, roiwrite
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.building import BuildError, BuildOptions, build_datalist, parse_keyed, parse_names
from lazylabels_monai.data.building.splits import ImageToPlace, draw_sections
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label

SHAPE = (40, 56)


def _save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def _image(number):
    return np.random.default_rng(number).integers(0, 255, SHAPE).astype(np.uint8)


def _ids():
    """Two touching objects, and one alone."""
    ids = np.zeros(SHAPE, np.uint16)
    ids[5:20, 5:20], ids[5:20, 20:35], ids[28:36, 8:16] = 1, 2, 9
    return ids


@pytest.fixture
def folder(tmp_path):
    """``images/`` with a.png to e.png."""
    for number, name in enumerate("abcde"):
        _save(tmp_path / "src" / "images" / f"{name}.png", _image(number))
    return tmp_path / "src"


@pytest.fixture
def build(folder, tmp_path):
    """Build from ``folder``; gives the datalist and a reader of its labels."""

    def made(src=folder, out=tmp_path / "out", **options):
        summary = build_datalist(src, out, BuildOptions(**options))
        items = [item for section in ("training", "validation", "testing") for item in summary.datalist[section]]
        by_name = {item["image"].rsplit("/", 1)[-1].split(".")[0]: item for item in items}
        return summary, lambda name, key: read_label(out / by_name[name][key])

    return made


def _masks(folder, names="abcde", kind="masks", label=None):
    for name in names:
        _save(folder / kind / f"{name}.png", _ids() if label is None else label)


def _feature(name, kind, coordinates):
    geometry = {"type": kind, "coordinates": [coordinates] if kind == "Polygon" else coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}


def _square(x, y, width, height):
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]


def _geojson(path, *features):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def _draw(folder, *features, names="abcde", kind="annotations"):
    for name in names:
        _geojson(folder / kind / f"{name}.geojson", *features)


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
    assert all(set(item) == {"image", "segmentation"} for item in summary.datalist["training"])


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


def test_background_beside_outlines_alone_is_told(folder, build):
    """A network trained on outlines and halos alone took empty areas for objects."""
    _masks(folder)
    told = "no training image shows background away from its objects"
    summary, label = build(unlabelled={"": "ignore"}, halo=0, derive=False)
    assert set(np.unique(label("a", "segmentation"))) == {1, 255}
    assert any(told in note for note in summary.notes)
    assert any(told in note for note in build(unlabelled={"": "ignore"}, overwrite=True)[0].notes)
    brushed = np.zeros(SHAPE, np.uint8)
    brushed[38, 40:50] = 1
    _masks(folder, "abcde", "scribbles", brushed)
    names = {"scribbles": {"1": "background"}}
    summary, label = build(unlabelled={"masks": "ignore"}, names=names, classes=["cell"], overwrite=True)
    assert not any(told in note for note in summary.notes)
    mask = label("a", "segmentation")
    assert (mask[38, 40:50] == 0).all()
    assert mask[12, 12] == 1
    assert mask[12, 36] == 0
    assert mask[30, 45] == 255


def test_one_kind_may_be_partial_and_another_whole(folder, build):
    separation = np.zeros(SHAPE, np.uint8)
    separation[6:18, 20] = 1
    _masks(folder)
    _masks(folder, kind="separation", label=separation)
    _, label = build(unlabelled={"masks": "ignore"})
    assert 255 in label("a", "segmentation")
    np.testing.assert_array_equal(label("a", "separation"), separation)


def test_scribbles_say_the_class_where_they_were_brushed_and_nothing_elsewhere(folder, build, tmp_path):
    brushed = np.zeros(SHAPE, np.uint8)
    brushed[8:10, 8:18], brushed[24:26, 30:50] = 2, 1
    _masks(folder, kind="scribbles", label=brushed)
    summary, label = build(names={"scribbles": {"1": "background", "2": "blob"}})
    assert summary.datalist["classes"] == ["blob"]
    expected = np.select([brushed == 2, brushed == 1], [1, 0], 255)
    np.testing.assert_array_equal(label("a", "segmentation"), expected)
    np.testing.assert_array_equal(label("a", "detection"), expected)
    assert "separation" not in summary.datalist["training"][0]
    assert check_datalist(tmp_path / "out").errors == []


def test_dots_that_merge_or_part_become_a_separation_label(folder, build):
    dots = np.zeros(SHAPE, np.uint8)
    dots[10, 20], dots[30, 30] = 2, 1
    _masks(folder, "abcd")
    _masks(folder, "e", "separation", dots)
    _, label = build(names={"separation": {"1": "other", "2": "interface"}})
    np.testing.assert_array_equal(label("e", "separation"), np.select([dots == 2, dots == 1], [1, 0], 255))
    assert 255 not in label("a", "separation")


def test_a_mask_without_objects_is_background_and_named(folder, build, tmp_path):
    _masks(folder, "abcd")
    _masks(folder, "e", label=np.zeros(SHAPE, np.uint8))
    summary, label = build()
    assert not label("e", "segmentation").any()
    (empty,) = [item for item in summary.datalist["training"] if item.get("empty")]
    assert empty["image"] == "images/e.png"
    assert any("show no object" in note and "'e.png'" in note for note in summary.notes)
    assert check_datalist(tmp_path / "out").errors == []


# ------------------------------------------------------------------------------------------------------ drawn marks


def test_exact_areas_lines_and_names(folder, build, tmp_path):
    _draw(
        folder,
        _feature("vessel", "Polygon", _square(20, 5, 15, 15)),
        _feature("Cell", "Polygon", _square(5, 5, 15, 15)),
        _feature("Interface", "LineString", [[20, 6], [20, 19]]),
        _feature("ignore", "Polygon", _square(40, 30, 16, 10)),
    )
    summary, label = build(areas={"": "exact"}, line_width=1)
    assert summary.datalist["classes"] == ["Cell", "vessel"]
    expected = np.zeros(SHAPE, np.uint8)
    expected[5:20, 5:20], expected[5:20, 20:35], expected[30:, 40:] = 1, 2, 255
    np.testing.assert_array_equal(label("a", "segmentation"), expected)
    lines = label("a", "separation")
    assert set(np.flatnonzero((lines == 1).any(axis=0))) <= {19, 20}
    assert lines[10, 19] + lines[10, 20] >= 1
    assert (lines[30:, 40:] == 255).all()
    assert lines[0, 0] == 0
    assert "5 marks named 'Interface' in annotations: interface" in summary.readings
    assert not summary.notes  # a patch left open does not make the masks partial ones
    assert check_datalist(tmp_path / "out").errors == []


def test_rough_areas_are_inner_regions_and_say_nothing_about_outlines(folder, build):
    _draw(folder, _feature("cell", "Polygon", _square(8, 8, 6, 6)), names="abc")
    _draw(folder, _feature("cell", "Polygon", _square(5, 5, 15, 15)), names="de", kind="exact")
    summary, label = build(areas={"": "rough"})
    expected = np.zeros(SHAPE, np.uint8)
    expected[8:14, 8:14] = 1
    np.testing.assert_array_equal(label("a", "detection"), expected)
    items = summary.datalist["training"] + summary.datalist["validation"]
    assert sorted(i["image"] for i in items if "segmentation" in i) == ["images/d.png", "images/e.png"]
    assert all("segmentation" in item for item in summary.datalist["validation"])


def test_exact_outlines_among_rough_ones_by_name(folder, build):
    _draw(folder, _feature("cell exact", "Polygon", _square(5, 5, 15, 15)), _feature("cell", "Polygon", _square(30, 22, 8, 8)))
    summary, label = build(areas={"": "rough", "cell exact": "exact"}, names={"": {"cell exact": "cell"}})
    assert summary.datalist["classes"] == ["cell"]
    mask = label("a", "segmentation")
    assert (mask[5:20, 5:20] == 1).all()
    # where the roughly marked object ends, nobody said
    assert mask[26, 34] == mask[26, 40] == mask[39, 0] == 255
    assert mask[12, 21] == 0
    assert label("a", "detection")[26, 34] == 1


def test_background_strokes_make_the_rest_unknown(folder, build, tmp_path):
    _draw(
        folder, _feature("cell", "LineString", [[8, 12], [16, 12]]), _feature("background", "LineString", [[5, 30], [50, 30]])
    )
    _, label = build(line_width=1)
    for task in ("segmentation", "detection"):
        values = label("a", task)
        assert values[12, 12] == 1 or values[11, 12] == 1
        assert values[30, 20] == 0 or values[29, 20] == 0
        assert values[20, 20] == 255
    assert check_datalist(tmp_path / "out").errors == []
    _, label = build(line_width=1, unlabelled={"": "background"}, overwrite=True, out=tmp_path / "other")
    assert label("a", "detection")[20, 20] == 0


def test_the_smaller_area_lies_on_top_whatever_the_order(folder, build):
    small, large = _feature("cell", "Polygon", _square(10, 10, 5, 5)), _feature("tissue", "Polygon", _square(5, 5, 20, 20))
    _draw(folder, small, large, names="abc")
    _draw(folder, large, small, names="de")
    _, label = build(areas={"": "exact"})
    np.testing.assert_array_equal(label("a", "segmentation"), label("d", "segmentation"))
    assert label("a", "segmentation")[12, 12] == 1
    assert label("a", "segmentation")[6, 6] == 2


def test_hidden_areas_and_marks_outside_are_told(folder, build):
    cover = [_feature("cell", "Polygon", _square(5, 5, 5, 5)), _feature("cell", "Polygon", _square(5, 5, 5, 5))]
    _draw(folder, *cover, _feature("cell", "Polygon", _square(500, 5, 5, 5)))
    summary, _ = build(areas={"": "exact"})
    assert any("cover altogether" in note for note in summary.notes)
    assert any("outside" in note for note in summary.notes)


def test_a_file_for_each_class_where_the_program_stores_no_class(folder, build):
    """napari's Shapes layers: the end of the file name is the class."""
    header = "index,shape-type,vertex-index,axis-0,axis-1\n"
    polygon = "".join(f"0,polygon,{k},{y},{x}\n" for k, (y, x) in enumerate([(5, 5), (5, 19), (19, 19), (19, 5)]))
    line = "0,path,0,6,20\n0,path,1,18,20\n"
    (folder / "annotations").mkdir()
    for name in "abcde":
        (folder / "annotations" / f"{name}_cell.csv").write_text(header + polygon)
        (folder / "annotations" / f"{name}_interface.csv").write_text(header + line)
    summary, label = build(areas={"": "exact"})
    assert summary.datalist["classes"] == ["cell"]
    assert label("a", "segmentation")[12, 12] == 1
    assert label("a", "separation")[12, 20] == 1
    assert label("a", "separation")[12, 30] == 0


def test_imagej_roi_sets_without_names_take_the_only_class(folder, build):
    corners = np.array([[5, 5], [20, 5], [20, 20], [5, 20]])
    for name in "abcde":
        rois = [
            ImagejRoi.frompoints(corners, name="0012-0012"),
            ImagejRoi.frompoints(corners + np.array([20, 10]), name="0022-0032"),
        ]
        for roi in rois:
            roi.roitype = ROI_TYPE.POLYGON
        (folder / "annotations").mkdir(exist_ok=True)
        roiwrite(folder / "annotations" / f"{name}_RoiSet.zip", rois, mode="w")
    _, label = build(areas={"": "exact"}, classes=["grain"])
    expected = np.zeros(SHAPE, np.uint8)
    expected[5:20, 5:20] = expected[15:30, 25:40] = 1
    np.testing.assert_array_equal(label("a", "segmentation"), expected)


def _coco(path, names, **more):
    images = [{"id": i, "file_name": name, "height": SHAPE[0], "width": SHAPE[1], **more} for i, name in enumerate(names)]
    corners = [5, 5, 20, 5, 20, 20, 5, 20]
    objects = [
        {"id": i, "image_id": i, "category_id": 7, "segmentation": [corners], "iscrowd": 0} for i in range(len(names) - 1)
    ]
    categories = [{"id": 7, "name": "cell"}]
    path.write_text(json.dumps({"images": images, "annotations": objects, "categories": categories}))


def test_one_coco_file_of_all_images(folder, build, tmp_path):
    _coco(tmp_path / "coco.json", ["a.png", "sub/b.png", "images/0a1b2c3d-c.png", "d.png", "e.png", "gone.png"])
    summary, label = build(labels=[("exact", tmp_path / "coco.json")])
    for name in "abcde":
        assert label(name, "segmentation")[12, 12] == 1
    assert any("'gone.png' belong to no image" in note for note in summary.notes)


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


# ------------------------------------------------------------------------------------------------------- the splits


def test_validation_is_drawn_from_the_best_masks_and_leaves_half_to_training():
    pool = [ImageToPlace(f"{i:02}", None, str(i), 3 if i in (4, 7, 9) else 0) for i in range(20)]
    drawn = draw_sections(pool, 0.2, 0, 0)
    chosen = {name for name, section in drawn.items() if section == "validation"}
    assert len(chosen) == 1
    assert chosen <= {"04", "07", "09"}
    assert drawn == draw_sections(pool[::-1], 0.2, 0, 0)
    assert len({frozenset(draw_sections(pool, 0.2, 0, seed).items()) for seed in range(8)}) > 1
    sections = list(draw_sections([ImageToPlace(str(i), None, str(i), 3) for i in range(10)], 0.2, 0.3, 0).values())
    # the share for testing is one of what validation left
    assert [sections.count(s) for s in ("training", "validation", "testing")] == [6, 2, 2]


def test_images_with_the_same_pixels_stay_together():
    pool = [ImageToPlace(str(i), None, str(i // 2), 3) for i in range(8)]
    for seed in range(6):
        drawn = draw_sections(pool, 2, 0, seed)
        assert all(drawn[str(2 * i)] == drawn[str(2 * i + 1)] for i in range(4))
        assert list(drawn.values()).count("validation") == 2


def test_folders_decide_where_they_are_there():
    pool = [
        ImageToPlace("a", "training", "a", 3),
        ImageToPlace("b", "training", "b", 3),
        ImageToPlace("c", "validation", "c", 0),
    ]
    assert draw_sections(pool, 0.5, 0, 0) == {"a": "training", "b": "training", "c": "validation"}


@pytest.mark.parametrize(
    ("ranks", "validation", "said"),
    [
        ([0, 0], 0.2, "none of the 2 images has an exact mask"),
        ([3], 0.2, "is the only image"),
        ([3, 3], 2, "ask for fewer"),
        ([3, 0, 0], 2, "ask for fewer"),
        ([3, 3], "many", "--validation many must be"),
        ([3, 3], 1.5, "--validation 1.5 must be"),
        ([3, 3], -1, "--validation -1 must be"),
    ],
)
def test_a_split_that_cannot_be_drawn(ranks, validation, said):
    with pytest.raises(BuildError, match=said):
        draw_sections([ImageToPlace(str(i), None, str(i), rank) for i, rank in enumerate(ranks)], validation, 0, 0)


def test_images_of_one_content_cannot_be_split():
    with pytest.raises(BuildError, match="same pixels"):
        draw_sections([ImageToPlace("a", None, "x", 3), ImageToPlace("b", None, "x", 3)], 1, 0, 0)


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
    _save(out / "images" / "z.png", _image(9))
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


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"areas": {"": "perhaps"}}, "exact or rough"),
        ({"unlabelled": {"": "unknown"}}, "ignore or background"),
        ({"unlabelled": {"mask": "ignore"}}, "'mask' is no kind"),
        ({"labels": [("label", "x")]}, "'label' is no kind"),
        ({"names": {"mask": {"1": "a"}}}, "'mask' is no kind"),
        ({"halo": -1}, "--halo -1"),
        ({"line_width": 0}, "--line-width 0"),
        ({"classes": []}, "at least one class"),
        ({"classes": ["a", "A"]}, "twice"),
        ({"classes": ["Background"]}, "always class 0"),
        ({"classes": [str(i) for i in range(255)]}, "at most 254"),
    ],
)
def test_options_that_mean_nothing(options, said):
    with pytest.raises(BuildError, match=said):
        BuildOptions(**options)


def test_options_as_they_are_typed():
    assert parse_names(["scribbles:1=background,2=my cell", "Tumor: Positive=cell", "classes:255=x"]) == {
        "scribbles": {"1": "background", "2": "my cell"},
        "": {"Tumor: Positive": "cell"},
        "segmentation": {"255": "x"},
    }
    assert parse_keyed(["rough", "cell exact=exact", "instances=ignore"]) == {
        "": "rough",
        "cell exact": "exact",
        "masks": "ignore",
    }
    with pytest.raises(BuildError, match="OLD=NEW"):
        parse_names(["scribbles:1"])


def test_the_command_prints_the_table_and_what_to_do_next(folder, tmp_path):
    _masks(folder)
    out = tmp_path / "out"
    arguments = ["datalist", str(folder), str(out), "--classes", "particle", "--unlabelled", "masks=ignore", "--halo", "4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "masks of 5 images: unmarked pixels are ignored" in result.output
    assert [line.split()[:3] for line in result.output.splitlines() if line.startswith("training")] == [["training", "4", "4"]]
    assert f"lazylabels train {out}" in result.output
    assert check_datalist(out).errors == []
    refused = CliRunner().invoke(app, [*arguments, "--labels", "masks"])
    assert isinstance(refused.exception, BuildError)
    assert "KIND=PATH" in str(refused.exception)
