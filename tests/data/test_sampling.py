"""How often which image is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, LMDBDataset, PersistentDataset
from monai.transforms import Compose, RandFlipd, RandGaussianNoised

from lazylabels_monai.data.sampling import SeededCacheDataset, SeededSampler, sampling_weights, tell_kept
from lazylabels_monai.tasks import TASKS


def carriers(*labels):
    """Items from words such as "sd": segmentation and detection."""
    letters = {"segmentation": "s", "detection": "d", "separation": "i"}
    return [{"image": "x", **{f"{t}_present": int(letters[t] in word) for t in TASKS}} for word in labels]


def test_weights_of_one_task():
    weights = sampling_weights(carriers("sdi", *["di"] * 9), {"segmentation": 0.4})
    np.testing.assert_allclose(weights, [0.4] + [0.6 / 9] * 9)


def test_uniform():
    for shares in (None, {}):
        np.testing.assert_allclose(sampling_weights(carriers("s", "d", "i", ""), shares), 0.25)


def test_keys_without_flags():
    np.testing.assert_allclose(sampling_weights([{"segmentation": "a"}, {}, {}], {"segmentation": 0.5}), [0.5, 0.25, 0.25])


def test_several_tasks_meet_their_shares_and_stay_closest_to_uniform():
    items = carriers("sdi", "si", "si", *["di"] * 5, *["i"] * 4, *["d"] * 3)
    shares = {"segmentation": 0.5, "detection": 0.6, "separation": 0.9}
    weights = np.array(sampling_weights(items, shares))
    assert weights.sum() == pytest.approx(1)
    for task, share in shares.items():
        assert sum(w for w, i in zip(weights, items, strict=True) if i[f"{task}_present"]) == pytest.approx(share)
    # Lagrange: the minimum of the divergence from uniform has log-weights linear in the flags
    flags = np.array([[1, *(i[f"{t}_present"] for t in TASKS)] for i in items], dtype=float)
    solution = np.linalg.lstsq(flags, np.log(weights), rcond=None)[0]
    np.testing.assert_allclose(flags @ solution, np.log(weights), atol=1e-6)


def test_a_share_that_is_there_already_changes_nothing():
    """As on pseudo labels, where most images carry a mask: images without one are not drawn more often."""
    np.testing.assert_allclose(sampling_weights(carriers(*["sdi"] * 9, "i"), {"segmentation": 0.4}), 0.1)
    # detection is short only once segmentation is raised
    weights = np.array(sampling_weights(carriers("s", "d", "d"), {"segmentation": 0.5, "detection": 0.5}))
    np.testing.assert_allclose(weights, [0.5, 0.25, 0.25])
    weights = np.array(sampling_weights(carriers("s", "sd", "d", "d", "d"), {"segmentation": 0.7, "detection": 0.7}))
    assert weights[[0, 1]].sum() == pytest.approx(0.7)
    assert weights[1:].sum() == pytest.approx(0.7)


def test_draws():
    items = carriers("sdi", *["di"] * 14, *["i"] * 5)
    weights = sampling_weights(items, {"segmentation": 0.4})
    torch.manual_seed(0)
    drawn = list(torch.utils.data.WeightedRandomSampler(weights, 20000))
    assert sum(i == 0 for i in drawn) / 20000 == pytest.approx(0.4, abs=0.015)


def test_share_of_one_leaves_the_others_out():
    np.testing.assert_allclose(sampling_weights(carriers("s", "d", "s"), {"segmentation": 1}), [0.5, 0, 0.5])
    np.testing.assert_allclose(sampling_weights(carriers("s", "s"), {"segmentation": 1.0}), 0.5)


def test_share_that_no_image_or_every_one_carries(caplog, recwarn):
    """The default of train.yaml asks for a share of exact masks, be there none or nothing else."""
    caplog.set_level("INFO")
    np.testing.assert_allclose(sampling_weights(carriers("d", "di"), {"segmentation": 0.4}), 0.5)
    assert "no image to train on has a label for segmentation: its sampling share of 0.4 is left out." in caplog.text
    caplog.clear()
    np.testing.assert_allclose(sampling_weights(carriers("d", "di"), {"detection": 0.4, "separation": 0.8}), [0.2, 0.8])
    assert not caplog.records
    assert not recwarn.list, "four of ten at least are more than met"


def test_share_out_of_reach():
    # the same image carries both and would have to be drawn always
    with pytest.warns(UserWarning, match="cannot be reached together"):
        weights = sampling_weights(carriers("sd", "d", "i"), {"segmentation": 0.6, "separation": 0.6})
    assert sum(weights) == pytest.approx(1)
    with pytest.warns(UserWarning, match="cannot be reached together"):
        weights = sampling_weights(carriers("s", "d"), {"segmentation": 1.0, "detection": 1.0})
    np.testing.assert_allclose(weights, 0.5)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan"), "0.4", None, True])
def test_bad_share(share):
    with pytest.raises(ValueError, match=r"share of 'segmentation' must be a number in \(0, 1\], not"):
        sampling_weights(carriers("s", "d"), {"segmentation": share})


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"share for 'strong' must be for one of \['segmentation'"):
        sampling_weights(carriers("s"), {"strong": 0.4})
    with pytest.raises(ValueError, match="needs at least one item"):
        sampling_weights([], {"segmentation": 0.4})


def crops(workers: int, seed: int = 0) -> list[list[float]]:
    """What two epochs of a loader give."""
    torch.manual_seed(seed)
    transform = Compose([RandFlipd("image", prob=0.5), RandGaussianNoised("image", prob=1.0)])
    dataset = SeededCacheDataset([{"image": torch.arange(4.0)[None] + 10 * i} for i in range(5)], transform, progress=False)
    sampler = SeededSampler([1.0] * 5, 6, seeded=workers > 0)
    more = {"generator": torch.Generator(), "persistent_workers": True} if workers else {}
    loader = DataLoader(dataset, num_workers=workers, batch_size=2, sampler=sampler, **more)
    return [[batch["image"].flatten().tolist() for batch in loader] for _ in range(2)]


def test_what_workers_draw_is_settled_by_the_sampler_for_any_number_of_them():
    one, two = crops(1), crops(2)
    assert one == two
    assert one[0] != one[1]
    assert crops(1, seed=1) != one


def test_without_workers_nothing_more_is_drawn_than_by_torchs_own_sampler():
    torch.manual_seed(0)
    ours, after = list(SeededSampler([0.2, 0.8], 20)), torch.rand(1)
    torch.manual_seed(0)
    assert ours == list(torch.utils.data.WeightedRandomSampler([0.2, 0.8], 20))
    assert torch.rand(1) == after


def test_samples_that_an_earlier_run_kept_are_told_of(tmp_path, caplog):
    dataset = PersistentDataset([{"image": 1}], Compose([]), tmp_path / "kept")
    for found in (dataset, PersistentDataset([{"image": 1}], Compose([]), None), CacheDataset([1], progress=False)):
        tell_kept(found)
    assert not caplog.messages
    dataset[0]
    tell_kept(dataset)
    (said,) = caplog.messages
    assert f"from '{tmp_path / 'kept'}' as an earlier run kept them" in said
    assert "remove that folder" in said


def test_of_a_data_set_that_is_filled_when_it_is_made_nobody_says_that_it_was_kept(tmp_path, caplog):
    """An ``LMDBDataset``, whose package need not be there."""
    dataset = LMDBDataset.__new__(LMDBDataset)
    dataset.cache_dir = tmp_path
    (tmp_path / "monai_cache.lmdb").touch()
    tell_kept(dataset)
    (said,) = caplog.messages
    assert f"may take samples from '{tmp_path}'" in said
