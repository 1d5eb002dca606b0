"""The tools that try what takes minutes, at the size of seconds."""

from __future__ import annotations

import json

from PIL import Image

from tools import licences, load, memory, strange_names


def test_checkpoints_do_not_pile_up(tmp_path, capsys):
    load.checkpoints(tmp_path, 12)
    assert "12 written, 2 left (model_epoch=11.pt, model_epoch=12.pt)" in capsys.readouterr().out


def test_memory_and_open_files_are_counted(tmp_path, capsys):
    load.images(tmp_path, 6)
    assert "images: 6 of 6 done, 0 refused" in capsys.readouterr().out


def test_memory_of_a_prediction(tmp_path, capsys):
    Image.fromarray(memory.picture(80, 90)).save(tmp_path / "a.png")
    memory.child(str(tmp_path / "a.png"), str(memory.weights(tmp_path)), str(tmp_path / "out"))
    assert 50 < json.loads(capsys.readouterr().out.splitlines()[-1])["peak"] < 50_000


def test_a_strange_name_runs_nothing(tmp_path, monkeypatch, tiny_data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    found = strange_names.calls(strange_names.NAMES[0], tiny_data, memory.weights(tmp_path / "models"))
    assert [next(found) for _ in range(1)] == [("predict", "ok")]
    assert list(tmp_path.rglob("RUN")) == []


def test_licences_of_what_is_required():
    packages = {package.metadata["Name"]: licences.licence(package) for package in licences.closure(["pyyaml", "pillow"])}
    assert packages["PyYAML"].startswith("MIT")
    assert "not stated" not in packages.values()
