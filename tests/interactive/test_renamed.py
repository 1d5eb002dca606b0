"""An image that is renamed, between two sittings or while a window has it open."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.interactive import finish
from lazylabels_monai.interactive.kept import accepted
from tests.interactive.folders import NONE, SHAPE, again, listed, stroke

BOXES = {"a": (5, 5, 20, 20), "b": (1, 30, 9, 50), "c": (30, 8, 36, 12)}


def drawn_on(project, *names):
    """Marks, an exact mask, kept and finished objects on pictures, each at a place of its own."""
    for letter in names:
        entry, drawn = project.entry(f"images/{letter}.png"), stroke(NONE, 1, BOXES[letter])
        project.labels.save(entry, "detection", drawn)
        project.labels.save(entry, "segmentation", np.where(drawn == 1, 1, 0))
        ids = (drawn == 1).astype(np.int32)
        project.save_kept(entry, accepted(ids, np.array([0, 1])))
        project.finish(entry)
        finish.write_masks(project.files.finished_folder, project.files.result_name(entry.name), ids, [0, 1], project.classes)


def change_names(folder, new):
    """Rename pictures at once; what goes to None is removed."""
    for old in new:
        (folder / "images" / f"{old}.png").rename(folder / f"{old}.moved")
    for old, name in new.items():
        moved = folder / f"{old}.moved"
        moved.unlink() if name is None else moved.rename(folder / "images" / f"{name}.png")


def place(label):
    """The box that is drawn."""
    rows, columns = np.nonzero(label == 1)
    return (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) if len(rows) else None


def places(project, name):
    """Where the picture of this name has marks, exact mask, kept objects, and finished ones."""
    entry = project.entry(f"images/{name}.png")
    masks = finish.read_masks(project.files.finished_folder, project.files.result_name(entry.name), SHAPE)
    shown = [project.labels.read(entry, "detection"), project.labels.read(entry, "segmentation"), project.kept(entry).ids]
    return {place(label) for label in (*shown, np.zeros(SHAPE) if masks is None else masks[0])}


def test_an_image_that_is_renamed_keeps_what_was_drawn_on_it(project):
    """Renamed between two sittings, or while a window has it open."""
    entry = project.images[0]
    project.labels.save(entry, "detection", stroke(NONE, 2, (5, 5, 20, 20)))
    project.labels.set_complete(entry, "detection", True)
    project.records.spend(entry, 12.0, "detection")
    project.save_kept(entry, accepted(np.ones(SHAPE, np.int32), np.array([0, 2])))
    label = project.labels.read(entry, "detection")
    entry.path.rename(entry.path.with_name("z.png"))
    with again(project) as opened:
        assert [image.name for image in opened.images] == ["images/z.png", "images/b.png", "images/c.png"]
        assert any("'images/a.png' is called 'images/z.png' now" in note for note in opened.notes)
        found = opened.entry("images/z.png")
        assert np.array_equal(opened.labels.read(found, "detection"), label)
        assert opened.kept(found).everything
        assert found.seconds == 12.0
        opened.labels.set_complete(found, "detection", False)
        assert set(np.unique(opened.labels.read(found, "detection"))) == {2, 255}
        found.path.rename(found.path.with_name("y.png"))
        opened.labels.save(found, "detection", stroke(label, 1, (0, 0, 3, 3)))  # before anybody looked
        assert opened.changed()
        opened.refresh()
        assert not opened.changed()
        assert found.name == "images/y.png"
        assert opened.labels.read(found, "detection")[1, 1] == 1
    assert [item["image"] for item in read_items(project.folder, "training")] == [str(project.folder / "images" / "y.png")]


def test_an_image_that_only_looks_like_one_that_is_gone_is_not_taken_for_it(project):
    entry = project.images[0]
    project.labels.save(entry, "detection", stroke(NONE, 2, (5, 5, 20, 20)))
    entry.path.unlink()
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(entry.path.with_name("z.png"))
    with again(project) as opened:
        assert not opened.entry("images/z.png").drawn
        assert opened.entry("images/a.png").drawn


@pytest.mark.parametrize(
    "new",
    [{"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "a"}, {"a": None, "b": "a", "c": "b"}, {"b": "c", "c": "z"}],
    ids=["swapped", "in turn", "one deleted", "one after the other"],
)
@pytest.mark.parametrize("running", [False, True], ids=["between two sittings", "beside a window"])
def test_marks_go_with_pictures_whose_names_change_among_themselves(project, new, running):
    drawn_on(project, "a", "b", "c")
    change_names(project.folder, new)
    gone = [letter for letter, name in new.items() if name is None]
    if running:
        assert project.changed()
        project.refresh()
        assert not project.changed()
    with project if running else again(project) as opened:
        now = {letter: letter for letter in BOXES} | new
        for letter, name in now.items():
            if name is not None:
                assert places(opened, name) == {BOXES[letter]}, (letter, name)
                assert opened.entry(f"images/{name}.png").finished
                assert letter == name or any(f"'images/{letter}.png' is called 'images/{name}.png'" in n for n in opened.notes)
        assert [f"that was 'images/{letter}.png' is not there" in note for letter in gone for note in opened.notes].count(
            True
        ) == len(gone)
        items = {item["image"]: item for item in listed(opened.folder)["training"]}
        for letter, name in now.items():
            if name is not None:
                assert items[f"images/{name}.png"]["digest"] == opened.records.digests[f"images/{name}.png"]
                assert places(opened, name) == {BOXES[letter]}
    back = {name: letter for letter, name in new.items() if name is not None}
    if None not in new.values():  # and back again, with the times and inodes of before
        change_names(opened.folder, back)
        with again(opened) as opened:
            assert {letter: places(opened, letter) for letter in BOXES} == {letter: {BOXES[letter]} for letter in BOXES}
        change_names(opened.folder, new)
        again(opened).close()
    with again(opened) as opened:
        assert not any("called" in note or "another picture" in note for note in opened.notes)
        assert {name: places(opened, name) for name in now.values() if name} == {
            name: {BOXES[letter]} for letter, name in now.items() if name
        }


@pytest.mark.parametrize("running", [False, True], ids=["between two sittings", "beside a window"])
def test_what_was_drawn_is_not_taken_for_another_picture_of_that_name(project, running):
    drawn_on(project, "a", "b")
    file = project.folder / "images" / "a.png"
    before = file.read_bytes()
    Image.fromarray(np.asarray(Image.open(file))[::-1].copy()).save(file)
    if running:
        project.refresh()
    with project if running else again(project) as opened:
        (told,) = [note for note in opened.notes if "another picture now" in note]
        assert "'images/a.png'" in told
        entry = opened.entry("images/a.png")
        assert places(opened, "a") == {None}
        assert not entry.finished
        assert [item["image"] for item in listed(opened.folder)["training"]] == ["images/b.png"]
        assert places(opened, "b") == {BOXES["b"]}
        opened.labels.save(entry, "detection", stroke(NONE, 2, (0, 0, 4, 4)))
        opened.refresh()
        assert (opened.labels.read(entry, "detection")[:4, :4] == 2).all()
    with again(opened) as opened:
        assert not any("another picture" in note for note in opened.notes)
        (opened.folder / "images" / "old a.png").write_bytes(before)  # the picture of before is there again
        opened.refresh()
        found = opened.entry("images/old a.png")
        assert place(opened.labels.read(found, "detection")) == BOXES["a"] == place(opened.kept(found).ids)
        assert found.drawn == {"detection", "segmentation"}
        assert (opened.labels.read(opened.entry("images/a.png"), "detection")[:4, :4] == 2).all()
    assert list((opened.folder / "replaced" / "finished").iterdir())


def test_labels_that_others_made_wait_for_their_picture_too(project):
    drawn_on(project, "b")
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:9, 4:9] = 1
    (project.folder / "masks").mkdir()
    Image.fromarray(mask).save(project.folder / "masks" / "a.png")
    digest = project.records.digest_now("images/a.png")
    item = {"image": "images/a.png", "segmentation": "masks/a.png", "digest": digest, "id": "first"}
    project.records.datalist.change(lambda content: content["training"].append(item))
    file = project.folder / "images" / "a.png"
    file.rename(project.folder / "elsewhere.png")
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(file)
    with again(project) as opened:
        assert not opened.entry("images/a.png").drawn
        assert any("another picture" in note for note in opened.notes)
        (project.folder / "elsewhere.png").rename(file)
        opened.refresh()
        assert item in listed(opened.folder)["training"]


def test_a_picture_that_was_only_looked_at_does_not_stand_in_the_way(project):
    """Renumbered after the first one, on which nothing was drawn, was removed."""
    drawn_on(project, "b")
    project.records.spend(project.entry("images/a.png"), 3.0)
    project.records.set_section(project.entry("images/a.png"), "validation")
    project.close()
    change_names(project.folder, {"a": None, "b": "a", "c": "b"})
    with again(project) as opened:
        assert places(opened, "a") == {BOXES["b"]}
        assert not opened.entry("images/b.png").drawn
        assert not any("is kept" in note for note in opened.notes)


def test_a_picture_saved_anew_with_the_same_pixels_is_the_same(project):
    drawn_on(project, "a")
    file = project.folder / "images" / "a.png"
    Image.fromarray(np.asarray(Image.open(file))).save(file, compress_level=0)
    with again(project) as opened:
        assert opened.notes == []
        assert places(opened, "a") == {BOXES["a"]}
        file.write_bytes(b"half of a pic")  # being written
        opened.refresh()
        assert opened.entry("images/a.png").drawn


def test_pictures_that_nobody_touched_are_not_read_at_each_opening(project, monkeypatch):
    drawn_on(project, "a", "b")
    again(project).close()
    with again(project) as opened:
        opened.records.spend(opened.entry("images/a.png"), 1.0)  # something to write
    monkeypatch.setattr("lazylabels_monai.interactive.image_records.read_image", None)
    again(opened).close()
