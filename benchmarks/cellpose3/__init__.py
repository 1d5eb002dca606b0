"""Cellpose 3, the last version with the small convolutional network of "cyto3"."""
