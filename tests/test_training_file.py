"""What a training leaves beside its checkpoints about itself."""

from __future__ import annotations

import json

import pytest

from lazylabels_monai.training_file import TRAINING_FILE, note_beginning, noted_beginning, training_facts


def test_what_it_began_from_stands_beside_what_it_is(tmp_path):
    (tmp_path / TRAINING_FILE).write_text('{"judged_by": "val_loss"}')
    note_beginning(tmp_path, began_from="starter", share=None)
    note_beginning(tmp_path, began_from="starter", share=0.5)
    assert noted_beginning(tmp_path) == {"began_from": "starter", "share": 0.5}
    assert json.loads((tmp_path / TRAINING_FILE).read_text())["judged_by"] == "val_loss"


@pytest.mark.parametrize("content", [None, "{", "[]", '{"beginning": 3}'])
def test_a_file_that_says_nothing_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / TRAINING_FILE).write_text(content)
    assert noted_beginning(tmp_path) == {}
    assert training_facts(tmp_path) in ({}, {"beginning": 3})
