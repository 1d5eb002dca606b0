"""The pictures and the table of the part `large`."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tifffile

from lazylabels_monai.bench import large


def test_a_mosaic_is_of_its_sources(tmp_path):
    sources = [np.full((16, 32), value, np.uint8) for value in (3, 9)]
    large.make_mosaic(tmp_path / "a.tif", 100, sources)
    found = tifffile.imread(tmp_path / "a.tif")
    assert found.shape == (100, 100)
    assert set(np.unique(found)) == {3, 9}
    assert len(np.unique(found[:16, :32])) == 1


def test_the_tiny_network_is_made_once(tmp_path):
    weights = large.tiny_weights(tmp_path, steps=1)
    before = weights.stat().st_mtime_ns
    assert large.tiny_weights(tmp_path).stat().st_mtime_ns == before


def test_table_and_picture(tmp_path):
    run = large.Run(12.0, 6.0, ((0.0, 100.0), (6.0, 1024.0), (11.0, 512.0)), 345)
    assert "| the starter | 1000 x 1000 | 345 | 6 | 6.00 | 12 | 1.00 GiB |" in large.table({("the starter", 1000): run})
    large.draw_memory(run, tmp_path / "a.png", "title")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_watched(tmp_path, monkeypatch):
    script = (
        "import sys, time, pathlib; o = pathlib.Path(sys.argv[-1]); o.mkdir(); "
        "(o / 'x_objects.csv').write_text('a\\n1\\n2\\n'); x = bytearray(60 << 20); time.sleep(0.5)"
    )
    monkeypatch.setattr(large, "_COMMAND", (sys.executable, "-c", script))
    run = large.predict_watched(tmp_path / "x.tif", tmp_path / "out", tmp_path / "model.pt", every=0.05)
    assert run.objects == 2
    assert run.peak > 60
    monkeypatch.setattr(large, "_COMMAND", (sys.executable, "-c", "raise SystemExit('broken')"))
    with pytest.raises(RuntimeError, match="broken"):
        large.predict_watched(tmp_path / "x.tif", tmp_path / "out2", tmp_path / "model.pt")
