"""Random crops of pictures that lie on the device: rescaled, turned, flipped, and looked at under other conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lazylabels_monai.starter.sets import DETECTION, SEGMENTATION, SEPARATION
from lazylabels_monai.tasks import IGNORE

__all__ = ["CANVAS", "Canvases", "labels_of", "random_crops", "tiles", "varied"]

#: Height and width in pixels of what holds a picture; larger pictures are cut into tiles.
CANVAS = 512


class Canvases:
    """Pictures of many sizes, each in the corner of a canvas, with their labels, on a device.

    Args:
        count: canvases.
        device: where they lie.
    """

    def __init__(self, count: int, device: torch.device | str = "cpu") -> None:
        self.images = torch.zeros(count, CANVAS, CANVAS, dtype=torch.uint8, device=device)
        self.codes = torch.zeros(count, CANVAS, CANVAS, dtype=torch.uint8, device=device)
        #: height and width of each picture, and mean and standard deviation of its grey values
        self.about = torch.tensor([[CANVAS, CANVAS, 0.0, 1.0]], device=device).repeat(count, 1)

    def put(self, slots: Sequence[int], pictures: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Put pictures, ``(image, code)`` uint8 (H, W) each, into canvases; what lay there is forgotten."""
        if not len(slots):
            return
        images, codes = (np.zeros((len(slots), CANVAS, CANVAS), np.uint8) for _ in range(2))
        about = np.zeros((len(slots), 4), np.float32)
        for k, (image, code) in enumerate(pictures):
            high, wide = image.shape
            images[k, :high, :wide], codes[k, :high, :wide] = image, code
            about[k] = high, wide, image.mean(), max(float(image.std()), 1.0)
        device = self.images.device
        at = torch.as_tensor(list(slots), device=device)
        self.images[at] = torch.from_numpy(images).to(device)
        self.codes[at] = torch.from_numpy(codes).to(device)
        self.about[at] = torch.from_numpy(about).to(device)

    def whole(self, slot: int) -> tuple[Tensor, Tensor]:
        """A picture as prediction sees it, (1, 1, H, W) normalised, and its label code (H, W)."""
        high, wide, mean, std = self.about[slot].tolist()
        image = self.images[slot, : int(high), : int(wide)].float()
        return ((image - mean) / std)[None, None], self.codes[slot, : int(high), : int(wide)]


def tiles(image: np.ndarray, code: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """A picture cut into parts that fit a canvas, overlapping where they do not fit evenly."""
    starts = []
    for n in image.shape:
        count = math.ceil(n / CANVAS)
        starts.append(np.linspace(0, max(n - CANVAS, 0), count).round().astype(int))
    parts = [(slice(y, y + CANVAS), slice(x, x + CANVAS)) for y in starts[0] for x in starts[1]]
    return [(image[part], code[part]) for part in parts]


def _uniform(count: int, low: float, high: float, generator: torch.Generator, device: torch.device) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator, device=device)


def _mirrored(position: Tensor, length: Tensor) -> Tensor:
    """Positions outside of 0 .. length - 1 folded back, as if the picture went on as its mirror image."""
    folded = torch.remainder(position + 0.5, 2 * length)
    return torch.minimum(folded, 2 * length - folded) - 0.5


def random_crops(
    canvases: Canvases,
    slots: Tensor,
    size: int,
    generator: torch.Generator,
    scale_range: tuple[float, float] = (0.7, 1.4),
    keep_share: float = 0.35,
) -> tuple[Tensor, Tensor]:
    """A random crop of each of some pictures.

    Images are interpolated between pixels, labels taken from the nearest. What lies outside of a picture is its mirror image,
    without a label.

    Args:
        canvases: pictures.
        slots: (B,) which of them.
        size: of the crops, in pixels.
        generator: of the draws, on the pictures' device.
        scale_range: magnification, drawn evenly by its logarithm.
        keep_share: share of crops that keep their pixels, at a quarter turn: interpolation takes noise away.

    Returns:
        image (B, 1, size, size) float32, normalised by its whole picture; code (B, size, size) uint8, 255 outside.
    """
    device, count = slots.device, len(slots)

    def draw(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, generator, device)

    high, wide, mean, std = canvases.about[slots].unbind(1)
    kept = draw(0, 1) < keep_share
    scale = torch.exp(draw(math.log(scale_range[0]), math.log(scale_range[1])))
    ratio = torch.exp(draw(-0.1, 0.1))
    quarter = torch.floor(draw(0, 4)) * (math.pi / 2)
    angle = torch.where(kept, quarter, draw(0, 2 * math.pi))
    one = torch.ones_like(scale)
    scale_y, scale_x = torch.where(kept, one, scale * ratio), torch.where(kept, one, scale / ratio)
    flip = torch.where(draw(0, 1) < 0.5, one, -one)

    middle = []
    for length, by in ((high, scale_y), (wide, scale_x)):
        half = torch.minimum(size / by, length) / 2
        at = half + draw(0, 1) * (length - 2 * half)
        # on pixels, where they are kept
        middle.append(torch.where(kept, torch.floor(at) + (0.5 if size % 2 else 0.0), at) - 0.5)

    offset = torch.arange(size, device=device, dtype=torch.float32) - (size - 1) / 2
    v = (offset[None, :, None] / scale_y[:, None, None]) * flip[:, None, None]
    u = offset[None, None, :] / scale_x[:, None, None]
    sine, cosine = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    y = middle[0][:, None, None] + cosine * v + sine * u
    x = middle[1][:, None, None] + cosine * u - sine * v
    high, wide = high[:, None, None], wide[:, None, None]
    outside = (y < -0.5) | (y > high - 0.5) | (x < -0.5) | (x > wide - 0.5)

    y = _mirrored(y, high).clamp_min(0).minimum(high - 1)
    x = _mirrored(x, wide).clamp_min(0).minimum(wide - 1)
    base = slots[:, None, None] * (CANVAS * CANVAS)
    nearest = base + torch.round(y).long() * CANVAS + torch.round(x).long()
    code = canvases.codes.view(-1)[nearest].where(~outside, torch.full_like(nearest, IGNORE, dtype=torch.uint8))

    y0, x0 = torch.floor(y), torch.floor(x)
    y1, x1 = torch.minimum(y0 + 1, high - 1), torch.minimum(x0 + 1, wide - 1)
    dy, dx = y - y0, x - x0
    flat = canvases.images.view(-1)

    def grey(row: Tensor, column: Tensor) -> Tensor:
        return flat[base + row.long() * CANVAS + column.long()].float()

    image = (grey(y0, x0) * (1 - dx) + grey(y0, x1) * dx) * (1 - dy) + (grey(y1, x0) * (1 - dx) + grey(y1, x1) * dx) * dy
    image = (image - mean[:, None, None]) / std[:, None, None]
    return image[:, None], code


def _kernel(sigma: float, device: torch.device) -> Tensor:
    reach = math.ceil(3 * sigma)
    weight = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=device, dtype=torch.float32) / sigma) ** 2)
    return weight / weight.sum()


def _blurred(image: Tensor, sigma: float) -> Tensor:
    kernel = _kernel(sigma, image.device)
    reach = len(kernel) // 2
    image = F.pad(image, (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(image, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))


def varied(image: Tensor, generator: torch.Generator, inverted: float = 0.35) -> Tensor:
    """Crops as other microscopes might have shown them: contrast turned around, gamma, shading, blur, noise, brightness.

    Args:
        image: (B, 1, H, W), normalised.
        generator: of the draws, on the device of ``image``.
        inverted: share of crops whose contrast is turned around.

    Returns:
        of the same shape.
    """
    count, device = len(image), image.device

    def draw(low: float, high: float) -> Tensor:
        return _uniform(count, low, high, generator, device).view(-1, 1, 1, 1)

    def some(share: float) -> Tensor:
        return draw(0, 1) < share

    image = torch.where(some(inverted), -image, image)
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    extent = (high - low).clamp_min(1e-3)
    bent = ((image - low) / extent).clamp(0, 1) ** torch.exp(draw(-0.6, 0.6)) * extent + low
    image = torch.where(some(0.5), bent, image)
    soft = torch.where(some(0.5), _blurred(image, 0.8), _blurred(image, 1.8))
    image = torch.where(some(0.25), image + draw(0.3, 1) * (soft - image), image)
    shade = torch.randn(count, 1, 3, 3, generator=generator, device=device)
    shade = F.interpolate(shade, image.shape[2:], mode="bicubic", align_corners=True)
    image = torch.where(some(0.25), image + draw(0, 0.5) * shade, image)
    noise = torch.randn(image.shape, generator=generator, device=device)
    image = torch.where(some(0.35), image + draw(0, 0.4) * noise, image)
    image = torch.where(some(0.6), image * draw(0.6, 1.4), image)
    return torch.where(some(0.6), image + draw(-0.4, 0.4), image)


def labels_of(code: Tensor) -> dict[str, Tensor]:
    """The label of each task, (B, 1, H, W) uint8, from codes (B, H, W); 255 where a code is 255."""
    unknown = code == IGNORE

    def label(bit: int) -> Tensor:
        return ((code & bit) > 0).to(torch.uint8).masked_fill(unknown, IGNORE)[:, None]

    return {"segmentation": label(SEGMENTATION), "detection": label(DETECTION), "separation": label(SEPARATION)}
