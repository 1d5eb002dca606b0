"""``python -m lazylabels_monai``: each command on a tiny example, and its exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.simulating.synthetic import make_image


@pytest.fixture
def run():
    """Run a command line in this process."""
    runner = CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """An exactly labelled image set in the layout that ``simulate`` reads."""
    root = tmp_path_factory.mktemp("source")
    for first, (split, count) in enumerate((("train", 4), ("val", 1), ("test", 1))):
        for folder in ("images", "masks", "classes"):
            (root / split / folder).mkdir(parents=True)
        for number in range(count):
            made = make_image((64, 80), seed=[first, number])
            for folder, key in (("images", "image"), ("masks", "instances"), ("classes", "classes")):
                Image.fromarray(made[key]).save(root / split / folder / f"{split}{number}.png")
    return root


def test_help_names_every_command(run):
    result = run("--help")
    assert result.exit_code == 0
    for command in ("simulate", "synthetic", "check", "results", "bench"):
        assert command in result.output
        assert run(command, "--help").exit_code == 0


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


def test_check_names_what_is_wrong_and_fails(run, tiny_data, tmp_path):
    shutil.copytree(tiny_data, tmp_path / "broken")
    item = json.loads((tmp_path / "broken" / "datalist.json").read_text())["validation"][1]
    (tmp_path / "broken" / item["separation"]).unlink()
    result = run("check", tmp_path / "broken")
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert 'validation[1] "separation"' in line
    assert item["separation"] in line
    assert run("check", tmp_path / "broken" / "datalist.json").exit_code == 1
    assert run("check", tiny_data).exit_code == 0


def test_results_prints_the_table(run, tmp_path):
    metrics = {
        "segmentation": {"dice": {"air bubble": 0.9471, "ice crystal": None, "mean": 0.9471}},
        "separation": {"precision": 0.7, "recall": 0.82},
        "objects": {"f1@0.5": 0.5, "f1@0.5 components": 0.25},
        "images": 12,
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "a_overlay.png").touch()
    result = run("results", tmp_path)
    assert result.exit_code == 0, result.output
    rows = {tuple(line.split()[:-1]): line.split()[-1] for line in result.output.splitlines()}
    assert "0.947" in next(line for line in result.output.splitlines() if "air bubble" in line)
    assert "unknown" in next(line for line in result.output.splitlines() if "ice crystal" in line)
    assert rows["precision",] == "0.700"
    assert rows["recall",] == "0.820"
    assert rows["f1@0.5", "components"] == "0.250"
    assert "a_overlay.png" in result.output


@pytest.mark.slow
def test_a_mistake_ends_in_one_sentence_on_a_real_command_line(bundle, tmp_path):
    command = [sys.executable, "-m", "lazylabels_monai", "results", str(tmp_path / "nothing")]
    done = subprocess.run(command, cwd=tmp_path, env=bundle.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "run evaluating with --output_dir" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("simulate", "nowhere", "out"), "nowhere"),
        (("simulate", "{source}", "{source}"), "lies in the source folder"),
        (("simulate", "{source}", "out", "--strong", "9"), "9"),
        (("simulate", "{source}", "out", "--subset", "train"), "SPLIT=COUNT"),
        (("synthetic", "out", "--volumes", ".png"), ".nii.gz"),
        (
            (
                "synthetic",
                "{source}",
            ),
            "overwrite",
        ),
    ],
)
def test_mistakes_are_told_and_nothing_is_made(run, source, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    before = sorted(source.rglob("*"))
    result = run(*(argument.format(source=source) for argument in arguments))
    assert isinstance(result.exception, (ValueError, OSError))  # main() prints these as one sentence
    assert said in str(result.exception)
    assert list(tmp_path.iterdir()) == []
    assert sorted(source.rglob("*")) == before
