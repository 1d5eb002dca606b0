"""The command ``bench``."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["bench"]


def bench(
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    steps: Annotated[int, typer.Option(help="timed training steps")] = 5,
    labels: Annotated[bool, typer.Option("--labels", help="time the making of lazy labels instead")] = False,
    height: Annotated[int, typer.Option(help="with --labels: rows of the label map")] = 2000,
    width: Annotated[int, typer.Option(help="with --labels: columns of the label map")] = 2000,
    objects: Annotated[int, typer.Option(help="with --labels: discs in the map, about")] = 1200,
) -> None:
    """Time a training step and sliding-window inference, at the sizes of configs/cpu.yaml; or the making of labels."""
    if labels:
        from lazylabels_monai.bench.labels import format_label_bench, run_label_bench

        typer.echo(format_label_bench(run_label_bench((height, width), objects)))
        return
    from lazylabels_monai.bench.network import format_bench, run_bench

    typer.echo(format_bench(run_bench(device, steps)))
