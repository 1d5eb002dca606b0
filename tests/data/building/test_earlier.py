"""Splits are sticky: an image that validates goes on validating, however the folder grows and whatever images are called."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest

from lazylabels_monai.data.building import BuildError, BuildOptions, build_datalist
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.errors import LazyLabelsError
from tests.data.building.drawing import _ids, _image, _save


def _add(folder, number, name=None):
    name = f"{number:03}" if name is None else name
    _save(folder / "images" / f"{name}.png", _image(number))
    _save(folder / "masks" / f"{name}.png", _ids())


def _rename(folder, old, new):
    for kind in ("images", "masks"):
        os.rename(folder / kind / f"{old}.png", folder / kind / f"{new}.png")


def _contents(out):
    """Which of the drawn images (by number) stands where."""
    numbers = {_image(i).tobytes(): i for i in range(20)}
    from PIL import Image

    datalist = json.loads((out / "datalist.json").read_text())
    return {
        numbers[Image.open(out / item["image"]).tobytes()]: section
        for section in ("training", "validation", "testing")
        for item in datalist[section]
    }


def test_a_folder_that_grows_one_image_a_day(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    stood = {}
    for number in range(10):
        _add(src, number)
        if number == 0:
            continue
        build_datalist(src, out, BuildOptions(overwrite=number > 1))
        for image, section in _contents(out).items():
            assert stood.setdefault(image, section) == section
        assert list(stood.values()).count("validation") == max(1, int((number + 1) * 0.2 + 0.5))
        assert check_datalist(out).errors == []


@pytest.mark.parametrize("seed", range(3))
def test_random_growth_removal_and_renaming(tmp_path, seed):
    rng = random.Random(seed)
    src, stood, names, out = tmp_path / "src", {}, {}, None
    for day in range(9):
        for number in rng.sample(range(14), 3):
            if number not in names:
                names[number] = f"d{day}_{number}"
                _add(src, number, names[number])
        for number in rng.sample(sorted(names), min(2, len(names) - 2)):
            if rng.random() < 0.4 and len(names) > 3:
                for kind in ("images", "masks"):
                    (src / kind / f"{names[number]}.png").unlink()
                del names[number]
            else:
                new = f"r{day}_{number}"
                _rename(src, names[number], new)
                names[number] = new
        first, second = rng.sample(sorted(names), 2)  # two swap their names: the trap for whoever goes by name
        _rename(src, names[first], "aside")
        _rename(src, names[second], names[first])
        _rename(src, "aside", names[second])
        names[first], names[second] = names[second], names[first]
        new = tmp_path / f"out{day}"  # a new folder each day, that names the last one
        link = rng.random() < 0.3
        try:
            build_datalist(src, new, BuildOptions(keep_splits=out, link=link, validation=0.3, test=0.2))
        except BuildError as error:
            if "every image that is left" not in str(error):
                raise
            continue
        out = new if rng.random() < 0.5 else new / "datalist.json"
        for image, section in _contents(new).items():
            assert stood.setdefault(image, section) == section


def test_a_data_set_made_before_contents_were_written_down(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(6):
        _add(src, number)
    build_datalist(src, out)
    before = _contents(out)
    file = out / "datalist.json"
    content = json.loads(file.read_text())
    for section in ("training", "validation", "testing"):
        for item in content[section]:
            del item["digest"]
    file.write_text(json.dumps(content))
    for number in range(6):
        _rename(src, f"{number:03}", f"new{number}")
    _add(src, 6)
    summary = build_datalist(src, out, BuildOptions(overwrite=True))
    after = _contents(out)
    assert {number: after[number] for number in before} == before
    assert any("6 of 7 images keep their split" in note for note in summary.notes)

    # without its images only names are left, and that is said
    old = tmp_path / "old.json"
    shutil.copyfile(file, old)
    content = json.loads(old.read_text())
    for section in ("training", "validation", "testing"):
        for item in content[section]:
            del item["digest"]
    old.write_text(json.dumps(content))
    summary = build_datalist(src, tmp_path / "third", BuildOptions(keep_splits=old))
    assert _contents(tmp_path / "third") == after
    assert any("go by their names alone" in note for note in summary.notes)


def test_an_image_that_was_retouched_keeps_its_split_by_its_name(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(5):
        _add(src, number)
    build_datalist(src, out)
    (judged,) = json.loads((out / "datalist.json").read_text())["validation"]
    name = judged["image"].rsplit("/", 1)[-1]
    _save(src / "images" / name, _image(15))
    build_datalist(src, out, BuildOptions(overwrite=True))
    (still,) = json.loads((out / "datalist.json").read_text())["validation"]
    assert still["image"] == judged["image"]
    assert still["digest"] != judged["digest"]


def test_an_image_moved_by_hand_in_the_datalist_stays_there(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(5):
        _add(src, number)
    build_datalist(src, out)
    content = json.loads((out / "datalist.json").read_text())
    content["validation"].append(content["training"].pop())
    (out / "datalist.json").write_text(json.dumps(content))
    before = _contents(out)
    build_datalist(src, out, BuildOptions(overwrite=True))
    assert _contents(out) == before


def test_none_draws_anew_and_other_shares_are_asked_for(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(8):
        _add(src, number)
    build_datalist(src, out, BuildOptions(validation=3))
    summary = build_datalist(src, out, BuildOptions(overwrite=True, validation=1))
    assert len(summary.datalist["validation"]) == 3
    assert any("3 images validate where --validation 1 asks for 1" in note for note in summary.notes)
    summary = build_datalist(src, out, BuildOptions(overwrite=True, validation=1, keep_splits="none"))
    assert len(summary.datalist["validation"]) == 1


def test_one_content_in_train_and_val_is_left_out_of_training_by_name(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(3):
        _add(src / "train", number)
    _add(src / "val", 7)
    _add(src / "val", 1, "copy")
    summary = build_datalist(src, out)
    assert check_datalist(out).errors == []
    assert _contents(out) == {0: "training", 2: "training", 1: "validation", 7: "validation"}
    (note,) = [note for note in summary.notes if "two splits" in note]
    assert "001.png" in note
    assert "copy.png" in note
    assert not (out / "images" / "001.png").exists()
    assert not (out / "segmentation" / "001.png").exists()


@pytest.mark.parametrize(
    ("keep", "content", "said"),
    [
        ("nowhere", None, "there is no datalist.json"),
        (None, "{", "cannot be read"),
        (None, '{"classes": [], "build": {}}', "--keep-splits none"),
    ],
)
def test_an_earlier_data_set_that_cannot_be_read_is_named(tmp_path, keep, content, said):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(3):
        _add(src, number)
    if content is not None:
        out.mkdir()
        (out / "datalist.json").write_text(content)
    with pytest.raises(LazyLabelsError, match=said):
        build_datalist(src, out, BuildOptions(overwrite=True, keep_splits=keep and tmp_path / keep))


def test_a_new_folder_beside_an_earlier_one_of_the_same_images_says_how_to_keep_their_splits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        _add(tmp_path / "src", number)
        _add(tmp_path / "other", number)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "datalist.json").write_text("[]")
    build_datalist("other", "of_other")
    assert not any("--keep-splits" in note for note in build_datalist("src", "first").notes)
    assert any("--keep-splits first" in note for note in build_datalist("src", "second").notes)
    assert not any("same folder" in n for n in build_datalist("src", "third", BuildOptions(keep_splits="first")).notes)
    assert not any("same folder" in n for n in build_datalist("src", "fourth", BuildOptions(keep_splits="none")).notes)


def _edit(out, change):
    """Write into each item of the list, by the stem of its image, as a person does."""
    file = out / "datalist.json"
    content = json.loads(file.read_text())
    for section in ("training", "validation", "testing"):
        for item in content[section]:
            change(Path(item["image"]).stem, item)
    file.write_text(json.dumps(content))


def _written_by_hand(out):
    content = json.loads((out / "datalist.json").read_text())
    items = {Path(item["image"]).stem: item for s in ("training", "validation", "testing") for item in content[s]}
    return {name: {key: item[key] for key in ("id", "pixel_size") if key in item} for name, item in items.items()}


@pytest.mark.parametrize("again", ["replaced", "replaced, drawn anew", "a new folder", "replaced with the splits of another"])
def test_what_a_person_wrote_into_the_items_goes_along_by_the_pixels(tmp_path, again):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(5):
        _add(src, number)
    build_datalist(src, out)
    build_datalist(src, tmp_path / "other")
    _edit(out, lambda name, item: item.update(id=f"sample {name}", pixel_size="120 nm") if name < "003" else None)
    _rename(src, "000", "renamed")
    options = {
        "replaced": {"overwrite": True},
        "replaced, drawn anew": {"overwrite": True, "keep_splits": "none"},
        "a new folder": {"keep_splits": out},
        "replaced with the splits of another": {"overwrite": True, "keep_splits": tmp_path / "other"},
    }[again]
    made = tmp_path / "new" if again == "a new folder" else out
    dry = build_datalist(src, made, BuildOptions(**options, dry_run=True))
    summary = build_datalist(src, made, BuildOptions(**options))
    assert dry.notes == summary.notes
    hand = {name: {"id": f"sample {name}", "pixel_size": "120 nm"} for name in ("000", "001", "002")}
    assert _written_by_hand(made) == {"renamed": hand["000"], "001": hand["001"], "002": hand["002"], "003": {}, "004": {}}
    (said,) = [note for note in summary.notes if "pixel_size" in note]
    assert said.startswith(f"the id and the pixel_size of 3 images kept from '{out / 'datalist.json'}' (by content")


@pytest.mark.parametrize("gone", ["image", "label"])
def test_what_a_person_wrote_of_pixels_that_are_no_more_there_is_told(tmp_path, gone):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(6):
        _add(src, number)
    build_datalist(src, out)
    _edit(out, lambda name, item: item.update(pixel_size=0.5) if name < "002" else None)
    if gone == "image":
        _save(src / "images" / "000.png", _image(15))  # another size, perhaps
    else:  # the image is there, but not in the data set
        (src / "masks" / "000.png").unlink()
    summary = build_datalist(src, out, BuildOptions(overwrite=True))
    left = {"000": {}} if gone == "image" else {}
    assert _written_by_hand(out) == {**left, "001": {"pixel_size": 0.5}, "002": {}, "003": {}, "004": {}, "005": {}}
    (said,) = [note for note in summary.notes if "not kept" in note]
    assert said.startswith(f"the pixel_size of 1 image in '{out / 'datalist.json'}' not kept, as no image of the data set has ")
    assert "'images/000.png'" in said
    summary = build_datalist(src, out, BuildOptions(overwrite=True))
    assert not [note for note in summary.notes if "not kept" in note]


def test_two_images_of_the_same_pixels_keep_each_its_own(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(4):
        _add(src, number)
    _add(src, 0, "twin")
    build_datalist(src, out)
    _edit(out, lambda name, item: item.update(id=name))
    build_datalist(src, out, BuildOptions(overwrite=True))
    assert _written_by_hand(out) == {name: {"id": name} for name in ("000", "001", "002", "003", "twin")}
    _rename(src, "twin", "renamed")
    build_datalist(src, out, BuildOptions(overwrite=True))
    names = ("000", "001", "002", "003")
    assert _written_by_hand(out) == {"renamed": {"id": "twin"}, **{name: {"id": name} for name in names}}


def test_a_list_that_cannot_be_read_hands_nothing_on_and_it_is_said(tmp_path):
    src, out = tmp_path / "src", tmp_path / "out"
    for number in range(3):
        _add(src, number)
    build_datalist(src, out)
    _edit(out, lambda name, item: item.update(pixel_sise=0.5))
    summary = build_datalist(src, out, BuildOptions(overwrite=True, keep_splits="none"))
    assert any("cannot be read, so that no id or pixel_size of its images goes along" in note for note in summary.notes)
