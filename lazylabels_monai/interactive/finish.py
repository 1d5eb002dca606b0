"""What a person is done with leaves the project: maps as ``lazylabels predict`` writes them, which all other commands take.

So a folder of results is measured by ``measure``, shown by ``report`` and exported by ``export-objects``, and their functions
are what is called here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.atomic import whole_file, written_to
from lazylabels_monai.errors import LazyLabelsError, in_number, some
from lazylabels_monai.exporting.folder import ExportReport, export_objects
from lazylabels_monai.exporting.formats import FORMATS
from lazylabels_monai.exporting.written import WrittenFiles
from lazylabels_monai.images.files import read_label
from lazylabels_monai.images.headers import extent
from lazylabels_monai.images.pictures import label_palette
from lazylabels_monai.images.pixel_size import PixelSizeError, parse_pixel_size
from lazylabels_monai.interactive import volumes
from lazylabels_monai.interactive.image_records import ImageEntry
from lazylabels_monai.interactive.label_files import REPLACED, keep_copy
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.interactive.project_files import mask_files
from lazylabels_monai.interactive.reporting import measured_page
from lazylabels_monai.interactive.sizes import class_map, pixel_size_of
from lazylabels_monai.measure.finding import find_labels
from lazylabels_monai.progress import silent
from lazylabels_monai.result_files import INSTANCES_ENDING, image_stem
from lazylabels_monai.trained import write_classes

__all__ = ["belong_together", "export", "has_masks", "read_masks", "remove_masks", "report", "write_masks"]

#: Images that a sentence names before it counts the rest.
_NAMED = 5
#: How sentences about exported files of other pictures begin.
_OF_OTHERS = "{names} in '{folder}' [is of a picture that is|are of pictures that are] not exported any more"


def write_masks(
    out: str | os.PathLike,
    name: str,
    objects: np.ndarray,
    classes: np.ndarray | Mapping[int, int],
    class_names: Sequence[str],
    image: Path | None = None,
    keep: Callable[[], object] | None = None,
) -> tuple[Path, Path]:
    """Write the objects of an image: ``<name>_pred.png``, classes, and ``<name>_instances.tif``, ids; of a volume ``.nii.gz``.

    Maps of the same image that are there are replaced. A stop leaves those of before, the new ones or the classes alone, which
    count as none (:func:`has_masks`); never one of before beside a new one.

    Args:
        out: folder, made where missing.
        name: of the image's file.
        objects: (H, W) ids.
        classes: class by id; see :func:`~lazylabels_monai.interactive.sizes.class_map`.
        class_names: of the classes 1, 2, ...
        image: its file, whose place in space a volume's maps take.
        keep: saves the objects for the next time, from where maps that a stop left out are written again; called when the disk
            has taken the new maps, and those of before are there still.

    Returns:
        both files.

    Raises:
        LazyLabelsError: when the disk refuses them.
    """
    out = Path(out)
    files = mask_files(out, name)
    contents = _contents(name, class_map(objects, classes), _narrow(np.asarray(objects)), image)
    with written_to(out):
        out.mkdir(parents=True, exist_ok=True)
        write_classes(out, class_names)
        with ExitStack() as stack:
            for file, content in reversed(list(zip(files, contents, strict=True))):  # what is entered first appears last
                stream = stack.enter_context(whole_file(file))
                stream.write(content)
                stream.flush()  # a full disk is noticed before anything has changed
            if keep is not None:
                keep()
            files[1].unlink(missing_ok=True)
    return files


def _contents(name: str, shown: np.ndarray, ids: np.ndarray, image: Path | None) -> tuple[bytes, bytes]:
    """Of the files of classes and ids."""
    if volumes.is_volume(name):
        return volumes.packed(shown, image, "lazylabels-monai"), volumes.packed(ids, image, "lazylabels-monai")
    picture = Image.fromarray(shown)
    picture.putpalette(label_palette().tobytes())
    files = BytesIO(), BytesIO()
    picture.save(files[0], "PNG")
    tifffile.imwrite(files[1], ids)
    return files[0].getvalue(), files[1].getvalue()


def read_masks(out: str | os.PathLike, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """What :func:`write_masks` wrote of an image; None where it did not.

    Args:
        out: folder of the maps.
        name: of the image's file.
        shape: (H, W) of the image, (Z, Y, X) of a volume.

    Returns:
        ids (H, W) int32 and class by id.

    Raises:
        LazyLabelsError: when they cannot be read, or are of another size.
    """
    files = mask_files(Path(out), name)
    if not has_masks(out, name):
        return None
    shown, ids = (np.asarray(read_label(file)) for file in files)
    if volumes.is_volume(name):
        shown, ids = volumes.as_shown(shown), volumes.as_shown(ids)
    for file, values in zip(files, (shown, ids), strict=True):
        if values.shape != tuple(shape):
            raise LazyLabelsError(
                f"'{file}' is of {values.shape} pixels and its image of {tuple(shape)}: remove it, and finish the image again."
            )
    ids = ids.astype(np.int32)
    classes = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
    np.maximum.at(classes, ids.ravel(), shown.ravel().astype(np.int64))
    classes[0] = 0
    return ids, classes


def has_masks(out: str | os.PathLike, name: str) -> bool:
    """Whether both maps of an image are there; one alone is what a stop left.

    Args:
        out: folder of the maps.
        name: of the image's file.
    """
    return all(file.is_file() for file in mask_files(Path(out), name))


def belong_together(ids: np.ndarray, classes: np.ndarray) -> bool:
    """Whether each object has a class: a stop of an earlier version could leave the ids of before beside new classes.

    Args:
        ids: as :func:`read_masks` reads them.
        classes: by id.
    """
    there = np.bincount(ids.ravel(), minlength=len(classes)) > 0
    return not (there[1:] & (classes[1:] == 0)).any()


def remove_masks(out: str | os.PathLike, name: str) -> None:
    """Take the maps of an image that is not finished after all out of the results.

    Args:
        out: folder of the maps.
        name: of the image's file.

    Raises:
        LazyLabelsError: when the disk refuses it.
    """
    with written_to(out):
        for file in mask_files(Path(out), name):
            file.unlink(missing_ok=True)


def _narrow(ids: np.ndarray) -> np.ndarray:
    return ids.astype(np.uint16 if ids.max(initial=0) < 1 << 16 else np.uint32)


def export(
    out: str | os.PathLike,
    format: str,
    project: Project,
    pixel_size: str | float | None = None,
    warn: Callable[[str], None] = silent,
) -> ExportReport:
    """Export the maps of :func:`write_masks` by ``lazylabels export-objects``, in the format of another program.

    Args:
        out: folder of the maps; the files go into a folder of the format's name in it.
        format: ``"roi"``, ``"geojson"`` or ``"coco"``.
        project: gives the names of the images and of the classes, and the pixel sizes that are stated.
        pixel_size: as for :func:`report`.
        warn: is told what is not as one may think.

    Raises:
        LazyLabelsError: as of the command, and when there is no map.
    """
    out = Path(out)
    try:
        results = _results(out, project, warn)
    except LazyLabelsError:
        _put_others_away(project, out / format, format, [], warn)
        raise
    # the other formats hold no sizes
    sizes = _sizes(project, results, pixel_size, warn) if FORMATS[format].measures else dict.fromkeys(results)
    unknown = [results[name].name for name, size in sizes.items() if size is None]
    if unknown and FORMATS[format].measures:
        warn(
            f"of {len(unknown)} of {len(sizes)} pictures no pixel size is known ('{unknown[0]}' is one), so that sizes are in "
            "pixels there: type it on the tab Sizes, and export again."
        )
    images = {name: results[name].path for name in sizes}
    options = {"images": images, "pixel_size": sizes, "classes": project.classes}
    found = export_objects(out, format, **options, overwrite=True, keep_changed=True, warn=warn)
    for name, why in found.failed.items():
        warn(f"'{name}' is not exported: {why}")
    if found.kept:
        sentence = (
            "{names} in '{folder}' [was|were] changed in another program since the export and "
            "[stays as it is|stay as they are]: move [it|them] away and export again to have the objects of this window there."
        )
        names = _listed([file.name for file in found.kept])
        warn(in_number(len(found.kept), sentence, names=names, folder=found.folder))
    _put_others_away(project, found.folder, format, list(results), warn)
    return found


def _put_others_away(project: Project, folder: Path, format: str, names: Sequence[str], warn: Callable[[str], None]) -> None:
    """Move files of earlier exports that are of other pictures to ``replaced/``, as whoever reads the folder would take them;
    those that somebody changed stay, and are named.

    Args:
        project: where they go, and whose pictures those are.
        folder: of the exported files.
        format: of these.
        names: of the pictures that are exported now.
        warn: is told of both.
    """
    writer = FORMATS[format](())
    written, known = WrittenFiles(folder, type(writer)), [image_stem(project.files.result_name(e.name)) for e in project.images]
    of_project = [name for name in writer.names(known) if (folder / name).is_file()]  # an earlier version has no records
    others = sorted({*written.names, *of_project} - set(writer.names(names) if names else ()))
    changed = [name for name in others if written.changed(name)]
    moved, away = [name for name in others if name not in changed], project.folder / REPLACED / format
    for name in moved:
        keep_copy(folder / name, away)
        with written_to(folder):
            (folder / name).unlink()
    if changed:
        sentence = (
            f"{_OF_OTHERS}, but [was|were] changed in another program since, and [stays|stay], so that datalist takes "
            "[it|them]: move [it|them] away if [it is|they are] not to count."
        )
        warn(in_number(len(changed), sentence, names=_listed(changed), folder=folder))
    if moved:
        sentence = (
            f"{_OF_OTHERS} and [was|were] moved to '{{away}}': finish the [picture|pictures] and export again to have "
            "[it|them] there."
        )
        warn(in_number(len(moved), sentence, names=_listed(moved), folder=folder, away=away))


def report(
    out: str | os.PathLike,
    project: Project,
    pixel_size: str | float | None = None,
    warn: Callable[[str], None] = silent,
) -> Path:
    """Measure the maps of :func:`write_masks` by ``lazylabels measure``, and write the page of ``lazylabels report``.

    Args:
        out: folder of the maps.
        project: gives the images, and the pixel sizes that are stated.
        pixel_size: micrometres, or text such as "120 nm", of the pixels of the images of which nothing is stated.
        warn: is told what is not as one may think.

    Returns:
        the page.

    Raises:
        LazyLabelsError: as of the commands, and when there is no map.
    """
    out = Path(out)
    results = _results(out, project, warn)
    sizes = _sizes(project, results, pixel_size, warn)  # others may be of two sizes
    images = {name: results[name].path for name in sizes}  # two may have one name but for its ending
    return measured_page(out, project.folder / REPLACED, images, sizes, project.classes, warn)


def _sizes(
    project: Project, results: Mapping[str, ImageEntry], pixel_size: str | float | None, warn: Callable[[str], None]
) -> dict[str, float | None]:
    """Of the pictures that can be measured; the others, such as one whose pixels are not square, are told of.

    Raises:
        PixelSizeError: when there is none, or for a typed size that is none.
    """
    typed = None if pixel_size is None else parse_pixel_size(pixel_size)
    sizes: dict[str, float | None] = {}
    wrong: dict[str, PixelSizeError] = {}
    for name, entry in results.items():
        try:
            sizes[name] = pixel_size_of(project, entry, typed)
        except PixelSizeError as error:
            wrong[name] = error
    if wrong and not sizes:
        raise next(iter(wrong.values()))
    if wrong:
        sentence = "the finished [picture|pictures] {names} cannot be measured and [is|are] left out: {why}"
        names = _listed([results[name].name for name in wrong])
        warn(in_number(len(wrong), sentence, names=names, why=next(iter(wrong.values()))))
    return sizes


def _results(out: Path, project: Project, warn: Callable[[str], None]) -> dict[str, ImageEntry]:
    """The finished images that have maps, by what these are called; what is left out is told of: finished images without maps,
    or with two that do not belong together, and maps of images that are not finished or are gone.

    Raises:
        LazyLabelsError: when there is none.
    """
    names = {project.files.result_name(entry.name): entry for entry in project.images if entry.path.is_file()}
    finished = {name: entry for name, entry in names.items() if entry.finished}
    torn = [name for name in finished if has_masks(out, name) and _are_torn(out, name)]
    found = {image_stem(name): entry for name, entry in finished.items() if has_masks(out, name) and name not in torn}
    told = [
        _awaited(out, [entry.name for name, entry in finished.items() if not has_masks(out, name)]),
        _torn(out, [finished[name].name for name in torn]),
        _unfinished(out, {name: entry.name for name, entry in names.items() if name not in finished}),
    ]
    if any(out.glob(f"*{INSTANCES_ENDING}.tif")):
        known = {image_stem(name) for name in names}
        told.append(_gone(out, sorted(image.name for image in find_labels(out)[0] if image.name not in known), bool(found)))
    told = [sentence for sentence in told if sentence]
    if not found:
        raise LazyLabelsError(told[0] if told else f"'{out}' holds no result yet: finish an image first.")
    for sentence in told:
        warn(sentence)
    return found


def _are_torn(out: Path, name: str) -> bool:
    """Whether two maps do not belong together; what else is wrong with them is told of where they are measured."""
    if volumes.is_volume(name):
        return False
    shape = extent(mask_files(out, name)[1])
    try:
        masks = None if shape is None else read_masks(out, name, shape)
    except LazyLabelsError:
        return False
    return masks is not None and not belong_together(*masks)


def _torn(out: Path, names: Sequence[str]) -> str:
    """A sentence about finished images of whose masks a stop left one of before; empty where there is none."""
    if not names:
        return ""
    sentence = (
        "the masks of the finished [picture|pictures] {names} in '{out}' do not belong together, as after a stop, and are left "
        "out: show [it|each picture], take its tick of finished away, and set it again."
    )
    return in_number(len(names), sentence, names=_listed(names), out=out)


def _unfinished(out: Path, names: Mapping[str, str]) -> str:
    """A sentence about images that have masks and are not finished (their names by those of their results); empty where there
    is none."""
    there = [name for name in names if any(file.is_file() for file in mask_files(out, name))]
    if not there:
        return ""
    maps = " and ".join(file.name for file in mask_files(out, there[0]))
    sentence = (
        "the [picture|pictures] {names} [has|have] masks in '{out}' and [is|are] left out, as [it is|they are] not finished: "
        "tick finished where [it is|they are] right, or remove {maps}[| and so on] from there."
    )
    return in_number(len(there), sentence, names=_listed([names[name] for name in there]), out=out, maps=maps)


def _gone(out: Path, names: Sequence[str], others: bool) -> str:
    """A sentence about masks whose images are gone; empty where there is none."""
    if not names:
        return ""
    maps = " and ".join(file.name for file in mask_files(out, f"{names[0]}.png"))
    sentence = (
        "the finished picture {names} [is|are] not in the folder any more and {rest}: put [its file|their files] back, or "
        "remove {maps}[| and so on] from '{out}'."
    )
    rest = "left out" if others else "there is no other"
    return in_number(len(names), sentence, names=some(names, 1), rest=rest, maps=maps, out=out)


def _awaited(out: Path, names: Sequence[str]) -> str:
    """A sentence about finished images whose masks are not there; empty where there is none."""
    if not names:
        return ""
    sentence = (
        "the finished [picture|pictures] {names} [has|have] no masks in '{out}' yet and [is|are] left out: show "
        "[it|each of them], and wait until [its|their] masks are written."
    )
    return in_number(len(names), sentence, names=_listed(names), out=out)


def _listed(names: Sequence[str]) -> str:
    return some(names, _NAMED)
