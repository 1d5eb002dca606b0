"""The datalist of an open project: changed in one step, and nothing lost that others write."""

from __future__ import annotations

import numpy as np
import pytest

from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.interactive.project import Project
from tests.interactive.folders import NONE, again, listed, stroke


def test_classes_that_no_datalist_takes_leave_no_datalist(folder):
    with pytest.raises(DatalistError, match="background"):
        Project.open(folder, create=True, classes=["background"])
    assert not (folder / "datalist.json").exists()


def test_a_datalist_that_another_program_wrote_meanwhile_is_kept(project, folder):
    project.labels.save(project.images[0], "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    content = (folder / "datalist.json").read_text().replace('"digest"', '"pixel_size": "5 nm", "digest"')
    (folder / "datalist.json").write_text(content)
    project.labels.save(project.images[1], "detection", stroke(NONE, 1, (5, 5, 12, 14)))
    assert [item.get("pixel_size") for item in listed(folder)["training"]] == ["5 nm", None]


def test_classes_are_named_anew_and_more_of_them(project):
    entry = project.images[0]
    project.labels.save(entry, "detection", stroke(NONE, 2, (5, 5, 20, 20)))
    project.set_classes(["pore", "needle", "plate"])
    assert listed(project.folder)["classes"] == project.classes == ["pore", "needle", "plate"]
    project.labels.save(entry, "detection", stroke(project.labels.read(entry, "detection"), 3, (25, 25, 30, 30)))
    with again(project) as opened:
        assert opened.classes == ["pore", "needle", "plate"]
        assert set(np.unique(opened.labels.read(opened.images[0], "detection"))) == {2, 3, 255}


@pytest.mark.parametrize("names", [["pore"], [], ["pore", "pore"], ["pore", " "], ["pore", "background"]])
def test_names_that_are_none_leave_the_classes_as_they_are(project, names):
    before = project.records.datalist.file.read_bytes()
    with pytest.raises(DatalistError, match=r"datalist\.json"):
        project.set_classes(names)
    assert project.records.datalist.file.read_bytes() == before
    assert project.classes == ["pore", "grain"]
    project.labels.save(project.images[0], "detection", stroke(NONE, 2, (5, 5, 20, 20)))
