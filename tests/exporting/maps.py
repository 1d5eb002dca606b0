"""Id maps and class maps to export, and folders of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import tifffile
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from lazylabels_monai.exporting.formats import FORMATS
from lazylabels_monai.exporting.objects import ImageObjects, objects_of
from lazylabels_monai.labels.formats import read_annotations

NAMES = ["air bubble", 'Zelle "groß" 2', "Tumor: Positive"]

#: Id maps of any shape, with objects in pieces, with holes, of one pixel, at the border; ids of 8 to 31 bits.
ID_MAPS = st.tuples(st.integers(1, 9), st.integers(1, 12)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.sampled_from([0, 0, 1, 1, 2, 300, 70000]))
)


def classes_of(ids: np.ndarray) -> np.ndarray:
    """A class map in which an object's class follows from its id."""
    return np.where(ids == 0, 0, ids % 3 + 1).astype(np.uint8)


def scene(shape=(37, 61), seed=1) -> np.ndarray:
    """Touching blocks, some in pieces; a ring with an object in its hole; a single pixel in the corner; an id of 17 bits."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 9, (shape[0] // 4 + 1, shape[1] // 4 + 1))
    ids = np.kron(blocks, np.ones((4, 4), int))[: shape[0], : shape[1]].astype(np.int32)
    ids[rng.random(shape) < 0.1] = 0
    ids[0, 0] = 77
    ids[10:20, 10:20], ids[12:18, 12:18] = 70000, 0
    ids[14, 14], ids[15, 15] = 70000, 501
    return ids


def written(ids: np.ndarray, format: str, name: str = "a") -> tuple[str, bytes]:
    """The one file of an export of one image."""
    writer = FORMATS[format](NAMES)
    objects = objects_of(name, f"{name}.png", ids, classes_of(ids), NAMES)
    (file,) = [*writer.image(objects), *writer.end()]
    return file


def objects(ids: np.ndarray, **more) -> ImageObjects:
    return objects_of("a", "a.png", ids, classes_of(ids), NAMES, **more)


def predictions(folder: Path, maps: dict[str, np.ndarray], names=NAMES) -> Path:
    """A folder as ``predict`` leaves it."""
    folder.mkdir(parents=True)
    for name, ids in maps.items():
        tifffile.imwrite(folder / f"{name}_instances.tif", ids.astype(np.uint32), photometric="minisblack")
        Image.fromarray(classes_of(ids)).save(folder / f"{name}_pred.png")
        Image.fromarray(np.zeros((*ids.shape, 3), np.uint8)).save(folder / f"{name}_overlay.png")
    (folder / "classes.json").write_text(json.dumps(names), encoding="utf-8")
    return folder


def pictures(folder: Path, maps: dict[str, np.ndarray]) -> Path:
    """The images of these maps, no two of them alike."""
    folder.mkdir(parents=True)
    for number, (name, ids) in enumerate(maps.items()):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, ids.shape).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def saved_elsewhere(file: Path) -> bytes:
    """Take the first object out of an exported file and save it as Fiji, QuPath or CVAT do; the new content."""
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members[1:]:
                archive.writestr(name, content)  # of the date of now
    else:
        content = json.loads(file.read_bytes())
        content["features" if "features" in content else "annotations"].pop(0)
        file.write_text(json.dumps(content, separators=(",", ":")))
    return file.read_bytes()


def same_objects(ids: np.ndarray, others: np.ndarray) -> bool:
    """Whether two maps hold the same objects, whatever their ids are."""
    pairs = set(zip(ids.ravel().tolist(), others.ravel().tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and all(
        (a == 0) == (b == 0) for a, b in pairs
    )


def drawn(annotation, shape) -> tuple[np.ndarray, dict[int, str]]:
    """Marks of an annotation file as ids 1, 2, ... in the file's order, and the class of each; they must not overlap."""
    ids, names = np.zeros(shape, int), {}
    for number, mark in enumerate(annotation.marks, start=1):
        part, mask = mark.draw(shape)
        assert mask.any()
        assert not ids[part][mask].any()
        ids[part][mask] = number
        names[number] = mark.name
    return ids, names


def came_back(ids: np.ndarray, format: str, folder: Path) -> None:
    """Assert that what is written, read as a drawing, has the same objects of the same classes."""
    name, content = written(ids, format)
    (folder / name).write_bytes(content)
    (annotation,) = read_annotations(folder / name)
    back, names = drawn(annotation, ids.shape)
    assert same_objects(ids, back)
    for number, class_name in names.items():
        assert class_name == NAMES[classes_of(ids)[back == number][0] - 1]
