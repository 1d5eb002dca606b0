"""The command ``napari``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["napari"]


def napari(
    folder: Annotated[
        Path | None, typer.Argument(help="a project or a folder of pictures; none: open one in the window")
    ] = None,
    built_in: Annotated[
        bool, typer.Option("--built-in", help="make FOLDER, a project of built-in pictures, where it is not there yet")
    ] = False,
) -> None:
    """Open a window in napari: draw, train, see, correct, measure."""
    from importlib.util import find_spec

    from lazylabels_monai.errors import LazyLabelsError

    if built_in and folder is None:
        raise ValueError("--built-in makes a project: name its folder, as in lazylabels napari outputs/napari --built-in.")
    if find_spec("napari") is None:
        raise LazyLabelsError(
            'napari is not installed here: run pip install "lazylabels-monai[napari]", or make napari in the repository.'
        )
    from lazylabels_monai.apps.napari.opening import run

    run(folder, built_in)
