"""``suggest`` on data sets and on files."""

from __future__ import annotations

import csv
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.datalist import DatalistError
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_image
from lazylabels_monai.suggest import find_pool, suggest
from tests.suggest.faked import fake_model


def run(*arguments):
    return CliRunner().invoke(app, ["suggest", *map(str, arguments)])


def test_command_on_a_data_set(trained, tiny_data, tmp_path):
    out, pictures = tmp_path / "out" / "next.csv", tmp_path / "pictures"
    arguments = (tiny_data, "--weights", trained, "--device", "cpu", "--out", out, "--dropout-samples", "2")
    result = run(*arguments, "--top", "2", "--pictures", pictures, "--cost", "image=10")
    assert result.exit_code == 0, result.output
    assert "In 1 h:" in result.output
    with out.open() as file:
        rows = list(csv.DictReader(file))
    missing = sum(len(image.missing) for image in find_pool(tiny_data)[0])
    assert [int(row["rank"]) for row in rows] == list(range(1, missing + 1))
    assert all(float(row["seconds"]) > 10 and float(row["gain"]) > 0 for row in rows)
    assert [path.name for path in out.parent.iterdir()] == ["next.csv"]
    made = sorted(pictures.iterdir())
    assert [path.name[:4] for path in made] == ["001_", "002_"]
    height, width = read_image(rows[0]["image"]).shape[:2]
    assert np.asarray(Image.open(made[0])).shape == (height, 2 * width + 4, 3)
    before = out.read_bytes()
    again = run(*arguments)
    assert again.exit_code == 1
    assert "pass --overwrite" in str(again.exception)
    assert run(*arguments[:5], "--pictures", pictures).exit_code == 1
    assert run(*arguments, "--overwrite", "--cost", "image=10").exit_code == 0
    assert out.read_bytes() == before, "the same question has the same answer"


def test_command_on_files_names_a_broken_one(trained, tiny_data, tmp_path):
    for source in sorted((tiny_data / "images").iterdir())[:2]:
        shutil.copy(source, tmp_path)
    shutil.copy(tmp_path / sorted(path.name for path in tmp_path.iterdir())[0], tmp_path / "copy.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "next.csv"
    result = run(tmp_path, "--weights", trained, "--device", "cpu", "--tasks", "segmentation", "--out", out)
    assert result.exit_code == 1
    assert "broken.png" in result.output
    assert "cannot be read as an image" in result.output
    assert "Traceback" not in result.output
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert [float(row["similarity"]) for row in rows][-1] == 1.0, "the network sees that one is a copy"


def test_nothing_to_annotate_or_to_read(trained, tmp_path):
    with pytest.raises(DatalistError, match="holds no image"):
        suggest(tmp_path, fake_model())
    (tmp_path / "broken.png").write_bytes(b"no picture")
    result = run(tmp_path, "--weights", trained, "--device", "cpu")
    assert result.exit_code == 1
    assert isinstance(result.exception, LazyLabelsError)
    assert "none of the 1 images could be used" in str(result.exception)


def test_starting_the_command_line_imports_no_torch():
    import subprocess

    code = (
        "import sys, lazylabels_monai.cli as c; sys.exit('torch' in sys.modules or 'lazylabels_monai.suggest' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
