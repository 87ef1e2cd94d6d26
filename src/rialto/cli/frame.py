"""What every command shares: its options, its examples, where it writes, and how it says what went wrong.

An expected error never shows a traceback. It says what is wrong and where, what was expected, and the remedy:

    error: /etc/rialto/rialto.toml: peers[2].proxy
      expected  'kamailio' is no SIP URI
      remedy    write for example sip:proxy.example.org:5060;transport=tcp
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from rich.console import Console

from rialto.cli import show
from rialto.config import DEFAULT_PATH, Config, load
from rialto.model.errors import ConfigError, RialtoError

if TYPE_CHECKING:
    from rialto.store.store import Store

DONE, FAILED, WRONG_USAGE = 0, 1, 2

INTERRUPTED = 130
"""What shells expect of a program that ended by Ctrl-C."""

F = TypeVar("F", bound=Callable[..., Any])


class Failure(click.ClickException):
    """Something could not be done: what, and what to do about it."""

    exit_code = FAILED

    def __init__(self, what: str, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(what)

    def show(self, file: Any = None) -> None:
        """Print it."""
        _say(f"error: {self.message}", remedy=self.remedy)


def examples(*lines: str) -> str:
    """The end of a help text."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def config_option(command: F) -> F:
    """`--config FILE`, as `config_path`."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(dir_okay=False, path_type=Path),
        default=DEFAULT_PATH,
        envvar="RIALTO_CONFIG",
        show_default=True,
        show_envvar=True,
        metavar="FILE",
        help="The configuration.",
    )(command)


def instance_options(command: F) -> F:
    """`--config FILE` and `--data-dir DIR`, as `config_path` and `data_dir`: which server is meant."""
    command = click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The server's data folder; default: what the configuration says.",
    )(command)
    return config_option(command)


def json_option(command: F) -> F:
    """`--json`, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON, for programs.")(command)


def folder(config_path: Path, data_dir: Path | None) -> Path:
    """The data folder that is meant. Raises ConfigError."""
    return data_dir if data_dir is not None else Path(load(config_path).server.data_dir)


def settings(config_path: Path) -> Config:
    """The configuration. Raises ConfigError."""
    return load(config_path)


def open_store(data_folder: Path) -> Store:
    """The database, for reading. Raises ConfigError where there is none."""
    # SQLAlchemy takes longer to import than most commands to run.
    from rialto.store.store import Store

    return Store(data_folder, read_only=True)


def socket_of(data_folder: Path) -> Path:
    """Where the server of that data folder listens for commands."""
    return data_folder / "control.sock"


def console(**options: Any) -> Console:
    """Where people read. Piped into a program, lines are not wrapped."""
    if not sys.stdout.isatty() and "width" not in options:
        options["width"] = int(os.environ.get("COLUMNS", "200"))
    return Console(highlight=False, **options)


def write_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def run(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    try:
        result = command.main(args=arguments, prog_name="rialto", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("", err=True)
        return INTERRUPTED
    except Exception as error:
        if not explain(error):
            raise
        return FAILED
    return result if isinstance(result, int) else DONE


def explain(error: Exception) -> bool:
    """Say an expected error in words; False for one that is a fault of ours."""
    match error:
        case ConfigError():
            _say(f"error: {error.where}", expected=error.expected, remedy=error.remedy)
        case RialtoError():
            _say(f"error: {error}")
        case sqlite3.Error():
            _say(f"error: the database: {error}", remedy=_DATABASE_REMEDY)
        case OSError():
            where = f"{error.filename}: " if error.filename else ""
            _say(f"error: {where}{error.strerror or error}", remedy=_remedy(error))
        case _ if type(error).__module__.startswith("sqlalchemy."):
            _say(f"error: the database: {getattr(error, 'orig', None) or error}", remedy=_DATABASE_REMEDY)
        case _:
            return False
    return True


def no(what: str, remedy: str = "") -> NoReturn:
    """End the command: it could not be done."""
    raise Failure(what, remedy)


_DATABASE_REMEDY = "use the account of the server (sudo -u rialto ...), and see `rialto check`"


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "use an account that may (sudo -u rialto ...)"
    return ""


def _say(headline: str, **details: str) -> None:
    click.secho(show.plain(headline), fg="red", err=True)
    for name, text in details.items():
        if text:
            click.echo(f"  {name:<9} {show.plain(text)}", err=True)
