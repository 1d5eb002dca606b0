"""What lies beside the weights: names, writing, reading, and what does not fit."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import numpy as np
import pytest
import torch

from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.networks import MultiTaskUNet, SingleTaskUNet
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.trained import (
    CLASSES_FILE,
    NETWORK_FILE,
    bundle_weights,
    copy_trained,
    load_weights,
    require_exported,
    require_kept_network,
    require_loaded,
    require_same_classes,
    require_weights,
    tell_other_metadata,
    trained_classes,
    trained_images,
    trained_network,
    trained_settings,
    trained_values,
    write_classes,
    write_network,
    write_settings,
)


@pytest.mark.parametrize("other", [CLASSES_FILE, NETWORK_FILE])
@pytest.mark.parametrize("export", ["ckpt_export", "onnx_export", "trt_export"])
def test_an_export_is_of_the_weights_that_the_config_reads_about(tmp_path, export, other):
    """Else the file holds weights of one training, and classes and normalization of another."""
    here, there = tmp_path / "here" / "model.pt", tmp_path / "there" / "model.pt"
    for folder in (here.parent, there.parent):
        folder.mkdir()
    words = [export, "--net_id", "network_def", "--ckpt_file", str(there)]
    torch.save({"a": torch.zeros(1)}, there)
    require_exported(here, words)  # nothing is known of either
    (here.with_name(other)).write_text('["pore"]')
    require_exported(here, words)
    (there.with_name(other)).write_text('["grain"]')
    with pytest.raises(LazyLabelsError, match=rf"--ckpt_file {there}.*{other}.*--ckpt_dir {there.parent}"):
        require_exported(here, words)
    (here.with_name(other)).unlink()
    with pytest.raises(LazyLabelsError, match="--ckpt_dir"):
        require_exported(here, words)
    require_exported(there, words)
    require_exported(here, [export, "--net_id", "network_def"])
    require_exported(here, ["run", "inferring", "--ckpt_file", str(there)])
    (here.with_name(other)).write_text('["grain"]')  # a copy
    require_exported(here, words)


def test_an_export_of_a_checkpoint_needs_the_name_of_its_weights(tmp_path):
    file = tmp_path / "checkpoint_epoch=1.pt"
    torch.save({"model": {"a": torch.zeros(1)}, "optimizer": {}}, file)
    words = ["ckpt_export", "--net_id", "network_def", "--ckpt_file", str(file)]
    with pytest.raises(LazyLabelsError, match=r"checkpoint_epoch=1\.pt.*--key_in_ckpt model"):
        require_exported(tmp_path / "model.pt", words)
    require_exported(tmp_path / "model.pt", [*words, "--key_in_ckpt", "model"])


def test_settings_lie_beside_the_weights(tmp_path):
    weights = tmp_path / "model.pt"
    assert trained_settings(weights) == InstanceSettings()
    assert trained_settings(weights, "distance") == InstanceSettings(route="distance")
    chosen, second = InstanceSettings(route="components", min_size=40, cut=True), InstanceSettings(min_marker=3)
    path = write_settings(weights, [chosen, second], f1=0.5)
    assert trained_settings(weights) == trained_settings(weights, "components") == chosen
    assert trained_settings(weights, "three maps") == second
    assert trained_settings(weights, "distance") == InstanceSettings(route="distance")
    assert json.loads(path.read_text())["f1"] == 0.5
    assert trained_settings(weights, "three maps", cut=True) == InstanceSettings(min_marker=3, cut=True)
    with pytest.raises(LazyLabelsError, match="instance_settings: 'min_sise' does not exist; there are cut, "):
        trained_settings(weights, min_sise=4)
    path.write_text('{"best": "components", "methods": {"components": {"min_sise": 4}}}')
    with pytest.raises(LazyLabelsError, match=r"instances\.json names the setting 'min_sise'"):
        trained_settings(weights)
    for name, value in (("min_size", "$1"), ("min_size", 4.5), ("cut", 1), ("route", ["three maps"]), ("neck", None)):
        path.write_text(json.dumps({"best": "components", "routes": {"components": {name: value}}}))
        with pytest.raises(LazyLabelsError, match=rf"instances\.json: {name} is .* run tune again"):
            trained_settings(weights)
    path.write_text('{"best": "distance", "routes": {"distance": {"neck": 0}}}')
    assert trained_settings(weights) == InstanceSettings()
    path.write_text("no json")
    with pytest.raises(LazyLabelsError, match=r"instances\.json cannot be read"):
        trained_settings(weights)


def test_prediction_knows_the_classes_of_its_training(tmp_path):
    (tmp_path / "data").mkdir()
    write_classes(tmp_path, ["pore", "grain", "crack"])
    assert trained_classes(tmp_path / "model.pt") == ["pore", "grain", "crack"]
    assert trained_classes(tmp_path / "data" / "model.pt") == list(CLASS_NAMES)
    (tmp_path / "classes.json").write_text("[")
    with pytest.raises(LazyLabelsError, match=r"classes\.json: .*; write them as a JSON list, such as .*\.$"):
        trained_classes(tmp_path / "model.pt")
    (tmp_path / "classes.json").write_text('["pore", "grain"]', encoding="utf-8-sig")
    assert trained_classes(tmp_path / "model.pt") == ["pore", "grain"]


# ---------------------------------------------------------------------------------------------- the network

SETTINGS = {"spatial_dims": 2, "in_channels": 1, "channels": [4, 8], "num_multitask_blocks": 1, "norm": "BATCH"}


def small(folder, name: str = "model.pt"):
    """A network with its weights and what lies beside them."""
    torch.manual_seed(0)
    net = MultiTaskUNet(num_classes=3, channels=(4, 8), num_multitask_blocks=1, norm="BATCH")
    torch.save(net.state_dict(), folder / name)
    write_classes(folder, ["pore", "grain"])
    write_network(folder, net, **SETTINGS, crop_size=[32, 32], window_size=[32, 32])
    return net, folder / name


def test_the_network_is_named_by_its_public_path_and_its_values_by_their_ids(tmp_path):
    small(tmp_path)
    written = json.loads((tmp_path / "network.json").read_text())
    definition = written.pop("network_def")
    assert definition.pop("_target_") == "lazylabels_monai.networks.MultiTaskUNet"
    # what the constructor takes; the crop is none of its arguments
    assert {name: definition.pop(name) for name in ("num_classes", *SETTINGS)} == {
        name: f"@{name}" for name in ("num_classes", *SETTINGS)
    }
    assert (definition["act"], definition["residual"], definition["dropout"]) == (
        ["LEAKYRELU", {"negative_slope": 0.01, "inplace": True}],
        True,
        0.0,
    )
    assert written == {**SETTINGS, "crop_size": [32, 32], "window_size": [32, 32]}


def test_a_network_built_otherwise_than_the_ids_say_is_written_as_it_was_built(bundle, tiny_data, tmp_path):
    """As by --network_def#norm, --network_def#act: no name and no shape of a weight tells."""
    torch.manual_seed(0)
    changed = {"norm": ("GROUP", {"num_groups": 2}), "act": "ELU"}
    net = MultiTaskUNet(num_classes=3, channels=(4, 8), num_multitask_blocks=1, **changed)
    torch.save(net.state_dict(), tmp_path / "model.pt")
    write_classes(tmp_path, ["pore", "grain"])
    write_network(tmp_path, net, **{**SETTINGS, "norm": ["INSTANCE", {"affine": True}]}, normalization="percentiles")
    written = json.loads((tmp_path / "network.json").read_text())
    assert (written["norm"], written["network_def"]["norm"]) == (["GROUP", {"num_groups": 2}], "@norm")
    assert written["network_def"]["act"] == "ELU"
    model = Model(tmp_path / "model.pt", bundle.configs.parent, overrides={"device": "cpu"})
    image = torch.rand(1, 1, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(model.network(image), net.eval()(image), rtol=0, atol=1e-4)
    assert not torch.equal(net(image), MultiTaskUNet(num_classes=3, channels=(4, 8), num_multitask_blocks=1)(image))


def test_a_network_that_cannot_be_written_is_refused():
    good = MultiTaskUNet(num_classes=3, channels=(4, 8), num_multitask_blocks=1, act=("PRELU", {"init": 0.2}))
    require_kept_network(good)
    good.built_with["act"] = torch.nn.ELU
    with pytest.raises(LazyLabelsError, match=r"^network_def#act is .*ELU.* network\.json cannot keep .* such as ELU\.$"):
        require_kept_network(good)
    require_kept_network(torch.nn.Conv2d(1, 1, 1))  # of somebody else: predictions ask for its definition anyway


@pytest.mark.parametrize(
    "old", ["networks.nets.MultiTaskUNet", "networks.multitask_unet.MultiTaskUNet", "networks.MultiTaskUNet"]
)
def test_a_network_named_by_an_old_path_predicts_the_same(bundle, tiny_data, tmp_path, old):
    net, weights = small(tmp_path)
    image = next((tiny_data / "images").glob("*test*.png"))
    given = {"bundle": bundle.configs.parent, "overrides": {"device": "cpu"}}
    expected = Model(weights, **given).probabilities(image)
    file = tmp_path / "network.json"
    content = json.loads(file.read_text())
    content["network_def"]["_target_"] = f"lazylabels_monai.{old}"
    file.write_text(json.dumps(content))
    assert trained_network(weights)["network_def"]["_target_"] == "lazylabels_monai.networks.MultiTaskUNet"
    model = Model(weights, **given)
    assert type(model.network) is type(net)
    for task, found in model.probabilities(image).items():
        np.testing.assert_array_equal(found, expected[task])


def test_a_network_of_somebody_else_is_taken_from_a_config_that_the_user_names_only(tmp_path):
    class Own(torch.nn.Module):
        def __init__(self, num_classes, channels):
            super().__init__()

    write_network(tmp_path, Own(3, [4]), channels=[4], crop_size=[8, 8])
    weights, overlay, other = tmp_path / "model.pt", tmp_path / "own.yaml", tmp_path / "other.yaml"
    other.write_text("amp: false\n")
    for overlays in ([], [other]):
        with pytest.raises(LazyLabelsError, match=r"network\.json: .* none of this package's networks; .*--config"):
            trained_network(weights, overlays)
    for stated in ("network_def:\n  _target_: own.Net\n", "network_def#_target_: own.Net\n"):
        overlay.write_text(stated)
        expected = {"channels": [4], "crop_size": [8, 8], "normalization": "mean_std"}
        assert trained_network(weights, [other, overlay]) == expected


RUN = "$__import__('pathlib').Path({!r}).touch()"
ATTACKS = {
    "expression": lambda run: {"channels": run},
    "expression in a list": lambda run: {"channels": [4, run]},
    "expression in a norm": lambda run: {"norm": ["BATCH", {"affine": run}]},
    "expression under another name": lambda run: {"initialize": [run]},
    "expression in the network": lambda run: {
        "network_def": {"_target_": "lazylabels_monai.networks.MultiTaskUNet", "act": run}
    },
    "key that MONAI runs": lambda run: {
        "network_def": {"_target_": "lazylabels_monai.networks.MultiTaskUNet", "_disabled_": run}
    },
    "component in a value": lambda run: {"norm": {"_target_": "pathlib.Path.touch", "self": run}},
    "component in a list": lambda run: {"norm": ["BATCH", {"_target_": "os.system", "command": "true"}]},
    "another callable": lambda run: {"network_def": {"_target_": "os.system", "command": "true"}},
    "a callable of ours": lambda run: {"network_def": {"_target_": "lazylabels_monai.atomic.write_text", "text": ""}},
    "a module of that name": lambda run: {"network_def": {"_target_": "evil.lazylabels_monai.networks.MultiTaskUNet"}},
    "reference": lambda run: {"channels": "@in_channels"},
    "reference in the network": lambda run: {
        "network_def": {"_target_": "lazylabels_monai.networks.MultiTaskUNet", "act": "@evaluator"}
    },
    "macro": lambda run: {"norm": "%/etc/passwd"},
    "not a number": lambda run: {"dropout": float("nan")},
    "yes for one": lambda run: {"in_channels": True},
    "fraction": lambda run: {"in_channels": 1.5},
    "negative": lambda run: {"channels": [4, -8]},
    "huge": lambda run: {"channels": [10**9]},
    "unknown task": lambda run: {"tasks": ["segmentation", "other"]},
    "four dimensions": lambda run: {"spatial_dims": 4},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_beside_weights_is_run(bundle, tmp_path, attack):
    _, weights = small(tmp_path)
    ran = tmp_path / "ran"
    file = tmp_path / "network.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **ATTACKS[attack](RUN.format(str(ran)))}))
    for read in (trained_network, trained_values, lambda w: Model(w, bundle.configs.parent, overrides={"device": "cpu"})):
        with pytest.raises(LazyLabelsError, match=r"network\.json: "):
            read(weights)
    assert not ran.exists()


@pytest.mark.parametrize("names", [["{}"], ["pore", " {}"], ["@network"], ["%file"], "{}", {"a": 1}, [1], [None], [""], 3])
def test_names_of_classes_are_names(bundle, tmp_path, names):
    _, weights = small(tmp_path)
    ran = tmp_path / "ran"
    (tmp_path / "classes.json").write_text(json.dumps(names).replace("{}", RUN.format(str(ran))))
    for read in (trained_classes, trained_values, lambda w: Model(w, bundle.configs.parent, overrides={"device": "cpu"})):
        with pytest.raises(LazyLabelsError, match=r"classes\.json: "):
            read(weights)
    assert not ran.exists()


SEEN = [
    {"types": ["{}"]},
    {"types": "{}"},
    {"detail": {"mean": "{}"}},
    {"contrast": {"_target_": "os.system"}},
    "{}",
    1,
]


@pytest.mark.parametrize("seen", SEEN)
def test_what_the_images_looked_like_is_numbers_and_words(bundle, tmp_path, seen):
    _, weights = small(tmp_path)
    ran = tmp_path / "ran"
    content = json.dumps({"images": 3, **seen} if isinstance(seen, dict) else seen)
    (tmp_path / "images.json").write_text(content.replace("{}", RUN.format(str(ran))))
    for read in (trained_images, trained_values, lambda w: Model(w, bundle.configs.parent, overrides={"device": "cpu"})):
        with pytest.raises(LazyLabelsError, match=r"images\.json: "):
            read(weights)
    assert not ran.exists()


def test_a_folder_whose_name_is_an_expression_is_a_folder(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "$open('ran','w')"
    folder.mkdir()
    small(folder)
    model = Model(f"{folder.name}/model.pt", bundle.configs.parent, overrides={"device": "cpu"})
    assert model.num_classes == 3
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("known", "given", "words"),
    [
        (["ice", "air"], ["air", "ice"], r"in the order ice, air, the data set air, ice.*--classes ice,air --overwrite"),
        (["a b", "c"], ["c", "a b"], r"--classes 'a b,c' --overwrite"),
        (["ice", "air"], ["ice"], "names the classes ice, air, the data set ice: name a data set of the same"),
        (["ice", "air"], ["ice", "fog"], "names the classes ice, air, the data set ice, fog"),
        (["nucleus"], ["cell"], "names the classes nucleus, the data set cell"),
        (["object"], ["ice", "air"], "names the classes object"),
        (["ice", "air"], ["ice", "air"], None),
        (["object"], ["cell"], None),
        (["cell"], ["object"], None),
        (None, ["cell"], None),
    ],
)
def test_a_data_set_of_other_classes_judges_nothing(tmp_path, known, given, words):
    if known is not None:
        write_classes(tmp_path, known)
    if words is None:
        require_same_classes(tmp_path / "model.pt", given)
        return
    with pytest.raises(LazyLabelsError, match=words):
        require_same_classes(tmp_path / "model.pt", tuple(given))


def test_values_of_a_training_are_its_network_and_its_classes(tmp_path):
    _, weights = small(tmp_path)
    values = trained_values(weights)
    assert values["classes"] == ["pore", "grain"]
    assert values["channels"] == [4, 8]
    (tmp_path / "network.json").unlink()
    # before there was a choice, intensities were not clipped, and nobody wrote down what the images looked like
    assert trained_values(weights) == {"classes": ["pore", "grain"], "normalization": "mean_std", "seen": None}
    for broken in ("{", '{"network_def": {}}', "[1]", "[" * 100000):
        (tmp_path / "network.json").write_text(broken)
        with pytest.raises(LazyLabelsError, match=r"network\.json: the network's settings cannot be read"):
            trained_network(weights)


def test_weights_that_are_missing_or_of_another_network_are_named(tmp_path):
    net, weights = small(tmp_path)
    with torch.no_grad():
        net.heads["detection"].conv.bias.add_(1)
    load_weights(net, weights)
    assert all(torch.equal(value, torch.load(weights)[key]) for key, value in net.state_dict().items())
    with pytest.raises(LazyLabelsError, match=r"model\.pt: these weights belong to another network \(first difference: "):
        load_weights(SingleTaskUNet(num_classes=3, channels=(4, 8)), weights)
    assert bundle_weights(tmp_path) == tmp_path / "models" / "model.pt"
    with pytest.raises(LazyLabelsError, match="there are no trained weights"):
        require_weights(bundle_weights(tmp_path))


# ---------------------------------------------------------------------------------------------- the routes


@pytest.mark.parametrize(("group", "word"), [("routes", "route"), ("methods", "method")])
def test_settings_read_the_same_before_and_after_routes_had_a_name(tmp_path, group, word):
    found = [InstanceSettings(min_size=7, neck=0.5), InstanceSettings(route="distance", min_distance=9)]
    values = {settings.route: asdict(settings) for settings in found}
    content = {
        "best": "three maps",
        group: {route: {word if key == "route" else key: value for key, value in of.items()} for route, of in values.items()},
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    weights = tmp_path / "model.pt"
    assert trained_settings(weights) == trained_settings(weights, "three maps") == found[0]
    assert trained_settings(weights, "distance") == found[1]
    assert trained_settings(weights, "components") == InstanceSettings(route="components")


def test_a_copy_takes_what_belongs_to_the_weights_and_no_path_of_this_machine(tmp_path):
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    _, weights = small(tmp_path / "from", "model_of_june.pt")
    write_settings(weights, [InstanceSettings(min_size=3)], dataset="/home/somebody/data/mine")
    (tmp_path / "from" / "checkpoint_epoch=1.pt").write_bytes(b"")
    copy_trained(weights, tmp_path / "to")
    copied = tmp_path / "to"
    assert {file.name for file in copied.iterdir()} == {
        "model.pt",
        "model.pt.sha256",
        "classes.json",
        "network.json",
        "instances.json",
    }
    assert (copied / "model.pt").read_bytes() == weights.read_bytes()
    assert (copied / "network.json").read_text() == weights.with_name("network.json").read_text()
    content = json.loads((copied / "instances.json").read_text())
    assert content["dataset"] == "mine"
    assert trained_settings(copied / "model.pt") == InstanceSettings(min_size=3)


@pytest.mark.parametrize(("known", "named", "said"), [(3, 4, "1 object class fewer"), (5, 3, "2 object classes more")])
def test_weights_of_more_or_fewer_classes_are_told_from_another_network(tmp_path, known, named, said):
    size = {"channels": (4, 8, 8), "num_multitask_blocks": 2}
    torch.save(MultiTaskUNet(num_classes=known, **size).state_dict(), tmp_path / "model.pt")
    with pytest.raises(LazyLabelsError, match=rf"model\.pt: the weights know {said} than are named: .*classes\.json"):
        load_weights(MultiTaskUNet(num_classes=named, **size), tmp_path / "model.pt")
    for other in ({"channels": (4, 8, 16)}, {"channels": (8, 8, 8)}):
        with pytest.raises(LazyLabelsError, match="belong to another network"):
            load_weights(MultiTaskUNet(num_classes=named, **{**size, **other}), tmp_path / "model.pt")


@pytest.mark.parametrize("program", ["ckpt_export", "verify_net_in_out"])
def test_metadata_of_another_number_of_input_channels_is_told_of(tmp_path, caplog, program):
    """Else a file for colour images says that it takes one channel, and MONAI's check ends in a traceback."""
    meta = tmp_path / "metadata.json"
    meta.write_text(json.dumps({"network_data_format": {"inputs": {"image": {"num_channels": 1}}}}))
    words = [program, "--net_id", "network_def", "--meta_file", str(meta)]
    tell_other_metadata(["pore"], ["segmentation"], words, in_channels=1)
    assert not caplog.messages
    said = re.escape(f"{meta}: it describes a network of 1 input channel, and this one takes 3")
    if program == "ckpt_export":
        tell_other_metadata(["pore"], ["segmentation"], words, in_channels=3)
        assert re.match(said, caplog.messages[0])
        return
    with pytest.raises(LazyLabelsError, match=f"{said}: verify in the unzipped folder"):
        tell_other_metadata(["pore"], ["segmentation"], words, in_channels=3)


def test_a_network_that_is_wrapped_has_the_weights_that_were_loaded(tmp_path):
    """As a config may do it: ``--network '$torch.compile(@network_def)'``."""
    networks = [MultiTaskUNet(num_classes=2, channels=(4, 8), num_multitask_blocks=1) for _ in range(2)]
    torch.save(networks[0].state_dict(), tmp_path / "model.pt")
    load_weights(networks[0], tmp_path / "model.pt")
    for wrapped in (lambda network: network, torch.compile, torch.nn.DataParallel):
        require_loaded(wrapped(networks[0]), "model.pt")
        with pytest.raises(LazyLabelsError, match="was not loaded"):
            require_loaded(wrapped(networks[1]), "model.pt")
