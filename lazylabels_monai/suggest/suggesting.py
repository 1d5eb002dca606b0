"""Which unlabelled image to annotate next, and for which task: the most doubt per second of work.

A candidate is a label that an image does not have. Its *gain* is the network's doubt about that task in that image
(:mod:`lazylabels_monai.predicting.uncertainty`), summed over the pixels: like the work it grows with the image, so that gain per second
favours neither large nor small ones. Doubt is the mutual information by default: it is what a label would resolve. The
predictive entropy counts every object's blurred edge as well, which no label makes sharper; it is for networks that can give
one answer only. Its *cost* is that of :mod:`lazylabels_monai.data.costs` for what there seems to be to draw.

Settles 2009, "Active learning literature survey", Sec. 6.5, on dividing by the cost. The best candidates one by one may be
copies of each other (Kirsch, van Amersfoort, Gal 2019); those that look like one ranked higher are moved down.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from lazylabels_monai.atomic import write_text
from lazylabels_monai.data.budget import _count_item, _time, count_objects, count_scribbles
from lazylabels_monai.data.costs import AnnotationCosts
from lazylabels_monai.data.datalist import (
    FILE_NAME,
    SECTIONS,
    absolute_path,
    datalist_file,
    find_images,
    has_key,
    load_datalist,
)
from lazylabels_monai.errors import LazyLabelsError, user_error
from lazylabels_monai.images.files import PathLike, file_suffix, read_image
from lazylabels_monai.instances import InstanceSettings, separate_objects
from lazylabels_monai.tasks import BACKGROUND, INTERFACE, TASKS, validate_tasks

if TYPE_CHECKING:
    from torch import nn

    from lazylabels_monai.predicting.model import Model
    from lazylabels_monai.predicting.uncertainty import TaskDoubt

__all__ = [
    "KIND",
    "MEASURES",
    "Candidate",
    "PoolImage",
    "Suggestion",
    "Suggestions",
    "doubt_pictures",
    "expected_work",
    "find_pool",
    "format_suggestions",
    "rank",
    "suggest",
    "write_suggestions",
]

#: The label that a person draws for a task, as the budget names it.
KIND = {"segmentation": "exact masks", "detection": "inner marks", "separation": "scribbles"}

#: What counts as doubt.
MEASURES = ("mutual information", "entropy")

#: Pieces of fewer pixels in a predicted separation map are noise and no scribbles: the area of a 3 by 3 dot.
_MIN_STROKE = 9

#: End of the names of the pictures.
_PICTURE = "_doubt.png"


@dataclass(frozen=True)
class PoolImage:
    """An image that labels could be drawn for.

    Args:
        path: of the image.
        missing: tasks that it has no label for. Ids of objects (``instances``) count as an exact mask.
        known: by task, how many objects there are to draw and how many classes are not there, where other labels of the image
            tell.
    """

    path: str
    missing: tuple[str, ...]
    known: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A label that could be drawn.

    Args:
        image: path.
        task: one of the three.
        gain: doubt of the task, summed over the pixels; each counts from 0 to 1.
        doubt: mean over the pixels, 0 to 1.
        to_draw: expected number of outlines, marks or scribbles.
        seconds: expected cost, above 0.
        features: (C,) what the image looks like to the network; None: not known, like no other.
    """

    image: str
    task: str
    gain: float
    doubt: float
    to_draw: float
    seconds: float
    features: np.ndarray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Suggestion:
    """A ranked candidate: a row of the CSV file.

    Args:
        rank: 1 is the first to draw.
        image, task, doubt, gain, to_draw, seconds: those of the :class:`Candidate`.
        label: what to draw: ``"exact masks"``, ``"inner marks"`` or ``"scribbles"``.
        gain_per_second: before the penalty.
        similarity: to the most similar image ranked higher for the same task, 0 to 1.
        score: ``gain_per_second`` after the penalty: what it was ranked by.
        planned: whether it fits into the hours, after those planned before it.
    """

    rank: int
    image: str
    task: str
    label: str
    doubt: float
    gain: float
    to_draw: float
    seconds: float
    gain_per_second: float
    similarity: float
    score: float
    planned: bool


@dataclass
class Suggestions:
    """What :func:`suggest` found: the ranked labels, the hours planned for, what failed by image, and what was assumed."""

    ranked: list[Suggestion]
    hours: float
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def suggest(
    images: PathLike,
    model: Model,
    data: PathLike | None = None,
    *,
    tasks: Sequence[str] | None = None,
    measure: str = MEASURES[0],
    flips: bool = True,
    dropout_samples: int = 0,
    costs: AnnotationCosts | None = None,
    hours: float = 1.0,
    diversity: float = 1.0,
    settings: InstanceSettings | None = None,
    progress: Callable[[str], None] | None = None,
) -> Suggestions:
    """Rank the labels that could be drawn next.

    Args:
        images: a data set, whose training images lack labels, or a file, folder or pattern of images.
        model: a trained network.
        data: data set that the images may be part of already; see :func:`find_pool`.
        tasks: labels that are wanted; default all that the network learned.
        measure: one of :data:`MEASURES`. With one answer an image (no flips, no dropout) there is no disagreement, and entropy
            is taken instead, which a note says.
        flips, dropout_samples: see :func:`~lazylabels_monai.predicting.uncertainty.doubt_maps`.
        costs: seconds by which the work is reckoned; None: the published ones.
        hours: of work to plan for.
        diversity: see :func:`rank`.
        settings: how objects are separated, to count them; default :class:`~lazylabels_monai.instances.InstanceSettings`.
        progress: called with a line of text per image.

    Returns:
        all labels that are missing, the best first. An image that cannot be read is in ``failed``, the others are ranked.

    Raises:
        LazyLabelsError: when an argument is out of its range, no label is missing, or no image could be read.
    """
    from lazylabels_monai.predicting.uncertainty import doubt_maps, dropout_layers

    _check(measure, hours, diversity)
    wanted = validate_tasks(tasks or model.tasks)
    if unlearned := [task for task in wanted if task not in model.tasks]:
        raise LazyLabelsError(f"task {unlearned[0]}: the network did not learn it; use {', '.join(model.tasks)}.")
    pool, average = find_pool(images, data, wanted, model.num_classes - 1)
    notes = []
    if dropout_samples and not dropout_layers(model.network):
        notes.append("the network has no dropout: no dropout samples were taken; train with --dropout 0.2 to have them.")
        dropout_samples = 0
    if not flips and not dropout_samples and measure != "entropy":
        notes.append("one answer for each image shows no disagreement: ranked by entropy instead.")
        measure = "entropy"
    say = progress or (lambda line: None)
    found: list[tuple[PoolImage, dict[str, tuple[float, float]], dict[str, tuple[int, int]], np.ndarray | None]] = []
    failed: dict[str, str] = {}
    for number, image in enumerate(pool, 1):
        name = Path(image.path).name
        try:
            with _mean_features(model.network) as features:
                maps = doubt_maps(model, image.path, flips, dropout_samples)
        except Exception as error:  # one bad image must not cost the others
            known = user_error(error)
            failed[image.path] = f"{type(error).__name__}: {error}" if known is None else str(known)
            say(f"{number}/{len(pool)} {name} FAILED: {failed[image.path]}")
            continue
        arrays = {task: _measured(maps[task], measure) for task in image.missing}
        doubts = {task: (float(array.sum(dtype=float)), float(array.mean(dtype=float))) for task, array in arrays.items()}
        found.append((image, doubts, expected_work(maps, settings), features()))
        say(f"{number}/{len(pool)} {name}")
    if not found:
        raise LazyLabelsError(f"none of the {len(pool)} images could be used: {next(iter(failed.values()))}")
    candidates = _candidates(found, average, costs or AnnotationCosts())
    if diversity and any(candidate.features is None for candidate in candidates):
        notes.append("the network has no contracting path to compare images by: alike images are not moved down.")
    notes.append(_count_note(average))
    return Suggestions(rank(candidates, hours, diversity), hours, failed, notes)


def find_pool(
    images: PathLike, data: PathLike | None = None, tasks: Sequence[str] = TASKS, classes: int | None = None
) -> tuple[list[PoolImage], dict[str, float]]:
    """Images that lack labels, and how much there is to draw in an image on average.

    Args:
        images: a data set (its folder or ``datalist.json``), whose training images are the pool; or a file, a folder or a
            pattern.
        data: data set of which such files may be part already, told by their names without suffix: a training image lacks what
            it has no label for, and images of validation and testing are left out, as they judge the training.
        tasks: labels that are wanted.
        classes: object classes of the network, which those of the data set must match; None: not checked.

    Returns:
        the images that lack one of ``tasks``, and by task the mean number of objects (scribbles) in labelled training images,
        without the tasks that nothing is known of.

    Raises:
        LazyLabelsError: when a data set cannot be used, or no image lacks a label.
    """
    tasks = validate_tasks(tasks)
    is_set = file_suffix(images) == ".json" or (Path(images) / FILE_NAME).is_file()
    if is_set and data is not None:
        raise LazyLabelsError(f"'{images}' is a data set itself: leave --data out.")
    source = images if is_set else data
    if source is None:
        return [PoolImage(path, tasks) for path in find_images(images)], {}
    content, file = load_datalist(source), datalist_file(source)
    if classes is not None and len(content["classes"]) != classes:
        raise LazyLabelsError(
            f"'{file}' names {len(content['classes'])} object classes, the network knows {classes}: use weights trained on it."
        )
    training = []
    objects: list[int] = []
    strokes: list[int] = []
    for item in content.get("training", []):
        counts = _count_item(item, file, len(content["classes"]))
        # marks and masks have the same objects
        if same := counts.get("exact masks", counts.get("inner marks")):
            objects.append(same[0])
        if "scribbles" in counts:
            strokes.append(counts["scribbles"][0])
        missing = tuple(task for task in tasks if not has_key(item, task) and KIND[task] not in counts)
        other = {"segmentation": counts.get("inner marks"), "detection": counts.get("exact masks")}
        known = {task: value for task, value in other.items() if task in missing and value is not None}
        training.append(PoolImage(absolute_path(file, item["image"]), missing, known))
    drawn = {"segmentation": objects, "detection": objects, "separation": strokes}
    average = {task: float(np.mean(numbers)) for task, numbers in drawn.items() if numbers}
    pool = training
    if not is_set:
        by_name = {_stem(image.path): image for image in training}
        judges = {_stem(item["image"]) for section in SECTIONS[1:] for item in content.get(section, [])}
        paths = [path for path in find_images(images) if _stem(path) not in judges]
        pool = [PoolImage(path, *_missing_and_known(by_name.get(_stem(path)), tasks)) for path in paths]
    pool = [image for image in pool if image.missing]
    if not pool:
        raise LazyLabelsError(f"'{images}': no image lacks a label for {' or '.join(tasks)}; add images to annotate.")
    return pool, average


def expected_work(maps: dict[str, TaskDoubt], settings: InstanceSettings | None = None) -> dict[str, tuple[int, int]]:
    """What the predicted maps show to draw.

    Args:
        maps: what :func:`~lazylabels_monai.predicting.uncertainty.doubt_maps` returned.
        settings: how objects are separated.

    Returns:
        by task, the objects (of separation: scribbles, in pieces of 9 pixels or more, in which an interface exceeds
        ``separation_threshold``) and the classes that are not there, as the budget counts them.
    """
    settings = settings or InstanceSettings()
    probabilities = {task: found.probabilities for task, found in maps.items()}
    work = {}
    outlines = probabilities.get("segmentation", probabilities.get("detection"))
    if outlines is not None:
        classes = outlines.argmax(0).astype(np.uint8)
        separated = [probabilities.get(task) if "segmentation" in maps else None for task in ("detection", "separation")]
        ids = separate_objects(classes, *separated, settings)
        shown = np.setdiff1d(classes[ids > 0], (BACKGROUND,)).size
        counts = (count_objects(ids, ids=True), len(outlines) - 1 - shown)
        work = {task: counts for task in ("segmentation", "detection") if task in maps}
    if "separation" in maps:
        drawn = probabilities["separation"][INTERFACE] > settings.separation_threshold
        pieces, _ = ndimage.label(drawn, np.ones((3,) * drawn.ndim))
        large = np.bincount(pieces.ravel()) >= _MIN_STROKE
        large[0] = False
        strokes = count_scribbles(large[pieces].astype(np.uint8))
        work["separation"] = (strokes, int(strokes == 0))
    return work


def rank(candidates: Sequence[Candidate], hours: float = 1.0, diversity: float = 1.0) -> list[Suggestion]:
    """Order candidates by gain per second, one after the other, images that resemble a chosen one moved down.

    The next one is that of the highest ``gain / seconds * (1 - diversity * s)``, where s is the highest cosine similarity, 0 at
    least, of its features to those of the candidates of the same task chosen before. Features are standardised over the
    candidates first, channel by channel: an image that is alike in all that tells images apart has s = 1. Images that are like
    labelled ones need no such penalty, as the network has little doubt about them.

    Args:
        candidates: in any order; the first of equally good ones comes first.
        hours: of work to plan for: a candidate is planned where it fits after the planned ones before it.
        diversity: 0 (ranked by gain per second alone) to 1 (a copy of a chosen image comes last and is not planned).

    Raises:
        LazyLabelsError: when an argument is out of its range, or a label costs nothing.
    """
    _check(MEASURES[0], hours, diversity)
    for candidate in candidates:
        if not candidate.seconds > 0:
            raise LazyLabelsError(
                f"{KIND[candidate.task]} of '{candidate.image}' would cost 0 s: set the seconds for opening an image, "
                "as with --cost image=10."
            )
    value = np.array([candidate.gain / candidate.seconds for candidate in candidates], float)
    task = np.array([TASKS.index(candidate.task) for candidate in candidates], int)
    features, known = _standardised(candidates)
    similarity = np.zeros(len(candidates))
    left = np.ones(len(candidates), bool)
    spent, ranked = 0.0, []
    for position in range(1, len(candidates) + 1):
        score = value * (1 - diversity * similarity)
        chosen = int(np.argmax(np.where(left, score, -1.0)))
        left[chosen] = False
        found = candidates[chosen]
        planned = bool(score[chosen] > 0 and spent + found.seconds <= hours * 3600)
        spent += found.seconds if planned else 0.0
        ranked.append(
            Suggestion(
                position,
                found.image,
                found.task,
                KIND[found.task],
                found.doubt,
                found.gain,
                found.to_draw,
                found.seconds,
                float(value[chosen]),
                float(similarity[chosen]),
                float(score[chosen]),
                planned,
            )
        )
        if known[chosen]:
            alike = np.where(known & left & (task == task[chosen]), features @ features[chosen], 0.0)
            # a copy is a copy whatever the rounding
            similarity = np.maximum(similarity, np.where(alike > 1 - 1e-6, 1.0, np.clip(alike, 0, 1)))
    return ranked


def write_suggestions(file: PathLike, found: Suggestions, overwrite: bool = False) -> Path:
    """Write all suggestions as CSV, a row for each, the columns those of :class:`Suggestion`; the file appears as a whole.

    Raises:
        FileExistsError: when the file is there and ``overwrite`` is not set.
    """
    path = Path(file)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already: name another file, or pass --overwrite.")
    text = io.StringIO()
    table = csv.DictWriter(text, [f.name for f in fields(Suggestion)], lineterminator="\n")
    table.writeheader()
    for suggestion in found.ranked:
        table.writerow({name: _cell(value) for name, value in asdict(suggestion).items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())
    return path


def format_suggestions(found: Suggestions, top: int = 10) -> str:
    """The first ``top`` suggestions as a table, what the hours are enough for, and the notes."""
    rows = [["", "image", "draw", "about", "time", "doubt", "per minute", "planned"]]
    for s in found.ranked[:top]:
        cells = [f"{s.to_draw:.0f}", _time(s.seconds), f"{s.doubt:.4f}", f"{60 * s.score:.3g}", "yes" if s.planned else ""]
        rows.append([str(s.rank), Path(s.image).name, s.label, *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = {1, 2}
    lines = [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))) for r in rows
    ]
    planned = [s for s in found.ranked if s.planned]
    kinds = Counter(s.label for s in planned)
    parts = ", ".join(f"{kind} of {kinds[kind]}" for kind in KIND.values() if kinds[kind]) or "nothing: the first takes longer"
    used = f", {_time(sum(s.seconds for s in planned))} in all" if planned else ""
    images = len({s.image for s in planned})
    lines += ["", f"In {found.hours:g} h: {parts}{f' ({images} images)' if planned else ''}{used}."]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def doubt_pictures(
    folder: PathLike,
    found: Suggestions,
    model: Model,
    top: int = 10,
    measure: str = MEASURES[0],
    flips: bool = True,
    dropout_samples: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write a picture for each of the first suggestions: the image, and beside it the doubt of the task from black to yellow.

    The colours mean the same in all of them; the brightest is the 99.5 percentile of the most doubtful one. Of a volume, the
    plane of the most doubt is shown. Names are ``<rank>_<image>_<task>_doubt.png``.

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
    from lazylabels_monai.predicting.uncertainty import doubt_maps

    folder = Path(folder)
    check_pictures(folder, overwrite)
    shown = found.ranked[:top]
    panels: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    if not flips and not dropout_samples:
        measure = "entropy"
    for path in dict.fromkeys(s.image for s in shown):
        maps, pixels = doubt_maps(model, path, flips, dropout_samples), read_image(path)
        for s in shown:
            if s.image == path:
                panels[s.rank] = _plane(pixels, _measured(maps[s.task], measure))
    top_value = max((float(np.percentile(doubt, 99.5)) for _, doubt in panels.values()), default=0.0) or 1.0
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"*{_PICTURE}"):
        old.unlink()
    written = []
    for s in shown:
        pixels, doubt = panels[s.rank]
        heat = (colormaps["inferno"](np.clip(doubt / top_value, 0, 1))[..., :3] * 255).round().astype(np.uint8)
        written.append(folder / f"{s.rank:03d}_{_stem(s.image)}_{s.task}{_PICTURE}")
        Image.fromarray(side_by_side([to_uint8_rgb(pixels), heat])).save(written[-1])
    return written


def check_pictures(folder: PathLike, overwrite: bool) -> None:
    """Refuse a folder with pictures of an earlier :func:`doubt_pictures`.

    Raises:
        FileExistsError: naming the folder.
    """
    if not overwrite and any(Path(folder).glob(f"*{_PICTURE}")):
        raise FileExistsError(f"{folder} holds pictures of doubt already: name another folder, or pass --overwrite.")


def _check(measure: str, hours: float, diversity: float) -> None:
    if measure not in MEASURES:
        raise LazyLabelsError(f"measure '{measure}' does not exist: use {' or '.join(MEASURES)}.")
    if not 0 < hours < float("inf"):
        raise LazyLabelsError(f"hours {hours} must be a positive number.")
    if not 0 <= diversity <= 1:
        raise LazyLabelsError(f"diversity {diversity} must lie between 0 and 1.")


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return int(value) if isinstance(value, bool) else value


def _measured(found: TaskDoubt, measure: str) -> np.ndarray:
    return found.entropy if measure == "entropy" else found.mutual_information


def _candidates(found: Sequence[tuple], average: dict[str, float], costs: AnnotationCosts) -> list[Candidate]:
    """Every missing label with its gain and its cost."""
    predicted = {task: float(np.mean([work[task][0] for _, _, work, _ in found])) for task in found[0][2]}
    out: list[Candidate] = []
    for image, doubts, work, features in found:
        for task, (gain, mean) in doubts.items():
            if task in image.known:
                objects, absent = map(float, image.known[task])
            else:
                # A network that overlooks an image's objects makes it look cheap: half the way to an average image.
                objects, absent = (work[task][0] + average.get(task, predicted[task])) / 2, work[task][1]
            seconds = costs.seconds(KIND[task], objects, absent)
            out.append(Candidate(image.path, task, gain, mean, objects, seconds, features))
    return out


def _count_note(average: dict[str, float]) -> str:
    of = "a labelled training image" if average else "an image of the pool, as predicted"
    return f"what there is to draw is predicted, drawn half the way to the average of {of}; time yourself and set --cost."


def _standardised(candidates: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (N, C) of the features, each channel standardised over the images, and which rows have any."""
    known = np.array([candidate.features is not None for candidate in candidates], bool)
    by_image = {candidate.image: candidate.features for candidate in candidates if candidate.features is not None}
    if not by_image:
        return np.zeros((len(candidates), 1)), known
    table = np.stack([np.asarray(f, float) for f in by_image.values()])
    spread = table.std(0)
    scale = np.where(spread > 1e-9 * np.abs(table).max(initial=0), spread, np.inf)
    unit = {}
    for image, row in zip(by_image, (table - table.mean(0)) / scale, strict=True):
        # one more channel for images that are just average, so that two of them are alike, too
        whole = np.append(row, 1e-6)
        unit[image] = whole / np.linalg.norm(whole)
    blank = np.zeros(table.shape[1] + 1)
    return np.stack([unit.get(candidate.image, blank) for candidate in candidates]), known


@contextmanager
def _mean_features(network: nn.Module) -> Iterator[Callable[[], np.ndarray | None]]:
    """Collect the bottleneck's channels, averaged over all windows; call what it yields for (C,), None where there is none."""
    levels = getattr(network, "down", None)
    total: list[np.ndarray] = []
    count: list[int] = []

    def collect(module: Any, inputs: Any, output: Any) -> None:
        total.append(output.detach().float().flatten(2).mean((0, 2)).cpu().numpy() * len(output))
        count.append(len(output))

    handle = levels[-1].register_forward_hook(collect) if levels is not None and len(levels) else None
    try:
        yield lambda: np.sum(total, axis=0) / sum(count) if count else None
    finally:
        if handle is not None:
            handle.remove()


def _missing_and_known(item: PoolImage | None, tasks: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, tuple[int, int]]]:
    return (tasks, {}) if item is None else (item.missing, item.known)


def _plane(pixels: np.ndarray, doubt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture as it is; of a volume, the plane with the most doubt."""
    if doubt.ndim == 2:
        return pixels, doubt
    best = int(doubt.sum((0, 1)).argmax())
    return pixels[:, :, best], doubt[:, :, best]


def _stem(path: PathLike) -> str:
    name = Path(path).name
    return name[: len(name) - len(file_suffix(path))]
