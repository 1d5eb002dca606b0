"""The command ``datalist``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.cli.options import CLASSES_HELP, end_status_line, status_line
from lazylabels_monai.cli.options import names as comma_separated

__all__ = ["datalist"]


def datalist(
    src: Annotated[
        Path,
        typer.Argument(
            help="folder of images; or with images/ beside masks/, annotations/ ...; or train/ val/ test/; or a data set"
        ),
    ],
    out: Annotated[Path, typer.Argument(help="folder to make: images, labels and datalist.json")],
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND=PATH, may be repeated. KIND: masks (object ids), segmentation (exact classes), detection (inner "
            "regions), separation (interfaces), scribbles (brushed classes), annotations, exact, rough (files of QuPath, Fiji, "
            "COCO, napari). PATH: folder, file or 'pattern'"
        ),
    ] = None,
    classes: Annotated[str | None, typer.Option(help=CLASSES_HELP)] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            help="[KIND:]OLD=NEW,...: what a pixel value or drawn name is: a class, background, interface, other (no "
            "interface), ignore or drop. May be repeated; OLD may be a pattern"
        ),
    ] = None,
    areas: Annotated[
        list[str] | None, typer.Option(help="exact or rough: what drawn areas are; NAME=exact for one name. May be repeated")
    ] = None,
    interface: Annotated[str, typer.Option(help="name of drawn interfaces, beside interface, boundary, contact")] = "interface",
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            help="what pixels are that nobody marked: background (every object is marked, so nothing is there) or ignore "
            "(objects may be left out, so nothing is learnt there). KIND=ignore for one kind. Default: background; ignore for "
            "scribbles and where background is marked in its own right"
        ),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            help="what the values in masks/ are: pieces (each connected piece is an object, as in binary masks) or values (one "
            "value is one object, whatever it looks like); likewise for areas drawn exactly in several "
            "pieces. Default: values, which are questioned"
        ),
    ] = None,
    halo: Annotated[
        int, typer.Option(help="pixels around exact objects that are background where unmarked pixels are ignored; 0 for none")
    ] = 3,
    line_width: Annotated[float, typer.Option(help="of drawn lines without a width of their own, in pixels")] = 3,
    point_radius: Annotated[float, typer.Option(help="of drawn points, in pixels")] = 2,
    derive: Annotated[bool, typer.Option(help="exact objects also give inner regions and interfaces")] = True,
    gap: Annotated[int, typer.Option(help="exact objects at most this many pixels apart touch")] = 2,
    validation: Annotated[str, typer.Option(help="count, or share below 1, where SRC has no val/")] = "0.2",
    test: Annotated[str, typer.Option(help="count, or share below 1, where SRC has no test/")] = "0",
    seed: Annotated[int, typer.Option(help="draws validation and test images")] = 0,
    keep_splits: Annotated[
        str | None,
        typer.Option(
            help="an earlier data set, or its datalist.json, whose images stay where they are, whatever they are called now; "
            "none draws all anew. Default: the OUT that --overwrite replaces"
        ),
    ] = None,
    image_suffix: Annotated[str, typer.Option(help="what follows the name of an image, such as _image")] = "",
    label_suffix: Annotated[
        str, typer.Option(help="what follows it in a label's file name, beside the usual _mask, _label, _annotation ...")
    ] = "",
    legend: Annotated[
        Path | None, typer.Option(help="""of colour labels: JSON {"#ff0000": "name", ...}, CSV, or CVAT's labelmap.txt""")
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="refer to the images where they are instead of copying them")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an earlier OUT; its images keep their split")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the table, write nothing")] = False,
) -> None:
    """Make a data set from your images and what you drew on them, and print how many images carry which label."""
    from lazylabels_monai.data.building import (
        BuildError,
        BuildOptions,
        build_datalist,
        format_build,
        parse_keyed,
        parse_names,
    )
    from lazylabels_monai.data.building.options import kind_of

    pairs = []
    for value in labels or ():
        kind, equals, path = value.partition("=")
        if not equals:
            raise BuildError(f"--labels {value}: write KIND=PATH, for example --labels masks=my_masks.")
        pairs.append((kind_of(kind.strip()), path))
    options = BuildOptions(
        labels=pairs,
        classes=comma_separated(classes),
        names=parse_names(names),
        areas=parse_keyed(areas),
        interface=interface,
        unlabelled=parse_keyed(unlabelled),
        ids=ids,
        halo=halo,
        line_width=line_width,
        point_radius=point_radius,
        derive=derive,
        gap=gap,
        validation=validation,
        test=test,
        seed=seed,
        keep_splits=keep_splits,
        image_suffix=image_suffix,
        label_suffix=label_suffix,
        legend=legend,
        link=link,
        overwrite=overwrite,
        dry_run=dry_run,
    )

    summary = build_datalist(src, out, options, status_line)
    end_status_line()
    typer.echo(format_build(summary))
