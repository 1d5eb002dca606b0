"""The commands that pack a trained model for others: ``pack`` and ``pack-bioimage``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["pack", "pack_bioimage"]


def pack(
    out: Annotated[Path, typer.Argument(help="zip file to write; the folder in it is called like the file")],
    weights: Annotated[
        Path | None, typer.Option(help="model.pt of a training; default models/model.pt of the bundle, or none")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="folder of the bundle; default: the one that came along")] = None,
    config: Annotated[list[str] | None, typer.Option(help="an overlay of the training, may be repeated")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace OUT")] = False,
) -> None:
    """Zip the bundle with its weights and this package: it runs wherever it is unzipped."""
    from lazylabels_monai.packing.archive import pack_bundle

    pack_bundle(out, bundle, weights, config or (), overwrite)
    typer.echo(f"written: {out}")


def pack_bioimage(
    out: Annotated[Path, typer.Argument(help="zip file to write")],
    weights: Annotated[Path, typer.Option(help="model.pt of a training")],
    image: Annotated[Path | None, typer.Option(help="a picture to test the package with; default a generated one")] = None,
    bundle: Annotated[Path | None, typer.Option(help="folder of the bundle; default: the one that came along")] = None,
    config: Annotated[list[str] | None, typer.Option(help="an overlay of the training, may be repeated")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace OUT")] = False,
) -> None:
    """Write a package of the BioImage Model Zoo: TorchScript and ONNX for Fiji, ilastik, napari (requirements-bioimage.txt)."""
    from lazylabels_monai.packing.bioimage import pack_bioimage as write

    write(out, weights, image, bundle, config or (), overwrite)
    typer.echo(f"written: {out}")
