"""Ids go with an exact mask that is drawn on in a window, and those that somebody gave stay in their file."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive.drawn_ids import Given, ids_after
from tests.interactive.folders import SHAPE, again, listed


def boxes(*found) -> np.ndarray:
    """Values in boxes: value, top, left, bottom, right."""
    array = np.zeros(SHAPE, np.int64)
    for value, top, left, bottom, right in found:
        array[top:bottom, left:right] = value
    return array


#: Two objects that touch, one alone.
IDS = boxes((1, 2, 2, 12, 12), (2, 2, 12, 12, 22), (7, 20, 2, 30, 12))
MASK = (IDS > 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 25, 30, 35, 42), [(8, 25, 30, 35, 42)]),  # another object
        ((0, 2, 2, 12, 12), [(0, 2, 2, 12, 12)]),  # erased
        ((0, 24, 2, 26, 12), [(0, 24, 2, 26, 12), (8, 26, 2, 30, 12)]),  # cut apart
        ((2, 2, 2, 12, 12), []),  # of another class
        ((1, 2, 22, 12, 24), [(2, 2, 22, 12, 24)]),  # a little more of it
        ((1, 20, 12, 30, 22), [(8, 20, 12, 30, 22)]),  # another one that touches it
        ((255, 2, 2, 12, 12), [(0, 2, 2, 12, 12)]),  # rubbed out
        ((255, 2, 2, 12, 11), []),  # nearly so: nobody knows how far it reaches
        ((255, 2, 2, 12, 14), [(0, 2, 2, 12, 12)]),  # and a little of the next one
        ((0, 20, 2, 22, 12), [(0, 20, 2, 22, 12)]),  # smaller
    ],
)
def test_ids_of_a_changed_mask(box, expected):
    mask, ids = MASK.copy(), IDS.copy()
    value, top, left, bottom, right = box
    mask[top:bottom, left:right] = value
    for number, y, x, to_y, to_x in expected:
        ids[y:to_y, x:to_x] = number
    np.testing.assert_array_equal(ids_after(Given(IDS, MASK, "a"), mask), ids)


def on_the_whole_picture(given: Given, mask: np.ndarray) -> np.ndarray:
    """What `ids_after` says, with no box: slow, and plain to see."""
    ids = np.array(given.ids, np.int64)
    ids[(mask == 0) & (given.mask != 0)] = 0
    for number in set(given.ids[(given.ids > 0) & (mask == 255) & (given.mask % 255 > 0)]):
        if not (mask[given.ids == number] % 255).any():
            ids[ids == number] = 0
    highest = int(given.ids.max())
    for number in np.unique(given.ids[(given.ids > 0) & (ids == 0)]):
        pieces, count = ndimage.label(ids == number)
        if count > 1 and ndimage.label(given.ids == number)[1] == 1:
            sizes = np.bincount(pieces.ravel())[1:]
            for piece in np.argsort(-sizes, kind="stable")[1:] + 1:
                if sizes[piece - 1] > 5:
                    highest += 1
                    ids[pieces == piece] = highest
    added = (mask != given.mask) & (mask != 0) & (mask != 255) & (ids == 0)
    usual = np.median(np.unique(given.ids[given.ids > 0], return_counts=True)[1]) if (given.ids > 0).any() else 0
    known = ids.copy()
    for value in np.unique(mask[added]):
        pieces, count = ndimage.label(added & (mask == value))
        for number in range(1, count + 1):
            piece = pieces == number
            beside = ndimage.binary_dilation(piece) & (known > 0) & (mask == value)
            if not beside.any() or piece.sum() >= 0.5 * usual:
                highest += 1
                ids[piece] = highest
            else:
                nearest = ndimage.distance_transform_edt(~beside, return_distances=False, return_indices=True)
                ids[piece] = known[tuple(nearest)][piece]
    return ids


def scattered(random: np.random.Generator, shape: tuple[int, ...], values: list[int], count: int) -> np.ndarray:
    """Boxes of these values, at borders, too, over each other and in each other."""
    array = np.zeros(shape, np.int64)
    for number in range(count):
        low = [max(int(random.integers(-4, side)), 0) for side in shape]
        box = tuple(slice(start, start + random.integers(1, max(side // 2, 2))) for start, side in zip(low, shape, strict=True))
        array[box] = values[number % len(values)]
    return array


@pytest.mark.parametrize("shape", [(37, 50), (1, 60), (7, 20, 24)])
@pytest.mark.parametrize("far", [1, 10**7])
def test_ids_are_those_that_the_whole_picture_gives(shape, far):
    made = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        ids = scattered(random, shape, [far * (n + 1) for n in range(12)], int(random.integers(0, 13)))
        before = np.where(ids > 0, random.integers(1, 3) if seed % 2 else ids // far % 2 + 1, 0).astype(np.uint8)
        mask = before.copy()
        if seed % 3:
            changed = scattered(random, shape, [1, 2, 3, 4], 8)
            mask = np.choose(changed, [mask, np.uint8(0), np.uint8(1), np.uint8(2), np.uint8(255)])
        noise = random.random(shape) < [0, 0.02, 0.2][seed // 2 % 3]
        mask = np.where(noise, random.integers(0, 3, shape), mask).astype(np.uint8)
        if seed % 5 == 0:
            mask = ndimage.grey_dilation(mask, size=3)
        found, expected = ids_after(Given(ids, before, "a"), mask), on_the_whole_picture(Given(ids, before, "a"), mask)
        np.testing.assert_array_equal(found, expected)
        made += len(np.setdiff1d(expected, ids))
    assert made > 30  # else these pictures say little


def test_the_ids_of_a_stroke_take_no_work_on_the_whole_picture_for_each_object(monkeypatch):
    ids = np.zeros((400, 400), np.int64)
    for number in range(100):
        top, left = 40 * (number // 10) + 10, 40 * (number % 10) + 10
        ids[top : top + 20, left : left + 20] = number + 1
    whole = []

    def counted(name):
        made = getattr(ndimage, name)
        monkeypatch.setattr(
            ndimage, name, lambda a, *args, **options: whole.append(a.shape == ids.shape) or made(a, *args, **options)
        )

    for name in ("label", "binary_dilation", "distance_transform_edt"):
        counted(name)
    mask = (ids > 0).astype(np.uint8)
    corrected = mask.copy()
    corrected[10::40], corrected[31::40] = 0, mask[29::40]  # a row less at the top, a line of its own below
    corrected[30::40] = mask[29::40]
    ids_after(Given(ids, mask, "a"), corrected)
    assert len(whole) > 200
    assert sum(whole) < 5


@pytest.fixture
def with_ids(project):
    """The first picture has an exact mask and ids of somebody's."""
    for folder in ("masks", "instances"):
        (project.folder / folder).mkdir()
    tifffile.imwrite(project.folder / "masks" / "a.tif", MASK)
    tifffile.imwrite(project.folder / "instances" / "a.tif", IDS.astype(np.uint16))
    item = {"image": "images/a.png", "segmentation": "masks/a.tif", "instances": "instances/a.tif"}
    project.records.datalist.change(lambda content: content["validation"].append(item))
    project.refresh()
    return project


def item_of(project) -> dict:
    (item,) = listed(project.folder)["validation"]
    return item


def codes(project) -> set[str]:
    return {finding.code for finding in check_datalist(project.folder, sections=(), marks=True).findings}


def test_the_datalist_names_ids_of_the_mask_as_it_is_drawn(with_ids):
    project, entry = with_ids, with_ids.entry("images/a.png")
    mask = project.labels.read(entry, "segmentation")
    mask[25:35, 30:42] = 1
    project.labels.save(entry, "segmentation", mask)
    ids = read_label(project.folder / item_of(project)["instances"])
    np.testing.assert_array_equal(ids, np.where(mask > IDS, 8, IDS))
    assert "ids-disagree" not in codes(project)
    np.testing.assert_array_equal(read_label(project.folder / "instances" / "a.tif"), IDS)  # somebody's
    with again(project) as opened:  # and on from there
        entry = opened.entry("images/a.png")
        mask[2:12, 2:12] = 0
        opened.labels.save(entry, "segmentation", mask)
        ids = read_label(project.folder / item_of(project)["instances"])
        assert sorted(np.unique(ids)) == [0, 2, 7, 8]
        opened.labels.save(entry, "segmentation", np.full(SHAPE, 255))
        assert listed(opened.folder)["validation"] == listed(opened.folder)["training"] == []
        opened.labels.save(entry, "segmentation", mask)
        np.testing.assert_array_equal(read_label(project.folder / item_of(project)["instances"]), ids)
        opened.labels.save(entry, "segmentation", MASK)
        assert item_of(opened)["instances"] == "instances/a.tif"


def test_an_object_that_is_rubbed_out_is_none_of_the_datalist(with_ids):
    """Scored, it would be one that the network misses."""
    project, entry = with_ids, with_ids.entry("images/a.png")
    project.labels.save(entry, "segmentation", np.where(IDS == 7, 255, MASK))
    np.testing.assert_array_equal(read_label(project.folder / item_of(project)["instances"]), np.where(IDS == 7, 0, IDS))
    project.labels.save(entry, "segmentation", MASK)  # undone
    assert item_of(project)["instances"] == "instances/a.tif"


def test_check_tells_of_a_mask_that_another_program_changed(with_ids):
    assert "ids-disagree" not in codes(with_ids)
    mask = MASK.copy()
    mask[25:35, 30:42] = 1
    tifffile.imwrite(with_ids.folder / "masks" / "a.tif", mask)
    assert "ids-disagree" in codes(with_ids)


def test_a_file_of_somebodys_is_not_written_over(with_ids):
    project, entry = with_ids, with_ids.entry("images/a.png")
    theirs = project.files.ids(entry.name)
    theirs.write_bytes(b"theirs")
    mask = project.labels.read(entry, "segmentation")
    mask[2:12, 2:12] = 0
    project.labels.save(entry, "segmentation", mask)
    assert theirs.read_bytes() == b"theirs"
    np.testing.assert_array_equal(np.unique(read_label(project.folder / item_of(project)["instances"])), [0, 2, 7])


def test_ids_that_cannot_be_read_are_left_to_the_check(with_ids):
    project, entry = with_ids, with_ids.entry("images/a.png")
    (project.folder / "instances" / "a.tif").write_bytes(b"nothing")
    project.labels.save(entry, "segmentation", MASK * 2)
    assert item_of(project)["instances"] == "instances/a.tif"
    assert "unreadable" in codes(project)
