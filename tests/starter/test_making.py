from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.network_file import NETWORK_FILE
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.starter import making
from lazylabels_monai.starter.__main__ import main
from lazylabels_monai.starter.making import NETWORK, Settings, half_precision, make, parsed_plan
from lazylabels_monai.starter.sets import Picture, coded
from lazylabels_monai.trained import trained_classes

TINY = {**NETWORK, "channels": [4, 8, 8], "num_multitask_blocks": 2}


@pytest.fixture
def pictures(monkeypatch, tmp_path):
    """A few small pictures of two sets instead of a file."""
    ids = np.zeros((64, 64), np.uint16)
    ids[8:30, 8:30], ids[8:30, 31:50] = 1, 2
    image = np.where(ids > 0, 180, 60).astype(np.uint8)
    held = [Picture("emps", part, image, coded(ids)) for part in ("training", "training", "validation")]
    held += [Picture("powder", "training", image[:48], coded(ids[:48])), Picture("glas", "unseen", image, coded(ids))]
    monkeypatch.setattr(making, "unpack", lambda source: held)
    monkeypatch.setattr(making, "NETWORK", TINY)
    return tmp_path


SETTINGS = Settings(
    device="cpu", seconds=60, batch_size=2, crop_size=32, slots=8, workers=0, validations=2, warm_up=5, most_steps=30
)


def test_runs_follow_a_plan_and_leave_their_weights_and_records(pictures):
    out = pictures / "out"
    make(pictures, out, parsed_plan("final:2,emps:1"), SETTINGS, {"commit": "abc"})
    results = json.loads((out / making.RESULTS_FILE).read_text())
    assert [run["name"] for run in results["runs"]] == ["final", "without_emps"]
    assert results["about"]["commit"] == "abc"
    assert trained_classes(out / "without_emps.pt") == ["object"]
    known = json.loads((out / NETWORK_FILE).read_text())  # so that predict takes them as they are
    assert (known["channels"], known["normalization"]) == (TINY["channels"], "percentiles")
    for run in results["runs"]:
        assert "error" not in run
        assert [record["step"] for record in run["validations"]] == [15, 30]
        assert set(run["validations"][-1]["scores"]) == {"emps", "glas"}
        state = torch.load(out / f"{run['name']}.pt", weights_only=True)
        network = MultiTaskUNet(num_classes=2, **TINY)
        network.load_state_dict({name: value.float() for name, value in state.items()})
        assert all(torch.isfinite(value).all() for value in network.state_dict().values())
    first, second = (torch.load(out / f"{run['name']}.pt", weights_only=True) for run in results["runs"])
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_run_that_fails_does_not_take_the_others_along(pictures, monkeypatch):
    step = making.Trainer.step

    def failing(self, weights, rate):
        if self.pictures.settings.seed == 0 and not weights[0] > 0:  # without emps
            raise RuntimeError("out of memory")
        return step(self, weights, rate)

    monkeypatch.setattr(making.Trainer, "step", failing)
    results = make(pictures, pictures / "out", parsed_plan("emps,final"), SETTINGS)
    assert "out of memory" in results["runs"][0]["error"]
    assert results["runs"][1]["validations"][-1]["step"] == 30


def test_a_set_left_out_is_never_drawn_and_its_share_goes_to_the_others(pictures):
    held = making.Pictures(pictures, SETTINGS)
    all_of_them, without = held.weights(None), held.weights("emps")
    emps = torch.tensor([domain == "emps" for domain in held.domains])
    assert without[emps].sum() == 0
    assert all_of_them.sum() == pytest.approx(1)
    assert without.sum() == pytest.approx(1)
    empty = torch.tensor([domain == "" for domain in held.domains])
    assert all_of_them[empty].sum() == 0
    held.domains = ["emps"] * len(held.domains)
    with pytest.raises(LazyLabelsError, match="no pictures are left"):
        held.weights("emps")


def test_generated_pictures_replace_the_oldest(pictures):
    held = making.Pictures(pictures, SETTINGS)
    before = dict(held.made)
    low, high = held.rings["scenes"]
    for k in range(high - low + 1):
        held._take([("scenes", np.full((64, 64), 10 + k, np.uint8), np.zeros((64, 64), np.uint8))])
    assert held.made["scenes"] == before["scenes"] + high - low + 1
    newest = held.first + low + (held.made["scenes"] - 1) % (high - low)
    assert held.training.images[newest, 0, 0] == 10 + high - low
    assert held.domains[newest] == "scenes"


def test_half_precision_stores_shared_weights_once(tmp_path):
    network = MultiTaskUNet(num_classes=2, **NETWORK)
    torch.save(half_precision(network), tmp_path / "model.pt")
    size = (tmp_path / "model.pt").stat().st_size
    assert size < 8e6
    assert size == pytest.approx(2 * sum(p.numel() for p in network.parameters()), rel=0.02)


@pytest.mark.parametrize("text", ["glas:3", "final:x", "final:0", ""])
def test_a_plan_that_cannot_be_followed_is_refused(text):
    with pytest.raises(LazyLabelsError, match="must be one of final, emps"):
        parsed_plan(text)


def test_the_command_hands_over_what_it_is_given(monkeypatch, tmp_path, capsys):
    called = []
    monkeypatch.setattr(making, "make", lambda *given: called.append(given))
    given = [
        "make",
        str(tmp_path / "p.zip"),
        str(tmp_path / "out"),
        "--plan",
        "final:3,emps:1",
        "--no-compile",
        "--seconds",
        "7",
    ]
    assert main([*given, "--device", "cpu", "--most-steps", "5", "--commit", "abc"]) == 0
    source, out, plan, settings, about = called[0]
    assert (source, out) == (tmp_path / "p.zip", tmp_path / "out")
    assert [(run.name, run.share, run.without) for run in plan] == [("final", 3, None), ("without_emps", 1, "emps")]
    assert settings == Settings(device="cpu", seconds=7, most_steps=5, compile=False)
    assert about == {"commit": "abc"}
    assert main([*given[:3], "--without", "glass"]) == 1
    assert "must be one of final, emps" in capsys.readouterr().err


def test_memory_formats_are_tried_with_an_optimizer_of_their_own(pictures, monkeypatch):
    """The state of a fused optimizer has the memory format of the weights that it first met."""
    trainer = making.Trainer(making.Pictures(pictures, SETTINGS), SETTINGS)
    monkeypatch.setattr(trainer, "device", type("Device", (), {"type": "cuda"})())
    monkeypatch.setattr(making, "_autocast", lambda device: making.contextlib.nullcontext())
    monkeypatch.setattr(making, "_wait", lambda device: None)
    seen = []
    begin, timed = making.Trainer.begin, making.Trainer._timed

    def begun(self, seed):
        monkeypatch.setattr(torch.optim.AdamW, "__init__", plain)
        begin(self, seed)

    made = torch.optim.AdamW.__init__

    def plain(self, *given, fused=False, **more):
        made(self, *given, **more)

    def tried(self, weights, steps=8):
        speed = timed(self, weights, 1)
        for parameter in self.network.parameters():
            mean = self.optimizer.state[parameter]["exp_avg"]
            seen.append(mean.stride() == parameter.stride())
        return speed

    monkeypatch.setattr(making.Trainer, "begin", begun)
    monkeypatch.setattr(making.Trainer, "_timed", tried)
    monkeypatch.setattr(trainer, "settings", replace(SETTINGS, compile=False))
    trainer.choose()
    assert set(trainer.speeds) == {"contiguous", "channels_last"}
    assert all(seen)


@pytest.mark.parametrize("faster", [True, False])
def test_a_cpu_trains_in_the_number_format_and_memory_order_that_are_faster_there(pictures, monkeypatch, faster):
    monkeypatch.setattr(making, "use_bfloat16", lambda setting, device: faster)
    monkeypatch.setattr(making, "trains_channels_last", lambda dims, device, setting: faster)
    trainer = making.Trainer(making.Pictures(pictures, SETTINGS), SETTINGS)
    trainer.begin(0)
    seen = []

    def look(layer, given, made):
        seen.append((made.dtype == torch.bfloat16, layer.weight.is_contiguous(memory_format=torch.channels_last)))

    wide = [m for m in trainer.network.modules() if isinstance(m, torch.nn.Conv2d) and min(m.weight.shape) > 1]
    for layer in wide:
        layer.register_forward_hook(look)
    trainer.step(trainer.pictures.weights(None), 1e-4)
    assert wide
    assert set(seen) == {(faster, faster)}
