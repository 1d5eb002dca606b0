"""What the bundle's configs call before the first epoch: checks, and which images to predict."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from lazylabels_monai.data.datalist import check_datalist, find_images, read_items
from lazylabels_monai.tasks import TASKS

__all__ = ["images_to_predict", "require_valid"]

logger = logging.getLogger(__name__)


def require_valid(
    datalist: str | Path, sections: Sequence[str], classes: Sequence[str] | None = None, tasks: Sequence[str] = TASKS
) -> None:
    """Log the summary table and the warnings of a data set, and stop at its errors.

    Raises:
        DatalistError: with one sentence for each finding.
    """
    report = check_datalist(datalist, sections=tuple(sections), classes=classes, tasks=tasks)
    report.raise_errors()
    report.log(logger)


def images_to_predict(dataset_dir: str | Path) -> list[dict[str, str]]:
    """Items ``{"image": path}``: a data set's testing images, otherwise all images of a folder, a pattern or one file.

    Raises:
        DatalistError: when there is no image.
    """
    datalist = Path(dataset_dir) / "datalist.json"
    if datalist.is_file():
        return [{"image": item["image"]} for item in read_items(datalist, "testing")]
    return [{"image": path} for path in find_images(str(dataset_dir))]
