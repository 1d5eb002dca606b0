"""The command ``tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["tune"]


def tune(
    data: Annotated[Path, typer.Argument(help="data set whose validation images have ids of their objects (instances)")],
    weights: Annotated[Path, typer.Option(help="model.pt of a training")],
    bundle: Annotated[Path | None, typer.Option(help="folder of the bundle; default: the one that came along")] = None,
    config: Annotated[list[str] | None, typer.Option(help="a config file after inference.yaml, may be repeated")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; default a GPU where there is one")] = None,
    route: Annotated[list[str] | None, typer.Option(help="three maps, components or distance; default: all")] = None,
    mirroring: Annotated[
        bool | None, typer.Option(help="as predictions and evaluation will be made: over mirrored windows")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace what an earlier tune wrote beside the weights")] = False,
) -> None:
    """Pick how objects are separated on validation images; writes instances.json beside the weights, for predictions."""
    from dataclasses import asdict

    from lazylabels_monai.evaluation.tune import tune as tune_model
    from lazylabels_monai.instances import ROUTES
    from lazylabels_monai.trained import SETTINGS_FILE

    target = weights.with_name(SETTINGS_FILE)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already: pass --overwrite to pick the settings again.")
    if unknown := [name for name in route or () if name not in ROUTES]:
        raise ValueError(f"--route {unknown[0]}: use {', '.join(ROUTES)}.")
    overrides = {key: value for key, value in {"mirroring": mirroring, "device": device}.items() if value is not None}
    found = tune_model(data, weights, bundle, config or (), overrides, route or ROUTES, progress=typer.echo)
    for name, (settings, score) in found.items():
        values = ", ".join(f"{key} {value}" for key, value in asdict(settings).items() if key != "route")
        typer.echo(f"{name:>12}: F1 at IoU 0.5 {score:.3f} ({values})")
    typer.echo(f"written: {target}")
