"""Runs of a comparison: a whole small one through the command, and what stops or fails."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.experiments import runner
from lazylabels_monai.experiments.records import read_record
from lazylabels_monai.experiments.runner import run_table
from lazylabels_monai.experiments.spec import ExperimentError, read_table
from lazylabels_monai.experiments.tables import write_table
from tests.experiments.places import FOLDER, datalist, external, places, record, scores, write_spec


def test_a_comparison_from_its_file_to_its_table_and_nothing_twice(specs, tmp_path, monkeypatch, quick_calls):
    monkeypatch.chdir(FOLDER.parents[1])
    made = places(tmp_path)
    command = ["experiment", str(specs / "small.yaml"), "--scale", "tiny", "--out", str(made.out)]
    command += ["--results", str(made.results), "--made", str(made.data)]
    listed = CliRunner().invoke(app, [*command, "--dry-run"])
    assert listed.output.splitlines() == [
        "missing tiny/synthetic-lazy/multitask_s0",
        "missing tiny/synthetic-full/unet_full_s0",
        "small: 2 runs, 0 of them done",
    ]
    few = CliRunner().invoke(app, [*command, "--dry-run", "--only", "full", "--seeds", "0,3"])
    assert [line.split("/")[-1] for line in few.output.splitlines()[:-1]] == ["unet_full_s0", "unet_full_s3"]
    wrong = CliRunner().invoke(app, [*command, "--seeds", "0-2"])
    assert "separated by commas" in str(wrong.exception)
    assert not made.out.exists()

    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    table = read_table(specs / "small.yaml", "tiny")
    for run in table.runs():
        kept = read_record(made.results, run)
        evaluated = json.loads((made.out / run.name / "metrics.json").read_text())
        assert kept["testing"]["dice"]["mean"] == pytest.approx(evaluated["segmentation"]["dice"]["mean"], abs=1e-5)
        assert len(kept["testing"]["images"]["image"]) == 12
        assert kept["steps"] == 1
        assert kept["channels"] == [4, 8]
        assert kept["curves"]["loss/segmentation"][0][0] == 1
        config = yaml.safe_load((made.out / run.name / "config.yaml").read_text())
        assert (config["seed"], config["crop_size"]) == (0, [32, 32])
    training = {name: item for name in ("lazy", "full") for item in [datalist(made, name)["training"]]}
    assert [sum("segmentation" in item for item in training[name]) for name in ("lazy", "full")] == [2, 20]
    assert "2 runs" in (made.results / "small_tiny.md").read_text()

    monkeypatch.setattr(runner, "call", lambda *a, **k: pytest.fail("a run was done twice"))
    assert CliRunner().invoke(app, command).exit_code == 0


def test_an_interrupted_run_goes_on_and_one_that_fails_is_named(specs, tmp_path, monkeypatch):
    table = read_table(specs / "small.yaml", "tiny")
    made, log = places(tmp_path), []

    def call(parts, log_file, program=None):
        log.append(log_file.stem)
        if log_file.stem == "tuning":
            raise ExperimentError("tuning.log ends with: no power")

    monkeypatch.setattr(runner, "call", call)
    monkeypatch.setattr(runner, "make_data", lambda run, variant, places: tmp_path)
    monkeypatch.setattr(runner, "resolve_config", lambda *a: {})
    failed = run_table(table, made, say=lambda line: None)
    assert set(failed) == {run.name for run in table.runs()}
    assert all("no power" in sentence for sentence in failed.values())
    assert log == ["training", "tuning"] * 2
    log.clear()
    run_table(table, made, only=["multitask"], say=lambda line: None)
    assert log == ["tuning"]  # the training that ended is not done again


def test_a_run_of_another_process_is_left_to_it(specs, tmp_path, monkeypatch):
    from filelock import FileLock

    table = read_table(specs / "small.yaml", "tiny")
    made, lines, done = places(tmp_path), [], []
    first, second = table.runs()

    def do_run(run, section, places):
        done.append(run.name)
        return {section: scores([0.5], [(1, 0, 0)])}

    monkeypatch.setattr(runner, "do_run", do_run)
    (made.out / first.name).mkdir(parents=True)
    with FileLock(made.out / first.name / ".lock"):
        assert run_table(table, made, say=lines.append) == {}
    assert done == [second.name]
    assert any("another process" in line for line in lines)


def test_no_lock_stays_after_a_run_nor_after_one_that_was_killed_at_its_end(specs, tmp_path, monkeypatch):
    table = read_table(specs / "small.yaml", "tiny")
    made = places(tmp_path)
    first, second = table.runs()

    def do_run(run, section, places):
        runner.write_record(places.results, run, record(testing=scores([0.5], [(1, 0, 0)])))
        return {section: scores([0.5], [(1, 0, 0)])}

    def make(parts, log):
        (log.parent / log.stem).mkdir()
        (log.parent / log.stem / "datalist.json").touch()

    monkeypatch.setattr(runner, "do_run", do_run)
    monkeypatch.setattr(runner, "call", make)
    run_table(table, made, say=lambda line: None)
    data = runner.make_data(first, "lazy", made)
    assert list(tmp_path.rglob("*.lock")) == []
    killed = [made.out / second.name / ".lock", data.with_name(f".{data.name}.lock")]
    for lock in killed:
        lock.touch()
    run_table(table, made, say=lambda line: None)
    runner.make_data(first, "lazy", made)
    assert list(tmp_path.rglob("*.lock")) == []


def test_a_comparison_in_another_folder_says_so_before_it_runs_anything(specs, tmp_path, monkeypatch):
    table = read_table(specs / "small.yaml", "tiny")
    made = places(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ExperimentError, match=r"config file 'bundle/configs/train.yaml' is not there: .* root of the repository"
    ):
        run_table(table, made, say=lambda line: None)
    assert not made.data.exists()
    assert not made.out.exists()


def test_real_sets_need_their_folder(specs, tmp_path):
    (specs / "small.yaml").write_text("title: a\ngroups: [{set: emps, methods: [multitask]}]\n")
    table = read_table(specs / "small.yaml", "tiny")
    failed = run_table(table, places(tmp_path), say=lambda line: None)
    assert "LAZYLABELS_DATA" in next(iter(failed.values()))


def test_a_step_that_fails_tells_its_last_line_and_its_log(tmp_path):
    log = tmp_path / "step.log"
    with pytest.raises(ExperimentError, match=r"step\.log ends with: SystemExit|step\.log ends with: no such thing"):
        runner.call(["-c", "raise SystemExit('no such thing')"], log)
    with pytest.raises(ExperimentError, match="cannot be run"):
        runner.call([], log, str(tmp_path / "nothing"))


def test_another_program_is_given_labels_and_its_maps_are_scored(specs, tmp_path, quick_calls):
    table = read_table(external(specs, tmp_path, interfaces=True), "tiny")
    made = places(tmp_path)
    assert run_table(table, made, say=lambda line: None) == {}
    run = next(table.runs())
    kept = read_record(made.results, run)
    assert kept["versions"]["program"] == "7"
    assert "torch" in kept["versions"]
    assert kept["settings"] == {"seed": "0"}
    assert set(kept["minutes"]) == {"export", "training", "testing"}
    scores = kept["testing"]
    assert len(scores["images"]["image"]) == 12
    assert "three maps" in scores["f1 by way"]
    assert scores["separation"]["precision"] is not None
    page = write_table(table, made.results)[0].read_text()
    assert "| another program | 1 of 1 |" in page
    assert "program 7" in page
    assert "- another program: seed 0\n" in page
    assert "- steps" not in page, "no run of ours"


@pytest.mark.parametrize("interfaces", [True, False])
def test_settings_are_tuned_on_the_validation_maps_and_interfaces_scored_where_there_are_any(
    specs, tmp_path, monkeypatch, interfaces
):
    table = read_table(external(specs, tmp_path, interfaces=interfaces), "tiny")
    made, commands = places(tmp_path), {}

    def call(parts, log_file, program=None):
        commands[log_file.stem] = parts
        if log_file.stem == "testing":
            raise ExperimentError("enough")

    monkeypatch.setattr(runner, "call", call)
    monkeypatch.setattr(runner, "make_data", lambda run, variant, places: tmp_path / "data")
    run_table(table, made, say=lambda line: None)
    folder = made.out / next(table.runs()).name
    assert commands["export"][2:] == ["export", str(tmp_path / "data"), str(folder / "exported")]
    assert commands["training"][1:] == [str(folder / "exported"), str(folder), "0"]
    score = commands["testing"]
    assert score[2:5] == ["score", str(tmp_path / "data"), str(folder / "predictions")]
    assert score[score.index("--tune") + 1] == str(folder / "validation_predictions")
    assert ("--interfaces" in score) == interfaces
    assert "--overwrite" in score, "an interrupted evaluation is done again"


def test_a_program_that_is_not_installed_is_named(specs, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "make_data", lambda run, variant, places: tmp_path / "data")
    methods = yaml.safe_load((specs / "methods.yaml").read_text())
    methods["external"] = {"title": "another program", "command": "nowhere/bin/python {data}"}
    (specs / "methods.yaml").write_text(yaml.safe_dump(methods))
    table = read_table(write_spec(specs, methods=["external"]), "tiny")
    failed = run_table(table, places(tmp_path), say=lambda line: None)
    assert [("nowhere/bin/python" in text, "docs/benchmarks.md" in text) for text in failed.values()] == [(True, True)]
    assert (FOLDER.parents[1] / "docs" / "benchmarks.md").is_file()


@pytest.mark.parametrize(
    ("config", "epochs"),
    [
        ({"max_epochs": 9, "train": {"trainer": {"max_epochs": "@max_epochs"}}}, 9),
        ({"max_epochs": 9, "train": {"trainer": {"max_epochs": 4}}}, 4),
        ({"max_epochs": 9}, 9),
        ({}, None),
    ],
)
def test_a_run_has_the_epochs_that_its_trainer_was_given(config, epochs):
    assert runner._epochs(config) == epochs
