"""Segmentation of microscopy images from lazy labels, as a MONAI bundle."""

from __future__ import annotations

__version__ = "0.1.0"
