"""The command ``bench``."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["bench"]


def bench(
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    steps: Annotated[int, typer.Option(help="timed training steps")] = 5,
) -> None:
    """Time a training step and sliding-window inference, at the sizes of configs/cpu.yaml."""
    from lazylabels_monai.bench import format_bench, run_bench

    typer.echo(format_bench(run_bench(device, steps)))
