"""The same bundle on volumes: NIfTI by nibabel, NRRD and MHA by itk."""

from __future__ import annotations

import json

import itk
import nibabel
import numpy as np
import pytest
import torch

from lazylabels_monai.data.simulating.synthetic import make_volume_dataset
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.transforms import FillMissingLabelsd

SIZE = (20, 24, 28)
SMALL = {"channels": [4, 8], "num_multitask_blocks": 1, "crop_size": [16, 16, 16]}
ROTATED = np.array([[0, -0.7, 0, 5], [0.5, 0, 0, -3], [0, 0, -2.0, 11], [0, 0, 0, 1]])  # axes swapped and turned, voxels flat


@pytest.fixture(scope="module", params=[".nii.gz", ".nrrd", ".mha"])
def volumes(request, tmp_path_factory):
    """A data set of tiny volumes."""
    root = tmp_path_factory.mktemp("volumes") / request.param.strip(".")
    counts = {"num_train": 2, "num_validation": 1, "num_test": 1, "strong": 1, "detection": 2, "separation": 2}
    make_volume_dataset(root, request.param, size=SIZE, radius=(3.0, 5.0), **counts)
    return root


def test_volumes_train_evaluate_and_infer(bundle, volumes, tmp_path):
    root = volumes
    overlay = bundle.overlays / "volume.yaml"
    training = {"crops_per_epoch": 4, "batch_size": 2, "max_epochs": 1}
    workflow = bundle.train(root, tmp_path, overlay, **SMALL, **training)
    batch = next(iter(workflow.parser.get_parsed_content("train#dataloader")))
    assert batch["image"].shape == (2, 1, 16, 16, 16)
    assert sorted(file.name for file in (tmp_path / "models").iterdir()) == [
        "checkpoint_epoch=1.pt",
        "classes.json",
        "images.json",
        "model.pt",
        "model.pt.sha256",
        "network.json",
        "training.json",
    ]
    weights = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert weights["heads.segmentation.conv.weight"].ndim == 5

    bundle.evaluate(root, tmp_path, overlay, **SMALL)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["images"] == 1
    assert 0 <= metrics["segmentation"]["dice"]["mean"] <= 1

    bundle.infer(root, tmp_path / "predicted", overlay, **SMALL, ckpt_dir=str(tmp_path / "models"))
    names = sorted(file.name for file in (tmp_path / "predicted").iterdir())
    results = ["volume_test_000_instances.nii.gz", "volume_test_000_overlay.png", "volume_test_000_pred.nii.gz"]
    assert names == ["predicted.jsonl", *results]
    ids = nibabel.load(tmp_path / "predicted" / "volume_test_000_instances.nii.gz")
    assert ids.shape == SIZE
    label = nibabel.load(tmp_path / "predicted" / "volume_test_000_pred.nii.gz")
    assert label.shape == SIZE
    assert set(np.unique(label.get_fdata())) <= {0, 1, 2}
    np.testing.assert_allclose(label.affine, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_prediction_lies_where_its_volume_lies(bundle, tmp_path, suffix):
    source = tmp_path / "source"
    source.mkdir()
    values = np.random.default_rng(0).normal(size=SIZE).astype(np.float32)
    values[:5, :6, :7] += 3  # a bright corner shows a flipped or swapped axis
    if suffix == ".nii.gz":
        nibabel.save(nibabel.Nifti1Image(values, ROTATED), source / "one.nii.gz")
    else:
        image = itk.image_from_array(np.ascontiguousarray(values.transpose(2, 1, 0)))
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ROTATED  # ITK's coordinates are those of NIfTI with two axes turned round
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        image.SetDirection(itk.matrix_from_array(lps[:3, :3] / spacing))
        itk.imwrite(image, str(source / f"one{suffix}"))
    torch.manual_seed(0)
    norm = ["INSTANCE", {"affine": True}]  # the bundle's default
    net = MultiTaskUNet(spatial_dims=3, num_classes=3, channels=(4, 8), num_multitask_blocks=1, norm=norm).eval()
    scaled = torch.from_numpy((values - values.mean()) / values.std())[None, None]
    with torch.no_grad():  # so that each class is found somewhere
        net.heads["segmentation"].conv.bias -= net(scaled)[0, :3].flatten(1).median(dim=1).values
    (tmp_path / "models").mkdir()
    torch.save(net.state_dict(), tmp_path / "models" / "model.pt")
    bundle.infer(source, tmp_path, bundle.overlays / "volume.yaml", **SMALL, save_overlay=False)
    label = nibabel.load(tmp_path / "one_pred.nii.gz")
    assert label.shape == SIZE
    np.testing.assert_allclose(label.affine, ROTATED, atol=1e-5)

    inferer = MultiTaskSlidingWindowInferer((32, 32, 32), overlap=0.5, num_classes=3)
    with torch.no_grad():
        expected = inferer(scaled, net)[0, :3].argmax(0).numpy()
    found = np.asarray(label.dataobj)
    assert set(np.unique(found)) == {0, 1, 2}
    assert (found == expected).mean() > 0.999


def test_labels_that_are_stored_in_another_order_lie_on_their_volumes(bundle, tmp_path):
    """As a program gives them back that stores all volumes alike: in training, in validation and in evaluation."""
    counts = {"num_train": 1, "num_validation": 1, "num_test": 1, "strong": 1, "detection": 1, "separation": 1}
    make_volume_dataset(tmp_path / "data", ".nii.gz", size=SIZE, radius=(3.0, 5.0), **counts)
    content = json.loads((tmp_path / "data" / "datalist.json").read_text())
    expected = {}
    for section in ("training", "validation", "testing"):
        (item,) = content[section]
        for key in item:
            file = tmp_path / "data" / item[key]
            if key == "digest" or not file.is_file():
                continue
            volume = nibabel.Nifti1Image(np.asarray(nibabel.load(file).dataobj), ROTATED)
            expected[section, key] = np.asarray(volume.dataobj)
            nibabel.save(volume if key == "image" else nibabel.as_closest_canonical(volume), file)
    overlay = bundle.overlays / "volume.yaml"
    given = bundle.overrides(tmp_path / "data", tmp_path / "out", **SMALL)
    seen = set()
    for files, init, part, section in (
        (["train.yaml", overlay], "initialize", "train", "training"),
        (["train.yaml", overlay], "initialize", "validate", "validation"),
        (["train.yaml", "evaluate.yaml", overlay], "nothing", "validate", "testing"),
    ):
        with bundle.workflow(bundle.files(*files), "train", init_id=init, **given) as workflow:
            (sample,) = workflow.parser.get_parsed_content(f"{part}#items")
            for transform in workflow.parser.get_parsed_content(f"{part}#preprocessing").transforms:
                sample = transform(sample)
                if isinstance(transform, FillMissingLabelsd):
                    break
        for key in ("segmentation", "detection", "separation", "instances"):
            if (section, key) in expected and key in sample:
                np.testing.assert_array_equal(np.asarray(sample[key])[0], expected[section, key], err_msg=f"{section} {key}")
                seen.add((section, key))
    assert {section for section, key in seen if key == "segmentation"} == {"training", "validation", "testing"}
    assert ("testing", "instances") in seen
