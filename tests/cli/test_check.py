"""``check``: what it prints, and its exit codes."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from tests.data.checking.cases import DataSet, sound, speck


@pytest.fixture
def data(tmp_path):
    return DataSet(tmp_path / "set")


def test_command(data, tmp_path):
    run = CliRunner().invoke
    out = tmp_path / "out" / "check.json"
    assert run(app, ["check", str(data.save()), "--json", str(out), "--strict"]).exit_code == 0
    assert json.loads(out.read_text())["findings"] == []
    again = run(app, ["check", str(data.save()), "--json", str(out)])
    assert isinstance(again.exception, FileExistsError)
    _, labels = sound(0)
    speck(labels)
    data.write("segmentation/0.png", labels["segmentation"])
    assert run(app, ["check", str(data.root)]).exit_code == 0
    assert run(app, ["check", str(data.root), "--strict"]).exit_code == 1
    labels["separation"][60:80, 19:21] = 1
    data.write("separation/0.png", labels["separation"])
    result = run(app, ["check", str(data.root), "--json", "-"])
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert (content["errors"], content["warnings"]) == (1, 1)
    assert [f["code"] for f in content["findings"]] == ["mask-speck", "inner-crosses-interface"]
    assert content["findings"][1]["location"] == [64, 19]
    assert "error: training[0]" in result.stderr


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
