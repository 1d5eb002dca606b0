"""``simulate`` on a tiny image set."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image

from lazylabels_monai.data.checking import check_datalist


def test_simulate_draws_the_labels_that_were_asked_for(run, source, tmp_path):
    arguments = ("--strong", "1", "--detection", "0.5", "--separation", "all", "--seed", "3")
    result = run("simulate", source, tmp_path / "lazy", *arguments, "--classes", "air bubble, ice crystal")
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "lazy" / "datalist.json").read_text())
    assert datalist["classes"] == ["air bubble", "ice crystal"]
    counts = [sum(key in item for item in datalist["training"]) for key in ("image", "segmentation", "detection", "separation")]
    assert counts == [4, 1, 2, 4]
    assert all("segmentation" in item for section in ("validation", "testing") for item in datalist[section])
    assert check_datalist(tmp_path / "lazy").errors == []
    again = run("simulate", source, tmp_path / "again", *arguments, "--classes", "air bubble, ice crystal")
    assert again.exit_code == 0
    assert (tmp_path / "again" / "datalist.json").read_bytes() == (tmp_path / "lazy" / "datalist.json").read_bytes()


def test_simulate_takes_a_subset_at_another_scale(run, source, tmp_path):
    arguments = ("--strong", "1", "--detection", "2", "--subset", "train=2", "--scale", "0.5")
    result = run("simulate", source, tmp_path / "lazy", *arguments)
    assert result.exit_code == 0, result.output
    datalist = json.loads((tmp_path / "lazy" / "datalist.json").read_text())
    assert len(datalist["training"]) == 2
    assert np.asarray(Image.open(tmp_path / "lazy" / datalist["training"][0]["image"])).shape == (32, 40)
