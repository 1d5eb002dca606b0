"""How a ROI carries its object's class: in its name, for people, and in a property, for classes that no name can hold.

ImageJ has no classes, and a name as such is ambiguous: "phase 2-7" may be the seventh of "phase 2" or of "phase". So the
property counts as long as the name is the one that was written with it; whoever renames a ROI in Fiji gives it that class.
"""

from __future__ import annotations

import re

__all__ = ["roi_name", "roi_properties", "written_class"]

_PROPERTY = "class"
_SEPARATORS = ("-", ": ")


def _plain(name: str) -> str:
    """``name`` without what a name of a ROI or of a file in a zip cannot hold: slashes, control characters, those beyond
    16 bits (roifile counts them wrong)."""
    return re.sub(r"[\x00-\x1f\x7f/\\\U00010000-\U0010ffff\ud800-\udfff]", "_", name)


def roi_name(name: str, id: int) -> str:
    """Name of the ROI of object ``id`` of class ``name``: ``cell-12``, or ``phase 2: 12`` where the first is ambiguous."""
    plain = _plain(name)
    return f"{plain}{_SEPARATORS[plain[-1:].isalpha() is False]}{id}"


def roi_properties(name: str, id: int) -> str:
    """The properties of that ROI, lines ``key: value`` in the escapes that ImageJ's reader (Java's Properties) expects."""
    escaped = "".join(_escape(character) for character in name)
    return f"{_PROPERTY}: {escaped}\nid: {id}\n"


def _escape(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _unescape(text: str) -> str:
    def character(found: re.Match) -> str:
        return chr(int(found[1], 16)) if found[1] else found[2]

    text = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", character, text, flags=re.DOTALL)
    return text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")  # pairs become one character


def written_class(roi: str, properties: str) -> str | None:
    """The class that :func:`roi_properties` wrote; None where there is none, or the ROI was renamed since."""
    for line in properties.split("\n"):
        key, colon, value = line.partition(":")
        if colon and key.strip() == _PROPERTY:
            # ImageJ writes properties without the escapes that it reads; either may be here
            value = value.removeprefix(" ").rstrip("\r")
            for name in (_unescape(value), value):
                if any(re.fullmatch(re.escape(_plain(name) + separator) + r"\d+(-\d+)?", roi) for separator in _SEPARATORS):
                    return name
    return None
