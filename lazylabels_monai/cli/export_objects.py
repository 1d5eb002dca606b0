"""The command ``export-objects``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import CLASSES_HELP, end_status_line, failure, names, status_line
from lazylabels_monai.option_text import command, written_names

__all__ = ["export_objects"]


def export_objects(
    out: Annotated[
        Path,
        typer.Argument(
            help="folder that predict wrote, of ids in masks/ and perhaps classes/, of pictures of ids, or a data set"
        ),
    ],
    format: Annotated[str, typer.Option(help="roi (ImageJ, Fiji), geojson (QuPath) or coco")],
    to: Annotated[Path | None, typer.Option(help="folder of the files; default: one of the format's name in OUT")] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="folder or datalist.json of the images: file names for coco, intensities and pixel sizes for geojson"
        ),
    ] = None,
    classes: Annotated[str | None, typer.Option(help=CLASSES_HELP)] = None,
    values: Annotated[
        str | None, typer.Option(help="ids or classes: what the pictures in a folder without masks/ and classes/ hold")
    ] = None,
    measurements: Annotated[
        Path | None,
        typer.Option(help="objects.csv of measure, for geojson; default: the one in OUT, else the objects are measured"),
    ] = None,
    no_measurements: Annotated[bool, typer.Option("--no-measurements", help="geojson without measurements: faster")] = False,
    pixel_size: Annotated[str | None, typer.Option(help="of all images, such as 0.5um or 120nm; default: from TIFF")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace files of an earlier export")] = False,
) -> None:
    """Write objects for other programs: ROI sets for Fiji, GeoJSON for QuPath, COCO; datalist reads them back."""
    from lazylabels_monai.data.datalist import new_dataset
    from lazylabels_monai.exporting.folder import export_objects as export

    report = export(
        out,
        format,
        to,
        images=images,
        classes=names(classes),
        values=values,
        measurements=(measurements if measurements is not None else not no_measurements),
        pixel_size=pixel_size,
        overwrite=overwrite,
        progress=status_line,
        warn=lambda sentence: typer.echo(f"warning: {sentence}", err=True),
    )
    end_status_line()
    for image, reason in report.failed.items():
        typer.echo(failure(image, reason), err=True)
    if report.files:
        count = sum(report.objects.values())
        typer.echo(f"{count} objects of {len(report.objects)} images are in {report.folder}")
        same = [name for name in report.class_names if [n.lower() for n in report.class_names].count(name.lower()) > 1]
        again = ["--labels", f"exact={report.folder}", "--classes", written_names(report.class_names)]
        again += ["--ids", "values"]  # an object of several pieces is meant to be one
        if not all(report.objects.values()):
            again += ["--unlabelled", "background"]  # else an image without objects counts as one that nobody labelled
        if same:
            typer.echo(
                f"to read them back, export again with --classes: datalist does not tell {written_names(same)} apart, which "
                "differ in capital letters only"
            )
        else:
            made = new_dataset(out if out.is_dir() else out.parent)
            typer.echo(f"to read them back: {command('datalist', images or report.images_in or 'IMAGES', made, *again)}")
    if report.failed:
        raise typer.Exit(1)
