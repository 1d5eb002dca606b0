"""Turn exactly labelled images into a lazy data set: a few exact masks, inner regions and scribbles for the others.

It answers "what would I lose if I had only marked these images roughly?" on data whose truth is known.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from lazylabels_monai.data.datalist import SECTION_FOLDERS, SECTIONS
from lazylabels_monai.data.replacing import check_target
from lazylabels_monai.data.simulating.exact import (
    ExactImage,
    assign_sections,
    class_count,
    find_exact_images,
    loader,
    scaled_image,
)
from lazylabels_monai.data.simulating.items import LazyItem, MissingInputError, SimulationError
from lazylabels_monai.data.simulating.writing import write_dataset

__all__ = ["simulate"]


def simulate(
    src: str | os.PathLike,
    out: str | os.PathLike,
    strong: int | float | str = 0.1,
    detection: int | float | str = 0.75,
    separation: int | float | str = "all",
    seed: int = 0,
    classes: Sequence[str] | None = None,
    subset: Mapping[str, int] | None = None,
    scale: float = 1.0,
    overwrite: bool = False,
    validation: int | float | str | None = None,
    test: int | float | str | None = None,
    dry_run: bool = False,
    **marks: object,
) -> dict:
    """Make a lazy data set out of an exactly labelled one.

    ``src`` holds ``train/``, ``val/`` and folders that start with ``test``, any of them, each with ``images/`` and
    ``masks/`` (instance ids) or ``classes/`` (class masks; instances are then the connected components of each class)
    or both, matched by file name; or it is one such folder, taken for ``train/``. ``out`` gets ``images/``,
    ``segmentation/``, ``detection/``, ``separation/``, ``instances/`` and ``datalist.json``, where a missing key means
    that this label was not collected. Names that occur in two splits get the split's name in front.

    Where ``src`` has no test images its ``val/`` is used for testing, unless ``test`` takes some out of ``train/``.
    Validation images that are then missing are taken out of ``train/``: images that chose a model must not judge it.

    Args:
        src: folder of exact labels.
        out: folder to make.
        strong: training images that keep their exact mask. A whole number from 1 on is a count (``1`` and ``1.0`` are
            one image), a number below 1 a share, ``"all"`` is every image, ``"2.5h"`` as many as so many hours of work by
            :class:`~lazylabels_monai.data.costs.AnnotationCosts` are enough for. The defaults are the paper's shares.
        detection: training images with inner regions.
        separation: training images with scribbles on the interfaces.
        seed: of every draw.
        classes: names of the object classes; default ``object1``, ``object2``, ...
        subset: use only this many images, drawn by ``seed``, of the finished sections: keys ``train``, ``val``,
            ``test``.
        scale: resize images (anti-aliased) and labels (nearest) by this factor, above 0 and at most 8.
        overwrite: replace an earlier result.
        validation: how many training images become validation images where ``src`` leaves none; count, share or
            ``"all"``. Default 0.2, or what ``subset`` asks for.
        test: how many training images become test images where ``src`` has none; count or share. Default none.
        dry_run: write nothing; the summary says what would be written.
        marks: arguments of :class:`~lazylabels_monai.labels.marking.Marking`: style, gap, thickness, ...

    Returns:
        A summary; see :func:`~lazylabels_monai.data.simulating.writing.write_dataset`, and
        :func:`~lazylabels_monai.data.simulating.writing.format_summary` to print it.

    Raises:
        MissingInputError: when ``src``, a split's folder or a label is missing.
        OutputExistsError: when ``out`` holds something already.
        SimulationError: for labels that do not fit their image, unknown subsets, and counts that cannot be met.
        LazyLabelsError: for files that cannot be read, and marks out of range.
    """
    src, out = Path(src), Path(out)
    if not src.is_dir():
        raise MissingInputError(f"{src} is not a folder: name one that holds train/, val/ or test/.")
    if out.absolute().resolve() == src.resolve() or src.resolve() in out.absolute().resolve().parents:
        raise SimulationError(f"{out} lies in the source folder {src}: name a folder outside of it.")
    if not 0 < scale <= 8:
        raise SimulationError(f"scale {scale} must be above 0 and at most 8.")
    check_target(out, overwrite)
    wanted = _wanted(subset)
    splits = find_exact_images(src)
    sections = assign_sections(splits, validation, test, wanted, seed)
    if classes is None:
        classes = [f"object{k + 1}" for k in range(class_count([s for sources in sections.values() for s in sources]))]
    return write_dataset(
        out,
        _items(splits, sections, scale),
        list(classes),
        strong=strong,
        detection=detection,
        separation=separation,
        seed=seed,
        overwrite=overwrite,
        dry_run=dry_run,
        parameters={
            "source": str(src),
            "scale": scale,
            "subset": dict(subset or {}),
            "validation": len(sections["validation"]),
            "test": len(sections["testing"]),
        },
        **marks,
    )


def _items(splits: Mapping[str, list[ExactImage]], sections: Mapping[str, list[ExactImage]], scale: float) -> list[LazyItem]:
    # A name that occurs twice in the source, in whatever split, gets its split's name in front.
    seen = [s.image.stem.lower() for sources in splits.values() for s in sources]
    items = []
    for section, sources in sections.items():
        for source in sources:
            stem = source.image.stem
            name = f"{source.folder}_{stem}" if seen.count(stem.lower()) > 1 else stem
            image = (lambda path=source.image: scaled_image(path, scale)) if scale != 1 else source.image
            items.append(LazyItem(name, section, loader(source, scale), image))
    return items


def _wanted(subset: Mapping[str, int] | None) -> dict[str, int]:
    keys = {**{short: section for section, short in SECTION_FOLDERS.items()}, **{section: section for section in SECTIONS}}
    wanted = {}
    for key, count in (subset or {}).items():
        if key not in keys:
            raise SimulationError(f"subset has the key '{key}': use {', '.join(SECTION_FOLDERS.values())}.")
        if int(count) != count or count < 0:
            raise SimulationError(f"subset {key}={count} must be a whole number of images, 0 or more.")
        wanted[keys[key]] = int(count)
    return wanted
