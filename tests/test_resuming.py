"""``resume`` compares the training with the one that it continues, before anything is written."""

from __future__ import annotations

import json
import math
import re
import shutil

import pytest
import torch
import yaml
from PIL import Image

from lazylabels_monai import resuming
from lazylabels_monai.errors import user_error
from tests.helpers import ROOT, events, load


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def out(trained, tmp_path):
    """A finished training of two epochs, to be resumed."""
    shutil.copytree(trained / "models", tmp_path / "out" / "models")
    return tmp_path / "out"


@pytest.fixture
def data(tiny_data, tmp_path):
    """The data set of that training, to be changed, and a function that writes its datalist."""
    folder = tmp_path / "data"
    shutil.copytree(tiny_data, folder)
    content = json.loads((folder / "datalist.json").read_text())

    def write():
        (folder / "datalist.json").write_text(json.dumps(content))
        return folder

    return content, write


def refusal(bundle, out, data, *overlays, **more):
    """What a resumed training is refused with; every file is as before then."""
    before = files(out / "models")
    given = {**bundle.overrides(data, out), **bundle.training, "max_epochs": 3, "resume": True, **more}
    with (
        pytest.raises(Exception) as caught,  # noqa: PT011  MONAI wraps it
        bundle.workflow(bundle.files("train.yaml", *overlays), "train", **given),
    ):
        pass
    assert files(out / "models") == before
    error = user_error(caught.value)
    assert error is not None, caught.value
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"channels": [4, 8, 16]}, "channels [4, 8, 8], not [4, 8, 16]"),
        ({"channels": [4, 8], "num_multitask_blocks": 1}, "num_multitask_blocks 2, not 1"),
        ({"norm": "BATCH"}, "norm"),
        ({"in_channels": 3}, "in_channels 1, not 3"),
        ({"dropout": 0.1}, "dropout 0.0, not 0.1"),
        ({"tasks": ["segmentation", "detection"]}, 'tasks ["segmentation", "detection", "separation"], not'),
        ({"crop_size": [48, 48]}, "crop_size [32, 32], not [48, 48]"),
        ({"sampling_shares": {}}, 'sampling_shares {"segmentation": 0.4}, not {}'),
        ({"crops_per_epoch": 16}, "2 steps in an epoch, not 4"),
        ({"batch_size": 2}, "2 steps in an epoch, not 4"),
        ({"ema_decay": 0.9}, "running mean"),
        ({"optimizer#_target_": "torch.optim.SGD"}, "the optimizer Adam, not SGD"),
        ({"optimizer#_target_": "torch.optim.AdamW"}, "the optimizer Adam, not AdamW"),
        ({"lr_scheduler": "$torch.optim.lr_scheduler.ConstantLR(@optimizer)"}, "the lr_scheduler CosineAnnealingLR, not"),
        ({"optimizer#amsgrad": True}, "the optimizer's amsgrad false, not true"),
        ({"optimizer#params": "$[*@network.parameters()][1:]"}, "an optimizer of"),
    ],
)
def test_another_setting_is_refused_by_its_name(bundle, tiny_data, out, changed, said):
    message = refusal(bundle, out, tiny_data, **changed)
    assert said in message
    assert "checkpoint_epoch=2.pt belongs to another training" in message
    assert "leave --resume out" in message


def test_another_network_is_refused(bundle, tiny_data, out):
    overlay = ROOT / "configs" / "unet.yaml"
    assert "the network MultiTaskUNet, not SingleTaskUNet" in refusal(bundle, out, tiny_data, overlay)


def test_without_what_newer_trainings_write_the_checkpoint_itself_is_compared(bundle, tiny_data, out):
    for name in ("classes.json", "network.json", "training.json"):
        (out / "models" / name).unlink()
    assert re.search(r"another network \(.* of shape", refusal(bundle, out, tiny_data, channels=[4, 8, 16]))


@pytest.mark.parametrize("classes", [["air bubble"], ["ice crystal", "air bubble"], ["a", "b"]])
def test_other_classes_are_refused(bundle, data, out, classes):
    content, write = data
    content["classes"] = classes
    if len(classes) == 1:  # masks of one class, so that the data set itself is sound
        for section in ("training", "validation", "testing"):
            for item in content[section]:
                for key in set(item) & {"segmentation", "detection"}:
                    path = write() / item[key]
                    Image.open(path).point(lambda value: value if value == 255 else min(value, 1)).save(path)
    assert f"the classes ['air bubble', 'ice crystal'], not {classes}" in refusal(bundle, out, write())


def test_an_image_that_changed_sides_is_refused_by_name(bundle, data, out):
    content, write = data
    exact = next(item for item in content["training"] if "segmentation" in item)
    content["training"].remove(exact)
    content["validation"].append(exact)
    message = refusal(bundle, out, write())
    assert f"trained on images that validate now ('{exact['image']}'" in message
    assert "--keep-splits" in message


def test_another_data_set_is_refused(bundle, data, out):
    _, write = data
    record = json.loads((out / "models" / "training.json").read_text())
    record["images"]["training"] = {f"other{i}.png": None for i in range(5)}
    (out / "models" / "training.json").write_text(json.dumps(record))
    assert "5 training images, none of which is in this data set" in refusal(bundle, out, write())


def test_a_training_that_is_done_says_so(bundle, tiny_data, out):
    for epochs in (1, 2):
        message = refusal(bundle, out, tiny_data, max_epochs=epochs)
        assert f"has done 2 epochs and max_epochs is {epochs}" in message
        assert "--max_epochs 3" in message


def test_more_data_more_epochs_and_another_rate_are_told_and_done(bundle, data, out, caplog):
    content, write = data
    content["training"].append({**content["testing"].pop(), "detection": content["training"][-1].get("detection")})
    content["training"][-1] = {k: v for k, v in content["training"][-1].items() if v is not None and k != "instances"}
    content["validation"].append(content["testing"].pop())
    before = (out / "models" / "model.pt").read_bytes()
    bundle.train(write(), out, max_epochs=3, resume=True, learning_rate=0.01, seed=3)
    for said in (
        "learning_rate is 0.01, it was 0.0002",
        "max_epochs is 3, it was 2",
        "seed is 3, it was 0",
        "1 training images are new, 0 are no longer there",
        "chosen anew",
    ):
        assert said in caplog.text
    newest = load(out / "models" / "checkpoint_epoch=3.pt")
    assert newest["optimizer"]["param_groups"][0]["lr"] == pytest.approx(0.01)
    assert newest["trainer"]["iteration"] == 6
    # other validation images: the best so far is no measure, but it is not lost
    (previous,) = (out / "models").glob("previous_*")
    assert (previous / "model.pt").read_bytes() == before
    assert [value.step for value in events(out).Scalars("loss/total")] == [3]


@pytest.mark.parametrize("changed", [{"val_overlap": 0.5}, {"val_window_size": [16, 16]}, {"window_size": [16, 16]}])
def test_whole_images_scored_by_other_windows_are_told_and_choose_anew(bundle, tiny_data, out, caplog, changed):
    before, record = (out / "models" / "model.pt").read_bytes(), json.loads((out / "models" / "training.json").read_text())
    assert record["judged_by"] == "val_mean_dice"  # whole images
    bundle.train(tiny_data, out, max_epochs=3, resume=True, **changed)
    ((name, value),) = changed.items()
    assert f"val_{name.removeprefix('val_')} is {json.dumps(value)}, it was" in caplog.text
    assert "chosen anew" in caplog.text
    (previous,) = (out / "models").glob("previous_*")
    assert (previous / "model.pt").read_bytes() == before


@pytest.mark.parametrize(
    ("judged_by", "overlap", "anew"),
    [
        ("val_mean_dice", 0.25, True),
        ("val_loss", 0.25, True),
        ("val_loss", 0.5, False),
        ("val_loss", None, False),  # a training of an earlier version: nobody knows
        ("nothing", 0.25, False),
        ("val_mean_dice_windows on 8 windows of [32, 32]", 0.25, False),  # which do not overlap
    ],
)
def test_only_scores_of_whole_images_depend_on_how_windows_overlap(tmp_path, judged_by, overlap, anew):
    images = {"training": {"a.png": None}, "validation": {"b.png": None}}
    before = {"judged_by": judged_by, "images": images, "settings": {} if overlap is None else {"val_overlap": overlap}}
    (tmp_path / "training.json").write_text(json.dumps(before))
    now = {**before, "settings": {"val_overlap": 0.5, "val_window_size": [32, 32]}}
    assert resuming.chosen_otherwise(tmp_path, now) == anew


@pytest.mark.parametrize(
    ("began_from", "asked", "told"),
    [
        ("nothing", "{}/model.pt", True),
        ("{}/model.pt", "nothing", True),
        ("{}/model.pt", "starter", True),
        ("nothing", "nothing", False),
        ("{}/model.pt", "{}/../models/model.pt", False),  # the same file
        ("nothing", "$'starter'", False),  # a preset's, as in cpu.yaml, which names it whatever the training began from
        ("{}/model.pt", None, False),
        (None, "{}/model.pt", False),  # a training of an earlier version: nobody knows
    ],
)
def test_other_weights_to_begin_from_are_told_to_be_without_effect(
    bundle, tiny_data, out, tmp_path, caplog, began_from, asked, told
):
    file, models = out / "models" / "training.json", out / "models"
    began_from, asked = (text and text.format(models) for text in (began_from, asked))
    record = json.loads(file.read_text())
    record["beginning"] = {} if began_from is None else {"began_from": began_from, "share": None}
    file.write_text(json.dumps(record))
    own = tmp_path / "own.yaml"
    own.write_text(json.dumps({"init_weights": asked}))
    more = {**bundle.overrides(tiny_data, out), **bundle.training, "max_epochs": 3, "resume": True}
    with bundle.workflow(bundle.files("train.yaml", own), "train", **more):
        pass
    assert ("init_weights" in caplog.text) == told
    if told:
        assert f'init_weights "{asked}" is without effect' in caplog.text
        assert f'it began from "{began_from}"' in caplog.text
        assert "leave --resume out" in caplog.text


def test_another_kind_of_optimizer_is_refused_where_nobody_noted_it(bundle, tiny_data, out):
    record = json.loads((out / "models" / "training.json").read_text())
    (out / "models" / "training.json").write_text(json.dumps({k: v for k, v in record.items() if k not in ("kinds", "parts")}))
    for kind in ("SGD", "AdamW"):
        said = refusal(bundle, out, tiny_data, **{"optimizer#_target_": f"torch.optim.{kind}"})
        assert f"another optimizer than {kind}" in said
    bundle.train(tiny_data, out, max_epochs=3, resume=True)


def test_other_settings_in_parts_of_the_config_are_told_and_done(bundle, tiny_data, out, caplog):
    """The optimizer against one of torch's that was made so; without what was asked for again it is the bundle's own."""
    asked = {"optimizer#weight_decay": 0.5, "optimizer#betas": [0.5, 0.9], "loss#dice_weight": 0.25}
    asked["train#preprocessing#transforms#18#prob"] = 1.0
    bundle.train(tiny_data, out, max_epochs=3, resume=True, **asked)
    for said in (
        "optimizer#weight_decay is 0.5, it was 0.",
        "optimizer#betas is [0.5, 0.9], it was [0.9, 0.999].",
        "loss#dice_weight is 0.25, it was as the bundle has it.",
        "train#preprocessing#transforms#18#prob is 1.0, it was as the bundle has it.",
    ):
        assert said in caplog.text
    assert caplog.text.count("weight_decay is") == 1
    group = load(out / "models" / "checkpoint_epoch=3.pt")["optimizer"]["param_groups"][0]
    plain = torch.optim.Adam([torch.zeros(1)], lr=2e-4, weight_decay=0.5, betas=[0.5, 0.9]).param_groups[0]
    assert {k: v for k, v in group.items() if k not in ("params", "initial_lr")} == {
        k: v for k, v in plain.items() if k != "params"
    }
    assert set(json.loads((out / "models" / "training.json").read_text())["parts"]) == set(asked)
    caplog.clear()
    bundle.train(tiny_data, out, max_epochs=4, resume=True)
    assert json.loads((out / "models" / "training.json").read_text())["parts"] == {}
    assert "optimizer#weight_decay is 0, it was 0.5." in caplog.text
    assert "loss#dice_weight is as the bundle has it, it was 0.25." in caplog.text
    group = load(out / "models" / "checkpoint_epoch=4.pt")["optimizer"]["param_groups"][0]
    assert (group["weight_decay"], tuple(group["betas"])) == (0, (0.9, 0.999))


def test_a_decaying_rate_goes_on_to_the_new_end(bundle, tiny_data, tmp_path):
    """Against the closed form of the cosine; a checkpoint's own length would let the rate rise again."""
    bundle.train(tiny_data, tmp_path, lr_decay=True, max_epochs=2)
    bundle.train(tiny_data, tmp_path, lr_decay=True, max_epochs=4, resume=True)
    rate = load(tmp_path / "models" / "checkpoint_epoch=3.pt")["optimizer"]["param_groups"][0]["lr"]
    expected = [2e-4 * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in (2, 3)]
    assert any(rate == pytest.approx(value, rel=1e-6) for value in expected)


@pytest.mark.parametrize(
    "fault",
    [
        {"loss_normalization": "bogus"},
        {"optimizer#_target_": "torch.optim.Nope"},
        {"train#prepare_batch": "$lambda *args, **kwargs: 1 / 0"},
        {"validate#prepare_batch": "$lambda *args, **kwargs: 1 / 0"},
        {"batch_size": 64},
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_training_that_fails_leaves_the_earlier_one_where_it_was(bundle, tiny_data, out, fault, resume):
    before = files(out / "models")
    with pytest.raises(Exception):  # noqa: B017, PT011  whatever it is
        bundle.train(tiny_data, out, max_epochs=3, resume=resume, **fault)
    assert files(out / "models") == before


def test_the_rate_of_a_schedule_that_goes_on_where_it_was_is_said_to_be_without_effect(bundle, tiny_data, tmp_path, caplog):
    """torch restores all of a ``ReduceLROnPlateau``."""
    own = tmp_path / "own.yaml"
    schedule = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "optimizer": "@optimizer", "patience": 0}
    step = {"train#handlers#3#step_transform": "$lambda engine: 1.0"}
    own.write_text(yaml.safe_dump({"lr_scheduler": schedule, **step}))
    bundle.train(tiny_data, tmp_path / "out", own, max_epochs=1)
    own.write_text(yaml.safe_dump({"lr_scheduler": {**schedule, "patience": 5}, **step}))
    workflow = bundle.train(tiny_data, tmp_path / "out", own, max_epochs=2, resume=True, learning_rate=0.5, dice_weight=1.0)
    assert workflow.parser.get_parsed_content("optimizer").param_groups[0]["lr"] < 0.5
    assert workflow.parser.get_parsed_content("lr_scheduler").patience == 0
    told = {key: next(said for said in caplog.messages if f"before: {key}" in said) for key in ("learning_rate", "dice_weight")}
    told["patience"] = next(said for said in caplog.messages if "lr_scheduler#patience is 5, it was 0" in said)
    assert {key for key, said in told.items() if "without effect, as ReduceLROnPlateau" in said} == {
        "learning_rate",
        "patience",
    }


def test_a_schedule_that_ends_before_the_training_is_a_sentence(bundle, tiny_data, tmp_path):
    """torch's OneCycleLR comes back with the steps that it was made with."""
    own = tmp_path / "own.yaml"
    schedule = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "optimizer": "@optimizer", "max_lr": 0.01}
    own.write_text(yaml.safe_dump({"lr_scheduler": {**schedule, "total_steps": "$@train#trainer#max_epochs"}}))
    bundle.train(tiny_data, tmp_path / "out", own, max_epochs=2)
    with pytest.raises(Exception) as refused:  # noqa: PT011  MONAI wraps it
        bundle.train(tiny_data, tmp_path / "out", own, max_epochs=4, resume=True)
    said = str(user_error(refused.value))
    assert said.startswith("lr_scheduler is a OneCycleLR of 2 epochs")
    assert said.endswith("pass --max_epochs 2, or leave --resume out to train anew.")


def test_every_rate_that_a_schedule_replaces_is_said_to_be_without_effect():
    """The optimizer's own, too, and the one of weights that know the images."""

    def record(rate):
        settings = {"learning_rate": rate, "fine_tuning_rate": rate, "dice_weight": rate}
        return {
            "settings": settings,
            "parts": {"optimizer#lr": rate},
            "images": {"training": {}, "validation": {}},
            "judged_by": "",
        }

    said = resuming._told(record(0.1), record(0.2), {}, "ReduceLROnPlateau")
    without = {sentence.split()[0] for sentence in said if "without effect, as ReduceLROnPlateau" in sentence}
    assert without == {"learning_rate", "fine_tuning_rate", "optimizer#lr"}
    assert len(said) == 4
    assert "without effect" not in " ".join(resuming._told(record(0.1), record(0.2), {}))
