"""What the commands about agreements share: the registry, who acts, instants, and items in one word."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rialto.cli import frame
from rialto.control import ControlError, ask

if TYPE_CHECKING:
    from rialto.clearing.agreements.registry import Registry
    from rialto.model.agreement import Item, Nanos

F = TypeVar("F", bound=Callable[..., Any])

NANO = 1_000_000_000


def actor_option(command: F) -> F:
    """`--actor NAME`, as `actor`."""
    return click.option(
        "--actor", default=_me, metavar="NAME", help="Who does it, for the record; default: your account."
    )(command)


def from_option(command: F) -> F:
    """`--from INSTANT`, as `begin`."""
    return click.option(
        "--from", "begin", metavar="INSTANT", help="From when on (2027-01-31T12:00:00Z); default: now."
    )(command)


def item_option(command: F) -> F:
    """`--item ITEM`, as `items`."""
    return click.option(
        "--item",
        "items",
        multiple=True,
        required=True,
        metavar="ITEM",
        help="SERVICE[@NETWORK][:DIRECTION][,TERM=VALUE]..., such as "
        "message@yahoo,regime=per_user_month,price_list=yahoo; may come again.",
    )(command)


@contextlib.contextmanager
def registry(config_path: Path, data_dir: Path | None) -> Iterator[Registry]:
    """For reading and writing; a server that runs is told afterwards. Raises ConfigError."""
    from rialto.clearing.agreements.registry import opened

    folder = frame.folder(config_path, data_dir)
    with opened(folder) as found:
        before = found.written.epoch
        yield found
        changed = found.written.epoch != before
    if changed:
        tell(folder)


def tell(folder: Path) -> None:
    """A server that runs there shall look at what is written now. It would in a few seconds by itself."""
    if frame.socket_of(folder).exists():
        with contextlib.suppress(ControlError):
            ask(frame.socket_of(folder), "agreements")


def instant(text: str | None) -> Nanos | None:
    """What `--from` says. Raises NotPossible."""
    from rialto.clearing.agreements.document import parse_instant

    return None if text is None else parse_instant(text)


def show_instant(at: Nanos | None) -> str:
    """As people and programs read it; empty for none."""
    from rialto.clearing.agreements.document import instant as written

    return "" if at is None else written(at)


def read_item(text: str) -> Item:
    """An item as `--item` has it. Raises UsageError."""
    from rialto.clearing.agreements import declared
    from rialto.clearing.agreements.life import NotPossible

    head, *terms = text.split(",")
    rest, _, direction = head.partition(":")
    service, _, network = rest.partition("@")
    pairs = dict(term.partition("=")[::2] for term in terms)
    way = {"direction": direction} if direction else {}
    try:
        return declared.read_item({"service": service, "network": network, **way, **pairs})
    except NotPossible as error:
        raise click.UsageError(str(error)) from error


def nano(text: str) -> int:
    """A price as people write it, in billionths. Raises NotPossible."""
    from rialto.clearing.agreements.declared import nano as read

    return read(text)


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
