"""Crops from plain tensors are those from tensors with metadata, bit by bit, and their cache stays as it is."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, get_track_meta
from monai.transforms import Compose, RandFlipd, ScaleIntensityd
from monai.utils import set_determinism

from lazylabels_monai.data.sampling import SeededCacheDataset
from lazylabels_monai.transforms import PlainCompose

DRAWS = 40


@pytest.fixture(scope="module")
def chain(bundle, tiny_data, tmp_path_factory):
    """The bundle's own transforms of a training, and its items."""
    given = bundle.overrides(tiny_data, tmp_path_factory.mktemp("chain"))
    with bundle.workflow(bundle.files("train.yaml"), "train", init_id="nothing", **given) as workflow:
        parser = workflow.parser
        return parser.get_parsed_content("train#preprocessing"), parser.get_parsed_content("train#items")


def crops(compose: type[Compose], chain, seed: int = 3, cache_rate: float = 1.0) -> list[dict]:
    """Some crops by MONAI's own or our ``Compose`` of the same transforms."""
    transforms, items = chain
    set_determinism(seed)
    try:
        made = compose(copy.deepcopy(transforms.transforms))
        made.set_random_state(seed)
        dataset = SeededCacheDataset(items, made, cache_rate=cache_rate, progress=False)
        assert dataset.copy_cache == (compose is Compose)
        return [dataset[number % len(items)] for number in range(DRAWS)]
    finally:
        set_determinism(None)


@pytest.mark.parametrize("cache_rate", [1.0, 0.5])
def test_the_same_crops_as_by_monai(chain, cache_rate):
    assert isinstance(chain[0], PlainCompose)
    expected, found = crops(Compose, chain), crops(PlainCompose, chain, cache_rate=cache_rate)
    for one, other in zip(expected, found, strict=True):
        assert set(one) == set(other)
        for key, value in one.items():
            if isinstance(value, torch.Tensor):
                assert type(other[key]) is torch.Tensor
                assert value.dtype == other[key].dtype
                assert torch.equal(torch.as_tensor(value), other[key]), key
            else:
                assert value == other[key]
    assert len({float(one["image"].sum()) for one in found}) > DRAWS // 2  # random ones, not the same again and again
    labels = {int(value) for one in found for value in one["segmentation"].unique()}
    assert labels <= {0, 1, 2, 255}  # of labels nothing is mixed


def test_the_cache_stays_as_it_is(chain):
    transforms, items = chain
    dataset = SeededCacheDataset(items, transforms, progress=False)
    before = [{key: np.array(value) for key, value in kept.items()} for kept in copy.deepcopy(dataset._cache)]
    for number in range(DRAWS):
        dataset[number % len(items)]
    for kept, was in zip(dataset._cache, before, strict=True):
        for key, value in was.items():
            assert not isinstance(kept[key], MetaTensor)
            np.testing.assert_array_equal(np.array(kept[key]), value)


def test_metadata_is_tracked_again_also_after_an_error():
    def fails(data):
        raise ArithmeticError

    chain = PlainCompose([ScaleIntensityd("image"), RandFlipd("image", prob=1.0), fails])
    with pytest.raises(RuntimeError):
        chain({"image": MetaTensor(torch.rand(1, 4, 4))})
    assert get_track_meta()


def test_without_anything_random_it_is_compose():
    given = {"image": MetaTensor(torch.rand(1, 4, 4))}
    assert isinstance(PlainCompose([ScaleIntensityd("image")])(given)["image"], MetaTensor)
