"""``results``: the table; ``picture``: test images side by side."""

from __future__ import annotations

import hashlib
import json
import shutil

import nibabel
import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.errors import LazyLabelsError


def test_results_prints_the_table(run, tmp_path):
    metrics = {
        "segmentation": {"dice": {"air bubble": 0.9471, "ice crystal": None, "mean": 0.9471}},
        "separation": {"precision": 0.7, "recall": 0.82},
        "objects": {"f1@0.5": 0.5, "f1@0.5 components": 0.25},
        "images": 12,
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "a_overlay.png").touch()
    result = run("results", tmp_path)
    assert result.exit_code == 0, result.output
    rows = {tuple(line.split()[:-1]): line.split()[-1] for line in result.output.splitlines()}
    assert "0.947" in next(line for line in result.output.splitlines() if "air bubble" in line)
    assert "unknown" in next(line for line in result.output.splitlines() if "ice crystal" in line)
    assert rows["precision",] == "0.700"
    assert rows["recall",] == "0.820"
    assert rows["f1@0.5", "components"] == "0.250"
    assert "a_overlay.png" in result.output
    assert "section" not in result.output
    assert "warning" not in result.output


def test_results_say_of_which_images_and_weights_they_are(run, tmp_path):
    """Weights that were trained anew since have other scores."""
    (tmp_path / "models").mkdir()
    weights = tmp_path / "models" / "model.pt"
    weights.write_bytes(b"these")
    digest = hashlib.blake2b(b"these", digest_size=16).hexdigest()
    metrics = {"images": 1, "section": "validation", "dataset": "data/ice", "weights": digest}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    result = run("results", tmp_path)
    assert "1 image of the section validation of 'data/ice'" in result.output
    assert "warning" not in result.output
    weights.write_bytes(b"others")
    result = run("results", tmp_path)
    assert result.exit_code == 0
    assert f"are of other weights ({digest[:6]}) than '{weights}' (" in result.output
    (tmp_path / "metrics.json").write_text(json.dumps({**metrics, "weights": None}))
    assert "warning" not in run("results", tmp_path).output


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b'{"segmentation": 3}', b'{"segmentation": {"dice": [1]}}'),
        *(b'{"objects": {"f1@0.5 components": "many"}}', b'{"separation": {"precision": {}}}', b"[" * 100_000),
    ],
)
def test_broken_metrics_are_named(run, tmp_path, content):
    (tmp_path / "metrics.json").write_bytes(content)
    error = run("results", tmp_path).exception
    assert isinstance(error, LazyLabelsError), error
    assert "metrics.json" in str(error)


@pytest.fixture
def drawn(tiny_data, tmp_path):
    """A copy of a data set whose test images are predicted as they are labelled; its test items, and a call to store them."""
    shutil.copytree(tiny_data, tmp_path / "data")
    content = json.loads((tmp_path / "data" / "datalist.json").read_text())
    (tmp_path / "predicted").mkdir()
    for item in content["testing"]:
        name = item["image"].rpartition("/")[2].replace(".png", "_pred.png")
        shutil.copy(tmp_path / "data" / item["segmentation"], tmp_path / "predicted" / name)

    def store():
        (tmp_path / "data" / "datalist.json").write_text(json.dumps(content))
        return ("picture", tmp_path / "data", tmp_path / "predicted", tmp_path / "p.png")

    return content["testing"], store


def test_test_images_of_any_number_size_and_labels_are_drawn(run, drawn, tmp_path):
    items, store = drawn
    whole = run(*store())
    assert whole.exit_code == 0, whole.exception
    first = np.asarray(Image.open(tmp_path / "p.png").convert("RGB"))
    for item in items:
        path = tmp_path / "data" / item["segmentation"]
        label = np.asarray(Image.open(path))
        nibabel.save(nibabel.Nifti1Image(label.T, np.eye(4)), path.with_suffix(".nii"))
        item["segmentation"] = item["segmentation"].replace(".png", ".nii")
    assert run(*store(), "--overwrite").exit_code == 0
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "p.png").convert("RGB")), first)
    for key in ("separation", "detection", "segmentation"):
        del items[0][key]
    small = tmp_path / "data" / items[1]["image"]
    for path in (small, tmp_path / "predicted" / small.name.replace(".png", "_pred.png")):
        Image.open(path).crop((0, 0, 50, 40)).save(path)
    for key in ("separation", "detection", "segmentation"):
        items[1].pop(key, None)
    assert run(*store(), "--overwrite").exit_code == 0, "labels that there are not, and images of two sizes"
    del items[1:]
    assert run(*store(), "--overwrite").exit_code == 0, "one test image alone"


@pytest.mark.parametrize(
    ("spoil", "options", "said"),
    [
        (lambda items, _: None, ["--images", "0,x"], "--images 0,x"),
        (lambda items, _: None, ["--images", "0,7"], "test image 7"),
        (lambda items, _: None, ["--images", "-1"], "test image -1"),
        (lambda items, _: items.clear(), [], '"testing" of'),
        (lambda items, data: Image.new("L", (9, 7)).save(data / items[0]["detection"]), [], "detection"),
        (lambda items, data: Image.new("L", (9, 7)).save(data.parent / "predicted" / "small.png"), [], None),
        (lambda items, data: Image.new("L", (1, 1)).save(data / items[1]["image"]), [], "images/"),
    ],
)
def test_what_cannot_be_drawn_is_named(run, drawn, tmp_path, spoil, options, said):
    items, store = drawn
    spoil(items, tmp_path / "data")
    result = run(*store(), *options)
    if said is None:
        assert result.exit_code == 0
        return
    assert isinstance(result.exception, LazyLabelsError), result.exception
    assert said in str(result.exception)
    assert not (tmp_path / "p.png").exists()
