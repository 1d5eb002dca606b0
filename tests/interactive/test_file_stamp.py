"""A file that was replaced is not the one that was read."""

from __future__ import annotations

import os

from lazylabels_monai.interactive.file_stamp import file_stamp


def test_a_file_of_the_same_size_and_time_is_another_one(tmp_path):
    file, other = tmp_path / "a", tmp_path / "b"
    assert file_stamp(file) is None
    file.write_text("one")
    before = file_stamp(file)
    assert file_stamp(file) == before
    other.write_text("two")
    os.utime(other, ns=(before[0], before[0]))
    other.replace(file)
    assert file_stamp(file) != before
