"""Measurements and the page about them, of a folder of results: ``lazylabels measure`` and ``lazylabels report`` as a window
calls them, which asks nobody whether tables may be replaced."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lazylabels_monai.errors import in_number, some
from lazylabels_monai.exporting.written import WrittenFiles
from lazylabels_monai.images.pixel_size import parse_pixel_size, read_pixel_size
from lazylabels_monai.interactive.label_files import REPLACED, keep_copy
from lazylabels_monai.measure.finding import find_labels, with_images
from lazylabels_monai.measure.folder import OUTPUTS, measure_folder
from lazylabels_monai.overrides import expanded
from lazylabels_monai.progress import silent
from lazylabels_monai.report import make_report
from lazylabels_monai.stamps import Records

__all__ = ["measured_page", "report_folder"]


def measured_page(
    out: Path,
    kept: Path,
    images: str | Path | Mapping[str, Path],
    sizes: Mapping[str, float | None],
    classes: Sequence[str] | None = None,
    warn: Callable[[str], None] = silent,
) -> Path:
    """Measure a folder of maps into ``measured/`` in it, and write the page. Tables that somebody changed are kept elsewhere.

    Args:
        out: folder of the maps.
        kept: folder in whose ``measured/`` changed tables are kept.
        images: as for :func:`~lazylabels_monai.measure.folder.measure_folder`.
        sizes: micrometres of each image's pixels, by name.
        classes: their names; None: those that the maps state.
        warn: is told what is not as one may think.

    Returns:
        the page.

    Raises:
        LazyLabelsError: as of the commands.
    """
    measured = out / "measured"
    written, away = WrittenFiles(measured), kept / measured.name
    changed = [name for name in OUTPUTS if written.changed(name)]
    for name in changed:
        keep_copy(measured / name, away)
    # ids="values": what a person corrected in the window are objects, in however many pieces
    options = {"images": images, "pixel_size": sizes, "classes": classes, "ids": "values"}
    measure_folder(out, measured, **options, overwrite=True, warn=warn)
    for name in OUTPUTS:
        written.wrote(name)
    if changed:
        sentence = (
            "{names} in '{folder}' [was|were] changed since a report was made, or [is|are] of an earlier version, and [is|are] "
            "measured anew: as [it was, it lies|they were, they lie] in '{away}'."
        )
        warn(in_number(len(changed), sentence, names=some(changed, len(OUTPUTS)), folder=measured, away=away))
    return make_report(out, images=images, classes=classes, measured_in=measured, overwrite=True)


def report_folder(
    results: str | os.PathLike,
    images: str | os.PathLike,
    pixel_size: str | float | None = None,
    warn: Callable[[str], None] = silent,
) -> Path:
    """Measure what ``lazylabels predict`` wrote of a folder of pictures, and write the page about it.

    Args:
        results: that folder.
        images: folder of the pictures.
        pixel_size: micrometres, or text such as "120 nm", of the pixels of the pictures whose files state none.
        warn: is told what is not as one may think.

    Returns:
        the page.

    Raises:
        LazyLabelsError: as of the commands, and for a pixel size that is none.
    """
    results, images = expanded(results), expanded(images)
    typed = None if pixel_size is None else parse_pixel_size(pixel_size)
    found = with_images(find_labels(results)[0], images, Records(results))
    stated = {image.name: None if image.image is None else read_pixel_size(image.image) for image in found}
    sizes = {name: typed if size is None else size for name, size in stated.items()}
    return measured_page(results, results / REPLACED, images, sizes, warn=warn)
