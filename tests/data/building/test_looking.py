"""Label pictures that are not what their folder says: refused or questioned, with a remedy that works."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.data.building import BuildError, BuildOptions, build_datalist
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting.formats.coco import CocoFile
from lazylabels_monai.images.files import read_label
from tests.data.building.drawing import SHAPE, _draw, _feature, _image, _save, _square
from tests.exporting.maps import NAMES, written
from tests.exporting.maps import objects as exported
from tests.labels.mistaken import MISTAKEN, binary, edges, objects, picture, swapped


@pytest.fixture
def save(tmp_path):
    """Four images with what ``make`` makes of their ids, under ``kind``; labels lie as large as their images."""

    def saved(make, kind="masks", count=4):
        for number in range(count):
            ids = objects(number)
            label = np.asarray(make(ids))
            image = np.asarray(Image.fromarray(picture(ids, number)).resize(label.shape[1::-1]))
            for folder, array in (("images", image), (kind, label)):
                (tmp_path / "src" / folder).mkdir(parents=True, exist_ok=True)
                if array.ndim == 3:
                    Image.fromarray(array).save(tmp_path / "src" / folder / f"{number}.png")
                else:
                    array = array.astype(np.uint8) if array.max() < 256 else array.astype(np.uint16)
                    tifffile.imwrite(tmp_path / "src" / folder / f"{number}.tif", array)
        return tmp_path / "src"

    return saved


@pytest.fixture
def build(tmp_path):
    """Build from ``src``; gives the summary and the labels of an image."""

    def made(**options):
        out = tmp_path / "out"
        # what follows from exact masks takes its time, and is tested elsewhere
        summary = build_datalist(tmp_path / "src", out, BuildOptions(overwrite=True, validation=1, derive=False, **options))
        return summary, lambda key, number: read_label(out / key / f"{number}.png")

    return made


@pytest.mark.parametrize(("make", "code", "sure"), MISTAKEN.values(), ids=MISTAKEN)
def test_what_is_no_id_picture_is_refused_or_questioned(save, build, tmp_path, make, code, sure):
    save(make)
    if sure:
        with pytest.raises(LazyLabelsError) as error:
            build()
        said = str(error.value)
        assert not (tmp_path / "out").exists()
    else:
        (said,) = (note for note in build()[0].notes if "masks" in note)
    assert "0.tif' " in said
    assert "\n" not in said
    assert "3 more of the 4 masks pictures" in said
    assert ": " in said
    # the user's word counts
    assert not any("masks" in note for note in build(ids="values", dry_run=True)[0].notes)


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("options", [{"ids": "pieces"}, {"names": {"masks": {"{}": "cell"}}}], ids=["--ids", "--names"])
def test_a_binary_mask_becomes_objects_by_its_remedies(save, build, tmp_path, value, options):
    save(lambda ids: binary(ids, value))
    if "names" in options:
        options = {"names": {"masks": {str(value): "cell"}}}
    summary, label = build(**options)
    assert any("each connected piece is an object" in line for line in summary.readings) == ("ids" in options)
    assert summary.datalist["classes"] == ["cell" if "names" in options else "object"]
    (judged,) = summary.datalist["validation"]
    number = int(judged["image"][7])
    instances, ids = label("instances", number), objects(number)
    assert instances.max() == ids.max()
    assert len(np.unique(np.stack([instances, ids]).reshape(2, -1), axis=1).T) == ids.max() + 1  # one to one
    for number in range(4):
        np.testing.assert_array_equal(label("segmentation", number), objects(number) > 0)
    assert check_datalist(tmp_path / "out", marks=True).errors == []


def test_the_folder_segmentation_is_a_remedy_for_a_binary_mask(save, build):
    save(binary, "segmentation")
    summary, label = build(names={"segmentation": {"255": "cell"}})
    np.testing.assert_array_equal(label("segmentation", 1), objects(1) > 0)
    assert summary.datalist["classes"] == ["cell"]


def test_values_of_id_pictures_by_name(save, build):
    """A class, the background, and what is not labelled, beside ids."""
    save(lambda ids: np.select([ids == 1, ids == 2, ids == 3, ids == 4], [250, 251, 252, 253], ids))
    names = {"250": "cell", "251": "ignore", "252": "background", "253": "drop"}
    _, label = build(names={"masks": names}, unlabelled={"": "background"})
    ids = objects(0)
    expected = np.select([ids == 2, np.isin(ids, (3, 4)), ids > 0], [255, 0, 1], 0)
    np.testing.assert_array_equal(label("segmentation", 0), expected)
    with pytest.raises(LazyLabelsError, match="marks interfaces: give these as --labels separation"):
        build(names={"masks": {"250": "interface"}})


def test_a_palette_whose_background_is_not_0_by_its_remedy(save, build):
    save(swapped)
    _, label = build(names={"masks": {"3": "background", "0": "object"}})
    for number in range(4):
        np.testing.assert_array_equal(label("segmentation", number), objects(number) > 0)


def test_classes_in_a_folder_of_ids_by_their_remedies(save, build):
    save(lambda ids: np.where(ids > 0, 1 + ids % 2, 0))
    with pytest.raises(LazyLabelsError, match=r"2 ids in 8 pieces, like a map of classes.* name the folder segmentation/"):
        build()
    _, label = build(names={"masks": {"1": "pore", "2": "grain"}})
    ids = objects(0)
    np.testing.assert_array_equal(label("segmentation", 0), np.where(ids > 0, np.where(ids % 2, 1, 2), 0))


def test_ids_in_a_folder_of_classes(save, build, tmp_path):
    src = save(lambda ids: ids, "segmentation")
    with pytest.raises(LazyLabelsError, match=r"8 values, each in one piece, like object ids.*name the folder masks/"):
        build()
    (src / "segmentation").rename(src / "masks")
    assert build()[0].datalist["classes"] == ["object"]
    (src / "masks").rename(src / "segmentation")
    assert len(build(classes=list("abcdefgh"))[0].datalist["classes"]) == 8
    assert check_datalist(tmp_path / "out", marks=True).errors == []


@pytest.mark.parametrize("kind", ["segmentation", "detection", "separation", "scribbles"])
@pytest.mark.parametrize("name", ["anti-aliased", "enlarged", "JPEG, fine", "the picture"])
def test_smoothed_labels_of_any_kind_are_refused(save, build, kind, name):
    save(MISTAKEN[name][0], kind)
    with pytest.raises(LazyLabelsError, match="like a picture" if name == "the picture" else "as smoothing makes them"):
        build(classes=["a"])


def test_a_class_picture_without_0_is_questioned_until_it_is_named(save, build):
    save(lambda ids: binary(ids, 1) + 1, "segmentation")
    (note,) = (note for note in build()[0].notes if "segmentation" in note)
    assert "the value 1 around all others, like a background" in note
    assert "--names segmentation:1=background" in note
    summary, label = build(names={"segmentation": {"1": "background", "2": "cell"}})
    assert not any("like a background" in note for note in summary.notes)
    np.testing.assert_array_equal(label("segmentation", 0), objects(0) > 0)


@pytest.mark.parametrize("kind", ["masks", "segmentation"])
def test_colour_pictures(save, build, kind):
    def overlay(ids):
        colours = np.random.default_rng(0).integers(0, 255, (*ids.shape, 3)).astype(np.uint8)
        colours[edges(ids)] = (255, 0, 0)
        return colours

    save(overlay, kind)
    with pytest.raises(BuildError, match=r"0\.png' is a colour picture of \d+ colours, like an image with outlines"):
        build()
    palette = np.random.default_rng(0).integers(30, 255, (9, 3)).astype(np.uint8)
    save(lambda ids: palette[ids], kind)
    with pytest.raises(BuildError, match=r"is a colour picture of 9 colours: .*--legend"):
        build()


def test_one_binary_mask_among_id_pictures_is_refused(save, build):
    src = save(lambda ids: ids)
    tifffile.imwrite(src / "masks" / "2.tif", binary(objects(2)))
    with pytest.raises(LazyLabelsError, match=r"2\.tif' has one id, 255, in 8 pieces, like a binary mask: pass --ids pieces"):
        build()


def test_options():
    with pytest.raises(BuildError, match="--ids objects: write values"):
        BuildOptions(ids="objects")


def _one_mark(folder, kind):
    """All objects of each of five images as one mark: a MultiPolygon, COCO's run lengths."""
    squares = [_square(x, y, 6, 6) for y in (2, 20) for x in (2, 20, 38)]
    for number, name in enumerate("abcde"):
        _save(folder / "images" / f"{name}.png", _image(number))
    if kind == "geojson":
        _draw(folder, _feature("cell", "MultiPolygon", [[square] for square in squares]))
        return
    mask = np.zeros(SHAPE, np.uint8)
    for square in squares:
        (x, y), _, (right, down) = square[:3]
        mask[y:down, x:right] = 1
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, mask.T.ravel(), 2]))).tolist()
    images = [{"id": i, "file_name": f"{name}.png", "height": SHAPE[0], "width": SHAPE[1]} for i, name in enumerate("abcde")]
    segmentation = {"size": list(SHAPE), "counts": runs}
    objects = [{"id": i, "image_id": i, "category_id": 1, "segmentation": segmentation, "iscrowd": 1} for i in range(5)]
    (folder / "annotations").mkdir()
    content = {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "cell"}]}
    (folder / "annotations" / "all.json").write_text(json.dumps(content))


@pytest.mark.parametrize("kind", ["geojson", "coco"])
def test_all_objects_in_one_drawn_area_are_refused(build, tmp_path, kind):
    _one_mark(tmp_path / "src", kind)
    with pytest.raises(LazyLabelsError, match=r"is in 6 pieces, like all .* \(and 4 more likewise\): pass --ids pieces"):
        build(areas={"": "exact"})
    for ids, count in (("pieces", 6), ("values", 1)):
        summary, _ = build(areas={"": "exact"}, ids=ids)
        (item,) = summary.datalist["validation"]
        assert len(np.unique(read_label(tmp_path / "out" / item["instances"]))) == 1 + count
        assert any("each connected piece" in line for line in summary.readings) == (ids == "pieces")


def test_an_area_of_pieces_beside_others_is_a_question(build, tmp_path):
    _one_mark(tmp_path / "src", "geojson")
    alone = [_feature("cell", "Polygon", _square(x, 32, 4, 4)) for x in (2, 12, 22, 32, 42)]
    many = _feature("cell", "MultiPolygon", [[_square(x, 2, 6, 6)] for x in (2, 14, 26, 38)])
    _draw(tmp_path / "src", many, *alone)
    (note,) = (note for note in build(areas={"": "exact"})[0].notes if "pieces" in note)
    assert "is in 4 pieces, which may be meant" in note


def test_marks_beside_their_images_are_refused_where_they_are_most(build, tmp_path):
    _one_mark(tmp_path / "src", "geojson")
    out = [_feature("cell", "Polygon", _square(x, 300, 6, 6)) for x in (2, 12, 22)]
    here = [_feature("cell", "Polygon", _square(x, 3, 6, 6)) for x in (2, 12, 22)]
    _draw(tmp_path / "src", *out, *here[:2])
    with pytest.raises(BuildError, match="15 of 25 marks lie outside of their images or are too small"):
        build(areas={"": "exact"})
    _draw(tmp_path / "src", *out, *here)
    assert any("outside of them" in note for note in build(areas={"": "exact"})[0].notes)


def test_ids_from_0_in_a_background_of_minus_1_are_asked_about_and_the_remedy_works(build, tmp_path):
    def saved(make):
        for number in range(4):
            ids = objects(number).astype(np.int16)
            _save(tmp_path / "src" / "images" / f"{number}.png", picture(ids, number))
            (tmp_path / "src" / "masks").mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / "src" / "masks" / f"{number}.tif", make(ids).astype(np.int16))

    saved(lambda ids: ids - 1)
    with pytest.raises(LazyLabelsError, match="the value -1 around all others, like a background"):
        build()
    _, label = build(names={"masks": {"-1": "background", "0": "cell"}})
    np.testing.assert_array_equal(label("segmentation", 0), objects(0) > 0)
    # objects outlined here and there, or a part of the image looked at: -1 is not labelled
    saved(lambda ids: np.where(ids == 0, -1, ids))
    np.testing.assert_array_equal(build()[1]("segmentation", 0) == 255, objects(0) == 0)
    inside = np.pad(np.ones([n - 2 for n in objects(0).shape], bool), 1)
    saved(lambda ids: np.where(inside, ids, -1))
    np.testing.assert_array_equal(build()[1]("segmentation", 0) == 255, ~inside)


def test_the_remedy_for_a_class_map_names_no_value_that_is_none(save, build):
    save(lambda ids: np.where(ids > 0, 1 + ids % 2, 0))
    with pytest.raises(LazyLabelsError, match="masks:VALUE=CLASS"):
        build()


@pytest.mark.parametrize(("kind", "asked"), [("segmentation", True), ("detection", False), ("separation", False)])
def test_outlines_in_class_maps_are_asked_about(save, build, tmp_path, kind, asked):
    save(lambda ids: edges(ids) * 1, kind)
    for options in ({}, {"ids": "values"}):
        notes = [note for note in build(**options)[0].notes if "outlines whose inside is empty" in note]
        assert bool(notes) == (asked and not options)
        report = check_datalist(tmp_path / "out", marks=True)
        found = {finding.code for finding in report.findings}
        assert ("ids-outlines" in found) == (asked and not options)


# ---------------------------------------------------------------------------------------------------------- orientation

SCENE = np.zeros((30, 44), np.int32)
SCENE[4:12, 6:25], SCENE[18:26, 30:38] = 1, 2


def _turned(folder, turn, drawn, stored=SCENE):
    """Two pictures of which the first has an orientation tag, and what a program drew on them as they are stored."""
    for name, tag in (("a", turn), ("b", 1)):
        picture = (stored > 0).astype(np.uint8) * 200 + (ord(name) - 97)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(folder / "images" / f"{name}.tif", picture, extratags=[(274, 3, 1, tag, True)], metadata=None)
        drawn(folder, name, stored)


def _rois(folder, name, ids):
    (folder / "exact").mkdir(exist_ok=True)
    (folder / "exact" / f"{name}.zip").write_bytes(written(ids, "roi", name)[1])


def _features(folder, name, ids):
    (folder / "exact").mkdir(exist_ok=True)
    (folder / "exact" / f"{name}.geojson").write_bytes(written(ids, "geojson", name)[1])


def _seg(folder, name, ids):
    (folder / "masks").mkdir(exist_ok=True)
    np.save(folder / "masks" / f"{name}_seg.npy", {"masks": ids.astype(np.uint16)}, allow_pickle=True)


def _ids_picture(folder, name, ids):
    _save(folder / "masks" / f"{name}.png", ids.astype(np.uint16))


def _coco_outlines(folder, name, ids):
    if name == "b":
        (folder / "exact").mkdir()
        coco = CocoFile(NAMES)
        for image in "ab":
            list(coco.image(replace(exported(ids), name=image, file_name=f"{image}.tif")))
        ((_, content),) = coco.end()
        (folder / "exact" / "coco.json").write_bytes(content)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(("drawn", "program"), [(_rois, "ImageJ"), (_features, "QuPath"), (_seg, "Cellpose")])
def test_marks_of_programs_that_turn_no_picture_are_questioned_on_turned_ones(tmp_path, drawn, program, turn):
    _turned(tmp_path / "src", turn, drawn, SCENE[:, :30])  # square, so that no size tells
    options = BuildOptions(dry_run=True, ids="values", derive=False, unlabelled={"": "background"})
    notes = [note for note in build_datalist(tmp_path / "src", tmp_path / "out", options).notes if "orientation" in note]
    if turn == 1:
        assert not notes
        return
    (note,) = notes
    assert all(word in note for word in ("'a.tif' ('a", program, "unless it was drawn on an upright copy", "save it as TIFF"))
    assert "b.tif" not in note
    # what ImageJ saves: the pixels as they are stored, and no tag
    stored = tifffile.imread(tmp_path / "src" / "images" / "a.tif")
    tifffile.imwrite(tmp_path / "src" / "images" / "a.tif", stored, imagej=True)
    options = BuildOptions(validation=1, ids="values", derive=False, unlabelled={"": "background"})
    assert not [note for note in build_datalist(tmp_path / "src", tmp_path / "out", options).notes if "orientation" in note]
    np.testing.assert_array_equal(read_label(tmp_path / "out" / "segmentation" / "a.png") > 0, stored > 100)


@pytest.mark.parametrize("drawn", [_ids_picture, _coco_outlines])
def test_marks_of_programs_that_may_turn_pictures_are_not(tmp_path, drawn):
    _turned(tmp_path / "src", 3, drawn)
    options = BuildOptions(dry_run=True, ids="values", derive=False, unlabelled={"": "background"})
    assert not [note for note in build_datalist(tmp_path / "src", tmp_path / "out", options).notes if "orientation" in note]
