"""The bundle against the checklist of MONAI's model zoo (its CONTRIBUTING.md and the template of its READMEs)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigParser, verify_metadata

from tests.helpers import ROOT

BUNDLE = ROOT / "bundle"

# After the sections on metadata.json of MONAI's bundle specification; the zoo's own schema is on the network.
SCHEMA = {
    "type": "object",
    "required": [
        *("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"),
        *("task", "description", "authors", "copyright", "network_data_format"),
    ],
    "properties": {
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "changelog": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}},
        "required_packages_version": {"type": "object", "additionalProperties": {"type": "string"}},
        "supported_apps": {"type": "object"},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "additionalProperties": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": [
                        *("type", "format", "num_channels", "spatial_shape", "dtype", "value_range", "is_patch_data"),
                        "channel_def",
                    ],
                    "properties": {
                        "num_channels": {"type": "integer", "minimum": 1},
                        "spatial_shape": {"type": "array", "items": {"type": ["integer", "string"]}},
                        "value_range": {"type": "array", "items": {"type": "number"}},
                        "is_patch_data": {"type": "boolean"},
                        "channel_def": {"type": "object", "propertyNames": {"pattern": r"^\d+$"}},
                    },
                },
            },
        },
    },
}


@pytest.fixture
def metadata() -> dict:
    return json.loads((BUNDLE / "configs" / "metadata.json").read_text())


def check_metadata(metadata: dict, folder: Path) -> None:
    """MONAI's own command; a schema that lies there already is not fetched."""
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    (folder / "metadata.json").write_text(json.dumps(metadata))
    verify_metadata(meta_file=str(folder / "metadata.json"), filepath=str(folder / "schema.json"))


def test_metadata_passes_verify_metadata(metadata, tmp_path):
    pytest.importorskip("jsonschema")
    check_metadata(metadata, tmp_path)


@pytest.mark.parametrize("broken", ["copyright", "num_channels"])
def test_verify_metadata_can_fail(metadata, tmp_path, broken):
    pytest.importorskip("jsonschema")
    if broken == "copyright":
        del metadata["copyright"]
    else:
        metadata["network_data_format"]["inputs"]["image"]["num_channels"] = "one"
    with pytest.raises(ValueError, match="Failed validating"):
        check_metadata(metadata, tmp_path)


def test_the_newest_version_is_in_the_changelog(metadata):
    versions = [tuple(map(int, version.split("."))) for version in metadata["changelog"]]
    assert versions == sorted(versions, reverse=True)
    assert metadata["version"] == next(iter(metadata["changelog"]))


def test_packages_are_those_of_the_requirements(metadata):
    """Each one named is required by the project, in a version that its requirement allows."""
    from packaging.requirements import Requirement

    lines = (re.sub(r"\s#.*", "", line).strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    required = {r.name: r for r in (Requirement(line) for line in lines if line and not line.startswith("#"))}
    required["fire"] = Requirement("fire")  # by monai[fire]
    for name, version in metadata["required_packages_version"].items():
        assert required[name].specifier.contains(version), name
    for name, key in (("monai", "monai_version"), ("torch", "pytorch_version"), ("numpy", "numpy_version")):
        assert required[name].specifier.contains(metadata[key]), name


def test_the_files_are_there():
    for name in ("configs/metadata.json", "configs/inference.yaml", "docs/README.md", "docs/data_license.txt"):
        assert (BUNDLE / name).is_file(), name
    assert (BUNDLE / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_every_public_set_has_a_data_licence():
    text = (BUNDLE / "docs" / "data_license.txt").read_text()
    sets = re.findall(r"^    (\w+)/ ", (ROOT / "docs" / "public-sets.md").read_text(), re.M)
    assert {"superalloy", "emps", "glas", "nuclei_fluo", "powder"} <= set(sets)
    assert [name for name in sets if name not in text] == []


@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("inference.yaml", ["bundle_root", "device", "network_def", "inferer", "output_dir"]),
        (
            "train.yaml",
            [
                *("bundle_root", "device", "dataset_dir", "output_dir", "val_interval"),
                *(f"train#{key}" for key in ("trainer", "trainer#max_epochs", "dataset", "dataset#data", "handlers")),
                *(f"train#{key}" for key in ("preprocessing", "inferer")),  # training has no other of the parts in question
                *(f"validate#{key}" for key in ("evaluator", "dataset", "dataset#data", "handlers")),
                *(f"validate#{key}" for key in ("preprocessing", "postprocessing", "inferer", "key_metric")),
            ],
        ),
    ],
)
def test_the_keys_that_the_zoo_wants_are_there(file, keys):
    parser = ConfigParser(ConfigParser.load_config_file(BUNDLE / "configs" / file))
    assert [key for key in keys if key not in parser] == []


def test_there_are_no_personal_paths():
    for file in BUNDLE.rglob("*"):
        if file.is_file() and file.suffix in (".yaml", ".json", ".md", ".txt", ".conf"):
            found = re.search(r"(?<![\w.])(/home/|/root/|/Users/|/tmp/|[A-Z]:\\)\S*", file.read_text())
            assert found is None, (file, found)


def test_the_readme_keeps_the_zoos_order():
    text = (BUNDLE / "docs" / "README.md").read_text()
    order = ["Authors", "Tags", "Model Description", "Data", "Performance", "Additional Usage Steps", "System Configuration"]
    order += ["Limitations", "References"]
    headings = re.findall(r"^#{2,3} \*\*(.+)\*\*$", text, re.M)
    assert [name for name in headings if name in order] == order
    performance = text.split("## **Performance**")[1].split("\n## ")[0]
    assert len(re.findall(r"^\| .*\d\.\d{3}", performance, re.M)) >= 3  # a table of results
