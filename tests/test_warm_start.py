from __future__ import annotations

import json
import math

import pytest
import torch
import yaml

from lazylabels_monai.bundle_folder import find_overlay, find_starter
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.networks import MultiTaskUNet, SeparateDecodersUNet, SingleTaskUNet
from lazylabels_monai.tasks import task_slices
from lazylabels_monai.trained import write_network
from lazylabels_monai.warm_start import begin_from, network_of, starter_if_it_fits, weights_named

SIZE = {"channels": [4, 8, 8], "num_multitask_blocks": 2, "norm": ["INSTANCE", {"affine": True}]}
IMAGE = {"channels": [4, 8, 8], "norm": ["INSTANCE", {"affine": True}]}


def net(classes=2, kind=MultiTaskUNet, seed=0, **more):
    torch.manual_seed(seed)
    return kind(num_classes=classes + 1, **{**(SIZE if kind is not SingleTaskUNet else IMAGE), **more}).eval()


def saved(folder, network, classes=None, name="model.pt", wrap=lambda state: state):
    folder.mkdir(exist_ok=True)
    torch.save(wrap(network.state_dict()), folder / name)
    if classes is not None:
        (folder / "classes.json").write_text(json.dumps(classes))
    return folder / name


def answer(network, channels=1):
    torch.manual_seed(9)
    with torch.no_grad():
        return network(torch.rand(1, 1, 32, 40).repeat(1, channels, 1, 1))[0]


WRAPPED = {
    "plain": lambda state: state,
    "checkpoint": lambda state: {"model": state, "optimizer": {}, "trainer": {"epoch": 3}},
    "of another program": lambda state: {"state_dict": state},
    "of several processes": lambda state: {f"module.{name}": value for name, value in state.items()},
    "half precision": lambda state: {name: value.half() for name, value in state.items()},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_the_same_network_answers_the_same_afterwards(tmp_path, wrap):
    old, new = net(), net(seed=1)
    taken = begin_from(new, saved(tmp_path, old, ["a", "b"], wrap=wrap), ["a", "b"])
    assert torch.allclose(answer(new), answer(old), atol=2e-2 if wrap is WRAPPED["half precision"] else 1e-6)
    assert all(value.dtype == torch.float32 for value in new.state_dict().values())
    assert (taken.share, taken.classes, taken.anew, taken.dropped) == (1.0, ["a", "b"], [], [])


def test_classes_go_by_their_names(tmp_path, caplog):
    old, new = net(3), net(3, seed=1)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    caplog.set_level("INFO")
    taken = begin_from(new, saved(tmp_path, old, ["ice", "air", "fat"]), ["air", "salt", "ice"])
    for task in ("segmentation", "detection"):
        for kind in ("weight", "bias"):
            name = f"heads.{task}.conv.{kind}"
            of_old, of_new = old.state_dict()[name], new.state_dict()[name]
            assert torch.equal(of_new[[0, 1, 3]], of_old[[0, 2, 1]])
            assert torch.equal(of_new[2], before[name][2]), "an unknown class begins anew"
    assert (taken.classes, taken.anew, taken.dropped) == (["air", "ice"], ["salt"], ["fat"])
    line = [record.message for record in caplog.records if "begins from" in record.message]
    assert line == [
        f"{taken.share:.0%} of the network begins from {tmp_path / 'model.pt'}; known: air, ice; not needed: fat; anew: salt"
    ]


def test_another_number_of_classes(tmp_path):
    old, new = net(3), net(1, seed=1)
    begin_from(new, saved(tmp_path, old, ["ice", "air", "fat"]), ["air"])
    of_old, of_new = answer(old), answer(new)
    assert torch.allclose(of_new[:2], of_old[[0, 2]], atol=1e-6)
    assert torch.allclose(of_new[task_slices(2)["separation"]], of_old[task_slices(4)["separation"]], atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_from_any_object_classes_share_its_place_and_differ(tmp_path, count):
    """In the mean each is a share of the object; alike, they would give the features nothing to tell them apart by."""
    old, new = net(1), net(count, seed=1)
    own = {name: value.clone() for name, value in new.state_dict().items()}
    taken = begin_from(new, saved(tmp_path, old, ["object"]), ["a", "b", "c"][:count])
    assert taken.from_any == ["a", "b", "c"][:count]
    assert not taken.anew
    assert taken.share == 1
    for task in ("segmentation", "detection"):
        before = answer(old)[task_slices(2)[task]]
        after = answer(new)[task_slices(count + 1)[task]]
        assert torch.allclose(after[0], before[0], atol=1e-6)
        assert torch.allclose(after[1:].mean(0), before[1] - math.log(count), atol=1e-5)
        name = f"heads.{task}.conv.weight"
        rows = new.state_dict()[name][1:]
        assert torch.allclose(rows - rows.mean(0), own[name][1:] - own[name][1:].mean(0), atol=1e-6)


@pytest.mark.parametrize(("old_channels", "new_channels"), [(1, 3), (3, 1)])
def test_a_grey_picture_is_seen_the_same_by_another_number_of_channels(tmp_path, old_channels, new_channels):
    old, new = net(in_channels=old_channels), net(seed=1, in_channels=new_channels)
    taken = begin_from(new, saved(tmp_path, old, ["a", "b"]), ["a", "b"])
    assert torch.allclose(answer(new, new_channels), answer(old, old_channels), atol=1e-5)
    assert taken.share == 1


def test_without_names_classes_stand_as_they_are_where_they_are_as_many(tmp_path):
    old, new = net(2), net(2, seed=1)
    begin_from(new, saved(tmp_path / "a", old), ["x", "y"])
    assert torch.equal(answer(new), answer(old))
    new = net(3, seed=1)
    taken = begin_from(new, saved(tmp_path / "b", old), ["x", "y", "z"])
    assert taken.anew == ["x", "y", "z"]
    assert taken.share < 1


def test_a_network_of_fewer_tasks_and_one_of_more(tmp_path):
    whole, part = net(), net(seed=1, tasks=["segmentation"])
    assert begin_from(part, saved(tmp_path / "a", whole, ["a", "b"]), ["a", "b"]).share == 1
    assert torch.allclose(answer(part), answer(whole)[:3], atol=1e-6)
    more = net(seed=2)
    taken = begin_from(more, saved(tmp_path / "b", part, ["a", "b"]), ["a", "b"])
    assert {"heads.separation", "multitask.0.separation", "multitask.1.separation"} <= set(taken.anew)
    assert torch.allclose(answer(more)[:3], answer(whole)[:3], atol=1e-6)


def test_a_lighter_network_begins_from_one_that_is_not(tmp_path, caplog):
    """Detection's head sees other maps, so that it begins anew; the classes are known to segmentation's."""
    light = {"detection_stride": 2, "finest_width": 0.5, "separation_conv": "depthwise"}
    old, new = net(), net(seed=1, **light)
    caplog.set_level("INFO")
    taken = begin_from(new, saved(tmp_path / "a", old, ["a", "b"]), ["a", "b"])
    assert 0.95 < taken.share < 1
    assert (taken.classes, taken.anew) == (["a", "b"], ["heads.detection"])
    segmentation = task_slices(3)["segmentation"]
    narrow = net(seed=1, detection_stride=2, separation_conv="depthwise")  # R as it was: the same path
    begin_from(narrow, tmp_path / "a" / "model.pt", ["a", "b"])
    assert torch.allclose(answer(narrow)[segmentation], answer(old)[segmentation], atol=1e-5)
    again = net(seed=2, **light)
    assert begin_from(again, saved(tmp_path / "b", new, ["a", "b"]), ["a", "b"]).share == 1
    assert torch.equal(answer(again), answer(new))


def test_settings_of_a_lighter_network_are_taken_from_beside_its_weights(tmp_path):
    light = {"detection_stride": 2, "finest_width": 0.5, "separation_conv": "depthwise"}
    path = saved(tmp_path, net(**light), ["a", "b"])
    write_network(tmp_path, net(**light), **SIZE, **light)
    assert network_of(path) == {**SIZE, **light}


def test_another_activation_than_that_of_the_weights_is_told(tmp_path, caplog):
    """No name and no shape of a weight tells."""
    old = net(act="ELU")
    path = saved(tmp_path, old, ["a", "b"])
    write_network(tmp_path, old, **SIZE)
    for act, told in (("ELU", 0), ("RELU", 1)):
        assert begin_from(net(seed=1, act=act), path, ["a", "b"]).share == 1
        said = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert len(said) == told
    assert 'activation "ELU", this network has "RELU": give --network_def#act ELU' in said[0]


@pytest.mark.parametrize(
    ("norm", "told"),
    [(("INSTANCE", {"affine": True}), False), (["instance", {"affine": True}], False), (("GROUP", {"num_groups": 2}), True)],
)
def test_another_normalization_than_that_of_the_weights_is_told(tmp_path, caplog, norm, told):
    """Both have a scale and a shift for each channel."""
    old = net(norm=("INSTANCE", {"affine": True}))
    path = saved(tmp_path, old, ["a", "b"])
    write_network(tmp_path, old, **{**SIZE, "norm": ["INSTANCE", {"affine": True}]})
    assert begin_from(net(seed=1, norm=norm), path, ["a", "b"]).share == 1
    said = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert [("INSTANCE" in line, "GROUP" in line) for line in said] == [(True, True)] * told
    if told:
        assert """--norm '["INSTANCE", {"affine": true}]'""" in said[0]


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("kind", [SingleTaskUNet, SeparateDecodersUNet])
def test_other_networks_take_the_shared_path(tmp_path, kind, blocks):
    """A residual of zero leaves the segmentation's path that of a plain U-Net."""
    old = net(num_multitask_blocks=blocks, zero_init_residual=True)
    more = {} if kind is SingleTaskUNet else {"num_multitask_blocks": blocks}
    new = net(kind=kind, seed=1, **more)
    taken = begin_from(new, saved(tmp_path, old, ["a", "b"]), ["a", "b"])
    assert taken.share == 1
    assert torch.allclose(answer(new)[:3], answer(old)[:3], atol=1e-5)


def test_weights_that_hardly_fit_are_refused_and_change_nothing(tmp_path):
    path = saved(tmp_path, net(), ["a", "b"])
    for other in (net(channels=[8, 16, 16]), net(spatial_dims=3)):
        before = {name: value.clone() for name, value in other.state_dict().items()}
        with pytest.raises(LazyLabelsError, match="less than half; take the network settings of their training, or leave"):
            begin_from(other, path, ["a", "b"])
        assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    (tmp_path / "network.json").write_text(json.dumps({"channels": [4, 8, 8], "num_multitask_blocks": 2}))
    with pytest.raises(LazyLabelsError, match=r'--channels "\[4, 8, 8\]" --num_multitask_blocks "2"'):
        begin_from(net(channels=[8, 16, 16]), path, ["a", "b"])


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no weights", "this is a text; name the model.pt"), (None, "there is no such file"), ({"epoch": 3}, "no state dict")],
)
def test_what_is_no_weights_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "model.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(LazyLabelsError, match=said):
        begin_from(net(), path, ["a", "b"])


def test_nothing_is_taken_where_nothing_is_asked_for_or_a_training_goes_on(tmp_path):
    network = net()
    before = answer(network)
    assert begin_from(network, None, ["a", "b"]) is None
    assert begin_from(network, "nothing", ["a", "b"]) is None
    assert begin_from(network, saved(tmp_path, net(seed=1), ["a", "b"]), ["a", "b"], "checkpoint_epoch=2.pt") is None
    assert torch.equal(answer(network), before)


def test_the_starter_by_its_name():
    assert weights_named("starter") == find_starter()
    settings = network_of("starter")
    network = MultiTaskUNet(num_classes=3, **settings)
    taken = begin_from(network, "starter", ["ice", "air"])
    assert (taken.share, taken.from_any) == (1.0, ["ice", "air"])


STARTERS = {"spatial_dims": 2, "channels": [16, 32, 64, 128, 256], "num_multitask_blocks": 4}
STARTERS |= {"norm": ["INSTANCE", {"affine": True}]}


@pytest.mark.parametrize(
    ("other", "begun"),
    [
        ({}, "starter"),
        ({"spatial_dims": 3}, "nothing"),
        ({"channels": [8, 16, 32, 64, 128]}, "nothing"),
        ({"channels": "ten"}, "nothing"),
        ({"num_multitask_blocks": 2}, "nothing"),
        ({"norm": "BATCH"}, "nothing"),
    ],
)
def test_untold_a_training_begins_from_the_starter_where_the_network_is_the_same(other, begun):
    assert starter_if_it_fits(**{**STARTERS, **other}) == begun


# ---------------------------------------------------------------------------------------------- in the bundle


SMALLER = {"channels": [4, 8, 8], "num_multitask_blocks": 2}


@pytest.mark.parametrize(("more", "warm"), [({}, True), ({"init_weights": "nothing"}, False), (SMALLER, False)])
def test_the_small_network_begins_from_the_starter_unless_told_otherwise(bundle, tiny_data, tmp_path, more, warm):
    """A learning rate of zero shows what a training began from."""
    own = yaml.safe_load(find_overlay("cpu.yaml").read_text())
    settings = {**own, "num_multitask_blocks": 4, "learning_rate": 0.0, "max_epochs": 1, "crops_per_epoch": 2, **more}
    bundle.train(tiny_data, tmp_path, **settings)
    made = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    from_it = torch.load(find_starter(), weights_only=True)
    name = next(name for name, value in from_it.items() if value.ndim == 4)
    same = made[name].shape == from_it[name].shape and torch.allclose(made[name], from_it[name].float())
    assert same == warm


def test_a_training_begins_from_another_and_goes_on_from_its_own(bundle, tiny_data, trained, tmp_path):
    """A learning rate of zero shows what a training began from; resumed, it goes on from its own weights."""
    weights = trained / "models" / "model.pt"
    still = {"learning_rate": 0.0, "max_epochs": 1}
    bundle.train(tiny_data, tmp_path, init_weights=str(weights), ema_decay=0.5, **still)
    old, new = (torch.load(path / "models" / "model.pt", weights_only=True) for path in (trained, tmp_path))
    assert all(torch.allclose(new[name], value) for name, value in old.items())
    checkpoint = tmp_path / "models" / "checkpoint_epoch=1.pt"
    other = torch.load(checkpoint, weights_only=True)
    for name in other["model"]:
        other["model"][name] = other["model"][name] + 1
    torch.save(other, checkpoint)
    bundle.train(tiny_data, tmp_path, init_weights=str(weights), ema_decay=0.5, resume=True, **{**still, "max_epochs": 2})
    resumed = torch.load(tmp_path / "models" / "checkpoint_epoch=2.pt", weights_only=True)["model"]
    assert all(torch.allclose(resumed[name], value) for name, value in other["model"].items())


def test_a_training_may_begin_from_the_weights_that_it_replaces(bundle, tiny_data, trained, tmp_path):
    """They move aside, and are read before that."""
    (tmp_path / "models").mkdir()
    weights = tmp_path / "models" / "model.pt"
    for name in ("model.pt", "classes.json", "network.json"):
        (tmp_path / "models" / name).write_bytes((trained / "models" / name).read_bytes())
    bundle.train(tiny_data, tmp_path, init_weights=str(weights), learning_rate=0.0, max_epochs=1)
    old = torch.load(trained / "models" / "model.pt", weights_only=True)
    new = torch.load(weights, weights_only=True)
    assert all(torch.allclose(new[name], value) for name, value in old.items())
    assert len(list((tmp_path / "models").glob("previous_*/model.pt"))) == 1
