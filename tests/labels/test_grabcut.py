"""GrabCut on arrays: proposals of exact masks from inner regions."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.labels.grabcut import GrabCutSettings, propose, to_uint8
from lazylabels_monai.labels.inner import inner_regions
from tests.labels.scenes import dice, discs, scene


@pytest.mark.parametrize("method", ["grabcut", "hybrid"])
def test_an_easy_image_is_outlined_nearly_exactly_and_better_than_by_distance(method):
    image, classes, detection = scene()
    proposal = propose(image, detection, settings=GrabCutSettings(method=method))
    distance = propose(image, detection, settings=GrabCutSettings(method="distance")).classes
    assert proposal.status == "ok"
    for value in (1, 2):
        score = dice(proposal.classes == value, classes == value)
        assert score > 0.95
        assert score > dice(distance == value, classes == value) + 0.01


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda image: image.astype(np.uint16) * 200 + 1000, id="16 bit"),
        pytest.param(lambda image: np.dstack([image, 255 - image, image // 2]), id="colour"),
        pytest.param(lambda image: image.astype(np.float32) / 255, id="float"),
        pytest.param(lambda image: image[..., None], id="a channel of its own"),
    ],
)
def test_other_kinds_of_images(convert):
    image, classes, detection = scene()
    assert dice(propose(convert(image), detection).classes == 1, classes == 1) > 0.95


def test_marks_keep_their_class_and_never_turn_into_another():
    image, _, detection = scene(gray=(100, 101, 102), noise=40)  # colours say nothing: the cut is arbitrary
    for method in ("grabcut", "hybrid", "distance"):
        proposal = propose(image, detection, settings=GrabCutSettings(method=method)).classes
        assert (proposal[detection > 0] == detection[detection > 0]).all()


def test_a_class_does_not_grow_into_marks_of_another_that_looks_the_same():
    classes = np.zeros((60, 100), np.uint8)
    classes[10:50, 10:50], classes[10:50, 50:90] = 1, 2
    image = np.where(classes > 0, 200, 50).astype(np.uint8)  # nothing but the marks tells the classes apart
    detection = np.where(ndimage.binary_erosion(classes == 1, iterations=5), 1, 0)
    detection = np.where(ndimage.binary_erosion(classes == 2, iterations=5), 2, detection).astype(np.uint8)
    for method in ("grabcut", "hybrid"):
        proposal = propose(image, detection, settings=GrabCutSettings(method=method)).classes
        assert not (proposal[:, 53:] == 1).any()
        assert not (proposal[:, :47] == 2).any()
        assert dice(proposal > 0, classes > 0) > 0.95


def test_far_from_every_mark_there_is_only_background():
    image, classes, detection = scene()
    detection[classes == 2] = 0  # two discs are not marked; the second class looks like nothing that is
    detection[(classes == 1) & (np.arange(180) > 70)] = 0  # and one disc looks exactly like the marked ones
    proposal = propose(image, detection).classes
    assert dice(proposal[:, :70] == 1, classes[:, :70] == 1) > 0.95
    assert not proposal[:, 76:].any()


def test_the_same_input_gives_the_same_proposal_whatever_the_random_state():
    image, _, detection = scene(noise=60)
    first = propose(image, detection, settings=GrabCutSettings(window=48))
    cv2.setRNGSeed(12345)
    np.random.seed(7)
    second = propose(image, detection, settings=GrabCutSettings(window=48))
    assert (first.classes == second.classes).all()
    np.testing.assert_equal(first.clusters, second.clusters)


def test_the_axes_are_not_mixed_up():
    image, _, detection = scene(noise=2)
    turned = propose(np.ascontiguousarray(image.T), np.ascontiguousarray(detection.T)).classes.T
    assert (turned != propose(image, detection).classes).mean() < 0.002


def test_objects_do_not_suffer_from_the_border_of_a_window():
    """Windows of any size give nearly the same outlines, also of an object that is larger than a window."""
    classes = np.zeros((200, 300), np.uint8)
    classes[20:60, 10:290] = 1
    classes[discs(classes.shape, [(130, 60), (130, 150), (130, 240)], 30)] = 1
    image = (np.where(classes, 180, 70) + np.random.default_rng(0).normal(0, 6, classes.shape)).astype(np.uint8)
    detection = ndimage.binary_erosion(classes, iterations=7).astype(np.uint8)
    whole = propose(image, detection, settings=GrabCutSettings(window=1024))
    split = propose(image, detection, settings=GrabCutSettings(window=64))
    assert len(whole.clusters) == 1
    assert len(split.clusters) > 4
    assert max(b - t for c in split.clusters for t, b in [c.box[::2]]) < 200
    assert sum(c.marked for c in split.clusters) == sum(c.marked for c in whole.clusters) == np.count_nonzero(detection)
    for proposal in (whole, split):
        assert dice(proposal.classes == 1, classes == 1) > 0.97


def test_windows_learn_colours_of_their_own():
    """Objects that are bright on one side of a shaded image and dark as its background on the other."""
    classes = np.zeros((100, 400), np.uint8)
    classes[discs(classes.shape, [(50, 50), (50, 350)], 25)] = 1
    shading = np.where(np.arange(400) < 200, 40, 140)
    image = (shading + 60 * classes + np.random.default_rng(0).normal(0, 5, classes.shape)).astype(np.uint8)
    detection = np.roll(ndimage.binary_erosion(classes, iterations=9), 3, axis=0).astype(np.uint8)
    proposal = propose(image, detection, settings=GrabCutSettings(window=96, method="grabcut")).classes
    for side in (slice(0, 200), slice(200, 400)):
        assert dice(proposal[:, side] == 1, classes[:, side] == 1) > 0.95


def test_a_cut_that_finds_no_edge_is_reported_and_not_believed():
    detection = np.zeros((80, 100), np.uint8)
    detection[25:55, 30:70] = 1
    flat = np.full(detection.shape, 100, np.uint8)
    proposal = propose(flat, detection, settings=GrabCutSettings(method="grabcut"))
    assert proposal.status == "failed"
    assert proposal.clusters[0].failure
    assert proposal.clusters[0].rule == "distance"
    assert proposal.reason
    distance = propose(flat, detection, settings=GrabCutSettings(method="distance"))
    assert distance.status == "ok"
    assert (proposal.classes == distance.classes).all()


def test_a_frame_full_of_objects_is_no_success():
    """Everything becomes foreground: marks in a texture that runs on over the whole image."""
    rng = np.random.default_rng(0)
    image = rng.integers(90, 160, (96, 128)).astype(np.uint8)
    detection = np.zeros(image.shape, np.uint8)
    detection[8:-8, 8:-8] = 1
    proposal = propose(image, detection)
    assert proposal.status == "failed"


def test_the_hybrid_rule_does_not_leak_far():
    """One disc lies in a wide halo of its own gray: the cut takes the halo for the object, the hybrid rule little of it."""
    centres = [(40, 40), (40, 120), (110, 80)]
    classes = discs((150, 160), centres, 20).astype(np.uint8)
    image = np.where(discs(classes.shape, centres[2:], 34) | (classes > 0), 200, 60)
    image = (image + np.random.default_rng(0).normal(0, 5, image.shape)).astype(np.uint8)
    detection = (ndimage.distance_transform_edt(classes) > 6).astype(np.uint8)
    cut = propose(image, detection, settings=GrabCutSettings(method="grabcut")).classes[75:] == 1
    hybrid = propose(image, detection).classes == 1
    assert dice(cut, classes[75:] == 1) < 0.8
    assert dice(hybrid[75:], classes[75:] == 1) > 0.85
    assert dice(hybrid[:75], classes[:75] == 1) > 0.97  # the others are outlined as before


def test_scribbles_and_unlabelled_pixels():
    image, _, detection = scene()
    detection[:, 165:] = 255
    scribbles = np.zeros_like(detection)
    scribbles[55:60, 60:70] = 1
    proposal = propose(image, detection, scribbles).classes
    assert (proposal[100:, 175:] == 255).all()  # nobody looked there
    assert not (proposal[:, :165] == 255).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i, d, s: (i, d[:-1], s), "detection of shape .* image's height and width"),
        (lambda i, d, s: (i, d, s[:, :-1]), "separation of shape"),
        (lambda i, d, s: (i, d.astype(float), s), "whole numbers"),
        (lambda i, d, s: (i, d.astype(int) * 300, s), "whole numbers from 0 to 255"),
        (lambda i, d, s: (i, d * 0, s), "holds no mark"),
        (lambda i, d, s: (i[None, None], d, s), "shape"),
    ],
)
def test_arguments_that_do_not_fit(change, message):
    image, _, detection = scene()
    with pytest.raises(LazyLabelsError, match=message):
        propose(*change(image, detection, np.zeros_like(detection)))


@pytest.mark.parametrize(
    "values", [{"method": "magic"}, {"iterations": 0}, {"missed": 0}, {"missed": 2.0}, {"window": 3}, {"margin": -1.0}]
)
def test_settings_out_of_range(values):
    with pytest.raises(LazyLabelsError, match=next(iter(values))):
        GrabCutSettings(**values)


def test_stretching_ignores_outliers_and_keeps_order():
    image = np.linspace(1000, 3000, 200 * 210).reshape(200, 210).astype(np.uint16)
    image[0, 0] = 65535
    stretched = to_uint8(image)
    assert stretched.shape == (200, 210, 3)
    assert stretched[100, 100, 0] in range(120, 136)
    assert (np.diff(stretched[5:-5, :, 0].astype(int).ravel()) >= 0).all()


def read(path):
    return np.array(Image.open(path))


@pytest.mark.real_data
def test_proposals_are_better_than_the_marks_they_come_from(data_root):
    folder = data_root / "emps" / "train"
    for name, least in (("00655d9628", 0.95), ("8b7ce99d43", 0.94)):
        image, instances = read(folder / f"images/{name}.png"), read(folder / f"masks/{name}.png")
        proposal = propose(image, inner_regions(instances, rng=0))
        assert proposal.status == "ok"
        assert dice(proposal.classes == 1, instances > 0) > least
