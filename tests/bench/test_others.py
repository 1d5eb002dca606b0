"""What ``bench others`` asks other programs and makes of their answers, with programs that end at once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from lazylabels_monai.bench import others
from lazylabels_monai.bench.others import Program, Taken
from lazylabels_monai.errors import LazyLabelsError
from tests.helpers import ROOT

#: Says what it was asked in its answers: counts its pictures, and fails at the one that its variant names.
FAKE = """
import sys
from pathlib import Path
from benchmarks.serving import serve
def prepare(folder):
    (folder / "asked").open("a").write("prepare\\n")
    print("noise")
    if (folder / "broken").exists():
        sys.exit("no weights")
def load(folder, variant):
    import numpy as np
    print("noise on the standard output")
    (folder / "asked").open("a").write(f"start {variant}\\n")
    def predict(path, clock):
        (folder / "asked").open("a").write(f"{variant} {path.name}\\n")
        if variant == "fails":
            sys.exit("out of memory")
        with clock("network"):
            ids = np.array([[0, 3], [0, 7]])
        with clock("objects"):
            pass
        return ids
    return predict
serve(prepare, load, ("a", "b", "fails"))
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    (tmp_path / "benchmarks").mkdir()
    for name in ("__init__.py", "serving.py"):
        shutil.copy(ROOT / "benchmarks" / name, tmp_path / "benchmarks" / name)
    (tmp_path / "benchmarks" / "fake.py").write_text(FAKE)
    monkeypatch.setattr(others, "ROOT", tmp_path)
    monkeypatch.setattr(others, "STARTS", 2)
    return tmp_path


def fakes(*variants: str) -> list[Program]:
    return [Program(variant, "benchmarks.fake", variant, "") for variant in variants]


def test_programs_take_turns_from_start_to_end(root):
    pictures = [root / "x.tif", root / "y.tif"]
    found = others.measure(fakes("a", "b"), root, pictures, 3)
    starts = ["start a", "a x.tif", "start b", "b x.tif"] * 2
    turns = [f"{name} {picture}" for picture in ("x.tif", "y.tif", "x.tif") for name in "ab"]
    assert (root / "asked").read_text().splitlines() == ["prepare", *starts, *turns]
    for taken in found.values():
        assert len(taken.first) == 2
        assert all(seconds > 0.02 for seconds in taken.first), "a process of its own"
        assert [set(stages) for stages in taken.stages] == [{"network", "objects"}] * 3
        assert taken.peak > 5
        assert not taken.failed
    others.measure(fakes("a"), root, pictures, 0)
    assert (root / "asked").read_text().count("prepare") == 1, "once in a folder"


def test_a_program_that_ends_loses_its_row_alone(root):
    found = others.measure(fakes("fails", "a"), root, [root / "x.tif"], 1)
    assert found["fails"].failed == "out of memory"
    assert len(found["a"].stages) == 1
    (root / "benchmarks.fake.prepared").unlink()
    (root / "broken").touch()
    found = others.measure(fakes("a"), root, [root / "x.tif"], 1)
    assert (found["a"].failed, found["a"].first) == ("no weights", [])


def test_who_takes_long_is_asked_less(root, monkeypatch):
    monkeypatch.setattr(others, "PATIENCE", 0.0)
    found = others.measure(fakes("a"), root, [root / "x.tif"], 5)
    assert (len(found["a"].first), len(found["a"].stages)) == (1, 1)


def test_seconds_of_stages():
    taken = Taken(stages=[{"network": (2.0, 3.0), "objects": (1.0, 1.0)}, {"network": (4.0, 7.0), "objects": (0.5, 0.25)}])
    assert taken.seconds("network") == ([2.0, 4.0], [3.0, 7.0])
    assert taken.seconds() == ([3.0, 4.5], [4.0, 7.25])
    assert taken.spent == 7.5


def test_the_table_says_what_is_not_installed_and_what_failed(monkeypatch):
    monkeypatch.setattr(others, "SIDE", 1000)
    ours, alone, planned, *_, forest = [program.title for program in others.PROGRAMS]
    found = {
        ours: Taken([8.0, 4.0, 5.0], [{"network": (1.5, 3.0), "objects": (0.5, 0.5)}] * 3, 2048.0),
        alone: Taken([4.0], [{"network": (1.0, 2.0)}], 1024.0),
        planned: Taken(failed="out of memory"),
        forest: Taken([10.0], [{"network": (1.0, 1.0)}], 512.0),
    }
    text = others.table(found, 3)
    assert f"| {ours} | 5.0 (4.0-8.0) | 0.667 (0.667-0.667) | 0.500 (0.500-0.500) | 3.50 | 2.0 GiB | 3 |" in text
    assert f"| {alone} | 4.0 (4.0-4.0) | 1.000 (1.000-1.000) | - | 2.00 | 1.0 GiB | 1 |" in text
    assert f"| {planned} | - | - | - | - | - | - | failed: out of memory |" in text
    assert "not installed: `make benchmark-stardist` |" in text
    assert f"| {forest} | 0.50 x | 2.00 x |" in text
    assert all(len(line) < 120 for line in text.splitlines() if not line.startswith("|"))


def test_every_program_has_its_files_and_its_target():
    makefile = (ROOT / "Makefile").read_text()
    for program in others.PROGRAMS:
        place = ROOT / (program.module.replace(".", "/") + ".py")
        assert f'"{program.variant.split(",")[0]}' in place.read_text()
        if program.target:
            assert f"\n{program.target}: benchmarks/{program.place}/.venv/.made" in makefile
            assert "==" in (ROOT / "benchmarks" / program.place / "requirements.txt").read_text()


def test_an_environment_counts_when_it_is_complete(root):
    program = replace(fakes("a")[0], target="benchmark-fake")
    place = root / "benchmarks" / "fake" / ".venv"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").touch()
    assert program.python is None
    (place / ".made").touch()
    assert program.python == place / "bin" / "python"


def test_pictures_have_their_exact_masks(tmp_path):
    made = others.make_folder(tmp_path, training=2, side=64, pictures=2)
    assert [path.name for path in made] == [path.name for path in sorted((tmp_path / "masks").iterdir())]
    for path in made:
        ids = tifffile.imread(tmp_path / "masks" / path.name)
        assert (ids.shape, ids.dtype) == ((64, 64), np.uint16)
        assert ids.max() > 0
        assert tifffile.imread(path).shape == (64, 64)
    assert json.loads((tmp_path / "exported" / "dataset.json").read_text())["classes"]


def test_without_the_repository_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(others, "ROOT", tmp_path)
    with pytest.raises(LazyLabelsError, match="clone of the repository"):
        others.section(1)


def test_the_section_keeps_a_folder_that_is_named(root, monkeypatch):
    monkeypatch.setattr(others, "PROGRAMS", tuple(fakes("a", "b")))
    monkeypatch.setenv(others.KEPT, str(root / "kept"))
    (root / "kept" / "pictures").mkdir(parents=True)
    (root / "kept" / "pictures" / "x.tif").touch()
    text = others.section(1)
    assert "bench others --steps 1`" in text
    assert (root / "kept" / "asked").read_text().startswith("prepare\nstart a\na x.tif\n")
    assert text.count("| a |") == 1
