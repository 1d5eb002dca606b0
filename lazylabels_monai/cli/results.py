"""The commands that show what a run gave: ``results`` and ``picture``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

__all__ = ["picture", "results"]


def results(folder: Annotated[Path, typer.Argument(help="output_dir of an evaluation")]) -> None:
    """Print the table of an evaluation and where its pictures are."""
    from lazylabels_monai.evaluation.results import format_results

    path = folder / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: run evaluating with --output_dir {folder} first.")
    typer.echo(format_results(json.loads(path.read_text(encoding="utf-8"))))
    typer.echo(f"per image: {folder / 'metrics.csv'}")
    pictures = sorted(folder.rglob("*_overlay.png"))
    if pictures:
        typer.echo(f"overlays:  {pictures[0]} and {len(pictures) - 1} more")


def picture(
    data: Annotated[Path, typer.Argument(help="the data set's folder")],
    predictions: Annotated[Path, typer.Argument(help="output_dir of a prediction of its test images")],
    out: Annotated[Path, typer.Argument(help="PNG file to write")],
    images: Annotated[str, typer.Option(help="numbers of the test images, separated by commas")] = "0,1",
    overwrite: Annotated[bool, typer.Option(help="replace an earlier OUT")] = False,
) -> None:
    """Draw image, lazy labels, exact mask and prediction of test images side by side."""
    from lazylabels_monai.evaluation.results import results_picture

    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} is there already: name another file, or pass --overwrite.")
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.fromarray(results_picture(data, predictions, [int(number) for number in images.split(",")]))
    drawn.quantize(256).save(out, optimize=True)  # a third of the file, and nobody sees it
    typer.echo(f"written: {out}")
