"""The stamp of a prediction by the bundle's configs, and the handler by which ``inferring`` leaves it beside its results."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from lazylabels_monai.bundle_folder import find_starter
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.digest import file_pixels
from lazylabels_monai.images.files import PICTURE_SUFFIXES, VOLUME_SUFFIXES
from lazylabels_monai.instances import InstanceSettings
from lazylabels_monai.option_text import quoted
from lazylabels_monai.result_files import (
    CLASSES_ENDING,
    ENDINGS,
    INSTANCES_ENDING,
    OBJECTS_ENDING,
    image_stem,
    predicted_files,
    predicted_stems,
)
from lazylabels_monai.stamps import ANSWERS, Record, Records, Stamp, described, file_digest, locked, unlock
from lazylabels_monai.trained import require_loaded

__all__ = ["RecordsHandler", "made_files", "require_same_stamp", "result_paths", "stamp_of"]


def stamp_of(
    weights: str | os.PathLike,
    network: nn.Module,
    preprocessing: Any,
    inferer: Any,
    classes: Sequence[str],
    tasks: Sequence[str],
    instance_settings: InstanceSettings | None = None,
    **written: Any,
) -> Stamp:
    """What the answers of a prediction depend on; the device and the size of batches are no part of it.

    Args:
        weights: ``model.pt``.
        network: into which they were loaded.
        preprocessing, inferer: the objects of the config.
        classes, tasks: their names.
        instance_settings: how objects are separated; None where no ids are written.
        written: what else is written beside the class map, and how.
    """
    settings = {
        "classes": list(classes),
        "tasks": list(tasks),
        "instance_settings": None if instance_settings is None else dataclasses.asdict(instance_settings),
        "network": f"{type(network).__name__} {hashlib.blake2b(repr(network).encode(), digest_size=4).hexdigest()}",
        "inferer": described(inferer),
        "preprocessing": described(preprocessing),
        **written,
    }
    return Stamp(file_digest(weights), json.loads(json.dumps(settings)), Path(weights).name, answers=ANSWERS)


def result_paths(folder: Path, image: str | os.PathLike, endings: Sequence[str] = (*ENDINGS, OBJECTS_ENDING)) -> list[Path]:
    """What lies in a folder under the names of an image's results, files and folders, whoever made it."""
    suffixes = (*PICTURE_SUFFIXES, *VOLUME_SUFFIXES, ".zarr")
    named = [(ending, suffix) for ending in endings for suffix in ((".csv",) if ending == OBJECTS_ENDING else suffixes)]
    paths = [Path(folder) / f"{image_stem(image)}{ending}{suffix}" for ending, suffix in named]
    return [path for path in paths if os.path.lexists(path)]


def made_files(records: Records, image: str | os.PathLike) -> list[Path]:
    """Those of :func:`result_paths` that a prediction made, which alone may be replaced without being asked.

    Records of earlier versions do not say so. Then all are taken for results but the table of the objects, which predictions
    in tiles alone have written: that must look like theirs.
    """
    there = result_paths(records.folder, image)
    record = records.images.get(image_stem(image))
    if record is not None and record.files:
        return [path for path in there if path.name in record.files]
    stems = [image_stem(path) for path in there]
    if record is None and f"{image_stem(image)}{CLASSES_ENDING}" not in stems:
        return []
    in_tiles = os.path.isdir(records.folder / f"{image_stem(image)}{INSTANCES_ENDING}.zarr")
    return [path for path in there if path.suffix != ".csv" or (in_tiles and _is_table(path))]


def _is_table(path: Path) -> bool:
    """Whether a file begins as :func:`~lazylabels_monai.predicting.large.table.object_table` does."""
    with path.open("rb") as file:
        return file.read(len(_TABLE)) == _TABLE


_TABLE = b"image,id,class,class_name,area_"


def require_same_stamp(
    records: Records, stamp: Stamp, replaced: Sequence[str], remedy: str, weights: str | os.PathLike | None = None
) -> None:
    """Refuse to put results beside those of another stamp.

    Args:
        records: of the folder of the results.
        stamp: of the results to come.
        replaced: names of the results in the folder that are replaced.
        remedy: end of the sentence, after "name another folder".
        weights: of the stamp, where other ones can be named by ``--weights``.

    Raises:
        LazyLabelsError: naming what differs.
    """
    staying = set(predicted_stems(records.folder)) - set(replaced)
    for other, names in records.by_stamp(staying).items():
        if other not in (None, stamp.id):
            there, choice = records.stamps[other], ""
            if weights is not None and there.weights != stamp.weights:
                known = _starter_of(there) or records.weights_of(other)
                option = f"pass --weights {quoted(_from_here(known))}" if known else "name the --weights of theirs"
                choice = f"{option} to predict as they were, "
                there = _as_called(there, records.weights_of(other))
                stamp = _as_called(stamp, weights)
            raise LazyLabelsError(
                f"'{records.folder}' holds results of {_named(names)} that were made otherwise "
                f"({there.unlike(stamp)}): {choice}name another folder{remedy}."
            )


def _starter_of(stamp: Stamp) -> Path | None:
    """The starter, where a stamp is of its weights."""
    try:
        starter = find_starter()
    except LazyLabelsError:
        return None
    return starter if file_digest(starter) == stamp.weights else None


def _as_called(stamp: Stamp, weights: str | os.PathLike | None) -> Stamp:
    """A stamp whose weights are called as people know them: the starter, or by where they lie."""
    if _starter_of(stamp) is not None:
        return dataclasses.replace(stamp, file="of the starter")
    return stamp if weights is None else dataclasses.replace(stamp, file=f"'{_from_here(weights)}'")


def _from_here(file: str | os.PathLike) -> Path:
    """A path that leads through no other folder and back, if it can be."""
    place = Path(os.path.realpath(Path(file).parent), Path(file).name)
    here = Path.cwd()
    return place.relative_to(here) if place.is_relative_to(here) else place


def _named(names: Sequence[str]) -> str:
    """Images in a sentence: how many, and the name of one."""
    return f"'{names[0]}'" if len(names) == 1 else f"{len(names)} images, '{names[0]}' among them,"


class RecordsHandler:
    """Ignite handler of ``inferring``: what made each result is written beside it.

    ``inferring`` predicts every image that it is given anew; what would stay beside the new results must be of the same stamp.

    Args:
        output_dir: folder of the results.
        made_by: gives the stamp: :func:`stamp_of` with its arguments.
        items: ``{"image": path}`` of all images.
    """

    def __init__(self, output_dir: str | os.PathLike, made_by: Callable[[], Stamp], items: Sequence[dict[str, Any]]) -> None:
        self.records, self.made_by = Records(Path(output_dir)), made_by
        self.images = [item["image"] for item in items]
        self._before: dict[Path, tuple[int, ...]] = {}
        self.stamp: Stamp | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to an evaluator."""
        engine.add_event_handler(Events.STARTED, self._started)
        engine.add_event_handler(Events.ITERATION_STARTED, self._replace)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._record)
        engine.add_event_handler(Events.COMPLETED, lambda _: self.end())

    def begin(self) -> None:
        """Write the stamp, before the evaluator runs.

        Raises:
            LazyLabelsError: when results of another stamp would stay beside the new ones, or what a person corrected would be
                replaced.
        """
        self.stamp = self.made_by()
        self.records.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.records.folder):
            stems = [image_stem(path) for path in self.images]
            try:
                require_same_stamp(self.records.refresh(), self.stamp, stems, ", or remove these results")
                self._require_uncorrected()
                self.records.add_stamp(self.stamp)
            except LazyLabelsError:
                unlock(self.records.folder)
                raise

    def _require_uncorrected(self) -> None:
        for path in self.images:
            record = self.records.images.get(image_stem(path))
            there = result_paths(self.records.folder, path, [CLASSES_ENDING, INSTANCES_ENDING])
            found = None if record is None or record.stamp is None else record.altered(there)
            if found is not None and found[1]:
                raise LazyLabelsError(
                    f"'{found[0]}' was corrected by hand and would be replaced: move it away, or name another output_dir."
                )

    def end(self) -> None:
        """Leave no file of a lock behind, however the run ended."""
        unlock(self.records.folder)

    def _started(self, engine: Engine) -> None:
        require_loaded(engine.network, "model.pt")
        if self.stamp is None:
            self.begin()

    def _replace(self, engine: Engine) -> None:
        for path in _paths(engine):
            former = made_files(self.records.refresh(), path)
            there = {file: _state(file) for file in result_paths(self.records.folder, path)}
            self._before.update({file: state for file, state in there.items() if file not in former})
            self.records.void(image_stem(path), self.stamp, [file.name for file in former])

    def _of(self, path: str) -> Record:
        return dataclasses.replace(Record.of(self.stamp, path, self.records.folder), pixels=file_pixels(path))

    def _record(self, engine: Engine) -> None:
        for path in _paths(engine):
            stem, folder = image_stem(path), self.records.folder
            made = [file for file in result_paths(folder, path) if self._before.get(file) != _state(file)]
            self.records.add(stem, self._of(path).giving(predicted_files(folder)[stem], made))


def _state(file: Path) -> tuple[int, ...]:
    """What tells a file that was written again."""
    found = file.lstat()
    return (found.st_size, found.st_mtime_ns, found.st_ino)


def _paths(engine: Engine) -> list[str]:
    """Files of the images in the batch."""
    batch = engine.state.batch
    samples = batch if isinstance(batch, list) else [batch]
    return [str(path) for sample in samples for path in _files(sample["image"])]


def _files(image: Any) -> list[str]:
    names = (getattr(image, "meta", None) or {}).get("filename_or_obj", [])
    return [names] if isinstance(names, str) else list(names)
