"""Which windows validation looks at, what they cost, and that their samples are those pixels."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval
from monai.transforms import Compose, Identityd

import lazylabels_monai.data.validation as validation
from lazylabels_monai.data.validation import WINDOWS_KEY, Allowance, ValidationDataset, choose_windows, window_pixels
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.metrics import SegmentationDiceMetric, stack_truth

LABELS = ("segmentation", "detection", "separation")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(4, 32)), min_size=2, max_size=3),
    st.sampled_from([0.0, 0.25, 0.5, 0.75]),
)
def test_pixels_of_an_image_are_those_of_monais_windows(axes, overlap):
    size, window = zip(*axes, strict=True)
    window = tuple(map(min, size, window))
    interval = _get_scan_interval(size, window, len(size), [overlap] * len(size))
    windows = dense_patch_slices(size, window, interval)
    assert window_pixels(size, window, overlap) == len(windows) * np.prod(window)


def label_maps(seed: int, sizes) -> list[np.ndarray | None]:
    rng = np.random.default_rng(seed)
    made: list[np.ndarray | None] = []
    for size in sizes:
        label = np.zeros(size, np.uint8)
        for value in (1, 2):
            if rng.random() < 0.5:
                row, column = rng.integers(0, size[0]), rng.integers(0, size[1])
                label[row : row + 6, column : column + 6] = value
        label[: rng.integers(0, size[0])] = 255 if rng.random() < 0.3 else label[: rng.integers(0, size[0]) or 1].max(initial=0)
        made.append(None if rng.random() < 0.2 else label)
    return made


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(8, 60), st.integers(8, 60)), min_size=1, max_size=6),
    st.tuples(st.integers(4, 40), st.integers(4, 40)),
)
def test_windows_lie_within_apart_and_where_something_is_known(seed, sizes, window):
    labels = label_maps(seed, sizes)
    state = np.random.get_state()[1].copy(), torch.get_rng_state()
    chosen = choose_windows(labels, window, seed)
    assert (np.random.get_state()[1] == state[0]).all()  # nothing else is drawn from
    assert torch.equal(torch.get_rng_state(), state[1])
    assert chosen == choose_windows(labels, window, seed)
    covered = [None if label is None else np.zeros(label.shape, int) for label in labels]
    for number, one in chosen:
        assert [axis.stop - axis.start for axis in one] == list(map(min, labels[number].shape, window))
        assert (labels[number][one] != 255).any()
        covered[number][one] += 1
    assert all(one is None or one.max() <= 1 for one in covered)
    # each image gives its first window before any gives its second
    known = [number for number, label in enumerate(labels) if label is not None and (label != 255).any()]
    assert sorted(number for number, _ in chosen[: len(known)]) == known
    # the first of an image has an object where any has
    for number, one in chosen[: len(known)]:
        objects = (labels[number] > 0) & (labels[number] != 255)
        assert objects[one].any() or not objects.any()


def test_rare_classes_come_first():
    labels = [np.ones((32, 32), np.uint8) for _ in range(30)]
    labels[17][20:24, 3:6] = 2
    (number, window), *_ = choose_windows(labels, (16, 16))
    assert number == 17
    assert (labels[17][window] == 2).any()


def dataset(images: int = 6, size=(40, 56), **more) -> ValidationDataset:
    torch.manual_seed(0)
    items = []
    for number in range(images):
        item = {"image": torch.rand(1, *size), "instances": torch.zeros(1, *size, dtype=torch.int32)}
        for task in LABELS:
            item[task] = torch.randint(0, 2, (1, *size), dtype=torch.uint8)
            item[f"{task}_present"] = int(task != "segmentation" or number > 0)
        items.append(item)
    given = {"window": (16, 16), "overlap": 0.25, **more}
    return ValidationDataset(items, Compose([Identityd("image")]), **given)


def allowance(share, pixels=1e4) -> Allowance:
    return Allowance(share, epoch_pixels=pixels)


@pytest.mark.parametrize("given", [None, Allowance(None, 1.0), Allowance(0.15, 1e9), Allowance(0.15, 1e4)])
def test_whole_images_where_nobody_asks_for_less_or_they_cost_little(given):
    images = dataset(allowance=given)
    assert images.is_whole
    assert len(images) == 6
    assert WINDOWS_KEY not in images[0]
    assert images.pixels == 6 * window_pixels((40, 56), (16, 16), 0.25)
    assert images.described() == ""


def test_windows_are_within_what_is_allowed_and_are_the_images_pixels(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(validation, "FREE", 0)
    images = dataset(allowance=allowance(0.15))
    assert not images.is_whole
    assert images.pixels <= images.allowance.each < images.whole_pixels
    assert images.every == 1
    assert f"{images.count} windows of" in caplog.text
    numbers = {number for number, _ in images.chosen}
    assert 0 not in numbers  # it has no exact mask
    for index, (number, windows) in enumerate(images.chosen):
        sample, whole = images[index], images.data[number]
        assert sample[WINDOWS_KEY] == len(windows)
        for key in ("image", "instances", *LABELS):
            parts = sample[key].chunk(len(windows), dim=1)
            for part, window in zip(parts, windows, strict=True):
                assert torch.equal(part, whole[key][(slice(None), *window)])
    assert [images[i]["image"].sum() for i in range(len(images))] == [images[i]["image"].sum() for i in range(len(images))]


def test_the_final_choice_sees_more_and_then_the_same_ones_first(monkeypatch):
    monkeypatch.setattr(validation, "FREE", 0)
    images = dataset(images=12, allowance=allowance(0.1))
    more = images.for_the_final_choice(epochs=4, candidates=2)
    assert images.count < more.count
    assert images.order[: images.count] == more.order[: images.count]
    assert more._cache is images._cache
    assert images.for_the_final_choice(epochs=100, candidates=2).is_whole


def test_too_few_windows_are_validated_less_often_instead(monkeypatch):
    monkeypatch.setattr(validation, "FREE", 0)
    images = dataset(allowance=Allowance(0.1, 2000.0, interval=2))
    assert images.every > 1
    assert images.count == validation.FEWEST
    epochs = range(1, 40 * images.every + 1)
    validated = [epoch for epoch in epochs if epoch % 2 == 0 and images.due(epoch)]
    spent = len(validated) * images.pixels / (len(validated) * images.pixels + 2.5 * 2000.0 * epochs[-1])
    assert spent <= 0.1 / 2 + 0.02  # the other half is for the final choice


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
@pytest.mark.parametrize("interval", [1, 3])
@pytest.mark.parametrize("pixels", [1e3, 1e4, 3e4])
def test_all_of_it_stays_within_the_share(monkeypatch, share, interval, pixels):
    monkeypatch.setattr(validation, "FREE", 0)
    images = dataset(images=12, allowance=Allowance(share, pixels, interval=interval))
    epochs = 120
    number = sum(images.due(epoch) for epoch in range(interval, epochs + 1, interval))
    spent = number * images.pixels
    if not images.is_whole:
        spent += 3 * images.for_the_final_choice(epochs, 3).pixels
    assert spent / (spent + 2.5 * pixels * epochs) <= share * 1.01


class Doubling(torch.nn.Module):
    """Logits that depend on the mean of the window, as those of a network with instance normalization do."""

    def forward(self, window):
        first = window - window.mean((2, 3), keepdim=True)
        return torch.cat([first, -first] * 3, dim=1)


def test_windows_side_by_side_are_answered_each_on_its_own(monkeypatch):
    monkeypatch.setattr(validation, "FREE", 0)
    images = dataset(images=3, allowance=allowance(0.3, 5e3))
    inferer = MultiTaskSlidingWindowInferer((16, 16), sw_batch_size=2, overlap=0.25, num_classes=2)
    metric, each = SegmentationDiceMetric(2), SegmentationDiceMetric(2)
    assert max(len(windows) for _, windows in images.chosen) > 1
    for index in range(len(images)):
        sample = images[index]
        answer = inferer(sample["image"][None], Doubling(), windows=sample[WINDOWS_KEY])
        parts = [inferer(part[None], Doubling()) for part in sample["image"].chunk(sample[WINDOWS_KEY], dim=1)]
        torch.testing.assert_close(answer, torch.cat(parts, dim=2))
        truth = stack_truth(sample)[None]
        metric(answer, truth)
        for part, one in zip(parts, truth.chunk(len(parts), dim=2), strict=True):
            each(part, one)
    # an image is a row, however many windows it gives: the sums of their pixels
    np.testing.assert_allclose(metric.table().sum(0), each.table().sum(0))
    assert len(metric.table()) == len(images)


def test_none_of_other_images_is_kept_in_memory():
    """Sixteen large pictures would need as many gigabytes."""
    items = [{"image": torch.zeros(1, 24, 24), "segmentation": torch.ones(1, 24, 24)} for _ in range(3)]
    other = ValidationDataset([], Identityd("image"), window=(8, 8)).of(items, 4, Identityd("image"))
    assert (len(other), other.count) == (3, 4)
    assert other[0]["image"].shape == (1, 16, 8)
    assert other.cache_num == 0
