"""How CSS and old HTML say colours, fonts and sizes."""

from __future__ import annotations

import re
from typing import Final

_FONT: Final = re.compile(r"[^\W_][\w .-]{0,39}\Z")
FONT_SIZES_PT: Final = {"1": 8, "2": 10, "3": 12, "4": 14, "5": 18, "6": 24, "7": 36}
_NAMED_SIZES_PT: Final = {
    "xx-small": 7, "x-small": 8, "small": 10, "medium": 12, "large": 14, "x-large": 18, "xx-large": 24,
}  # fmt: skip
_UNITS_PT: Final = {"pt": 1.0, "px": 0.75, "em": 12.0, "rem": 12.0, "ex": 6.0, "%": 0.12}
_SIZE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)(pt|px|r?em|ex|%)\Z")
_COLOURS: Final = {
    "black": "#000000", "silver": "#c0c0c0", "gray": "#808080", "grey": "#808080", "white": "#ffffff",
    "maroon": "#800000", "red": "#ff0000", "purple": "#800080", "fuchsia": "#ff00ff", "magenta": "#ff00ff",
    "green": "#008000", "lime": "#00ff00", "olive": "#808000", "yellow": "#ffff00", "navy": "#000080",
    "blue": "#0000ff", "teal": "#008080", "aqua": "#00ffff", "cyan": "#00ffff", "orange": "#ffa500",
}  # fmt: skip
_RGB: Final = re.compile(r"rgb\(\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*\)\Z")
_HEX: Final = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})\Z")


def declared(name: str, value: str) -> dict[str, object]:
    """What one CSS declaration says."""
    low = value.lower()
    match name:
        case "color":
            return {"colour": colour(low)}
        case "font-family":
            return {"font": font(value)}
        case "font-size":
            return {"size_pt": _size_pt(low)}
        case "font-weight":
            return {"bold": low in ("bold", "bolder", "600", "700", "800", "900")}
        case "font-style":
            return {"italic": low in ("italic", "oblique")}
        case "text-decoration" | "text-decoration-line":
            words = low.split()
            found: dict[str, object] = {}
            if "underline" in words:
                found["underline"] = True
            if "line-through" in words:
                found["strike"] = True
            return found or ({"underline": False, "strike": False} if "none" in words else {})
    return {}


def colour(value: str) -> str:
    """A CSS colour as `#rrggbb`; empty for what is none."""
    value = value.strip().lower()
    if value in _COLOURS:
        return _COLOURS[value]
    if _HEX.match(value):
        return value if len(value) == 7 else "#" + "".join(digit * 2 for digit in value[1:])
    rgb = _RGB.match(value)
    if rgb is not None:
        return "#" + "".join(f"{min(int(part), 255):02x}" for part in rgb.groups())
    return ""


def font(value: str) -> str:
    """The first font of a CSS list of them; empty where it is not a plain name."""
    name = value.split(",")[0].strip().strip("\"'").strip()
    return name if _FONT.match(name) else ""


def size_pt(value: float) -> int:
    """A size within reason, in points."""
    return max(6, min(48, round(value)))


def _size_pt(value: str) -> int:
    if value in _NAMED_SIZES_PT:
        return _NAMED_SIZES_PT[value]
    size = _SIZE.match(value)
    return size_pt(float(size[1]) * _UNITS_PT[size[2]]) if size is not None else 0
