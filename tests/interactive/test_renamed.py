"""An image that is renamed, between two sittings or while a window has it open."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.interactive.kept import accepted
from tests.interactive.folders import NONE, SHAPE, again, stroke


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
