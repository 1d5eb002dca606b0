"""The staged MONAI Deploy app against ``monai.bundle run inferring``: the same files, byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.deploy.core import Image as DeployImage
from PIL import Image

from lazylabels_monai.apps.deploy.app import LazyLabelsApp
from lazylabels_monai.apps.deploy.operators import from_image, require_exported_name, to_image
from lazylabels_monai.apps.deploy.staging import MODEL, stage
from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.result_files import RECORDS_FILE
from lazylabels_monai.tasks import TASKS, task_slices
from lazylabels_monai.trained import write_classes, write_network, write_settings

ROOT = Path(__file__).resolve().parents[3]
CLASSES = ["pore", "grain"]
SIZES = {
    "a.png": (64, 80),
    "b.tif": (131, 203),
}  # rows and columns; the second is no multiple of the network's 4, nor of the window
NETWORK = {
    "spatial_dims": 2,
    "in_channels": 1,
    "channels": [4, 8, 8],
    "num_multitask_blocks": 2,
    "norm": ["INSTANCE", {"affine": True}],  # the bundle's default
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, (name, size) in enumerate(SIZES.items()):
        gray = make_image(size, seed=[number, 0])["image"]
        if name.endswith(".png"):
            Image.fromarray(gray).save(folder / name)
        else:
            tifffile.imwrite(folder / name, gray.astype(np.uint16) * 100)
    return folder


@pytest.fixture(scope="module")
def weights(images, tmp_path_factory):
    """A network that knows nothing but predicts every class in specks, each of which is an object: more than 255 of them."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    net = MultiTaskUNet(num_classes=3, **{key: NETWORK[key] for key in ("channels", "num_multitask_blocks", "norm")})
    image = torch.from_numpy(tifffile.imread(images / "b.tif").astype(np.float32).T)
    with torch.no_grad():
        logits = net.eval()(((image - image.mean()) / image.std())[None, None])[0].flatten(1)
        for task, channels in task_slices(3).items():
            net.heads[task].conv.bias -= logits[channels].median(dim=1).values
    torch.save(net.state_dict(), folder / "model.pt")
    write_classes(folder, CLASSES)
    write_network(folder, net, **NETWORK, tasks=list(TASKS), crop_size=[32, 32])
    write_settings(folder / "model.pt", [InstanceSettings(route="components", min_size=0)])
    return folder / "model.pt"


@pytest.fixture(scope="module")
def staged(weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("staged") / "package"
    bundle = tmp_path_factory.mktemp("bundle") / "bundle"  # in float32: in bfloat16 a script and its network round apart
    shutil.copytree(ROOT / "bundle", bundle)
    config = bundle / "configs" / "inference.yaml"
    config.write_text(config.read_text().replace("cpu_bfloat16: auto", "cpu_bfloat16: false"))
    stage(folder, weights, bundle, requirements=ROOT / "requirements-deploy.txt", probabilities=True)
    return folder


def run_app(staged: Path, images: Path, out: Path, cwd: Path) -> subprocess.CompletedProcess:
    """Run what app.json says, its paths below the staged folder, with no variables but HOLOSCAN's (and one thread)."""
    manifest = json.loads((staged / "app.json").read_text())
    command = [
        part.replace(manifest["environment"]["HOLOSCAN_APPLICATION"], str(staged / "app"))
        for part in json.loads(manifest["command"])
    ]
    environment = {
        "HOLOSCAN_INPUT_PATH": str(images),
        "HOLOSCAN_OUTPUT_PATH": str(out),
        "HOLOSCAN_MODEL_PATH": str(staged / "models"),
        "HOLOSCAN_WORKDIR": str(cwd),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run([sys.executable, *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def written(staged, images, tmp_path_factory):
    """The folder that the staged app wrote, far from this repository."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "work").mkdir()
    mixed = folder / "mixed"
    shutil.copytree(images, mixed)
    (mixed / "broken.png").write_bytes(b"no picture")
    done = run_app(staged, mixed, folder / "out", folder / "work")
    assert list((folder / "work").iterdir()) == []
    return folder / "out", done


@pytest.fixture(scope="module")
def reference(bundle, weights, images, tmp_path_factory):
    """What ``monai.bundle run inferring`` writes: a process of its own, with PyTorch's own network."""
    out = tmp_path_factory.mktemp("reference")
    given = {
        **NETWORK,
        "crop_size": [32, 32],
        "dataset_dir": images,
        "output_dir": out,
        "weights": weights,
        "save_probabilities": True,
        "cpu_bfloat16": False,  # as the staged app
    }
    arguments = bundle.arguments("inferring", bundle.files("inference.yaml"), **given)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=out, env=bundle.environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_package_has_the_layout_of_a_map(staged):
    app, package = (json.loads((staged / f"{name}.json").read_text()) for name in ("app", "pkg"))
    assert json.loads(app["command"]) == ["python3", app["environment"]["HOLOSCAN_APPLICATION"]]
    assert app["version"] == package["version"] == json.loads((ROOT / "bundle/configs/metadata.json").read_text())["version"]
    assert (app["sdk"], app["sdkVersion"]) == ("monai-deploy", "4.0.0")
    assert package["models"] == {MODEL: f"{package['modelRoot']}/{MODEL}"}
    assert [file.name for file in (staged / "models" / MODEL).iterdir()] == ["model.ts"]
    requirements = (staged / "app/requirements.txt").read_text()
    assert "torch==" in requirements
    assert "holoscan-cu13==" in requirements
    assert "-r " not in requirements
    assert (staged / "app/lazylabels_monai/apps/deploy/app.py").is_file()
    assert not list(staged.rglob("__pycache__"))


def test_the_model_names_its_own_classes(staged):
    extra = {"metadata.json": "", "inference.json": ""}
    torch.jit.load(str(staged / "models" / MODEL / "model.ts"), _extra_files=extra)
    names = json.loads(extra["metadata.json"])["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert list(names.values())[:3] == ["background", *CLASSES]
    text = extra["metadata.json"] + extra["inference.json"]
    text = text.decode() if isinstance(text, bytes) else text
    assert str(ROOT) not in text  # no personal paths


def test_the_app_writes_what_the_bundle_writes(written, reference):
    out, done = written
    # an app does not say what made its results: a workflow's other operators take them at once
    expected = {file.name: file.read_bytes() for file in reference.iterdir() if file.name != RECORDS_FILE}
    assert len(expected) == len(SIZES) * 6
    assert {file.name for file in out.iterdir()} == set(expected), done.stdout + done.stderr
    maps = {name for name in expected if name.endswith("_probability.tif")}
    different = [name for name, content in expected.items() if name not in maps and (out / name).read_bytes() != content]
    assert different == []
    for name in maps:  # an exported network computes by PyTorch's own layers: equal to rounding
        np.testing.assert_allclose(tifffile.imread(out / name), tifffile.imread(reference / name), rtol=0, atol=1e-3)


def test_more_than_255_objects_survive(written):
    out, _ = written
    ids = tifffile.imread(out / "b_instances.tif")
    assert ids.shape == SIZES["b.tif"]
    assert len(np.unique(ids)) - 1 == ids.max() > 255
    probability = tifffile.imread(out / "b_segmentation_probability.tif")
    assert ((probability > 0.01) & (probability < 0.99)).any()


def test_a_broken_image_is_named_and_the_others_are_done(written):
    _, done = written
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "broken.png" in line


def test_a_renamed_model_ends_in_one_sentence(staged, images, tmp_path):
    renamed = tmp_path / "renamed"
    shutil.copytree(staged, renamed)
    (renamed / "models" / MODEL / "model.ts").rename(renamed / "models" / MODEL / "better.ts")
    done = run_app(renamed, images, tmp_path / "out", tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert "better.ts" in line
    assert "name it 'model.ts' again" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("content", "message"), [("plain", "config is not in this file"), ("text", "no TorchScript file")])
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "model.ts"
    if content == "plain":
        torch.jit.script(torch.nn.ReLU()).save(str(path))
    else:
        path.write_text("weights")
    with pytest.raises(LazyLabelsError, match=message):
        require_exported_name(path)


def test_pictures_of_one_name_are_refused(staged, images, tmp_path):
    class Context:
        input_path = tmp_path

    shutil.copy(images / "a.png", tmp_path / "a.png")
    shutil.copy(images / "b.tif", tmp_path / "a.tif")
    with pytest.raises(LazyLabelsError, match="would both write a_pred"):
        LazyLabelsApp(Context())


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 5, 7), (5, 7)])
def test_pictures_keep_type_and_orientation(shape):
    values = torch.arange(int(np.prod(shape)), dtype=torch.int32).reshape(shape) + 70000
    image = to_image(values, {"filename_or_obj": "a.png"})
    assert isinstance(image, DeployImage)
    assert image.asnumpy().shape[:2] == (7, 5)
    back = from_image(image)
    assert torch.equal(back.as_tensor(), values if values.ndim == 3 else values[None])
    assert back.meta["filename_or_obj"] == "a.png"


def test_staging_overwrites_nothing_unasked(staged, weights):
    with pytest.raises(FileExistsError, match="--overwrite"):
        stage(staged, weights, ROOT / "bundle", requirements=ROOT / "requirements-deploy.txt")


def test_staging_replaces_nothing_but_a_package(tmp_path, weights):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"holds thesis\.txt"):
        stage(tmp_path, weights, ROOT / "bundle", requirements=ROOT / "requirements-deploy.txt", overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_cuda_runtime_of_the_environment_is_found_without_help():
    """With LD_LIBRARY_PATH empty; a machine whose linker knows another CUDA would hide it if it were not."""
    code = "import lazylabels_monai.apps.deploy.app; print(open('/proc/self/maps').read())"
    environment = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    loaded = {line.split()[-1] for line in done.stdout.splitlines() if "libcudart" in line}
    assert loaded
    assert all(path.startswith(sys.prefix) for path in loaded), loaded
