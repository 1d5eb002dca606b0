"""How large the crops of a training beside a window are."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lazylabels_monai.data.datalist import SECTIONS, load_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.headers import extent
from lazylabels_monai.interactive.image_files import pictures_of

__all__ = ["crop_size"]

#: Pixels of which a crop's side is a multiple, and its least.
_STEP, _LEAST = 32, 64


def crop_size(folder: str | os.PathLike, most: int) -> list[int]:
    """The sides of a training's crops: as large as the largest picture of a project, at most ``most`` pixels.

    A crop reaches out of a smaller picture, and what lies outside is computed for nobody. A picture whose header does not tell
    its size may be as large as any.

    Args:
        folder: of the project.
        most: pixels.

    Returns:
        two equal sides, in pixels.
    """
    folder = Path(folder)
    names = set(pictures_of(folder))
    with suppress(LazyLabelsError):  # whoever reads the datalist says what is wrong with it
        content = load_datalist(folder)
        names |= {item["image"] for section in SECTIONS for item in content.get(section, [])}
    largest = max((max(extent(folder / name) or (most,)) for name in names), default=most)
    return [min(most, max(_LEAST, -(-largest // _STEP) * _STEP))] * 2
