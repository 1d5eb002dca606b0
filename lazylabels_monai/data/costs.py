"""What a label costs to draw.

The cost model is that of Bearman, Russakovsky, Ferrari, Fei-Fei 2016, "What's the point: semantic segmentation with point
supervision" (ECCV), on which Ke et al. 2020, Sec. 1, base their claim that lazy labels cost less than a sixth of exact
ones: so many seconds for each object, and one second for each class of which a person only says that it is not there. An
average image of PASCAL VOC shows 1.5 of 20 classes and 2.8 objects. That makes 18.5 * 1 + 2.8 * 79 = 239.7 s for an exact
mask and 18.5 * 1 + 1.5 * 10.9 = 34.9 s for a squiggle in each class: a seventh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.tasks import LABELS, validate_tasks

__all__ = ["AnnotationCosts", "read_costs"]


@dataclass(frozen=True)
class AnnotationCosts:
    """Seconds of work. Each is a guess for your images and your people: time yourself on one image and set it.

    Args:
        strong: for the exact outline of an object: 79 s in COCO (Lin et al. 2014), which Bearman et al. take; they quote
            54 s for a second data set. Masks that GrabCut makes out of inner regions, as in the paper, cost less.
        inner: for the inner region of an object: a squiggle of Bearman et al., 10.9 s.
        scribble: for the interface scribble of two objects: a short stroke that needs no search, as long as a
            point of Bearman et al., 2.4 s. This assumption is ours.
        absent: for a class that is looked for and not there, 1 s; in a label of interfaces, there is one such class.
        image: for opening and saving each label of an image; Bearman et al. do not count it, 0 s.

    Raises:
        LazyLabelsError: when a value is negative or no number.
    """

    strong: float = 79.0
    inner: float = 10.9
    scribble: float = 2.4
    absent: float = 1.0
    image: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
                raise LazyLabelsError(f"annotation cost '{name}' is {value!r}: give seconds, 0 or more.")

    def seconds(self, task: str, objects: float, absent: float = 0.0) -> float:
        """Seconds for one label of one image.

        Args:
            task: the task that the label is for.
            objects: objects, inner regions or interface scribbles to draw.
            absent: classes that the image does not show.

        Raises:
            ValueError: for a task that does not exist.

        Example:
            >>> round(AnnotationCosts().seconds("segmentation", 2.8, 18.5), 1)  # PASCAL VOC, Bearman et al. 2016
            239.7
        """
        validate_tasks(task)
        return self.image + getattr(self, LABELS[task].cost) * objects + self.absent * absent


def read_costs(file: str | Path | None = None, changes: Sequence[str] = ()) -> AnnotationCosts:
    """Costs from a file, then changed one by one.

    Args:
        file: YAML or JSON of names and seconds, such as ``strong: 40``; None: the published costs.
        changes: ``"name=seconds"`` each.

    Raises:
        LazyLabelsError: when the file cannot be read, or a name or a value is no cost.
    """
    given: dict[str, Any] = {}
    if file is not None:
        import yaml

        try:
            given = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
            reason = str(e).splitlines()[0].rstrip(".:")
            raise LazyLabelsError(f"costs file '{file}' cannot be read ({reason}): write lines such as 'strong: 40'.") from e
        if not isinstance(given, dict):
            raise LazyLabelsError(f"costs file '{file}' holds no names: write lines such as 'strong: 40'.")
    for change in changes:
        name, _, value = change.partition("=")
        try:
            given[name.strip()] = float(value)
        except ValueError:
            raise LazyLabelsError(f"annotation cost '{change}' is no NAME=SECONDS: write for example strong=40.") from None
    names = [f.name for f in fields(AnnotationCosts)]
    for name in given:
        if name not in names:
            raise LazyLabelsError(f"annotation cost '{name}' does not exist: use {', '.join(names)}.")
    return replace(AnnotationCosts(), **given)
