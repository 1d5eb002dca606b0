"""What MONAI's own tools make of the bundle: the network check of the metadata; TorchScript, ONNX and torch.export files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from monai.bundle import ckpt_export, onnx_export, verify_net_in_out

from lazylabels_monai.errors import user_error
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.trained import write_network

SMALL = {"channels": [4, 8], "num_multitask_blocks": 1}  # torch's exporters take seconds for each level


@pytest.fixture
def described(bundle):
    """The arguments that name the bundle's files."""
    return {"meta_file": str(bundle.configs / "metadata.json"), "config_file": str(bundle.configs / "inference.yaml")}


@pytest.fixture(params=["BATCH", ["INSTANCE", {"affine": True}]], ids=["batch", "instance"])
def weights(request, tmp_path):
    """A network whose batch statistics are not those of a fresh one, the file of its weights, and the ids of its config."""
    torch.manual_seed(0)
    net = MultiTaskUNet(num_classes=3, channels=(4, 8), num_multitask_blocks=1, norm=request.param)
    with torch.no_grad():
        for _ in range(3):
            net(3 * torch.randn(2, 1, 32, 32) + 1)
    torch.save(net.state_dict(), tmp_path / "model.pt")
    return net.eval(), str(tmp_path / "model.pt"), {**SMALL, "norm": request.param}


@pytest.mark.parametrize(("override", "size"), [({}, 1), (SMALL, 45)])
def test_network_fits_its_metadata(described, override, size):
    # without a size MONAI tries one pixel, and without an override the paper's six levels
    verify_net_in_out("network_def", device="cpu", any=size, **described, **override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"classes": ["pore"]}, "output channel number `6` doesn't match: `8`"),
        ({"_meta_#network_data_format#inputs#image#num_channels": 3}, "channels"),
    ],
)
def test_the_network_check_can_fail(described, override, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        verify_net_in_out("network_def", device="cpu", any=8, **described, **SMALL, **override)


@pytest.mark.parametrize("trace", [False, True])
def test_torchscript_file_gives_the_networks_output(described, weights, tmp_path, trace):
    net, file, ids = weights
    target = tmp_path / "model.ts"
    more = {"use_trace": True, "input_shape": [1, 1, 50, 70]} if trace else {}
    ckpt_export("network_def", filepath=str(target), ckpt_file=file, **described, **ids, **more)
    extra = {"metadata.json": "", "inference.json": ""}
    exported = torch.jit.load(str(target), _extra_files=extra).eval()
    assert json.loads(extra["metadata.json"])["name"] == "Lazy labels for microscopy"
    assert "network_def" in json.loads(extra["inference.json"])
    sizes = [(1, 1, 50, 70)] if trace else [(1, 1, 50, 70), (2, 1, 64, 33)]
    for size in sizes:
        image = torch.randn(size)
        with torch.no_grad():
            torch.testing.assert_close(exported(image), net(image))


def test_another_normalization_than_the_trainings_is_refused(described, weights, tmp_path):
    """The weights of one normalization fit another, so that nothing else would fail."""
    net, file, ids = weights
    write_network(tmp_path, net, **ids)
    given = {"ckpt_file": file, "ckpt_dir": str(tmp_path), **described}
    with pytest.raises(RuntimeError) as refused:  # MONAI's, around ours
        ckpt_export(
            "network_def", filepath=str(tmp_path / "other.ts"), **given, **{**ids, "norm": ["GROUP", {"num_groups": 1}]}
        )
    assert f'{file}: these weights belong to another network, which had norm {json.dumps(ids["norm"])}, not ["GROUP"' in str(
        user_error(refused.value)
    )
    assert not (tmp_path / "other.ts").exists()
    ckpt_export("network_def", filepath=str(tmp_path / "same.ts"), **given, **ids)
    assert (tmp_path / "same.ts").is_file()


@pytest.mark.filterwarnings("ignore")
def test_onnx_file_gives_the_networks_output(described, weights, tmp_path):
    """For any batch and size, by the command of docs/how-to.md."""
    onnxruntime = pytest.importorskip("onnxruntime")
    net, file, ids = weights
    target = tmp_path / "model.onnx"
    axes = {0: "batch", 2: "y", 3: "x"}
    names = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": {"image": axes, "logits": axes}}
    onnx_export(
        "network_def",
        filepath=str(target),
        ckpt_file=file,
        input_shape=[1, 1, 50, 70],
        use_trace=True,
        converter_kwargs=names,
        **described,
        **ids,
    )
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    for size in ((1, 1, 50, 70), (2, 1, 64, 33)):
        image = torch.randn(size)
        (output,) = session.run(["logits"], {"image": image.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(output, net(image).numpy(), rtol=1e-3, atol=1e-5)


def test_torch_export_file_gives_the_networks_output(bundle, weights, tmp_path):
    """For any batch and size, by the lines of docs/how-to.md."""
    net, file, ids = weights
    network = Model(file, bundle.configs.parent, overrides={"device": "cpu", **ids}).network
    sizes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    program = torch.export.export(network, (torch.rand(2, 1, 95, 158),), dynamic_shapes=(sizes,))
    torch.export.save(program, tmp_path / "model.pt2")
    # the guards would refuse sizes that need no padding, for the layout of an intermediate's memory
    loaded = torch.export.load(tmp_path / "model.pt2").module(check_guards=False)
    for size in ((2, 1, 50, 70), (3, 1, 64, 33), (1, 1, 64, 96)):
        image = torch.randn(size)
        with torch.no_grad():
            torch.testing.assert_close(loaded(image), net(image))
