"""The command ``measure``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import CLASSES_HELP, names

__all__ = ["measure"]


def measure(
    predictions: Annotated[
        Path, typer.Argument(help="folder of <name>_instances.tif and <name>_pred.png, or a data set with exact labels")
    ],
    out: Annotated[Path, typer.Argument(help="folder of objects.csv, summary.csv and summary.json")],
    images: Annotated[
        Path | None,
        typer.Option(help="folder of the images, a pattern in quotes or a datalist.json: adds intensities, and pixel sizes"),
    ] = None,
    pixel_size: Annotated[str | None, typer.Option(help="of all images, such as 0.5um or 120nm; default: from TIFF")] = None,
    classes: Annotated[str | None, typer.Option(help=CLASSES_HELP)] = None,
    min_size: Annotated[int, typer.Option(help="objects of fewer pixels are left out")] = 1,
    exclude_border: Annotated[
        str, typer.Option(help="ml: correct sizes and counts for the border (Miles-Lantuejoul); none: as seen")
    ] = "ml",
    gap: Annotated[int, typer.Option(help="objects at most this many pixels apart are neighbours")] = 2,
    truth: Annotated[Path | None, typer.Option(help="exact labels of some of the images: adds the errors on these")] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            help="values: each value of masks/ or _instances is one object, whatever it looks like; pieces: each of its "
            "connected pieces is one, as in a binary mask"
        ),
    ] = None,
    confidence: Annotated[float, typer.Option(help="level of the intervals")] = 0.95,
    seed: Annotated[int, typer.Option(help="of the bootstrap")] = 0,
    overwrite: Annotated[bool, typer.Option(help="replace the files of an earlier run")] = False,
    dry_run: Annotated[bool, typer.Option(help="say what would be measured and write nothing")] = False,
) -> None:
    """Measure objects: a table of all of them, and sizes, densities and area fractions with intervals."""
    from lazylabels_monai.measure.folder import format_measurements, measure_folder

    result = measure_folder(
        predictions,
        out,
        images=images,
        pixel_size=pixel_size,
        classes=names(classes),
        min_size=min_size,
        border=exclude_border,
        gap=gap,
        truth=truth,
        ids=ids,
        confidence=confidence,
        seed=seed,
        overwrite=overwrite,
        dry_run=dry_run,
        warn=lambda sentence: typer.echo(f"warning: {sentence}", err=True),
    )
    if dry_run:
        for image in result["images"]:
            size = "in pixels" if image["pixel_size"] is None else f"pixel {image['pixel_size']:g} um"
            labels = ", ".join(image[key] for key in ("instances", "classes") if image[key])
            typer.echo(f"{image['name']}: {labels} ({size})")
        typer.echo(f"classes: {', '.join(result['classes'])}")
        typer.echo(f"would write: {', '.join(result['writes'])}")
        return
    typer.echo(format_measurements(result))
    typer.echo(f"written: {out / 'objects.csv'}, summary.csv, summary.json")
