"""The command ``crop``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["crop"]


def crop(
    images: Annotated[Path, typer.Argument(help="folder of pictures, a pattern in quotes or a file")],
    out: Annotated[Path, typer.Argument(help="folder to make; yours stays as it is")],
    upper: Annotated[
        int | None, typer.Option(help="rows to cut off the top of every picture; with neither: where a bar is")
    ] = None,
    lower: Annotated[
        int | None, typer.Option(help="rows to cut off the bottom of every picture; 0 without it where --upper is given")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be cut off and write nothing")] = False,
) -> None:
    """Copy pictures without their data bars: the strip with letters that an electron microscope writes below them."""
    from lazylabels_monai.data.cropping import crop_pictures, format_crop

    cropped = crop_pictures(images, out, upper, lower, dry_run)
    typer.echo(format_crop(cropped, None if dry_run else out))
