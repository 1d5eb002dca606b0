"""From a folder to the files of a format, and back to a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lazylabels_monai.data.building import BuildOptions, build_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting import FORMATS, export_objects
from lazylabels_monai.exporting.formats import Writer
from lazylabels_monai.images.files import read_label
from lazylabels_monai.labels.formats import read_annotations
from lazylabels_monai.measure.folder import measure_folder
from lazylabels_monai.stamps import Record, Records, Stamp, locked
from tests.exporting.maps import ID_MAPS, NAMES, classes_of, pictures, predictions, same_objects, saved_elsewhere, scene
from tests.measure.drawn import ONE, rectangles

#: Names with umlauts, spaces, quotes and dots; images that are not square; one without objects.
MAPS = {
    "a": scene(),
    "Müller 'Probe' 0": scene((20, 33), 2),
    'b "x".c': scene((24, 40), 3),
    "leer": np.zeros((8, 5), np.int32),
}


def read_back(images: Path, files: Path, out: Path, names=NAMES):
    """Segmentation and ids of each image, by ``datalist``; ids where the image is not trained on."""
    options = {"labels": [("exact", files)], "classes": names, "unlabelled": {"": "background"}, "ids": "values"}
    datalist = build_datalist(images, out, BuildOptions(validation=2, test=1, **options)).datalist
    items = [item for section in ("training", "validation", "testing") for item in datalist[section]]
    return {
        Path(item["image"]).stem: [
            read_label(out / item[key]) if key in item else None for key in ("segmentation", "instances")
        ]
        for item in items
    }


@pytest.mark.parametrize("format", FORMATS)
def test_datalist_reads_the_same_pixels(format, tmp_path):
    images, source = pictures(tmp_path / "i", MAPS), predictions(tmp_path / "p", MAPS)
    said = []
    report = export_objects(source, format, progress=said.append)
    assert report.failed == {}
    assert report.objects == {name: len(np.unique(ids)) - 1 for name, ids in MAPS.items()}
    assert report.folder == source / format
    assert [line.partition(" ")[0] for line in said] == [f"{n}/4" for n in range(1, 5)]
    found = read_back(images, report.folder, tmp_path / "d")
    assert set(found) == set(MAPS)
    with_ids = 0
    for name, (classes, ids) in found.items():
        np.testing.assert_array_equal(classes, classes_of(MAPS[name]))
        if ids is not None:
            assert same_objects(MAPS[name], ids)
            with_ids += 1
    assert with_ids >= 2


@pytest.mark.parametrize("format", FORMATS)
@given(ids=st.lists(ID_MAPS, min_size=4, max_size=4))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_objects_come_back_through_datalist(format, ids, tmp_path_factory):
    # an image of one pixel of each class more: datalist wants a mask to train on
    maps = {f"im{k}": np.pad(array, 1, constant_values=5 + k) for k, array in enumerate(ids)}
    folder = tmp_path_factory.mktemp(format)
    report = export_objects(predictions(folder / "p", maps), format, folder / "to", measurements=False)
    assert report.failed == {}
    for name, (classes, objects) in read_back(pictures(folder / "i", maps), folder / "to", folder / "d").items():
        np.testing.assert_array_equal(classes, classes_of(maps[name]))
        assert objects is None or same_objects(maps[name], objects)


@pytest.mark.parametrize("format", FORMATS)
def test_ids_of_more_than_16_bits(format, tmp_path):
    ids = np.array([[65535, 65536, 0, 2**31 - 1], [131072, 131071, 1, 2**31 - 2]], np.int64)
    maps = {name: ids if name == "a" else scene() for name in "abcd"}
    report = export_objects(predictions(tmp_path / "p", maps), format)
    assert report.objects["a"] == 7
    found = read_back(pictures(tmp_path / "i", maps), report.folder, tmp_path / "d")
    np.testing.assert_array_equal(found["a"][0], classes_of(ids))


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_overwritten_unasked(format, tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    (file,) = export_objects(source, format).files
    before = file.read_bytes()
    (source / format / "mine.txt").write_text("kept")
    with pytest.raises(LazyLabelsError, match=r"holds .* already: name another folder with --to, or pass --overwrite"):
        export_objects(source, format)
    tifffile.imwrite(source / "a_instances.tif", np.pad(scene()[1:], ((0, 1), (0, 0))).astype(np.uint32))
    Image.fromarray(np.ones((37, 61), np.uint8)).save(source / "a_pred.png")
    assert export_objects(source, format, overwrite=True).failed == {}
    assert file.read_bytes() != before
    assert sorted(path.name for path in (source / format).iterdir()) == sorted([file.name, "mine.txt", "exported.jsonl"])
    with pytest.raises(LazyLabelsError, match="is a file: name a folder"):
        export_objects(source, format, file)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_what_another_program_changed_is_not_overwritten(format, recorded, tmp_path):
    source = predictions(tmp_path / "p", {"a": scene(), "b": scene()})
    file, *_ = export_objects(source, format).files
    if not recorded:  # as an earlier version left it
        (source / format / "exported.jsonl").unlink()
    assert export_objects(source, format, overwrite=True).kept == []
    if not recorded:
        (source / format / "exported.jsonl").unlink()
    corrected = saved_elsewhere(file)
    with pytest.raises(LazyLabelsError, match=f"{file.name}' was changed in another program .*: move it away, or name another"):
        export_objects(source, format, overwrite=True)
    assert file.read_bytes() == corrected
    report = export_objects(source, format, overwrite=True, keep_changed=True)
    assert report.kept == [file]
    assert file not in report.files
    assert file.read_bytes() == corrected
    file.rename(tmp_path / "aside")
    assert export_objects(source, format, overwrite=True).kept == []
    assert file.is_file()


@pytest.mark.parametrize("format", ["roi", "geojson"])
def test_files_of_an_earlier_export_that_stay_are_told_of(format, tmp_path):
    source, told = predictions(tmp_path / "p", {"a": scene(), "b": scene(), "c": scene()}), []
    suffix = export_objects(source, format, warn=told.append).files[0].suffix
    (source / format / "mine.txt").write_text("kept")
    export_objects(source, format, overwrite=True, warn=told.append)
    assert told == []
    for name in ("a_pred.png", "a_instances.tif"):
        (source / name).unlink()
    export_objects(source, format, overwrite=True, warn=told.append)
    (sentence,) = told
    assert f"'{source / format}' also holds a{suffix} of an earlier export, of an image that is not exported now" in sentence
    assert (source / format / f"a{suffix}").is_file()


@pytest.mark.parametrize("format", FORMATS)
def test_a_broken_image_costs_no_other(format, tmp_path):
    source = predictions(tmp_path / "p", {"a": scene(), "b": scene(), "c": scene()})
    (source / "b_instances.tif").write_bytes(b"II*\0 no picture")
    report = export_objects(source, format)
    assert set(report.failed) == {"b"}
    assert "b_instances.tif" in report.failed["b"]
    assert set(report.objects) == {"a", "c"}
    if format == "coco":
        assert [i["file_name"] for i in json.loads(report.files[0].read_bytes())["images"]] == ["a.png", "c.png"]


def saved(path: Path, array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def categories(report) -> list[str]:
    return [category["name"] for category in json.loads(report.files[0].read_bytes())["categories"]]


def test_label_folders(tmp_path):
    ids = np.array([[1, 1, 0, 2]], np.uint16)
    saved(tmp_path / "plain" / "a.png", ids)
    assert categories(export_objects(tmp_path / "plain", "coco")) == ["object"]
    saved(tmp_path / "both" / "masks" / "a.png", ids)
    saved(tmp_path / "both" / "classes" / "a.png", np.array([[2, 2, 0, 1]], np.uint8))
    assert categories(export_objects(tmp_path / "both", "coco")) == ["object1", "object2"]
    assert categories(export_objects(tmp_path / "both", "coco", classes=["x", "y", "z"], overwrite=True)) == ["x", "y", "z"]
    saved(tmp_path / "classes" / "a.png", np.array([[2, 0, 2, 1]], np.uint8))
    report = export_objects(tmp_path / "classes", "coco", values="classes")
    assert report.objects == {"a": 3}


def test_what_hardly_are_ids(tmp_path):
    """A binary mask, classes or gray values in a folder that nobody called masks."""
    blobs = np.kron(np.random.default_rng(0).random((6, 9)) > 0.6, np.ones((3, 3))).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (20, 30)).astype(np.uint8)
    for name, picture in (
        ("binary", blobs * 255),
        ("classes", blobs * np.repeat([1, 2, 3], 9).astype(np.uint8)),
        ("gray", noise),
    ):
        for folder in (tmp_path / name, tmp_path / f"{name}_named" / "masks"):
            saved(folder / "a.png", picture)
        for source in (tmp_path / name, tmp_path / f"{name}_named"):
            report = export_objects(source, "coco")
            assert "hardly are ids of objects: if they are classes, say --values classes" in report.failed["a"]
            assert report.files == []
        assert export_objects(tmp_path / name, "coco", values="ids").failed == {}
    assert export_objects(tmp_path / "classes", "coco", values="classes", overwrite=True).objects["a"] > 3


def test_objects_without_a_class_are_named(tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    classes = classes_of(scene())
    classes[scene() == 77] = 0
    Image.fromarray(classes).save(source / "a_pred.png")
    said = []
    report = export_objects(source, "roi", warn=said.append)
    assert report.objects == {"a": len(np.unique(scene())) - 2}
    assert any("objects 77 (1 in all) have no pixel of a class" in sentence for sentence in said)


def measurements(report) -> dict[float, dict]:
    features = [f for file in report.files for f in json.loads(file.read_bytes())["features"]]
    return [feature["properties"].get("measurements") for feature in features]


def test_measurements(tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    images = pictures(tmp_path / "i", {"a": scene()})
    anew = measurements(export_objects(source, "geojson", tmp_path / "1", pixel_size="500nm"))
    assert [row["id"] for row in anew] == sorted(set(scene().ravel().tolist()) - {0})
    assert all(row["area_um2"] == 0.25 * (scene() == row["id"]).sum() for row in anew)
    assert measurements(export_objects(source, "geojson", tmp_path / "2", measurements=False)) == [None] * len(anew)
    measure_folder(source, source / "measured", images=images, pixel_size=0.1, ids="values")
    said = []
    found = measurements(export_objects(source, "geojson", tmp_path / "3", warn=said.append))
    assert [row["area_um2"] for row in found] == pytest.approx([row["area_um2"] / 25 for row in anew])
    assert all("mean_intensity" in row for row in found)
    assert said == []

    other = scene(seed=5)
    tifffile.imwrite(source / "a_instances.tif", other.astype(np.uint32))
    Image.fromarray(classes_of(other)).save(source / "a_pred.png")
    outdated = measurements(export_objects(source, "geojson", tmp_path / "4", warn=said.append))
    assert any("is of other objects than image 'a' has, so they are measured anew" in sentence for sentence in said)
    assert [row["area_px2"] for row in outdated] == [(other == row["id"]).sum() for row in outdated]
    asked = export_objects(source, "geojson", tmp_path / "5", measurements=source / "measured")
    assert "measure them again, or leave --measurements out" in asked.failed["a"]
    with pytest.raises(LazyLabelsError, match="the format roi holds none"):
        export_objects(source, "roi", tmp_path / "6", measurements=source / "measured")


@pytest.mark.parametrize("measured_with", [None, 0.25, 1.0])
def test_a_table_of_another_pixel_size_is_not_taken_in_silence(tmp_path, measured_with):
    maps = {"a": scene(), "b": scene((20, 33), 2)}
    source = predictions(tmp_path / "p", maps)
    measure_folder(source, source, pixel_size=measured_with, ids="values")
    (tmp_path / "i").mkdir()
    for number, (name, ids) in enumerate(maps.items()):
        options = {"imagej": True, "resolution": (1 / (number + 1.0),) * 2, "metadata": {"unit": "um"}}
        tifffile.imwrite(tmp_path / "i" / f"{name}.tif", (ids % 251).astype(np.uint8), **options)
    said = []
    rows = measurements(export_objects(source, "geojson", images=tmp_path / "i", warn=said.append))
    pixels = {number + 1: [(ids == k).sum() for k in np.unique(ids[ids > 0])] for number, ids in enumerate(maps.values())}
    assert [row["area_um2"] for row in rows] == pytest.approx([side**2 * n for side, all_n in pixels.items() for n in all_n])
    assert all("mean_intensity" in row for row in rows)
    assert all("measured anew (--measurements takes it)" in sentence for sentence in said)
    assert [sentence for sentence in said if "have" in sentence] == said[-1:], "of one image a kind"
    said.clear()
    asked = {"images": tmp_path / "i", "measurements": source, "overwrite": True}
    rows = measurements(export_objects(source, "geojson", **asked, warn=said.append))
    assert "mean_intensity" not in rows[0]
    assert all("and is taken, as you named it" in sentence for sentence in said)
    assert 1 <= len(said) <= 2


def test_what_is_measured_anew_for_its_images_keeps_the_pixel_size_that_was_typed(tmp_path):
    """The pictures state none, so that the unit of the table would be gone."""
    source = predictions(tmp_path / "p", {"a": scene()})
    measure_folder(source, source, pixel_size=0.5, ids="values")
    (tmp_path / "i").mkdir()
    Image.fromarray((scene() % 251).astype(np.uint8)).save(tmp_path / "i" / "a.png")
    said = []
    rows = measurements(export_objects(source, "geojson", images=tmp_path / "i", warn=said.append))
    assert [row["area_um2"] for row in rows] == pytest.approx([0.25 * (scene() == row["id"]).sum() for row in rows])
    assert all("mean_intensity" in row for row in rows)
    assert len(said) == 1


def test_several_tables_of_measurements_are_told(tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    for name in ("m1", "m2"):
        measure_folder(source, source / name, pixel_size=0.1, ids="values")
    said = []
    anew = measurements(export_objects(source, "geojson", tmp_path / "1", warn=said.append))
    assert [row["area_px2"] for row in anew] == [(scene() == row["id"]).sum() for row in anew]
    assert len(said) == 1
    assert f"'{source / 'm1' / 'objects.csv'}' and '{source / 'm2' / 'objects.csv'}'" in said[0]
    assert "so the objects are measured anew: name one by --measurements" in said[0]
    export_objects(source, "geojson", tmp_path / "2", measurements=source / "m2", warn=said.append)
    export_objects(source, "geojson", tmp_path / "3", measurements=False, warn=said.append)
    assert len(said) == 1


def test_names_of_image_files(tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    said = []
    export_objects(source, "coco", warn=said.append)
    assert any("name their folder with --images" in sentence for sentence in said)
    saved(tmp_path / "i" / "a.jpg", np.zeros(scene().shape, np.uint8))
    report = export_objects(source, "coco", tmp_path / "to", images=tmp_path / "i")
    assert json.loads(report.files[0].read_bytes())["images"][0]["file_name"] == "a.jpg"


def test_two_images_of_one_name(tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    for suffix in ("jpg", "png"):
        saved(tmp_path / "i" / f"a.{suffix}", np.zeros(scene().shape, np.uint8))
    with pytest.raises(LazyLabelsError, match=r"share a name.* --images '.*/\*\.(jpg|png)'"):
        export_objects(source, "coco", images=tmp_path / "i")
    report = export_objects(source, "coco", images=tmp_path / "i" / "*.jpg")
    assert json.loads(report.files[0].read_bytes())["images"][0]["file_name"] == "a.jpg"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "svg"}, r"--format svg: say one of roi, geojson, coco"),
        ({"format": "roi", "classes": ["a", "a"]}, "two classes are called 'a'"),
        ({"format": "roi", "values": "both"}, "--values both: say ids or classes"),
        ({"format": "geojson", "measurements": "none.csv"}, "'none.csv' cannot be read"),
    ],
)
def test_what_is_refused_before_anything_is_written(options, said, tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LazyLabelsError, match=said):
        export_objects(source, **options)
    assert sorted(tmp_path.rglob("*")) == before


def test_every_format_is_a_writer():
    for name, writer in FORMATS.items():
        assert issubclass(writer, Writer)
        assert writer(["x"]).names(["a", "b"])
        assert list(writer(["x"]).end()) == [] or name == "coco"


@pytest.mark.parametrize("format", FORMATS)
def test_no_exported_object_is_a_region_around_others(format, tmp_path):
    """A ring around smaller objects of its class comes back, and the files say that each is one object."""
    ids = np.zeros((60, 80), np.int32)
    ids[2:58, 2:78], ids[5:55, 5:75] = 3, 0
    for number, (row, column) in enumerate([(8, 8), (8, 40), (30, 8), (30, 40)]):
        ids[row : row + 5, column : column + 5] = 6 + 3 * number  # all of class 1
    maps = dict.fromkeys("abcd", ids)
    files = export_objects(predictions(tmp_path / "p", maps), format).folder
    for classes, _ in read_back(pictures(tmp_path / "i", maps), files, tmp_path / "d").values():
        np.testing.assert_array_equal(classes, classes_of(ids))
    name = {"roi": "a.zip", "geojson": "a.geojson", "coco": "objects.json"}[format]
    assert all(mark.is_object for annotation in read_annotations(files / name) for mark in annotation.marks)


@pytest.mark.parametrize("known", ["images", "record", "datalist"])
@pytest.mark.parametrize("turn", [1, 2, 6])
@pytest.mark.parametrize("format", FORMATS)
def test_objects_of_pictures_that_another_program_does_not_turn_are_told(format, turn, known, tmp_path):
    ids = scene()
    source, image = predictions(tmp_path / "p", {"a": ids}), tmp_path / "i" / "a.jpg"
    image.parent.mkdir()
    exif = Image.Exif()
    exif[0x0112] = turn
    stored = np.zeros(ids.shape if turn < 5 else ids.shape[::-1], np.uint8)
    Image.fromarray(stored).save(image, exif=exif)
    options = {"images": tmp_path / "i"} if known == "images" else {}
    if known == "record":
        stamp = Stamp("w", {})
        Records(source).add_stamp(stamp)
        Records(source).add("a", Record.of(stamp, image, source))
    if known == "datalist":
        label = {"segmentation": str(source / "a_pred.png"), "instances": str(source / "a_instances.tif")}
        content = {"classes": list(NAMES), "training": [{"image": str(image), **label}]}
        (tmp_path / "datalist.json").write_text(json.dumps(content))
        source = tmp_path / "datalist.json"
    said = []
    report = export_objects(source, format, tmp_path / "out", warn=said.append, measurements=False, **options)
    assert not report.failed
    told = [sentence for sentence in said if "orientation" in sentence]
    program = {"roi": "Fiji", "geojson": "QuPath"}.get(format)
    if turn == 1 or program is None:
        assert not told
    else:
        (sentence,) = told
        assert f"turns 'a.jpg' upright here, but not in {program}" in sentence


def test_images_that_are_not_those_that_were_predicted_are_told(tmp_path):
    images, source = pictures(tmp_path / "i", MAPS), predictions(tmp_path / "p", MAPS)
    records = Records(source)
    with locked(source):
        records.add_stamp(ONE)
    for file in sorted(images.iterdir()):
        records.add(file.stem, Record.of(ONE, file, source))
    said = []
    export_objects(source, "coco", tmp_path / "same", images=images, warn=said.append)
    assert said == []
    others = pictures(tmp_path / "o", MAPS)
    for file in others.iterdir():
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    for n, given_images in enumerate([others, {file.stem: file for file in others.iterdir()}]):
        said.clear()
        export_objects(source, "coco", tmp_path / f"others {n}", images=given_images, warn=said.append)
        (sentence,) = said
        assert sentence.startswith(f"4 of 4 images are not those that were predicted into '{source}' (")


@pytest.mark.parametrize("format", FORMATS)
def test_objects_whose_rows_somebody_took_away_are_exported_and_told(format, tmp_path):
    boxes = [(2, 2, 10, 12), (2, 20, 9, 9), (20, 3, 5, 6), (20, 20, 12, 8), (20, 40, 9, 12)]
    maps = {name: rectangles((40, 60), boxes[number:]) for number, name in enumerate("ab")}
    source = predictions(tmp_path / "p", maps)
    measure_folder(source, source / "m", classes=NAMES, resamples=100, min_size=40)
    table, said = source / "m" / "objects.csv", []
    first = export_objects(source, format, tmp_path / "all", classes=NAMES, warn=said.append)
    assert not any("objects.csv" in sentence for sentence in said), "those too small to be measured are nothing to tell"
    rows = table.read_text().splitlines(keepends=True)
    table.write_text("".join([rows[0], *rows[3:]]))
    options = {"measurements": source / "m"} if FORMATS[format].measures else {}
    for number, more in enumerate(({}, options)):
        said.clear()
        report = export_objects(source, format, tmp_path / str(number), classes=NAMES, warn=said.append, **more)
        assert report.objects == first.objects
        (sentence,) = [each for each in said if "objects.csv" in each]
        assert sentence.startswith(f"{table}: 2 measured objects have no row there (image 'a' is the first), but all objects")
