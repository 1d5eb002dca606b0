"""Commands of ``python -m lazylabels_monai``: thin, each calls one function of the package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from lazylabels_monai.bench import format_bench, run_bench
from lazylabels_monai.data.datalist import check_datalist
from lazylabels_monai.data.synthetic import make_dataset, make_volume_dataset
from lazylabels_monai.labels.lazy import DEFAULT_GAP, DEFAULT_THICKNESS
from lazylabels_monai.labels.simulate import format_summary
from lazylabels_monai.labels.simulate import simulate as simulate_labels
from lazylabels_monai.results import compare_runs, format_results, results_picture

__all__ = ["app", "main"]

app = typer.Typer(
    help="Segment microscopy images from lazy labels. Train and predict with python -m monai.bundle run; see the README.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_COUNT = "a count of training images (1 or more), a share (below 1) or 'all'"


def _names(value: str | None) -> list[str] | None:
    return [name.strip() for name in value.split(",") if name.strip()] if value else None


def _subset(values: list[str] | None) -> dict[str, int] | None:
    if not values:
        return None
    wanted = {}
    for value in values:
        split, _, count = value.partition("=")
        if not count.isdigit():
            raise ValueError(f"--subset {value}: write SPLIT=COUNT, for example --subset train=60.")
        wanted[split] = int(count)
    return wanted


@app.command()
def simulate(
    src: Annotated[Path, typer.Argument(help="train/ val/ test/ (any of them), each with images/ and masks/ or classes/")],
    out: Annotated[Path, typer.Argument(help="folder to make: images, labels and datalist.json")],
    strong: Annotated[str, typer.Option(help=f"images that keep their exact mask: {_COUNT}")] = "0.1",
    detection: Annotated[str, typer.Option(help=f"images with inner regions: {_COUNT}")] = "0.75",
    separation: Annotated[str, typer.Option(help=f"images with interface scribbles: {_COUNT}")] = "all",
    seed: Annotated[int, typer.Option(help="draws which images keep what, and the marks")] = 0,
    classes: Annotated[str | None, typer.Option(help="names of the object classes, separated by commas")] = None,
    validation: Annotated[str | None, typer.Option(help=f"where SRC has no val/, taken from train/: {_COUNT}")] = None,
    subset: Annotated[list[str] | None, typer.Option(help="use only COUNT images: SPLIT=COUNT, may be repeated")] = None,
    scale: Annotated[float, typer.Option(help="resize images and labels by this factor")] = 1.0,
    gap: Annotated[int, typer.Option(help="objects at most this many pixels apart touch")] = DEFAULT_GAP,
    thickness: Annotated[int, typer.Option(help="thickness of the interface scribbles in pixels")] = DEFAULT_THICKNESS,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier OUT")] = False,
) -> None:
    """Make a lazy data set out of an exactly labelled one, as if a person had been short of time."""
    summary = simulate_labels(
        src,
        out,
        strong=strong,
        detection=detection,
        separation=separation,
        seed=seed,
        gap=gap,
        thickness=thickness,
        classes=_names(classes),
        subset=_subset(subset),
        scale=scale,
        overwrite=overwrite,
        validation=validation,
    )
    typer.echo(format_summary(summary))


@app.command()
def synthetic(
    out: Annotated[Path, typer.Argument(help="folder to make")],
    train: Annotated[int, typer.Option(help="training images")] = 20,
    validation: Annotated[int, typer.Option(help="validation images")] = 6,
    test: Annotated[int, typer.Option(help="test images")] = 12,
    height: Annotated[int, typer.Option(help="pixels")] = 256,
    width: Annotated[int, typer.Option(help="pixels")] = 320,
    strong: Annotated[int, typer.Option(help="training images with exact masks")] = 2,
    detection: Annotated[int, typer.Option(help="training images with inner regions")] = 15,
    separation: Annotated[int, typer.Option(help="training images with interface scribbles")] = 20,
    seed: Annotated[int, typer.Option(help="makes all images and marks")] = 0,
    volumes: Annotated[str | None, typer.Option(help="a few small volumes instead: .nii.gz, .nrrd or .mha")] = None,
    overwrite: Annotated[bool, typer.Option(help="replace an earlier OUT")] = False,
) -> None:
    """Make the built-in microstructure data set with other numbers than the default ones."""
    if volumes:
        typer.echo(format_summary(make_volume_dataset(out, suffix=volumes, seed=seed, overwrite=overwrite)))
        return
    summary = make_dataset(
        out,
        num_train=train,
        num_validation=validation,
        num_test=test,
        size=(height, width),
        strong=strong,
        detection=detection,
        separation=separation,
        seed=seed,
        overwrite=overwrite,
    )
    typer.echo(format_summary(summary))


@app.command()
def check(data: Annotated[Path, typer.Argument(help="a data set's folder or its datalist.json")]) -> None:
    """Check a data set before training: which image carries which label, and what is wrong. Exit code 1 on errors."""
    report = check_datalist(data)
    typer.echo(report.table)
    for warning in report.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for error in report.errors:
        typer.echo(f"error: {error}", err=True)
    if report.errors:
        raise typer.Exit(1)


@app.command()
def results(folder: Annotated[Path, typer.Argument(help="output_dir of an evaluation")]) -> None:
    """Print the table of an evaluation and where its pictures are."""
    path = folder / "metrics.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: run evaluating with --output_dir {folder} first.")
    typer.echo(format_results(json.loads(path.read_text(encoding="utf-8"))))
    typer.echo(f"per image: {folder / 'metrics.csv'}")
    pictures = sorted(folder.rglob("*_overlay.png"))
    if pictures:
        typer.echo(f"overlays:  {pictures[0]} and {len(pictures) - 1} more")


@app.command()
def compare(folder: Annotated[Path, typer.Argument(help="folder of runs NAME_sSEED")] = Path("outputs/compare")) -> None:
    """Print a Markdown table of several evaluations with their spread over seeds; see tools/compare.sh."""
    typer.echo(compare_runs(folder))


@app.command()
def picture(
    data: Annotated[Path, typer.Argument(help="the data set's folder")],
    predictions: Annotated[Path, typer.Argument(help="output_dir of a prediction of its test images")],
    out: Annotated[Path, typer.Argument(help="PNG file to write")],
    images: Annotated[str, typer.Option(help="numbers of the test images, separated by commas")] = "0,1",
    overwrite: Annotated[bool, typer.Option(help="replace an earlier OUT")] = False,
) -> None:
    """Draw image, lazy labels, exact mask and prediction of test images side by side."""
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} is there already: name another file, or pass --overwrite.")
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.fromarray(results_picture(data, predictions, [int(number) for number in images.split(",")]))
    drawn.quantize(256).save(out, optimize=True)  # a third of the file, and nobody sees it
    typer.echo(f"written: {out}")


@app.command()
def bench(
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    steps: Annotated[int, typer.Option(help="timed training steps")] = 5,
) -> None:
    """Time a training step and sliding-window inference, at the sizes of configs/cpu.yaml."""
    typer.echo(format_bench(run_bench(device, steps)))


def main() -> None:
    """Run a command; what a user can mend ends as one sentence on standard error and exit code 1."""
    try:
        app(prog_name="python -m lazylabels_monai")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
