"""Mistakes at the command line of the bundle end in one sentence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from monai.bundle import ConfigParser

from lazylabels_monai.errors import LazyLabelsError


@pytest.fixture(scope="module")
def mistakes(bundle, tiny_data, trained, python, tmp_path_factory):
    """Name of a mistake -> (exit status, standard output and error), and the folder they were made in."""
    folder = tmp_path_factory.mktemp("mistakes")
    broken = folder / "broken"
    shutil.copytree(tiny_data, broken)
    first = next(item for item in json.loads((broken / "datalist.json").read_text())["training"] if "detection" in item)
    (broken / first["detection"]).unlink()
    (folder / "nan").mkdir()
    tifffile.imwrite(folder / "nan" / "hole.tif", np.full((64, 80), np.nan, np.float32))
    (folder / "poor").mkdir()
    (folder / "poor" / "notes.txt").write_text("mine")

    def train(data: Path = tiny_data, **more: object) -> list[str]:
        given = {**bundle.training, **bundle.overrides(data, folder / "out"), **more}
        return bundle.arguments("training", bundle.files("train.yaml"), **given)

    def infer(data: Path = tiny_data, models: Path = trained / "models", **more: object) -> list[str]:
        given = {**bundle.overrides(data, folder / "out"), "ckpt_dir": models, **more}
        return bundle.arguments("inferring", bundle.files("inference.yaml"), **given)

    def export(weights: Path, **more: object) -> list[str]:
        given = {"config_file": bundle.files("inference.yaml")[0], "meta_file": bundle.files("metadata.json")[0], **more}
        given = {"filepath": folder / "model.ts", "ckpt_file": weights, **bundle.network, **given}
        named = (part for key, value in given.items() for part in (f"--{key}", str(value)))
        return ["-m", "monai.bundle", "ckpt_export", "network_def", *named]

    cases = {
        "export_other": export(trained / "models" / "model.pt", ckpt_dir=folder / "nothing"),
        "mistyped": train(lerning_rate=3),
        "missing_label": train(broken),
        "classes": train(classes="['pore']"),
        "no_data": train(folder / "nowhere"),
        "no_datalist": train(folder / "poor"),
        "false": train(resume="false"),
        "none": train(sampling_shares=None),
        "no_model": infer(models=folder / "nothing"),
        "other_network": infer(channels=[4, 8, 16]),
        "no_images": infer(folder / "nowhere"),
        "nan": infer(folder / "nan"),
        "fine": infer(),
    }
    results = {}
    for name, arguments in cases.items():
        done = subprocess.run(
            [python, *arguments], cwd=folder, env=bundle.environment, capture_output=True, text=True, timeout=300
        )
        results[name] = done.returncode, done.stdout, done.stderr
    return folder, results


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mistyped", ["--lerning_rate", "did you mean --learning_rate?"]),
        ("missing_label", ["detection/", '"detection"', "remove the key"]),
        ("classes", ["['air bubble', 'ice crystal']", "['pore']", "--classes"]),
        ("no_data", ["nowhere/datalist.json' does not exist", "dataset_dir"]),
        ("no_datalist", ["poor' holds no datalist.json", "dataset_dir", "lazylabels datalist "]),
        ("false", ["--resume false", "write False"]),
        ("none", ["--sampling_shares None", "sampling_shares: null"]),
        ("no_model", ["nothing/model.pt", "--weights"]),
        ("other_network", ["model.pt", "another network", "channels [4, 8, 8], not [4, 8, 16]", '--channels "[4, 8, 8]"']),
        ("no_images", ["nowhere' holds no image", "folder"]),
        ("nan", ["hole.tif", "NaN"]),
        ("export_other", ["--ckpt_file", "classes.json", "--ckpt_dir"]),
    ],
)
def test_a_mistake_ends_in_one_sentence(mistakes, name, said):
    folder, results = mistakes
    status, out, err = results[name]
    assert status == 1
    assert "Traceback" not in out + err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert [part for part in said if part not in line] == []
    assert len(line) < 400
    assert err.rstrip().endswith(line)
    assert not (folder / "nowhere").exists()
    assert [file.name for file in (folder / "poor").iterdir()] == ["notes.txt"]


def test_the_same_command_without_a_mistake_works(mistakes):
    folder, results = mistakes
    status, out, err = results["fine"]
    assert status == 0, out + err
    assert "predicting 2/2" in out
    assert (folder / "out" / "microstructure_test_001_pred.png").is_file()
    assert not (folder / "out" / "models").exists()  # no mistake got as far as training


@pytest.mark.parametrize(
    ("files", "engine", "said"),
    [
        (["train.yaml"], "train#trainer", "sets seed, init_weights"),
        (["train.yaml", "evaluate.yaml"], "validate#evaluator", "model.pt was not loaded"),
        (["inference.yaml"], "evaluator", "model.pt was not loaded"),
    ],
)
def test_an_engine_taken_out_of_its_config_is_refused(bundle, tiny_data, trained, tmp_path, files, engine, said):
    parser = ConfigParser()
    parser.read_config(bundle.files(*files))
    given = {**bundle.overrides(tiny_data, tmp_path), **(bundle.training if files == ["train.yaml"] else {})}
    parser.update({**given, "ckpt_dir": str(trained / "models" if files != ["train.yaml"] else tmp_path / "models")})
    with pytest.raises(LazyLabelsError, match=said) as refused:
        parser.get_parsed_content(engine).run()
    assert "parser.get_parsed_content('initialize')" in str(refused.value)
    assert not list(tmp_path.glob("*.json"))
    assert not list(tmp_path.rglob("*.pt"))


def test_an_engine_taken_out_of_its_config_runs_after_initialize(bundle, tiny_data, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    parser = ConfigParser()
    parser.read_config(bundle.files("inference.yaml"))
    parser.update({**bundle.overrides(tiny_data, tmp_path), "ckpt_dir": str(trained / "models")})
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("evaluator").run()
    assert len(list(tmp_path.glob("*_pred.png"))) == 2
    assert (tmp_path / "predicted.jsonl").is_file()


@pytest.mark.slow
def test_a_mistyped_argument_ends_in_one_sentence_on_a_real_command_line(bundle, tmp_path):
    arguments = bundle.arguments("training", bundle.files("train.yaml"), lerning_rate=3)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, env=bundle.environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr.splitlines()[-1].endswith("did you mean --learning_rate?")
    assert list(tmp_path.iterdir()) == []  # above all not the built-in data set
