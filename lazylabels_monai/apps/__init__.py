"""Thin adapters to other programs of the MONAI family; each needs an environment of its own."""
