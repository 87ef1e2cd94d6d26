"""What a check has found: one line each, with the remedy where something is wrong."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec


class Level(enum.IntEnum):
    """How bad it is; also the exit code."""

    OK = 0
    WARNING = 1
    ERROR = 2


class Finding(msgspec.Struct, frozen=True):
    """`area` is `config`, `disk`, `clock`, `ports`, `certificates`, `dns`, `web` or `peers`."""

    area: str
    level: Level
    about: str
    text: str
    remedy: str = ""

    def as_data(self) -> dict[str, str]:
        """For JSON."""
        return {
            "area": self.area,
            "level": self.level.name.lower(),
            "about": self.about,
            "text": self.text,
            "remedy": self.remedy,
        }


def ok(area: str, about: str, text: str) -> Finding:
    """All is well."""
    return Finding(area, Level.OK, about, text)


def warning(area: str, about: str, text: str, remedy: str) -> Finding:
    """It works, but not for long, not for everybody, or not as it seems."""
    return Finding(area, Level.WARNING, about, text, remedy)


def error(area: str, about: str, text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(area, Level.ERROR, about, text, remedy)


def worst(findings: Iterable[Finding]) -> Level:
    """The level of the worst; OK where there is none."""
    return max((finding.level for finding in findings), default=Level.OK)
