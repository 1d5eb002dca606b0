"""The command ``monai-label``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["monai_label"]


def monai_label(
    out: Annotated[Path, typer.Argument(help="folder of the app, new: --app of MONAI Label's start_server")],
    weights: Annotated[Path, typer.Option(help="model.pt of a training")],
    bundle: Annotated[Path | None, typer.Option(help="folder of the bundle; default: the one that came along")] = None,
    config: Annotated[
        list[str] | None, typer.Option(help="a config file of the training, such as configs/cpu.yaml, may be repeated")
    ] = None,
) -> None:
    """Make a MONAI Label app of a trained model: annotate, train and predict over one server."""
    from lazylabels_monai.apps.monailabel.folder import make_app

    made = make_app(out, weights, bundle, config or ())
    typer.echo(f"written: {out} (for the stock monaibundle app copy {made} to its model folder)")
