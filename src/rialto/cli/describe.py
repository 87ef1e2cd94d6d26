"""What may stand in the configuration, read from the structs that hold it: names, types, defaults, reasons.

Nothing is written twice: a key that a struct has is described here, with the words of its own annotation.
"""

from __future__ import annotations

import json
import textwrap
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo, fields

from rialto.config import TABLES, PeerTable, description, protocol_module, protocols

_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false"}


class Key(msgspec.Struct, frozen=True):
    """One key of a table. `default` is TOML; empty where `required`."""

    name: str
    kind: str
    required: bool
    default: str
    about: str

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "type": self.kind,
            "required": self.required,
            "default": self.default if not self.required else None,
            "about": self.about,
        }


class TableDescription(msgspec.Struct, frozen=True):
    """One table. `header` is as it stands in a file: `[server]`, `[[peers]]`."""

    header: str
    about: str
    keys: tuple[Key, ...]

    def as_toml(self) -> str:
        """The table with its keys as comments, at their defaults."""
        lines = [*_comment(self.about), self.header]
        for key in self.keys:
            lines += _comment(f"{key.about} ({key.kind})")
            lines.append(f"{key.name} = ..." if key.required else f"# {key.name} = {key.default}")
        return "\n".join(f"# {line}" if line.endswith(" = ...") else line for line in lines)


def tables() -> dict[str, TableDescription]:
    """Every table by name, in the order in which people write them."""
    known: dict[str, TableDescription] = {}
    for name, struct in TABLES.items():
        known |= _table(name, f"[{name}]", struct)
    names = sorted(protocols())
    for name in names:
        known |= _table(f"networks.{name}", f"[networks.{name}]", protocol_module(name).Settings)
    known |= _table("peers", "[[peers]]", PeerTable)
    for name in names:
        known |= _table(
            f"peers.{name}", f'[[peers]]  # network = "{name}"', protocol_module(name).PeerSettings
        )
    return known


def _table(name: str, header: str, struct: type[msgspec.Struct]) -> dict[str, TableDescription]:
    hints = get_type_hints(struct, include_extras=True)
    found = {
        name: TableDescription(
            header,
            _first_sentence(struct),
            tuple(_key(field, hints[field.name]) for field in fields(struct)),
        )
    }
    for field in fields(struct):
        nested = _nested(hints[field.name])
        if nested is not None:
            inner = f"{name}.{field.name}"
            found |= _table(inner, f"[[{inner.replace('peers.', 'peers.', 1)}]]", nested)
    return found


def _key(field: FieldInfo, hint: Any) -> Key:
    required = field.required
    value = None if required else _default(field)
    return Key(field.encode_name, _kind(hint), required, "" if required else toml(value), description(hint))


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _kind(hint: Any) -> str:
    """A type in words, with what its `Meta` limits."""
    if get_origin(hint) is Annotated:
        plain, *extras = get_args(hint)
        limits = [limit for extra in extras if isinstance(extra, Meta) for limit in _limits(extra)]
        return f"{_kind(plain)}{', ' if limits else ''}{', '.join(limits)}"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(json.dumps(value) for value in arguments)
    if origin in (list, tuple):
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"table of {_kind(arguments[1])}"
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(argument) for argument in arguments if argument is not type(None))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return "tables"
    return _NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def _limits(meta: Meta) -> list[str]:
    words = (
        ("at least", meta.ge),
        ("above", meta.gt),
        ("at most", meta.le),
        ("below", meta.lt),
    )
    found = [f"{word} {limit}" for word, limit in words if limit is not None]
    if meta.pattern:
        found.append(f"like {meta.pattern}")
    return found


def _nested(hint: Any) -> type[msgspec.Struct] | None:
    """The struct inside a list of structs."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (list, tuple):
        inner = get_args(hint)[0]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            return inner
    return None


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml(one) for one in value)}]"
    if value is None:
        return '""'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _first_sentence(struct: type) -> str:
    return " ".join((struct.__doc__ or "").split("\n\n")[0].split()).replace("`", "")


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 100)]
