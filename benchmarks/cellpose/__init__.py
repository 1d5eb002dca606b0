"""Cellpose 4, whose network is a vision transformer (Cellpose-SAM)."""
