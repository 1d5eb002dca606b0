"""``inferring`` goes on where an image is broken, as ``predict`` does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError, user_error

GOOD = ("a", "c", "e")


@pytest.fixture
def images(tmp_path, tiny_data) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    source = sorted((tiny_data / "images").iterdir())
    for name, file in zip(GOOD, source, strict=False):
        (folder / f"{name}.png").write_bytes(file.read_bytes())
    (folder / "b.png").write_bytes(source[0].read_bytes()[:300])
    tifffile.imwrite(folder / "d.tif", np.full((64, 80), np.nan, np.float32))
    (folder / "f.tif").symlink_to("gone.tif")
    os.mkfifo(folder / "g.png")
    return folder


@pytest.mark.parametrize("batch", [1, 4])
def test_broken_images_are_named_and_the_others_predicted(bundle, trained, images, tmp_path, caplog, batch):
    out = tmp_path / "out"
    if batch > 1:
        for name in GOOD:
            Image.open(images / f"{name}.png").crop((0, 0, 64, 64)).save(images / f"{name}.png")
    given = {"dataloader#batch_size": batch} if batch > 1 else {}
    with pytest.raises((RuntimeError, LazyLabelsError)) as raised:
        bundle.infer(images, out, weights=str(trained), **given)
    error = user_error(raised.value)
    assert isinstance(error, LazyLabelsError)
    lines = str(error).splitlines()
    assert [name for name in ("b.png", "d.tif", "f.tif", "g.png") if not any(name in line for line in lines)] == []
    assert len(lines) == 4
    assert caplog.text.count("FAILED") == 4
    for name in GOOD:
        assert (out / f"{name}_pred.png").is_file()
        assert (out / f"{name}_instances.tif").is_file()
    assert not (out / "b_pred.png").exists()
    assert [path.name for path in out.iterdir() if path.name.startswith(".") or path.suffix == ".lock"] == []
    records = (out / "predicted.jsonl").read_text()
    assert [name for name in GOOD if f'"{name}"' not in records] == []


def test_a_folder_of_broken_images_alone(bundle, trained, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "x.png").write_bytes(b"")
    with pytest.raises((RuntimeError, LazyLabelsError)) as raised:
        bundle.infer(tmp_path / "images", tmp_path / "out", weights=str(trained))
    assert "x.png" in str(user_error(raised.value))
