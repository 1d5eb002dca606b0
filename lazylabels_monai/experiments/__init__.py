"""Comparisons of methods: what is compared stands in ``configs/experiments``, what came out in ``docs/results``."""
