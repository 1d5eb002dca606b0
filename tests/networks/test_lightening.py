"""What a lighter network takes over: exact where the weights are as light as it is, the nearest or strongest elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lazylabels_monai.networks import MultiTaskUNet, SingleTaskUNet
from lazylabels_monai.networks.lightening import lightened, rank_one

SIZE = {"channels": (4, 6, 8), "num_multitask_blocks": 2, "norm": ("INSTANCE", {"affine": True})}


def built(seed=0, **more):
    """A network whose normalizations are not the identity."""
    torch.manual_seed(seed)
    network = MultiTaskUNet(**{**SIZE, **more}).eval()
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm2d | nn.InstanceNorm3d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return network


def light_from(full, **more):
    light = built(seed=1, **more)
    own = light.state_dict()
    given = {**full.state_dict(), **lightened(full.state_dict(), own)}
    taken = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    light.load_state_dict(taken, strict=False)
    return light, set(own) - set(taken)


def answers(*networks):
    torch.manual_seed(2)
    image = torch.rand(2, 1, 24, 32, *[8] * (networks[0].spatial_dims - 2))
    with torch.no_grad():
        return [network(image) for network in networks]


@pytest.mark.parametrize("shape", [(5, 7, 3, 3), (2, 3, 3, 3, 3), (4, 1, 3, 3)])
def test_rank_one_is_the_nearest(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    by_channel, kernels = rank_one(weight)
    assert by_channel.shape == (*shape[:2], *[1] * (len(shape) - 2))
    assert kernels.shape == (shape[0], 1, *shape[2:])
    for one, product in zip(weight.numpy(), (by_channel * kernels).numpy(), strict=True):
        rest = np.linalg.svd(one.reshape(shape[1], -1), compute_uv=False)[1:]
        assert np.square(one - product).sum() == pytest.approx(np.square(rest).sum(), abs=1e-4)


@pytest.mark.parametrize("dims", [2, 3])
def test_kernels_that_are_multiples_of_one_another_are_taken_exactly(dims):
    light = built(spatial_dims=dims, separation_conv="depthwise")
    full = built(seed=3, spatial_dims=dims)
    others = {
        name: value for name, value in light.state_dict().items() if name.startswith("heads") or ".separation." not in name
    }
    full.load_state_dict(others, strict=False)
    with torch.no_grad():
        for block, of in zip(full.multitask, light.multitask, strict=True):
            first, pointwise, second = of.separation.tail
            merge = block.separation
            for name in ("conv_up", "conv_skip"):
                getattr(merge, name).conv.weight.copy_(getattr(of.separation, name).conv.weight * first.conv.weight)
            merge.conv_skip.conv.bias.copy_(first.conv.bias)
            tail = merge.tails[0]
            tail[1].conv.weight.copy_(pointwise.conv.weight * second.conv.weight)
            tail[1].conv.bias.copy_(second.conv.bias)
            tail[0].load_state_dict(first.adn.state_dict())
            tail[1].adn.load_state_dict(second.adn.state_dict())
    made, anew = light_from(full, spatial_dims=dims, separation_conv="depthwise")
    assert not anew
    of_light, of_full, of_made = answers(light, full, made)
    torch.testing.assert_close(of_full, of_light, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(of_made, of_light, rtol=1e-3, atol=1e-4)


def test_channels_that_nothing_looks_at_are_the_ones_left_out():
    full = built()
    finest = full.multitask[-1]
    with torch.no_grad():
        finest.residual[1].conv.weight[:, [0, 2]] = 0
        finest.separation.tails[0][1].conv.weight[:, [1, 2]] = 0
        full.heads["separation"].conv.weight[:, [0, 3]] = 0
    made, anew = light_from(full, finest_width=0.5)
    assert not anew
    torch.testing.assert_close(*answers(made, full))


@pytest.mark.parametrize(
    "light",
    [{"separation_conv": "depthwise"}, {"finest_width": 0.5}, {"finest_width": 0.5, "separation_conv": "depthwise"}],
    ids=["depthwise", "narrow", "both"],
)
def test_everything_but_a_head_of_other_maps_begins_from_the_weights(light):
    _, anew = light_from(built(), **light)
    assert not anew
    _, anew = light_from(built(), detection_stride=2, **light)
    assert anew == {"heads.detection.conv.weight"}


def test_a_network_that_is_no_lighter_gets_nothing_else():
    full = built().state_dict()
    for own in (built(seed=1), built(seed=1, channels=(4, 6, 8, 8)), SingleTaskUNet(channels=(4, 6, 8))):
        assert lightened(full, own.state_dict()) == {}
    assert lightened({}, built(separation_conv="depthwise").state_dict()) == {}
