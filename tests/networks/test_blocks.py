"""The blocks of the networks, alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lazylabels_monai.networks import MultiTaskBlock
from lazylabels_monai.networks.blocks import UpMerge


def test_split_convolution_starts_like_one_over_the_concatenation():
    torch.manual_seed(0)
    merge = UpMerge(2, 24, 8, 32)
    whole = nn.Conv2d(32, 32, 3)
    bound = (32 * 9) ** -0.5
    for part in (merge.conv_up.conv.weight, merge.conv_skip.conv.weight, merge.conv_skip.conv.bias):
        assert part.abs().max() <= bound
        assert part.abs().max() > 0.8 * bound
    assert merge.conv_up.conv.weight.std().item() == pytest.approx(whole.weight.std().item(), rel=0.05)
    assert merge.conv_up.conv.bias is None


def test_block_alone():
    block = MultiTaskBlock(2, in_channels=6, skip_channels=5, out_channels=4).eval()
    x, z, y = (torch.rand(2, 6, 3, 4) for _ in range(3))
    with torch.no_grad():
        results = block(x, z, y, torch.rand(2, 5, 6, 8))
    assert [tuple(result.shape) for result in results] == [(2, 4, 6, 8)] * 3


def test_paths_part_alike_whether_or_not_they_share_a_tensor():
    block = MultiTaskBlock(2, 6, 5, 4).eval()
    x, skip = torch.rand(2, 6, 3, 4), torch.rand(2, 5, 6, 8)
    with torch.no_grad():
        for once, twice in zip(block(x, x, x, skip), block(x, x.clone(), x.clone(), skip), strict=True):
            torch.testing.assert_close(once, twice)
