"""What a training beside a window reads of a project that is drawn in meanwhile."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImage, MapTransform
from PIL import Image
from torch.utils.data import WeightedRandomSampler

from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.interactive.events import EventReader, EventWriter
from lazylabels_monai.interactive.live import TakeUp
from lazylabels_monai.interactive.live_dataset import LiveDataset
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.tasks import TASKS
from tests.interactive.folders import pictures, stroke
from tests.interactive.live_training import NONE, SHAPE, events_of


def test_the_cache_holds_what_the_bundles_own_training_reads(parts, bundle, tiny_data, tmp_path):
    given = {**bundle.overrides(tiny_data, tmp_path / "other"), **bundle.training}
    with bundle.workflow(bundle.files("train.yaml"), "train", **given) as workflow:
        expected = workflow.parser.get_parsed_content("train#dataset")._cache
    dataset = parts(dataset_dir=str(tiny_data)).parser.get_parsed_content("train#dataset")
    assert len(dataset.take_up()) == len(dataset.data) == len(expected)
    for ours, theirs in zip(dataset._cache, expected, strict=True):
        for key in ("image", *TASKS):
            assert torch.equal(torch.as_tensor(ours[key]), torch.as_tensor(theirs[key]))
    assert dataset.take_up() == []


def spoil(marked, kind):
    """What another program may leave among the labels."""
    file = marked.folder / "detection" / "b.png"
    marked.labels.save(marked.images[1], "detection", stroke(NONE, 1, (5, 5, 30, 30)))
    if kind == "no picture":
        file.write_bytes(b"no picture")
    if kind == "another size":
        Image.fromarray(NONE[:-3]).save(file)
    if kind == "another class":
        Image.fromarray(stroke(NONE, 7, (5, 5, 30, 30))).save(file)
    if kind == "gone":
        file.unlink()


@pytest.mark.parametrize("kind", ["no picture", "another size", "another class", "gone"])
def test_a_label_that_cannot_be_used_is_left_out_and_told_once(parts, marked, tmp_path, kind):
    spoil(marked, kind)
    events = events_of(parts(max_epochs=2), tmp_path)
    told = [event.sentence for event in events if event.kind == "sentence" and "b.png" in event.sentence]
    assert len(told) == 1
    assert "\n" not in told[0]
    assert [event.images for event in events if event.kind == "epoch"] == [1, 1]


def test_a_datalist_that_is_broken_meanwhile_leaves_the_images_of_before(parts, marked):
    dataset = parts().parser.get_parsed_content("train#dataset")
    dataset.take_up()
    (marked.folder / "datalist.json").write_text("{")
    assert dataset.take_up() == []
    assert len(dataset.data) == 1
    assert "datalist.json" in str(dataset.refused)


def test_labels_and_images_are_what_the_files_hold(parts, marked):
    """Guards the helpers above: the reader of the training and that of the project are one."""
    (item,) = (dataset := parts().parser.get_parsed_content("train#dataset")).take_up() and dataset.data
    assert read_image(item["image"]).shape == SHAPE
    assert np.array_equal(read_label(item["detection"]), marked.labels.read(marked.images[0], "detection"))


def test_where_outlines_are_put_right_one_by_one_the_other_regions_teach_on(parts, marked):
    """The exact mask says what it says; of its unlabelled pixels the inner regions do, and far from all is background."""
    a = marked.images[0]
    detection = stroke(stroke(NONE, 1, (5, 5, 15, 15)), 2, (30, 30, 40, 40))
    detection[detection == 255] = 0
    segmentation = stroke(stroke(NONE, 0, (2, 2, 18, 18)), 1, (4, 4, 16, 16))
    marked.labels.save(a, "detection", detection)
    marked.labels.save(a, "segmentation", segmentation)
    workflow = parts()
    dataset = workflow.parser.get_parsed_content("train#dataset")
    dataset.take_up()
    # without its margins, in numpy's order of axes; 0 was "not labelled"
    held = np.asarray(dataset._cache[0]["segmentation"][0]).astype(int).T[8:-8, 8:-8] - 1
    assert held.shape == SHAPE
    assert np.array_equal(held[segmentation != 255], segmentation[segmentation != 255])
    assert (held[4:16, 4:16] == 1).all()
    assert (held[30:40, 30:40] == 2).all()
    assert held[60, 75] == 0  # far from all
    assert held[29, 35] == -1  # beside a region nobody knows


def test_images_without_marks_that_would_fill_the_memory_are_passed_over(parts, marked, monkeypatch):
    monkeypatch.setattr("lazylabels_monai.interactive.live_dataset.HELD_PIXELS", 2 * (SHAPE[0] + 16) * (SHAPE[1] + 16))
    dataset = parts().parser.get_parsed_content("train#dataset")
    dataset.unmarked = 3
    read = []
    loaded = dataset._loaded
    dataset._loaded = lambda item: read.append(item["image"]) or loaded(item)
    for _ in range(3):
        dataset.take_up()
        assert (dataset.marked, len(dataset.data)) == (1, 3)
    assert len(read) == len(set(read)) == 4  # each once, that for which there is no room, too


def test_images_without_marks_are_held_a_few_at_a_time_and_drawn_as_their_share(tmp_path, monkeypatch):
    monkeypatch.setattr("lazylabels_monai.interactive.live_dataset.PER_CALL", 2)
    with Project.open(pictures(tmp_path / "my", 6, SHAPE), create=True) as project:
        a, b, *_ = project.images
        project.records.set_section(b, "testing")
        (project.folder / "images" / "c.png").write_bytes(b"no picture")
        project.labels.save(a, "detection", stroke(NONE, 1, (5, 5, 30, 30)))
        read = []

        class Noted(MapTransform):
            def __call__(self, data):
                read.append(os.path.basename(data["image"]))
                return {**data, "image": LoadImage(image_only=True)(data["image"])[None]}

        dataset = LiveDataset(str(project.records.datalist.file), "training", TASKS, 2, Compose([Noted("image")]), unmarked=3)
        sampler = WeightedRandomSampler([1.0], 8)
        take_up = TakeUp(dataset, sampler, {}, EventWriter(str(tmp_path / "events.jsonl")), unmarked_share=0.4)
        sizes = []
        for _ in range(4):
            take_up(None)
            sizes.append((dataset.marked, len(dataset.data)))
            assert len(sampler.weights) == len(dataset.data)
        assert sizes[0][0] == 1
        assert sizes[-1] == (1, 4)
        held = {os.path.basename(item["image"]) for item in dataset.data}
        assert held == {"a.png", "d.png", "e.png", "f.png"}
        assert sorted(set(read)) == sorted(read)  # each once
        assert sampler.weights.tolist() == pytest.approx([0.6, *[0.4 / 3] * 3])
        assert EventReader(tmp_path / "events.jsonl").read() == []  # nobody asked for c.png
        drawn = next(entry for entry in project.images if entry.name.endswith("e.png"))
        project.labels.save(drawn, "detection", stroke(NONE, 1, (5, 5, 30, 30)))
        take_up(None)
        assert dataset.marked == 2
        assert os.path.basename(dataset.data[1]["image"]) == "e.png"
        assert len(dataset.data) == 4
        assert sampler.weights.tolist() == pytest.approx([0.3, 0.3, 0.2, 0.2])


def test_without_weights_to_hold_to_no_image_without_marks_is_read(parts):
    dataset = parts(anchor_weight=1.0, init_weights="nothing").parser.get_parsed_content("train#dataset")
    assert dataset.unmarked == 0


def test_the_regions_on_the_images_are_counted(parts):
    dataset = parts().parser.get_parsed_content("train#dataset")
    dataset.take_up()
    assert dataset.regions() == 1  # and a stroke of background
