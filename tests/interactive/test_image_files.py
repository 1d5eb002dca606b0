"""The images in a folder."""

from __future__ import annotations

from lazylabels_monai.interactive.image_files import has_pictures


def test_a_folder_has_pictures_or_none(folder, tmp_path):
    assert has_pictures(folder)
    assert has_pictures(folder / "images")
    (tmp_path / "empty").mkdir()
    assert not has_pictures(tmp_path / "empty")
