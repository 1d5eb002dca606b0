"""``python -m lazylabels_monai``: its commands, and their mistakes."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_help_names_every_command(run):
    result = run("--help")
    assert result.exit_code == 0
    for command in ("simulate", "synthetic", "check", "results", "bench"):
        assert command in result.output
        assert run(command, "--help").exit_code == 0


@pytest.mark.slow
def test_a_mistake_ends_in_one_sentence_on_a_real_command_line(bundle, tmp_path):
    command = [sys.executable, "-m", "lazylabels_monai", "results", str(tmp_path / "nothing")]
    done = subprocess.run(command, cwd=tmp_path, env=bundle.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert "name the folder that evaluate wrote" in done.stderr
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
