"""Data sets with exact masks proposed from inner regions."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lazylabels_monai.data.datalist import read_items
from lazylabels_monai.data.proposals import ProposalError, propose_dataset
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.grabcut import GrabCutSettings, propose
from lazylabels_monai.labels.objects import instances_from_classes
from tests.labels.scenes import dice, marked_set


@pytest.fixture
def data(tmp_path) -> Path:
    """Four training images: easy, flat (GrabCut fails), with an exact mask, without marks."""
    return marked_set(tmp_path / "data")


def read(path):
    return np.array(Image.open(path))


def test_a_data_set_with_proposals(data, tmp_path):
    out = tmp_path / "deep" / "out"
    summary = propose_dataset(data, out, truth=data / "truth")
    assert [r.status for r in summary.images] == ["ok", "failed", "kept", "unmarked"]
    made = json.loads((out / "datalist.json").read_text())
    by_id = {item["id"]: item for item in made["training"]}
    assert by_id["easy"]["segmentation"] == "proposals/easy.png"
    assert "segmentation" not in by_id["flat"]
    assert by_id["flat"]["detection"]
    assert "segmentation" not in by_id["bare"]
    assert (out / by_id["strong"]["segmentation"]).resolve() == (data / "segmentation/strong.png").resolve()
    assert made["note"] == "mine"
    for item in made["training"] + made["validation"]:
        for key in ("image", "detection", "segmentation"):
            assert key not in item or (not Path(item[key]).is_absolute() and (out / item[key]).is_file())
    # nothing is written in silence: the flat image has neither a proposal nor a picture of one
    assert sorted(p.name for p in (out / "proposals").iterdir()) == ["easy.png"]
    assert sorted(p.name for p in (out / "overlays").iterdir()) == ["easy.png"]
    proposal = read(out / "proposals/easy.png")
    assert (proposal == propose(read(data / "images/easy.png"), read(data / "detection/easy.png")).classes).all()
    assert read(out / "overlays/easy.png").shape == (*proposal.shape, 3)

    rows = list(csv.DictReader((out / "proposals.csv").open()))
    easy = next(row for row in rows if row["image"].endswith("easy.png") and row["class"] == "b")
    truth = read(data / "truth/easy.png")
    assert float(easy["dice"]) == pytest.approx(dice(proposal == 2, truth == 2), abs=1e-4)
    assert float(easy["marks_dice"]) < float(easy["dice"])
    assert float(easy["foreground_share"]) == pytest.approx((proposal == 2).mean(), abs=1e-4)
    flat = next(row for row in rows if row["image"].endswith("flat.png"))
    assert flat["status"] == "failed"
    assert flat["reason"]
    assert json.loads((out / "proposals.json").read_text())["settings"]["method"] == "hybrid"
    assert [p.name for p in out.parent.iterdir()] == ["out"]  # no temporary folder is left


def test_the_made_data_set_can_be_read_for_training(data, tmp_path):
    propose_dataset(data, tmp_path / "out")
    items = read_items(tmp_path / "out", "training", ["segmentation"], labelled_only=True)
    assert [Path(item["segmentation"]).parent.name for item in items] == ["proposals", "segmentation"]


def test_a_failed_image_gets_the_distance_rule_on_request(data, tmp_path):
    summary = propose_dataset(data, tmp_path / "out", failed="fallback")
    assert [r.status for r in summary.images][:2] == ["ok", "fallback"]
    rule = GrabCutSettings(method="distance")
    expected = propose(read(data / "images/flat.png"), read(data / "detection/flat.png"), settings=rule).classes
    assert (read(tmp_path / "out/proposals/flat.png") == expected).all()


def test_exact_masks_are_measured_with_all_but_never_replaced(data, tmp_path):
    summary = propose_dataset(data, tmp_path / "out", only_missing=False)
    strong = summary.images[2]
    assert strong.status == "ok"
    assert strong.dice["a"] > 0.95  # against the item's own mask
    assert not summary.images[0].dice  # no truth is known there
    made = json.loads((tmp_path / "out/datalist.json").read_text())
    assert (tmp_path / "out" / made["training"][2]["segmentation"]).resolve() == (data / "segmentation/strong.png").resolve()


def test_a_dry_run_writes_nothing(data, tmp_path):
    summary = propose_dataset(data, tmp_path / "out", dry_run=True)
    assert [r.status for r in summary.images] == ["ok", "failed", "kept", "unmarked"]
    assert summary.folder is None
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_nothing_is_overwritten_unasked(data, tmp_path):
    out = tmp_path / "out"
    propose_dataset(data, out)
    with pytest.raises(FileExistsError, match="--overwrite"):
        propose_dataset(data, out)
    (out / "mine.txt").write_text("x")
    with pytest.raises(FileExistsError, match=r"'mine\.txt'"):
        propose_dataset(data, out, overwrite=True)
    (out / "mine.txt").unlink()
    propose_dataset(data, out, overwrite=True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("x")
    with pytest.raises(FileExistsError, match=r"no proposals\.json"):
        propose_dataset(data, other, overwrite=True)
    with pytest.raises(ProposalError, match="holds the data set itself"):
        propose_dataset(data, data, overwrite=True)
    assert (data / "datalist.json").is_file()


def test_an_error_half_way_leaves_nothing_behind(data, tmp_path):
    (data / "images/strong.png").write_bytes(b"no image")
    with pytest.raises(LazyLabelsError, match=r"strong\.png"):
        propose_dataset(data, tmp_path / "out", only_missing=False)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def break_class(data):
    label = read(data / "detection/easy.png")
    label[label == 2] = 7
    Image.fromarray(label).save(data / "detection/easy.png")


def break_size(data):
    Image.fromarray(read(data / "detection/easy.png")[:-3]).save(data / "detection/easy.png")


@pytest.mark.parametrize(
    ("spoil", "values", "message"),
    [
        (break_class, {}, r"detection/easy\.png' holds class 7"),
        (break_size, {}, r"images/easy\.png': detection of shape"),
        (None, {"section": "train"}, "section 'train' does not exist: use one of training"),
        (None, {"section": "testing"}, "no image with inner regions"),
        (None, {"failed": "hide"}, "one of skip, fallback"),
        (None, {"truth": "nowhere"}, "truth 'nowhere' does not exist"),
        (lambda d: shutil.copy(d / "truth/easy.png", d / "truth/easy.TIF"), {"truth": "truth"}, "share a name: remove one"),
        (lambda d: (d / "truth/easy.png").unlink(), {"truth": "truth"}, "has no mask named 'easy'"),
    ],
)
def test_errors_name_the_file_and_the_remedy(data, tmp_path, monkeypatch, spoil, values, message):
    monkeypatch.chdir(data)
    if spoil:
        spoil(data)
    with pytest.raises(ProposalError, match=message):
        propose_dataset(data, tmp_path / "out", **values)
    assert not (tmp_path / "out").exists()


def test_ids_are_truth_of_one_class_only(data, tmp_path):
    (data / "masks").mkdir()
    for file in (data / "truth").iterdir():
        Image.fromarray(instances_from_classes(read(file)).astype(np.uint16)).save(data / "masks" / file.name)
    (tmp_path / "src").mkdir()
    (data / "masks").rename(tmp_path / "src/masks")
    with pytest.raises(ProposalError, match="which tell no classes"):
        propose_dataset(data, tmp_path / "out", truth=tmp_path / "src")
    content = json.loads((data / "datalist.json").read_text())
    for name in ("easy", "flat"):
        label = read(data / f"detection/{name}.png")
        Image.fromarray((label > 0).astype(np.uint8)).save(data / f"detection/{name}.png")
    content.update(classes=["a"], training=content["training"][:2])
    (data / "datalist.json").write_text(json.dumps(content))
    summary = propose_dataset(data, tmp_path / "out", truth=tmp_path / "src")
    assert 0.8 < summary.images[0].dice["a"] <= 1
