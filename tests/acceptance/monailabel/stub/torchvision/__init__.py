"""Stands in for torchvision, of which MONAI Label's server imports two names, where there is no build for this torch."""

__version__ = "0.0"
