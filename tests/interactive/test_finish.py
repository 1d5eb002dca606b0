"""What leaves a project is what the other commands take."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.exporting import FORMATS
from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.interactive.finish import belong_together, export, has_masks, read_masks, report, write_masks
from lazylabels_monai.interactive.kept import accepted
from lazylabels_monai.interactive.label_files import REPLACED
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.sizes import table, write_csv
from lazylabels_monai.result_files import EXPORTED_FILE
from tests.exporting.maps import saved_elsewhere
from tests.interactive.folders import pictures
from tests.interactive.test_sizes import SHAPE, objects


@pytest.fixture
def project(tmp_path):
    with Project.open(pictures(tmp_path / "my", 2, SHAPE), create=True, classes=["pore", "grain"]) as project:
        yield project


def test_masks_are_those_of_predict_and_replace_earlier_ones(project, tmp_path):
    ids, classes = objects()
    for shift in (0, 3):
        shown, numbers = write_masks(tmp_path / "out", "images/a.png", np.roll(ids, shift, 0), classes, project.classes)
    assert (shown.name, numbers.name) == ("a_pred.png", "a_instances.tif")
    assert np.array_equal(read_label(numbers), np.roll(ids, 3, 0))
    expected = np.zeros(SHAPE, int)
    for number, value in classes.items():
        expected[np.roll(ids, 3, 0) == number] = value
    assert np.array_equal(read_label(shown), expected)
    many = np.arange(60 * 80).reshape(SHAPE) + 65000
    assert read_label(write_masks(tmp_path / "out", "b.png", many, {}, ["x"])[1]).max() == many.max()


def _stopped(act, step: int) -> bool:
    """Do something until the given file is about to be replaced or removed, as a kill then would; whether it came to that."""
    left = [step]

    def or_stop(do):
        def done(*args, **options):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return do(*args, **options)

        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.replace", or_stop(os.replace))
        patch.setattr(Path, "unlink", or_stop(Path.unlink))
        try:
            act()
        except KeyboardInterrupt:
            return True
    return False


@pytest.mark.parametrize("name", ["images/a.png", "images/v.nii.gz"])
def test_a_stop_leaves_no_mask_of_before_beside_a_new_one(tmp_path, name):
    folder = pictures(tmp_path / "my", 2, SHAPE)
    shape = SHAPE if name.endswith("png") else (3, *SHAPE)
    if name.endswith("gz"):
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape[::-1], np.uint8), np.eye(4)), folder / name)
    ids, classes = np.zeros(shape, np.int32), np.array([0, 2, 1])
    ids[..., 5:15, 5:15], ids[..., 30:50, 30:50] = 1, 2
    moments = {"before": ids, "after": np.where(ids == 2, 0, ids)}  # an object is erased

    def write(project, when):
        entry = project.entry(name)
        keep = partial(project.save_kept, entry, accepted(moments[when], classes))
        write_masks(project.files.finished_folder, name, moments[when], classes, project.classes, entry.path, keep)

    step, seen = 0, []
    with Project.open(folder, create=True, classes=["pore", "grain"]) as project:
        out, stopped = project.files.finished_folder, True
        while stopped:
            step += 1
            write(project, "before")
            stopped = _stopped(partial(write, project, "after"), step)
            kept = np.maximum(project.kept(project.entry(name)).ids, 0)
            if has_masks(out, name):
                found = read_masks(out, name, shape)
                assert belong_together(*found)
                when = next(when for when, objects in moments.items() if np.array_equal(found[0], objects))
                shown, _ = (read_label(file) for file in sorted(out.glob("*_*"), reverse=True))
                assert np.array_equal(shown.T if len(shape) == 3 else shown, classes[moments[when]])
            else:  # they are written again from what is kept
                when = "none"
                assert np.array_equal(kept, moments["after"])
            seen.append(when)
    assert step > 4
    assert list(dict.fromkeys(seen)) == ["before", "none", "after"]


def test_masks_that_do_not_belong_together_do_not_end_the_report_of_others(project):
    """As a stop of an earlier version left them."""
    out, told = project.files.finished_folder, []
    ids, classes = objects()
    for entry in project.images:
        project.finish(entry)
        write_masks(out, project.files.result_name(entry.name), ids, classes, project.classes)
    first, second = project.images
    torn = read_label(out / "a_pred.png").copy()
    torn[ids == 2] = 0
    Image.fromarray(torn).save(out / "a_pred.png")
    report(out, project, "1um", told.append)
    (sentence,) = told
    assert f"the masks of the finished picture '{first.name}' in '{out}' do not belong together" in sentence
    assert set(pd.read_csv(out / "measured" / "objects.csv")["image"]) == {"b"}
    project.finish(second, False)
    with pytest.raises(LazyLabelsError, match="do not belong together"):
        report(out, project, "1um", told.append)


def test_masks_of_a_picture_that_is_not_finished_are_left_out(project):
    out, told = project.files.finished_folder, []
    ids, classes = objects()
    first, second = project.images
    for entry in project.images:
        write_masks(out, project.files.result_name(entry.name), ids, classes, project.classes)
    with pytest.raises(LazyLabelsError, match="not finished"):
        report(out, project, "1um", told.append)
    project.finish(first)
    page = report(out, project, "1um", told.append)
    (sentence,) = told
    assert f"the picture '{second.name}' has masks in '{out}' and is left out, as it is not finished" in sentence
    assert "b_pred.png and b_instances.tif" in sentence
    assert set(pd.read_csv(out / "measured" / "objects.csv")["image"]) == {"a"}
    assert "1 of 2 predictions" in page.read_text()
    assert export(out, "coco", project, "1um", told.append).objects == {"a": 4}


@pytest.mark.parametrize("recorded", [True, False], ids=["", "of an earlier version"])
def test_a_table_that_a_person_edited_is_kept_when_the_report_measures_anew(project, recorded):
    out, told = project.files.finished_folder, []
    for entry in project.images:
        project.finish(entry)
        write_masks(out, project.files.result_name(entry.name), *objects(), project.classes)
    for _ in range(2):
        report(out, project, "1um", told.append)
    assert told == []
    measured, kept = out / "measured", project.folder / REPLACED / "measured"
    made = (measured / "objects.csv").read_bytes()
    assert not kept.exists()
    if not recorded:
        (measured / EXPORTED_FILE).unlink()
    (measured / "objects.csv").write_bytes(b"mine")
    report(out, project, "1um", told.append)
    assert (kept / "objects.csv").read_bytes() == b"mine"
    assert (measured / "objects.csv").read_bytes() == made
    (sentence,) = told
    assert "'objects.csv'" in sentence
    assert str(kept) in sentence
    report(out, project, "1um", told.append)
    assert told == [sentence]


def test_report_and_csv_are_of_the_objects_on_the_screen(project, tmp_path):
    with pytest.raises(LazyLabelsError, match="no result"):
        report(tmp_path / "out", project)
    tables = []
    for entry in project.images:
        ids, classes = objects()
        project.finish(entry)
        write_masks(tmp_path / "out", entry.name, ids, classes, project.classes)
        picture = read_image(entry.path)
        tables.append(table(ids, classes, "1um", name=entry.name, class_names=project.classes, picture=picture))
    for _ in range(2):  # again, too
        page = report(tmp_path / "out", project, "1um")
    assert page.name == "report.html"
    assert "grain" in page.read_text()
    measured = (tmp_path / "out" / "measured" / "objects.csv").read_bytes()
    assert write_csv(tables, tmp_path / "mine.csv").read_bytes() == measured
    assert len(pd.read_csv(tmp_path / "mine.csv")) == 8


def test_finished_pictures_without_masks_are_told_of(tmp_path):
    with Project.open(pictures(tmp_path / "my", 8, SHAPE), create=True, classes=["pore", "grain"]) as project:
        out, (first, second, third, *others) = project.files.finished_folder, project.images
        told: list[str] = []
        project.finish(first)
        with pytest.raises(LazyLabelsError, match=f"'{first.name}' has no masks .* show it"):
            report(out, project, "1um", told.append)
        ids, classes = objects()
        project.finish(third)
        for entry in (first, third):  # others are neither finished nor have masks
            write_masks(out, project.files.result_name(entry.name), ids, classes, project.classes)
        for act in (lambda: report(out, project, "1um", told.append), lambda: export(out, "coco", project, "1um", told.append)):
            act()
            assert told == []
        project.finish(second)
        for act in (lambda: report(out, project, "1um", told.append), lambda: export(out, "coco", project, "1um", told.append)):
            told.clear()
            act()
            (sentence,) = told
            assert f"'{second.name}' has no masks" in sentence
            assert first.name not in sentence
        for entry in others:
            project.finish(entry)
        told.clear()
        report(out, project, "1um", told.append)
        assert f"'{second.name}'" in told[0]
        assert "and 1 more have no masks" in told[0]


def test_a_stated_pixel_size_goes_before_the_one_that_was_typed(tmp_path):
    folder = pictures(tmp_path / "my", 2, SHAPE)
    resolution = {"resolution": (2.0, 2.0), "metadata": {"unit": "um", "axes": "YX"}, "imagej": True}
    tifffile.imwrite(folder / "images" / "c.tif", np.zeros(SHAPE, np.uint8), **resolution)
    # of c, which is not finished, two sizes are stated: that is no matter of the others
    items = [{"image": "images/a.png", "pixel_size": "120 nm"}, {"image": "images/c.tif", "pixel_size": "3um"}]
    (folder / "datalist.json").write_text(json.dumps({"classes": ["pore", "grain"], "training": items}))
    with Project.open(folder) as project:
        for entry in (entry for entry in project.images if entry.name != "images/c.tif"):
            project.finish(entry)
            ids, classes = objects()
            write_masks(tmp_path / "out", entry.name, ids, classes, project.classes)
        with pytest.raises(LazyLabelsError, match="states no pixel size while"):
            report(tmp_path / "out", project)
        report(tmp_path / "out", project, "2um")
    rows = pd.read_csv(tmp_path / "out" / "measured" / "objects.csv")
    area = sum((ids == number).sum() for number in classes) / len(classes)  # the same objects in both
    assert rows.groupby("image")["area_um2"].mean().to_dict() == pytest.approx({"a": area * 0.12**2, "b": area * 2.0**2})


def test_images_of_one_name_but_for_their_ending_keep_their_own_intensities(tmp_path):
    folder = tmp_path / "my"
    folder.mkdir()
    for ending, gray in (("png", 50), ("tif", 200)):
        Image.fromarray(np.full(SHAPE, gray, np.uint8)).save(folder / f"a.{ending}")
    ids, classes = objects()
    with Project.open(folder, create=True, classes=["pore", "grain"]) as project:
        for entry in project.images:
            project.finish(entry)
            write_masks(tmp_path / "out", project.files.result_name(entry.name), ids, classes, project.classes)
        page = report(tmp_path / "out", project, "1um")
        grays = {Path(project.files.result_name(e.name)).stem: 50 if e.name.endswith("png") else 200 for e in project.images}
    measured = pd.read_csv(tmp_path / "out" / "measured" / "objects.csv")
    assert measured.groupby("image")["mean_intensity"].unique().map(list).to_dict() == {k: [v] for k, v in grays.items()}
    assert "not found" not in page.read_text()


def test_objects_go_to_other_programs(project, tmp_path):
    for entry in project.images:
        ids, classes = objects()
        project.finish(entry)
        write_masks(tmp_path / "out", entry.name, ids, classes, project.classes)
    found = export(tmp_path / "out", "geojson", project)
    assert found.failed == {}
    assert found.objects == {"a": 4, "b": 4}
    features = json.loads(found.files[0].read_text())
    features = features["features"] if isinstance(features, dict) else features
    assert len(features) == 4


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_corrected_in_another_program_is_not_exported_over(project, format):
    out, told, (ids, classes) = project.files.finished_folder, [], objects()
    for entry in project.images:
        project.finish(entry)
        write_masks(out, project.files.result_name(entry.name), ids, classes, project.classes)
    file, *others = export(out, format, project, warn=told.append).files
    corrected = saved_elsewhere(file)
    told.clear()
    found = export(out, format, project, "1um", told.append)
    assert found.files == others
    assert file.read_bytes() == corrected
    (sentence,) = told
    assert sentence.startswith(f"'{file.name}' in '{file.parent}' was changed in another program since the export and stays as")


def _finished(project) -> None:
    ids, classes = objects()
    for entry in project.images:
        project.finish(entry)
        write_masks(project.files.finished_folder, project.files.result_name(entry.name), ids, classes, project.classes)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("gone", [True, False])
def test_what_is_not_finished_any_more_is_not_among_the_exported(project, gone, recorded):
    _finished(project)
    out, told, (first, second) = project.files.finished_folder, [], project.images
    before, mine = (out / "roi" / "a.zip"), (out / "roi" / "mine.zip")
    export(out, "roi", project, warn=told.append)
    content = before.read_bytes()
    mine.write_bytes(content)
    if not recorded:  # as an earlier version left it
        (out / "roi" / "exported.jsonl").unlink()
    project.finish(first, False)
    if gone:
        project.files.put_masks_away(first.name)
    told.clear()
    export(out, "roi", project, warn=told.append)
    assert sorted(file.name for file in (out / "roi").glob("*.zip")) == ["b.zip", "mine.zip"]
    away = project.folder / "replaced" / "roi"
    assert (away / "a.zip").read_bytes() == content
    assert told[-1].startswith(
        f"'a.zip' in '{out / 'roi'}' is of a picture that is not exported any more and was moved to '{away}'"
    )
    told.clear()
    export(out, "roi", project, warn=told.append)
    assert not any("a.zip" in sentence for sentence in told)
    project.finish(second, False)
    with pytest.raises(LazyLabelsError):
        export(out, "roi", project, warn=told.append)
    assert [file.name for file in (out / "roi").glob("*.zip")] == ["mine.zip"]


def test_a_corrected_export_of_what_is_not_finished_any_more_is_named(project):
    _finished(project)
    out, told, file = project.files.finished_folder, [], project.files.finished_folder / "geojson" / "a.geojson"
    export(out, "geojson", project, "1um", told.append)
    corrected = saved_elsewhere(file)
    project.finish(project.images[0], False)
    told.clear()
    export(out, "geojson", project, "1um", told.append)
    assert file.read_bytes() == corrected
    assert "'a.geojson'" in told[-1]
    assert "was changed in another program since, and stays" in told[-1]
    assert not (project.folder / "replaced").exists()


def test_nothing_finished_leaves_no_export_of_before(project):
    _finished(project)
    out = project.files.finished_folder
    export(out, "coco", project)
    for entry in project.images:
        project.finish(entry, False)
    with pytest.raises(LazyLabelsError, match="not finished"):
        export(out, "coco", project)
    assert not (out / "coco" / "objects.json").exists()
    assert (project.folder / "replaced" / "coco" / "objects.json").is_file()


@pytest.fixture
def wells(tmp_path):
    """Finished pictures: two files state different pixel sizes, the third none."""
    folder = tmp_path / "my" / "images"
    folder.mkdir(parents=True)
    for number, size in enumerate((0.25, 0.5), 1):
        stated = {"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size}
        tifffile.imwrite(folder / f"well{number}.ome.tif", np.full(SHAPE, 9, np.uint8), metadata=stated)
    Image.fromarray(np.full(SHAPE, 7, np.uint8)).save(folder / "plain.jpg")
    ids, classes = objects()
    with Project.open(tmp_path / "my", create=True, classes=["pore", "grain"]) as project:
        for entry in project.images:
            project.claim(entry)
            project.finish(entry)
            name = project.files.result_name(entry.name)
            write_masks(project.files.finished_folder, name, ids, classes, project.classes)
        yield project


def test_exported_objects_name_their_pictures_and_are_of_their_sizes(wells):
    told = []
    out = wells.files.finished_folder
    export(out, "coco", wells, warn=told.append)
    images = json.loads((out / "coco" / "objects.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["plain.jpg", "well1.ome.tif", "well2.ome.tif"]
    assert told == []

    def measured(**given):
        found = {}
        for file in export(out, "geojson", wells, warn=told.append, **given).files:
            content = json.loads(file.read_text())
            features = content["features"] if isinstance(content, dict) else content
            found[file.name.partition(".")[0]] = features[0]["properties"]["measurements"]
        return found

    found = measured()
    for name, size in (("well1", 0.25), ("well2", 0.5)):
        assert found[name]["area_um2"] == pytest.approx(found["plain"]["area_px2"] * size**2)
        assert found[name]["mean_intensity"] == 9
    assert "area_um2" not in found["plain"]
    (sentence,) = told
    assert "of 1 of 3 pictures no pixel size is known ('images/plain.jpg' is one)" in sentence
    typed = measured(pixel_size="2um")
    assert typed["plain"]["area_um2"] == pytest.approx(found["plain"]["area_px2"] * 4)
    assert typed["well1"] == found["well1"]
    assert told == [sentence]


@pytest.mark.parametrize("drawn", [False, True])
def test_a_picture_that_is_gone_does_not_stand_in_the_way_of_the_others(wells, drawn):
    gone = next(entry for entry in wells.images if "well1" in entry.name)
    if drawn:  # then the datalist goes on to name it
        wells.labels.save(gone, "detection", np.ones(SHAPE, np.uint8))
    gone.path.unlink()
    wells.refresh()
    out, told = wells.files.finished_folder, []
    page = report(out, wells, "1um", told.append)
    (sentence,) = told
    name = next(out.glob("*1*_instances.tif")).name.removesuffix("_instances.tif")
    assert sentence.startswith(f"the finished picture '{name}' is not in the folder any more and left out: put its file back")
    assert {f"{name}_pred.png", f"{name}_instances.tif"} < {word.strip(",.") for word in sentence.split()}
    assert len(pd.read_csv(out / "measured" / "objects.csv")["image"].unique()) == 2
    assert f"1 of 3 predictions, of which &#39;{name}&#39; is the first: their images are gone" in page.read_text()
    assert "run measure again" not in page.read_text()
    assert len(export(out, "coco", wells, warn=told.append).objects) == 2
    for entry in wells.images:
        entry.path.unlink(missing_ok=True)
    with pytest.raises(LazyLabelsError, match=r"and 2 more are not in the folder any more and there is no other"):
        report(out, wells)


def test_a_picture_whose_pixels_are_not_square_does_not_stand_in_the_way_of_the_others(wells):
    """Formats without measurements ask for no size."""
    oblong = next(entry for entry in wells.images if "well1" in entry.name)
    stated = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    tifffile.imwrite(oblong.path, np.full(SHAPE, 9, np.uint8), metadata=stated)
    out, told = wells.files.finished_folder, []
    for format in ("roi", "coco"):
        assert len(export(out, format, wells, warn=told.append).objects) == 3
    assert told == []
    assert set(export(out, "geojson", wells, "1um", told.append).objects) == {"plain", "well2.ome"}
    page = report(out, wells, "1um", told.append)
    assert set(pd.read_csv(out / "measured" / "objects.csv")["image"]) == {"plain", "well2.ome"}
    assert page.is_file()
    start = f"the finished picture '{oblong.name}' cannot be measured and is left out: file '{oblong.path}' states pixels of"
    assert len(told) == 2
    assert all(sentence.startswith(start) and "resample the image" in sentence for sentence in told)
    for wrong, said in (("1 parsec", "parsec"), ("-1um", "-1")):  # what was typed is wrong for all
        with pytest.raises(LazyLabelsError, match=said):
            report(out, wells, wrong)
    for entry in wells.images:
        if entry is not oblong:
            wells.finish(entry, False)
    for act in (lambda: report(out, wells), lambda: export(out, "geojson", wells)):
        with pytest.raises(LazyLabelsError, match="not square"):
            act()
