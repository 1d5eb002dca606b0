"""Whatever lies under the name of weights ends as one sentence, and nothing of it is run."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from lazylabels_monai.checkpoints import latest_checkpoint
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.networks import SingleTaskUNet
from lazylabels_monai.tensor_files import read_tensors
from lazylabels_monai.trained import load_weights
from lazylabels_monai.warm_start import begin_from
from tests.helpers import ROOT, load
from tests.unreadable import RAN, UNREADABLE

SIZE = {"num_classes": 2, "channels": (4, 8)}


def network() -> SingleTaskUNet:
    torch.manual_seed(0)
    return SingleTaskUNet(**SIZE)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "model.pt"
    torch.save(network().state_dict(), path)
    return path


@pytest.fixture
def bad(request, good, tmp_path) -> Path:
    path = tmp_path / "model.pt"
    UNREADABLE[request.param](path, good)
    return path


def refused(action, path: Path) -> str:
    with pytest.raises(LazyLabelsError) as raised:
        action()
    sentence = str(raised.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 400 + len(str(path))
    assert not (path.with_name(RAN)).exists()
    return sentence


@pytest.mark.parametrize("bad", UNREADABLE, indirect=True)
def test_what_is_no_file_of_weights_is_said_in_a_sentence(bad):
    refused(lambda: load_weights(network(), bad), bad)


#: What a training may begin from, as a part of it fits or it lies among other things.
BEGINS = {"checkpoint", "transposed"}


@pytest.mark.parametrize("bad", [name for name in UNREADABLE if name not in BEGINS], indirect=True)
def test_no_training_begins_from_it(bad):
    refused(lambda: begin_from(network(), bad, ["object"]), bad)


@pytest.mark.parametrize("bad", [name for name in UNREADABLE if name != "checkpoint"], indirect=True)
def test_no_training_resumes_from_it(bad, good, tmp_path, caplog):
    torch.save({"model": load(good)}, tmp_path / "checkpoint_epoch=1.pt")
    newest = tmp_path / "checkpoint_epoch=2.pt"
    with suppress(FileNotFoundError):
        bad.rename(newest)
    assert latest_checkpoint(tmp_path) == str(tmp_path / "checkpoint_epoch=1.pt")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == os.path.lexists(newest)
    assert all(str(newest) in line and "earlier checkpoint" in line for line in said)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("empty", "empty"),
        ("git lfs", "git lfs pull"),
        ("torchscript", "TorchScript"),
        ("a pickle with code", "not opened"),
        ("code among tensors", "not opened"),
        ("a zip", "zip of something else"),
        ("a folder", "folder"),
        ("a text", "text"),
        ("html", "web page"),
        ("safetensors", "safetensors"),
        ("onnx", "ONNX"),
        ("numpy", "numpy"),
        ("a dangling link", "link to a file that is not there"),
        ("a pipe", "pipe"),
        ("another network", "another network"),
        ("checkpoint", "--init_weights"),
        ("whole numbers", "int64"),
        ("complex", "complex64"),
        ("a zip bomb", "unpack"),
    ],
)
def test_the_sentence_says_what_the_file_is(kind, said, good, tmp_path):
    path = tmp_path / "model.pt"
    UNREADABLE[kind](path, good)
    assert said in refused(lambda: load_weights(network(), path), path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_load(dtype, good, tmp_path):
    torch.save({name: value.to(dtype) for name, value in network().state_dict().items()}, tmp_path / "model.pt")
    net = network()
    load_weights(net, tmp_path / "model.pt")
    for name, value in network().state_dict().items():
        assert torch.equal(net.state_dict()[name], value.to(dtype).float())


def test_the_old_format_of_torch_is_read(tmp_path):
    state = network().state_dict()
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    found = read_tensors(tmp_path / "old.pt")
    assert all(torch.equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_file_that_may_not_be_read(number, good, monkeypatch):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), str(good))

    monkeypatch.setattr("builtins.open", refuse)
    sentence = refused(lambda: load_weights(network(), good), good)
    assert ("permission denied" in sentence) == (number == errno.EACCES)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights(good, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(good.read_bytes())
    path.chmod(0)
    assert "permission denied" in refused(lambda: load_weights(network(), path), path)


def test_nobody_else_opens_tensors():
    """Of the package and the bundle's configs; what MONAI's own handlers open was read here before."""
    places = [
        *(ROOT / "lazylabels_monai").rglob("*.py"),
        *(ROOT / "bundle").rglob("*.yaml"),
        *(ROOT / "configs").rglob("*.yaml"),
    ]
    owners = [path.name for path in places if "torch.load(" in path.read_text(encoding="utf-8")]
    assert owners == ["tensor_files.py"]
