"""What a table's files say."""

from __future__ import annotations

import pytest
import yaml

from lazylabels_monai.experiments import runner
from lazylabels_monai.experiments.spec import ExperimentError, arguments, read_table
from lazylabels_monai.experiments.tables import write_table
from tests.experiments.places import FOLDER, TABLES, write_spec


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("scale", ["cpu", "paper"])
def test_tables_of_the_project_name_files_that_exist(path, scale):
    table = read_table(path, scale)
    runs = list(table.runs())
    assert len({run.name for run in runs}) == len(runs) >= len(table.seeds)
    root = FOLDER.parents[1]
    for run in runs:
        assert all((root / overlay).is_file() for overlay in run.overlays), run.name
        others = dict.fromkeys(run.dataset.variants, "folder")
        made = arguments(run.dataset.variants[run.data], out="o", seed=run.seed, data="sets", **run.scale.values, **others)
        assert made[0] in ("synthetic", "simulate", "grabcut")


def test_a_table_names_the_scale_that_it_is_made_for(specs, tmp_path):
    path = specs / "small.yaml"
    path.write_text(path.read_text() + "scale: tiny\n")
    own, other = read_table(path), read_table(path, "cpu")
    assert (own.scale.name, own.own_scale, other.scale.name, other.own_scale) == ("tiny", True, "cpu", False)
    assert [write_table(table, tmp_path)[0].name for table in (own, other)] == ["small.md", "small_cpu.md"]
    assert "small.yaml --scale cpu`" in (tmp_path / "small_cpu.md").read_text()
    assert "--scale" not in (tmp_path / "small.md").read_text()


@pytest.mark.parametrize("mirroring", [True, False])
def test_settings_are_tuned_on_maps_like_those_that_are_scored(specs, tmp_path, mirroring):
    overlay = specs / "tiny_run.yaml"
    overlay.write_text(overlay.read_text() + f"mirroring: {str(mirroring).lower()}\n")
    run = next(read_table(specs / "small.yaml", "tiny").runs())
    steps = {step.name: step.arguments for step in runner._bundle_steps(run, "testing", tmp_path, tmp_path)}
    assert ("--mirroring" in steps["tuning"]) is mirroring
    assert str(overlay) in str(steps["testing"]), "the overlay that says so is evaluation's, too"


def test_every_overlay_belongs_to_a_method():
    methods = yaml.safe_load((FOLDER / "methods.yaml").read_text())
    named = {FOLDER.parents[1] / overlay for method in methods.values() for overlay in method.get("overlays", [])}
    assert set((FOLDER / "methods").iterdir()) <= named


def test_runs_of_one_seed_come_before_those_of_the_next_and_tables_share_them(specs):
    table = read_table(write_spec(specs, methods=["multitask", "pseudo_labels"]), "tiny")
    assert [run.name for run in table.runs()] == [
        "tiny/synthetic-lazy/multitask_s0",
        "tiny/synthetic-pseudo/pseudo_labels_s0",
    ]
    other = read_table(write_spec(specs, "other", methods=["multitask"]), "tiny")
    assert next(iter(other.runs())).name == next(iter(table.runs())).name


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"methods": ["nothing"]}, ["methods.yaml", "nothing"]),
        ({"set": "nothing", "methods": ["multitask"]}, ["sets.yaml", "nothing"]),
        ({"methods": ["multitask"], "data": "none"}, ["synthetic", "none"]),
        ({"methods": []}, ["no methods"]),
        ({"methods": ["multitask"], "colour": 1}, ["colour"]),
        ({"methods": ["multitask"], "seeds": 3}, ["small.yaml", "seeds 3", "[0, 1, 2]"]),
        ({"methods": ["multitask"], "reference": "unet_weak"}, ["unet_weak", "multitask"]),
    ],
)
def test_what_nothing_defines_is_named(specs, group, words):
    path = write_spec(specs, **group)
    with pytest.raises(ExperimentError) as error:
        read_table(path, "tiny")
    assert all(word in str(error.value) for word in words), error.value


def test_other_mistakes_in_the_files_are_named(specs, tmp_path):
    path = specs / "small.yaml"
    with pytest.raises(ExperimentError, match="huge"):
        read_table(path, "huge")
    with pytest.raises(ExperimentError, match="missing"):
        read_table(specs / "missing.yaml")
    path.write_text("title: a\n")
    with pytest.raises(ExperimentError, match="groups"):
        read_table(path)
    path.write_text("title: a\ngroups: []\nepochs: 3\n")
    with pytest.raises(ExperimentError, match="epochs"):
        read_table(path)
    path.write_text("title: [a\n")
    with pytest.raises(ExperimentError, match="YAML"):
        read_table(path)
    with pytest.raises(ExperimentError, match="side"):
        arguments("simulate {side}", out="x")


def test_fields_of_a_command_may_hold_spaces():
    assert arguments('simulate {data}/emps {out} --classes "a b,c"', data="/my sets", out="o") == [
        "simulate",
        "/my sets/emps",
        "o",
        "--classes",
        "a b,c",
    ]
