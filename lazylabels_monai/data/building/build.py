"""From folders of images and what people drew on them to a data set: label maps and ``datalist.json``."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from lazylabels_monai.atomic import filled
from lazylabels_monai.data.building.belonging import Source
from lazylabels_monai.data.building.earlier import (
    GONE,
    NO_SPLITS,
    EarlierSplits,
    earlier_classes,
    earlier_splits,
    kept_order,
    made_before,
)
from lazylabels_monai.data.building.given import GivenDataset, GivenPainter, given_dataset
from lazylabels_monai.data.building.layouts import find_legend
from lazylabels_monai.data.building.looking import look_at_marks, look_at_orientations, look_at_pictures
from lazylabels_monai.data.building.naming import settle_names
from lazylabels_monai.data.building.options import MOST_UNNAMED, BuildError, BuildOptions, Vocabulary, are_gray
from lazylabels_monai.data.building.painting import ImageLabels, Painter
from lazylabels_monai.data.building.predicted import mark_unchanged, names_beside, names_by_folder, notes_on_other_images
from lazylabels_monai.data.building.sources import find_sources
from lazylabels_monai.data.building.splits import ImageToPlace, draw_sections, notes_on_splits, same_pixels_apart
from lazylabels_monai.data.building.summary import BuildSummary, MadeImage, notes_on, readings
from lazylabels_monai.data.carrying import carry_on
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    HAND_KEYS,
    PREDICTED,
    SECTIONS,
    DatalistError,
    datalist_file,
    mask_digest,
)
from lazylabels_monai.data.replacing import WRITTEN, check_target, digests_of
from lazylabels_monai.errors import LazyLabelsError, some
from lazylabels_monai.images.digest import pixel_digest
from lazylabels_monai.images.files import read_image_and_dims
from lazylabels_monai.labels.annotations import Annotation, Mark
from lazylabels_monai.labels.formats import read_label_picture, read_legend
from lazylabels_monai.option_text import quoted
from lazylabels_monai.overrides import expanded
from lazylabels_monai.progress import Progress, Steps
from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS

__all__ = ["build_datalist"]


def build_datalist(
    src: str | os.PathLike,
    out: str | os.PathLike,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuildSummary:
    """Make a data set from a folder of images and label files; the folder appears only when it is complete.

    Args:
        src: folder of images, or with ``images/`` beside folders of labels, or with ``train/``, ``val/``, ``test/`` of those.
        out: folder to make.
        options: how labels are named and what they mean.
        progress: told a line for each image.

    Raises:
        LazyLabelsError: for what a user can mend; :class:`~lazylabels_monai.data.datalist.DatalistError` with a sentence for
            each image where several are wrong.
    """
    src, out, options = expanded(src), expanded(out), options or BuildOptions()
    check_target(out, options.overwrite)
    given = given_dataset(src)
    earlier = earlier_splits(out, options.keep_splits, options.overwrite, src if given is not None else None)
    if given is not None and options.classes is None:
        options = replace(options, classes=given.classes)
    sources, notes = find_sources(src, options, given)
    if earlier is None and options.keep_splits is None and (before := made_before(out, src)):
        where = os.path.relpath(before)
        notes.append(f"'{where}' was made of the same folder: --keep-splits {quoted(where)} keeps its images in their splits.")
    _keep_out(out, sources)
    options = replace(options, legend=options.legend or find_legend(src))
    notes += notes_on_other_images(sources) + look_at_orientations(sources)
    notes += look_at_pictures(sources, options) + settle_names(sources, options)
    legend = read_legend(Path(options.legend)) if options.legend is not None else {}
    classes, notes_on_classes = _classes(sources, options, list(legend.values()), earlier_classes(out, options.overwrite))
    beside, notes_on_values = names_by_folder(_class_pictures(sources, options), classes)
    notes += notes_on_classes + notes_on_values
    vocabulary = Vocabulary(options, classes, list(dict.fromkeys(legend.values())), beside)
    colours = {colour: Vocabulary.LEGEND + vocabulary.legend.index(name) for colour, name in legend.items()}
    meanings = _meanings(sources, vocabulary)
    mark_unchanged(sources, vocabulary, meanings)
    painter = Painter(
        options,
        vocabulary,
        {m for m in meanings.values() if isinstance(m, str)},
        lambda path, kind: (
            read_label_picture(path) if kind == "masks" else read_label_picture(path, colours or None, ignore=IGNORE)
        ),
    )
    labels_of = _labeller(painter, given)
    target = filled(out.absolute(), options.overwrite, partial(check_target, out, options.overwrite))
    with nullcontext() if options.dry_run else target as folder:
        made = _make_all(sources, labels_of, folder, out.absolute(), options, progress)
        notes += look_at_marks(made, options) + (given.notes() if given is not None else [])
        datalist, split_notes = _datalist(made, classes, options, src, out, folder, earlier)
        if folder is not None:
            text = json.dumps({**datalist, WRITTEN: digests_of(folder)}, indent=2, ensure_ascii=False)
            (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")
    return BuildSummary(
        out,
        datalist,
        _readings_of(given) + readings(sources, vocabulary, meanings, painter.marked),
        notes + split_notes + notes_on(made, datalist),
        colour=all(m.channels == 3 for m in made),
        written=not options.dry_run,
    )


Labeller = Callable[[Source, tuple[int, ...], str], ImageLabels]


def _labeller(painter: Painter, given: GivenDataset | None) -> Labeller:
    """What gives the label maps of an image of some shape and digest."""
    over = None if given is None else GivenPainter(given, painter)

    def labels(source: Source, shape: tuple[int, ...], digest: str) -> ImageLabels:
        if over is None or not source.given:
            return painter.labels(source, shape)
        return over.labels(source, shape, digest)

    return labels


def _readings_of(given: GivenDataset | None) -> list[str]:
    if given is None:
        return []
    labelled = sum(bool(item.labels) for item in given.items)
    return [f"labels and splits of {len(given.items)} images ({labelled} labelled) as '{given.file}' has them"]


def _keep_out(out: Path, sources: Sequence[Source]) -> None:
    """The folder to make must not hold what it is made from: --overwrite would delete it."""
    target = out.absolute().resolve()
    for source in sources:
        files = [source.path, *source.given.values(), *source.pictures.values(), *(a.source for _, a in source.annotations)]
        for path in files:
            if target in path.absolute().resolve().parents:
                raise BuildError(f"'{out}' holds '{path}', which the data set is made from: name another folder.")


def _marks(sources: Sequence[Source]) -> list[tuple[str, Annotation, Mark]]:
    """All that was drawn, with its kind and where it comes from."""
    return [(kind, a, mark) for source in sources for kind, a in source.annotations for mark in a.marks]


def _class_pictures(sources: Sequence[Source], options: BuildOptions) -> list[Path]:
    """Pictures of class values that the user gave no names."""
    unnamed = [kind for kind in ("segmentation", "detection") if not Vocabulary(options, ()).names_values(kind)]
    return [source.pictures[kind] for source in sources for kind in unnamed if kind in source.pictures]


def _classes(
    sources: Sequence[Source], options: BuildOptions, legend: Sequence[str], before: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Names of the object classes, and what to say about them: those that the user gave, else those that the labels name, in
    the order of the data set that is replaced."""
    if options.classes is not None:
        return [name.strip() for name in options.classes], []
    found, are_named = _found_classes(sources, options, legend, before)
    classes = kept_order(found, before, are_named) if before else found
    if classes == found and not (before and set(before) - set(found)):
        return classes, []
    lost = [name for name in before if name not in classes]
    gone = f"; {', '.join(lost)} of before occur no more, and --classes keeps them" if lost else ""
    return classes, [
        f"the classes 1, 2, ... are {', '.join(classes)}, in the order of the data set that is replaced{gone}; --classes names "
        "others."
    ]


def _found_classes(
    sources: Sequence[Source], options: BuildOptions, legend: Sequence[str], before: Sequence[str]
) -> tuple[list[str], bool]:
    """Names of the classes that the labels hold, sorted; and whether anybody named them."""
    named = {name: Vocabulary.renamed(options, "segmentation", name) or name for name in legend}
    found = set(named.values())
    for kind, _, mark in _marks(sources):
        found.add(Vocabulary.renamed(options, kind, mark.name) or mark.name)
    for table in options.names.values():
        found |= {new for old, new in table.items() if old.isdigit()}
    found = {name for name in found if name and Vocabulary.reserved(options, name) is None}
    if found:
        unique = {name.lower(): name for name in sorted(found, reverse=True)}
        return sorted(unique.values(), key=str.lower), True
    pictures = [s.pictures[k] for s in sources for k in ("segmentation", "detection") if k in s.pictures]
    beside = names_beside(pictures)
    return (beside, True) if beside else (_numbered_classes(pictures, len(before)), False)


def _numbered_classes(pictures: Sequence[Path], known: int = 0) -> list[str]:
    """Names for the values of class pictures that nobody named.

    Args:
        pictures: the class pictures.
        known: how many classes there were before.
    """
    seen: set[int] = set()
    for path in pictures:
        seen |= set(np.unique(read_label_picture(path, ignore=IGNORE)).tolist()) - {BACKGROUND, -1}
        if len(seen - {IGNORE}) > MOST_UNNAMED:
            break
    is_white_there = IGNORE in seen
    seen -= {IGNORE}
    if seen and max(seen) <= known:
        return [f"object{value}" for value in range(1, max(seen) + 1)]
    gaps = bool(seen) and max(seen) != len(seen)
    if gaps or len(seen) > MOST_UNNAMED:
        asked = is_white_there and are_gray(seen)
        values = sorted(seen)[:4] + [IGNORE] * asked
        white = f" ({IGNORE}=ignore if {IGNORE} is not labelled)" if asked else ""
        raise BuildError(
            f"'{pictures[0].parent}' has the values {', '.join(map(str, values))} ... in its class pictures: if they "
            "are object ids, pass it as --labels masks=FOLDER (or name it masks/), otherwise say what each value is, as "
            f"in --names {','.join(f'{value}=NAME' for value in (values if asked else values[:1]))}{white}."
        )
    return ["object"] if len(seen) < 2 else [f"object{value}" for value in sorted(seen)]


def _meanings(sources: Sequence[Source], vocabulary: Vocabulary) -> dict[tuple[str, str], int | str]:
    """Meaning of each name that was drawn, by kind and name.

    Raises:
        BuildError: for a name without a meaning, or areas that nobody called exact or rough; before hours of work are done.
    """
    found: dict[tuple[str, str], int | str] = {}
    marks = _marks(sources)
    names = sorted({mark.name for _, _, mark in marks if mark.name})
    for kind, annotation, mark in marks:
        if (kind, mark.name) not in found:
            try:
                found[kind, mark.name] = vocabulary.of_mark(kind, mark, annotation.source)
            except BuildError as error:
                raise BuildError(f"{str(error).rstrip('.')}; the names drawn are {', '.join(names) or 'none'}.") from None
        if mark.kind == "area" and isinstance(found[kind, mark.name], int):
            vocabulary.exact(kind, mark, annotation.source)
    return found


def _make_all(
    sources: Sequence[Source],
    labels_of: Labeller,
    folder: Path | None,
    out: Path,
    options: BuildOptions,
    progress: Progress | None,
) -> list[MadeImage]:
    made, errors = [], []
    steps = Steps(len(sources), progress)
    for source in sources:
        try:
            made.append(_make(source, labels_of, folder, out, options))
        except LazyLabelsError as error:
            errors.append(str(error))
        steps.step(source.path.name)
    if errors:
        raise DatalistError(list(dict.fromkeys(errors)))
    return made


def _make(source: Source, labels_of: Labeller, folder: Path | None, out: Path, options: BuildOptions) -> MadeImage:
    image, dims = read_image_and_dims(source.path)
    digest = pixel_digest(image)
    labels = labels_of(source, image.shape[:dims], digest)
    entry: dict[str, Any] = {"image": f"images/{source.name}{source.path.suffix.lower()}"}
    entry |= {key: source.item[key] for key in HAND_KEYS if key in source.item}
    if options.link:
        entry["image"] = Path(os.path.relpath(source.path.resolve(), out.resolve())).as_posix()
    elif folder is not None:
        (folder / "images").mkdir(exist_ok=True)
        shutil.copyfile(source.path, folder / str(entry["image"]))
    maps = dict(labels.maps)
    if labels.instances is not None:
        maps["instances"] = labels.instances
    for key in (*TASKS, "instances"):
        if key in maps:
            entry[key] = _write_label(folder, key, source.name, maps[key])
    if "segmentation" in labels.maps and not labels.has_objects and source.item.get("empty", not source.given):
        entry["empty"] = True
    return MadeImage(
        source,
        entry,
        digest,
        _rank(labels),
        int(np.prod(image.shape[dims:])),
        labels.background,
        labels.outside,
        labels.hidden,
        labels.filled,
        labels.loose,
        labels.mixed,
        labels.drawn,
        labels.pieces,
        labels.twice,
    )


def _rank(labels: ImageLabels) -> int:
    if not labels.has_objects:
        return 0
    if not labels.exact:
        return 1
    return 3 if labels.complete else 2


def _write_label(folder: Path | None, key: str, name: str, label: np.ndarray) -> str:
    """Write a label as PNG, or as TIFF where its ids are too many for 16 bits; returns its path in the data set."""
    large = key == "instances" and int(label.max(initial=0)) > 65535
    file = f"{key}/{name}.{'tif' if large else 'png'}"
    if folder is not None:
        (folder / key).mkdir(exist_ok=True)
        if large:
            tifffile.imwrite(folder / file, label.astype(np.uint32), compression="zlib")
        else:
            Image.fromarray(label.astype(np.uint16 if key == "instances" else np.uint8)).save(folder / file)
    return file


def _datalist(
    made: Sequence[MadeImage],
    classes: Sequence[str],
    options: BuildOptions,
    src: Path,
    out: Path,
    folder: Path | None,
    earlier: EarlierSplits | None,
) -> tuple[dict, list[str]]:
    """The content of the file, and what to say about its splits; files of images that are left out are removed."""
    # Without a label an image teaches and judges nothing; it can still be predicted.
    labelled = [m for m in made if m.source.section == "testing" or any(task in m.entry for task in TASKS)]
    if not any(task in m.entry for m in labelled for task in TASKS):
        raise BuildError(
            f"'{src}' has {len(made)} images but no label for any of them: put label pictures into masks/, segmentation/, "
            "detection/ or separation/ beside images/, annotation files into annotations/, or use --labels KIND=PATH."
        )
    drawn, notes = _splits(labelled, options, earlier)
    names = {m.source.name for m in labelled}
    sections: dict[str, list[dict]] = {section: [] for section in SECTIONS}
    for m in sorted(made, key=lambda m: str(m.entry["image"])):
        section = drawn.get(m.source.name)
        if section is None:
            _remove(m, folder, options.link, m.source.name in names)
            continue
        if section == "training" and "instances" in m.entry:
            # Object ids judge predictions, nothing is trained on them.
            name = m.entry.pop("instances")
            if folder is not None:
                (folder / str(name)).unlink()
        item = {**m.entry, "digest": m.digest}
        if folder is not None and m.source.predicted and "segmentation" in item:
            item[PREDICTED] = mask_digest(item, folder / FILE_NAME)
        sections[section].append(item)
    of_images = {str(m.entry["image"]): m.source.name for m in made}
    items = [(of_images[item["image"]], item) for section in SECTIONS for item in sections[section]]
    keep = options.keep_splits
    named = None if keep is None or str(keep) == NO_SPLITS else datalist_file(keep)
    notes += carry_on(out / FILE_NAME if options.overwrite else None, items, named)
    if folder is not None and (folder / "instances").is_dir() and not any((folder / "instances").iterdir()):
        (folder / "instances").rmdir()
    said = {
        "source": str(src),
        "labels": [f"{kind}={path}" for kind, path in options.labels],
        "names": {kind: dict(table) for kind, table in options.names.items()},
        "areas": dict(options.areas),
        "unlabelled": dict(options.unlabelled),
        "ids": options.ids,
        "halo": options.halo,
        "line_width": options.line_width,
        "derive": options.derive,
        "validation": options.validation,
        "test": options.test,
        "seed": options.seed,
    }
    datalist = {"classes": list(classes), **sections, "build": said}
    if earlier is not None and (gone := earlier.gone({item["digest"] for s in sections.values() for item in s})):
        datalist[GONE] = gone
    return datalist, notes


def _splits(
    labelled: Sequence[MadeImage], options: BuildOptions, earlier: EarlierSplits | None
) -> tuple[dict[str, str], list[str]]:
    """Split of each image that is in the data set, by name, and what to say about them."""
    places = earlier.places([(m.source.name, m.digest) for m in labelled]) if earlier is not None else {}
    candidates = [
        ImageToPlace(m.source.name, m.source.section, m.digest, m.rank, places.get(m.source.name), m.source.predicted)
        for m in labelled
    ]
    notes = []
    if twice := same_pixels_apart(candidates):
        paths = {m.source.name: m.source.path for m in labelled}
        pairs = [f"{paths[name]}, which is {paths[other]}" for name, other in twice.items()]
        notes.append(
            f"{len(twice)} image{'s' * (len(twice) > 1)} in two splits' folders left out of the one, as no image may both "
            f"train and judge: {some(pairs)}."
        )
        candidates = [c for c in candidates if c.name not in twice]
    drawn = draw_sections(candidates, options.validation, options.test, options.seed)
    if earlier is not None:
        shares = {"validation": options.validation, "testing": options.test}
        notes += notes_on_splits(candidates, drawn, shares, f"'{earlier.file}'")
        if earlier.unread:
            notes.append(f"images of '{earlier.file}' that cannot be read go by their names alone: {some(earlier.unread)}.")
    notes += _same_pixels_together(candidates, drawn)
    return drawn, notes


def _same_pixels_together(candidates: Sequence[ImageToPlace], drawn: Mapping[str, str]) -> list[str]:
    """A sentence that names images of the same pixels; they stand in one split."""
    groups: dict[str, list[str]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.digest, []).append(candidate.name)
    same = [f"{' = '.join(names)} ({drawn[names[0]]})" for names in groups.values() if len(names) > 1]
    return [f"images with the same pixels stand in one split: {some(same)}."] if same else []


def _remove(made: MadeImage, folder: Path | None, link: bool, labels: bool) -> None:
    """Take away the files of an image that is not in the data set."""
    if folder is None:
        return
    names = [str(made.entry[key]) for key in (*TASKS, "instances") if labels and key in made.entry]
    for name in names if link else [*names, str(made.entry["image"])]:
        (folder / name).unlink()
