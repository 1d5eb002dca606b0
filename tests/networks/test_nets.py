"""The networks against plain statements of what they compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lazylabels_monai.networks import DMUNet, MultiTaskUNet, SeparateDecodersUNet, SingleTaskUNet
from lazylabels_monai.networks.blocks import DepthwiseMerge
from lazylabels_monai.networks.quick import plainly
from lazylabels_monai.tasks import TASKS, task_slices
from tests.networks.cases import CHANNELS, NETWORKS, SEVERAL_TASKS, build, every_network, images, slices_of

every_network_of_several_tasks = pytest.mark.parametrize("name", SEVERAL_TASKS)


class Reference:
    """The networks written out with torch.nn.functional as their papers and docstrings state them, from the weights of ours."""

    def __init__(self, network):
        self.network = network
        self.conv = F.conv2d if network.spatial_dims == 2 else F.conv3d

    def norm_act(self, x, adn, act=True):
        norm = adn.N
        x = F.batch_norm(x, norm.running_mean.clone(), norm.running_var.clone(), norm.weight, norm.bias, training=norm.training)
        return F.leaky_relu(x, 0.01) if act else x

    def sub_block(self, x, block, act=True):
        return self.norm_act(self.conv(x, block.conv.weight, block.conv.bias, padding=1), block.adn, act)

    def merge(self, low, skip, merge, path=0):
        """F or G: upsample, concatenate, two sub-blocks; of F each path has running averages of its own."""
        if isinstance(merge, DepthwiseMerge):  # full filters whose kernels are multiples of one another
            first, pointwise, second = merge.tail
            weight = torch.cat((merge.conv_up.conv.weight, merge.conv_skip.conv.weight), dim=1) * first.conv.weight
            x = self.conv(torch.cat((self.up(low), skip), dim=1), weight, first.conv.bias, padding=1)
            x = self.norm_act(x, first.adn)
            x = self.conv(x, pointwise.conv.weight * second.conv.weight, second.conv.bias, padding=1)
            return self.norm_act(x, second.adn)
        weight = torch.cat((merge.conv_up.conv.weight, merge.conv_skip.conv.weight), dim=1)
        x = self.conv(torch.cat((self.up(low), skip), dim=1), weight, merge.conv_skip.conv.bias, padding=1)
        tail = merge.tails[path]
        return self.sub_block(self.norm_act(x, tail[0]), tail[1])

    def two(self, x, block):
        return self.sub_block(self.sub_block(x, block.conv_0), block.conv_1)

    def head(self, x, head):
        return self.conv(x, head.conv.weight, head.conv.bias)

    def pool(self, x, by=2):
        return (F.max_pool2d if self.network.spatial_dims == 2 else F.max_pool3d)(x, by)

    def up(self, x, by=2):
        mode = "bilinear" if self.network.spatial_dims == 2 else "trilinear"
        return F.interpolate(x, scale_factor=by, mode=mode, align_corners=False)

    def dense(self, image):
        """DMUNet: maps by resolution, 0 the finest."""
        network, e, last = self.network, {}, len(self.network.down) - 1
        for level, block in enumerate(network.down):
            earlier = [(below, self.pool(e[below], 2 ** (level - below))) for below in (level - 1, level - 2) if below in e]
            e[level] = self.two(torch.cat([m for _, m in earlier], dim=1) if earlier else image, block)
        d = {last: e[last]}
        for level, block in zip(range(last - 1, -1, -1), network.up, strict=True):
            maps = [self.up(d[level + 1]), *([self.up(d[level + 2], 4)] if level + 2 in d else [])]
            maps += [self.up(e[level + 1])] if level + 1 < last else []
            maps += [e[level], *([self.pool(e[level - 1])] if level else [])]
            d[level] = self.two(torch.cat(maps, dim=1), block)
        return self.head(d[0], network.head)

    def __call__(self, image):
        network, size = self.network, image.shape[2:]
        if isinstance(network, DMUNet):
            return self.dense(image)
        skips = []
        for i, block in enumerate(network.down):
            image = self.two(self.pool(image) if i else image, block)
            skips.append(image)
        x = skips.pop()
        for merge in network.single:
            x = self.merge(x, skips.pop(), merge)
        if isinstance(network, SingleTaskUNet):
            return self.head(x, network.head)

        if isinstance(network, SeparateDecodersUNet):
            maps = dict.fromkeys(network.heads, x)
            for step, c in enumerate(reversed(skips)):
                maps = {task: self.merge(maps[task], c, network.decoders[task][step]) for task in maps}
            return torch.cat([self.head(maps[task], network.heads[task]) for task in maps], dim=1)

        y = z = x
        detects, separates = (task in network.heads for task in ("detection", "separation"))
        for block in network.multitask:
            c, low, before = skips.pop(), z, x
            if detects and block.detects:
                x = self.merge(before, c, block.shared)
                z = h = self.merge(low, c, block.shared, path=1) if low is not before else x
            else:
                z = h = self.merge(low, c, block.shared)
            if block.residual is not None:
                z = h + self.sub_block(self.sub_block(h, block.residual[0]), block.residual[1], act=False)
            y = self.merge(y, z, block.separation) if separates else None
        assert not skips
        maps = {"segmentation": z, "detection": x, "separation": y}
        logits = {task: self.head(maps[task], network.heads[task]) for task in TASKS if task in network.heads}
        if detects and x.shape[2:] != size:  # where its path ends at a coarser resolution
            mode = "bilinear" if network.spatial_dims == 2 else "trilinear"
            logits["detection"] = F.interpolate(logits["detection"], size=size, mode=mode, align_corners=False)
        return torch.cat(list(logits.values()), dim=1)


@every_network
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_equals_plain_statement(name, training):
    network = build(name).train(training).double()
    (image,) = images(network, (24, 16)) if network.spatial_dims == 2 else [images(network, (16, 8))[0][..., :8]]
    with torch.no_grad():
        expected = Reference(network)(image.double())
        torch.testing.assert_close(network(image.double()), expected)  # to 1e-7
    assert expected.std() > 0.05  # the comparison is about something


@every_network
@pytest.mark.parametrize("size", [(24, 16), (13, 30), (3, 5), (1, 17)])
def test_any_size_is_padded_at_its_end_and_cropped(name, size):
    network = build(name)
    (image,) = images(network, size)
    padding = [(0, 0), (0, 0)] + [(0, -extent % 8) for extent in image.shape[2:]]
    padded = torch.from_numpy(np.pad(image.numpy(), padding, mode="edge"))
    with torch.no_grad():
        logits = network(image)
        expected = network(padded)[tuple(slice(0, extent) for extent in (None, None, *image.shape[2:]))]
    assert logits.shape[2:] == image.shape[2:]
    torch.testing.assert_close(logits, expected)


@pytest.mark.parametrize("name", ["multi-2d", "separate-2d", "single-2d", "dense-2d"])
@pytest.mark.parametrize("size", [(1, 1), (8, 3), (9, 8)])
def test_instance_normalization_of_tiny_images(name, size):
    """One pixel at the coarsest resolution cannot be normalized: images are padded to two each way."""
    network = build(name, norm=["instance", {"affine": True}]).train()
    (image,) = images(network, size)
    padding = [(0, 0), (0, 0)] + [(0, 16 - extent) for extent in size]
    padded = torch.from_numpy(np.pad(image.numpy(), padding, mode="edge"))
    with torch.no_grad():
        torch.testing.assert_close(network(image), network(padded)[..., : size[0], : size[1]])


@every_network
def test_every_parameter_is_trained(name):
    network = build(name).train()
    (image,) = images(network, (16, 16))
    network(image).square().sum().backward()
    without = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.isfinite().all()]
    assert without == []


@every_network_of_several_tasks
def test_channels_are_in_the_order_of_tasks(name):
    network = build(name)
    (image,) = images(network, (16, 16))
    slices = slices_of(name)
    assert list(network.heads) == list(slices) == [task for task in TASKS if task in slices]
    for i, task in enumerate(slices):
        nn.init.zeros_(network.heads[task].conv.weight)
        nn.init.constant_(network.heads[task].conv.bias, i)
    with torch.no_grad():
        logits = network(image)
    assert logits.shape[1] == max(part.stop for part in slices.values())
    for i, task in enumerate(slices):
        assert (logits[:, slices[task]] == i).all()


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(
    ("perturbed", "expected"),
    [
        ("residual", {"segmentation": True, "detection": False, "separation": True}),
        ("separation", {"segmentation": False, "detection": False, "separation": True}),
        ("shared", {"segmentation": True, "detection": True, "separation": True}),
    ],
)
def test_which_task_depends_on_which_block(perturbed, expected, training):
    # While training, F's joint statistics let detection see the segmentation maps of the level below, so that only the
    # finest level's R cannot reach it.
    network = build("multi-2d").train(training)
    (image,) = images(network, (16, 24))
    with torch.no_grad():
        before = network(image)
        for block in network.multitask if not training else network.multitask[-1:]:
            for parameter in getattr(block, perturbed).parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        after = network(image)
    slices = task_slices(3)
    changed = {task: not torch.equal(before[:, slices[task]], after[:, slices[task]]) for task in expected}
    assert changed == expected


def parameters_reached(name):
    """For each task the parameters it has a gradient for, and all of them; without the heads."""
    network = build(name)
    (image,) = images(network, (16, 16))
    reached = {}
    for task, channels in slices_of(name).items():
        network.zero_grad(set_to_none=True)
        network(image)[:, channels].square().sum().backward()
        with_gradient = (key for key, value in network.named_parameters() if value.grad is not None and value.grad.any())
        reached[task] = {key for key in with_gradient if "heads" not in key}
    return reached, {key for key, _ in network.named_parameters() if "heads" not in key}


@pytest.mark.parametrize("name", [name for name in SEVERAL_TASKS if name.startswith("multi")])
def test_detection_and_segmentation_share_their_weights(name):
    reached, everything = parameters_reached(name)
    shared = {key for key in everything if ".residual." not in key and ".separation." not in key}
    arguments = NETWORKS[name][1]
    blocks, ends = arguments["num_multitask_blocks"], arguments.get("detection_stride", 1).bit_length() - 1
    finer = tuple(f"multitask.{i}." for i in range(blocks - ends, blocks))  # than where detection's path ends
    common = {key for key in shared if not key.startswith(finer)}
    assert reached.get("detection", common) == common
    assert reached["segmentation"] == {key for key in everything if ".separation." not in key}
    assert reached.get("separation", everything) == everything
    assert any(".separation." in key for key in everything) == ("separation" in reached)


@pytest.mark.parametrize("name", [name for name in SEVERAL_TASKS if name.startswith("separate")])
def test_separate_decoders_share_the_contracting_path_alone(name):
    reached, everything = parameters_reached(name)
    for task, keys in reached.items():
        assert keys == {key for key in everything if key.startswith(("down", "single", f"decoders.{task}."))}
    assert {key for key in everything if key.startswith("decoders")}


@pytest.mark.parametrize(("blocks", "residual"), [(1, True), (2, True), (3, True), (3, False)])
def test_number_of_parameters(blocks, residual):
    def sub_block(below, width):
        return 9 * below * width + width + 2 * width  # convolution with bias, batch normalization

    def two(below, width):
        return sub_block(below, width) + sub_block(width, width)

    expected = two(1, 4) + two(4, 6) + two(6, 8) + two(8, 5) + (4 + 1) * (3 + 3 + 2)
    for step, (below, width) in enumerate(((5, 8), (8, 6), (6, 4))):
        expected += two(below + width, width)  # F
        if step >= 3 - blocks:
            expected += two(below + width, width)  # G
            expected += two(width, width) if residual else 0  # R
    network = build("multi-2d", num_multitask_blocks=blocks, residual=residual)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    for block in network.multitask:
        first, second = block.shared.tails
        assert all(a is b for a, b in zip(first.parameters(), second.parameters(), strict=True))
        assert {id(b) for b in first.buffers()}.isdisjoint(id(b) for b in second.buffers())


@pytest.mark.parametrize(("residual", "calls"), [(True, 5), (False, 3)])
def test_nothing_is_computed_twice(residual, calls):
    """F's skip half runs once a block, and F itself once as long as detection and segmentation are the same."""
    network = build("multi-2d", residual=residual)
    seen = {"skip": 0, "tail": 0}

    def count(what):
        def hook(*_):
            seen[what] += 1

        return hook

    for block in network.multitask:
        block.shared.conv_skip.register_forward_hook(count("skip"))
        for tail in block.shared.tails:
            tail.register_forward_hook(count("tail"))
    network(images(network, (16, 16))[0])
    assert seen == {"skip": 3, "tail": calls}


@pytest.mark.parametrize("name", ["multi-2d", "single-3d"])
def test_other_norm_act_and_dropout(name):
    network = build(name, norm="INSTANCE", act="RELU", dropout=0.5)
    (image,) = images(network, (16, 16))
    assert any(isinstance(module, nn.Dropout) and module.p == 0.5 for module in network.modules())
    assert not any(isinstance(module, nn.LeakyReLU | nn.BatchNorm2d | nn.BatchNorm3d) for module in network.modules())
    with torch.no_grad():
        assert torch.equal(network(image), network(image))
        network.train()
        assert not torch.equal(network(image), network(image))


@every_network
def test_metadata_pass_through(name):
    network = build(name)
    (image,) = images(network, (13, 10))
    meta = MetaTensor(image, meta={"filename_or_obj": ["a.png", "b.png"]})
    meta.is_batch = True
    with torch.no_grad():
        logits = network(meta)
        torch.testing.assert_close(logits.as_tensor(), network(image))
    assert logits.meta["filename_or_obj"] == ["a.png", "b.png"]


@every_network
def test_channels_last(name):
    network = build(name)
    (image,) = images(network, (13, 10))
    network, image = network.double(), image.double()
    with torch.no_grad():
        expected = network(image)
        memory = torch.channels_last if network.spatial_dims == 2 else torch.channels_last_3d
        result = network.to(memory_format=memory)(image.to(memory_format=memory))
    torch.testing.assert_close(result, expected)


@pytest.mark.parametrize("cls", [MultiTaskUNet, SeparateDecodersUNet, SingleTaskUNet, DMUNet])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"spatial_dims": 1}, "spatial_dims 1 must be 2 or 3."),
        ({"in_channels": 0}, "in_channels 0 must be at least 1"),
        ({"num_classes": 1}, "num_classes 1 must count the background too"),
        ({"num_classes": 256}, "num_classes 256 must .* from 2 to 255"),
        ({"channels": (8,)}, r"channels \[8\] must hold two or more positive numbers"),
        ({"channels": (8, 0)}, r"channels \[8, 0\] must hold two or more positive numbers"),
    ],
)
def test_bad_arguments(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**{"channels": CHANNELS, **arguments})


@pytest.mark.parametrize("cls", [MultiTaskUNet, SeparateDecodersUNet])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_multitask_blocks": 0}, "num_multitask_blocks 0 must be from 1 to 3"),
        ({"num_multitask_blocks": 4}, "num_multitask_blocks 4 must be from 1 to 3"),
        ({"tasks": ["detection"]}, r"tasks \['detection'\] must hold 'segmentation'"),
        ({"tasks": ["segmentation", "border"]}, r"tasks \['segmentation', 'border'\] must name each of"),
    ],
)
def test_bad_paths(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**{"channels": CHANNELS, "num_multitask_blocks": 3, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"detection_stride": 3}, "detection_stride 3 must be a power of two from 1 to 4"),
        ({"detection_stride": 0}, "detection_stride 0 must be a power of two"),
        ({"detection_stride": 8}, "detection_stride 8 must be a power of two from 1 to 4"),
        ({"detection_stride": 2, "num_multitask_blocks": 1}, "detection_stride 2 must be a power of two from 1 to 1"),
        ({"finest_width": 0}, "finest_width 0 must be above 0 and at most 1"),
        ({"finest_width": 1.5}, "finest_width 1.5 must be above 0 and at most 1"),
        ({"separation_conv": "sparse"}, "separation_conv 'sparse' must be one of"),
    ],
)
def test_bad_settings_of_a_lighter_network(arguments, message):
    with pytest.raises(ValueError, match=message):
        MultiTaskUNet(**{"channels": CHANNELS, "num_multitask_blocks": 3, **arguments})


def test_lighter_networks_take_fewer_products():
    """Each setting by itself, and a coarser detection the more; the most of all the three together."""
    image = torch.rand(1, 1, 32, 32)

    def products(**arguments):
        network = MultiTaskUNet(channels=(8, 16, 16, 16), num_multitask_blocks=3, **arguments).eval()
        with plainly(), torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(image)
        return counter.get_total_flops()

    half, quarter = products(detection_stride=2), products(detection_stride=4)
    narrow, depthwise = products(finest_width=0.5), products(separation_conv="depthwise")
    light = products(detection_stride=4, finest_width=0.5, separation_conv="depthwise")
    assert light < min(quarter, narrow, depthwise) < max(half, narrow, depthwise) < products()
    assert quarter < half


@pytest.mark.parametrize("name", ["multi-2d-half-detection", "multi-2d-light", "multi-3d-light"])
def test_part_of_a_lighter_network(name):
    network = build(name)
    (image,) = images(network, (16, 24))
    with torch.no_grad():
        whole = network(image)
        for tasks in (["segmentation"], ["segmentation", "detection"], ["segmentation", "separation"]):
            part = network.part(tasks)(image)
            expected = torch.cat([whole[:, slices_of(name)[task]] for task in tasks], dim=1)
            torch.testing.assert_close(part, expected)


def test_a_task_left_out_changes_nothing_for_the_others():
    """A network for fewer tasks is the whole one without what only the others need: in evaluation the same maps."""
    whole = build("multi-2d", num_multitask_blocks=2)
    (image,) = images(whole, (16, 24))
    for name in ("multi-2d-no-detection", "multi-2d-no-separation"):
        part, tasks = build(name), slices_of(name)
        # F's running averages: without detection, its one path is segmentation's, after the block where they part
        weights = whole.state_dict()
        if "detection" not in tasks:
            weights |= {key.replace("tails.1", "tails.0"): value for key, value in weights.items() if "1.shared.tails.1" in key}
        assert not part.load_state_dict(weights, strict=False).missing_keys
        with torch.no_grad():
            for task, channels in tasks.items():
                torch.testing.assert_close(part(image)[:, channels], whole(image)[:, task_slices(3)[task]])


def counted(network, image):
    """What a network answers, and how many convolutions it calls."""
    calls = []
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Conv3d)]
    hooks = [module.register_forward_hook(lambda *_: calls.append(1)) for module in convolutions]
    answer = network(image)
    for hook in hooks:
        hook.remove()
    return answer, len(calls)


@every_network_of_several_tasks
def test_a_part_answers_for_some_tasks_and_shares_the_weights(name):
    """Its channels are those of the whole network; nothing of the others is computed; and it is the whole one that learns."""
    whole, slices = build(name), slices_of(name)
    (image,) = images(whole, (16, 24)) if whole.spatial_dims == 2 else [images(whole, (16, 8))[0][..., :8]]
    classes = NETWORKS[name][1].get("num_classes", 3)
    for tasks in (["segmentation"], ["separation", "segmentation"], ["detection", "segmentation"], list(whole.tasks)):
        if not set(tasks) <= set(whole.tasks):
            with pytest.raises(ValueError, match="did not learn"):
                whole.part(tasks)
            continue
        part = whole.part(tasks)
        assert set(part.parameters()) <= set(whole.parameters())
        with torch.no_grad():
            expected, all_calls = counted(whole, image)
            answer, calls = counted(part, image)
        for task, channels in task_slices(classes, tasks).items():
            torch.testing.assert_close(answer[:, channels], expected[:, slices[task]])
        assert answer.shape[1] == sum(channels.stop - channels.start for channels in task_slices(classes, tasks).values())
        assert (calls < all_calls) == (set(tasks) != set(whole.tasks))
    assert list(whole.heads) == list(slices), "the whole one stays whole"
    with pytest.raises(ValueError, match="must hold 'segmentation'"):
        whole.part([task for task in whole.tasks if task != "segmentation"][:1])


def test_defaults_are_the_papers():
    network = MultiTaskUNet()
    assert len(network.down) == 6
    assert (len(network.single), len(network.multitask)) == (1, 4)


@pytest.mark.parametrize("norm", ["BATCH", ("INSTANCE", {"affine": True}), ("GROUP", {"num_groups": 2}), None])
def test_residual_that_begins_as_zero_is_none_at_first_and_learns(norm):
    """The map of a network without R, until a step later."""
    arguments = {"channels": (4, 8, 8), "num_multitask_blocks": 2, "norm": norm}
    network = MultiTaskUNet(**arguments, zero_init_residual=True).train()
    without = MultiTaskUNet(**arguments, residual=False).train()
    weights = {key: value for key, value in network.state_dict().items() if ".residual." not in key}
    without.load_state_dict(weights)
    image = torch.rand(2, 1, 16, 24)
    torch.testing.assert_close(network(image), without(image))

    begins_at_random = MultiTaskUNet(**arguments).train()
    begins_at_random.load_state_dict(weights, strict=False)
    assert not torch.allclose(begins_at_random(image), without(image))

    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(2):  # the first step gives R a weight, the second one teaches what is before it
        before = {key: value.clone() for key, value in network.multitask[-1].residual.named_parameters()}
        optimizer.zero_grad()
        network(image)[:, task_slices(3)["segmentation"]].square().mean().backward()
        optimizer.step()
    after = dict(network.multitask[-1].residual.named_parameters())
    assert all(not torch.equal(before[key], after[key]) for key in after if norm is None or "conv.bias" not in key)


def test_residual_cannot_begin_as_zero_without_a_weight():
    with pytest.raises(ValueError, match=r"zero_init_residual needs a norm with weights.*INSTANCE has none"):
        MultiTaskUNet(channels=(4, 8), num_multitask_blocks=1, norm="INSTANCE", zero_init_residual=True)


def test_detection_does_not_learn_through_the_other_branches():
    """While training, too: neither R nor G gets a gradient from detection, and G none from segmentation."""
    network = MultiTaskUNet(channels=(4, 8, 8), num_multitask_blocks=2).train()
    slices = task_slices(3)
    out = network(torch.rand(2, 1, 16, 24))
    out[:, slices["detection"]].square().sum().backward(retain_graph=True)
    for block in network.multitask:
        assert all(p.grad is None or not p.grad.any() for p in block.residual.parameters())
        assert all(p.grad is None or not p.grad.any() for p in block.separation.parameters())
    out[:, slices["segmentation"]].square().sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in network.multitask[-1].residual.parameters())
    for block in network.multitask:
        assert all(p.grad is None or not p.grad.any() for p in block.separation.parameters())
