"""Stage the app: a trained model, the app and the manifests in the layout of a MONAI Application Package, without Docker.

python -m lazylabels_monai.apps.deploy.staging OUT --weights model.pt
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml

import lazylabels_monai
from lazylabels_monai.apps.deploy.cuda import preload_cuda_runtime
from lazylabels_monai.atomic import copy_tree, filled
from lazylabels_monai.bundle_folder import bundle_config
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.trained import sound_weights

__all__ = ["MODEL", "stage"]

#: The model's folder below models/ and the name that the app knows it by.
MODEL = "lazylabels"
#: What a staged package consists of.
_STAGED = frozenset(["app", "models", "app.yaml", "app.json", "pkg.json"])

_MAIN = '''"""Predict a folder of images; see docs/deploy.md of the project."""

from lazylabels_monai.apps.deploy.app import main

main()
'''


def stage(
    out: Path,
    weights: Path,
    bundle: Path | None = None,
    overlays: Sequence[str] = (),
    requirements: Path = Path("requirements-deploy.txt"),
    probabilities: bool = False,
    overwrite: bool = False,
) -> None:
    """Write ``app/``, ``models/lazylabels/model.ts``, ``app.json`` and ``pkg.json`` into ``out``.

    Args:
        out: folder to make; it appears whole.
        weights: ``model.pt`` of a training; what was written beside it (classes, network, instance settings) goes in.
        bundle: folder of the bundle; None: the one that came with the package.
        overlays: config files of the training merged after ``inference.yaml``, where it left no ``network.json``.
        requirements: what the app needs to be installed.
        probabilities: whether the app writes the probability maps, too.
        overwrite: replace what ``out`` holds.

    Raises:
        LazyLabelsError: when weights, bundle or requirements are missing, or the network is not for 2D images.
        FileExistsError: when ``out`` holds something and ``overwrite`` is not given.
    """
    preload_cuda_runtime()
    from lazylabels_monai.packing import trained_config

    if out.exists() and any(out.iterdir()) and not overwrite:
        raise FileExistsError(f"{out} is there already: name another folder, or pass --overwrite.")
    if out.is_dir() and (other := sorted({path.name for path in out.iterdir()} - _STAGED)):
        raise FileExistsError(
            f"{out} holds {other[0]}, which is no part of a package, so it is not overwritten: name another folder."
        )
    if not requirements.is_file():
        raise LazyLabelsError(f"{requirements} is not there: name the app's requirements by --requirements.")
    sound_weights(weights)
    # the writers of volumes would need the geometry, which pictures do not have
    config = trained_config(bundle, weights, overlays, save_probabilities=probabilities)
    if config["spatial_dims"] != 2:
        raise LazyLabelsError(f"{weights}: this network is for volumes; the app takes 2D images.")
    with filled(out, overwrite) as temporary:
        _export(temporary / "models" / MODEL / "model.ts", config, bundle, weights)
        app = temporary / "app"
        package = Path(lazylabels_monai.__file__).parent
        copy_tree(package, app / package.name, shutil.ignore_patterns("__pycache__"))
        (app / "__main__.py").write_text(_MAIN, encoding="utf-8")
        (app / "requirements.txt").write_text("".join(_lines(requirements)), encoding="utf-8")
        version = json.loads(bundle_config(bundle, "metadata.json").read_text(encoding="utf-8"))["version"]
        _write_manifests(temporary, version)


def _export(target: Path, config: dict, bundle: Path | None, weights: Path) -> None:
    """TorchScript with ``metadata.json`` and ``inference.json`` inside, by MONAI's ``ckpt_export``."""
    from monai.bundle import ConfigParser, ckpt_export

    from lazylabels_monai.packing import trained_metadata
    from lazylabels_monai.trained import load_weights

    load_weights(ConfigParser(config).get_parsed_content("network_def"), weights)  # MONAI loads what fits, and says nothing

    target.parent.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "inference": config,
            "metadata": trained_metadata(bundle, config["classes"], config["tasks"], config["in_channels"]),
        }
        for name, content in files.items():
            (Path(folder) / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        ckpt_export(
            "network_def",
            filepath=str(target),
            ckpt_file=str(weights),
            meta_file=f"{folder}/metadata.json",
            config_file=f"{folder}/inference.json",
        )


def _lines(requirements: Path) -> list[str]:
    """The lines of a requirements file, those of the files it names by ``-r`` among them."""
    lines: list[str] = []
    for line in requirements.read_text(encoding="utf-8").splitlines(keepends=True):
        lines += _lines(requirements.parent / line.split()[1]) if line.startswith("-r ") else [line]
    return lines


def _write_manifests(folder: Path, version: str) -> None:
    """``app.yaml``, the packager's input, and the manifests that the packager itself makes of it."""
    from importlib.metadata import version as installed

    from holoscan_cli.common.enum_types import PlatformConfiguration, SdkType
    from holoscan_cli.packager.config_reader import ApplicationConfiguration
    from holoscan_cli.packager.models import Models
    from holoscan_cli.packager.parameters import PackageBuildParameters

    content = {
        "application": {
            "title": "Lazy labels for microscopy",
            "version": version,
            "input-formats": ["file"],
            "output-formats": ["file"],
        },
        "resources": {"cpu": 1, "gpu": 1, "memory": "4Gi", "gpuMemory": "4Gi"},
    }
    (folder / "app.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    parameters = PackageBuildParameters()
    parameters.application = folder / "app"
    parameters.models = Models().build(folder / "models")
    configuration = ApplicationConfiguration()
    configuration.read(folder / "app.yaml")
    app, package = configuration.populate_app_manifest(parameters), configuration.populate_package_manifest(parameters)
    app.sdk, app.sdk_version = SdkType.MonaiDeploy.value, installed("monai-deploy-app-sdk")
    package.platform_config = PlatformConfiguration.dGPU.value  # of the packager's --platform x86_64
    for name, manifest in (("app.json", app), ("pkg.json", package)):
        (folder / name).write_text(json.dumps(manifest.data, indent=1) + "\n", encoding="utf-8")


def _command(
    out: Annotated[Path, typer.Argument(help="folder to make")],
    weights: Annotated[Path, typer.Option(help="model.pt of a training")],
    bundle: Annotated[Path | None, typer.Option(help="folder of the bundle; default: the one that came along")] = None,
    config: Annotated[list[str] | None, typer.Option(help="a config file after inference.yaml, may be repeated")] = None,
    requirements: Annotated[Path, typer.Option(help="what the app needs")] = Path("requirements-deploy.txt"),
    probabilities: Annotated[bool, typer.Option(help="the app writes the probability maps, too")] = False,
    overwrite: Annotated[bool, typer.Option(help="replace what OUT holds")] = False,
) -> None:
    """Stage the MONAI Deploy app of a trained model: app, model, app.json, pkg.json."""
    stage(out, weights, bundle, config or (), requirements, probabilities, overwrite)
    typer.echo(f"package staged: {out}")


if __name__ == "__main__":
    try:
        typer.run(_command)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
