"""The command ``bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lazylabels_monai.errors import LazyLabelsError

__all__ = ["bench"]

#: A module of ``lazylabels_monai.bench`` each, whose ``section(repeats)`` measures and gives Markdown for docs/performance.md.
PARTS: tuple[str, ...] = ("startup", "threads", "tasks", "window", "training", "large", "others", "minutes", "gpu")


def bench(
    parts: Annotated[list[str] | None, typer.Argument(help=f"what to time: {', '.join(PARTS)}; none: the network")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    steps: Annotated[int, typer.Option(help="timed training steps, or repeats of whatever is timed")] = 5,
    write: Annotated[Path | None, typer.Option(help="with parts: the page whose sections are written anew")] = None,
    records: Annotated[Path | None, typer.Option("--from", help="with gpu: the folder that benchmarks/gpu.sh wrote")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="time the making of lazy labels instead")] = False,
    height: Annotated[int, typer.Option(help="with --labels: rows of the label map")] = 2000,
    width: Annotated[int, typer.Option(help="with --labels: columns of the label map")] = 2000,
    objects: Annotated[int, typer.Option(help="with --labels: discs in the map, about")] = 1200,
) -> None:
    """Time a training step and sliding-window inference, at the sizes of configs/cpu.yaml; or the named parts."""
    if unknown := [part for part in parts or () if part not in PARTS]:
        raise LazyLabelsError(f"bench {unknown[0]}: there is no such part; use {', '.join(PARTS)}.")
    if parts:
        from importlib import import_module

        from lazylabels_monai.bench.page import write_section

        for part in parts:
            module = import_module(f"lazylabels_monai.bench.{part}")
            text = module.section(steps, records) if part == "gpu" else module.section(steps)
            typer.echo(text)
            if write is not None:
                write_section(write, part, text)
        return
    if labels:
        from lazylabels_monai.bench.labels import format_label_bench, run_label_bench

        typer.echo(format_label_bench(run_label_bench((height, width), objects)))
        return
    from lazylabels_monai.bench.network import format_bench, run_bench

    typer.echo(format_bench(run_bench(device, steps)))
