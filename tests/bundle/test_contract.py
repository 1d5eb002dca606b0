"""What MONAI and the zoo want of the configs, and what they must have in common."""

from __future__ import annotations

import json

import pytest
import yaml
from monai.bundle import ConfigParser

from lazylabels_monai.data.simulating.synthetic import CLASS_NAMES
from lazylabels_monai.tasks import task_slices
from lazylabels_monai.transforms import NORMALIZATIONS


@pytest.mark.parametrize(
    ("files", "kind", "ids"),
    [
        (("train.yaml",), "train", ("run", "training", "initialize", "finalize")),
        (("train.yaml", "evaluate.yaml"), "train", ("run", "evaluating")),
        (("inference.yaml",), "infer", ("run", "inferring")),
    ],
)
def test_required_properties_and_ids_are_there(bundle, tiny_data, tmp_path, files, kind, ids):
    # check_properties builds the trainer or evaluator; the expressions of "initialize" are not needed for it
    overrides = bundle.overrides(tiny_data, tmp_path)
    with bundle.workflow(bundle.files(*files), kind, init_id="nothing", **overrides) as workflow:
        assert workflow.check_properties() == []
        assert [name for name in ids if name not in workflow.parser] == []


def test_what_training_and_inference_both_define_is_equal(bundle):
    train, infer, evaluate = (
        yaml.safe_load((bundle.configs / f"{name}.yaml").read_text()) for name in ("train", "inference", "evaluate")
    )
    # what each file does with the rest; training reads the classes from the data set and names
    # the normalization, inference reads both from beside the weights
    own = {"imports", "initialize", "run", "network", "classes", "normalization", "given_settings", "made_settings"}
    own |= {"window_size"}  # that of the training, which is kept beside the weights
    assert train["network_def"].pop("zero_init_residual") == "@zero_init_residual"  # how weights begin: inference reads them
    assert "require_same_network" in infer["network_def"].pop("_requires_")[-1]  # that its weights were trained so
    shared = (set(train) & set(infer)) - own
    wanted = {"network_def", "channels", "num_classes", "tasks", "in_channels", "spatial_dims", "crop_size"}
    assert wanted | {"num_multitask_blocks", "dropout", "ckpt_dir", "dataset_dir", "device", "amp"} <= shared
    assert {key: train[key] for key in shared} == {key: infer[key] for key in shared}
    assert evaluate["weights"] == infer["weights"]
    assert evaluate["window_size"] == infer["window_size"]
    assert evaluate["overlap"] == infer["overlap"]
    assert evaluate["mirroring"] == infer["mirroring"]
    assert evaluate["normalization"] == infer["normalization"]
    assert train["normalization"] in NORMALIZATIONS
    assert train["trained_with"]["normalization"] == "@normalization"

    def image_steps(transforms: list) -> list:
        named = {"@image_loader": train["image_loader"], "@train#implied": train["train"]["implied"]}
        steps = [named[step] if isinstance(step, str) else step for step in transforms]
        return [
            step for step in steps if step.get("keys") == "image" and not step["_target_"].startswith(("Rand", "CopyItems"))
        ]

    expected = image_steps(infer["preprocessing"]["transforms"])
    names = ["LoadImaged", "JudgeImaged", "MatchChannelsd", "ClipIntensityPercentilesd", "NormalizeIntensityd"]
    assert [step["_target_"].split(".")[-1] for step in expected] == names
    del expected[1]  # the check before a training judges its images
    assert image_steps(train["train"]["preprocessing"]["transforms"]) == expected
    assert image_steps(train["validate"]["preprocessing"]["transforms"]) == expected
    # validation in training has windows and an overlap of its own and mirrors nothing: it is there to choose an epoch
    assert infer["inferer"].pop("mirroring") == "@mirroring"
    assert evaluate["validate#inferer#roi_size"] == infer["inferer"]["roi_size"] == train["val_window_size"] == "@window_size"
    assert infer["inferer"].pop("answered") == "@answered_tasks"  # what nobody asks for need not be predicted
    own = {"overlap": None, "roi_size": None, "bfloat16": None}  # a training that goes on keeps its precision
    assert train["validate"]["inferer"] | own == infer["inferer"] | own


def test_metadata_fits_the_configs_and_the_requirements(bundle):
    metadata = json.loads((bundle.configs / "metadata.json").read_text())
    required = ("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version", "task", "description")
    required += ("required_packages_version", "authors", "copyright", "network_data_format", "name")
    assert [key for key in required if not metadata.get(key)] == []
    assert metadata["version"] in metadata["changelog"]
    pins = (bundle.overlays.parent / "requirements.txt").read_text()
    assert f"torch=={metadata['pytorch_version']}" in pins
    parser = ConfigParser(ConfigParser.load_config_file(bundle.configs / "inference.yaml"))
    output, image = metadata["network_data_format"]["outputs"]["pred"], metadata["network_data_format"]["inputs"]["image"]
    names = list(output["channel_def"].values())
    assert image["num_channels"] == parser.get_parsed_content("in_channels")
    assert output["num_channels"] == len(names) == list(task_slices(len(CLASS_NAMES) + 1).values())[-1].stop
    assert names[:3] == ["background", *CLASS_NAMES]  # MONAI Label's label list
