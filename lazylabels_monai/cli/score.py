"""The commands for other programs: ``export`` and ``score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export", "score"]


def export(
    data: Annotated[Path, typer.Argument(help="a data set: its folder or its datalist.json")],
    out: Annotated[Path, typer.Argument(help="folder to make")],
    background: Annotated[
        float | None, typer.Option(help="of images without mask, from so many depths of the nearest inner region on")
    ] = 1.0,
    open_background: Annotated[bool, typer.Option("--open-background", help="no background but that of exact masks")] = False,
) -> None:
    """Write the lazy labels as one label map per training image, 255 where nothing is known: for programs such as nnU-Net."""
    from lazylabels_monai.data.single_label import export_single_labels

    counts = export_single_labels(data, out, None if open_background else background)
    typer.echo(f"written: {out} ({', '.join(f'{count} {section}' for section, count in counts.items())})")


def score(
    data: Annotated[Path, typer.Argument(help="data set with exact masks and ids of the objects")],
    predictions: Annotated[Path, typer.Argument(help="folder of class maps <image>.png or <image>_pred.png")],
    out: Annotated[Path, typer.Option(help="folder of metrics.json and metrics.csv")],
    section: Annotated[str, typer.Option(help="testing or validation")] = "testing",
    tune: Annotated[
        Path | None, typer.Option(help="class maps of the validation images, which pick how objects are made of them")
    ] = None,
    interfaces: Annotated[
        bool, typer.Option(help="the value above the last class is an interface of touching objects")
    ] = False,
    gap: Annotated[int, typer.Option(help="objects at most this many pixels apart touch")] = 2,
    glas: Annotated[bool, typer.Option(help="the scores of the GlaS challenge, too")] = False,
    overwrite: Annotated[bool, typer.Option(help="replace earlier scores in OUT")] = False,
) -> None:
    """Score class maps that another program made, by the metrics of an evaluation here."""
    from lazylabels_monai.atomic import require_free
    from lazylabels_monai.evaluation.results import format_results
    from lazylabels_monai.evaluation.score import score_predictions
    from lazylabels_monai.trained import SETTINGS_FILE

    for name in ("metrics.json", "metrics.csv", SETTINGS_FILE):
        require_free(out / name, overwrite, "folder")
    found = score_predictions(data, predictions, out, section, tune, interfaces, gap, glas, typer.echo, overwrite)
    typer.echo(format_results(found))
    typer.echo(f"written: {out / 'metrics.json'}")
