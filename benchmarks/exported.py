"""What ``python -m lazylabels_monai export`` wrote, and what ``score`` wants back. Needs numpy, pillow and tifffile alone."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

__all__ = [
    "PREDICTIONS",
    "TRAINED",
    "BenchmarkError",
    "Exported",
    "arguments",
    "main",
    "read_exported",
    "read_image",
    "write_about",
    "write_predictions",
]

#: Folders of the class maps below the output folder, by section.
PREDICTIONS = {"validation": "validation_predictions", "testing": "predictions"}

#: Among the settings of ``about.json``: minutes of a core from the program's start to the end of its training.
TRAINED = "minutes of training"


class BenchmarkError(ValueError):
    """What a user can mend; one sentence."""


@dataclass(frozen=True)
class Exported:
    """An exported data set.

    Attributes:
        folder: with ``dataset.json``.
        classes: names of the values 1, 2, ...
        interface: value of an interface of touching objects, one above the last class.
        unknown: value of a pixel of which nothing is known.
    """

    folder: Path
    classes: tuple[str, ...]
    interface: int
    unknown: int

    def images(self, section: str) -> list[Path]:
        """The images of a section by name."""
        return sorted((self.folder / section / "images").glob("*.tif"))

    def training(self) -> list[tuple[np.ndarray, np.ndarray, str]]:
        """Training images (H, W[, C]), label maps (H, W) uint8, and names; images without any known pixel are left out.

        Raises:
            BenchmarkError: when none remains, and when a label map is missing or of another size.
        """
        found = []
        for path in self.images("training"):
            place = self.folder / "training" / "labels" / f"{path.stem}.png"
            if not place.is_file():
                raise BenchmarkError(f"{place} is not there: export the data set again.")
            image, label = read_image(path), np.asarray(Image.open(place))
            if label.shape != image.shape[:2]:
                raise BenchmarkError(f"{place} has {label.shape} pixels, its image {image.shape[:2]}: export the set again.")
            if (label != self.unknown).any():
                found.append((image, label, path.stem))
        if not found:
            raise BenchmarkError(f"{self.folder / 'training'} holds no labelled image: export a data set with labels.")
        return found


def read_exported(folder: str | os.PathLike) -> Exported:
    """Read ``dataset.json``.

    Raises:
        BenchmarkError: when the folder was not exported.
    """
    path = Path(folder) / "dataset.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Exported(Path(folder), tuple(content["classes"]), int(content["interface"]), int(content["unknown"]))
    except (OSError, ValueError, KeyError) as error:
        command = f"python -m lazylabels_monai export DATA {folder}"
        raise BenchmarkError(f"{path} cannot be read ({type(error).__name__}): make the folder by {command}.") from error


def read_image(path: Path) -> np.ndarray:
    """(H, W) or (H, W, channels) as stored."""
    return tifffile.imread(path)


def write_predictions(
    exported: Exported, out: Path, predict: Callable[[Path], np.ndarray], say: Callable[[str], None] = print
) -> None:
    """Write the class maps of validation and testing; each folder appears whole and replaces an earlier one.

    Args:
        exported: whose images.
        out: gets the folders of :data:`PREDICTIONS`.
        predict: class map (H, W) of an image's file: 0 to ``exported.interface``.
        say: is given lines of progress.
    """
    for section, name in PREDICTIONS.items():
        paths, temporary = exported.images(section), out / f".{name}.{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for number, path in enumerate(paths, 1):
            Image.fromarray(predict(path).astype(np.uint8)).save(temporary / f"{path.stem}.png")
            if number % 10 == 0 or number == len(paths):
                say(f"{section}: {number}/{len(paths)} predicted")
        shutil.rmtree(out / name, ignore_errors=True)
        os.replace(temporary, out / name)


def write_about(out: Path, packages: Iterable[str], settings: Mapping[str, Any], **more: Any) -> None:
    """Write ``about.json``, which the record of an experiment takes over.

    Args:
        out: folder.
        packages: whose versions are noted.
        settings: by name.
        more: ``curves``, (epoch, value) pairs by name.
    """
    about = {"versions": {name: version(name) for name in packages}, "settings": dict(settings), **more}
    (out / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def arguments(about: str) -> argparse.ArgumentParser:
    """The options that every program here has."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("labels", type=Path, help="what python -m lazylabels_monai export wrote")
    parser.add_argument("out", type=Path, help=f"gets {' and '.join(PREDICTIONS.values())}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overwrite", action="store_true", help="replace earlier predictions in OUT")
    return parser


def main(run: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Run a program; what a user can mend ends as one sentence on standard error and exit code 1."""
    options = parser.parse_args()
    try:
        there = [options.out / name for name in PREDICTIONS.values() if (options.out / name).exists()]
        if there and not options.overwrite:
            raise BenchmarkError(f"{there[0]} is there already: name another folder, or pass --overwrite.")
        options.out.mkdir(parents=True, exist_ok=True)
        run(options)
        print(f"{time.process_time() / 60:.1f} minutes of a core")
    except (BenchmarkError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
