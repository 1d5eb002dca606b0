"""The pictures that the starter is made from: fully labelled images of open sets, packed into one file with their labels.

Each picture is kept at one size, and its labels at several: a scribble is three pixels wide at every magnification, so labels
are drawn anew at each level from the instances and not enlarged. All objects are of one class. A level's label is one number
per pixel, a sum of :data:`SEGMENTATION`, :data:`DETECTION` and :data:`SEPARATION`.
"""

from __future__ import annotations

import io
import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
from PIL import Image

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.data.simulating.scenes import make_scene
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import interfaces
from lazylabels_monai.labels.objects import instances_from_classes

__all__ = [
    "CLASS",
    "DETECTION",
    "GENERATED",
    "SEGMENTATION",
    "SEPARATION",
    "SETS",
    "Picture",
    "coded",
    "generated",
    "generated_instances",
    "pack",
    "produce",
    "resized_instances",
    "unpack",
    "validation_pictures",
    "write_held",
]

#: Bits of a level's label.
SEGMENTATION, DETECTION, SEPARATION = 1, 2, 4


@dataclass(frozen=True)
class ImageSet:
    """An image set and how it is used.

    Args:
        split: its folder, with ``images/`` and ``masks/`` or ``classes/``.
        levels: magnifications at which it is learnt, the first that of the picture kept.
        native: the magnification at which it is validated.
        held: every so manieth picture validates.
        validation: a folder whose pictures validate instead.
        bits: of the grey values kept; the lowest one is noise and would be an eighth of the file.
        licence: its terms.
    """

    split: str
    levels: tuple[float, ...]
    native: float
    held: int = 0
    validation: str = ""
    bits: int = 7
    licence: str = ""


#: What the starter learns, by name. Test images of the published comparisons are not among it.
SETS: dict[str, ImageSet] = {
    "emps": ImageSet("train", (0.7, 0.35), 0.5, held=10, licence="MIT, Yildirim & Cole 2021"),
    "superalloy": ImageSet("train", (1.0, 0.5, 0.25), 1.0, validation="val", licence="MIT wording, NASA; Stuckner et al. 2022"),
    "powder": ImageSet("train", (1.0, 0.5), 1.0, held=4, licence="MIT, AMPIS; Cohn et al. 2021"),
    "nuclei_fluo": ImageSet("train", (1.0, 2.0, 0.5), 1.0, held=11, bits=8, licence="CC0, Data Science Bowl 2018, BBBC038"),
}

#: Sets that are looked at while it learns, and never learnt.
UNSEEN: dict[str, ImageSet] = {"glas": ImageSet("train", (), 0.5, held=6, licence="research only")}

#: What all objects are called.
CLASS = "object"
#: Pictures without end.
GENERATED = ("builtin", "scenes")

#: Median diameter in pixels, at a level, of objects that are too small or too large to learn from there.
_SMALLEST, _LARGEST = 6.0, 400.0


@dataclass(frozen=True)
class Picture:
    """A picture at one magnification, and its labels.

    Args:
        domain: name of its set.
        part: ``training``, ``validation`` or ``unseen``.
        image: uint8 (H, W).
        code: uint8 (H, W), a sum of :data:`SEGMENTATION`, :data:`DETECTION` and :data:`SEPARATION`.
    """

    domain: str
    part: str
    image: np.ndarray
    code: np.ndarray


def coded(instances: np.ndarray, rng: np.random.Generator | int = 0) -> np.ndarray:
    """The labels of all three tasks, as this package draws them, in one map.

    Args:
        instances: ids (H, W), 0 outside objects.
        rng: of the inner regions.

    Returns:
        uint8 (H, W).
    """
    code = np.where(instances > 0, SEGMENTATION, 0).astype(np.uint8)
    code[inner_regions(instances, rng=rng) > 0] |= DETECTION
    code[interfaces(instances) > 0] |= SEPARATION
    return code


def resized_instances(instances: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Ids at another size, sampled at pixel centres."""
    rows, columns = (
        np.minimum(((np.arange(m) + 0.5) * n / m).astype(int), n - 1) for m, n in zip(size, instances.shape, strict=True)
    )
    return instances[np.ix_(rows, columns)]


def generated_instances(
    domain: str, seed: tuple[int, ...], size: tuple[int, int] = (384, 384)
) -> tuple[np.ndarray, np.ndarray]:
    """Image and ids, (H, W) both, of a picture of one of :data:`GENERATED`; the same seed gives the same."""
    if domain == "scenes":
        made = make_scene(size, seed)
    else:
        rng = np.random.default_rng([*seed, 1])
        low = float(np.exp(rng.uniform(np.log(6), np.log(30))))
        made = make_image(size, seed, (low, 1.5 * low))
    return made["image"], made["instances"]


def generated(domain: str, seed: tuple[int, ...], size: tuple[int, int] = (384, 384)) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a picture of one of :data:`GENERATED`; the same seed gives the same."""
    image, instances = generated_instances(domain, seed, size)
    return image, coded(instances, np.random.default_rng([*seed, 2]))


def _held_out_seed(k: int) -> tuple[int, ...]:
    """Of the k-th generated picture that validates; training draws from other seeds."""
    return (0, 0, k)


def validation_pictures(
    domain: str, folder: Path | None = None, most: int | None = None
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Pictures that no starter learnt from, whole, at the magnification at which a set is validated.

    Args:
        domain: one of :data:`GENERATED`, :data:`SETS` or :data:`UNSEEN`.
        folder: of the sets of ``docs/public-sets.md``; generated pictures need none.
        most: no more than so many.

    Yields:
        name, uint8 image (H, W) and ids (H, W).

    Raises:
        LazyLabelsError: when there is no such set.
    """
    if domain in GENERATED:
        for k in range(12 if most is None else most):
            yield (f"{domain}_{k}", *generated_instances(domain, _held_out_seed(k)))
        return
    known = {**SETS, **UNSEEN}
    if domain not in known or folder is None:
        raise LazyLabelsError(
            f"'{domain}' must be one of {', '.join((*GENERATED, *known))}, "
            f"and all but {' and '.join(GENERATED)} need the folder of the sets."
        )
    use, count = known[domain], 0
    for part, name, image, instances in _labelled(folder / domain, use, domain in UNSEEN, None):
        if part != "training" and (most is None or count < most):
            count += 1
            size = _scaled(image.shape, use.native)
            yield name, _resized(image, size), resized_instances(instances, size)


def produce(out: Queue, seed: int, worker: int) -> None:
    """Put generated pictures, ``(domain, image, code)``, into a queue for ever; none is made twice, since the seed counts on.

    It stands in a module that does not load torch: a process that runs it begins at once.
    """
    rng = np.random.default_rng([seed, worker])
    count = 0
    while True:
        domain = "builtin" if rng.random() < 0.25 else "scenes"
        size = (320, 320) if domain == "builtin" else (384, 384)
        count += 1
        try:
            made = generated(domain, (1 + seed, worker, count), size)  # validation pictures have seeds that begin with 0
        except Exception as error:  # one picture less is better than one worker less
            print(f"no picture of {domain} {worker} {count}: {error!r}", file=sys.stderr, flush=True)
        else:
            out.put((domain, *made))


def pack(folder: Path, target: Path, most: int | None = None, generated_validation: int = 12) -> dict[str, int]:
    """Gather pictures and labels in one file for :func:`unpack`.

    Args:
        folder: of the sets of ``docs/public-sets.md``.
        target: zip file to write.
        most: pictures of a set, for a try.
        generated_validation: pictures of each generator to validate on.

    Returns:
        Number of pictures of each set.

    Raises:
        LazyLabelsError: when a set is not there.
    """
    index, counts = [], {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as file:

        def add(domain: str, part: str, name: str, image: np.ndarray, levels: list[tuple[float, np.ndarray]]) -> None:
            entry = {"domain": domain, "part": part, "image": f"{domain}/{part}/{name}.png", "levels": []}
            file.writestr(entry["image"], _png(image))
            for scale, code in levels:
                member = f"{domain}/{part}/{name}_{scale:g}.png"
                file.writestr(member, _png(code))
                entry["levels"].append({"scale": scale, "code": member})
            index.append(entry)
            counts[domain] = counts.get(domain, 0) + 1

        for domain, use in {**SETS, **UNSEEN}.items():
            for part, name, image, instances in _labelled(folder / domain, use, domain in UNSEEN, most):
                scales = use.levels if part == "training" else (use.native,)
                levels = [(scale, resized_instances(instances, _scaled(instances.shape, scale))) for scale in scales]
                levels = levels[:1] + [level for level in levels[1:] if _usable(level[1])]
                if not use.levels or part != "training" or domain in UNSEEN:
                    levels = levels[:1]
                kept = _resized(image, _scaled(image.shape, scales[0])) & (256 - (1 << 8 - use.bits))
                add(domain, part, name, kept, [(scale, coded(ids)) for scale, ids in levels])
        for domain in GENERATED:
            for k in range(generated_validation if most is None else min(most, generated_validation)):
                image, code = generated(domain, _held_out_seed(k))
                add(domain, "validation", str(k), image, [(1.0, code)])
        file.writestr("index.json", json.dumps(index))
    return counts


def _labelled(folder: Path, use: ImageSet, unseen: bool, most: int | None) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    """Part, name, grey image and instances of each picture of a set."""
    for split, held in ((use.split, use.held), (use.validation, 1)):
        if not split:
            continue
        if not (folder / split / "images").is_dir():
            raise LazyLabelsError(f"{folder / split / 'images'} is missing: put the set of docs/public-sets.md there.")
        kind = "masks" if (folder / split / "masks").is_dir() else "classes"
        for k, path in enumerate(sorted((folder / split / "images").iterdir())[:most]):
            validates = bool(held) and (k + 1) % held == 0
            if unseen and not validates:
                continue
            label = np.asarray(Image.open(folder / split / kind / path.name)).astype(np.int32)
            instances = label if kind == "masks" else instances_from_classes(label, 12)
            image = np.asarray(Image.open(path).convert("L"))
            yield ("unseen" if unseen else "validation" if validates else "training"), path.stem, image, instances


def write_held(folder: Path, target: Path) -> dict[str, int]:
    """Copy the pictures that no starter learns from, of sets that it knows: new pictures of kinds that it knows.

    Args:
        folder: of the sets, as in ``docs/public-sets.md``.
        target: gets ``NAME_held/train/images`` and ``masks`` of each set, which must not be there.

    Returns:
        the number of pictures of each.

    Raises:
        LazyLabelsError: when none of the sets is there, or something is there already; nothing is written then.
    """
    counts = {}
    there = [name for name, use in SETS.items() if use.held and (folder / name / use.split / "masks").is_dir()]
    for made in (target / f"{name}_held" for name in there):  # before anything is copied
        if made.exists():
            raise LazyLabelsError(f"{made} is there already: move it away, or name another folder.")
    for name in there:
        use, made = SETS[name], target / f"{name}_held"
        source = folder / name / use.split
        held = sorted((source / "images").iterdir())[use.held - 1 :: use.held]
        for kind in ("images", "masks"):
            (made / "train" / kind).mkdir(parents=True)
            for path in held:
                shutil.copyfile(source / kind / path.name, made / "train" / kind / path.name)
        counts[name] = len(held)
    if not counts:
        raise LazyLabelsError(f"{folder} holds none of the sets of docs/public-sets.md: put them there.")
    return counts


def _scaled(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _usable(instances: np.ndarray) -> bool:
    """Whether a level shows objects of a size that can be learnt, in a picture that is not tiny and not huge."""
    areas = np.bincount(instances.ravel())[1:]
    areas = areas[areas > 0]
    diameter = 2 * np.sqrt(np.median(areas) / np.pi) if areas.size else 20.0
    return _SMALLEST <= diameter <= _LARGEST and min(instances.shape) >= 100 and max(instances.shape) <= 1300


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if image.shape == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _png(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG", optimize=True)
    return out.getvalue()


def unpack(source: Path, parts: tuple[str, ...] = ("training", "validation", "unseen")) -> list[Picture]:
    """All pictures at all of their levels, in the file's order."""
    with zipfile.ZipFile(source) as file:
        index = [entry for entry in json.loads(file.read("index.json")) if entry["part"] in parts]
        names = [name for entry in index for name in (entry["image"], *(level["code"] for level in entry["levels"]))]
        raw = {name: file.read(name) for name in names}

    def read(entry: dict) -> list[Picture]:
        image = np.asarray(Image.open(io.BytesIO(raw[entry["image"]])))
        found = []
        for level in entry["levels"]:
            code = np.asarray(Image.open(io.BytesIO(raw[level["code"]])))
            found.append(Picture(entry["domain"], entry["part"], _resized(image, code.shape), code))
        return found

    with ThreadPoolExecutor(8) as pool:
        return [picture for pictures in pool.map(read, index) for picture in pictures]
