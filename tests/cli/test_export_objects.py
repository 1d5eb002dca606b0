"""``export-objects``: what it prints, and that what it prints works."""

from __future__ import annotations

import json
import re
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
    done = run(*words, "--validation", 1)
    assert done.exit_code == 0, done.output
    for name, ids in MAPS.items():
        np.testing.assert_array_equal(read_label(tmp_path / "p_dataset" / "segmentation" / f"{name}.png"), classes_of(ids))


def test_exit_codes(run, tmp_path):
    source = predictions(tmp_path / "p", {"a": scene(), "b": scene()})
    (source / "b_pred.png").write_bytes(b"no picture")
    done = run("export-objects", source, "--format", "roi", "--to", tmp_path / "to", "--classes", ",".join(NAMES))
    assert done.exit_code == 1
    assert [line[:12] for line in done.stderr.splitlines()] == ["error: file "]
    assert "b_pred.png" in done.stderr
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["a.zip", "exported.jsonl"]
    done = run("export-objects", source, "--format", "roi", "--to", tmp_path / "to")
    assert done.exit_code == 1
    assert "--overwrite" in str(done.exception)


def test_geojson_without_measurements(run, tmp_path):
    source = predictions(tmp_path / "p", {"a": scene()})
    assert run("export-objects", source, "--format", "geojson", "--no-measurements").exit_code == 0
    assert "measurements" not in (source / "geojson" / "a.geojson").read_text(encoding="utf-8")
    assert run("export-objects", source, "--format", "geojson", "--overwrite", "--pixel-size", "0.5um").exit_code == 0
    assert '"area_um2": ' in (source / "geojson" / "a.geojson").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "named",
    [["grain, large", "pore"], ["[a]", '"b"'], ["--x", "y=z"], ["a:b", "it's"], ["Cell", "cell"], ["cell-1", "cell 2"]],
)
def test_the_line_to_read_them_back_does_with_odd_names_too(named, run, tmp_path):
    """And where a name is none of the classes, what the error says to do works."""
    maps = {"a": scene(), "b": scene(seed=2)}
    images, source = pictures(tmp_path / "images", maps), predictions(tmp_path / "p", maps)
    named = [*named, "third"]
    (source / "classes.json").write_text(json.dumps(named))
    done = run("export-objects", source, "--format", "roi")
    assert done.exit_code == 0, done.output
    last = done.output.strip().splitlines()[-1]
    if named[0].lower() == named[1].lower():
        assert last.startswith("to read them back, export again with --classes: datalist does not tell Cell,cell apart")
        return
    words = shlex.split(last.partition("lazylabels ")[2])
    words[1:3] = [images, tmp_path / "d"]
    done = run(*words, "--validation", 1)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "d" / "datalist.json").read_text())["classes"] == named
    for name, ids in maps.items():
        np.testing.assert_array_equal(read_label(tmp_path / "d" / "segmentation" / f"{name}.png"), classes_of(ids))
    words[2], words[words.index("--classes") + 1] = tmp_path / "e", "one"
    more: list[str] = []
    for _ in named:
        refused = run(*words, *more, "--validation", 1)
        remedy = re.search(r"say what it is with (--names .*) \(or =background", str(refused.exception), re.DOTALL)
        more += shlex.split(remedy[1])
    done = run(*words, *more, "--validation", 1)
    assert done.exit_code == 0, done.output
