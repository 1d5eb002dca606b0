"""What may be chosen about drawn labels, and what is chosen unless told otherwise: names and numbers alone, so that a command
line can name them before anything is imported that draws."""

from __future__ import annotations

__all__ = ["DEFAULT_GAP", "DEFAULT_JITTER", "DEFAULT_THICKNESS", "MISSED", "STYLES"]

#: How inner regions may be drawn.
STYLES: tuple[str, ...] = ("erode", "blob", "stroke")

#: Relative spread of the regions from one object to the next.
DEFAULT_JITTER = 0.35

#: Two objects with at most this many pixels between them count as touching.
DEFAULT_GAP = 2

#: Thickness of a scribble in pixels.
DEFAULT_THICKNESS = 3

#: What is said of interfaces without a scribble: "ignore" leaves them unlabelled (255), "other" takes them for no interface.
MISSED: tuple[str, ...] = ("ignore", "other")
