"""Drawn marks as labels: areas, lines, dots, strokes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from roifile import ROI_TYPE, ImagejRoi, roiwrite

from lazylabels_monai.data.building import BuildError
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.images.files import read_image
from lazylabels_monai.labels.objects import connected_pieces
from tests.data.building.drawing import SHAPE, _coco, _draw, _feature, _masks, _square


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
    assert not any("all its pixels" in note for note in summary.notes)  # a patch left open makes no partial masks of them
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


def test_one_coco_file_of_all_images(folder, build, tmp_path):
    _coco(tmp_path / "coco.json", ["a.png", "sub/b.png", "images/0a1b2c3d-c.png", "d.png", "e.png", "gone.png"])
    summary, label = build(labels=[("exact", tmp_path / "coco.json")])
    for name in "abcde":
        assert label(name, "segmentation")[12, 12] == 1
    assert any("'gone.png' belong to no image" in note for note in summary.notes)


def test_what_a_transparent_layer_leaves_open_depends_on_what_was_drawn(folder, build):
    """Objects alone: the rest is background. Background drawn, too: the rest is not labelled, but for ids."""
    ids = np.zeros(SHAPE, np.uint8)
    ids[5:20, 5:20] = 1
    inside = np.zeros(SHAPE, bool)
    inside[2:30, 2:40] = True
    alone = np.dstack([ids * 0 + 1] * 3 + [(ids > 0) * np.uint8(255)])
    both = np.dstack([ids] * 3 + [inside * np.uint8(255)])
    for kind, picture, names in (("segmentation", alone, "ab"), ("segmentation", both, "c"), ("masks", both, "de")):
        _masks(folder, names, kind, picture)
    _, label = build()
    for name in "abde":
        np.testing.assert_array_equal(label(name, "segmentation"), ids)
    np.testing.assert_array_equal(label("c", "segmentation"), np.where(inside, ids, 255))


def test_labels_lie_on_the_upright_picture(folder, build):
    """A camera stores the picture turned and says so; the label was drawn on what a viewer shows."""
    ids = np.zeros(SHAPE, np.uint8)
    ids[5:20, 5:20] = 1
    shown = (60 + 90 * ids).astype(np.uint8)
    turned = {1: shown, 3: np.rot90(shown, 2), 6: np.rot90(shown), 8: np.rot90(shown, -1), 5: shown.T}
    for name, (orientation, stored) in zip("abcde", turned.items(), strict=True):
        exif = Image.Exif()
        exif[0x0112] = orientation
        noise = np.random.default_rng(orientation).integers(0, 9, stored.shape).astype(np.uint8)
        Image.fromarray(np.ascontiguousarray(stored) + noise).save(folder / "images" / f"{name}.png", exif=exif)
    _masks(folder, label=ids)
    summary, label = build()
    for section in ("training", "validation"):
        for item in summary.datalist[section]:
            image = read_image(summary.out / item["image"])
            mask = label(item["image"].split("/")[-1][0], "segmentation")
            assert image.shape == mask.shape
            assert image[mask == 1].min() >= 150
            assert image[mask == 0].max() < 70


# --------------------------------------------------------------------------------------------- one object, one outline


def _cells(by=0, names=("cell", "cell")):
    """Two squares far apart, moved and made larger by some pixels."""
    places = [(5, 5, 12), (30, 20, 10)]
    return [
        _feature(name, "Polygon", _square(x + by, y, side + by, side + by))
        for name, (x, y, side) in zip(names, places, strict=True)
    ]


def test_an_object_that_two_people_outlined_is_refused(folder, build, tmp_path):
    _draw(tmp_path, *_cells(), kind="anna")
    _draw(tmp_path, *_cells(1), names="ab", kind="bob")
    both = [("exact", tmp_path / "anna"), ("exact", tmp_path / "bob")]
    said = r"anna.a\.geojson' and '.*bob.a\.geojson' both outline .* image 'a\.png' .*3 more likewise, in 2 images"
    with pytest.raises(BuildError, match=said):
        build(labels=both)
    # ids do not settle it
    with pytest.raises(BuildError, match="both outline"):
        build(labels=both, ids="values")
    # the ways out that the sentence names
    _, label = build(labels=both[:1])
    assert connected_pieces(label("a", "segmentation") > 0).max() == 2
    assert not (label("a", "separation") == 1).any()
    for name in "ab":
        (tmp_path / "bob" / f"{name}.geojson").unlink()
    _draw(tmp_path, _feature("cell", "Polygon", _square(42, 4, 8, 8)), names="ab", kind="bob")
    summary, label = build(labels=both, overwrite=True)
    assert connected_pieces(label("a", "segmentation") > 0).max() == 3
    (note,) = [note for note in summary.notes if "several files" in note]
    assert note.startswith("2 images take the marks of several files together, such as 'a.png' those of ")


def test_an_outline_drawn_anew_beside_the_first_is_refused(folder, build):
    _draw(folder, *_cells(), _cells(1)[1], names="a", kind="exact")
    _draw(folder, *_cells(), names="bcde", kind="exact")
    with pytest.raises(BuildError, match=r"a\.geojson' outlines twice .* image 'a\.png' .*: delete one of them; if"):
        build()
    # two objects indeed: the larger one, an angle, without what the smaller one covers
    angle = [[30, 20], [41, 20], [41, 31], [30, 31], [30, 30], [40, 30], [40, 20.5], [30, 20.5], [30, 20]]
    _draw(folder, *_cells(), _feature("cell", "Polygon", angle), names="a", kind="exact")
    build()


def test_an_object_that_has_an_id_already_is_refused(folder, build):
    _masks(folder, "a")
    _draw(folder, _feature("cell", "Polygon", _square(28, 7, 4, 4)), names="a", kind="exact")
    build(classes=["cell"], validation=0)
    _draw(folder, _feature("cell", "Polygon", _square(8, 27, 9, 9)), names="a", kind="exact")
    with pytest.raises(BuildError, match=r"a\.geojson' and '.*masks.a\.png' both outline .* and 9 of"):
        build(classes=["cell"], validation=0, overwrite=True)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("cell", (5, 5, 12, 12)), ("cell", (11, 5, 12, 12))),  # a third of both
        (("cell", (5, 5, 12, 12)), ("cell", (7, 7, 8, 8))),  # a smaller one in a larger one
        (("cell", (5, 5, 12, 12)), ("nucleus", (6, 6, 11, 11))),  # of another class
        (("cell", (5, 5, 12, 12)), ("cell", (5, 5, 12, 12))),  # the same, so that nothing comes of the one
    ],
)
def test_areas_that_share_less_or_are_of_other_classes_are_objects_of_their_own(folder, build, first, second):
    _draw(folder, *(_feature(name, "Polygon", _square(*box)) for name, box in (first, second)), kind="exact")
    build()
