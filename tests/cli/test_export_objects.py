"""``export-objects``: what it prints, and that what it prints works."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from lazylabels_monai.images.files import read_label
from tests.exporting.maps import NAMES, classes_of, pictures, predictions, scene

MAPS = {"a": scene(), "b c": scene(seed=2), "leer": np.zeros((8, 5), np.int32)}


@pytest.mark.parametrize("format", ["roi", "geojson", "coco"])
def test_the_line_to_read_them_back_does(format, run, tmp_path, monkeypatch):
    images, source = pictures(tmp_path / "my images", MAPS), predictions(tmp_path / "p", MAPS)
    done = run("export-objects", source, "--format", format, "--images", images)
    assert done.exit_code == 0, done.output
    first, again = done.output.strip().splitlines()
    assert first.startswith(f"{sum(len(np.unique(ids)) - 1 for ids in MAPS.values())} objects of 3 images are in ")
    words = shlex.split(again.partition("lazylabels ")[2])
    words[1:3] = [images, tmp_path / "d"]
    done = run(*words, "--validation", 1)
    assert done.exit_code == 0, done.output
    for name, ids in MAPS.items():
        np.testing.assert_array_equal(read_label(tmp_path / "d" / "segmentation" / f"{name}.png"), classes_of(ids))


def test_exit_codes(run, tmp_path):
    source = predictions(tmp_path / "p", {"a": scene(), "b": scene()})
    (source / "b_pred.png").write_bytes(b"no picture")
    done = run("export-objects", source, "--format", "roi", "--to", tmp_path / "to", "--classes", ",".join(NAMES))
    assert done.exit_code == 1
    assert [line[:12] for line in done.stderr.splitlines()] == ["error: file "]
    assert "b_pred.png" in done.stderr
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["a.zip"]
    done = run("export-objects", source, "--format", "roi", "--to", tmp_path / "to")
    assert done.exit_code == 1
    assert "--overwrite" in str(done.exception)


def test_geojson_without_measurements(run, tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    assert run("export-objects", source, "--format", "geojson", "--no-measurements").exit_code == 0
    assert "measurements" not in (source / "geojson" / "a.geojson").read_text(encoding="utf-8")
    assert run("export-objects", source, "--format", "geojson", "--overwrite", "--pixel-size", "0.5um").exit_code == 0
    assert '"area_um2": ' in (source / "geojson" / "a.geojson").read_text(encoding="utf-8")
