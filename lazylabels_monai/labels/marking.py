"""How a simulated person marks images: the parameters of inner regions and scribbles together, and drawing with them."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass

import numpy as np

from lazylabels_monai.labels.inner import (
    DEFAULT_JITTER,
    check_inner_regions,
    default_keep,
    default_share,
    inner_regions,
)
from lazylabels_monai.labels.interfaces import DEFAULT_GAP, DEFAULT_THICKNESS, Scribbles, check_scribbles, scribbles

__all__ = ["Marking"]


@dataclass(frozen=True)
class Marking:
    """Parameters of the marks; see :func:`~lazylabels_monai.labels.inner.inner_regions` for the first four and
    :func:`~lazylabels_monai.labels.interfaces.scribbles` for the others.

    Args:
        style: of the inner regions: ``"erode"``, ``"blob"`` or ``"stroke"``.
        keep: share of each object's area that its inner region keeps on average, in (0, 1].
        share: cut-off of style ``"erode"`` as a share of the object's depth, in [0, 1); instead of ``keep``.
        jitter: relative spread of the inner regions, in [0, 1].
        gap: objects with at most this many pixels between them touch.
        thickness: of the scribbles, in pixels.
        wobble: pixels by which a scribble strays from the interface.
        interface_share: share of an image's interfaces that get a scribble, in [0, 1].
        missed: what is said of the others: ``"ignore"`` or ``"other"``.

    Raises:
        LazyLabelsError: for values out of range.
    """

    style: str = "erode"
    keep: float | None = None
    share: float | None = None
    jitter: float = DEFAULT_JITTER
    gap: int = DEFAULT_GAP
    thickness: int = DEFAULT_THICKNESS
    wobble: float = 0.0
    interface_share: float = 1.0
    missed: str = "ignore"

    def __post_init__(self) -> None:
        check_inner_regions(self.share, self.jitter, self.style, self.keep)
        check_scribbles(self.gap, self.thickness, self.wobble, self.interface_share, self.missed)

    def record(self, ndim: int | None) -> dict[str, object]:
        """The parameters with the defaults that hold for images of ``ndim`` dimensions filled in, for the datalist."""
        values = asdict(self)
        if values["keep"] is None and values["share"] is None:
            values["keep"] = default_keep(self.style)
            if values["keep"] is None and ndim is not None:
                values["share"] = default_share(ndim)
        return values

    def detection(self, instances: np.ndarray, classes: np.ndarray, seed: int, name: str) -> np.ndarray:
        """Detection label of the image ``name``: uint8 (H, W) or (D, H, W); other images do not change it."""
        rng = np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogateescape"))])
        return inner_regions(instances, classes, self.share, self.jitter, rng, self.style, self.keep)

    def separation(
        self, instances: np.ndarray, seed: int, name: str, exact: bool = False, marks: np.ndarray | None = None
    ) -> Scribbles:
        """Separation label of the image ``name``; ``exact``: every interface and no wobble, to measure against.

        Scribbles leave the inner regions ``marks``, if given, alone; not so those without wobble beside regions eroded
        by depth, the default, whose published data sets have a few pixels with both.

        Raises:
            LazyLabelsError: for instances that are no ids.
        """
        rng = np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogateescape")), 1])
        if self.style == "erode" and self.keep is None and not self.wobble:
            marks = None
        wobble, share = (0.0, 1.0) if exact else (self.wobble, self.interface_share)
        return scribbles(instances, self.gap, self.thickness, wobble, share, self.missed, rng, marks)
