"""What was replaced below the surface of the config is known, wherever it was given."""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from copy import deepcopy

import pytest
import yaml
from monai.bundle import ConfigParser, create_workflow

from lazylabels_monai.errors import LazyLabelsError, user_error
from lazylabels_monai.parts import (
    COMPUTED,
    replaced_parts,
    require_datasets,
    require_handlers,
    require_one_process,
    require_one_value,
    running_config,
)
from lazylabels_monai.settings import SETTINGS
from tests.helpers import ROOT, events, load

CONFIG = yaml.safe_load((ROOT / "bundle" / "configs" / "train.yaml").read_text())

#: Ids of which each place may have a value of its own: no other place needs to know it.
INDEPENDENT = {
    "amp": "each engine has its own precision",
    "cache_rate": "each data set keeps what it wants",
    "channels_last": "how memory is ordered, the numbers are the same",
    "intensity_jitter": "contrast and brightness",
    "seed": "which windows are drawn",
    "val_overlap": "windows that are chosen, and how an image is covered by them",
    "val_window_size": "windows that are chosen, and how an image is covered by them",
}
#: What only hands ids on, and the network, which is written beside the weights as it was built.
HANDED_ON = ("given_settings", "made_settings", "record_settings", "trained_with", "network_def", "initialize")


def config(bundle, *overlays):
    return ConfigParser.load_config_files(bundle.files("train.yaml", *overlays))


def test_only_what_differs_from_the_bundle_is_named(bundle, tmp_path):
    assert replaced_parts(["optimizer", "loss", "train"], config(bundle)) == {}
    own = tmp_path / "own.yaml"
    own.write_text(
        yaml.safe_dump(
            {
                "optimizer": {"_target_": "torch.optim.AdamW", "params": "$@network.parameters()", "weight_decay": 0.1},
                "loss#pixel_mean": "labelled",
                "train#preprocessing#transforms#18#prob": 1,
                "train#handlers": [],
                "max_epochs": 3,
            }
        )
    )
    assert replaced_parts(["optimizer", "loss", "train"], config(bundle, own)) == {
        "optimizer#_target_": "torch.optim.AdamW",
        "optimizer#weight_decay": 0.1,
        "optimizer#lr": None,
        "loss#pixel_mean": "labelled",
        "train#preprocessing#transforms#18#prob": 1,
        "train#handlers": [],
    }


@pytest.mark.parametrize(
    ("run", "files", "said"),
    [
        ("training", ["train.yaml"], "name multi_gpu_train.yaml after train.yaml in --config_file, or start it by python"),
        ("evaluating", ["train.yaml", "evaluate.yaml"], "evaluating runs in one process: start it by python, without torchrun"),
        ("inferring", ["inference.yaml"], "inferring runs in one process: start it by python, without torchrun"),
    ],
)
def test_processes_that_would_not_know_of_each_other_are_refused(bundle, monkeypatch, run, files, said):
    """Each would train by itself, into the same folder."""
    program = ["/site-packages/monai/bundle/__main__.py", "run", run, "--config_file", str(bundle.files(*files))]
    config = ConfigParser.load_config_files(bundle.files(*files))
    together = {**config, "process_group": ["$dist.init_process_group()"]}
    for name, value in {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    require_one_process(config)  # another program, which may know what it does
    monkeypatch.setattr("sys.argv", program)
    with pytest.raises(LazyLabelsError) as refused:
        require_one_process(config)
    assert said in str(refused.value)
    if run == "training":
        require_one_process(together)
    monkeypatch.setenv("WORLD_SIZE", "1")
    require_one_process(config)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")  # of a cluster, for whatever is started there
    monkeypatch.setenv("WORLD_SIZE", "2")
    require_one_process(config)


@pytest.mark.parametrize("part", ["train", "validate"])
def test_a_list_among_the_handlers_is_refused_where_it_was_given(bundle, part):
    """As a file of --tracking makes it, whose lists MONAI appends as they are."""
    content = config(bundle)
    require_handlers(content)
    require_handlers({"train": {"handlers": "$[]"}, "validate": None})
    require_handlers()
    content[part]["handlers"].append([{"_target_": "StatsHandler", "name": "own"}])
    with pytest.raises(LazyLabelsError) as refused:
        require_handlers(content)
    number = len(content[part]["handlers"]) - 1
    for said in (f"{part}#handlers#{number}", "a list", "--tracking", "StatsHandler"):
        assert said in str(refused.value)


@pytest.mark.parametrize(
    ("part", "kind", "said"),
    [
        ("validate", "PersistentDataset", "validate#dataset is a PersistentDataset, but scores .* --cache_rate"),
        ("validate", "monai.data.CacheDataset", "validate#dataset is a monai.data.CacheDataset"),
        ("validate", "monai.data.dataset.CacheDataset", "validate#dataset is a monai.data.dataset.CacheDataset"),
        ("train", "SmartCacheDataset", "train#dataset is a SmartCacheDataset, .* --cache_rate"),
    ],
)
def test_data_sets_that_do_not_go_with_the_rest_are_refused(bundle, part, kind, said):
    content = config(bundle)
    require_datasets(content)
    content[part]["dataset"] = {"_target_": kind, "data": f"@{part}#items"}
    with pytest.raises(LazyLabelsError, match=said):
        require_datasets(content)
    content["train"]["sampler"] = None
    content["validate"]["dataset"]["_target_"] = "mine.data.ValidationDataset"
    content["train"]["dataset"]["_target_"] = "PersistentDataset"
    require_datasets(content)


def test_nothing_in_python_is_refused_where_monai_leaves_it_out(bundle, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    values = {**bundle.overrides(tiny_data, tmp_path), **bundle.training, "init_weights": None, "logging_file": False}
    files = {"config_file": bundle.files("train.yaml"), "workflow_type": "train"}
    with pytest.raises(Exception, match="ConfigExpression") as refused:
        create_workflow(**files, **values, val_share=None)
    assert str(user_error(refused.value)).endswith('val_share would stay as the config has it: give val_share="$None".')
    with pytest.raises(Exception, match="ConfigExpression") as refused:
        create_workflow(**files, **values, **{"validate#allowance": None, "validate#postprocessing": None})
    assert str(user_error(refused.value)).endswith(
        'that validate#allowance would stay as the config has it: give validate#allowance="$None".'
    )
    workflow = create_workflow(**files, **values, val_share="$None")
    assert workflow.parser.get_parsed_content("validate#allowance").share is None


def test_an_expression_finds_the_config_that_it_stands_in():
    assert running_config() is None
    assert replaced_parts(["optimizer"]) is None
    content = {
        "imports": ["$import lazylabels_monai", "$import lazylabels_monai.parts"],
        "a": {"b": 1},
        "found": "$lazylabels_monai.parts.running_config()",
    }
    parser = ConfigParser(content)
    parser["a#b"] = 2
    assert parser.get_parsed_content("found")["a"] == {"b": 2}


def strings(node, path=""):
    """Texts of a config by their paths."""
    if isinstance(node, str):
        yield path, node
        return
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield from strings(value, f"{path}#{key}" if path else str(key))


def places():
    """Where each id of the settings is used in train.yaml, but for the parts that hand it on: id -> path -> text."""
    found = defaultdict(dict)
    for path, text in strings(CONFIG):
        names = re.findall(r"@(\w+)", text) if text[0] in "@$" and path.split("#")[0] not in HANDED_ON else ()
        for name in {*names} & {*SETTINGS}:
            found[name][path] = text
    return found


def test_every_id_that_is_used_in_several_places_is_one_value_or_known_to_be_independent():
    several = {name for name, uses in places().items() if len(uses) > 1 and f"@{name}" in uses.values()}
    assert len(several) > 15
    assert several - {*COMPUTED} - {*INDEPENDENT} == set()
    assert not {*COMPUTED} & {*INDEPENDENT}


@pytest.mark.parametrize("name", COMPUTED)
def test_an_id_that_others_compute_with_is_refused_in_one_place(bundle, name):
    paths = [path for path, text in places()[name].items() if text == f"@{name}" and "#" in path]
    assert paths
    usual = config(bundle)
    require_one_value(usual)
    for path in paths:
        parser = ConfigParser(deepcopy(usual))
        parser[path] = 7
        with pytest.raises(LazyLabelsError, match=f"^{re.escape(path)} is 7, .* give --{name} ") as raised:
            require_one_value(parser.get())
        assert "\n" not in str(raised.value)
        parser[name] = 7  # the same in all places
        require_one_value(parser.get())


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("ema#momentum", "ema_decay"),
        ("ema#_disabled_", "ema_decay"),
        ("validate#early_stop#patience", "early_stop_patience"),
        ("train#handlers#6#interval", "max_epochs"),
        ("validate#evaluator#last_epoch", "max_epochs"),
    ],
)
def test_what_does_nothing_without_its_id_is_refused(bundle, path, name):
    parser = ConfigParser(config(bundle))
    parser[path] = 3
    with pytest.raises(LazyLabelsError, match=f"give --{name} "):
        require_one_value(parser.get())


def test_evaluating_in_several_processes_is_a_sentence(bundle, tiny_data, trained, tmp_path):
    given = bundle.overrides(tiny_data, tmp_path, ckpt_dir=str(trained / "models"))
    for order in (("evaluate.yaml", "multi_gpu_train.yaml"), ("multi_gpu_train.yaml", "evaluate.yaml")):
        with pytest.raises(Exception) as raised:  # noqa: PT011 - MONAI wraps it
            bundle.run(bundle.files("train.yaml", *order), "train", **given)
        assert "leave multi_gpu_train.yaml (process_group) out" in str(user_error(raised.value))


def test_parts_of_ones_own_pass_and_their_counts_do_not(bundle):
    parser = ConfigParser(config(bundle))
    parser["lr_scheduler#T_max"] = 50
    parser["validate#dataloader#batch_size"] = 3
    parser["validate#inferer#roi_size"] = [32, 32]
    parser["train#handlers"] = [{"_target_": "StatsHandler", "interval": 5}]
    parser["loss"] = {"_target_": "my.Loss", "num_classes": 3}
    require_one_value(parser.get())
    parser["train#dataloader"] = {"_target_": "ThreadDataLoader", "dataset": "@train#dataset", "batch_size": 3}
    with pytest.raises(LazyLabelsError, match=r"train#dataloader#batch_size is 3, .* batch_size, which is 16"):
        require_one_value(parser.get())


@pytest.mark.parametrize("overlay", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_overlay_that_comes_along_passes(bundle, overlay):
    if "experiments" in overlay.parts and overlay.parent.name not in ("methods", "settings", "scales"):
        pytest.skip("a file of the comparisons, no overlay")
    require_one_value(config(bundle, overlay))
    require_one_value(config(bundle, "evaluate.yaml", overlay))
    require_one_value(config(bundle, "multi_gpu_train.yaml", overlay))


def test_a_training_refuses_it_before_anything_is_written(bundle, tiny_data, tmp_path):
    with pytest.raises(Exception) as raised:  # noqa: PT011 - MONAI wraps it
        bundle.train(tiny_data, tmp_path / "out", **{"train#dataloader#batch_size": 3})
    said = "train#dataloader#batch_size is 3, but other places compute with batch_size, which is 4"
    assert said in str(user_error(raised.value))
    assert not (tmp_path / "out").exists()


def test_the_trainers_number_of_epochs_is_followed_everywhere(bundle, tiny_data, tmp_path):
    """MONAI's own programs give it there: the last epoch is validated, the rate decays to its end, the record has it."""
    given = {"max_epochs": 100, "val_interval": 2, "lr_decay": True, "train#trainer#max_epochs": 3}
    bundle.train(tiny_data, tmp_path, **given)
    models = tmp_path / "models"
    assert json.loads((models / "training.json").read_text())["settings"]["max_epochs"] == 3
    assert [value.step for value in events(tmp_path).Scalars("val_mean_dice")] == [2, 3]
    scheduler = load(models / "checkpoint_epoch=3.pt")["lr_scheduler"]
    assert (scheduler["T_max"], scheduler["_last_lr"]) == (3, [pytest.approx(0.0, abs=1e-9)])
    with pytest.raises(Exception) as raised:  # noqa: PT011
        bundle.train(tiny_data, tmp_path, **given, resume=True)
    assert "has done 3 epochs and max_epochs is 3" in str(user_error(raised.value))


def test_the_trainers_number_of_epochs_is_checked_as_the_id_is(bundle, tiny_data, tmp_path):
    with pytest.raises(Exception) as raised:  # noqa: PT011
        bundle.train(tiny_data, tmp_path / "out", **{"train#trainer#max_epochs": 0})
    assert str(user_error(raised.value)).startswith("max_epochs is 0 ")
    assert not (tmp_path / "out" / "models").exists()


def test_all_that_counts_epochs_asks_the_trainer():
    asking = {path for path, text in strings(CONFIG) if re.search(r"@max_epochs\b", text)}
    assert asking == {"given_settings#max_epochs", "train#trainer#max_epochs"}
