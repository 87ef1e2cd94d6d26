"""`rialto send`: one message from the command line, through the running server."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from rialto.cli import frame
from rialto.control import ask

STILL_WAITING = 3


@click.command(
    epilog=frame.examples(
        'rialto send juliet@example.org "The disk is full"',
        "df -h | rialto send --subject disks --wait 30 juliet@example.org -",
    )
)
@frame.instance_options
@frame.json_option
@click.option("--from", "sender", metavar="ADDRESS", help="Default: operator@ the server's name.")
@click.option("--subject", default="", help="A subject.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0, max=3600),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for the far side's answer.",
)
@click.argument("recipient", metavar="TO")
@click.argument("text", metavar="TEXT")
def send(
    config_path: Path,
    data_dir: Path | None,
    as_json: bool,
    sender: str | None,
    subject: str,
    wait_s: float,
    recipient: str,
    text: str,
) -> int:
    """Send one message through the running server.

    TO is an address; TEXT may be `-` for what comes in on standard input. The message goes through the
    running server, and is on its disk when this command returns. The sender must be somebody at the
    server's own name; what is answered to `operator@` is kept in its trail.

    Exit code: 0, it was taken (with --wait: the far side has it); 1, it was refused or has failed; 3, with
    --wait: it was still on its way when the time was over.
    """
    if text == "-":
        text = sys.stdin.read()
    arguments: dict[str, object] = {"to": recipient, "text": text, "subject": subject, "wait_s": wait_s}
    if sender:
        arguments["from"] = sender
    began = time.monotonic()
    socket = frame.socket_of(frame.folder(config_path, data_dir))
    answer = ask(socket, "send", timeout_s=wait_s + 30.0, **arguments)
    outcome = answer["outcome"]
    if as_json:
        frame.write_json(answer)
    elif outcome == "failed":
        doubt = "" if answer.get("certain", True) else " (it may have arrived all the same)"
        frame.no(
            f"{answer['reason']}: {answer['text']}{doubt}",
            f"`rialto trail {answer['id']}` tells the whole story",
        )
    else:
        after = f" after {time.monotonic() - began:.2f} s" if wait_s and outcome != "queued" else ""
        click.echo(f"{answer['id']} {outcome}{after}")
    if outcome == "failed":
        return frame.FAILED
    return STILL_WAITING if wait_s and outcome == "queued" else frame.DONE
