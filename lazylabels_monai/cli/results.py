"""The commands that show what a run gave: ``results`` and ``picture``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["picture", "results"]


def results(folder: Annotated[Path, typer.Argument(help="output_dir of an evaluation")]) -> None:
    """Print the table of an evaluation and where its pictures are."""
    from lazylabels_monai.evaluation.results import format_results, read_results
    from lazylabels_monai.trained import of_other_weights

    path = folder / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: name the folder that evaluate wrote, its --output.")
    found = read_results(path)
    typer.echo(format_results(found))
    if (other := of_other_weights(found, folder, folder)) is not None:
        typer.echo(f"warning: {other}", err=True)
    typer.echo(f"per image: {folder / 'metrics.csv'}")
    pictures = sorted(folder.rglob("*_overlay.png"))
    if pictures:
        typer.echo(f"overlays:  {pictures[0]} and {len(pictures) - 1} more")


def picture(
    data: Annotated[Path, typer.Argument(help="the data set's folder")],
    predictions: Annotated[Path, typer.Argument(help="output_dir of a prediction of its test images")],
    out: Annotated[Path, typer.Argument(help="PNG file to write")],
    images: Annotated[
        str | None, typer.Option(help="numbers of the test images, separated by commas [default: the first two]")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier OUT")] = False,
) -> None:
    """Draw image, lazy labels, exact mask and prediction of test images side by side."""
    from PIL import Image

    from lazylabels_monai.atomic import require_free, write_bytes
    from lazylabels_monai.errors import LazyLabelsError
    from lazylabels_monai.evaluation.results import results_picture

    require_free(out, overwrite)
    numbers = None
    if images is not None:
        try:
            numbers = [int(number) for number in images.split(",")]
        except ValueError:
            raise LazyLabelsError(f"--images {images} is no list of numbers: write for example --images 0,1.") from None
    kind = Image.registered_extensions().get(out.suffix.lower())
    if kind not in ("PNG", "TIFF", "GIF", "BMP"):
        raise LazyLabelsError(f"'{out}' is no name of a PNG file: name one that ends with .png.")
    drawn = Image.fromarray(results_picture(data, predictions, numbers)).quantize(
        256
    )  # a third of the file, and nobody sees it
    file = io.BytesIO()
    drawn.save(file, kind, optimize=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, file.getvalue())
    typer.echo(f"written: {out}")
