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
    probability_ending,
    uncertainty_ending,
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
