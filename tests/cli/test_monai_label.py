"""``monai-label``: the folder of an app."""

from __future__ import annotations

import json
import shutil


def test_an_app_is_made_of_a_trained_model(run, bundle, trained, tmp_path):
    given = ("--weights", trained, "--bundle", bundle.configs.parent)
    done = run("monai-label", tmp_path / "app", *given)
    assert done.exit_code == 0, (done.output, done.exception)
    assert f"written: {tmp_path / 'app'}" in done.output
    (weights,) = (tmp_path / "app").rglob("model.pt")
    assert weights.read_bytes() == trained.read_bytes()
    assert json.loads(weights.with_name("network.json").read_text())["channels"] == [4, 8, 8]
    assert run("monai-label", tmp_path / "app", *given).exit_code == 1
    shutil.rmtree(tmp_path / "app")
    assert run("monai-label", tmp_path / "app", "--weights", tmp_path / "nothing.pt", *given[2:]).exit_code == 1
    assert not (tmp_path / "app").exists()
