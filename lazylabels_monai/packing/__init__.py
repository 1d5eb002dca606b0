"""A trained bundle in the forms that other programs take."""

from __future__ import annotations

from lazylabels_monai.packing.config import trained_config, trained_metadata

__all__ = ["trained_config", "trained_metadata"]
