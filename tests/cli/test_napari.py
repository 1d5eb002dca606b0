"""``napari``: what is said before there is a window; the window itself: tests/acceptance/napari."""

from __future__ import annotations

import importlib.util


def test_without_napari_one_sentence_says_how_to_install_it(run, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "napari" else find(name, *rest))
    done = run("napari", tmp_path)
    assert done.exit_code == 1
    assert "lazylabels-monai[napari]" in str(done.exception or done.output)


def test_built_in_pictures_need_a_folder(run):
    done = run("napari", "--built-in")
    assert done.exit_code == 1
    assert "name its folder" in str(done.exception or done.output)
