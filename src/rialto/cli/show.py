"""How times, ages, sizes and what others wrote look to people."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.markup import escape

_PICTURES = {
    **{point: 0x2400 + point for point in range(0x20) if chr(point) not in "\t\n"},
    0x7F: 0x2421,
    **dict.fromkeys(range(128, 160), 65533),
}
"""For each control character one that can be seen: others shall not write on our terminal."""

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def clock(seconds: float) -> str:
    """A time since 1970 as local date and time, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def span(seconds: float) -> str:
    """A duration in the unit that suits it: `3.2 ms`, `14 s`, `2 h 5 min`."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for position, (unit_s, name) in enumerate(_UNITS):
        if seconds >= unit_s:
            whole, rest = divmod(seconds, unit_s)
            if position + 1 < len(_UNITS):
                smaller_s, smaller = _UNITS[position + 1]
                if rest >= smaller_s:
                    return f"{whole:.0f} {name} {rest // smaller_s:.0f} {smaller}"
            return f"{whole:.0f} {name}"
    return f"{seconds:.1f} s"


def size(size_bytes: float) -> str:
    """Bytes, in the unit that suits them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024 or unit == "GiB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.0f} B"


def plain(text: str) -> str:
    """What somebody else wrote, without the power to move the cursor."""
    return text.translate(_PICTURES)


def safe(text: str) -> str:
    """The same, inside markup of ours."""
    return escape(plain(text))
