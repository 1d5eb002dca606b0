"""Every setting of ``inference.yaml`` does in tiles what it does in one piece, or is refused in a sentence."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tifffile
import yaml

from lazylabels_monai.images.files import read_image, read_label
from lazylabels_monai.predicting.folder import predict
from lazylabels_monai.predicting.large import predict as large
from lazylabels_monai.predicting.large.stages import Context

pytest.importorskip("zarr")
pytest.importorskip("dask")

ALONE = {"answered_tasks": ["segmentation"], "save_instances": False}
NONE = {"save_instances": False, "save_overlay": False}


def objects(**settings):
    given = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    return {"instance_settings": f"$lazylabels_monai.instances.InstanceSettings({given})"}


#: By setting, values that a user may write; with what they need beside them.
HONOURED = {
    "answered_tasks": [
        ALONE,
        {**ALONE, "save_overlay": False},
        {**ALONE, "answered_tasks": ["segmentation", "detection"]},
        {**ALONE, "answered_tasks": ["segmentation", "separation"]},
        {**ALONE, "answered_tasks": ["segmentation", "detection", "separation"]},
        {**ALONE, **objects(route="distance")},
        {"answered_tasks": ["segmentation"], **objects(route="components")},
        {"answered_tasks": ["segmentation", "detection", "separation"], **objects(route="components")},
    ],
    "save_instances": [{"save_instances": False}, {**NONE, **objects(neck=0.5)}],
    "save_overlay": [{"save_overlay": False}, NONE],
    "output_ext": [{"output_ext": ".tif"}, {"output_ext": ".tiff"}],
    "instance_settings": [objects(route="distance"), objects(neck=0.5, max_hole=9), objects(cut=True, min_size=40)],
    "mirroring": [{"mirroring": True}],
    "overlap": [{"overlap": 0.0}, {"overlap": 0.25}, {"overlap": [0.25, 0.75]}],
    "window_size": [{"window_size": [32, 48]}, {"window_size": [256, 256]}],
    "amp": [{"amp": True}],
    "cpu_bfloat16": [{"cpu_bfloat16": False}],
    "seen": [{"seen": None}],
}
#: By setting, values that cannot be had in tiles, and what is said.
REFUSED = {
    "save_probabilities": [({"save_probabilities": True}, "no probability maps are written: leave out --probabilities")],
    "output_postfix": [({"output_postfix": "labels"}, "output_postfix labels .*: set it to pred")],
    "output_ext": [({"output_ext": ext}, f"output_ext {ext} .*: set it to .tif") for ext in (".bmp", ".jpg", ".nii.gz")],
}
#: What says where it runs, what of the network is idle in a prediction, and the training's crop, of which windows come where no
#: training wrote theirs.
NO_SETTINGS_OF_RESULTS = {"device", "dropout", "crop_size"}


@pytest.fixture(scope="module")
def picture(tiny_data, tmp_path_factory):
    """130 x 150 pixels."""
    sources = [read_image(path) for path in sorted((tiny_data / "images").iterdir())[:4]]
    values = np.concatenate([np.concatenate(sources[:2], axis=1), np.concatenate(sources[2:], axis=1)])
    path = tmp_path_factory.mktemp("big") / "BIG.tif"
    tifffile.imwrite(path, np.pad(values, ((0, 9), (0, 0)), mode="reflect")[:130, :150], tile=(32, 32))
    return path


def predicted(picture, out, weights, caplog, given, large=False):
    """What went wrong, the sentences that the log was told, and the maps and pictures by ending and suffix."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="lazylabels_monai"):
        report = predict(picture, out, weights=weights, overrides={"device": "cpu", **given}, large=large)
    files = sorted(path for path in out.iterdir() if path.name.startswith("BIG_") and path.is_file())
    said = [record.getMessage() for record in caplog.records if record.name.startswith("lazylabels_monai")]
    return list(report.failed.values()), said, {path.name.removeprefix("BIG"): path for path in files}


def same(name, found, expected):
    """Pixel by pixel; routes that look at whole pieces may number the same objects in another order."""
    if "instances" in name:
        first = [np.unique(ids, return_index=True)[1] for ids in (found, expected)]
        found, expected = (np.searchsorted(np.unique(ids), ids) for ids in (found, expected))
        found, expected = (places[ids] for places, ids in zip(first, (found, expected), strict=True))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("given", [given for values in HONOURED.values() for given in values], ids=str)
def test_the_results_are_those_of_one_piece(trained, picture, tmp_path, monkeypatch, caplog, given):
    monkeypatch.setattr(large, "SIDE", 64)
    failed, expected_said, expected = predicted(picture, tmp_path / "plain", trained, caplog, given)
    assert failed == []
    failed, said, found = predicted(picture, tmp_path / "tiles", trained, caplog, given, large=True)
    assert failed == []
    assert said == expected_said
    assert found.pop("_objects.csv", None) is None or "_instances.tif" in expected
    if "output_ext" not in given:  # no PNG is written part by part
        expected["_pred.tif"] = expected.pop("_pred.png")
    assert set(found) == set(expected)
    assert (tmp_path / "tiles" / "BIG_instances.zarr").is_dir() == ("_instances.tif" in expected)
    for name, path in expected.items():
        same(name, *(read_image(p) if "overlay" in name else read_label(p) for p in (found[name], path)))
    assert predict(picture, tmp_path / "tiles", weights=trained, overrides={"device": "cpu", **given}, large=True).skipped == [
        str(picture)
    ]


def test_pixels_that_are_not_square_are_predicted_as_in_one_piece(trained, picture, tmp_path, monkeypatch, caplog):
    """Whoever measures in micrometres is told; the prediction, which may have taken hours, is written."""
    monkeypatch.setattr(large, "SIDE", 64)
    size = {"resolution": (2e4, 4e4), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "BIG.tif", read_image(picture), tile=(32, 32), **size)
    made = [
        predicted(tmp_path / "BIG.tif", tmp_path / name, trained, caplog, {}, name == "tiles") for name in ("plain", "tiles")
    ]
    assert [failed for failed, _, _ in made] == [[], []]
    np.testing.assert_array_equal(read_label(made[1][2]["_pred.tif"]), read_label(made[0][2]["_pred.png"]))


@pytest.mark.parametrize("in_tiles", [False, True])
def test_the_magnification_is_judged_by_objects_alone(trained, picture, tmp_path, caplog, in_tiles):
    """Pieces of the segmentation, where the tasks that part them are left out, say nothing of it."""
    given = {"objects": {}, "pieces": ALONE, "wanted pieces": objects(route="components")}
    said = {name: predicted(picture, tmp_path / name, trained, caplog, more, in_tiles)[1] for name, more in given.items()}
    judged = [name for name, sentences in said.items() if any("magnification" in sentence for sentence in sentences)]
    assert judged == ["objects", "wanted pieces"]


@pytest.mark.parametrize(("given", "sentence"), [case for cases in REFUSED.values() for case in cases], ids=str)
def test_what_cannot_be_had_is_refused_before_anything_is_done(trained, picture, tmp_path, caplog, given, sentence):
    failed, _, found = predicted(picture, tmp_path, trained, caplog, given, large=True)
    assert len(failed) == 1
    assert failed[0].startswith(f"'{picture}' is predicted in tiles")
    assert pytest.raises(AssertionError, match=sentence).matches(AssertionError(failed[0]))
    assert found == {}
    assert not list(tmp_path.glob(".large_*"))


def test_no_setting_is_forgotten(bundle):
    """What ``inference.yaml`` checks of a user's settings stands above, but for what must be as in the training."""
    config = yaml.safe_load((bundle.configs / "inference.yaml").read_text())
    offered = {*config["given_settings"], *config["made_settings"], "answered_tasks", "instance_settings", "seen"}
    assert offered - set(config["weights_settings"]) - NO_SETTINGS_OF_RESULTS == {*HONOURED, *REFUSED}


@pytest.mark.parametrize("answered", [["segmentation"], ["segmentation", "separation"]])
def test_workers_answer_the_tasks_that_the_tiles_are_made_of(trained, picture, tmp_path, monkeypatch, answered):
    monkeypatch.setattr(large, "SIDE", 64)
    jobs = []
    monkeypatch.setattr(large, "keep", lambda context: jobs.append(context.job))
    monkeypatch.setattr(large, "forget", lambda: None)
    given = {"answered_tasks": answered, "save_instances": False, "device": "cpu"}
    assert not predict(picture, tmp_path, weights=trained, overrides=given, large=True).failed
    assert list(jobs[0].tasks) == list(Context(jobs[0]).model.answered) == answered
