"""Config files of a user's or a stranger's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lazylabels_monai.cli import app
from lazylabels_monai.config_files import check_overlays, read_overlay
from lazylabels_monai.errors import LazyLabelsError

BAD = {
    "tag.yaml": "a: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['RUN']]\n",
    "name.yaml": "a: !!python/name:os.system\n",
    "module.yml": "a: !!python/module:os\n",
    "new.yaml": "a: !!python/object/new:os.system ['touch RUN']\n",
    "open.yaml": "channels: [4, 8\n",
    "tab.yaml": "a:\n\t- 1\n",
    "list.yaml": "- a\n- b\n",
    "number.yaml": "3\n",
    "keys.yaml": "1: a\n",
    "binary.yaml": "\x00\x01",
    "broken.json": '{"a": 1',
    "list.json": "[1]",
    "deep.json": "[" * 100_000,
}


@pytest.mark.parametrize("name", [*BAD, "missing.yaml"])
def test_bad_files_are_one_sentence_and_run_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name in BAD:
        Path(name).write_text(BAD[name])
    with pytest.raises(LazyLabelsError, match=f"config file '{name}'") as found:
        check_overlays([name])
    assert "\n" not in str(found.value)
    assert not Path("RUN").exists()


def test_good_files(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("\ufeffa: $print(1)\nb: [1, 2]\n", encoding="utf-8")
    assert read_overlay(file) == {"a": "$print(1)", "b": [1, 2]}
    file.write_text("# nothing\n")
    assert read_overlay(file) == {}
    (tmp_path / "a.json").write_text(json.dumps({"a": 1}))
    assert read_overlay(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize("command", ["predict", "pack", "tune", "suggest", "monai-label", "train"])
def test_every_command_with_config_files(command, tmp_path, monkeypatch, tiny_data, trained):
    monkeypatch.chdir(tmp_path)
    Path("tag.yaml").write_text(BAD["tag.yaml"])
    weights = ["--weights", str(trained / "models" / "model.pt")]
    arguments = {
        "predict": [tiny_data / "images", "--out", "out", *weights],
        "pack": ["a.zip", *weights],
        "tune": [tiny_data, *weights],
        "suggest": [tiny_data / "images", *weights],
        "monai-label": ["app", *weights],
        "train": [tiny_data],
    }[command]
    with pytest.raises(LazyLabelsError, match=r"config file 'tag\.yaml' cannot be read at line 1"):
        app([command, *map(str, arguments), "--config", "tag.yaml"], standalone_mode=False)
    assert [file.name for file in tmp_path.iterdir()] == ["tag.yaml"]
