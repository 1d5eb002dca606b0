"""Comparisons: what a table's files say, statistics against independent statements, and a whole small comparison."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import yaml
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.experiments import runner
from lazylabels_monai.experiments.records import images_of, read_record, record_file, write_record
from lazylabels_monai.experiments.rows import compare_rows, read_rows
from lazylabels_monai.experiments.runner import Places, run_table
from lazylabels_monai.experiments.spec import ExperimentError, arguments, read_table
from lazylabels_monai.experiments.statistics import mean_dice, paired_difference, pooled_f1
from lazylabels_monai.experiments.tables import write_table

FOLDER = Path(__file__).parents[1] / "configs" / "experiments"
OWN = ("sets.yaml", "methods.yaml", "scales.yaml")
TABLES = sorted(path for path in FOLDER.glob("*.yaml") if path.name not in OWN)


@pytest.fixture
def specs(tmp_path) -> Path:
    """A folder with the project's sets and methods, a scale of two steps, and a table of two methods on the built-in set."""
    folder = tmp_path / "specs"
    folder.mkdir()
    for name in OWN:
        shutil.copy(FOLDER / name, folder)
    tiny = {"channels": [4, 8], "num_multitask_blocks": 1, "crop_size": [32, 32], "batch_size": 2, "crops_per_epoch": 2}
    tiny |= {"max_epochs": 1, "val_interval": 1, "val_overlap": 0.0}
    (folder / "tiny_run.yaml").write_text(yaml.safe_dump(tiny))
    scales = yaml.safe_load((folder / "scales.yaml").read_text())
    scales["tiny"] = {"overlays": [str(folder / "tiny_run.yaml")], "values": {"height": 64, "width": 64, "half": 0.5}}
    (folder / "scales.yaml").write_text(yaml.safe_dump(scales))
    write_spec(folder, methods=["multitask", "unet_full"])
    return folder


def write_spec(folder: Path, name: str = "small", **group) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"title": "Small", "seeds": [0], "groups": [{"set": "synthetic", **group}]}))
    return path


def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "out", tmp_path / "results", tmp_path / "made")


# ------------------------------------------------------------------------------------------------ what is read


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


# ------------------------------------------------------------------------------------------------ statistics


def test_scores_are_those_of_their_definitions():
    assert mean_dice(np.array([[1.0, np.nan], [0.5, 0.25]])) == pytest.approx((0.75 + 0.25) / 2)
    assert np.isnan(mean_dice(np.full((2, 2), np.nan)))
    assert pooled_f1(np.array([[3, 1, 0], [0, 0, 2.0]])) == pytest.approx(6 / (6 + 1 + 2))
    assert np.isnan(pooled_f1(np.zeros((2, 3))))


def test_interval_of_one_seed_is_that_of_scipys_paired_bootstrap():
    rng = np.random.default_rng(0)
    theirs = rng.uniform(0.3, 0.9, 40)
    ours = theirs + rng.normal(0.02, 0.05, 40)
    found = paired_difference([ours[:, None]], [theirs[:, None]], mean_dice, resamples=6000)
    expected = scipy.stats.bootstrap(
        (ours - theirs,), np.mean, n_resamples=6000, method="percentile", rng=1
    ).confidence_interval
    assert found.mean == pytest.approx((ours - theirs).mean())
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=1.5e-3)


def test_a_difference_on_every_image_is_significant_although_images_differ_more():
    rng = np.random.default_rng(0)
    theirs = [rng.uniform(0, 0.9, (30, 1)) for _ in range(3)]
    ours = [array + 0.02 + rng.normal(0, 0.01, array.shape) for array in theirs]
    for by_seed in (False, True):
        assert paired_difference(ours, theirs, mean_dice, by_seed).verdict == "better"
        assert paired_difference(theirs, ours, mean_dice, by_seed).verdict == "worse"
        same = paired_difference(ours, ours, mean_dice, by_seed)
        assert (same.mean, same.low, same.high, same.verdict) == (0, 0, 0, "no significant difference")


def test_seeds_that_disagree_widen_the_interval():
    theirs = [np.full((50, 1), 0.5)] * 3
    ours = [array + shift for array, shift in zip(theirs, (-0.1, 0.0, 0.13), strict=True)]
    found = paired_difference(ours, theirs, mean_dice)
    assert found.mean == pytest.approx(0.01)
    assert found.low == pytest.approx(-0.1)
    assert found.verdict == "no significant difference"


def test_shared_images_are_drawn_for_all_seeds_at_once():
    """Seeds that agree on a hard image must not average it away: half of the images are won, half are lost, in every seed."""
    half = np.repeat([[0.1], [-0.1]], 10, axis=0)
    theirs = [np.full((20, 1), 0.5)] * 30
    ours = [array + half for array in theirs]
    crossed = paired_difference(ours, theirs, mean_dice, images_by_seed=False)
    nested = paired_difference(ours, theirs, mean_dice, images_by_seed=True)
    deviation = 0.1 / np.sqrt(20)  # of the mean of 20 images
    assert crossed.high - crossed.low == pytest.approx(2 * 1.96 * deviation, rel=0.15)
    assert nested.high - nested.low == pytest.approx(2 * 1.96 * deviation / np.sqrt(30), rel=0.15)


def test_intervals_cover_a_difference_of_zero_at_about_their_rate():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(150):
        image = rng.normal(0.6, 0.1, (40, 1))
        pairs = [[image + rng.normal(0, 0.05, image.shape) for _ in range(5)] for _ in range(2)]
        found = paired_difference(*pairs, mean_dice, resamples=300)
        covered += found.low <= 0 <= found.high
    assert covered >= 0.9 * 150


def test_images_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="same test images"):
        paired_difference([np.zeros((3, 1))], [np.zeros((4, 1))], mean_dice)
    with pytest.raises(ValueError, match="seeds"):
        paired_difference([np.zeros((3, 1))], [], mean_dice)
    with pytest.raises(ValueError, match="images_by_seed"):
        paired_difference([np.zeros((3, 1)), np.zeros((4, 1))], [np.zeros((3, 1)), np.zeros((4, 1))], mean_dice)


# ------------------------------------------------------------------------------------------------ tables


def scores(dice: list[float], counts: list[tuple[int, int, int]]) -> dict:
    columns = dict(zip(("tp", "fp", "fn"), map(list, zip(*counts, strict=True)), strict=True))
    return {
        "dice": {"bubble": float(np.mean(dice)), "mean": float(np.mean(dice))},
        "way": "components",
        "f1": pooled_f1(np.array(counts, float)),
        "f1 by way": {"components": pooled_f1(np.array(counts, float))},
        "objects": {},
        "separation": {"precision": None, "recall": None},
        "images": {"image": [f"i{n}" for n in range(len(dice))], "dice bubble": dice, **columns},
    }


def record(**scores_by_section) -> dict:
    about = {"set": "synthetic", "data": "lazy", "method": "m", "seed": 0, "scale": "tiny", "date": "2026-01-02"}
    return {**about, "machine": "a machine", "versions": {"torch": "2"}, "minutes": {"training": 3.0}, **scores_by_section}


def test_a_table_says_what_the_records_say(specs, tmp_path):
    table = read_table(write_spec(specs, methods=["multitask", "unet_strong"], reference="multitask"), "tiny")
    ours, theirs = table.runs()
    write_record(tmp_path, ours, record(testing=scores([0.9, 0.8, 0.7], [(8, 1, 1), (9, 0, 0), (7, 1, 2)])))
    write_record(tmp_path, theirs, record(testing=scores([0.8, 0.7, 0.6], [(2, 5, 5), (1, 5, 8), (3, 6, 6)])))
    paths = write_table(table, tmp_path)
    assert [path.name for path in paths] == ["small_tiny.md", "small_tiny.csv", "small_tiny_scores.png"]  # no curve was kept
    page = paths[0].read_text()
    assert "| multi-task | 1 of 1 | 0.800 | " in page
    assert "| U-Net on strong labels | +0.100 (+0.100 to +0.100) better, one seed |" in page
    assert "| +33 % |" in page  # of the error: 0.3 became 0.2
    assert "not done yet" not in page
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["dice mean"]) for row in rows] == pytest.approx([0.8, 0.7])
    assert float(rows[0]["f1@0.5"]) == pytest.approx(2 * 24 / (2 * 24 + 2 + 3))


def test_a_run_in_two_groups_is_counted_once(specs, tmp_path):
    path = specs / "twice.yaml"
    groups = [{"set": "synthetic", "methods": ["multitask", other]} for other in ("unet_full", "unet_strong")]
    path.write_text(yaml.safe_dump({"title": "Twice", "groups": groups}))
    table = read_table(path, "tiny")
    write_record(tmp_path, next(table.runs()), record(testing=scores([0.9], [(1, 0, 0)])))
    page = write_table(table, tmp_path)[0].read_text()
    assert "2 of 3 runs are not done yet" in page
    assert "- 1 runs, 0.1 hours" in page  # 3 minutes


def test_error_is_compared_over_the_seeds_that_both_rows_have(specs, tmp_path):
    table = read_table(write_spec(specs, methods=["multitask", "unet_strong"], seeds=[0, 1]), "tiny")
    for run, dice in zip(table.runs(), (0.8, 0.7, 0.4), strict=False):  # the U-Net's second seed was not done
        write_record(tmp_path, run, record(testing=scores([dice], [(1, 0, 0)])))
    page = write_table(table, tmp_path)[0].read_text()
    assert "| +0.100 (+0.100 to +0.100) better, one seed |" in page
    assert "| +33 % |" in page  # 0.2 against 0.3, both of seed 0


def test_pairs_of_all_groups_are_counted_once_and_by_set(specs, tmp_path):
    path = specs / "pairs.yaml"
    groups = [
        {"set": "synthetic", "methods": ["multitask_no_detection", "multitask"], "reference": "multitask"},
        {"set": "superalloy", "methods": ["unet_full", "multitask"], "reference": "multitask", "seeds": [0]},
    ]
    path.write_text(yaml.safe_dump({"title": "Pairs", "seeds": [0, 1], "groups": groups}))
    table = read_table(path, "tiny")
    assert [(run.dataset.name, run.seed) for run in table.runs()] == [
        *[("synthetic", 0)] * 2,
        *[("superalloy", 0)] * 2,
        *[("synthetic", 1)] * 2,
    ]
    assert {group.seeds for group in table.with_seeds([3]).groups} == {(3,)}
    dice = {("synthetic", 0): (0.7, 0.8), ("synthetic", 1): (0.6, 0.5), ("superalloy", 0): (0.9, 0.93)}
    for run in table.runs():
        first = run.method.name == "multitask"
        scored = scores([dice[run.dataset.name, run.seed][first]], [(2, 1, 1) if first else (3, 0, 0)])
        write_record(tmp_path, run, record(testing=scored, curves={"loss/total": [[1, 3.0], [2, 0.5 if first else 0.75]]}))
    page = write_table(table, tmp_path)[0].read_text()
    f1, loss = (f"-{value} (-{value} to -{value}), above 0 in 0" for value in ("0.333", "0.250"))
    assert f"microstructures | 2 | +0.000 (-0.100 to +0.100), above 0 in 1 | {f1} | {loss} |" in page
    assert "| superalloy | 1 | +0.030, above 0 in 1 | -0.333, above 0 in 0 | - |" in page
    assert f"| all | 3 | +0.010 (-0.100 to +0.100), above 0 in 2 | {f1} | {loss} |" in page


def test_a_run_that_is_missing_is_said_to_be(specs, tmp_path):
    table = read_table(write_spec(specs, methods=["multitask", "unet_strong"]), "tiny")
    page = write_table(table, tmp_path)[0].read_text()
    assert "None of 2 runs is done yet" in page
    write_record(tmp_path, next(table.runs()), record(testing=scores([0.9], [(1, 0, 0)])))
    page = write_table(table, tmp_path)[0].read_text()
    assert "1 of 2 runs are not done yet" in page
    assert "| U-Net on strong labels | 0 of 1 | - |" in page


def test_other_test_images_are_not_compared(specs, tmp_path):
    table = read_table(write_spec(specs, methods=["multitask", "unet_strong"]), "tiny")
    ours, theirs = table.runs()
    write_record(tmp_path, ours, record(testing=scores([0.9, 0.8], [(1, 0, 0), (1, 0, 0)])))
    other = scores([0.9, 0.8], [(1, 0, 0), (1, 0, 0)])
    other["images"]["image"] = ["i0", "another"]
    write_record(tmp_path, theirs, record(testing=other))
    assert compare_rows(*read_rows(table, table.groups[0], tmp_path)) == {}


def test_kept_columns_are_those_of_the_evaluation(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "image,dice a,dice mean,interface correct,objects three maps tp,objects components tp,objects components fp\n"
        "images/x.png,0.1234567,0.1234567,,3,4.0,\n"
        "images/y.png,,,,3,0.0,2.0\n"
    )
    assert images_of(tmp_path, "components") == {
        "image": ["x", "y"],
        "dice a": [0.12346, None],
        "tp": [4, 0.0],
        "fp": [None, 2],
    }


def test_a_record_that_cannot_be_read_is_named(specs, tmp_path):
    run = next(read_table(specs / "small.yaml", "tiny").runs())
    path = record_file(tmp_path, run)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(ExperimentError, match="multitask_s0"):
        read_record(tmp_path, run)


# ------------------------------------------------------------------------------------------------ runs


def test_a_comparison_from_its_file_to_its_table_and_nothing_twice(specs, tmp_path, monkeypatch):
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


def datalist(made: Places, variant: str) -> dict:
    return json.loads((made.data / "tiny" / f"synthetic-{variant}_s0" / "datalist.json").read_text())


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


def external(specs: Path, tmp_path: Path, **more) -> Path:
    """A method that is a program of a few lines: the images' class maps are one class, with a line of interface."""
    program = tmp_path / "program.py"
    program.write_text(
        "import json, pathlib, sys\n"
        "import numpy as np\n"
        "from PIL import Image\n"
        "labels, out, seed = map(pathlib.Path, sys.argv[1:])\n"
        "about = json.loads((labels / 'dataset.json').read_text())\n"
        "for section, name in (('testing', 'predictions'), ('validation', 'validation_predictions')):\n"
        "    (out / name).mkdir()\n"
        "    for path in (labels / section / 'images').iterdir():\n"
        "        classes = np.ones((64, 64), np.uint8)\n"
        "        classes[:, 30:33] = about['interface']\n"
        "        Image.fromarray(classes).save(out / name / f'{path.stem}.png')\n"
        "(out / 'about.json').write_text(json.dumps({'versions': {'program': '7'}, 'settings': {'seed': str(seed)}}))\n"
    )
    methods = yaml.safe_load((specs / "methods.yaml").read_text())
    command = f'"{sys.executable}" "{program}" {{labels}} {{out}} {{seed}}'
    methods["external"] = {"title": "another program", "command": command, **more}
    (specs / "methods.yaml").write_text(yaml.safe_dump(methods))
    return write_spec(specs, methods=["external"])


def test_another_program_is_given_labels_and_its_maps_are_scored(specs, tmp_path):
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
