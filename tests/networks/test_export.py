"""The networks in every form they are exported to, with any batch and size."""

from __future__ import annotations

import pytest
import torch
from monai.networks.utils import convert_to_onnx, convert_to_torchscript

from tests.networks.cases import CHANNELS, build, every_network, images

# torch's exporter takes seconds for each level: two are enough where a third says nothing new
SMALLEST = {"channels": CHANNELS[:2], "num_multitask_blocks": 1}
ONNX = {
    "multi-2d-two-blocks": {"channels": CHANNELS[:3]},
    "multi-2d-no-detection": SMALLEST,
    "multi-3d": SMALLEST,
    "multi-2d-light": {"channels": CHANNELS[:3], "num_multitask_blocks": 2, "detection_stride": 2},
    "separate-2d": SMALLEST,
    "single-2d": {"channels": CHANNELS[:2]},
    "dense-2d": {"channels": CHANNELS[:3]},
}

# A non-square image to export with, and others of another batch and size to run with, one below the padding's multiple.
EXAMPLE, OTHERS = (13, 26), [(26, 11), (5, 3)]


def check_exported(network, run, others=OTHERS):
    with torch.no_grad():
        for image in images(network, EXAMPLE) + images(network, *others, batch=3):
            torch.testing.assert_close(run(image), network(image), rtol=1e-4, atol=1e-4)


@every_network
def test_scripts(name, tmp_path):
    network = build(name)
    check_exported(network, convert_to_torchscript(network, filename_or_obj=str(tmp_path / "network.ts")))
    check_exported(network, torch.jit.load(tmp_path / "network.ts"))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@every_network
def test_traces(name):
    network = build(name)
    inputs = images(network, EXAMPLE)
    traced = convert_to_torchscript(network, inputs=inputs, use_trace=True, verify=True, rtol=1e-4, atol=1e-5)
    check_exported(network, traced)


@pytest.mark.parametrize(
    "name",
    ["multi-2d-two-blocks", "multi-2d-no-detection", "multi-3d", "multi-2d-light", "separate-2d", "single-2d", "dense-2d"],
)
def test_exports_with_any_batch_and_size(name):
    two = {"num_multitask_blocks": 2, "detection_stride": 2} if "light" in name else {}
    network = build(name, channels=CHANNELS[:3], **two)
    (image,) = images(network, EXAMPLE)
    sizes = dict.fromkeys((i for i in range(image.ndim) if i != 1), torch.export.Dim.DYNAMIC)
    program = torch.export.export(network, (image,), dynamic_shapes=(sizes,))
    # torch.export takes sizes of 1 for constants: an image must be larger than the padding's multiple
    check_exported(network, program.module(), others=[(26, 11)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ONNX)
def test_onnx_with_any_batch_and_size(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = build(name, **ONNX[name])
    axes = {i: f"axis{i}" for i in range(network.spatial_dims + 2) if i != 1}
    convert_to_onnx(
        network,
        images(network, EXAMPLE),
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": axes, "logits": axes},
        filename=str(tmp_path / "network.onnx"),
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", options)
    check_exported(network, lambda image: torch.from_numpy(session.run(["logits"], {"image": image.numpy()})[0]))
