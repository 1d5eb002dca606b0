"""A tile's answer is that of the whole picture: the same windows at the same places."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.inferers import MultiTaskSlidingWindowInferer
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.predicting.large.tiling import Tiling
from lazylabels_monai.predicting.large.windows import answer_tile


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MultiTaskUNet(channels=(4, 8), num_multitask_blocks=1, norm=("INSTANCE", {"affine": True})).eval()


@pytest.mark.parametrize(
    ("shape", "side", "options"),
    [
        ((70, 90), 32, {"roi_size": (32, 24), "overlap": 0.5}),
        ((41, 64), 20, {"roi_size": (16, 16), "overlap": 0.25, "sw_batch_size": 3}),
        ((30, 90), 25, {"roi_size": (48, 48), "overlap": 0.0}),
        ((50, 50), 17, {"roi_size": (16, 32), "overlap": 0.6, "mirroring": True, "mode": "constant"}),
    ],
)
def test_tiles_put_together_are_the_whole_picture(network, shape, side, options):
    inferer = MultiTaskSlidingWindowInferer(**options, num_classes=3)
    image = np.random.default_rng(1).normal(size=(1, *shape)).astype(np.float32)
    with torch.inference_mode():
        whole = inferer(torch.from_numpy(image.swapaxes(1, 2).copy())[None], network)[0].numpy().swapaxes(1, 2)
        tiling, out = Tiling(shape, side), np.zeros_like(whole)
        for index in range(len(tiling)):
            place = tiling.tile(index)
            region = lambda window: image[(slice(None), *window)]  # noqa: E731
            out[(slice(None), *place)] = answer_tile(region, shape, place, inferer, network, torch.device("cpu"))
    np.testing.assert_allclose(out, whole, atol=2e-6)


def test_an_answer_that_is_not_finite_is_refused(network):
    inferer = MultiTaskSlidingWindowInferer((16, 16), num_classes=3)
    with pytest.raises(LazyLabelsError, match="not finite"):
        answer_tile(
            lambda window: np.full((1, *(p.stop - p.start for p in window)), np.nan, np.float32),
            (40, 40),
            (slice(0, 20), slice(0, 20)),
            inferer,
            network,
            torch.device("cpu"),
        )
