"""Export the objects of a folder: what the command ``export-objects`` does."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from lazylabels_monai.errors import DiskError, LazyLabelsError, explain, in_number, some, some_of
from lazylabels_monai.exporting.finding import home_of, label_maps
from lazylabels_monai.exporting.formats import FORMATS
from lazylabels_monai.exporting.formats.writer import File
from lazylabels_monai.exporting.measured import (
    find_tables,
    pixel_side,
    read_table,
    rows_of,
    stated_sides,
    told_missing,
    values_by_id,
)
from lazylabels_monai.exporting.objects import ExportError, ImageObjects, objects_of
from lazylabels_monai.exporting.written import WrittenFiles
from lazylabels_monai.images.headers import orientation
from lazylabels_monai.measure.erased import largest_hole, shares, told_bare
from lazylabels_monai.measure.finding import LabelledImage, pixel_sizes, with_images
from lazylabels_monai.measure.maps import measure_files, read_maps
from lazylabels_monai.measure.telling import believed, require_class_maps, tell_changed, tell_pieces
from lazylabels_monai.overrides import expanded
from lazylabels_monai.progress import Progress, Steps
from lazylabels_monai.stamps import Records
from lazylabels_monai.tasks import IGNORE

__all__ = ["ExportReport", "export_objects"]


@dataclass
class ExportReport:
    """What :func:`export_objects` did.

    Args:
        folder: that holds the files.
        class_names: of the classes 1, 2, ...
        files: written.
        objects: number of objects by image.
        failed: what went wrong, by image.
        kept: files that somebody has changed since they were exported, and that are left as they are.
        images_in: folder of the images; None where it is not known, or they lie in several.
    """

    folder: Path
    class_names: list[str]
    files: list[Path] = field(default_factory=list)
    objects: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    kept: list[Path] = field(default_factory=list)
    images_in: Path | None = None


def export_objects(
    source: str | os.PathLike,
    format: str,
    to: str | os.PathLike | None = None,
    *,
    images: str | os.PathLike | Mapping[str, str | Path] | None = None,
    classes: Sequence[str] | None = None,
    values: str | None = None,
    measurements: str | os.PathLike | bool = True,
    pixel_size: str | float | Mapping[str, float | None] | None = None,
    overwrite: bool = False,
    keep_changed: bool = False,
    progress: Progress | None = None,
    warn: Callable[[str], None] = lambda sentence: None,
) -> ExportReport:
    """Write the objects of label maps in the format of another program.

    Each file appears only when it is complete. A broken image is left out and named, the others are exported.

    Args:
        source: a folder that ``predict`` wrote; one with ``masks/`` (ids) and perhaps ``classes/``; one of pictures of ids; or
            a data set with exact labels. Class maps without ids are taken apart into connected components.
        format: a key of :data:`~lazylabels_monai.exporting.formats.FORMATS`.
        to: folder of the files; default: one of the format's name in ``source``.
        images: folder of the images, matched by name, or the file of each name that is meant: gives COCO the names of their
            files, the measurements their intensities and pixel sizes.
        classes: names of the classes; default those of the source.
        values: "ids" or "classes", what the pictures of a folder without further order hold.
        measurements: ``objects.csv`` of ``measure``, or its folder; True takes the one in ``source`` where it is of these
            objects, else measures anew; False takes none.
        pixel_size: of all images or of each, as for :func:`~lazylabels_monai.measure.folder.measure_folder`; then they are
            measured anew.
        overwrite: replace files of the same names that an export wrote and nobody changed since; others are left alone.
        keep_changed: those that somebody did change are left as they are; False refuses to overwrite then.
        progress: told a line for each image.
        warn: is given a sentence about what was decided for the user.

    Returns:
        what was written, and what failed.

    Raises:
        LazyLabelsError: with one sentence about what to mend, before anything is written.
    """
    source = expanded(source)
    if format not in FORMATS:
        raise ExportError(f"--format {format or '?'}: say one of {', '.join(FORMATS)}.")
    if isinstance(measurements, (str, os.PathLike)) and not FORMATS[format].measures:
        raise ExportError(f"--measurements: the format {format} holds none: leave it out, or say --format geojson.")
    found, stated, unsure = label_maps(source, values, bool(classes))
    if images is not None:
        found = with_images(found, images, Records(home_of(source)))
        tell_changed(home_of(source), found, warn)
    tell_pieces(source, found, warn)
    names = _unique(classes or stated or _numbered(found))
    require_class_maps(source, found, names)
    folder = home_of(source) / format if to is None else expanded(to)
    believed(source, found, bool(classes or stated), warn, ids=False)  # ids are looked at one by one, below
    writer = FORMATS[format](names)
    written = WrittenFiles(folder, type(writer))
    _check_target(written, writer.names([image.name for image in found]), overwrite, keep_changed)
    if format == "coco" and (lost := sum(image.image is None for image in found)):
        warn(f"the files of {lost} images are not known and are called <image>.png: name their folder with --images.")
    if turned := _turned(found, Records(home_of(source))) if writer.unturned else []:
        warn(
            f"an orientation tag turns {some(turned)} upright here, but not in {writer.unturned}, where the objects lie "
            "elsewhere: open an upright copy of each image there (magick IMAGE -auto-orient COPY.tif makes one)."
        )
    others = sorted(set(written.names) - set(writer.names([image.name for image in found])))
    if overwrite and not keep_changed and others:
        sentence = (
            "'{folder}' also holds {names} of an earlier export, of [an image that is|images that are] not exported now, which "
            "datalist takes as well: remove [it if it is|them if they are] not to count."
        )
        warn(in_number(len(others), sentence, folder=folder, names=some_of(others, 1)))
    named = isinstance(measurements, (str, os.PathLike))
    for table in [expanded(measurements)] if named else find_tables(home_of(source)):
        if sentence := told_missing(table, [image.name for image in found]):
            warn(sentence)
    measure = None
    if writer.measures and measurements is not False:
        measure = _Measurements(source, measurements, found, pixel_size, names, warn)

    homes = {os.path.realpath(Path(file).parent) for file in _files(found, Records(home_of(source)))}
    report = ExportReport(folder, names, images_in=Path(*homes) if len(homes) == 1 else None)
    records, predicted = Records(home_of(source)), []
    steps, bare = Steps(len(found), progress), {}
    hole = max(map(largest_hole, [None, *records.stamps.values()]))
    folder.mkdir(parents=True, exist_ok=True)
    for image in found:
        try:
            maps = read_maps(image)
            objects = objects_of(image.name, _file_name(image), maps["instances"], maps["classes"], names)
            unchanged = records.unchanged(image.name, filter(None, (image.instances, image.classes))) or image.predicted
            own = [objects.file_name] * unchanged
            if maps["instances"] is not None and maps["classes"] is not None:
                bare[image.name] = shares(maps["instances"], maps["classes"], None, hole).bare
            if unsure and maps["instances"] is not None:
                _check_pieces(objects, image)
            if measure is not None:
                objects = measure.added(objects, image, maps)
            _write(written, writer.image(objects), own, report)
            predicted += own
            report.objects[image.name] = len(objects.classes)
        except DiskError:  # so it is for all that follow
            raise
        except Exception as error:  # one bad image must not cost the others
            report.failed[image.name] = explain(error)
        else:
            if objects.classless:
                warn(
                    f"image '{image.name}': objects {', '.join(map(str, objects.classless[:3]))} ({len(objects.classless)} in "
                    "all) have no pixel of a class in the class map and are left out: give them their class there."
                )
        steps.step(image.name)
    if sentence := told_bare(bare, {image.name: image.instances for image in found}, len(found)):
        warn(sentence)
    if report.objects:
        _write(written, writer.end(), predicted, report)
    return report


def _turned(found: Sequence[LabelledImage], records: Records) -> list[str]:
    """Names of images that are turned upright when they are read."""
    return [Path(file).name for file in _files(found, records) if orientation(file) != 1]


def _files(found: Sequence[LabelledImage], records: Records) -> list[str]:
    """The files of the images as far as they are known; of results without images those that were predicted."""
    files = {image.name: image.image for image in found}
    for name, record in records.images.items():
        if name in files and files[name] is None and record.image:
            files[name] = str(records.folder / record.image)
    return [str(file) for file in files.values() if file is not None]


def _check_target(written: WrittenFiles, names: Sequence[str], overwrite: bool, keep_changed: bool) -> None:
    folder = written.folder
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"'{folder}' is a file: name a folder for the exported files.")
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise ExportError(f"'{folder}' holds {there[0]} already: name another folder with --to, or pass --overwrite.")
    changed = [] if keep_changed else [name for name in there if written.changed(name)]
    if changed:
        sentence = (
            "{names} [was|there were] changed in another program since the export and would be replaced: move [it|them] away, "
            "or name another folder with --to."
        )
        raise ExportError(in_number(len(changed), sentence, names=some([str(folder / name) for name in changed], 1)))


def _write(written: WrittenFiles, files: Iterable[File], predicted: Sequence[str], report: ExportReport) -> None:
    for name, content in files:
        if written.changed(name):
            report.kept.append(written.folder / name)
        else:
            written.write(name, content, predicted)
            report.files.append(written.folder / name)


def _file_name(image: LabelledImage) -> str:
    return Path(image.image).name if image.image is not None else f"{image.name}.png"


def _unique(names: Sequence[str]) -> list[str]:
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise ExportError(f"two classes are called '{repeated[0]}': give each a name of its own with --classes.")
    return list(names)


def _numbered(found: Sequence[LabelledImage]) -> list[str]:
    """Names for as many classes as the maps hold, as ``datalist`` gives them."""
    top = 1
    for image in found:
        if image.classes is not None:
            try:
                classes = read_maps(replace(image, instances=None, image=None, probability=None, uncertainty=None))["classes"]
            except LazyLabelsError:
                continue  # it is reported when its turn comes
            top = max(top, int(classes[classes != IGNORE].max(initial=0)))
    return ["object"] if top == 1 else [f"object{k}" for k in range(1, top + 1)]


def _check_pieces(objects: ImageObjects, image: LabelledImage) -> None:
    """Refuse pictures whose values hardly are ids: classes, a binary mask, a picture of gray values.

    Raises:
        ExportError: when most of the objects are in several pieces.
    """
    pieces = [len(objects.outlines[id]) for id in objects.classes]
    several = sum(count > 1 for count in pieces)
    if 2 * several > len(pieces):
        raise ExportError(
            f"'{image.instances}' has {sum(pieces)} pieces of {len(pieces)} values, {several} of them in several pieces, so "
            "that they hardly are ids of objects: if they are classes, say --values classes (or name the folder classes/), if "
            "they are ids all the same, --values ids."
        )


#: How far two sizes of a pixel may be off each other, as a part of one, and count as the same.
_SAME_SIZE = 0.01


class _Measurements:
    """Adds measurements to objects: from a table, or by measuring."""

    def __init__(
        self,
        source: Path,
        given: str | os.PathLike | Literal[True],
        found: Sequence[LabelledImage],
        pixel_size: str | float | Mapping[str, float | None] | None,
        names: Sequence[str],
        warn: Callable[[str], None],
    ) -> None:
        self.warn, self.names = warn, names
        self.path: Path | None = None
        self.asked = isinstance(given, (str, os.PathLike))
        self.table: pd.DataFrame | None = None
        self.sides: list[float] = []
        self.told: set[str] = set()
        if self.asked:
            self.path = expanded(given)
        elif pixel_size is None:
            tables = find_tables(home_of(source))
            self.path = tables[0] if len(tables) == 1 else None
            if len(tables) > 1:
                warn(
                    f"'{home_of(source)}' holds {len(tables)} tables of measurements ('{tables[0]}' and '{tables[1]}'"
                    f"{', ...' if len(tables) > 2 else ''}), so the objects are measured anew: name one by --measurements."
                )
        if self.path is not None:
            self.sides = stated_sides(self.path)
            try:
                self.table = read_table(self.path)
            except LazyLabelsError as error:
                if self.asked:
                    raise
                size = f" (pass --pixel-size {self.sides[0]:g}um if that is theirs)" if len(self.sides) == 1 else ""
                warn(f"{str(error).rstrip('.')}; meanwhile the objects are measured anew{size}.")
        self.sizes = pixel_sizes(found, pixel_size, warn)

    def added(self, objects: ImageObjects, files: LabelledImage, maps: dict[str, np.ndarray | None]) -> ImageObjects:
        """The objects with their measurements.

        Raises:
            ExportError: when the table that the user named is of other objects.
        """
        if self.table is not None:
            rows = rows_of(self.table, objects, self.sides)
            if rows is not None and self._takes(rows, objects, files):
                return replace(objects, measurements=values_by_id(rows))
            if rows is None:
                sentence = f"'{self.path}' is of other objects than image '{objects.name}' has"
                if self.asked:
                    raise ExportError(f"{sentence}: measure them again, or leave --measurements out.")
                self.warn(f"{sentence}, so they are measured anew.")
        maps, size = {**maps, "instances": objects.ids}, self.sizes[objects.name]
        if size is None and self.table is not None and rows is not None and len(rows):
            size = pixel_side(rows, objects)  # what was typed when it was measured; the files state none
        rows = measure_files(files, maps, size, class_names=self.names).objects
        return replace(objects, measurements=values_by_id(rows))

    def _takes(self, rows: pd.DataFrame, objects: ImageObjects, files: LabelledImage) -> bool:
        """Whether the rows are what measuring now would give, by pixel size and image; else it is said, once a kind.

        A table that the user named is taken all the same.
        """
        if not len(rows):
            return True
        side, stated, kind = pixel_side(rows, objects), self.sizes[objects.name], None
        if stated is not None and (side is None or not math.isclose(side, stated, rel_tol=_SAME_SIZE)):
            unit = "in pixels" if side is None else f"with pixels of {side:g} um"
            kind, said = "size", f"is measured {unit}, while those of image '{objects.name}' have {stated:g} um"
        elif files.image is not None and "mean_intensity" not in rows:
            kind, said = "image", f"was measured without the images, such as '{files.image}'"
        if kind is not None and kind not in self.told:
            self.told.add(kind)
            what = (
                "and is taken, as you named it" if self.asked else "so the objects are measured anew (--measurements takes it)"
            )
            self.warn(f"'{self.path}' {said}, {what}.")
        return kind is None or self.asked
