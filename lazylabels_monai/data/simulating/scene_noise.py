"""Random fields and numbers that pictures of :mod:`~lazylabels_monai.data.simulating.scenes` are made of."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from scipy import ndimage

__all__ = ["clouds", "log_uniform", "slope", "texture"]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def clouds(shape: tuple[int, int], rng: np.random.Generator, scale: float) -> np.ndarray:
    """Smooth noise, float32 of mean 0 and deviation 1; ``scale`` is its length in pixels."""
    if scale <= 1:
        return rng.standard_normal(shape, np.float32)
    coarse = tuple(int(n / scale) + 4 for n in shape)
    noise = ndimage.gaussian_filter(rng.standard_normal(coarse, np.float32), 0.8)
    picture = Image.fromarray(noise).resize((int(coarse[1] * scale), int(coarse[0] * scale)), Image.Resampling.BICUBIC)
    field = np.asarray(picture)[int(scale) : int(scale) + shape[0], int(scale) : int(scale) + shape[1]]
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def texture(shape: tuple[int, int], rng: np.random.Generator, finest: float = 1.0) -> np.ndarray:
    """Noise of several lengths at once, deviation about 1."""
    parts = [(log_uniform(rng, finest, 40), rng.uniform(0.2, 1)) for _ in range(int(rng.integers(1, 4)))]
    total = sum(weight * clouds(shape, rng, scale) for scale, weight in parts)
    return total / max(float(total.std()), 1e-6)


def slope(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A ramp from about -1 to 1 across the picture at a random angle."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return (math.sin(angle) * y + math.cos(angle) * x).astype(np.float32)
