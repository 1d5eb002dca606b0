"""``datalist``: the table, and what to do next."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.building import BuildError
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.errors import LazyLabelsError
from tests.data.building.drawing import _image, _masks, _save


@pytest.fixture
def folder(tmp_path):
    """``images/`` with a.png to e.png."""
    for number, name in enumerate("abcde"):
        _save(tmp_path / "src" / "images" / f"{name}.png", _image(number))
    return tmp_path / "src"


def test_the_command_prints_the_table_and_what_to_do_next(folder, tmp_path):
    _masks(folder)
    out = tmp_path / "out"
    arguments = ["datalist", str(folder), str(out), "--classes", "particle", "--unlabelled", "masks=ignore", "--halo", "4"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "masks of 5 images: unmarked pixels are ignored" in result.output
    assert [line.split()[:3] for line in result.output.splitlines() if line.startswith("training")] == [["training", "4", "4"]]
    assert f"lazylabels train {out}" in result.output
    assert check_datalist(out).errors == []
    refused = CliRunner().invoke(app, [*arguments, "--labels", "masks"])
    assert isinstance(refused.exception, BuildError)
    assert "KIND=PATH" in str(refused.exception)


LEGENDS = {
    "legend.json": b'{"#ff0000": "air bubble", "#0000ff": "ice crystal", "#000000": "background"}',
    "legend.csv": b"colour,name\n#ff0000,air bubble\n#0000ff,ice crystal\n#000000,background\n",
    "labelmap.txt": b"# label:color_rgb:parts:actions\nair bubble:255,0,0::\nice crystal:0,0,255::\nbackground:0,0,0::\n",
}


def _damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Cut short, with bytes of other values, with a piece of itself twice, or of another encoding."""
    data, kind = bytearray(content), int(random.integers(4))
    first, last = sorted(int(n) for n in random.integers(0, len(data), 2))
    if kind == 0:
        return bytes(data[:first])
    if kind == 1:
        for place in random.integers(0, len(data), 3):
            data[place] = int(random.integers(256))
        return bytes(data)
    return bytes(data[:last] + data[first:]) if kind == 2 else content.decode().encode("utf-16")


@pytest.mark.parametrize("name", LEGENDS)
def test_a_damaged_legend_ends_in_a_result_or_a_sentence_that_names_it(folder, tmp_path, name):
    """Whatever happens to it, nothing half-made stays."""
    for stem in "abcde":
        picture = np.zeros((*_image(0).shape[:2], 3), np.uint8)
        picture[4:12, 4:12], picture[20:28, 20:28] = (255, 0, 0), (0, 0, 255)
        (folder / "segmentation").mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / "segmentation" / f"{stem}.png")
    legend = tmp_path / name
    random, sentences = np.random.default_rng(7), 0
    for turn in range(12):
        legend.write_bytes(LEGENDS[name] if not turn else _damaged(LEGENDS[name], random))
        out = tmp_path / f"out{turn}"
        result = CliRunner().invoke(app, ["datalist", str(folder), str(out), "--legend", str(legend)])
        if result.exit_code == 0:
            assert check_datalist(out).errors == []
            continue
        assert turn, result.exception
        assert isinstance(result.exception, LazyLabelsError), (legend.read_bytes(), result.exception)
        assert name in str(result.exception) or "legend" in str(result.exception), result.exception
        assert not out.exists()
        sentences += 1
    assert sentences > 3
    assert not list(tmp_path.rglob(".*"))
