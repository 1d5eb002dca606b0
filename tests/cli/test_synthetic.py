"""``synthetic``: a data set that passes the check."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("volumes", [(), ("--volumes", ".nii.gz")])
def test_synthetic_makes_a_data_set_that_passes_the_check(run, tmp_path, volumes, monkeypatch):
    if volumes:
        from lazylabels_monai.data.simulating import synthetic

        small = {"size": (16, 20, 24), "num_train": 2, "radius": (3.0, 4.0)}
        whole = synthetic.make_volume_dataset
        monkeypatch.setattr(synthetic, "make_volume_dataset", lambda out, **given: whole(out, **{**given, **small}))
    numbers = ("--train", 3, "--validation", 1, "--test", 1, "--height", 48, "--width", 64, "--strong", 1, "--detection", 2)
    result = run("synthetic", tmp_path / "made", *numbers, "--separation", 3, *volumes)
    assert result.exit_code == 0, result.output
    checked = run("check", tmp_path / "made")
    assert checked.exit_code == 0, checked.output
    assert "training" in checked.output
    assert len(list((tmp_path / "made" / "images").glob("*.nii.gz" if volumes else "*.png"))) == (4 if volumes else 5)
