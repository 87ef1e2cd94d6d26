"""`rialto try`: a whole world in one command, to see messages cross before anything is configured."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import click

from rialto.cli import frame

ARRIVAL_S = 10.0


@click.command(
    "try",
    epilog=frame.examples("rialto try", "rialto try --once", "rialto try --for 60 --wire"),
)
@click.option("--once", is_flag=True, help="End after the first messages have crossed.")
@click.option(
    "--for",
    "stay_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="End by itself after so long.",
)
@click.option(
    "--wire", is_flag=True, help="Also show what servers say to one another: TLS, SASL, acknowledgements."
)
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Put the data there, and leave it; otherwise everything is thrown away.",
)
def try_it(once: bool, stay_s: float | None, wire: bool, keep: Path | None) -> int:
    """Watch messages cross, in a throw-away instance.

    Juliet lives at a small XMPP server, Romeo at a SIP phone; Rialto stands between them. All sockets are
    real, on the loopback interface. Each message is shown as it was on both wires, with what became of what.
    Then you can type for either of them, point a SIP client at it, and read the trails.

    Without a terminal on standard input it ends after the first messages, unless --for says otherwise.

    Exit code: 1 if a message did not arrive.
    """
    from rialto import log
    from rialto.cli.serve import loop_factory

    log.configure("warning", "text")
    folder = keep if keep is not None else Path(tempfile.mkdtemp(prefix="rialto-try-"))
    folder.mkdir(parents=True, exist_ok=True)
    stays = not once and (stay_s is not None or sys.stdin.isatty())
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            arrived = runner.run(_play(folder, stays, stay_s, wire))
    except KeyboardInterrupt:
        return frame.DONE
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return frame.DONE if arrived else frame.FAILED


async def _play(folder: Path, stays: bool, stay_s: float | None, wire: bool) -> bool:
    # Here, because `rialto --help` need not wait for all of this to be imported.
    from rialto.cli.demo.stage import Stage

    out = frame.console()
    stage = Stage(folder, out, stays=stays, everything=wire)
    await stage.start()
    try:
        stage.introduce()
        for sender, text in (
            ("juliet", "Art thou not Romeo, and a Montague? ☾"),
            ("romeo", "Neither, fair saint."),
        ):
            if not await stage.cross(sender, text, within_s=ARRIVAL_S):
                return False
        if stays:
            stage.invite()
            await stage.stay(stay_s)
    finally:
        await stage.stop()
    return True
