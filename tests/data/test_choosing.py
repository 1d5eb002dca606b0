"""By what the best weights are chosen."""

from __future__ import annotations

import json

import pytest

from lazylabels_monai.data.choosing import BY_DICE, BY_LOSS, BY_NOTHING, judged_by, judged_set_by
from lazylabels_monai.tasks import TASKS

EXACT, ROUGH, BARE = {"image": "a", "segmentation": "b"}, {"image": "a", "detection": "b"}, {"image": "a"}


@pytest.mark.parametrize(
    ("validation", "tasks", "by"),
    [
        ([EXACT, ROUGH], TASKS, BY_DICE),
        ([ROUGH, BARE], TASKS, BY_LOSS),
        ([{**ROUGH, "segmentation": None}], TASKS, BY_LOSS),
        ([EXACT, ROUGH], ("detection", "separation"), BY_LOSS),
        ([ROUGH], ("segmentation",), BY_NOTHING),
        ([BARE], TASKS, BY_NOTHING),
        ([], TASKS, BY_NOTHING),
    ],
)
def test_the_labels_of_the_validation_images_decide(validation, tasks, by, tmp_path):
    assert judged_by(validation, tasks) == by
    (tmp_path / "datalist.json").write_text(json.dumps({"classes": ["a"], "training": [], "validation": validation}))
    assert judged_set_by(tmp_path / "datalist.json", tasks) == by


def test_another_program_hands_exact_masks_over():
    assert judged_set_by(None) == BY_DICE
    assert judged_set_by(None, ["detection"]) == BY_LOSS
