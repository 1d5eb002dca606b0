"""A setting of a wrong type or out of its range is a sentence that names it, for every id and whatever runs the configs."""

from __future__ import annotations

import json
import math
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser

from lazylabels_monai.errors import FOLDER_IDS, OWN_PARTS, LazyLabelsError, user_error
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.settings import SETTINGS, _check_ids, check_given, check_settings
from tests.helpers import ROOT

CONFIGS = {name: yaml.safe_load((ROOT / "bundle" / "configs" / name).read_text()) for name in ("train.yaml", "inference.yaml")}
CONFIGS["evaluate.yaml"] = yaml.safe_load((ROOT / "bundle" / "configs" / "evaluate.yaml").read_text())

WHOLE = ["ten", 1.5, True, None, [1], {}, -1, 10**12, "3"]
NUMBER = ["x", True, None, [], {}, math.nan, math.inf, -0.1, "1e-4"]
FLAG = ["false", "True", 0, 1, None, [], "x"]
WORD = ["FOO", 3, None, [], True, ""]
SIZE = [32, [32], [32, 0], [32, -1], [32, 1.5], ["a", "b"], "[32, 32]", None, [32] * 4, [True, True], [32, 10**9], []]
TASKS = ["segmentation", [], ["FOO"], ["segmentation", "segmentation"], 3, None, [3]]
BY_TASK = [3, "x", [0.4], {"FOO": 0.4}, {"segmentation": "x"}, {"segmentation": -1}, {"segmentation": math.nan}, None]

#: For each id, values that are wrong; written down by hand, from what the ids mean.
WRONG = {
    **{name: [*WHOLE, 0] for name in ("max_epochs", "crops_per_epoch", "batch_size", "val_interval", "in_channels")},
    **dict.fromkeys(("num_workers", "seed", "early_stop_patience", "interface_gap", "unmarked_images"), WHOLE),
    "spatial_dims": [*WHOLE, 1, 4],
    "num_classes": [*WHOLE, 1, 256],
    "num_multitask_blocks": [*WHOLE, 0],
    "detection_stride": [*WHOLE, 0, 3, 6, 2**15],
    "finest_width": [*NUMBER, 0, 1.5],
    "separation_conv": [*WORD, "separable"],
    **{name: [*NUMBER, 1.1] for name in ("cache_rate", "affine_prob", "unmarked_share")},
    **{name: [*NUMBER, 1.0] for name in ("val_overlap", "overlap", "ema_decay")},
    "val_share": ["x", True, [], {}, math.nan, math.inf, -0.1, 0, 1, 15, "0.15"],
    "val_time_share": ["x", None, True, [], {}, math.nan, math.inf, -0.1, 0, 1, 25, "0.25"],
    **dict.fromkeys(("dice_weight", "anchor_weight", "interface_tolerance"), NUMBER),
    "learning_rate": [*NUMBER, -1],
    "head_learning_rate": [*NUMBER, -1],
    "anew_learning_rate": [*NUMBER, -1],
    "dropout": [*NUMBER, 1, ["FOO", {}], "dropout"],
    "implied_background": ["x", True, [], -1, math.nan],
    **{name: ["x", True, None, [], {}, math.nan, ["x"]] for name in ("rotate_range", "intensity_jitter")},
    "scale_range": ["x", True, None, [], {}, math.nan, 1.0, 7],
    **dict.fromkeys(
        (
            *("zero_init_residual", "amp", "channels_last", "cpu_bfloat16", "lr_decay", "resume", "implied_segmentation"),
            "weight_interpolation",
            *("implied_detection", "implied_separation", "implied_interface", "mirroring", "save_probabilities"),
            *("crops_at_marks", "learns_anew"),
            *("save_overlay", "save_instances", "class_aware_objects", "glas_metrics", "orders"),
        ),
        FLAG,
    ),
    **dict.fromkeys(("normalization", "pixel_mean", "loss_normalization", "section", "output_ext"), WORD),
    "output_postfix": [3, None, [], True, ""],
    "init_weights": [3, True, [], "", {}],
    "fine_tuning_from": ["x", True, [], -0.1, 1.1, math.nan],
    "fine_tuning_rate": ["x", True, None, [], 0, -0.1, math.nan],
    **dict.fromkeys(("crop_size", "window_size", "val_window_size"), SIZE),
    "channels": [4, [4], [4, 0], [4, -8], [4, 8.0], "[4, 8]", ["a", "b"], None, [], [4, 10**9], {}],
    "tasks": TASKS,
    "answered_tasks": TASKS,
    "checked_sections": TASKS,
    "classes": [3, "pore", [], [3], ["pore", "pore"], [""], None, {}],
    "norm": [3, True, [], {}, ["INSTANCE"], ["INSTANCE", 3, 4]],
    "device": ["FOO", "cuda:99", "meta", None, [], 1.5, ""],
    "sampling_shares": [*BY_TASK[:-1], {"segmentation": 1.5}],
    "task_weights": BY_TASK,
    "class_weights": [
        3,
        "x",
        [1, 2],
        {"FOO": [1, 2]},
        {"segmentation": 2},
        {"segmentation": ["x"]},
        {"segmentation": [-1]},
        None,
    ],
    "seen": [3, "x", []],
    "instance_settings": [3, "x", None, {}],
}

#: And some that are right, besides the configs' own.
RIGHT = {
    "channels": [[4, 8], (16, 32, 64)],
    "crop_size": [[1, 1], (7, 300), [8, 8, 8]],
    "norm": ["BATCH", None, ["GROUP", {"num_groups": 2}], ("INSTANCE", {"affine": True})],
    "dropout": [0, 0.5, ["dropout", {"p": 0.1}]],
    "learning_rate": [0, 1, 1e-9, 1e30],
    "rotate_range": [0, 0.5, [0.2, 0.2, 3.14], [[0.1, 0.2], 0.3]],
    "val_overlap": [0, 0.9, [0.1, 0.2]],
    "val_share": [None, 0.15, 0.99],
    "init_weights": [None, "starter", "a/model.pt"],
    "fine_tuning_from": [None, 0, 0.8, 1],
    "fine_tuning_rate": [1, 0.1, 1e-6],
    "sampling_shares": [None, {}, {"segmentation": 1, "separation": 0.2}],
    "class_weights": [{}, {"separation": [1, 10]}, {"segmentation": (0.5, 1.0, 1.0)}],
    "implied_background": [None, 0, 2.5],
    "device": ["cpu", "cpu:0"],
    "classes": [["pore"], ("a", "b")],
    "seen": [None, {"images": 3}],
    "instance_settings": [InstanceSettings()],
    "tasks": [["segmentation"], ("separation", "segmentation")],
    "output_ext": [".png", ".nii.gz"],
    "section": ["testing"],
}


def test_every_setting_of_the_table_has_wrong_values_here():
    assert set(WRONG) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_wrong_values_are_refused_by_name_with_what_is_expected(name):
    for value in WRONG[name]:
        with pytest.raises(LazyLabelsError) as raised:
            check_settings({name: value})
        said = str(raised.value)
        assert said.startswith(f"{name} is ")
        assert f"where {SETTINGS[name].expected} is expected: correct {name}." in said
        assert "\n" not in said
        assert len(said) < 400


def test_right_values_pass():
    for name, values in RIGHT.items():
        for value in values:
            check_settings({name: value})


@pytest.mark.parametrize("file", CONFIGS)
def test_every_id_of_the_configs_is_known(file):
    """Each id in the block of what to change is in the table, and the config hands it over."""
    config = CONFIGS[file]
    text = (ROOT / "bundle" / "configs" / file).read_text()
    block = text.split("what to change\n")[1].split("# ---")[0] if file != "evaluate.yaml" else text.split("\nema:")[0]
    ids = set(re.findall(r"^(\w+):", block, re.M)) - {"bundle_root", "weights_file", *FOLDER_IDS}
    assert sorted(ids - set(SETTINGS)) == []
    handed = {
        key: value
        for name in ("given_settings", "+given_settings", "made_settings")
        for key, value in config.get(name, {}).items()
    }
    assert handed == {name: f"@{name}" for name in handed}
    by_call = set(re.findall(r"'(\w+)': @", " ".join(map(str, config["initialize"]))))
    train = CONFIGS["train.yaml"]
    by_train = {*train["given_settings"], *train["made_settings"]} if file == "evaluate.yaml" else set()
    assert sorted(ids - set(handed) - by_call - by_train) == []


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(SETTINGS)),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_any_value_passes_or_is_a_sentence(name, value):
    try:
        check_settings({name: value})
    except LazyLabelsError as error:
        said = str(error)
    else:
        said = f"{name} is right"
    assert said.startswith(f"{name} is ")


TOGETHER = {"spatial_dims": 2, "channels": [4, 8, 8], "norm": "BATCH", "num_multitask_blocks": 2}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"norm": "FOO"}, "norm is 'FOO' .*there are BATCH, GROUP, INSTANCE"),
        ({"norm": "GROUP"}, "norm is 'GROUP' .* goes with 4 channels"),
        ({"norm": ["GROUP", {"num_groups": 3}]}, "norm is .* goes with 4 channels"),
        ({"norm": ["INSTANCE", {"afine": True}]}, "norm is .*afine"),
        ({"num_multitask_blocks": 3}, "num_multitask_blocks is 3 .* from 1 to 2"),
        ({"detection_stride": 4}, "detection_stride is 4 .* from 1 to 2"),
        ({"norm": ["GROUP", {"num_groups": 4}], "finest_width": 0.5}, "norm is .* goes with 2 channels"),
        ({"crop_size": [32, 32, 32]}, "crop_size is .* a list of 2 whole numbers"),
        ({"window_size": [32, 32, 32]}, "window_size is .* a list of 2 whole numbers"),
        ({"spatial_dims": 3, "crop_size": [32, 32]}, "crop_size is .* a list of 3 whole numbers"),
        ({"batch_size": 1, "crop_size": [4, 3]}, "batch_size is 1 .* 2 or more, for norm BATCH"),
        ({"spatial_dims": 3, "channels_last": True}, "channels_last is true .* false for volumes"),
    ],
)
def test_settings_that_do_not_go_together(change, said):
    check_settings(TOGETHER)
    for works in ({"batch_size": 1, "crop_size": [5, 4]}, {"batch_size": 2, "crop_size": [4, 4]}):
        check_settings({**TOGETHER, **works})
    check_settings({**TOGETHER, "norm": "INSTANCE", "batch_size": 1, "crop_size": [1, 1]})
    check_settings({**TOGETHER, "detection_stride": 2, "finest_width": 0.5, "separation_conv": "depthwise"})
    with pytest.raises(LazyLabelsError, match=said):
        check_settings({**TOGETHER, **change})


# ---------------------------------------------------------------------------------------------- in the workflows


def refused(run) -> str:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - MONAI wraps it
        run()
    found = user_error(raised.value)
    assert isinstance(found, LazyLabelsError), raised.value
    return str(found)


def first_wrong(name):
    """The first that is no text with a meaning for MONAI, and no None, which is left out of some calls."""
    return next(value for value in WRONG[name] if value is not None)


@pytest.mark.parametrize("file", ["train.yaml", "evaluate.yaml", "inference.yaml"])
def test_every_workflow_refuses_each_of_its_settings_first(bundle, tiny_data, trained, tmp_path, file):
    """Nothing is written, and nothing of MONAI's or torch's fails before."""
    files = {
        "train.yaml": ["train.yaml"],
        "evaluate.yaml": ["train.yaml", "evaluate.yaml"],
        "inference.yaml": ["inference.yaml"],
    }
    config = {key: value for name in files[file] for key, value in CONFIGS[name].items()}
    kind = "infer" if file == "inference.yaml" else "train"
    for name in sorted(set(config) & set(SETTINGS)):
        given = {**bundle.overrides(tiny_data, tmp_path / "out"), "ckpt_dir": str(trained / "models"), name: first_wrong(name)}
        if file == "train.yaml":
            given = {**bundle.training, **given, "ckpt_dir": str(tmp_path / "out" / "models")}
        said = refused(lambda given=given: bundle.run(bundle.files(*files[file]), kind, **given))
        assert said.startswith(f"{name} is "), (name, said)
    assert not (tmp_path / "out").exists()


def test_a_network_unlike_that_of_the_weights_is_refused(bundle, tiny_data, trained, tmp_path):
    for change, said in (
        ({"normalization": "mean_std"}, 'had normalization "percentiles", not "mean_std" (network.json): give --normalization'),
        ({"channels": [4, 8, 16]}, 'had channels [4, 8, 8], not [4, 8, 16] (network.json): give --channels "[4, 8, 8]"'),
        ({"norm": "BATCH"}, 'had norm ["INSTANCE", {"affine": true}], not "BATCH"'),
    ):
        given = {**change, "ckpt_dir": str(trained / "models")}
        for run in (bundle.infer, bundle.evaluate):
            assert said in refused(lambda run=run, given=given: run(tiny_data, tmp_path / "out", **given))
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------------- what was typed


def command(bundle, *arguments, run_id="training", files=("train.yaml",)):
    return ["run", run_id, "--config_file", str(bundle.files(*files)), *arguments]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--optimizer", "3"], "'--optimizer 3' would replace a part with names of its own"),
        (["--train", "x"], "'--train x' would replace a part"),
        (["--imports", "os"], "'--imports os' would replace a list"),
        (["--train#dataset#cache_rat", "0.5"], "train#dataset has no 'cache_rat'; did you mean cache_rate?"),
        (["--train::trainer::max_epoch", "5"], "train#trainer has no 'max_epoch'; did you mean max_epochs?"),
        (["--optimizer#weigth_decay", "0.1"], "optimizer has no 'weigth_decay'; did you mean weight_decay?"),
        (["--validate#evaluater#amp", "True"], "validate has no 'evaluater'; did you mean evaluator?"),
        (["--train#handlers#99#x", "1"], "train#handlers is a list of"),
        (["--max_epochs#x", "1"], "max_epochs is 200, which has no parts"),
        (
            ["--optimizer#_target_", "torch.optim.SGD", "--optimizer#betas", "[0, 1]"],
            "optimizer has no 'betas'; there are params, lr, mom",
        ),
    ],
)
def test_what_was_typed_must_mean_something(bundle, arguments, said):
    with pytest.raises(LazyLabelsError, match=re.escape(said)):
        check_given(command(bundle, *arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--optimizer#weight_decay", "0.1"],
        ["--network_def#residual", "False"],
        ["--train#trainer#decollate", "False"],
        ["--train#dataset#_disabled_", "True"],
        ["--sampling_shares#detection", "0.2"],
        ["--validate#inferer#roi_size", "[32, 32]"],
        ["--writer", "$None"],
        ["--optimizer#_target_", "torch.optim.SGD", "--optimizer#momentum", "0.9"],
        ["--max_epochs", "5"],
        ["--optimizer", "{'_target_': 'torch.optim.SGD', 'lr': 0.1}"],
    ],
)
def test_what_works_passes(bundle, arguments):
    check_given(command(bundle, *arguments))


def test_a_mistyped_name_after_run_and_in_a_file(bundle, tmp_path):
    with pytest.raises(LazyLabelsError, match=r"'run trainig' is no id of this config; did you mean training\?"):
        check_given(command(bundle, run_id="trainig"))
    own = tmp_path / "own.yaml"
    own.write_text("lerning_rate: 3\n")
    with pytest.raises(
        LazyLabelsError, match=r"own\.yaml: 'lerning_rate' is no id of this config; did you mean learning_rate?"
    ):
        check_given(command(bundle, files=("train.yaml", own)))
    own.write_text("learning_rates: 3\nlearning_rate: '$@learning_rates / 2'\nmine: 3\n")  # an id of one's own, that is used
    check_given(command(bundle, files=("train.yaml", own)))
    check_given(command(bundle, files=("train.yaml", "evaluate.yaml"), run_id="evaluating"))
    own.write_text("val_batch_size: 3\n")
    check_given(command(bundle, "--batch_size", "@val_batch_size", files=("train.yaml", own)))


def test_parts_that_a_person_gave_are_noted(bundle, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("seed: 3\nmine: 3\n+train#handlers: []\nlr_scheduler: {_target_: a.b}\n")
    check_given(
        command(bundle, "--loss#_target_", "c.d", "--max_epochs", "3", files=("train.yaml", own, "multi_gpu_train.yaml"))
    )
    assert OWN_PARTS == ["mine", "train#handlers", "lr_scheduler", "loss#_target_"]
    check_given(command(bundle))
    assert OWN_PARTS == []


def test_an_id_that_nothing_refers_to_is_told_of(bundle, tmp_path, caplog):
    own = tmp_path / "own.yaml"
    own.write_text("lr: 3\nauthor: me\nrate: 3\nlearning_rate: '@rate'\noverlap: 0.5\nmine: ['$print(1)']\noptimizer#lr: 1\n")
    check_given(command(bundle, files=("train.yaml", own)))
    assert caplog.messages == [f"{own}: nothing refers to 'lr', 'author', so that they change nothing."]
    caplog.clear()
    check_given(command(bundle, "--optimizer#lr", "@lr", "--seed", "@author", files=("train.yaml", own)))
    assert not caplog.messages


@pytest.mark.parametrize("reference", ["'@{id}'", "'$2 * @{id}'", "'%{file}::{id}'", "'%{file}#{id}'"])
@pytest.mark.parametrize("name", ["größe", "batch_siże"])
def test_an_id_that_a_file_of_ones_own_refers_to_is_none_of_these(bundle, tmp_path, caplog, name, reference):
    """In whatever language, and as MONAI reads a value of another file."""
    own = tmp_path / "own.yaml"
    own.write_text(f"{name}: 3\nbatch_size: {reference.format(id=name, file=own)}\n", encoding="utf-8")
    check_given(command(bundle, files=("train.yaml", own)))
    assert not caplog.messages


@pytest.mark.parametrize(
    ("files", "content", "said"),
    [
        (
            ("own", "train.yaml"),
            "channels: [4, 8]\nmine: 3\n",
            r"own.yaml: channels would be without effect, as \S*/train",
        ),
        (
            ("own", "train.yaml"),
            "optimizer: {lr: 1}\nseed: 3\n",
            r"own.yaml: optimizer, seed .* replaces them: name \S*own",
        ),
        (("own", "inference.yaml"), "mirroring: true\n", "own.yaml: mirroring would be without effect"),
        (("evaluate.yaml", "train.yaml", "own"), "seed: 3\n", r"evaluate.yaml: .* name \S*evaluate.yaml after"),
        (("multi_gpu_train.yaml", "train.yaml", "own"), "seed: 3\n", r"multi_gpu_train.yaml: .* name \S*train.yaml after"),
        (("train.yaml", "own", "evaluate.yaml"), "interface_gap: 4\n", r"own.yaml: interface_gap .* as \S*/evaluate.yaml"),
    ],
)
def test_a_file_before_the_bundles_own_is_refused(bundle, tmp_path, files, content, said):
    own = tmp_path / "own.yaml"
    own.write_text(content)
    named = [own if file == "own" else file for file in files]
    run = "inferring" if "inference.yaml" in files else "evaluating" if "evaluate.yaml" in files else "training"
    with pytest.raises(LazyLabelsError, match=said):
        check_given(command(bundle, files=named, run_id=run))
    if named[-1] == own:
        named = [named[1], named[0], own]
    check_given(command(bundle, files=[*(file for file in named if file != own), own], run_id=run))


@pytest.mark.parametrize("content", [None, "+imports: ['$import math']\ninitialize: []\nseed: 3\n"])
def test_a_training_of_its_own_begin_may_be_evaluated(bundle, tmp_path, content):
    """``evaluate.yaml`` begins in a way of its own, and must be named last."""
    own = ROOT / "configs" / "interactive.yaml"
    if content is not None:
        own = tmp_path / "own.yaml"
        own.write_text(content)
    check_given(command(bundle, files=("train.yaml", own, "evaluate.yaml"), run_id="evaluating"))


def test_evaluating_without_the_training_it_lies_on_is_refused(bundle):
    with pytest.raises(LazyLabelsError, match=r"evaluate.yaml is an overlay: name train.yaml before it"):
        check_given(command(bundle, files=["evaluate.yaml"], run_id="evaluating"))


@pytest.mark.parametrize("content", ["mine: 3\n", "seed: 0\n"])
def test_a_file_before_the_bundles_own_passes_where_it_loses_nothing(bundle, tmp_path, content):
    own = tmp_path / "own.yaml"
    own.write_text(content)
    check_given(command(bundle, files=(own, "train.yaml")))
    own.write_text("channels: [4, 8]\n")
    check_given(command(bundle, files=("train.yaml", own, "evaluate.yaml"), run_id="evaluating"))
    check_given(["run", "training", "--config_file", ",".join(bundle.files("train.yaml", own))])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"train#dataset#cache_rat": 0.5}, "args.json: 'train#dataset#cache_rat': train#dataset has no 'cache_rat'"),
        ({"optimizer#weigth_decay": 0.5}, "optimizer has no 'weigth_decay'; did you mean weight_decay?"),
        ({"run_id": "trainig"}, "'run trainig' is no id of this config; did you mean training?"),
    ],
)
def test_parts_in_a_file_of_arguments_must_mean_something(bundle, tmp_path, more, said):
    file = tmp_path / "args.json"
    file.write_text(json.dumps({"config_file": bundle.files("train.yaml"), **more}))
    with pytest.raises(LazyLabelsError, match=re.escape(said)):
        check_given(["run", "--args_file", str(file)])
    file.write_text(json.dumps({"run_id": "training", "optimizer#weight_decay": 0.5, "channels": [4, 8], "val_share": None}))
    check_given(["run", "--args_file", str(file), "--config_file", str(bundle.files("train.yaml"))])


@pytest.mark.parametrize("overlay", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_overlay_that_comes_along_passes(bundle, caplog, overlay):
    content = yaml.safe_load(overlay.read_text())
    if "experiments" in overlay.parts and overlay.parent.name not in ("methods", "settings", "scales"):
        pytest.skip("a file of the comparisons, no overlay")
    check_given(command(bundle, files=("train.yaml", overlay)))
    assert not caplog.messages
    known = {name: value for name, value in content.items() if name in SETTINGS and not str(value).startswith(("$", "@"))}
    check_settings(known)


@pytest.mark.parametrize(
    ("typed", "meant"), [("lerning_rate", "learning_rate"), ("datset_dir", "dataset_dir"), ("max_epoch", "max_epochs")]
)
def test_an_id_mistyped_in_python_is_refused(bundle, tiny_data, tmp_path, typed, meant):
    """MONAI adds it to the config, as it does on the command line."""
    values = {**bundle.overrides(tiny_data, tmp_path), **bundle.training, typed: 1}
    with (
        pytest.raises(Exception, match="ConfigExpression") as refused,
        bundle.workflow(bundle.files("train.yaml"), "train", **values),
    ):
        pass
    assert f"'{typed}' is no id of this config; did you mean {meant}?" in str(user_error(refused.value))


def test_ids_of_ones_own_are_no_mistakes_in_python(bundle, tiny_data, tmp_path):
    own = {"my_rate": 0.1, "learning_rates": 0.1, "optimizer#lr": "@learning_rates", "run_name": "a", "notes": "mine"}
    values = {**bundle.overrides(tiny_data, tmp_path), **bundle.training, **own}
    with bundle.workflow(bundle.files("train.yaml"), "train", **values):
        pass


@pytest.mark.parametrize("overlay", sorted(ROOT.glob("configs/*.yaml")), ids=lambda file: file.stem)
@pytest.mark.parametrize(
    "files", [("train.yaml",), ("train.yaml", "multi_gpu_train.yaml"), ("train.yaml", "evaluate.yaml"), ("inference.yaml",)]
)
def test_no_id_of_the_bundles_configs_looks_like_a_mistake(bundle, files, overlay):
    if (files, overlay.stem) != (("inference.yaml",), "interactive"):  # an overlay of trainings alone
        _check_ids(ConfigParser.load_config_files(bundle.files(*files, overlay)))
