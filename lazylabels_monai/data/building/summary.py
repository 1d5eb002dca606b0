"""What was made of which labels, for people to read and to contradict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lazylabels_monai.data.building.belonging import Source
from lazylabels_monai.data.building.options import ANNOTATIONS, Vocabulary
from lazylabels_monai.data.building.painting import DrawnPieces
from lazylabels_monai.data.building.twice import DrawnTwice
from lazylabels_monai.data.datalist import FILE_NAME, SECTIONS, summary_table
from lazylabels_monai.errors import in_number, some
from lazylabels_monai.option_text import command
from lazylabels_monai.tasks import TASKS

__all__ = ["BuildSummary", "MadeImage", "format_build", "notes_on", "readings"]


@dataclass
class BuildSummary:
    """What :func:`build_datalist` made.

    Args:
        out: the data set's folder.
        datalist: content of its ``datalist.json``.
        readings: how the labels were taken, a sentence each.
        notes: what to look at, a sentence each.
        colour: whether all images are colour pictures.
        written: False after a dry run.
    """

    out: Path
    datalist: dict
    readings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    colour: bool = False
    written: bool = True


@dataclass
class MadeImage:
    """An image whose labels are made.

    Args:
        source: where it comes from.
        entry: its item in the datalist.
        digest: of its pixels.
        rank: how good its mask is; see :class:`~lazylabels_monai.data.building.splits.Candidate`.
        channels: of the image.
        background: whether background is known elsewhere than in the halo of an outline.
        outside: marks outside the image.
        hidden: exact areas that others cover.
        filled, loose, mixed: where ids and class picture disagree; see
            :class:`~lazylabels_monai.data.building.painting.ImageLabels`.
        drawn: marks that were drawn.
        pieces: in how many pieces exactly drawn areas are.
        twice: objects that were outlined twice.
    """

    source: Source
    entry: dict[str, str | bool]
    digest: str
    rank: int
    channels: int
    background: bool
    outside: int
    hidden: int
    filled: int = 0
    loose: int = 0
    mixed: int = 0
    drawn: int = 0
    pieces: Sequence[DrawnPieces] = ()
    twice: Sequence[DrawnTwice] = ()


def readings(
    sources: Sequence[Source], vocabulary: Vocabulary, meanings: Mapping[tuple[str, str], int | str], marked: Collection[str]
) -> list[str]:
    """How the labels were taken, a line for each kind and each drawn name.

    Args:
        sources: the images with their label files.
        vocabulary: what names and values mean.
        meanings: of each name that was drawn, by kind and name.
        marked: meanings that occur among the drawn marks of the data set.
    """
    lines = []
    kinds = Counter(kind for source in sources for kind in {*source.pictures, *(k for k, _ in source.annotations)})
    for kind, count in sorted(kinds.items()):
        drawn = marked if kind in ANNOTATIONS else ()
        task = "separation" if kind == "separation" else "segmentation"
        unmarked = "ignored" if vocabulary.ignores(kind, task, drawn) else "background"
        exact = kind == "masks" or (kind in ANNOTATIONS and kind != "rough")
        pieces = "each connected piece is an object, " if exact and vocabulary.options.ids == "pieces" else ""
        lines.append(f"{kind} of {count} image{'s' * (count > 1)}: {pieces}unmarked pixels are {unmarked}")
    counts = Counter(
        (kind, mark.name) for source in sources for kind, annotation in source.annotations for mark in annotation.marks
    )
    for (kind, name), meaning in sorted(meanings.items(), key=lambda item: item[0]):
        shown = f"class {meaning} {vocabulary.classes[meaning - 1]}" if isinstance(meaning, int) else meaning
        many = f"{counts[kind, name]} mark{'s' * (counts[kind, name] != 1)}"
        lines.append(f"{many} {f'named {name!r}' if name else 'without a name'} in {kind}: {shown}")
    return lines


def notes_on(made: Sequence[MadeImage], datalist: Mapping) -> list[str]:
    """What to look at in a data set, a sentence each.

    Args:
        made: all images.
        datalist: content of the file.
    """
    used = {str(item["image"]): section for section in SECTIONS for item in datalist[section]}
    training = [m for m in made if used.get(str(m.entry["image"])) == "training"]
    validation = [m for m in made if used.get(str(m.entry["image"])) == "validation"]
    notes = []
    for text, chosen in (
        (
            "{many} image[ has|s have] no label and [is|are] left out: {names}.",
            [m for m in made if str(m.entry["image"]) not in used and not any(task in m.entry for task in TASKS)],
        ),
        (
            "{many} image[ shows|s show] no object where [it is|they are] labelled; if [it does have one, draw it|they do "
            "have some, draw them]: {names}.",
            [m for m in made if m.entry.get("empty")],
        ),
        ("{many} image[ has|s have] marks outside of [it|them] or without a pixel: {names}.", [m for m in made if m.outside]),
        ("{many} image[ has|s have] areas that others cover altogether: {names}.", [m for m in made if m.hidden]),
        (
            "{many} [image has a file|images have files] of exact outlines without any; --unlabelled background says that "
            "there is no object: {names}.",
            [
                m
                for m in made
                if "segmentation" not in m.entry and any(k == "exact" and not a.marks for k, a in m.source.annotations)
            ],
        ),
        (
            "{many} image[ has|s have] pixels with an object's id but no class, which get that of the object: {names}.",
            [m for m in made if m.filled],
        ),
        (
            "{many} image[ has|s have] pixels of a class but without an id, which stay of the class; where you deleted the "
            "ids on purpose, delete them in the class picture, too: {names}.",
            [m for m in made if m.loose and not m.source.predicted],  # pieces too small for an object
        ),
        (
            "{many} image[ has|s have] objects whose pixels are of several classes in the class picture, which they stay; "
            "lazylabels export-objects gives each object one class, for --labels exact=FOLDER: {names}.",
            [m for m in made if m.mixed],
        ),
    ):
        if chosen:
            notes.append(in_number(len(chosen), text, many=len(chosen), names=some([m.source.path.name for m in chosen])))
    notes += _notes_on_predicted([m for m in made if m.source.predicted and str(m.entry["image"]) in used], used)
    if not validation:
        notes.append("no image validates, so that the weights of the last epoch are kept, be they the best or not.")
    elif not any("segmentation" in m.entry for m in validation):
        notes.append(
            "no validation image has an exact mask, so that the best weights are those of the lowest loss on their marks: draw "
            f"the exact mask of one to choose by Dice, such as {validation[0].source.path.name}."
        )
    elif max(m.rank for m in validation) < 3:
        notes.append(
            "no validation image has an exact mask of all its pixels: its Dice counts the labelled ones, which flatters."
        )
    if training and not any(m.rank > 1 for m in training):
        notes.append("no training image has an exact mask: one or two teach where objects end.")
    if any("segmentation" in m.entry for m in training) and not any(m.background for m in training):
        notes.append(
            "no training image shows background away from its objects, so that empty areas may become objects: brush some "
            "there (name it background), or pass --unlabelled background if every object is marked."
        )
    return notes


def _notes_on_predicted(predicted: Sequence[MadeImage], used: Mapping[str, str]) -> list[str]:
    """A sentence on images whose exact masks are predictions that nobody has changed."""
    if not predicted:
        return []
    judging = sum(used[str(m.entry["image"])] != "training" for m in predicted)
    verb = f" ({judging} of them validate{'s or tests' if judging == 1 else ' or test'})" if judging else ""
    sentence = (
        "{many} [image has a prediction as exact mask|images have predictions as exact masks] that nobody has changed, so "
        "that [its|their] mistakes count as truth{verb}: correct [it|them], or take away [it, if you have not looked at it|"
        "those that you have not looked at]: {names}."
    )
    names = some([m.source.path.name for m in predicted])
    return [in_number(len(predicted), sentence, many=len(predicted), verb=verb, names=names)]


def format_build(summary: BuildSummary) -> str:
    """The table, how the labels were taken, what to look at and what to do next, for people to read."""
    lines = [summary_table(summary.datalist), *summary.readings, *(f"note: {note}" for note in summary.notes)]
    if not summary.written:
        return "\n".join([*lines, f"nothing was written: leave --dry-run out to make {summary.out / FILE_NAME}"])
    colour = ("--in_channels", "3") if summary.colour else ()
    return "\n".join(
        [
            *lines,
            f"written: {summary.out / FILE_NAME}",
            f"next:    {command('check', summary.out)}",
            f"         {command('train', summary.out, *colour)}",
        ]
    )
