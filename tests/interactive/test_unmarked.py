"""Images without marks: which ones they are."""

from __future__ import annotations

import os

import pytest

from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.unmarked import unmarked_images
from lazylabels_monai.tasks import TASKS, present_key
from tests.interactive.folders import NONE, pictures, stroke


@pytest.fixture
def project(tmp_path):
    with Project.open(pictures(tmp_path / "my", 6), create=True) as project:
        yield project


def names(project, section, tasks=TASKS):
    return {os.path.basename(item["image"]) for item in unmarked_images(str(project.records.datalist.file), section, tasks)}


def test_marked_images_and_those_of_other_splits_are_left_out(project):
    a, b, c, *_ = project.images
    project.labels.save(a, "detection", stroke(NONE, 1, (5, 5, 20, 20)))
    project.records.set_section(b, "testing")  # without a mark: it stands in no datalist
    project.records.set_section(c, "validation")
    project.labels.save(c, "detection", stroke(NONE, 1, (5, 5, 20, 20)))
    assert names(project, "training") == {"d.png", "e.png", "f.png"}
    assert names(project, "validation") == set()
    assert names(project, "testing") == {"b.png"}
    assert names(project, "training", ["separation"]) == {"a.png", "d.png", "e.png", "f.png"}


def test_items_are_ready_for_a_data_set_and_in_the_same_order_of_chance(project):
    project.labels.save(project.images[0], "detection", stroke(NONE, 1, (5, 5, 20, 20)))
    found = unmarked_images(str(project.records.datalist.file), "training", TASKS)
    assert found == unmarked_images(str(project.records.datalist.file), "training", TASKS)
    assert all(os.path.isabs(item["image"]) and os.path.isfile(item["image"]) for item in found)
    assert all(item[present_key(task)] == 0 for item in found for task in TASKS)
    order = [item["image"] for item in found]
    assert order != sorted(order)
