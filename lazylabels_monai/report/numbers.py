"""Numbers, colours and names of options as the page shows them."""

from __future__ import annotations

import math
import re
from typing import Any

from markupsafe import Markup, escape

from lazylabels_monai.images.pictures import class_colour

__all__ = ["SUPERSCRIPT", "class_css", "number", "unbroken"]

#: For ``str.translate``: a power of ten.
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def unbroken(text: Any) -> Markup:
    """Text in which no line ends inside the name of an option: browsers break ``--pixel-size`` at each hyphen."""
    return Markup(re.sub(r"(?<![\w-])--[\w-]+", r'<span class="option">\g<0></span>', str(escape(text))))


def number(value: Any, digits: int = 3, decimals: int | None = None, scale: float = 1.0) -> Markup:
    """A number for the page, with the unrounded value in an attribute for who copies or tests it; a dash where it is unknown.

    Args:
        value: the number, None or NaN.
        digits: significant ones.
        decimals: instead of ``digits``.
        scale: what is shown is the value times this.
    """
    if value is None or not math.isfinite(value):
        return Markup('<span class="unknown" title="not defined">–</span>')
    shown = float(value) * scale
    if decimals is None:
        exponent = 0 if shown == 0 else math.floor(math.log10(abs(float(f"{shown:.{digits - 1}e}"))))
        if not -4 <= exponent < 7:
            mantissa = f"{shown / 10.0**exponent:.{digits - 1}f}"
            text = f"{mantissa}·10{str(exponent).translate(SUPERSCRIPT)}"
            return Markup('<data value="{}">{}</data>').format(f"{value:.8g}", text)
        decimals = max(0, digits - 1 - exponent)
    text = f"{shown:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return Markup('<data value="{}">{}</data>').format(f"{value:.8g}", text)


def class_css(value: int) -> str:
    """Colour of a class as CSS and matplotlib write it."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(value))
