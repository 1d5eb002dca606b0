"""The BioImage Model Zoo package, judged by the zoo's own programs and by the bundle's inference."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.packing.bioimage import PictureNetwork, pack_bioimage
from lazylabels_monai.predicting.model import Model
from lazylabels_monai.tasks import TASKS
from lazylabels_monai.trained import write_classes, write_network
from tests.helpers import ROOT

core = pytest.importorskip("bioimageio.core")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from bioimageio.core.digest_spec import create_sample_for_model  # noqa: E402

SETTINGS = {"spatial_dims": 2, "in_channels": 1, "channels": [4, 8, 8], "num_multitask_blocks": 2, "dropout": 0.0}
SIZE = (50, 71)  # rows and columns


@pytest.fixture(scope="module")
def picture(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "a.png"
    Image.fromarray(make_image(SIZE, seed=[0, 0])["image"]).save(path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    net = MultiTaskUNet(num_classes=2, channels=(4, 8, 8), num_multitask_blocks=2)
    with torch.no_grad():
        for _ in range(3):  # batch statistics that are not those of a fresh network
            net(3 * torch.randn(2, 1, 32, 32) + 1)
    torch.save(net.state_dict(), folder / "model.pt")
    write_classes(folder, ["pore"])
    write_network(folder, net, **SETTINGS, tasks=list(TASKS), crop_size=[32, 32])
    return folder / "model.pt"


@pytest.fixture(scope="module")
def packed(weights, picture, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("packed") / "pores.zip"
    arguments = ["pack-bioimage", out, "--weights", weights, "--image", picture, "--bundle", ROOT / "bundle"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return out


def test_the_zoos_own_test_passes(packed):
    """Its validator reads the description, runs both kinds of weights on the test input and compares with the test output."""
    summary = core.test_model(packed)
    assert summary.status == "passed", summary.format()


def test_it_predicts_what_the_bundle_predicts(packed, weights, picture):
    # one window that is the whole image; MONAI's order of axes
    model = Model(weights, ROOT / "bundle", overrides={"crop_size": SIZE[::-1], "device": "cpu", "cpu_bfloat16": False})
    expected = np.concatenate(list(model.probabilities(picture).values()))
    image = np.asarray(Image.open(picture), np.float32)[None, None]
    with core.create_prediction_pipeline(core.load_model_description(packed)) as pipeline:
        sample = create_sample_for_model(pipeline.model_descr, inputs={"image": image})
        # by default the zoo's program mirrors a halo around the picture first
        predicted = pipeline.predict_sample_without_blocking(sample, skip_input_padding=True, skip_output_cropping=True)
    output = predicted.members["probabilities"].data.to_numpy()
    assert output.shape == (1, 2 + 2 + 2, *SIZE)
    np.testing.assert_allclose(output[0], expected, atol=1e-5)


def test_the_package_says_what_is_in_it(packed):
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
        (description,) = [name for name in names if name.endswith(("rdf.yaml", "bioimageio.yaml"))]
        content = yaml.safe_load(archive.read(description))
        text = archive.read("README.md").decode() + archive.read(description).decode()
    assert {"weights.ts", "weights.onnx", "test_input.npy", "test_output.npy", "README.md"} <= names
    channels = next(axis for axis in content["outputs"][0]["axes"] if axis["type"] == "channel")["channel_names"]
    assert channels[:2] == ["background", "pore"]
    assert channels[-1] == "separation_interface"
    assert content["license"] == "Apache-2.0"
    assert str(ROOT) not in text
    assert "/tmp" not in text


def test_the_networks_picture_form_is_a_transpose_and_a_softmax_per_task():
    torch.manual_seed(0)
    net = MultiTaskUNet(num_classes=3, channels=(4, 8, 8), num_multitask_blocks=2).eval()
    image = torch.randn(2, 1, 20, 30)
    with torch.no_grad():
        output = PictureNetwork(net, 3, TASKS)(image)
        logits = net(torch.from_numpy(image.numpy().swapaxes(2, 3).copy())).numpy().swapaxes(2, 3)
    for start, stop in ((0, 3), (3, 6), (6, 8)):
        raised = np.exp(logits[:, start:stop])
        np.testing.assert_allclose(output[:, start:stop], raised / raised.sum(1, keepdims=True), atol=1e-6)


def test_nothing_is_overwritten_and_what_is_missing_is_named(packed, weights, tmp_path):
    with pytest.raises(FileExistsError, match="--overwrite"):
        pack_bioimage(packed, weights, bundle=ROOT / "bundle")
    with pytest.raises(LazyLabelsError, match="no trained weights"):
        pack_bioimage(tmp_path / "a.zip", tmp_path / "model.pt", bundle=ROOT / "bundle")
    Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7)).save(tmp_path / "small.png")
    with pytest.raises(LazyLabelsError, match=r"small\.png: the test picture has \(5, 7\) pixels; it needs 8"):
        pack_bioimage(tmp_path / "a.zip", weights, tmp_path / "small.png", ROOT / "bundle")
    assert [file.name for file in tmp_path.iterdir()] == ["small.png"]
