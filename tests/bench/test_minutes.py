"""What ``bench minutes`` asks for and writes, without minutes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lazylabels_monai.bench import minutes
from lazylabels_monai.bench.others import Program
from lazylabels_monai.errors import LazyLabelsError

SCORES = {
    "segmentation": {"dice": {"particle": 0.75, "mean": 0.75}},
    "separation": {"precision": 0.5, "recall": None},
    "objects": {"f1@0.5": 0.1, "f1@0.5 three maps": 0.1, "f1@0.5 distance": 0.625},
}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """The commands in order; each leaves the files that the next one reads."""
    asked = []

    def call(command):
        parts = [str(part) for part in command]
        asked.append(parts)
        if "simulate" in parts:
            Path(parts[5]).mkdir()
            (Path(parts[5]) / "datalist.json").touch()
        if "export" in parts:
            Path(parts[-1]).mkdir()
        if "-m" in parts and "benchmarks." in parts[2]:
            Path(parts[4]).mkdir(exist_ok=True)
            (Path(parts[4]) / "about.json").write_text(json.dumps({"settings": {"minutes of training": 4.5}}))
        if "tune" in parts or "score" in parts:
            out = Path(parts[parts.index("--weights") + 1]).parent if "tune" in parts else Path(parts[parts.index("--out") + 1])
            out.mkdir(parents=True, exist_ok=True)
            (out / "instances.json").write_text(json.dumps({"best": "distance"}))
        if "evaluate" in parts or "score" in parts:
            out = Path(parts[parts.index("--output" if "evaluate" in parts else "--out") + 1])
            (out / "metrics.json").write_text(json.dumps(SCORES))
        return 5.25

    monkeypatch.setattr(minutes, "_call", call)
    monkeypatch.setattr(Program, "python", property(lambda self: Path("python-of") / self.place))
    (tmp_path / "sets" / "emps").mkdir(parents=True)
    monkeypatch.setenv(minutes.DATA, str(tmp_path / "sets"))
    monkeypatch.setenv(minutes.KEPT, str(tmp_path / "kept"))
    (tmp_path / "kept").mkdir()
    return asked


def test_the_others_get_the_minutes_that_ours_took(commands, tmp_path):
    text = minutes.section()
    trained = [parts for parts in commands if "train" in parts]
    assert [parts[parts.index("--init_weights") + 1].split("/")[-1] for parts in trained] in (
        ["without_emps.pt", "nothing"],
        ["starter", "nothing"],
    )
    limits = {
        Path(parts[4]).name: parts[parts.index("--minutes") + 1] if "--minutes" in parts else None
        for parts in commands
        if "benchmarks." in parts[2]
    }
    exact = ("stardist", "stardist_full", "cellpose", "cellpose_full")
    assert limits == {"nnunet": "5.25", "forest": None, **dict.fromkeys(exact, "5.25")}
    for option, names in (("--no-mirroring", ["nnunet"]), ("--batch", ["cellpose", "cellpose_full"])):
        assert [Path(parts[4]).name for parts in commands if option in parts] == names
    assert "| StarDist 0.9.2 | the exact masks alone, 6 images | 4.5 | 0.750 | 0.625 | 0.500, - | distance |" in text
    assert "| Cellpose 3.1, from random weights | the exact masks alone, 6 images | 4.5 | 0.750 |" in text
    assert "| **Lazy Labels**, from nothing | all labels of the 60 images | 5.2 | 0.750 |" in text
    assert all(len(line) < 120 for line in text.splitlines() if not line.startswith("|"))
    # the route that validation chose, not the best one on test images; masks of all images for two rows alone
    assert len([parts for parts in commands if "simulate" in parts]) == 2
    full = [Path(parts[4]).name for parts in commands if "benchmarks." in parts[2] and "data_full_exported" in parts[3]]
    assert full == ["stardist_full", "cellpose_full"]
    count = len(commands)
    assert minutes.section() == text
    assert len(commands) == count, "what is done is read"


@pytest.mark.parametrize("there", [True, False])
def test_a_starter_that_knows_the_set_is_said_to(commands, monkeypatch, tmp_path, there):
    monkeypatch.setattr(minutes, "STARTER", str(tmp_path / "without_emps.pt"))
    if there:
        (tmp_path / "without_emps.pt").touch()
    assert minutes.section().count("weights that have learnt from emps") == (not there)


def test_what_is_not_installed_is_named(commands, monkeypatch):
    monkeypatch.setattr(Program, "python", property(lambda self: None))
    text = minutes.section()
    assert "| random forest | - | - | - | - | - | not installed: `make benchmark-random-forest` |" in text
    assert not any("benchmarks." in parts[2] for parts in commands)


def test_without_the_set_it_says_so(commands, monkeypatch, tmp_path):
    monkeypatch.setenv(minutes.DATA, str(tmp_path))
    with pytest.raises(LazyLabelsError, match=r"LAZYLABELS_DATA must name"):
        minutes.section()


def test_cpu_minutes_of_a_command_and_its_last_words():
    assert 0 < minutes._call([sys.executable, "-IS", "-c", "sum(range(3_000_000))"]) < 0.5
    with pytest.raises(LazyLabelsError, match=r"'-IS -c .* failed: no room"):
        minutes._call([sys.executable, "-IS", "-c", "raise SystemExit('no room')"])


def test_one_row_at_a_time(commands, monkeypatch, tmp_path):
    for name in ("nothing", "nnunet"):
        monkeypatch.setattr(sys, "argv", ["minutes", str(tmp_path / "rows"), "--only", name])
        minutes.main()
    assert sorted(path.name for path in (tmp_path / "rows").glob("*.json")) == ["nnunet.json", "nothing.json"]
    asked = next(parts for parts in commands if "benchmarks.nnunet_ignore" in parts)
    assert asked[asked.index("--minutes") + 1] == "5.25"
