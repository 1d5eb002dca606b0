"""What a window knows of images: a file of data, checked."""

from __future__ import annotations

import json

import pytest

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.state import STATE_FILE, ImageState, read_stamps, read_state, state_file


def write_state(folder, states, stamps=None) -> None:
    with state_file(folder) as fill:
        fill(states, stamps or {})


def test_what_is_written_is_read_again_and_nothing_of_an_untouched_image(tmp_path):
    known = ImageState("validation", True, True, {"separation"}, {"detection": False}, {"detection": 12.5, "other": 3.0})
    write_state(tmp_path, {"images/a.png": known, "images/b.png": ImageState()})
    assert read_state(tmp_path) == {"images/a.png": known}
    assert read_state(tmp_path / "elsewhere") == {}
    assert read_stamps(tmp_path) == read_stamps(tmp_path / "elsewhere") == {}
    write_state(tmp_path, {"images/a.png": known}, {"images/a.png": (1, 2, 3)})
    assert read_state(tmp_path) == {"images/a.png": known}
    assert read_stamps(tmp_path) == {"images/a.png": (1, 2, 3)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read"),
        ("[]", '"images"'),
        ('{"version": 2, "images": {}}', "version 2"),
        ('{"version": 1, "images": {"a": 3}}', "no JSON object"),
        ('{"version": 1, "images": {"a": {"colour": 1}}}', '"colour" is unknown'),
        ('{"version": 1, "images": {"a": {"section": "train"}}}', '"section" cannot be "train"'),
        ('{"version": 1, "images": {"a": {"finished": 1}}}', '"finished" cannot be 1'),
        ('{"version": 1, "images": {"a": {"corrected": ["mask"]}}}', '"corrected"'),
        ('{"version": 1, "images": {"a": {"complete": {"detection": "yes"}}}}', '"complete"'),
        ('{"version": 1, "images": {"a": {"seconds": {"detection": -1}}}}', '"seconds"'),
        ('{"version": 1, "images": {"a": {"seconds": {"detection": NaN}}}}', '"seconds"'),
        ('{"version": 1, "images": {"a": {"seconds": {"detection": true}}}}', '"seconds"'),
    ],
)
def test_anything_else_is_refused_in_a_sentence_that_names_file_and_key(tmp_path, text, said):
    (tmp_path / STATE_FILE).write_text(text)
    with pytest.raises(LazyLabelsError, match=r"project\.json") as error:
        read_state(tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / STATE_FILE).read_text() == text


def test_it_is_plain_json(tmp_path):
    write_state(tmp_path, {"a": ImageState(corrected={"separation", "detection"})})
    content = json.loads((tmp_path / STATE_FILE).read_text())
    assert content == {"version": 1, "images": {"a": {"corrected": ["detection", "separation"]}}}


def test_a_block_that_fails_leaves_the_file_and_one_of_less_text_is_whole(tmp_path):
    write_state(tmp_path, {f"{number}": ImageState("validation") for number in range(2000)})
    with pytest.raises(AttributeError), state_file(tmp_path) as fill:
        fill({"a": None}, {})
    assert len(read_state(tmp_path)) == 2000
    write_state(tmp_path, {"a": ImageState("testing")})
    assert read_state(tmp_path) == {"a": ImageState("testing")}
    assert [file.name for file in tmp_path.iterdir()] == [STATE_FILE]
