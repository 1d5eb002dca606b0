"""Suggestions as a table for people, a CSV file and pictures."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lazylabels_monai.atomic import require_free, write_text
from lazylabels_monai.data.budget import duration
from lazylabels_monai.data.datalist import aligned
from lazylabels_monai.images.files import PathLike, read_image
from lazylabels_monai.spreadsheets import cell
from lazylabels_monai.suggest.pool import image_name
from lazylabels_monai.suggest.ranking import MEASURES, Suggestion, Suggestions
from lazylabels_monai.suggest.suggesting import measured
from lazylabels_monai.tasks import LABELS

if TYPE_CHECKING:
    from lazylabels_monai.predicting.model import Model

__all__ = ["check_pictures", "format_suggestions", "uncertainty_pictures", "write_suggestions"]

#: End of the names of the pictures.
_PICTURE = "_uncertainty.png"


def write_suggestions(file: PathLike, found: Suggestions, overwrite: bool = False) -> Path:
    """Write all suggestions as CSV, a row for each, the columns those of :class:`Suggestion`; the file appears as a whole.

    Raises:
        FileExistsError: when the file is there and ``overwrite`` is not set.
    """
    path = Path(file)
    require_free(path, overwrite)
    text = io.StringIO()
    table = csv.DictWriter(text, [f.name for f in fields(Suggestion)], lineterminator="\n")
    table.writeheader()
    for suggestion in found.ranked:
        table.writerow({name: cell(_cell(value)) for name, value in asdict(suggestion).items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())
    return path


def format_suggestions(found: Suggestions, top: int = 10) -> str:
    """The first ``top`` suggestions as a table, what the hours are enough for, and the notes."""
    rows = [["", "image", "draw", "about", "time", "uncertainty", "per minute", "planned"]]
    for s in found.ranked[:top]:
        cells = [
            f"{s.to_draw:.0f}",
            duration(s.seconds),
            f"{s.uncertainty:.4f}",
            f"{60 * s.score:.3g}",
            "yes" if s.planned else "",
        ]
        rows.append([str(s.rank), Path(s.image).name, s.label, *cells])
    lines = aligned(rows, left=(1, 2))
    planned = [s for s in found.ranked if s.planned]
    kinds = Counter(s.label for s in planned)
    parts = (
        ", ".join(f"{kind} of {kinds[kind]}" for kind in (label.name for label in LABELS.values()) if kinds[kind])
        or "nothing: the first takes longer"
    )
    used = f", {duration(sum(s.seconds for s in planned))} in all" if planned else ""
    images = len({s.image for s in planned})
    on = f" ({images} image{'s' * (images > 1)})" if planned else ""
    lines += ["", f"In {found.hours:g} h: {parts}{on}{used}."]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def uncertainty_pictures(
    folder: PathLike,
    found: Suggestions,
    model: Model,
    top: int = 10,
    measure: str = MEASURES[0],
    flips: bool = True,
    dropout_samples: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write a picture for each of the first suggestions: the image, and beside it the uncertainty from black to yellow.

    The colours mean the same in all of them; the brightest is the 99.5 percentile of the most uncertain one. Of a volume, the
    plane of the most uncertainty is shown. Names are ``<rank>_<image>_<task>_uncertainty.png``.

    Args:
        folder: made where missing.
        found, model, measure, flips, dropout_samples: what was ranked, and how.
        top: number of suggestions.
        overwrite: replace the pictures of an earlier call; other files stay.

    Raises:
        FileExistsError: when the folder holds such pictures and ``overwrite`` is not set.
    """
    from matplotlib import colormaps
    from PIL import Image

    from lazylabels_monai.images.pictures import side_by_side, to_uint8_rgb
    from lazylabels_monai.predicting.uncertainty import uncertainty_maps

    folder = Path(folder)
    check_pictures(folder, overwrite)
    shown = found.ranked[:top]
    panels: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    if not flips and not dropout_samples:
        measure = "entropy"
    wanted = {"segmentation", *(s.task for s in shown)}
    model = model.answering([task for task in model.tasks if task in wanted])
    for path in dict.fromkeys(s.image for s in shown):
        maps, pixels = uncertainty_maps(model, path, flips, dropout_samples), read_image(path)
        for s in shown:
            if s.image == path:
                panels[s.rank] = _plane(pixels, measured(maps[s.task], measure))
    top_value = max((float(np.percentile(uncertainty, 99.5)) for _, uncertainty in panels.values()), default=0.0) or 1.0
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"*{_PICTURE}"):
        old.unlink()
    written = []
    for s in shown:
        pixels, uncertainty = panels[s.rank]
        heat = (colormaps["inferno"](np.clip(uncertainty / top_value, 0, 1))[..., :3] * 255).round().astype(np.uint8)
        written.append(folder / f"{s.rank:03d}_{image_name(s.image)}_{s.task}{_PICTURE}")
        Image.fromarray(side_by_side([to_uint8_rgb(pixels), heat])).save(written[-1])
    return written


def check_pictures(folder: PathLike, overwrite: bool) -> None:
    """Refuse a folder with pictures of an earlier :func:`uncertainty_pictures`.

    Raises:
        FileExistsError: naming the folder.
    """
    if not overwrite and any(Path(folder).glob(f"*{_PICTURE}")):
        raise FileExistsError(f"{folder} holds pictures of uncertainty already: name another folder, or pass --overwrite.")


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return int(value) if isinstance(value, bool) else value


def _plane(pixels: np.ndarray, uncertainty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture as it is; of a volume, the plane with the most uncertainty."""
    if uncertainty.ndim == 2:
        return pixels, uncertainty
    best = int(uncertainty.sum((0, 1)).argmax())
    return pixels[:, :, best], uncertainty[:, :, best]
