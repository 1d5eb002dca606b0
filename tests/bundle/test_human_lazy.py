"""What people really drew: sparse outlines, scribbles and dots are built, checked and trained on; and emps in two commands."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lazylabels_monai.cli import app
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.images.files import read_label

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.fixture
def datalist():
    """Run the command ``datalist``."""

    def run(*arguments):
        result = CliRunner().invoke(app, ["datalist", *map(str, arguments)])
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    return run


def _trains(bundle, data, out):
    """One epoch of two steps, as users start it, gives weights that are all finite."""
    bundle.train(data, out, max_epochs=1)
    weights = torch.load(out / "models" / "model.pt", weights_only=True)
    tensors = [w for w in weights.get("model", weights).values() if torch.is_tensor(w)]
    assert tensors
    assert all(bool(torch.isfinite(w).all()) for w in tensors)


def test_a_few_outlined_nuclei_in_each_image(data_root, bundle, datalist, tmp_path):
    source, data = data_root / "human_lazy" / "bbbc007", tmp_path / "data"
    datalist(source, data, "--labels", f"masks={source}/sparse", "--unlabelled", "ignore", "--classes", "nucleus")
    report = check_datalist(data)
    assert report.errors == []
    content = load_datalist(data)
    assert [len(content[s]) for s in ("training", "validation", "testing")] == [5, 1, 0]
    for item in content["training"] + content["validation"]:
        mask, drawn = read_label(data / item["segmentation"]), read_label(source / "sparse" / item["image"].split("/")[-1])
        np.testing.assert_array_equal(mask == 1, drawn > 0)
        # 0 in the file is "unknown": only what hugs an outline is background, and the image's nuclei are not
        assert 0.9 < (mask == 255).mean() < 0.99
        assert (mask == 0).sum() < 3 * (mask == 1).sum()
    _trains(bundle, data, tmp_path / "out")


def test_scribbles_sparse_outlines_and_dots_in_one_data_set(data_root, bundle, datalist, tmp_path):
    source, data = data_root / "human_lazy" / "misc", tmp_path / "data"
    datalist(
        *(source, data, "--image-suffix", "_image", "--unlabelled", "ignore"),
        *("--labels", f"scribbles={source}/*_scribble_annotation.png", "--names", "scribbles:1=background,2=object"),
        *("--labels", f"masks={source}/*_sparse_annotation.png"),
        *("--labels", f"separation={source}/*_merge_annotation.png", "--names", "separation:1=other,2=interface"),
    )
    assert check_datalist(data).errors == []
    content = load_datalist(data)
    items = {item["image"].removeprefix("images/")[:-4]: item for s in ("training", "validation") for item in content[s]}
    assert sorted(items) == sorted(path.name.removesuffix("_image.png") for path in source.glob("*_image.png"))
    for name in ("blobs_pixel_scribble", "maize_clsm_scribble"):
        drawn = read_label(source / f"{name}_annotation.png")
        expected = np.select([drawn == 1, drawn == 2], [0, 1], 255)
        np.testing.assert_array_equal(read_label(data / items[name]["segmentation"]), expected)
    drawn = read_label(source / "membrane2d_merge_annotation.png")
    assert set(items["membrane2d_merge"]) == {"image", "separation", "digest"}
    np.testing.assert_array_equal(
        read_label(data / items["membrane2d_merge"]["separation"]), np.select([drawn == 1, drawn == 2], [0, 1], 255)
    )
    cells, drawn = items["membranes_2d_sparse"], read_label(source / "membranes_2d_sparse_annotation.png")
    np.testing.assert_array_equal(read_label(data / cells["segmentation"]) == 1, drawn > 0)
    assert (read_label(data / cells["separation"]) == 1).any()  # two of the three cells share a membrane
    # the two blobs images have the same pixels: one in training and one in validation would be an overlap
    sections = {s for s in ("training", "validation") for item in content[s] if "blobs" in item["image"]}
    assert len(sections) == 1
    _trains(bundle, data, tmp_path / "out")


def test_from_a_folder_of_images_and_ids_to_a_model_in_two_commands(data_root, bundle, datalist, python, tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "src" / folder).mkdir(parents=True)
        for path in sorted((data_root / "emps" / "train" / folder).iterdir())[:5]:
            shutil.copyfile(path, tmp_path / "src" / folder / path.name)
    printed = datalist(tmp_path / "src", tmp_path / "my", "--classes", "particle")
    (command,) = [line for line in printed.splitlines() if "lazylabels train" in line]
    _, *arguments = shlex.split(command)
    assert arguments == ["train", str(tmp_path / "my")]
    small = {
        "channels": "[4,8,8]",
        "num_multitask_blocks": "2",
        "crop_size": "[32,32]",
        "crops_per_epoch": "8",
        "batch_size": "4",
    }
    more = [part for key, value in {**small, "max_epochs": "1", "val_interval": "1"}.items() for part in (f"--{key}", value)]
    out = tmp_path / "out"
    there = ["--output", str(out), "--preset", "cpu"]  # the test leaves nothing in the repository
    done = subprocess.run(
        [python, "-m", "lazylabels_monai", *arguments, *there, *more],
        env=bundle.environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (out / "models" / "model.pt").is_file()
