"""Whether pictures are those that their labels were saved for: MONAI Label knows them by their names alone.

Below the folder of the served weights, ``labelled.json`` says of each label's file what its picture showed::

    {"/pool/labels/detection/a.png": {"saved": [..], "picture": [..], "pixels": "77d0.."}}

Both lists are file stamps (:func:`~lazylabels_monai.interactive.file_stamp.file_stamp`): a label with another one was saved
again, or copied, and belongs to the picture that is there now; a picture with the same one need not be read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lazylabels_monai.atomic import write_text
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.interactive.file_stamp import file_stamp
from lazylabels_monai.interactive.pixel_digests import PixelDigests
from lazylabels_monai.tasks import TASKS

__all__ = ["note_pictures", "require_same_pictures"]

_NOTED = "labelled.json"


def note_pictures(items: Iterable[Mapping[str, Any]], models: Path) -> list[tuple[str, str]]:
    """Note what the pictures of labels show that were saved since the last look.

    Args:
        items: of a datalist, with full paths.
        models: folder of the served weights.

    Returns:
        picture and label, for each label whose picture has other pixels than were noted; this note stays.

    Raises:
        DiskError: where the note cannot be written.
    """
    file, digests, replaced = models / _NOTED, PixelDigests(), []
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    noted = dict(before)
    for item in items:
        image = item["image"]
        for label in (item[task] for task in TASKS if task in item):
            saved = list(file_stamp(Path(label)) or ())
            known = before.get(label, {})
            if known.get("saved") != saved:
                known = {}
            else:
                digests.note(image, tuple(known["picture"]), known["pixels"])
            pixels = digests.of(image)
            if pixels is None:  # whoever trains on it says so
                continue
            if known and known["pixels"] != pixels:
                replaced.append((image, label))
            else:
                noted[label] = {"saved": saved, "picture": list(digests.stamp(image)), "pixels": pixels}
    if noted != before:
        write_text(file, json.dumps(noted, indent=1) + "\n")
    return replaced


def require_same_pictures(items: Iterable[Mapping[str, Any]], models: Path) -> None:
    """Refuse labels whose pictures were replaced since they were saved.

    Args:
        items: of a datalist, with full paths.
        models: folder of the served weights.

    Raises:
        LazyLabelsError: naming a picture and its label.
    """
    replaced = note_pictures(items, models)
    if replaced:
        image, label = replaced[0]
        others = f" (and {len(replaced) - 1} more)" if len(replaced) > 1 else ""
        raise LazyLabelsError(
            f"'{image}' has other pixels than the picture that '{label}' was saved for{others}: put the picture of before "
            "back, or save labels of this one; if the label fits it, save it again."
        )
