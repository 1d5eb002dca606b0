"""Statistics of comparisons against independent statements."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from lazylabels_monai.experiments.records import write_record
from lazylabels_monai.experiments.spec import read_table
from lazylabels_monai.experiments.statistics import mean_dice, paired_difference, pooled_f1
from lazylabels_monai.experiments.tables import write_table
from tests.experiments.places import record, scores, write_spec


def test_scores_are_those_of_their_definitions():
    assert mean_dice(np.array([[1.0, np.nan], [0.5, 0.25]])) == pytest.approx((0.75 + 0.25) / 2)
    assert np.isnan(mean_dice(np.full((2, 2), np.nan)))
    assert pooled_f1(np.array([[3, 1, 0], [0, 0, 2.0]])) == pytest.approx(6 / (6 + 1 + 2))
    assert np.isnan(pooled_f1(np.zeros((2, 3))))


def test_interval_of_one_seed_is_that_of_scipys_paired_bootstrap():
    rng = np.random.default_rng(0)
    theirs = rng.uniform(0.3, 0.9, 40)
    ours = theirs + rng.normal(0.02, 0.05, 40)
    found = paired_difference([ours[:, None]], [theirs[:, None]], mean_dice, resamples=6000)
    expected = scipy.stats.bootstrap(
        (ours - theirs,), np.mean, n_resamples=6000, method="percentile", rng=1
    ).confidence_interval
    assert found.mean == pytest.approx((ours - theirs).mean())
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=1.5e-3)


def test_a_difference_on_every_image_is_significant_although_images_differ_more():
    rng = np.random.default_rng(0)
    theirs = [rng.uniform(0, 0.9, (30, 1)) for _ in range(3)]
    ours = [array + 0.02 + rng.normal(0, 0.01, array.shape) for array in theirs]
    for by_seed in (False, True):
        assert paired_difference(ours, theirs, mean_dice, by_seed).verdict == "better"
        assert paired_difference(theirs, ours, mean_dice, by_seed).verdict == "worse"
        same = paired_difference(ours, ours, mean_dice, by_seed)
        assert (same.mean, same.low, same.high, same.verdict) == (0, 0, 0, "no significant difference")


def test_seeds_that_disagree_widen_the_interval():
    theirs = [np.full((50, 1), 0.5)] * 3
    ours = [array + shift for array, shift in zip(theirs, (-0.1, 0.0, 0.13), strict=True)]
    found = paired_difference(ours, theirs, mean_dice)
    assert found.mean == pytest.approx(0.01)
    assert found.low == pytest.approx(-0.1)
    assert found.verdict == "no significant difference"


def test_shared_images_are_drawn_for_all_seeds_at_once():
    """Seeds that agree on a hard image must not average it away: half of the images are won, half are lost, in every seed."""
    half = np.repeat([[0.1], [-0.1]], 10, axis=0)
    theirs = [np.full((20, 1), 0.5)] * 30
    ours = [array + half for array in theirs]
    crossed = paired_difference(ours, theirs, mean_dice, images_by_seed=False, resamples=600)
    nested = paired_difference(ours, theirs, mean_dice, images_by_seed=True, resamples=600)
    deviation = 0.1 / np.sqrt(20)  # of the mean of 20 images
    assert crossed.high - crossed.low == pytest.approx(2 * 1.96 * deviation, rel=0.15)
    assert nested.high - nested.low == pytest.approx(2 * 1.96 * deviation / np.sqrt(30), rel=0.15)


def test_intervals_cover_a_difference_of_zero_at_about_their_rate():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(150):
        image = rng.normal(0.6, 0.1, (40, 1))
        pairs = [[image + rng.normal(0, 0.05, image.shape) for _ in range(5)] for _ in range(2)]
        found = paired_difference(*pairs, mean_dice, resamples=120)
        covered += found.low <= 0 <= found.high
    assert covered >= 0.9 * 150


def test_images_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="same test images"):
        paired_difference([np.zeros((3, 1))], [np.zeros((4, 1))], mean_dice)
    with pytest.raises(ValueError, match="seeds"):
        paired_difference([np.zeros((3, 1))], [], mean_dice)
    with pytest.raises(ValueError, match="images_by_seed"):
        paired_difference([np.zeros((3, 1)), np.zeros((4, 1))], [np.zeros((3, 1)), np.zeros((4, 1))], mean_dice)


def test_error_is_compared_over_the_seeds_that_both_rows_have(specs, tmp_path):
    table = read_table(write_spec(specs, methods=["multitask", "unet_strong"], seeds=[0, 1]), "tiny")
    for run, dice in zip(table.runs(), (0.8, 0.7, 0.4), strict=False):  # the U-Net's second seed was not done
        write_record(tmp_path, run, record(testing=scores([dice], [(1, 0, 0)])))
    page = write_table(table, tmp_path)[0].read_text()
    assert "| +0.100 (+0.100 to +0.100) better, one seed |" in page
    assert "| +33 % |" in page  # 0.2 against 0.3, both of seed 0
