"""Open napari with the dock and a project.

python -m lazylabels_monai.apps.napari [FOLDER]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["main"]


def main(
    folder: Annotated[
        Path | None, typer.Argument(help="a project or a folder of pictures; none: open one in the window")
    ] = None,
    built_in: Annotated[
        bool, typer.Option("--built-in", help="make FOLDER of the built-in pictures where it is not there")
    ] = False,
) -> None:
    """Draw, train, see and correct in napari."""
    import napari

    from lazylabels_monai.apps.napari.opening import make_built_in, open_window

    if built_in and folder is not None and not folder.exists():
        make_built_in(folder)
    open_window(folder)
    napari.run()


if __name__ == "__main__":
    typer.run(main)
