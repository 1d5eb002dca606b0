"""The layers computed another way are the plain ones: values, gradients, names and exports."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lazylabels_monai.networks import DMUNet, MultiTaskUNet, SeparateDecodersUNet, SingleTaskUNet
from lazylabels_monai.networks.quick import (
    InstanceNorm2d,
    InstanceNorm3d,
    convolve_upsampled,
    in_predicting_order,
    is_quick,
    plainly,
)

#: In float32 sums of a channels-last map are added up one by one: logits of random networks, of about 0.5, differ by less.
TOLERANCE = {"rtol": 1e-3, "atol": 2e-3}


def plain_convolution(low, weight):
    up = F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
    return F.conv2d(up, weight, padding=1)


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(2, 9), st.integers(2, 9)),
    channels_last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_convolution_of_an_upsampled_map(batch, channels, size, channels_last, seed):
    """Of any size and memory order, to the border; and its gradients."""
    torch.manual_seed(seed)
    low = torch.randn(batch, channels[0], *size, dtype=torch.double)
    low = low.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format).requires_grad_()
    weight = torch.randn(channels[1], channels[0], 3, 3, dtype=torch.double, requires_grad=True)
    made, expected = convolve_upsampled(low, weight), plain_convolution(low, weight)
    torch.testing.assert_close(made, expected, check_stride=False)
    grad = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad(made, (low, weight), grad), torch.autograd.grad(expected, (low, weight), grad), strict=True
    ):
        torch.testing.assert_close(ours, theirs, check_stride=False)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 4, 40, 33), (3, 2, 1, 2), (2, 3, 4, 5, 3)])
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_instance_normalization_and_its_gradients(affine, shape, channels_last, offset):
    torch.manual_seed(0)
    kinds = {4: (nn.InstanceNorm2d, InstanceNorm2d, torch.channels_last), 5: (nn.InstanceNorm3d, InstanceNorm3d, None)}
    plain, quick, order = kinds[len(shape)]
    theirs, ours = plain(shape[1], affine=affine).double(), quick(shape[1], affine=affine).double()
    if affine:
        nn.init.normal_(theirs.weight)
        nn.init.normal_(theirs.bias)
        ours.load_state_dict(theirs.state_dict())
    image = torch.randn(shape, dtype=torch.double) + offset
    if channels_last and order is not None:
        image = image.contiguous(memory_format=order)
    one, other = image.clone().requires_grad_(), image.clone().requires_grad_()
    made, expected = ours(one), theirs(other)
    torch.testing.assert_close(made, expected, check_stride=False)
    if channels_last and order is not None and affine:
        assert made.is_contiguous(memory_format=order), "no copy to the other order of memory"
    grad = torch.randn_like(expected)
    made.backward(grad)
    expected.backward(grad)
    torch.testing.assert_close(one.grad, other.grad, check_stride=False)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs.get_parameter(name).grad)


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (3, 4), (2, 4, 5, 5)])
def test_what_cannot_be_normalized_is_refused_as_ever(shape):
    """One pixel, other axes, other channels."""
    failed = []
    for kind in (nn.InstanceNorm2d, InstanceNorm2d):
        with pytest.raises((ValueError, RuntimeError)) as caught:
            kind(3, affine=True).train()(torch.rand(shape))
        failed.append(str(caught.value))
    assert failed[0] == failed[1]


LIGHT = {"detection_stride": 2, "finest_width": 0.5, "separation_conv": "depthwise"}


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (MultiTaskUNet, {"num_multitask_blocks": 2}),
        (MultiTaskUNet, {"num_multitask_blocks": 2, **LIGHT}),
        (SeparateDecodersUNet, {"num_multitask_blocks": 2}),
        (SingleTaskUNet, {}),
        (DMUNet, {}),
    ],
)
@pytest.mark.parametrize("norm", [("INSTANCE", {"affine": True}), "BATCH"])
def test_networks_compute_the_plain_function_in_double(kind, arguments, norm, monkeypatch):
    monkeypatch.setattr("lazylabels_monai.networks.blocks._WORTHWHILE", 2)
    torch.manual_seed(0)
    network = kind(channels=(4, 6, 8), norm=norm, **arguments).eval().to(memory_format=torch.channels_last)
    image = torch.randn(2, 1, 24, 36)
    with torch.no_grad():
        with plainly():
            exact = copy.deepcopy(network).double()(image.double())
            single = network(image)
        torch.testing.assert_close(copy.deepcopy(network).double()(image.double()), exact, check_stride=False)
        torch.testing.assert_close(network(image), single, **TOLERANCE, check_stride=False)


@pytest.mark.parametrize("light", [{}, LIGHT], ids=["full", "light"])
def test_a_step_of_training_is_the_plain_one_in_double(light):
    torch.manual_seed(0)
    norm = ("INSTANCE", {"affine": True})
    network = MultiTaskUNet(channels=(4, 6, 8), num_multitask_blocks=2, norm=norm, **light).double()
    network.to(memory_format=torch.channels_last)
    image = torch.randn(2, 1, 24, 36, dtype=torch.double)
    gradients = []
    for plain in (False, True):
        network.zero_grad(set_to_none=True)
        if plain:
            with plainly():
                network(image).square().mean().backward()
        else:
            network(image).square().mean().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in network.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, grad in gradients[0].items():
        torch.testing.assert_close(grad, gradients[1][name], check_stride=False, msg=name)


def test_names_and_description_of_a_network_stay_those_of_weights_and_stamps():
    """The same keys, the same text: files and results of earlier versions go on being read."""
    network = SingleTaskUNet(channels=(4, 8), norm=("INSTANCE", {"affine": True}))
    plain = copy.deepcopy(network)
    replaced = 0
    for parent in plain.modules():
        for name, child in parent.named_children():
            if type(child) is InstanceNorm2d:
                setattr(parent, name, nn.InstanceNorm2d(child.num_features, affine=True))
                replaced += 1
    assert replaced
    assert repr(plain) == repr(network)
    assert list(plain.state_dict()) == list(network.state_dict())


def test_a_network_that_is_not_lighter_is_described_as_ever():
    """Stamps of results hold this text; a setting at its default leaves no trace in it, nor in the names of weights."""
    norm = ("INSTANCE", {"affine": True})
    network = MultiTaskUNet(channels=(4, 8), num_multitask_blocks=1, norm=norm)
    assert {name.partition(".")[0] for name, _ in network.named_modules() if name} == {
        "pool",
        "down",
        "single",
        "multitask",
        "heads",
    }
    block = network.multitask[0]
    assert [name for name, _ in block.named_children()] == ["shared", "residual", "separation"]
    assert [name for name, _ in block.separation.named_children()] == ["up", "conv_up", "conv_skip", "tails"]


def test_exports_hold_the_plain_layers():
    network = SingleTaskUNet(channels=(4, 8), norm=("INSTANCE", {"affine": True})).eval()
    image = torch.randn(1, 1, 72, 80)
    with torch.no_grad():
        scripted = torch.jit.script(network)
        assert "instance_norm" in str(scripted.inlined_graph)
        assert "group_norm" not in str(scripted.inlined_graph)
        torch.testing.assert_close(scripted(image), network(image), **TOLERANCE)
        traced = str(torch.jit.trace(network, image, check_trace=False).inlined_graph)
    assert "instance_norm" in traced
    assert "upsample_bilinear2d" in traced
    assert "PythonOp" not in traced


@pytest.mark.parametrize("dims", [2, 3])
def test_predicting_order_ends_with_its_block_and_after_an_error(dims):
    """The same parameters with the same values, whose order of memory is another one meanwhile; those of volumes stay."""
    network = MultiTaskUNet(spatial_dims=dims, channels=(4, 8), num_multitask_blocks=1)
    before = {name: (id(weight), weight.detach().clone()) for name, weight in network.named_parameters()}
    image = torch.rand(1, 3, *[16] * dims).sum(1, keepdim=True)
    with torch.no_grad():
        expected = network(image)
        with pytest.raises(RuntimeError), in_predicting_order(network):  # noqa: PT012
            wide = [weight for weight in network.parameters() if weight.dim() == 4]
            assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in wide)
            assert len(wide) > 10 if dims == 2 else not wide
            torch.testing.assert_close(network(image), expected, **TOLERANCE, check_stride=False)
            raise RuntimeError
        assert torch.equal(network(image), expected)
    for name, weight in network.named_parameters():
        assert id(weight) == before[name][0]
        assert torch.equal(weight, before[name][1])
        assert weight.is_contiguous()
    last = network.to(memory_format=torch.channels_last) if dims == 2 else network
    with in_predicting_order(last):
        pass
    assert dims == 3 or last.down[1].conv_1.conv.weight.is_contiguous(memory_format=torch.channels_last), "as it was before"


def test_plainly_ends_with_its_block_and_after_an_error():
    values = torch.zeros(1)
    with plainly():
        assert not is_quick(values)
        with plainly():
            pass
        assert not is_quick(values), "the outer block goes on"
    with pytest.raises(RuntimeError), plainly():
        raise RuntimeError
    assert is_quick(values)
