"""StarDist 2D."""
