"""What there is to annotate: what a data set lacks, and files outside it."""

from __future__ import annotations

import json
import shutil

import pytest

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.suggest import find_pool
from lazylabels_monai.tasks import TASKS


def test_a_data_set_says_what_is_missing_and_what_there_is_to_draw(tiny_data):
    pool, average = find_pool(tiny_data, classes=2)
    content = json.loads((tiny_data / "datalist.json").read_text())
    items = {item["image"].rsplit("/", 1)[-1]: item for item in content["training"]}
    assert pool
    for image in pool:
        item = items[image.path.rsplit("/", 1)[-1]]
        assert image.missing == tuple(task for task in TASKS if task not in item)
        assert ("segmentation" in image.known) == ("detection" in item and "segmentation" not in item)
    assert average["segmentation"] > 1
    with pytest.raises(LazyLabelsError, match="names 2 object classes, the network knows 1"):
        find_pool(tiny_data, classes=1)
    with pytest.raises(LazyLabelsError, match="no image lacks a label for separation"):
        find_pool(tiny_data, tasks=["separation"])
    with pytest.raises(LazyLabelsError, match="is a data set itself: leave --data out"):
        find_pool(tiny_data, tiny_data)


def test_files_that_are_part_of_a_data_set(tiny_data, folder):
    content = json.loads((tiny_data / "datalist.json").read_text())
    some = next(item for item in content["training"] if "detection" in item and "segmentation" not in item)
    for item in (some, content["testing"][0]):
        shutil.copy(tiny_data / item["image"], folder)
    pool, average = find_pool(folder, tiny_data)
    missing = {image.path.rsplit("/", 1)[-1]: image.missing for image in pool}
    assert missing == {**dict.fromkeys(("a.png", "b.png", "c.png"), TASKS), some["image"].rsplit("/", 1)[-1]: ("segmentation",)}
    assert average == find_pool(tiny_data)[1]
    assert len(find_pool(folder, tiny_data, tasks=["detection"])[0]) == 3
    assert len(find_pool(folder)[0]) == 5, "without the data set nothing is known of them"
