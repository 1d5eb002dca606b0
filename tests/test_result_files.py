"""The names of result files: one ending for each kind, and the image's own name before it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lazylabels_monai.result_files import (
    CLASSES_ENDING,
    ENDINGS,
    INSTANCES_ENDING,
    OVERLAY_ENDING,
    image_stem,
    predicted_stems,
    probability_ending,
    uncertainty_ending,
    without_results,
)
from lazylabels_monai.tasks import TASKS


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("a.png", "a"),
        ("folder.d/b.c.tif", "b.c"),
        (Path("x") / "scan.nii.gz", "scan"),
        ("scan.nii", "scan"),
        ("a.ome.tif", "a.ome"),
        ("a.gz", "a"),
        ("plain", "plain"),
    ],
)
def test_stem_of_an_image(path, stem):
    assert image_stem(path) == stem


def test_every_kind_has_an_ending_of_its_own_and_the_class_map_comes_first():
    assert ENDINGS[0] == CLASSES_ENDING == "_pred"
    assert {INSTANCES_ENDING, OVERLAY_ENDING} < set(ENDINGS)
    assert {f"_{task}_{what}" for task in TASKS for what in ("probability", "uncertainty")} < set(ENDINGS)
    assert {probability_ending("detection"), uncertainty_ending("detection")} < set(ENDINGS)
    assert len(set(ENDINGS)) == len(ENDINGS) == 3 + 3 * len(TASKS)
    # a file's kind is found by its end: none may end like another
    assert not [(a, b) for a in ENDINGS for b in ENDINGS if a != b and a.endswith(b)]


def test_the_class_maps_ending_is_that_of_the_config(bundle):
    config = yaml.safe_load((bundle.configs / "inference.yaml").read_text())
    assert f"_{config['output_postfix']}" == CLASSES_ENDING
    steps = [step["output_postfix"] for step in config["postprocessing"]["transforms"] if "output_postfix" in step]
    assert f"_{steps[0]}" == INSTANCES_ENDING


RESULTS = ("a_pred.png", "a_instances.tif", "a_overlay.png", "a_separation_probability.tif", "a_detection_uncertainty.tif")


@pytest.mark.parametrize(
    ("there", "images"),
    [
        (("a.png", *RESULTS), ["a.png"]),  # an earlier version's, in the folder of the images
        (RESULTS, []),  # its folder of results
        (("a.tif", "a_pred.nii.gz", "a_instances.nii.gz"), ["a.tif"]),
        (("a.png", "a_pred.png", "a_overlay.png", "a_overlay_pred.png", "a_pred_pred.png", "a_pred_overlay.png"), ["a.png"]),
        (("a.png", "a_overlay.png", "a_instances.tif"), ["a.png", "a_instances.tif", "a_overlay.png"]),  # whose ever they are
        (("a_pred.png", "b_pred.png"), ["a_pred.png", "b_pred.png"]),  # nothing says so
        (("ab.png", "a_pred.png", "b_overlay.png"), ["a_pred.png", "ab.png", "b_overlay.png"]),
        (("a.png", "001_a_detection_uncertainty.png"), ["a.png"]),  # of suggest
        (("a.png", "001_b_detection_uncertainty.png"), ["001_b_detection_uncertainty.png", "a.png"]),
        (("_pred.png", "_overlay.png"), ["_overlay.png", "_pred.png"]),
    ],
)
def test_results_are_told_from_images(there, images, tmp_path):
    for name in there:
        (tmp_path / name).touch()
    paths = sorted(tmp_path.iterdir())
    assert sorted(path.name for path in without_results(paths)) == sorted(images)
    assert sorted(path.name for path in without_results([str(path) for path in paths])) == sorted(images)


@pytest.mark.parametrize("broken", [False, True])
def test_a_record_tells_all_results(broken, tmp_path):
    for name in ("a_overlay.png", "a_pred.png", "b_overlay.png", "c_doubt.png", "a.png"):
        (tmp_path / name).touch()
    lines = ['{"stamp": "1", "weights": "2"}', '{"result": "a", "stamp": null}'] + ['{"result": "b'] * broken
    (tmp_path / "predicted.jsonl").write_text("\n".join(lines))
    assert sorted(path.name for path in without_results(tmp_path.glob("*.png"))) == ["a.png", "b_overlay.png", "c_doubt.png"]
    assert predicted_stems(tmp_path) == ["a"]
    assert predicted_stems(tmp_path / "none") == []
