"""Sliding-window inference blends probabilities with a Gaussian weight."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.data.utils import compute_importance_map, dense_patch_slices

from lazylabels_monai.errors import LazyLabelsError
from lazylabels_monai.inferers import AutocastInferer, MultiTaskSlidingWindowInferer, task_softmax
from lazylabels_monai.networks import MultiTaskUNet
from lazylabels_monai.stamps import described
from lazylabels_monai.tasks import TASKS, task_slices


class _Positional(torch.nn.Module):
    """Logits that depend on the place in the window, so that a wrong blend shows."""

    def forward(self, x):
        height, width = x.shape[-2:]
        ramp = torch.linspace(-3, 3, height)[:, None] + torch.linspace(0, 2, width)[None]
        scale = torch.arange(1, 9, dtype=torch.float32)[:, None, None]
        return torch.sin(scale * ramp)[None] * 4 + x


def test_softmax_per_task():
    logits = torch.randn(2, 8, 3, 5) * 50
    probabilities = task_softmax(logits, 3)
    for channels in task_slices(3).values():
        torch.testing.assert_close(probabilities[:, channels], torch.softmax(logits[:, channels], 1))


def test_blend_equals_plain_restatement():
    image = torch.randn(1, 1, 40, 56)
    network = _Positional()
    inferer = MultiTaskSlidingWindowInferer(roi_size=(16, 24), overlap=0.5, sw_batch_size=1, num_classes=3)
    weight = compute_importance_map((16, 24), mode="gaussian", sigma_scale=0.125)
    total, weights = torch.zeros(8, 40, 56), torch.zeros(40, 56)
    for window in dense_patch_slices((40, 56), (16, 24), (8, 11)):  # evenly: 0, 11, 22, 32, not 0, 12, 24, 32
        total[(slice(None), *window)] += task_softmax(network(image[(..., *window)]), 3)[0] * weight
        weights[window] += weight
    torch.testing.assert_close(inferer(image, network)[0], total / weights, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("cached", [False, True])
def test_a_window_is_at_most_the_image(cached):
    image, network = torch.randn(1, 1, 20, 56), _Positional()
    whole = MultiTaskSlidingWindowInferer(roi_size=(32, 24), overlap=0.5, num_classes=3, cache_roi_weight_map=cached)
    fitting = MultiTaskSlidingWindowInferer(roi_size=(20, 24), overlap=0.5, num_classes=3)
    shapes = set()
    with network.register_forward_pre_hook(lambda module, args: shapes.add(args[0].shape[2:])):
        torch.testing.assert_close(whole(image, network), fitting(image, network))
    assert shapes == {(20, 24)}, "no zeros around the image"
    larger = torch.randn(1, 1, 40, 56)
    again = MultiTaskSlidingWindowInferer(roi_size=(32, 24), overlap=0.5, num_classes=3)
    torch.testing.assert_close(whole(larger, network), again(larger, network))  # the small image has left nothing behind


def test_mirroring_is_the_mean_over_the_mirror_images_of_each_window():
    image, network = torch.randn(1, 1, 16, 24), _Positional()  # one window
    inferer = MultiTaskSlidingWindowInferer(roi_size=(16, 24), num_classes=3, mirroring=True)
    views = [
        task_softmax(network(image), 3),
        task_softmax(network(image.flip(2)), 3).flip(2),
        task_softmax(network(image.flip(3)), 3).flip(3),
        task_softmax(network(image.flip(2, 3)), 3).flip(2, 3),
    ]
    torch.testing.assert_close(inferer(image, network), torch.stack(views).mean(0), atol=1e-5, rtol=1e-4)


def test_mirroring_of_a_volume_takes_the_four_views_of_its_plane_that_training_shows():
    calls = []

    def network(window):
        calls.append(window)
        return torch.zeros(1, 8, *window.shape[2:])

    volume = torch.arange(4 * 4 * 4.0).reshape(1, 1, 4, 4, 4)
    MultiTaskSlidingWindowInferer(roi_size=(4, 4, 4), num_classes=3, mirroring=True)(volume, network)
    expected = [volume, volume.flip(2), volume.flip(3), volume.flip(2, 3)]
    assert len(calls) == 4
    assert all(torch.equal(window, view) for window, view in zip(calls, expected, strict=True))


def test_images_smaller_than_the_window():
    inferer = MultiTaskSlidingWindowInferer(roi_size=(16, 24), num_classes=3)
    out = inferer(torch.randn(1, 1, 9, 13), _Positional())
    assert out.shape == (1, 8, 9, 13)
    np.testing.assert_allclose(out[:, 6:8].sum(1), 1, rtol=1e-5)


class _Recording(_Positional):
    """Remembers the windows' corners; its images hold the numbers of their pixels."""

    def __init__(self):
        super().__init__()
        self.corners = []

    def forward(self, x):
        self.corners += [int(window[0, 0, 0]) for window in x]
        return super().forward(x * 0)


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    window=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    overlap=st.floats(0, 0.6),
)
def test_windows_lie_evenly_and_are_no_more_than_monais(size, window, overlap):
    """They cover the image, as many as MONAI lays, no two of an axis more than that share or a few pixels apart."""
    window = tuple(map(min, window, size))
    image = torch.arange(size[0] * size[1], dtype=torch.float32).reshape(1, 1, *size)
    network = _Recording()
    MultiTaskSlidingWindowInferer(roi_size=window, overlap=overlap, sw_batch_size=16, num_classes=3)(image, network)
    starts = [sorted({divmod(corner, size[1])[axis] for corner in network.corners}) for axis in (0, 1)]
    for length, side, found in zip(size, window, starts, strict=True):
        most = max(1, int(side * (1 - overlap))) if length > side else side
        wanted = 1 + math.ceil((length - side) / most)
        assert len(found) <= wanted
        assert (found[0], found[-1]) == (0, length - side)
        steps = np.diff(found)
        assert (steps <= most).all()
        if len(steps) > 1:
            assert steps[:-1].max() == steps[:-1].min()
            assert steps[0] - steps[-1] < len(steps), "the last one is moved by less than a pixel for each window"


@pytest.mark.parametrize("answered", [["segmentation"], ["separation", "segmentation"], None])
@pytest.mark.parametrize("mirroring", [False, True])
def test_answers_for_some_tasks_are_those_of_all(answered, mirroring):
    """Of a network that can leave tasks out, and of one, such as an exported one, that cannot."""
    torch.manual_seed(0)
    network = MultiTaskUNet(channels=(4, 8), num_multitask_blocks=1).eval()
    image = torch.randn(2, 1, 40, 56)
    how = {"roi_size": (16, 24), "overlap": 0.5, "num_classes": 3, "mirroring": mirroring}
    whole, some = MultiTaskSlidingWindowInferer(**how), MultiTaskSlidingWindowInferer(**how, answered=answered)
    assert some.answered == tuple(task for task in TASKS if task in (answered or TASKS))
    with torch.no_grad():
        expected = whole(image, network)
        for exported in (network, torch.jit.script(network)):
            found = some(image, exported)
            for task, channels in task_slices(3, some.answered).items():
                torch.testing.assert_close(found[:, channels], expected[:, task_slices(3)[task]], atol=1e-5, rtol=1e-4)
        if answered is not None:
            assert found.shape[1] < 8
            torch.testing.assert_close(whole.answering(answered)(image, network), found, atol=1e-5, rtol=1e-4)
    assert described(some) == described(whole), "how much is computed is no part of what a result is"


def test_a_task_that_the_network_does_not_give_cannot_be_answered():
    with pytest.raises(ValueError, match=r"answered \['detection'\]: the network gives no detection"):
        MultiTaskSlidingWindowInferer((8, 8), num_classes=2, tasks=["segmentation"], answered=["detection"])
    inferer = MultiTaskSlidingWindowInferer((8, 8), num_classes=3, answered=["segmentation"])
    with pytest.raises(ValueError, match="gives 5 channels but tasks"):
        inferer(torch.rand(1, 1, 8, 8), lambda window: torch.zeros(1, 5, 8, 8))


def test_an_image_of_one_value_is_background_in_the_tasks_that_are_answered():
    inferer = MultiTaskSlidingWindowInferer((8, 8), num_classes=3, answered=["segmentation", "separation"])
    answer = inferer(torch.ones(1, 1, 8, 8), lambda window: torch.randn(1, 8, 8, 8))
    assert answer[0].amax((1, 2)).tolist() == [1, 0, 0, 1, 0]


def test_windows_in_bfloat16_give_probabilities_in_float32():
    convolution, seen = torch.nn.Conv2d(1, 8, 3, padding=1), []
    convolution.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    image = torch.rand(1, 1, 16, 16)
    answers = [MultiTaskSlidingWindowInferer((16, 16), num_classes=3, bfloat16=on)(image, convolution) for on in (True, False)]
    assert seen == [torch.bfloat16, torch.float32]
    assert answers[0].dtype == torch.float32
    torch.testing.assert_close(*answers, atol=0.01, rtol=0.05)


def _processor_knows(monkeypatch, bfloat16: bool) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: bfloat16)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_bfloat16_is_used_where_the_processor_has_it(monkeypatch):
    _processor_knows(monkeypatch, True)
    convolution, seen = torch.nn.Conv2d(1, 2, 3), []
    convolution.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    out = AutocastInferer(enabled=True)(torch.rand(1, 1, 8, 8), convolution)
    assert seen == [torch.bfloat16]
    assert out.dtype == torch.float32


def test_emulated_bfloat16_is_refused_with_a_warning(monkeypatch):
    _processor_knows(monkeypatch, False)
    with pytest.warns(UserWarning, match="no bfloat16 instructions"):
        inferer = AutocastInferer(enabled=True)
    convolution, image = torch.nn.Conv2d(1, 2, 3), torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(inferer(image, convolution), convolution(image), rtol=0, atol=0)


def test_channels_of_other_tasks_are_refused():
    with pytest.raises(ValueError, match=r"gives 8 channels but tasks \['segmentation', 'separation'\] have 5"):
        task_softmax(torch.zeros(1, 8, 4, 5), 3, ["segmentation", "separation"])


@pytest.mark.parametrize("value", [0.0, 1e-5, 255.0])
def test_an_image_of_one_value_is_background_whatever_the_network_says(value):
    inferer = MultiTaskSlidingWindowInferer(roi_size=(16, 16), sw_batch_size=2, overlap=0.25, num_classes=3)

    def network(image):
        return torch.nn.functional.one_hot(torch.full(image.shape[:1] + image.shape[2:], 1), 8).movedim(-1, 1) * 9.0

    batch = torch.stack([torch.full((1, 24, 20), value), torch.rand(1, 24, 20)])
    answer = inferer(batch, network)
    assert answer[0].amax((1, 2)).tolist() == [1, 0, 0, 1, 0, 0, 1, 0]
    assert (answer[1, 1] > 0.9).all()


class _Greedy(_Positional):
    """Has memory for so many windows at a time."""

    def __init__(self, enough, error):
        super().__init__()
        self.enough, self.error, self.seen = enough, error, []

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.enough:
            raise self.error
        return super().forward(x)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] . DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("enough", [1, 3])
def test_too_little_memory_lowers_the_number_of_windows_and_goes_on(error, enough, caplog):
    image = torch.randn(1, 1, 64, 48)
    settings = {"roi_size": (16, 24), "overlap": 0.5, "num_classes": 3}
    wanted = MultiTaskSlidingWindowInferer(sw_batch_size=1, **settings)(image, _Positional())
    network, inferer = _Greedy(enough, error), MultiTaskSlidingWindowInferer(sw_batch_size=8, **settings)
    torch.testing.assert_close(inferer(image, network), wanted)
    assert f"it goes on with {enough - enough % 2 or 1} window" in caplog.text
    assert inferer.sw_batch_size == 8
    seen = len(network.seen)
    torch.testing.assert_close(inferer(image, network), wanted)
    assert max(network.seen[seen:]) <= enough, "the next image begins with what was enough"


@pytest.mark.parametrize("error", ERRORS)
def test_too_little_memory_for_one_window_is_a_sentence(error):
    inferer = MultiTaskSlidingWindowInferer(roi_size=(16, 24), sw_batch_size=4, num_classes=3)
    with pytest.raises(LazyLabelsError, match=r"for a single window of 16 x 24 pixels: write window_size: \[8, 12\]"):
        inferer(torch.randn(1, 1, 64, 48), _Greedy(0, error))


def test_another_error_is_not_tried_again():
    network = _Greedy(0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        MultiTaskSlidingWindowInferer(roi_size=(16, 24), sw_batch_size=4, num_classes=3)(torch.randn(1, 1, 64, 48), network)
    assert len(network.seen) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_answer_that_is_not_finite_is_an_error_and_no_background(value):
    image = MetaTensor(torch.randn(1, 1, 20, 24), meta={"filename_or_obj": ["folder/a.png"]})
    with pytest.raises(LazyLabelsError, match=r"image 'folder/a\.png': the network's answer is not finite"):
        MultiTaskSlidingWindowInferer(roi_size=(16, 24), num_classes=3)(image, lambda x: torch.full((len(x), 8, 16, 24), value))
