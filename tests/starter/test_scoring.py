from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.starter import scoring
from lazylabels_monai.starter.__main__ import main
from lazylabels_monai.starter.making import NETWORK, half_precision
from lazylabels_monai.starter.scoring import SCORES_FILE, place_weights, score_weights
from lazylabels_monai.starter.sets import validation_pictures

TINY = {**NETWORK, "channels": [4, 8, 8], "num_multitask_blocks": 2}


def made(folder, names=("final", "without_builtin")):
    """What ``make`` leaves, of networks that know nothing."""
    folder.mkdir()
    runs = [{"name": name, "without": None if name == "final" else "builtin"} for name in names]
    results = {"network": TINY, "settings": {"crop_size": 64}, "runs": runs}
    (folder / "results.json").write_text(json.dumps(results))
    for name in names:
        torch.save(half_precision(MultiTaskUNet(num_classes=2, **TINY)), folder / f"{name}.pt")
    return results


def test_the_scores_are_those_of_the_pixels_and_of_objects(tmp_path, monkeypatch):
    """A network that says "object" everywhere, against the counts of two pictures by hand."""
    results = made(tmp_path / "out", ("final",))
    weights = place_weights(tmp_path / "out" / "final.pt", results, tmp_path / "placed")
    state = torch.load(weights, weights_only=True)
    for name in state:
        if name.startswith("heads."):
            state[name] = torch.zeros_like(state[name])
    state["heads.segmentation.conv.bias"] = torch.tensor([-5.0, 5.0]).half()
    state["heads.detection.conv.bias"] = torch.tensor([-5.0, 5.0]).half()
    state["heads.separation.conv.bias"] = torch.tensor([5.0, -5.0]).half()
    torch.save(state, weights)
    whole, half = np.ones((40, 60), np.int32), np.zeros((40, 60), np.int32)
    half[:, :20] = 1
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)  # one of a single value is answered as background
    pictures = [("a", noise, whole), ("b", noise, half)]
    monkeypatch.setattr(scoring, "validation_pictures", lambda *given: iter(pictures))
    found = score_weights(weights, "emps")
    assert found["images"] == 2
    assert found["dice"] == pytest.approx((1 + 2 * 20 / 80) / 2, abs=1e-3)
    assert found["f1"] == pytest.approx(1 / 2)  # one object found, one predicted too large
    assert found["recall"] is None  # nothing touches


def test_each_run_is_scored_on_its_own_set_and_the_starter_on_all(tmp_path, capsys):
    made(tmp_path / "out")
    assert main(["score", str(tmp_path / "out"), "--only", "builtin,scenes", "--most", "1"]) == 0
    found = json.loads((tmp_path / "out" / SCORES_FILE).read_text())
    assert {name: list(scores) for name, scores in found.items()} == {
        "final": ["builtin", "scenes"],
        "without_builtin": ["builtin"],
    }
    assert "without_builtin, builtin: {'images': 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"), [(["nothing"], "results.json is not there"), (["out", "--only", "emps"], "'emps' must be one of")]
)
def test_what_cannot_be_scored_is_one_sentence(tmp_path, capsys, given, said):
    made(tmp_path / "out")
    assert main(["score", str(tmp_path / given[0]), *given[1:]]) == 1
    assert said in capsys.readouterr().err


def test_pictures_that_validate_are_those_held_out_at_the_validated_size(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / "emps" / "train" / kind).mkdir(parents=True)
    for k in range(21):
        ids = np.zeros((40, 60), np.uint16)
        ids[5:25, 5:25] = 300 + k
        Image.fromarray(rng.integers(0, 255, (40, 60)).astype(np.uint8)).save(tmp_path / f"emps/train/images/{k:02}.png")
        Image.fromarray(ids).save(tmp_path / f"emps/train/masks/{k:02}.png")
    found = list(validation_pictures("emps", tmp_path))
    assert [name for name, _, _ in found] == ["09", "19"]
    assert [int(instances.max()) for _, _, instances in found] == [309, 319]
    assert {image.shape for _, image, _ in found} == {(20, 30)}
    assert len(list(validation_pictures("emps", tmp_path, 1))) == 1


def test_no_training_picture_is_a_generated_one_that_validates(monkeypatch):
    from lazylabels_monai.starter import sets

    seeds = {"validation": [], "training": []}
    monkeypatch.setattr(sets, "generated_instances", lambda d, seed, *s: seeds["validation"].append(seed) or (0, 0))
    list(validation_pictures("scenes"))

    class Full(Exception):
        pass

    class Queue(list):
        def put(self, item):
            self.append(item)
            if len(self) == 30:
                raise Full

    monkeypatch.setattr(sets, "generated", lambda d, seed, size: seeds["training"].append(seed) or (0, 0))
    for run_seed in (0, 1):
        with pytest.raises(Full):
            sets.produce(Queue(), run_seed, 0)
    assert len(set(seeds["validation"])) == 12
    assert not set(seeds["validation"]) & set(seeds["training"])
