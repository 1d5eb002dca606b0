"""Objects from maps: drawings whose answer is known, and loops that say the same more slowly."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from scipy import ndimage

from lazylabels_monai.data.simulating.microstructures import make_image
from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.instances import (
    ROUTES,
    InstanceSettings,
    component_instances,
    distance_instances,
    instance_classes,
    needed_tasks,
    require_needed,
    separate_objects,
    three_map_instances,
)
from lazylabels_monai.labels.inner import inner_regions
from lazylabels_monai.labels.interfaces import interfaces
from lazylabels_monai.metrics import (
    ObjectMetric,
)
from lazylabels_monai.tasks import TASKS
from tests.helpers import ROOT
from tests.metrics.maps import _discs_in_a_row, _probabilities, _truth


def one_hot(classes, count):
    return np.stack([classes == k for k in range(count)]).astype(np.float32)


def discs(*circles, shape=(60, 90)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    out = np.zeros(shape, np.uint8)
    for row, column, radius in circles:
        out[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = 1
    return out


def maps_of(made, classes=3):
    """What a network that makes no mistake would give."""
    lines = interfaces(made["instances"])
    return made["classes"], one_hot(made["classes"], classes), one_hot(lines, 2)


def test_perfect_maps_give_the_true_objects():
    made = make_image((200, 240), seed=5)
    found = three_map_instances(*maps_of(made), min_marker=1)
    truth = made["instances"]
    ids = [i for i in np.unique(truth) if i and (truth == i).sum() > 60]
    best = []
    for i in ids:
        overlap = np.bincount(found[truth == i])
        j = overlap[1:].argmax() + 1
        best.append(overlap[j] / ((truth == i) | (found == j)).sum())
    assert len(ids) > 20
    assert np.mean(np.array(best) > 0.7) > 0.9
    assert component_instances(made["classes"]).max() < found.max(), "touching objects are parted"


def test_a_patch_of_another_class_does_not_part_an_object():
    classes = np.zeros((20, 30), np.uint8)
    classes[4:16, 3:27] = 1
    classes[7:13, 8:14] = 2
    none = one_hot(np.zeros_like(classes), 2)
    found = three_map_instances(classes, one_hot(classes, 3), none)
    assert found.max() == 1
    assert instance_classes(found, classes).tolist() == [0, 1]


def test_thresholds_decide_what_is_detected_and_what_is_an_interface():
    mask = np.zeros((20, 41), np.uint8)
    mask[5:15, 2:39] = 1
    detection = one_hot(mask, 2) * 0.7
    detection[0] = 1 - detection[1]
    separation = np.zeros((2, 20, 41), np.float32)
    separation[1, :, 20] = 0.4
    separation[0] = 1 - separation[1]

    def count(**settings):
        return separate_objects(mask, detection, separation, InstanceSettings(**settings)).max()

    assert count() == 1, "0.4 is no interface at a threshold of 0.5"
    assert count(separation_threshold=0.3) == 2
    detection[1, :, 20:] = 0.2
    detection[0] = 1 - detection[1]
    assert count(separation_threshold=0.3) == 1, "one half is not detected any more"
    assert count(separation_threshold=0.3, detection_threshold=0.1) == 2


def test_cut_leaves_a_line_between_objects():
    mask = np.ones((12, 21), np.uint8)
    separation = np.zeros((2, 12, 21), np.float32)
    separation[1, :, 10] = 0.9
    separation[0] = 1 - separation[1]
    whole = three_map_instances(mask, one_hot(mask, 2), separation)
    cut = three_map_instances(mask, one_hot(mask, 2), separation, cut=True)
    assert whole.max() == cut.max() == 2
    assert (whole > 0).all()
    assert (cut[:, 10] == 0).all()


@pytest.mark.parametrize("seed", range(6))
def test_three_maps_flood_from_the_markers_on_plateaus_and_ties(seed):
    """Maps of four values, so that most pixels tie. A pixel goes to a marker from which it is flooded first: one with which
    it is connected at the lowest level that connects it with any."""
    rng = np.random.default_rng(seed)
    mask, detected, interface = (ndimage.gaussian_filter(rng.random((40, 50)), width) for width in (3, 2, 1))
    mask = (mask > 0.48).astype(np.uint8)
    detected, interface = (np.digitize(m, np.quantile(m, [0.4, 0.6, 0.8])) / 4 for m in (detected, interface))
    detection, separation = np.stack([1 - detected, detected]), np.stack([1 - interface, interface])
    found = three_map_instances(mask, detection, separation, min_marker=1)
    markers, count = ndimage.label((detected > 0.5) & (interface <= 0.5) & (mask > 0))
    components, _ = ndimage.label(mask)
    for number in range(1, count + 1):
        assert len(np.unique(found[markers == number])) == 1, "a marker lies in one object"
    orphans = set(np.unique(components)) - set(np.unique(components[markers > 0])) - {0}
    assert found.max() == count + len(orphans) > 5
    landscape, open_pixels = interface + 1 - detected, (mask > 0) & (markers == 0)
    for level in np.unique(landscape):
        flooded, lakes = ndimage.label((landscape <= level) & (mask > 0))
        for lake in range(1, lakes + 1):
            here = flooded == lake
            if (sources := np.unique(found[here & (markers > 0)])).size:
                assert np.isin(found[here & open_pixels], sources).all()
                open_pixels &= ~here
    again = three_map_instances(*(np.asfortranarray(m) for m in (mask, detection, separation)), min_marker=1)
    np.testing.assert_array_equal(again, found, err_msg="how the maps lie in memory decides no tie")


@pytest.mark.parametrize("settings", [{}, {"neck": 0.8}, {"cut": True}, {"route": "components"}, {"route": "distance"}])
def test_objects_of_plateaus_are_the_same_whenever_and_however_they_are_asked_for(settings):
    """Squares of one size, whose distances tie, under maps of two values."""
    mask = np.kron(np.random.default_rng(0).integers(0, 2, (12, 15)), np.ones((8, 8), int)).astype(np.uint8)
    interface = one_hot((np.add.outer(np.arange(96) // 24, np.arange(120) // 24) % 2) * mask, 2)
    maps = (mask, one_hot(mask, 2), interface)
    chosen = InstanceSettings(min_marker=1, min_size=0, **settings)
    first = separate_objects(*maps, chosen)
    assert first.max() > 5
    for other in (maps, [np.asfortranarray(m) for m in maps], [m.copy() for m in maps], [m.astype(np.float64) for m in maps]):
        kinds = [other[0].astype(np.uint8), *other[1:]]
        np.testing.assert_array_equal(separate_objects(*kinds, chosen), first)


@pytest.mark.parametrize("neck", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_cut_objects_stay_in_one_piece_and_never_meet(seed, neck):
    rng = np.random.default_rng(seed)
    mask, detected, interface = (ndimage.gaussian_filter(rng.random((60, 70)), width) for width in (2, 1, 1))
    mask = (mask > 0.5).astype(np.uint8)
    maps = np.stack([1 - detected, detected]), np.stack([1 - interface, interface])
    cut = three_map_instances(mask, *maps, min_marker=4, cut=True, neck=neck)
    assert cut.max() > 10
    assert all(ndimage.label(cut == i)[1] == 1 for i in range(1, cut.max() + 1))
    for a, b in ((cut[1:], cut[:-1]), (cut[:, 1:], cut[:, :-1])):
        assert not ((a != b) & (a > 0) & (b > 0)).any()


def test_a_component_without_a_marker_stays_one_object():
    mask = discs((20, 20, 10), (20, 60, 10))
    detection = one_hot(mask, 2)
    detection[:, :, 40:] = np.array([0.9, 0.1])[:, None, None]
    found = three_map_instances(mask, detection, one_hot(np.zeros_like(mask), 2))
    np.testing.assert_array_equal(found > 0, mask > 0)
    assert found.max() == 2
    dropped = three_map_instances(mask, detection, one_hot(np.zeros_like(mask), 2), drop_undetected=True)
    np.testing.assert_array_equal(dropped > 0, discs((20, 20, 10), (20, 60, 10)) * (np.arange(mask.shape[1]) < 40) > 0)
    by_settings = InstanceSettings(drop_undetected=True, min_size=0)
    np.testing.assert_array_equal(separate_objects(mask, detection, one_hot(np.zeros_like(mask), 2), by_settings), dropped)


def test_distance_parts_two_overlapping_discs():
    mask = discs((30, 30, 15), (30, 55, 15))
    assert component_instances(mask).max() == 1
    found = distance_instances(mask, min_distance=8)
    assert found.max() == 2
    assert found[30, 30] != found[30, 55]
    np.testing.assert_array_equal(found > 0, mask > 0)
    assert distance_instances(np.zeros((5, 6), np.uint8)).max() == 0


def test_holes_and_specks_go_by_size():
    mask = discs((30, 30, 20))
    mask[30, 30] = 0  # a hole of one pixel
    mask[28:32, 38:42] = 0  # one of sixteen
    mask[2, 80] = 1
    mask[25:36, 0] = 1  # at the border: what lies behind it is unknown
    for function in (component_instances, distance_instances):
        found = function(mask, min_size=1, max_hole=1)
        assert found.max() >= 1
        assert found[30, 30] > 0, "filled"
        assert found[29, 39] == 0, "too large to be filled"
        assert found[2, 80] == 0, "a speck"
    assert component_instances(mask, max_hole=16)[29, 39] > 0
    between = discs((30, 30, 12), (30, 56, 12))
    between[29:32, 43] = 0
    assert (component_instances(between, max_hole=50)[29:32, 43] == 0).all(), "a gap of two objects is no hole of one"


@pytest.mark.parametrize("seed", range(5))
def test_class_of_an_object_is_that_of_most_pixels(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 7, (15, 17))
    segmentation = rng.choice([0, 1, 2, 255], (15, 17)).astype(np.uint8)
    ids[segmentation == 2] = np.where(ids[segmentation == 2] == 3, 0, ids[segmentation == 2])
    got = instance_classes(ids, segmentation)
    for i in range(1, ids.max() + 1):
        votes = {c: int(((ids == i) & (segmentation == c)).sum()) for c in (1, 2)}
        assert got[i] == max(votes, key=lambda c: (votes[c], -c))
    assert got[0] == 0


@pytest.mark.parametrize("seed", range(4))
def test_distance_loses_and_joins_no_pixel(seed):
    """Every pixel belongs to an object, and every object lies in one component of one class, in one piece."""
    rng = np.random.default_rng(seed)
    classes = np.where(rng.random((40, 50)) < 0.7, rng.integers(1, 3, (40, 50)), 0).astype(np.uint8)
    found, components = distance_instances(classes, min_distance=3), component_instances(classes)
    np.testing.assert_array_equal(found > 0, classes > 0)
    for i in range(1, found.max() + 1):
        assert len(np.unique(components[found == i])) == 1
        assert ndimage.label(found == i)[1] == 1


def test_volumes():
    mask = np.zeros((12, 14, 20), np.uint8)
    mask[2:10, 2:12, 2:9] = mask[2:10, 2:12, 11:18] = 1
    assert separate_objects(mask).max() == 2
    assert distance_instances(mask, 4).max() == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"route": "magic"}, "route 'magic' does not exist: use one of three maps"),
        ({"detection_threshold": 1.0}, r"detection_threshold 1.0 must lie between 0 and 1"),
        ({"separation_threshold": 0}, r"separation_threshold 0 must lie between 0 and 1"),
        ({"min_size": -1}, "min_size -1 must be 0 pixels or more"),
        ({"min_distance": 0}, "min_distance 0 must be 1 pixels or more"),
    ],
)
def test_settings_out_of_range(values, message):
    with pytest.raises(LazyLabelsError, match=message):
        InstanceSettings(**values)


def test_the_reference_lists_every_setting_with_its_default():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.split("## Objects")[1].splitlines() if line.startswith("| `")]
    listed = {row[1].strip(" `"): row[2].strip(" `") for row in rows}
    assert listed == {name: str(value).lower() for name, value in asdict(InstanceSettings()).items()}


def test_a_marker_is_parted_where_it_is_narrow_enough():
    mask = discs(
        (30, 30, 15), (30, 54, 15)
    )  # the neck is sqrt(15^2 - 12^2) = 9 pixels to each side of the axis: 0.6 of a radius
    detection, none = one_hot(mask, 2), one_hot(np.zeros_like(mask), 2)

    def count(neck, shape=mask):
        maps = (shape, one_hot(shape, 2), one_hot(np.zeros_like(shape), 2))
        return separate_objects(*maps, InstanceSettings(neck=neck)).max()

    assert [count(neck) for neck in (0.0, 0.5, 0.75)] == [1, 1, 2]
    found = three_map_instances(mask, detection, none, neck=0.75)
    np.testing.assert_array_equal(found > 0, mask > 0)
    np.testing.assert_array_equal(np.bincount(found.ravel())[1:] / mask.sum() > 0.45, [True, True])
    assert [count(neck, mask.repeat(2, 0).repeat(2, 1)) for neck in (0.5, 0.75)] == [1, 2], (
        "a ratio does not depend on the scale"
    )
    assert count(0.9, discs((30, 45, 25))) == 1, "a disc has no neck"
    with pytest.raises(LazyLabelsError, match=r"neck 1\.0 must be"):
        InstanceSettings(neck=1.0)


def test_three_maps_part_what_components_join():
    ids = _discs_in_a_row()
    segmentation = (ids > 0).astype(int)
    detection = inner_regions(ids).astype(int)
    separation = interfaces(ids).astype(int)
    maps = _probabilities(segmentation, detection, separation)
    truth = _truth(segmentation, separation, ids)
    three, components = ObjectMetric(3), ObjectMetric(3, settings=InstanceSettings(route="components"))
    for metric in (three, components):
        metric(maps, truth)
    assert three.aggregate() == 1.0
    assert components.aggregate() == pytest.approx(0.0)
    assert component_instances(segmentation).max() == 1


def test_objects_without_a_marker_are_kept():
    segmentation = np.zeros((20, 20), int)
    segmentation[2:8, 2:8] = 1
    segmentation[12:18, 12:18] = 2
    detection = np.zeros((3, 20, 20))
    detection[0] = 1.0
    separation = np.stack([np.ones((20, 20)), np.zeros((20, 20))])
    objects = three_map_instances(segmentation, detection, separation)
    assert sorted(np.unique(objects)) == [0, 1, 2]
    assert ((objects > 0) == (segmentation > 0)).all()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("tasks", [TASKS, ("segmentation",), ("segmentation", "detection"), ("segmentation", "separation")])
def test_a_task_that_is_not_needed_changes_nothing_and_one_that_is_does(route, probabilities, tasks):
    """Objects from the needed maps are those from all maps that the network gives."""
    rng = np.random.default_rng(0)
    segmentation = ndimage.gaussian_filter(rng.normal(size=(60, 70)), 2) > 0
    maps = {task: rng.dirichlet([1, 1], (60, 70)).transpose(2, 0, 1) for task in ("detection", "separation")}
    chosen = InstanceSettings(route=route, min_size=0, min_marker=1)

    def objects(of):
        return separate_objects(segmentation.astype(int), *(maps.get(t) if t in of else None for t in maps), chosen)

    needed = needed_tasks(tasks, chosen, probabilities)
    assert "segmentation" in needed
    assert set(needed) <= set(tasks)
    assert not probabilities or set(needed) == set(tasks)
    np.testing.assert_array_equal(objects(needed), objects(tasks))
    if not probabilities and len(needed) > 1:
        assert not np.array_equal(objects([]), objects(tasks))
    require_needed(needed, tasks, chosen, objects=True)


def test_tasks_that_are_left_out_though_objects_need_them():
    with pytest.raises(LazyLabelsError, match="leaves out detection, which the route 'three maps' makes objects of: add it"):
        require_needed(["segmentation"], TASKS, InstanceSettings(), objects=True)
    require_needed(["segmentation"], TASKS, InstanceSettings(), objects=False)
    require_needed(["segmentation"], TASKS, InstanceSettings(route="distance"), objects=True)
    with pytest.raises(LazyLabelsError, match="the network did not learn detection; use some of segmentation"):
        require_needed(TASKS, ["segmentation"], InstanceSettings(), objects=True)
    with pytest.raises(LazyLabelsError, match="must hold segmentation"):
        require_needed(["detection"], TASKS, InstanceSettings(), objects=False)
