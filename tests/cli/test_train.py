"""``train`` and ``evaluate`` stand for a command of the bundle, in any folder."""

from __future__ import annotations

import ast
import json
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lazylabels_monai.bundle_folder import find_bundle, find_overlay, find_starter
from lazylabels_monai.cli import app
from lazylabels_monai.cli.train import PRESETS


@pytest.fixture
def ran(monkeypatch):
    """The commands that are run, instead of running them."""
    commands: list[list[str]] = []

    def run(command, end_too):
        commands.append(command)
        return 0

    monkeypatch.setattr(sys.modules["lazylabels_monai.cli.train"], "run_child", run)
    return commands


def given(command: list[str]) -> dict[str, str]:
    """The options of ``python -m monai.bundle run ID --name value ...``."""
    return {name.removeprefix("--"): value for name, value in zip(command[5::2], command[6::2], strict=True)}


@pytest.mark.parametrize("preset", PRESETS)
def test_train_stands_for_a_command_of_the_bundle(tiny_data, tmp_path, monkeypatch, ran, preset):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", str(tiny_data), "--preset", preset, "--output", "out", "--max_epochs", "3", "--resume=True"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (command,) = ran
    assert command[1:5] == ["-m", "lazylabels_monai.bundle_program", "run", "training"]
    assert shlex.split(result.output.splitlines()[0]) == ["python", "-m", "monai.bundle", *command[3:]]
    assert command[-3:] == ["--max_epochs", "3", "--resume=True"]
    values = given(command[:-1])
    files = [Path(file) for file in ast.literal_eval(values["config_file"])]
    assert files == [find_bundle() / "configs" / "train.yaml", *(find_overlay(name) for name in PRESETS[preset])]
    assert (values["dataset_dir"], values["output_dir"], values["ckpt_dir"]) == (str(tiny_data), "./out", "./out/models")


def test_unless_a_preset_is_named_every_machine_trains_what_was_scored(tiny_data, ran):
    assert CliRunner().invoke(app, ["train", str(tiny_data)]).exit_code == 0
    files = ast.literal_eval(given(ran[0])["config_file"])
    assert [Path(file).name for file in files] == ["train.yaml", "cpu.yaml"]
    settings = yaml.safe_load(Path(files[-1]).read_text())
    starter = json.loads(find_starter().with_name("network.json").read_text())
    assert settings["channels"] == starter["channels"]
    assert "starter" in settings["init_weights"]


@pytest.mark.parametrize(
    ("named", "own", "taken"),
    [
        (["--init_weights", "{weights}"], None, {"channels": "[4, 8]", "num_multitask_blocks": "1", "norm": "BATCH"}),
        (["--init-weights={weights}", "--channels", "[8, 8]"], None, {"num_multitask_blocks": "1", "norm": "BATCH"}),
        (["--init_weights", "{weights}"], {"norm": "INSTANCE", "channels": [8]}, {"num_multitask_blocks": "1"}),
        ([], {"init_weights": "{weights}", "num_multitask_blocks": 2}, {"channels": "[4, 8]", "norm": "BATCH"}),
        (["--max_epochs", "3"], {"init_weights": None}, {}),
        (["--init_weights", "nothing"], None, {}),
        ([], yaml.safe_load(find_overlay("cpu.yaml").read_text()), {}),
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_the_network_is_that_of_the_weights_a_training_begins_from(tiny_data, tmp_path, ran, command, named, own, taken):
    weights = tmp_path / "model.pt"
    weights.touch()
    (tmp_path / "network.json").write_text(json.dumps({"channels": [4, 8], "num_multitask_blocks": 1, "norm": "BATCH"}))
    arguments = [argument.format(weights=weights) for argument in named]
    if own is not None:
        own = {name: value.format(weights=weights) if isinstance(value, str) else value for name, value in own.items()}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    more = ["--config", str(tmp_path / "own.yaml")] if own is not None else []
    result = CliRunner().invoke(app, [command, str(tiny_data), "--preset", "gpu", *more, *arguments])
    assert result.exit_code == 0, result.output
    words = ran[0][ran[0].index("--ckpt_dir") + 2 :]
    words = words[: len(words) - len(arguments)] if command == "train" else words
    found = dict(zip(words[::2], words[1::2], strict=False))
    assert {f"--{name}": value for name, value in taken.items()}.items() <= found.items()
    left = {"channels", "num_multitask_blocks", "norm"} - set(taken)
    assert all(f"--{name}" not in words for name in left) or command == "evaluate"


def test_weights_to_begin_from_that_are_not_there_are_one_sentence(tiny_data, ran):
    result = CliRunner().invoke(app, ["train", str(tiny_data), "--init_weights", "nowhere.pt"])
    assert "name a model.pt, 'starter' or 'nothing'" in str(result.exception)
    assert not ran


def test_presets_are_what_they_are_called():
    size = {name: yaml.safe_load(find_overlay(file).read_text()) for name, files in PRESETS.items() for file in files}
    assert size["cpu"]["channels"] == [16, 32, 64, 128, 256]
    assert size["paper"]["norm"] == "BATCH"
    assert PRESETS["gpu"] == ()


def test_a_data_set_whose_name_is_a_number_is_a_folder(tmp_path, monkeypatch, ran):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024_05").mkdir()
    (tmp_path / "2024_05" / "datalist.json").write_text("{}")
    assert CliRunner().invoke(app, ["train", "2024_05", "--preset", "cpu"]).exit_code == 0
    values = given(ran[0])
    assert values["dataset_dir"] == "./2024_05"
    assert values["output_dir"] == "./outputs/2024_05"


def test_evaluate_takes_validation_images_where_none_are_for_testing(tiny_data, tmp_path, ran):
    content = json.loads((tiny_data / "datalist.json").read_text())
    (tmp_path / "datalist.json").write_text(json.dumps({**content, "testing": []}))
    runner = CliRunner()
    for data, section in ((tiny_data, None), (tmp_path, "validation")):
        result = runner.invoke(app, ["evaluate", str(data), "--preset", "cpu"])
        assert result.exit_code == 0, result.output
        assert given(ran[-1]).get("section") == section
        assert ("no test images" in result.output) == (section is not None)
    runner.invoke(app, ["evaluate", str(tmp_path), "--preset", "cpu", "--section", "testing"])
    assert given(ran[-1])["section"] == "testing"
    names = [Path(file).name for file in ast.literal_eval(given(ran[-1])["config_file"])]
    assert names == ["train.yaml", "evaluate.yaml", "cpu.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "file 'nowhere/datalist.json' does not exist: name a folder that holds a datalist.json"),
        (["{data}", "--preset", "huge"], "--preset huge does not exist: use cpu, gpu, paper"),
        (["{data}", "more"], "'more' is no option"),
    ],
)
def test_mistakes_are_one_sentence(tiny_data, ran, arguments, said):
    result = CliRunner().invoke(app, ["train", *(argument.format(data=tiny_data) for argument in arguments)])
    assert result.exit_code == 1
    assert said in str(result.exception)
    assert ran == []


@pytest.mark.parametrize(
    "option",
    [
        ["--imports", "[]"],
        ["--imports=[]"],
        ["--imports#0", "$import os"],
        ["--imports::0=$import os"],
        ["--initialize", "[]"],
        ["--initialize#3", "$None"],
        ["--+initialize", "[]"],
        ["-initialize", "[]"],
        ["--given_settings", "{}"],
        ["--given-settings", "{}"],
        ["--made_settings#amp", "3"],
        ["--training", "[]"],
        ["--args_file", "more.json"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_what_checks_the_settings_is_not_replaced(tiny_data, ran, command, option):
    result = CliRunner().invoke(app, [command, str(tiny_data), "--preset", "cpu", "--max_epochs", "3", *option])
    assert result.exit_code == 1
    assert f"{option[0].partition('=')[0].lstrip('-')} would replace a part that checks the settings" in str(result.exception)
    assert ran == []


def test_the_exit_code_is_the_bundles(tiny_data, monkeypatch):
    monkeypatch.setattr(sys.modules["lazylabels_monai.cli.train"], "run_child", lambda command, end_too: 7)
    assert CliRunner().invoke(app, ["train", str(tiny_data), "--preset", "cpu"]).exit_code == 7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist: correct the path"),
        ("a: [1,\n", "cannot be read at line 2"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("- a\n", "holds no names and values"),
        ("max_epochs", "holds no names and values"),
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_config_file_that_cannot_be_used_is_one_sentence(tiny_data, tmp_path, ran, command, content, said):
    own = tmp_path / "own.yaml"
    if content is not None:
        own.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = CliRunner().invoke(app, [command, str(tiny_data), "--config", str(own)])
    assert result.exit_code == 1
    assert f"config file '{own}' {said}" in str(result.exception)
    assert not ran
