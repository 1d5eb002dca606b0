"""A folder may be called as one likes: what python-fire and YAML take for something else is the name that was typed."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from fire.parser import DefaultParseValue
from hypothesis import given, settings
from hypothesis import strategies as st

from lazylabels_monai.errors import FOLDER_IDS, LazyLabelsError, check_overrides
from lazylabels_monai.overrides import as_text, expanded

ODD = [
    *("20240512", "2024_05", "007", "0x10", "1e3", "1.50", "-5", "1j", "a,b", "a,b,", "1,2", "true", "True", "false", "False"),
    *(
        "none",
        "None",
        "null",
        "[x]",
        "[x",
        "(a)",
        "{a}",
        "{a: b}",
        "...",
        "b'x'",
        "run#3",
        "run #3",
        "#1",
        "my data",
        " a",
        "it's",
    ),
    *(
        "2024-05-12",
        "2024-5-12",
        "12:30",
        "a=b",
        "a&b",
        "~x",
        "\u00fcber",
        "not a",
        "lambda: 1",
        "a.b",
        "*",
        "!x",
        "|",
        "yes",
        "~",
    ),
]


def argv(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["/site-packages/monai/bundle/__main__.py", "run", "training", *arguments])


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("form", ["two", "equals"])
def test_odd_names_are_what_was_typed(monkeypatch, name, form):
    arguments = ["--dataset_dir", name] if form == "two" else [f"--dataset_dir={name}"]
    argv(monkeypatch, "--config_file", "a.yaml", *arguments)
    assert as_text(DefaultParseValue(name), "dataset_dir") == name


@settings(max_examples=300, deadline=None)
@given(name=st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).filter(lambda n: n[0] not in "$@%'\"-"))
def test_any_name_is_what_was_typed(name):
    with pytest.MonkeyPatch.context() as monkeypatch:
        argv(monkeypatch, "--config_file", "a.yaml", "--ckpt_dir", name)
        assert as_text(DefaultParseValue(name), "ckpt_dir") == name


def test_quotes_for_the_command_line_are_no_part_of_a_name_unless_the_folder_has_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for typed in ("'2024_05'", '"2024_05"'):
        argv(monkeypatch, "--output_dir", typed)
        assert as_text(DefaultParseValue(typed), "output_dir") == "2024_05"
        (tmp_path / typed).mkdir()
        assert as_text(DefaultParseValue(typed), "output_dir") == typed
    argv(monkeypatch, "--output_dir", "'tis")
    assert as_text("'tis", "output_dir") == "'tis"


def test_expressions_are_those_of_the_config(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    argv(monkeypatch, "--ckpt_dir", "$@output_dir + '/models'")
    assert as_text("out/models", "ckpt_dir") == "out/models"
    argv(monkeypatch, "--ckpt_dir", "@mine")
    (tmp_path / "@mine").mkdir()
    with pytest.raises(LazyLabelsError, match=r"write \./@mine"):
        as_text("?", "ckpt_dir")


@pytest.mark.parametrize("value", [20240512, 202405, 1000.0, ("a", "b"), ["x"], True, None, datetime.date(2024, 5, 12)])
def test_a_value_of_a_file_that_is_no_text_is_refused_with_the_remedy(value):
    with pytest.raises(LazyLabelsError, match="write it in quotes"):
        as_text(value, "dataset_dir")


@pytest.mark.parametrize("following", [[], ["--resume", "True"]])
def test_a_name_that_was_forgotten(monkeypatch, following):
    argv(monkeypatch, "--dataset_dir", *following)
    with pytest.raises(LazyLabelsError, match="'--dataset_dir' has no value"):
        as_text(True, "dataset_dir")


def test_the_check_of_overrides_leaves_names_of_folders_alone(bundle):
    files = str(bundle.files("train.yaml", "evaluate.yaml"))
    for name in sorted(FOLDER_IDS):
        for value in ("false", "None", "null"):
            check_overrides(["--config_file", files, f"--{name}", value])
    with pytest.raises(LazyLabelsError):
        check_overrides(["--config_file", files, "--resume", "false"])


@pytest.mark.parametrize(
    "names",
    [
        ("2024_05", "1e3", "a,b", "20240512"),
        ("run#3", "None", "[x]", "my data"),
    ],
)
def test_training_and_evaluating_in_folders_of_odd_names(bundle, tiny_data, trained, python, tmp_path, names):
    data, out, models, results = names
    shutil.copytree(tiny_data, tmp_path / data)
    content = json.loads((tmp_path / data / "datalist.json").read_text())
    content["testing"] = content["testing"][:1]
    (tmp_path / data / "datalist.json").write_text(json.dumps(content))

    def run(run_id, *files, **more):
        given = {**bundle.network, **bundle.training, "dataset_dir": data, **more}
        arguments = bundle.arguments(run_id, bundle.files(*files), **given)
        return subprocess.run(
            [python, *arguments], cwd=tmp_path, env=bundle.environment, capture_output=True, text=True, timeout=300
        )

    done = run("training", "train.yaml", output_dir=out, ckpt_dir=models, max_epochs=1)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / models / "model.pt").is_file()
    assert (tmp_path / out / "tensorboard").is_dir()
    done = run("evaluating", "train.yaml", "evaluate.yaml", output_dir=results, ckpt_dir=models)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / results / "metrics.json").is_file()
    given = {"dataset_dir": data, "output_dir": results, "ckpt_dir": models}
    arguments = bundle.arguments("inferring", bundle.files("inference.yaml"), **{**bundle.network, **given})
    done = subprocess.run(
        [python, *arguments], cwd=tmp_path, env=bundle.environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(list((tmp_path / results).glob("*_pred.png"))) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_folder_called_tilde_and_a_word(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/a") == tmp_path / "a"
    monkeypatch.chdir(tmp_path)
    assert expanded("~nobody_of_this_name/a") == tmp_path / "~nobody_of_this_name" / "a", "MONAI would look for nobody's home"
    (tmp_path / "~root").mkdir()
    assert expanded("~root") == tmp_path / "~root"
    assert expanded("b/~a") == Path("b/~a")
