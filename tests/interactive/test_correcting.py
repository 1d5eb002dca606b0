"""Corrections are labels: those that `lazylabels datalist` makes of what the person says by them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.draw import disk

from lazylabels_monai.data.building import build_datalist
from lazylabels_monai.data.building.options import BuildOptions
from lazylabels_monai.data.checking import check_datalist
from lazylabels_monai.data.datalist import load_datalist
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.images.files import read_label
from lazylabels_monai.interactive.correcting import (
    KEEP,
    apply,
    drawn_labels,
    erase,
    join,
    line_of,
    marked,
    outline,
    outlined,
    relabel,
    split,
    undo,
)
from lazylabels_monai.interactive.project import Project
from lazylabels_monai.tasks import TASKS
from tests.interactive.folders import pictures

SHAPE = (60, 80)
NONE = np.full(SHAPE, 255, np.uint8)


def scene() -> np.ndarray:
    """Two discs that touch, as one object 1; object 2 beside it; object 3 away from both."""
    objects = np.zeros(SHAPE, np.int32)
    objects[disk((20, 18), 11)] = 1
    objects[disk((20, 36), 10)] = 1
    objects[disk((20, 54), 9)] = 2
    objects[disk((48, 20), 7)] = 3
    return objects


def labels_of(change: np.ndarray) -> np.ndarray:
    """A change of a label of which nothing was said before."""
    return np.where(change == KEEP, 255, change).astype(np.uint8)


def built(tmp_path, ids: np.ndarray, **options) -> dict[str, np.ndarray]:
    """What `lazylabels datalist` makes of exact objects, where unmarked pixels are ignored."""
    src = tmp_path / "src"
    for name, array in (("images", np.zeros(ids.shape, np.uint8)), ("masks", ids.astype(np.uint16))):
        (src / name).mkdir(parents=True)
        array = array + (np.arange(array.size).reshape(array.shape) % 7).astype(array.dtype) if name == "images" else array
        Image.fromarray(array).save(src / name / "a.png")
    given = {"unlabelled": {"": "ignore"}, "ids": "values", "validation": 0, "classes": ["object"], **options}
    build_datalist(src, tmp_path / "out", BuildOptions(**given))
    (item,) = load_datalist(tmp_path / "out")["training"]
    return {task: read_label(tmp_path / "out" / item[task]) for task in TASKS if task in item}


def test_a_split_is_the_scribble_that_datalist_makes_of_the_two_objects(tmp_path):
    objects = scene()
    found = split(objects, line_of([(2, 27), (40, 28)], SHAPE), np.array([0, 2, 1, 1]))
    assert set(np.unique(found.objects)) == {0, 1, 2, 3, 4}
    assert found.classes == {1: 2, 4: 2}  # the class that it had
    assert np.array_equal(found.objects > 0, objects > 0)  # not a pixel is lost
    assert np.array_equal(np.isin(found.objects, (1, 4)), objects == 1)
    assert (found.objects == 1).sum() > (found.objects == 4).sum()
    assert set(found.labels) == {"separation"}
    pieces = np.where(np.isin(found.objects, (1, 4)), found.objects, 0)
    expected = built(tmp_path, pieces, halo=0)["separation"]
    assert np.array_equal(labels_of(found.labels["separation"]), expected)
    assert {0, 1, 255} == set(np.unique(expected))
    # nothing is said of the neighbours
    assert (found.labels["separation"][np.isin(objects, (2, 3))] == KEEP).all()


def test_a_join_says_that_there_is_no_interface(tmp_path):
    parted = split(scene(), line_of([(2, 27), (40, 28)], SHAPE)).objects
    found = join(parted, line_of([(20, 20), (20, 34)], SHAPE), np.array([0, 1, 1, 1, 2]))
    assert np.array_equal(found.objects, scene())
    assert found.classes == {1: 1}
    expected = built(tmp_path, np.where(scene() == 1, 1, 0), halo=0)["separation"]
    assert np.array_equal(labels_of(found.labels["separation"]), expected)
    assert set(np.unique(expected)) == {0, 255}
    # joined as they were parted: what the split said of an interface is taken back, at its ends, too
    scribble = split(scene(), line_of([(2, 27), (40, 28)], SHAPE)).labels["separation"] == 1
    assert np.isin(found.labels["separation"][scribble], (0, 255)).all()


def test_the_line_fills_the_gap_between_objects_and_nothing_else():
    objects = np.zeros(SHAPE, np.int32)
    objects[10:20, 10:20], objects[10:20, 23:33] = 5, 9
    line = line_of([(15, 2), (15, 40)], SHAPE)
    made = join(objects, line).objects
    assert set(np.unique(made)) == {0, 5}
    assert ndimage.label(made)[1] == 1
    between = np.zeros(SHAPE, bool)
    between[:, 20:23] = True
    assert np.array_equal(made > 0, (objects > 0) | (line & between))
    assert join(objects, line).overrule is None  # no class is known


@pytest.mark.parametrize("halo", [0, 3])
def test_an_outline_is_what_datalist_makes_of_it(tmp_path, halo):
    """In an image with one object, whose surroundings are not another's."""
    objects = np.where(scene() == 3, 3, 0)
    mask = np.zeros(SHAPE, bool)
    mask[disk((47, 22), 9)] = True
    rng = np.random.default_rng([0, zlib.crc32(b"a")])
    found = outline(objects, 3, mask, 1, halo, rng)
    assert np.array_equal(found.objects, np.where(mask, 3, 0))
    assert found.classes == {3: 1}
    expected = built(tmp_path, mask.astype(int), halo=halo)
    assert set(expected) == set(TASKS) == set(found.labels)
    for task in TASKS:
        assert np.array_equal(labels_of(found.labels[task]), expected[task]), task


def test_an_outline_says_nothing_of_other_objects():
    objects = scene()
    mask = np.zeros(SHAPE, bool)
    mask[disk((20, 54), 10)] = True
    found = outline(objects, 2, mask, 2)
    segmentation = found.labels["segmentation"]
    assert np.array_equal(segmentation == 2, mask)
    assert np.array_equal(found.objects == 2, mask)
    others = np.isin(found.objects, (1, 3))
    assert all((change[others] == KEEP).all() for change in found.labels.values())
    assert (segmentation == 0).any()
    assert set(np.unique(found.objects)) == {0, 1, 2, 3}
    assert 9 in np.unique(outline(objects, 9, mask, 1).objects)  # one that was not seen


def disc(*place: int, radius: int = 9) -> np.ndarray:
    found = np.zeros(SHAPE, bool)
    found[disk(place, radius)] = True
    return found


PIXEL = 20, 49


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({7: disc(20, 54), 1: disc(20, 18)}, 7),  # the same objects by other ids
        ({7: disc(20, 60), 1: disc(20, 18)}, 7),  # it moved: the click misses it
        ({1: disc(20, 18)}, 2),  # the network does not see it any more
        ({1: disc(20, 54) | disc(20, 36)}, 2),  # with its neighbour it is one now: the neighbour stays
        ({1: disc(20, 54) | disc(20, 40, radius=6)}, 2),  # a smaller one, too
        ({1: disc(20, 54, radius=11)}, 1),  # it grew
        ({1: disc(20, 54), 2: disc(20, 49, radius=2)}, 2),  # under the click, be it small
    ],
)
def test_the_object_of_an_outline_is_found_in_the_objects_of_now(now, expected):
    objects = np.zeros(SHAPE, np.int32)
    for number, where in now.items():
        objects[where] = number
    assert outlined(objects, PIXEL, disc(20, 54)) == expected


def test_an_erased_object_is_background():
    found = erase(scene(), scene() == 2)
    assert np.array_equal(found.objects, np.where(scene() == 2, 0, scene()))
    for task in ("segmentation", "detection"):
        assert np.array_equal(found.labels[task], np.where(scene() == 2, 0, KEEP))


def test_one_stroke_erases_all_that_it_touches():
    found = erase(scene(), line_of([(20, 54), (48, 20)], SHAPE))
    assert set(np.unique(scene()[line_of([(20, 54), (48, 20)], SHAPE)])) == {0, 2, 3}
    assert np.array_equal(found.objects, np.where(scene() == 1, 1, 0))
    assert np.array_equal(found.labels["detection"], np.where(scene() > 1, 0, KEEP))


def test_one_stroke_gives_all_that_it_touches_another_class():
    found = relabel(scene(), line_of([(20, 54), (48, 20)], SHAPE), 2)
    assert np.array_equal(found.objects, scene())
    assert found.classes == {2: 2, 3: 2}
    inner = found.labels["detection"] == 2
    assert set(np.unique(scene()[inner])) == {2, 3}  # an inner region of each
    assert np.array_equal(found.overrule == 2, scene() > 1)


def test_another_class_is_an_inner_region():
    found = relabel(scene(), scene() == 2, 2)
    inner = found.labels["detection"] == 2
    assert np.array_equal(found.objects, scene())
    assert found.classes == {2: 2}
    assert inner.any()
    assert not (inner & (scene() != 2)).any()
    # it misses the object's border
    assert not (inner & ~ndimage.binary_erosion(scene() == 2)).any()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: split(scene(), line_of([(2, 2), (2, 30)], SHAPE)), "parts no object"),
        (lambda: split(scene(), line_of([(20, 10), (20, 20)], SHAPE)), "parts no object"),
        (lambda: split(scene(), np.zeros((3, 3), bool)), "draw on this picture"),
        (lambda: join(scene(), line_of([(20, 10), (20, 20)], SHAPE)), "fewer than two"),
        (lambda: erase(scene(), scene() == 0), "no object here"),
        (lambda: erase(scene(), np.zeros((3, 3), bool)), "draw on this picture"),
        (lambda: relabel(scene(), scene() == 0, 1), "no object here"),
        (lambda: outline(scene(), 1, np.zeros(SHAPE, bool), 1), "no pixel"),
    ],
)
def test_what_corrects_nothing_is_said(made, said):
    with pytest.raises(LazyLabelsError, match=said):
        made()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 64), st.integers(-5, 84)), min_size=2, max_size=4))
def test_any_stroke_parts_or_is_refused(points):
    """No pixel changes between object and background, ids stay unique and whole, and the scribble runs in the object."""
    objects = scene()
    stroke = line_of(points, SHAPE)
    try:
        found = split(objects, stroke)
    except LazyLabelsError:
        return
    made = found.objects
    assert np.array_equal(made > 0, objects > 0)
    for number in np.unique(made[made > 0]):
        assert len(np.unique(objects[made == number])) == 1
    scribble = found.labels["separation"] == 1
    assert scribble.any()
    assert ndimage.binary_dilation(objects > 0, np.ones((3, 3)), 2)[scribble].all()
    new = set(np.unique(made)) - set(np.unique(objects))
    assert set(found.classes) == new | set(np.unique(objects[np.isin(made, list(new))]))  # all pieces are the person's
    # back again
    for number in new:
        owner = int(np.unique(objects[made == number])[0])
        assume(ndimage.label(np.isin(made, (number, owner)))[1] == 1)
        joined = join(made, np.isin(made, (number, owner))).objects
        assert np.array_equal(joined > 0, objects > 0)


# ------------------------------------------------------------------------------------------- in a project


@pytest.fixture
def project(tmp_path):
    with Project.open(pictures(tmp_path / "my", 1, SHAPE), create=True, classes=["pore", "grain"]) as project:
        yield project


def test_corrections_are_saved_as_labels_and_can_be_taken_back(project):
    (entry,) = project.images
    marks = NONE.copy()
    marks[18:22, 14:20] = 1
    project.labels.save(entry, "detection", marks)
    first = split(scene(), line_of([(2, 27), (40, 28)], SHAPE))
    assert set(apply(project, entry, first)) == {"separation"}
    assert np.array_equal(project.labels.read(entry, "separation"), labels_of(first.labels["separation"]))
    assert np.array_equal(project.labels.read(entry, "detection"), marks)
    before = apply(project, entry, relabel(first.objects, first.objects == 2, 2))
    assert np.array_equal(before["detection"], marks)
    assert (project.labels.read(entry, "detection")[18:22, 14:20] == 1).all()
    assert (project.labels.read(entry, "detection") == 2).any()
    undo(project, entry, before)
    assert np.array_equal(project.labels.read(entry, "detection"), marks)
    assert entry.corrected == {"separation", "detection"}
    # a join after a split overrules it where it says something
    apply(project, entry, join(first.objects, line_of([(20, 20), (20, 34)], SHAPE)))
    assert 1 not in project.labels.read(entry, "separation")
    assert check_datalist(project.folder, ("training",)).errors == []


def test_an_erased_object_is_kept_in_mind_where_no_object_is_drawn_yet(project):
    """Background alone is no exact mask; with the first outline it counts."""
    (entry,) = project.images
    apply(project, entry, erase(scene(), scene() == 2))
    assert entry.drawn == {"detection"}
    mask = np.zeros(SHAPE, bool)
    mask[disk((48, 20), 7)] = True
    apply(project, entry, outline(scene(), 3, mask, 1))
    segmentation = project.labels.read(entry, "segmentation")
    assert (segmentation[scene() == 2] == 0).all()
    assert (segmentation[mask] == 1).all()
    assert entry.drawn == set(TASKS)
    assert check_datalist(project.folder, ("training",)).errors == []


def test_another_class_replaces_that_of_an_exact_mask_that_is_there(project):
    (entry,) = project.images
    mask = scene() == 2
    apply(project, entry, outline(scene(), 2, mask, 1))
    apply(project, entry, relabel(scene(), scene() == 2, 2))
    segmentation, detection = (project.labels.read(entry, task) for task in ("segmentation", "detection"))
    assert (segmentation[mask] == 2).all()
    assert set(np.unique(segmentation)) == {0, 2, 255}
    assert 2 in detection


@pytest.mark.parametrize("undone", [False, True])
@pytest.mark.parametrize("ticked", [False, True], ids=["tick away first", "tick there"])
def test_background_of_a_correction_stays_without_the_tick_and_no_other(project, undone, ticked):
    """An erased object is background because a person said so; all else was "everything is marked here"."""
    (entry,) = project.images
    dab = np.where(disc(48, 20, radius=4), 1, 255)
    project.labels.save(entry, "detection", dab)
    project.labels.set_complete(entry, "detection", True)
    before = apply(project, entry, erase(scene(), scene() == 2))
    if ticked and undone:
        undo(project, entry, before)
    project.labels.set_complete(entry, "detection", False)
    if not ticked and undone:
        undo(project, entry, before)
    expected = dab if undone else np.where(scene() == 2, 0, dab)
    assert np.array_equal(project.labels.read(entry, "detection"), expected)


def test_another_class_replaces_that_of_an_inner_region_that_is_there(project):
    """The network would be taught both classes on one object."""
    (entry,) = project.images
    dab = disc(20, 54, radius=8)
    other = disc(48, 20, radius=4)
    marks = np.where(dab | other, 1, 255).astype(np.uint8)
    marks[20, 54] = 0
    project.labels.save(entry, "detection", marks)
    before = apply(project, entry, relabel(scene(), scene() == 2, 2))
    detection = project.labels.read(entry, "detection")
    assert (detection[dab] == 2).all()
    assert np.array_equal(detection == 1, other)  # of another object
    undo(project, entry, before)
    assert np.array_equal(project.labels.read(entry, "detection"), marks)


@pytest.mark.parametrize(
    ("dabs", "expected"),
    [
        ([], 1),  # the network's class of the larger one
        ([(5, 1), (2, 2)], 1),
        ([(5, 2), (2, 1)], 2),  # the person's goes before the network's
        ([(2, 2)], 2),
        ([(9, 2)], 1),  # a neighbour's, which reaches into the larger one
    ],
)
def test_objects_that_are_joined_have_one_class_in_all_marks(project, dabs, expected):
    """5 is the larger one, of the first class for the network, 2 of the second."""
    (entry,) = project.images
    objects = np.where(scene() == 2, 2, np.where(scene() == 1, 5, 0))
    places = {5: (20, 34), 2: (20, 54), 9: (31, 34)}
    marks, mask = NONE.copy(), NONE.copy()
    for number, value in dabs:
        marks[disc(*places[number], radius=5)] = value
        mask[objects == number] = value
    project.labels.save(entry, "detection", marks)
    project.labels.save(entry, "segmentation", mask)
    line = line_of([(20, 34), (20, 54)], SHAPE)
    found = join(objects, line, np.array([0, 0, 2, 0, 0, 1]), marked(project, entry))
    assert found.classes == {5: expected}
    apply(project, entry, found)
    for task, drawn in (("detection", marks), ("segmentation", mask)):
        inside = np.isin(drawn, (1, 2)) & (found.objects == 5)
        assert np.array_equal(project.labels.read(entry, task), np.where(inside, expected, drawn)), task


# ------------------------------------------------------------------------------------------- beside what is marked


def square(left: int, width: int = 20) -> np.ndarray:
    found = np.zeros(SHAPE, bool)
    found[20:40, left : left + width] = True
    return found


ONE, OTHER = square(20), square(40)  # they touch
SEAM = np.zeros(SHAPE, bool)
SEAM[18:42, 39:41] = True
SHOWN = {"merged": ONE | OTHER, "apart": ONE + 2 * OTHER, "nothing": np.zeros(SHAPE, int)}


def taken(project, objects: np.ndarray, *masks: np.ndarray) -> dict[str, np.ndarray]:
    """The labels after outlines were taken one after the other, as the window takes them."""
    (entry,) = project.images
    objects = objects.astype(np.int32)
    for mask in masks:
        rows, columns = np.nonzero(mask)
        pixel = int(rows.mean()), int(columns.mean())
        seen = mask | ((objects == objects[pixel]) & (objects[pixel] > 0))
        marks = drawn_labels(project, entry)
        found = outline(objects, outlined(objects, pixel, seen), mask, 1, rng=0, marks=marks)
        apply(project, entry, found)
        objects = found.objects
    return {task: project.labels.read(entry, task) for task in TASKS}


@pytest.mark.parametrize("shown", SHOWN)
def test_outlines_that_touch_are_what_datalist_makes_of_both(project, tmp_path, shown):
    expected = built(tmp_path, ONE + 2 * OTHER)
    found = taken(project, SHOWN[shown], ONE, OTHER)
    assert np.array_equal(found["segmentation"], expected["segmentation"])
    assert np.array_equal(found["separation"] == 1, expected["separation"] == 1)
    assert (expected["separation"] == 1).sum() > 60
    # a pixel less may be said at the ends of the seam, none that is wrong
    assert np.isin(found["separation"][found["separation"] != expected["separation"]], 255).all()
    assert not ((found["detection"] == 0) & (expected["detection"] == 255)).any()


@pytest.mark.parametrize("shown", SHOWN)
def test_an_outline_leaves_the_scribble_and_the_region_of_its_neighbour(project, shown):
    (entry,) = project.images
    dabs, scribble = NONE.copy(), np.where(SEAM, 1, 255).astype(np.uint8)
    dabs[24:36, 24:37] = dabs[24:36, 42:56] = 1
    project.labels.save(entry, "detection", dabs)
    project.labels.save(entry, "separation", scribble)
    found = taken(project, SHOWN[shown], ONE)
    assert (found["separation"][SEAM] == 1).all()
    assert (found["detection"][dabs == 1] == 1).all()  # its own, too, as `lazylabels datalist` has it
    assert (found["segmentation"][OTHER] == 255).all()  # behind the interface there is another object
    assert np.array_equal(found["detection"] == 0, (found["segmentation"] == 0) | ONE & (found["detection"] != 1))
    assert (found["segmentation"] == 0).any()
    found = taken(project, SHOWN[shown], OTHER)
    assert (found["separation"][SEAM] == 1).all()


@pytest.mark.parametrize("scribbled", [False, True])
@pytest.mark.parametrize("shown", ["merged", "one", "nothing"])
def test_an_outline_leaves_an_exact_mask_that_is_not_shown(project, shown, scribbled):
    (entry,) = project.images
    project.labels.save(entry, "segmentation", np.where(OTHER, 1, 255).astype(np.uint8))
    if scribbled:
        project.labels.save(entry, "separation", np.where(SEAM, 1, 255).astype(np.uint8))
    found = taken(project, {**SHOWN, "one": ONE}[shown], ONE)
    assert (found["segmentation"][ONE | OTHER] == 1).all()
    assert (found["detection"][OTHER] == 255).all()
    assert (found["separation"][20:40, 39:41] == 1).all()


def test_a_prediction_that_is_too_large_is_background_and_one_that_holds_a_neighbour_is_not(project):
    objects = np.zeros(SHAPE, int)
    objects[8:52, 8:52] = 1
    found = taken(project, objects, ONE)
    near = (ndimage.distance_transform_edt(~ONE) <= 3) & ~ONE
    assert np.array_equal(found["segmentation"] == 0, near)
    (entry,) = project.images
    for task in TASKS:
        project.labels.save(entry, task, NONE)
    found = taken(project, ONE | OTHER, ONE)
    assert np.array_equal(found["segmentation"] == 0, near & ~OTHER)


def test_an_outline_taken_anew_moves_the_interface_with_it(project, tmp_path):
    taken(project, SHOWN["apart"], ONE, OTHER)
    smaller = square(20, 17)
    found = taken(project, SHOWN["apart"], smaller)
    assert (found["segmentation"][smaller | OTHER] == 1).all()
    assert not (found["separation"] == 1).any()  # three pixels lie between them
    found = taken(project, smaller + 2 * OTHER, ONE)
    expected = built(tmp_path, ONE + 2 * OTHER)
    assert np.array_equal(found["separation"] == 1, expected["separation"] == 1)
    assert np.array_equal(found["segmentation"], expected["segmentation"])


@pytest.mark.parametrize(("left", "stays"), [(20, True), (23, True), (36, True), (29, False)])
def test_an_interface_that_runs_through_an_outline_gives_way_and_one_along_its_border_stays(project, left, stays):
    (entry,) = project.images
    scribble = NONE.copy()
    scribble[18:42, left : left + 3] = 1
    project.labels.save(entry, "separation", scribble)
    found = taken(project, SHOWN["apart"], ONE)["separation"]
    assert (found[20:40, left : left + 3] == (1 if stays else 0)).all()
    assert stays or not (found == 1).any()  # its ends go with it


def test_a_split_leaves_the_interfaces_that_are_drawn_in_the_object(project):
    (entry,) = project.images
    row, scribble = square(10, 60), NONE.copy()
    scribble[20:40, 29:32] = 1
    project.labels.save(entry, "separation", scribble)
    cut = line_of([(15, 50), (45, 50)], SHAPE)
    apply(project, entry, split(row.astype(np.int32), cut, marks=drawn_labels(project, entry)))
    found = project.labels.read(entry, "separation")
    assert (found[scribble == 1] == 1).all()
    assert (found[24:36, 50] == 1).all()
    assert (found[24:36, 35:45] == 0).all()


def test_a_join_leaves_the_interface_to_a_third_object(project):
    (entry,) = project.images
    objects = (ONE + 2 * OTHER + 3 * square(60)).astype(np.int32)
    scribble = NONE.copy()
    scribble[20:40, 56:62] = scribble[20:40, 39:41] = 1
    project.labels.save(entry, "separation", scribble)
    apply(project, entry, join(objects, line_of([(30, 30), (30, 50)], SHAPE), marks=drawn_labels(project, entry)))
    found = project.labels.read(entry, "separation")
    assert (found[20:40, 56:62] == 1).all()
    assert (found[22:38, 38:42] == 0).all()
