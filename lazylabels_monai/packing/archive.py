"""The bundle as one zip file that runs wherever it is unzipped, this package inside."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import textwrap
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from pydoc import locate
from typing import IO, Any

import yaml
from monai.bundle import ConfigParser

import lazylabels_monai
from lazylabels_monai.atomic import copy_tree, remove_tree, require_free, temporary_sibling, whole_file, written_to
from lazylabels_monai.bundle_folder import find_bundle, require_own_files
from lazylabels_monai.config_files import read_overlay
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import PathLike
from lazylabels_monai.json_values import as_json
from lazylabels_monai.packing.config import trained_metadata
from lazylabels_monai.trained import (
    NETWORK_IDS,
    bundle_weights,
    copy_trained,
    load_weights,
    trained_classes,
    trained_network,
)

__all__ = ["pack_bundle", "set_values", "zip_folder"]

#: What is no part of a package.
_IGNORED = shutil.ignore_patterns("__pycache__")
#: And of this package in one: an installed one holds the bundle itself.
_NO_CODE = shutil.ignore_patterns("__pycache__", "bundle", "configs")


def pack_bundle(
    out: PathLike,
    bundle: PathLike | None = None,
    weights: PathLike | None = None,
    overlays: Sequence[PathLike] = (),
    overwrite: bool = False,
) -> None:
    """Zip the bundle with this package in it, so that ``python -m monai.bundle run inferring --config_file
    configs/inference.yaml`` works in the unzipped folder without an installed package.

    The network's settings are those of the training, in ``train.yaml``, ``inference.yaml`` and ``metadata.json``. The folder
    in the zip is called like the file.

    Args:
        out: the zip file; it appears whole.
        bundle: folder of the bundle; None: the one that came with the package.
        weights: ``model.pt`` of a training; default ``models/model.pt`` of the bundle, and none where that is not there.
        overlays: config files whose settings of the network replace those of the configs, where the training left no
            ``network.json``.
        overwrite: replace ``out``.

    Raises:
        LazyLabelsError: when the bundle or the named weights are not there.
        FileExistsError: when ``out`` is there and ``overwrite`` is not given.
    """
    out, bundle = Path(out), find_bundle(bundle)
    require_own_files(bundle)
    require_free(out, overwrite)
    if weights is None and bundle_weights(bundle).is_file():
        weights = bundle_weights(bundle)
    values: dict[str, Any] = {}
    for overlay in overlays:
        content = read_overlay(overlay)
        values.update({key: content[key] for key in NETWORK_IDS if key in content})
    with written_to(out), _scratch(out) as temporary:
        root = temporary / out.stem
        copy_tree(bundle, root, lambda folder, names: [*_IGNORED(folder, names), *_models(folder, names)])
        if weights is not None:
            values.update(_trained_network(weights, bundle, overlays))
            copy_trained(weights, root / "models")
            classes = trained_classes(weights)
            given = {key: values[key] for key in ("tasks", "in_channels", "spatial_dims") if key in values}
            described = trained_metadata(bundle, classes, **given)
            (root / "configs" / "metadata.json").write_text(json.dumps(described, indent=4) + "\n", encoding="utf-8")
            _tell_of_it(root / "docs" / "README.md", classes, described)
        for name in ("train.yaml", "inference.yaml"):
            file = root / "configs" / name
            file.write_text(set_values(file.read_text(encoding="utf-8"), values), encoding="utf-8")
        if weights is not None:
            _check_weights(root, weights)
        package = Path(lazylabels_monai.__file__).parent
        copy_tree(package, root / package.name, _NO_CODE)
        (root / "requirements.txt").write_text(_requirements(package), encoding="utf-8")
        with whole_file(out) as stream:
            zip_folder(temporary, stream)


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A hidden folder beside ``out``, removed at the end."""
    temporary = temporary_sibling(out)
    try:
        yield temporary
    finally:
        remove_tree(temporary)


def _check_weights(bundle: Path, weights: PathLike) -> None:
    """Refuse to pack weights that the packed config cannot load."""
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.yaml"))
    parser.update({"bundle_root": str(bundle), "num_classes": len(trained_classes(weights)) + 1})
    load_weights(parser.get_parsed_content("network_def"), weights)


def _tell_of_it(readme: Path, classes: Sequence[str], metadata: Mapping[str, Any]) -> None:
    """Write into the bundle's README what goes in and comes out of the packed network; one without that section stays."""
    if not readme.is_file():
        return
    formats = metadata["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    shape = "a volume" if len(image["spatial_shape"]) == 3 else "a picture"
    channels = "one channel" if image["num_channels"] == 1 else f"{image['num_channels']} channels"
    said = textwrap.fill(
        f"The weights in `models/` were trained for the classes {', '.join(classes)}. Input: {shape} of {channels}. "
        f"Output: {pred['num_channels']} channels of logits: {metadata['pred_classes'].removeprefix('channels ')}.",
        width=118,
        break_long_words=False,
        break_on_hyphens=False,
    )
    text = readme.read_text(encoding="utf-8")
    body = r"(?<=^#### \*\*Input and output\*\*\n)(?:.*\n)*?(?=#|\Z)"
    readme.write_text(re.sub(body, lambda found: f"\n{said}\n\n", text, count=1, flags=re.MULTILINE), encoding="utf-8")


def _requirements(package: Path) -> str:
    """``requirements.txt`` of a checkout, with its reasons; those of an installed package."""
    if (file := package.parent / "requirements.txt").is_file():
        return file.read_text(encoding="utf-8")
    return "".join(f"{line}\n" for line in metadata.requires("lazylabels-monai") or () if "extra ==" not in line)


def _trained_network(weights: PathLike, bundle: Path, overlays: Sequence[PathLike]) -> dict[str, Any]:
    """The network's settings; without its definition where that says in other words what the bundle's own does."""
    values = trained_network(weights, overlays)
    config = yaml.safe_load((bundle / "configs" / "inference.yaml").read_text(encoding="utf-8"))
    own = config["network_def"]
    own = {name: value for name, value in own.items() if name != "_requires_"}
    found = values.get("network_def", own)
    # what trainings from before a setting do not name is what the bundle has for it
    found = {**{name: value for name, value in own.items() if value == f"@{name}"}, **_said_otherwise(found, own, config)}
    if {**found, "_target_": locate(found["_target_"])} == {**own, "_target_": locate(own["_target_"])}:
        values.pop("network_def", None)
    return values


def _said_otherwise(definition: Mapping[str, Any], own: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """A network's definition without values that the bundle's has, too: by an id, or by leaving them to the network."""
    takes = inspect.signature(locate(definition["_target_"])).parameters
    usual = {name: as_json(each.default) for name, each in takes.items()}
    usual.update({name: config.get(name) if value == f"@{name}" else value for name, value in own.items()})
    del usual["_target_"]
    return {name: value for name, value in definition.items() if name not in usual or value != usual[name]}


def set_values(text: str, values: Mapping[str, Any]) -> str:
    """Replace values of top-level keys in the text of a YAML file; everything else, comments too, stays.

    Args:
        text: the file's text.
        values: new values; keys that the file does not have are left out.

    Raises:
        LazyLabelsError: when the result does not read as intended.
    """
    content = yaml.safe_load(text)
    values = {key: value for key, value in values.items() if key in content}
    for key, value in values.items():
        if content[key] == value:
            continue
        dumped = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
        line = f"{key}: " + dumped.removesuffix("...\n").rstrip()  # dots end the document of a lone number
        # the key's line and the indented lines below it
        pattern = rf"^{re.escape(key)}:[^\n#]*(?P<comment>#[^\n]*)?(?:\n[ \t]+\S[^\n]*)*$"
        text = re.sub(pattern, lambda m, line=line: f"{line} {m['comment'] or ''}".rstrip(), text, count=1, flags=re.MULTILINE)
    if yaml.safe_load(text) != {**content, **values}:
        raise LazyLabelsError(f"the values of {', '.join(values)} could not be written into the config; pack without --config.")
    return text


def zip_folder(folder: Path, out: Path | IO[bytes]) -> None:
    """Zip what ``folder`` holds; the same files give the same bytes."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(_entry(file.relative_to(folder).as_posix()), file.read_bytes())


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # dated 1980
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _models(folder: str, names: Sequence[str]) -> list[str]:
    """Everything in models/ but the file that keeps the folder: weights are chosen, checkpoints stay at home."""
    return [name for name in names if name != ".gitkeep"] if Path(folder).name == "models" else []
