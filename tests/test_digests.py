"""Weights are those that were written, or it is said; a kill leaves weights that the digests beside them know."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import warnings

import numpy as np
import pytest
import torch

from lazylabels_monai import digests
from lazylabels_monai.checkpoints import CheckpointSaver, latest_checkpoint
from lazylabels_monai.digests import damaged_part, digest_file, replace_weights, require_whole, settle
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.trained import copy_trained, load_weights
from lazylabels_monai.warm_start import read_state


def network(seed: int = 0) -> MultiTaskUNet:
    torch.manual_seed(seed)
    return MultiTaskUNet(num_classes=3, channels=(4, 8), num_multitask_blocks=1)


@pytest.fixture
def weights(tmp_path):
    torch.save(network().state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def values(content: bytes) -> dict[str, torch.Tensor] | None:
    """What torch reads, or None where it fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(content), weights_only=True)
    except Exception:
        return None


@pytest.mark.parametrize("noted", [True, False])
def test_a_flipped_bit_is_noticed_or_changes_nothing(weights, noted, caplog):
    """At 300 places of the file, against torch: what it would read without a word."""
    whole, right = weights.read_bytes(), network().state_dict()
    if noted:
        settle(weights)
    rng = np.random.default_rng(0)
    silent = refused = harmless = 0
    for place in rng.choice(len(whole), 300, replace=False):
        content = bytearray(whole)
        content[place] ^= 1 << int(rng.integers(8))
        weights.write_bytes(content)
        caplog.clear()
        try:
            require_whole(weights)
        except LazyLabelsError:
            refused += 1
            continue
        if noted:
            assert f"{weights} is not the file whose digest model.pt.sha256 holds" in caplog.text
        read = values(content)
        if read is None:  # told by torch
            continue
        harmless += 1
        silent += not all(torch.equal(read[name], right[name]) for name in right)
    assert silent == 0
    assert refused > 100
    assert refused + harmless > 250


def test_whole_files_of_every_kind_pass(weights, tmp_path, caplog):
    require_whole(weights)
    legacy = tmp_path / "legacy.pt"
    torch.save(network().state_dict(), legacy, _use_new_zipfile_serialization=False)
    require_whole(legacy)
    script = tmp_path / "model.ts"
    torch.jit.save(torch.jit.script(network()), str(script))
    assert damaged_part(script) is None
    settle(weights)
    require_whole(weights)
    assert caplog.text == ""


def test_files_that_were_written_without_checksums_pass(weights, monkeypatch):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(network().state_dict(), weights)
    finally:
        torch.serialization.set_crc32_options(True)
    require_whole(weights)


def test_the_digest_is_what_sha256sum_reads(weights):
    settle(weights)
    assert digest_file(weights).read_text() == f"{hashlib.sha256(weights.read_bytes()).hexdigest()}  model.pt\n"
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--strict", "model.pt.sha256"], cwd=weights.parent, check=True)


def test_weights_that_somebody_put_there_are_taken_and_told(weights, caplog):
    settle(weights)
    torch.save(network(1).state_dict(), weights)
    load_weights(network(), weights)
    assert f"if you put it there, remove {digest_file(weights)}" in caplog.text
    digest_file(weights).unlink()  # the remedy
    caplog.clear()
    load_weights(network(), weights)
    assert caplog.text == ""


def test_of_a_format_without_checksums_the_digest_decides(weights):
    torch.save(network().state_dict(), weights, _use_new_zipfile_serialization=False)
    settle(weights)
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(LazyLabelsError, match=r"is not the file whose digest model\.pt\.sha256 holds: copy it again"):
        load_weights(network(), weights)
    digest_file(weights).unlink()
    load_weights(network(), weights)


@pytest.mark.parametrize("text", ["", "no digest\n", "\x00", "ab  model.pt\n"])
def test_a_digest_that_cannot_be_read_says_nothing(weights, text, caplog):
    digest_file(weights).write_text(text)
    require_whole(weights)
    assert caplog.text == ""


def flip_a_weight(path) -> None:
    content = bytearray(path.read_bytes())
    place = content.find(next(iter(network().state_dict().values())).numpy().tobytes())
    assert place > 0
    content[place + 3] ^= 0x40
    path.write_bytes(content)


def test_damaged_weights_are_neither_loaded_nor_copied_nor_begun_from(weights, tmp_path):
    settle(weights)
    flip_a_weight(weights)
    (tmp_path / "to").mkdir()
    for use in (lambda w: load_weights(network(), w), read_state, lambda w: copy_trained(w, tmp_path / "to")):
        with pytest.raises(LazyLabelsError, match=r"model\.pt is damaged \(its part '.*/data/\d+' is not as it was written\)"):
            use(weights)
    assert list((tmp_path / "to").iterdir()) == []


def test_a_copy_has_a_digest_of_its_own_also_under_another_name(weights, tmp_path):
    settle(weights)
    other = weights.rename(tmp_path / "june.pt")
    digest_file(weights).unlink()
    (tmp_path / "to").mkdir()
    copy_trained(other, tmp_path / "to")
    require_whole(tmp_path / "to" / "model.pt")
    assert digest_file(tmp_path / "to" / "model.pt").read_text().split()[1] == "model.pt"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(weights, value):
    net = network()
    net.heads["detection"].conv.bias.data[0] = value
    torch.save(net.state_dict(), weights)
    for use in (lambda w: load_weights(network(), w), read_state):
        with pytest.raises(LazyLabelsError, match=r"model\.pt: 1 of the weights' \d+ tensors hold NaN or infinite values"):
            use(weights)


def test_checkpoints_that_are_damaged_or_poisoned_are_passed_over(tmp_path):
    for number in (1, 2, 3):
        torch.save({"model": network().state_dict()}, tmp_path / f"checkpoint_epoch={number}.pt")
    flip_a_weight(tmp_path / "checkpoint_epoch=3.pt")
    poisoned = network().state_dict()
    poisoned["heads.detection.conv.bias"][0] = float("nan")
    torch.save({"model": poisoned}, tmp_path / "checkpoint_epoch=2.pt")
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint_epoch=1.pt")


class _KilledError(BaseException):
    pass


@pytest.mark.parametrize("step", range(6))
def test_a_kill_at_any_step_of_a_save_leaves_weights_that_are_known(tmp_path, monkeypatch, step, caplog):
    """Every file that is renamed into place is one step; the process ends before or after each."""
    from ignite.engine import Engine

    engine = Engine(lambda engine, batch: None)
    engine.state.key_metric_name = "dice"

    def save(seed: int) -> None:
        saver = CheckpointSaver(str(tmp_path), {"model": network(seed)}, save_key_metric=True, key_metric_filename="model.pt")
        engine.state.metrics = {"dice": 0.5}
        saver.metrics_completed(engine)

    save(1)
    real, calls = os.replace, []

    def replace(source, target):
        if len(calls) == step // 2 and step % 2 == 0:
            raise _KilledError
        real(source, target)
        calls.append(target)
        if len(calls) == step // 2 + 1 and step % 2 == 1:
            raise _KilledError

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(_KilledError):
        save(2)
    monkeypatch.undo()
    require_whole(tmp_path / "model.pt")
    assert caplog.text == ""
    save(3)  # and the next save makes it all right
    require_whole(tmp_path / "model.pt")
    assert len(digest_file(tmp_path / "model.pt").read_text().splitlines()) == 1


def test_weights_that_take_the_place_of_others_bring_their_digest(weights, tmp_path, caplog):
    settle(weights)
    torch.save(network(5).state_dict(), tmp_path / "new.pt")
    replace_weights(tmp_path / "new.pt", weights)
    require_whole(weights)
    assert caplog.text == ""
    assert digests.damaged_part(weights) is None
