"""What one label says about another task, against loops over pixels and drawings small enough to check by eye."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lazylabels_monai.tasks import BACKGROUND, IGNORE, TASKS, present_key
from lazylabels_monai.transforms import FillMissingLabelsd, ImpliedMarksd, ImpliedSegmentationd


def _image(*shape):
    return torch.zeros(shape)


def _sample(**labels):
    """A filled sample of (H, W) arrays."""
    shape = next(iter(labels.values())).shape
    given = {task: torch.as_tensor(label[None]) for task, label in labels.items()}
    return FillMissingLabelsd()({"image": torch.zeros(1, *shape), **given})


def _draw(*rows):
    """One digit a pixel, "." is 255."""
    return np.array([[IGNORE if c == "." else int(c) for c in row] for row in rows], np.uint8)


def test_implied_segmentation_marks_inner_regions_only():
    detection = torch.tensor([[[0, 1, 2], [2, 0, IGNORE]]], dtype=torch.uint8)
    sample = FillMissingLabelsd()({"image": _image(1, 2, 3), "detection": detection})
    implied = ImpliedSegmentationd()(sample)
    assert implied["segmentation"].tolist() == [[[IGNORE, 1, 2], [2, IGNORE, IGNORE]]]
    assert implied["segmentation_present"] == 1
    assert (sample["segmentation"] == IGNORE).all(), "the input sample must not change"
    assert ImpliedSegmentationd(enabled=False)(sample)["segmentation_present"] == 0


def test_implied_segmentation_leaves_exact_masks_alone():
    mask = torch.zeros((1, 2, 3), dtype=torch.uint8)
    sample = FillMissingLabelsd()({"image": _image(1, 2, 3), "segmentation": mask, "detection": mask + 1})
    assert torch.equal(ImpliedSegmentationd()(sample)["segmentation"], mask)


def test_of_a_mask_of_some_objects_the_rest_is_filled_where_that_is_asked_for():
    mask, inner = _draw("0..", "1..", "..."), _draw("2.0", "1.2", "0.1")
    sample = _sample(segmentation=mask, detection=inner)
    assert torch.equal(ImpliedSegmentationd()(sample)["segmentation"], sample["segmentation"])
    filled = ImpliedSegmentationd(fill_partial=True)(sample)["segmentation"]
    assert np.array_equal(filled[0].numpy(), _draw("0.0", "1.2", "0.1"))
    assert np.array_equal(sample["segmentation"][0].numpy(), mask), "the input sample must not change"
    whole = _sample(segmentation=_draw("00", "11"), detection=_draw("22", "22"))
    assert torch.equal(ImpliedSegmentationd(fill_partial=True)(whole)["segmentation"], whole["segmentation"])
    alone = _sample(segmentation=mask)
    assert torch.equal(ImpliedSegmentationd(fill_partial=True)(alone)["segmentation"], alone["segmentation"])


def test_background_alone_is_background_where_marks_are_partial():
    erased = _sample(detection=_draw("0..", "0..", "..."))
    filled = ImpliedSegmentationd(fill_partial=True, background_margin=1.0)(erased)["segmentation"]
    assert np.array_equal(filled[0].numpy(), _draw("0..", "0..", "..."))
    assert (ImpliedSegmentationd(background_margin=1.0)(erased)["segmentation"] == IGNORE).all()


def test_background_that_was_drawn_is_background_however_near_a_region_is():
    def made(**given):
        rule = ImpliedSegmentationd(fill_partial=True, background_margin=1.0)
        return rule(_sample(**given))["segmentation"][0].numpy()

    drawn = _draw("01.", "0..", "...")
    assert np.array_equal(made(detection=drawn), drawn)
    assert np.array_equal(made(detection=drawn, segmentation=_draw("..1", "2..", "..0")), _draw("011", "2..", "..0"))
    # where all that is no region is 0, nobody drew it, and the object's border may be there
    assert np.array_equal(made(detection=_draw("01", "00")), _draw(".1", ".."))
    plain = ImpliedSegmentationd(background_margin=1.0)(_sample(detection=drawn))["segmentation"]
    assert np.array_equal(plain[0].numpy(), _draw(".1.", "...", "..."))


def test_implied_background_is_far_from_every_region():
    """Against a loop over all pixels: the nearest region's depth decides how far is far."""
    detection = np.zeros((24, 30), np.uint8)
    detection[3:10, 3:10] = 1  # depth 4
    detection[15:18, 20:23] = 2  # depth 2
    detection[20, 2] = IGNORE
    margin, depth = 1.5, {1: 4.0, 2: 2.0}
    expected = np.where(detection == 0, IGNORE, detection)
    for row, column in np.argwhere(detection == 0):
        marks = np.argwhere((detection == 1) | (detection == 2))
        distances = np.hypot(*(marks - (row, column)).T)
        nearest = {int(detection[tuple(mark)]) for mark in marks[np.isclose(distances, distances.min())]}
        far = {bool(distances.min() >= margin * depth[k] + 2) for k in nearest}
        if far == {True}:
            expected[row, column] = 0
        elif len(far) == 2:
            expected[row, column] = 254  # as near to both: either answer is right
    sample = FillMissingLabelsd()({"image": _image(1, 24, 30), "detection": torch.as_tensor(detection[None])})
    got = ImpliedSegmentationd(background_margin=margin)(sample)["segmentation"][0].numpy()
    assert (got == expected)[expected != 254].all()
    assert {0, 1, 2, IGNORE} == set(np.unique(got))
    empty = FillMissingLabelsd()({"image": _image(1, 4, 4), "detection": torch.zeros(1, 4, 4, dtype=torch.uint8)})
    assert (ImpliedSegmentationd(background_margin=1.0)(empty)["segmentation"] == IGNORE).all()
    with pytest.raises(ValueError, match="background_margin 0 must be above 0"):
        ImpliedSegmentationd(background_margin=0)


def test_a_mask_implies_where_inner_regions_are_and_are_not():
    mask = np.zeros((20, 24), np.uint8)
    mask[4:13, 3:12] = 1  # depth 5 in its middle
    mask[4:9, 16:21] = 2  # depth 3
    mask[18, 2] = IGNORE
    expected = np.where(mask == 0, 0, IGNORE)
    for row, column in np.argwhere((mask == 1) | (mask == 2)):
        value = mask[row, column]
        outside = np.argwhere((mask != value) & (mask != IGNORE))
        depth = np.hypot(*(outside - (row, column)).T).min()
        if depth > {1: 5, 2: 3}[value] / 2:
            expected[row, column] = value
    sample = _sample(segmentation=mask)
    implied = ImpliedMarksd()(sample)
    np.testing.assert_array_equal(implied["detection"][0].numpy(), expected)
    assert {0, 1, 2, IGNORE} == set(np.unique(expected))
    assert implied["detection_present"] == 1
    assert sample["detection_present"] == 0, "the input sample must not change"
    assert (sample["detection"] == IGNORE).all()


def test_scribbles_cut_a_mask_into_pieces_of_their_own_depth():
    mask = np.zeros((15, 40), np.uint8)
    mask[1:14, 1:14] = 1
    mask[5:10, 14:39] = 1  # a thin object that touches a thick one
    separation = np.zeros_like(mask)
    separation[5:10, 14] = 1
    whole = ImpliedMarksd()(_sample(segmentation=mask))["detection"][0].numpy()
    cut = ImpliedMarksd()(_sample(segmentation=mask, separation=separation))["detection"][0].numpy()
    assert (whole[7, 20:35] == IGNORE).all(), "shallower than half of the thick one"
    assert (cut[7, 20:35] == 1).all()
    assert (cut[separation == 1] == IGNORE).all()


def test_no_interface_runs_inside_inner_regions():
    detection = _draw("000000", "011000", "011.20", "000020")
    implied = ImpliedMarksd()(_sample(detection=detection))
    expected = _draw("......", ".00...", ".00.0.", "....0.")
    np.testing.assert_array_equal(implied["separation"][0].numpy(), expected)
    assert implied["separation_present"] == 1


@pytest.mark.parametrize("reach", [0, 3])
def test_no_interface_runs_far_from_every_object(reach):
    rng = np.random.default_rng(0)
    mask = (rng.random((18, 23)) > 0.98).astype(np.uint8)
    mask[2, 2] = IGNORE
    objects = np.argwhere(mask != 0)
    expected = np.full(mask.shape, IGNORE)
    for row, column in np.argwhere(mask == 0):
        if np.hypot(*(objects - (row, column)).T).min() > reach:
            expected[row, column] = 0
    got = ImpliedMarksd(reach=reach)(_sample(segmentation=mask))["separation"][0].numpy()
    np.testing.assert_array_equal(got, expected)
    assert {0, IGNORE} == set(np.unique(expected))
    empty = ImpliedMarksd()(_sample(segmentation=np.zeros((4, 5), np.uint8)))
    assert (empty["separation"] == 0).all(), "an image without objects has no interface"


def test_a_scribble_between_two_regions_of_one_class_lies_on_that_class():
    detection = _draw("1100110", "1100110", "0000000", "0000000", "0000000", "1100220", "1100220")
    separation = _draw("0010000", "0010000", "0000000", "0000000", "0000000", "0010000", "0010000")
    sample = _sample(detection=detection, separation=separation)
    implied = ImpliedSegmentationd()(ImpliedMarksd(interface=True, reach=1)(sample))
    expected = _draw("111.11.", "111.11.", ".......", ".......", ".......", "11..22.", "11..22.")
    np.testing.assert_array_equal(implied["segmentation"][0].numpy(), expected)
    unchanged = ImpliedSegmentationd()(ImpliedMarksd(interface=False)(sample))
    assert (unchanged["segmentation"][0][:, 2] == IGNORE).all()
    # one stroke between regions that are all the same is no interface of two
    alone = _sample(detection=detection[:2, :2].copy(), separation=np.ones((2, 2), np.uint8))
    assert (ImpliedMarksd(interface=True)(alone)["segmentation"] == IGNORE).all()


def test_labels_that_are_there_stay():
    labels = {task: np.full((5, 6), 1, np.uint8) for task in TASKS}
    implied = ImpliedMarksd(interface=True)(_sample(**labels))
    assert all((implied[task] == 1).all() for task in TASKS)
    off = ImpliedMarksd(detection=False, separation=False)(_sample(segmentation=labels["segmentation"]))
    assert [off[present_key(task)] for task in TASKS] == [1, 0, 0]


def test_tasks_that_are_not_trained_are_left_out():
    sample = FillMissingLabelsd(["segmentation"])({"image": _image(1, 4, 5), "segmentation": torch.zeros(1, 4, 5)})
    assert set(ImpliedMarksd(interface=True)(sample)) == set(sample)


def test_volumes():
    mask = np.zeros((6, 7, 8), np.uint8)
    mask[1:5, 1:6, 1:7] = 1
    implied = ImpliedMarksd()(_sample(segmentation=mask))
    assert implied["detection"].shape == (1, 6, 7, 8)
    assert set(implied["detection"].unique().tolist()) == {BACKGROUND, 1, IGNORE}


def test_negative_reach_is_refused():
    with pytest.raises(ValueError, match="reach -1 must be 0 pixels or more"):
        ImpliedMarksd(reach=-1)
