"""Evaluation by the bundle: its files, its scores, its switches."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lazylabels_monai.data import validation
from lazylabels_monai.errors import user_error
from lazylabels_monai.metrics import (
    IOU_THRESHOLDS,
)
from lazylabels_monai.predicting.model import Model
from tests.bundle.tiny import CLASSES, normalised
from tests.helpers import load, pixels


def plain_dice(prediction: np.ndarray, truth: np.ndarray, value: int) -> float:
    prediction, truth = prediction[truth != 255], truth[truth != 255]
    total = (prediction == value).sum() + (truth == value).sum()
    return 2 * ((prediction == value) & (truth == value)).sum() / total if total else math.nan


def test_metrics_file_keeps_its_contract(predicted, tiny_data):
    metrics = json.loads((predicted / "metrics.json").read_text())
    assert list(metrics["segmentation"]["dice"]) == [*CLASSES, "mean"]
    assert set(metrics["separation"]) == {"precision", "recall"}
    assert "f1@0.5" in metrics["objects"]
    assert metrics["images"] == 2
    assert (metrics["section"], metrics["dataset"]) == ("testing", str(tiny_data))
    dice = metrics["segmentation"]["dice"]
    assert dice["mean"] == pytest.approx((dice["air bubble"] + dice["ice crystal"]) / 2)


def test_reported_dice_is_that_of_the_written_label_maps(predicted, tiny_data):
    rows = list(csv.DictReader((predicted / "metrics.csv").open()))
    items = json.loads((tiny_data / "datalist.json").read_text())["testing"]
    assert [row["image"] for row in rows] == [item["image"] for item in items]
    expected = []
    for item in items:
        written = pixels(predicted / f"{Path(item['image']).stem}_pred.png")
        assert set(np.unique(written)) == {0, 1, 2}
        expected.append([plain_dice(written, pixels(tiny_data / item["segmentation"]), value) for value in (1, 2)])
    assert np.min(expected) > 0
    np.testing.assert_allclose([[float(row[f"dice {name}"]) for name in CLASSES] for row in rows], expected, atol=1e-12)
    dice = json.loads((predicted / "metrics.json").read_text())["segmentation"]["dice"]
    np.testing.assert_allclose([dice[name] for name in CLASSES], np.mean(expected, axis=0), atol=1e-12)


@pytest.mark.parametrize("overlay", ["paper", "unet"])
def test_overlays_train_evaluate_and_infer(bundle, tiny_data, tmp_path, overlay):
    file = bundle.overlays / f"{overlay}.yaml"
    more = {"max_epochs": 1, "early_stop_patience": 3}
    workflow = bundle.train(tiny_data, tmp_path, file, **more)
    weights = workflow.parser.get_parsed_content("train#sampler#weights")
    if overlay == "paper":
        assert weights == [0.25] * 4
        assert "heads.detection.conv.weight" in load(tmp_path / "models" / "model.pt")
    else:
        assert len(weights) == 1  # the one exact mask; nothing else is drawn
        assert not any("separation" in key for key in load(tmp_path / "models" / "model.pt"))
    bundle.evaluate(tiny_data, tmp_path, file)
    bundle.infer(tiny_data, tmp_path, file, save_probabilities=True)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["segmentation"]["dice"]["mean"] is not None
    assert (metrics["separation"]["precision"] is None) or overlay == "paper"
    assert (tmp_path / "microstructure_test_000_pred.png").is_file()
    assert (tmp_path / "microstructure_test_000_detection_probability.tif").is_file() == (overlay == "paper")


def test_switches_of_the_evaluation_reach_every_method(bundle, tiny_data, tmp_path):
    files = bundle.files("train.yaml", "evaluate.yaml")
    for wanted in (False, True):
        more = bundle.overrides(tiny_data, tmp_path, **({"glas_metrics": True, "class_aware_objects": True} if wanted else {}))
        with bundle.workflow(files, "train", init_id="nothing", **more) as workflow:
            metrics = list(workflow.parser.get_parsed_content("validate#objects").values())
        assert [metric.settings.route for metric in metrics] == ["three maps", "components", "distance"]
        assert [(metric.glas, metric.class_aware) for metric in metrics] == [(wanted, wanted)] * 3
        assert all(metric.thresholds == IOU_THRESHOLDS for metric in metrics)


def test_a_data_set_with_the_classes_in_another_order_is_refused(bundle, tiny_data, trained, tmp_path):
    """The same marks under swapped names: every class would be judged as the other."""
    shutil.copytree(tiny_data, tmp_path / "data")
    content = json.loads((tmp_path / "data" / "datalist.json").read_text())
    content["classes"] = content["classes"][::-1]
    (tmp_path / "data" / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(RuntimeError) as refused:  # MONAI's, around ours
        bundle.evaluate(tmp_path / "data", tmp_path / "out", ckpt_dir=str(trained / "models"))
    said = str(user_error(refused.value))
    assert "in the order air bubble, ice crystal, the data set ice crystal, air bubble" in said
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_whole_images_are_scored_whatever_a_training_validates_on(bundle, tiny_data, predicted, tmp_path, monkeypatch, caplog):
    """With the config of a training, which is named after evaluate.yaml, and with its options."""
    monkeypatch.setattr(validation, "FREE", 1)  # a window of one image is all that val_share allows
    monkeypatch.setattr(validation, "FEWEST", 1)
    of_training, own = {"val_share": 0.01, "val_overlap": 0.0, "val_window_size": [16, 16]}, tmp_path / "own.yaml"
    own.write_text(json.dumps(of_training))
    runs = {"plain": ([], {}), "file": ([own], {}), "option": ([], of_training)}
    for name, (files, more) in runs.items():
        given = {"ckpt_dir": str(predicted / "models"), "window_size": [32, 32], "crops_per_epoch": 1, **more}
        bundle.evaluate(tiny_data, tmp_path / name, *files, **given)
        told = [record.getMessage() for record in caplog.records if "val_overlap" in record.getMessage()]
        assert len(told) == (name != "plain")
        assert all("val_share 0.01, val_overlap 0.0" in one and "overlap by 0.5 (overlap)" in one for one in told)
        caplog.clear()
        for file in ("metrics.json", "metrics.csv"):
            assert (tmp_path / name / file).read_text() == (tmp_path / "plain" / file).read_text()


def test_what_was_scored_stands_beside_the_scores(bundle, tiny_data, predicted, tmp_path):
    def scored(out: Path) -> dict:
        return json.loads((out / "metrics.json").read_text())["scored"]

    usual = {"images": "whole", "window_size": [64, 64], "overlap": 0.5, "mirroring": False}
    assert scored(predicted) == usual
    given = {"window_size": [48, 32], "overlap": 0.25, "mirroring": True}
    bundle.evaluate(tiny_data, tmp_path, ckpt_dir=str(predicted / "models"), **given)
    assert scored(tmp_path) == {**usual, **given}
    assert (tmp_path / "metrics.csv").read_text() != (predicted / "metrics.csv").read_text()


def test_windows_are_those_of_the_training_unless_others_are_named(bundle, tiny_data, predicted, tmp_path):
    """Whatever crop_size says, which a prediction needs for nothing else; as by `lazylabels predict`."""

    def window(workflow) -> list[int]:
        return list(
            workflow.parser.get_parsed_content("inferer" if "inferer" in workflow.parser else "validate#inferer").roi_size
        )

    of_training, own = json.loads((predicted / "models" / "network.json").read_text())["window_size"], [48, 32]
    assert of_training == [64, 64] != bundle.network["crop_size"]
    models = tmp_path / "models"
    shutil.copytree(predicted / "models", models)
    given = {"crop_size": [256, 256], "ckpt_dir": str(models)}
    for run in (bundle.evaluate, bundle.infer):
        assert window(run(tiny_data, tmp_path / "out", **given)) == of_training
        assert window(run(tiny_data, tmp_path / "own", window_size=own, **given)) == own
    for name in ("metrics.json", "metrics.csv"):
        assert (tmp_path / "out" / name).read_text() == (predicted / name).read_text()
    np.testing.assert_array_equal(*(pixels(out / "microstructure_test_000_pred.png") for out in (tmp_path / "out", predicted)))
    (models / "network.json").unlink()  # as of trainings before that was written
    given["normalization"] = "percentiles"
    for run in (bundle.evaluate, bundle.infer):
        assert window(run(tiny_data, tmp_path / "none", **{**given, "crop_size": [24, 16]})) == own


def test_a_network_trained_with_overrides_of_its_definition(bundle, tiny_data, tmp_path):
    """Evaluated, predicted and resumed as it was trained, or refused with what to give."""
    ids = {"network_def#act": "ELU", "network_def#norm": ["GROUP", {"num_groups": 2}]}
    trained = bundle.train(tiny_data, tmp_path, max_epochs=1, **ids).parser.get_parsed_content("network_def")
    bundle.evaluate(tiny_data, tmp_path, **ids)
    files = sorted((tiny_data / "images").glob("*test*.png"))
    network = Model(tmp_path / "models" / "model.pt", bundle.configs.parent, overrides={"device": "cpu"}).network
    image = normalised(pixels(files[0]))
    with torch.no_grad():
        torch.testing.assert_close(network(image), trained.cpu().eval()(image))
    for run, more in ((bundle.evaluate, {}), (bundle.infer, {}), (bundle.train, {"resume": True, "max_epochs": 2})):
        for given, said in (
            ({}, 'norm ["GROUP", {"num_groups": 2}], not ["INSTANCE", {"affine": true}]'),
            ({"norm": ["GROUP", {"num_groups": 2}]}, 'act "ELU", not ["LEAKYRELU"'),
        ):
            with pytest.raises(Exception) as refused:  # noqa: PT011 - MONAI wraps it
                run(tiny_data, tmp_path, **more, **given)
            assert said in str(user_error(refused.value))
    bundle.train(tiny_data, tmp_path, max_epochs=2, resume=True, **ids)
    slope = {"negative_slope": "$__import__('numpy').float32(0.2)"}
    with pytest.raises(Exception) as refused:  # noqa: PT011
        bundle.train(tiny_data, tmp_path / "other", max_epochs=1, **{"network_def#act": ["LEAKYRELU", slope]})
    assert "network_def#act is" in str(user_error(refused.value))
    assert not (tmp_path / "other" / "models" / "model.pt").exists()
