"""`rialto try`: what a newcomer runs first must work, be seen to work, and end by itself."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import msgspec

from cli.running import COMMAND, run
from rialto.cli.demo.world import Places

COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_both_messages_arrive_and_both_wires_are_shown() -> None:
    result = subprocess.run(
        [*COMMAND, "try", "--once"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    out = result.stdout
    # From XMPP to SIP: what juliet's server wrote, and what romeo's phone got.
    assert "<message from='juliet@capulet.example/balcony' to='romeo@montague.example' type='chat'" in out
    assert "<body>Art thou not Romeo, and a Montague? ☾</body>" in out
    assert "MESSAGE sip:romeo@montague.example SIP/2.0" in out
    assert "From: <sip:juliet@capulet.example;gr=balcony>;tag=" in out
    # And back.
    assert "MESSAGE sip:juliet@capulet.example SIP/2.0" in out
    assert "<message from='romeo@montague.example' to='juliet@capulet.example'" in out
    assert "<body>Neither, fair saint.</body>" in out
    # What became of what, and that it arrived.
    assert re.search(
        r"sender +juliet@capulet.example/balcony +-> +sip:juliet@capulet.example;gr=balcony", out
    )
    assert re.search(r"text +Neither, fair saint. +<- +Neither, fair saint.", out)
    assert "romeo@montague.example hears from juliet@capulet.example/balcony: Art thou not Romeo" in out
    assert "juliet@capulet.example hears from romeo@montague.example: Neither, fair saint." in out
    assert out.count("message delivered in ") == 2
    assert "the phone is told 200 OK" in out
    assert out.count("SIP/2.0 200 OK") == 2


def test_the_trail_is_shown_and_can_be_kept(tmp_path: Path) -> None:
    result = subprocess.run(
        [*COMMAND, "try", "--once", "--keep", str(tmp_path / "kept")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "received   from capulet.example over xmpp" in result.stdout
    rows = run("trail", "--last", "5", "--json", "--data-dir", tmp_path / "kept").data
    assert [(row["recipient"], row["state"]) for row in rows] == [
        ("juliet@capulet.example", "delivered"),
        ("romeo@montague.example", "delivered"),
    ]
    assert run("config", "check", tmp_path / "kept" / "rialto.toml").code == 0


def test_two_trials_at_once_do_not_get_in_each_others_way() -> None:
    trials = [
        subprocess.Popen(
            [*COMMAND, "try", "--once"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(2)
    ]
    for trial in trials:
        out, _ = trial.communicate(timeout=50)
        assert trial.returncode == 0, out.decode()


def test_the_ports_of_a_trial_are_its_own() -> None:
    one, other = Places(), Places()
    ports = [*msgspec.structs.astuple(one.ports), *msgspec.structs.astuple(other.ports)]
    assert len(set(ports)) == 8
    one.release()
    other.release()


class Terminal:
    """`rialto try` on a terminal of its own."""

    def __init__(self) -> None:
        self.text = ""
        self.pid, self._file = pty.fork()
        if self.pid == 0:
            os.environ |= {"COLUMNS": "120", "LINES": "50", "TERM": "xterm"}
            os.execv(COMMAND[0], [*COMMAND, "try"])

    def wait_for(self, words: str, within_s: float = 20.0) -> None:
        """Read until these words have come since the last time; fails if they don't."""
        until = time.monotonic() + within_s
        while words not in self.text:
            ready, _, _ = select.select([self._file], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"no {words!r} in {self.text}"
            self.text += COLOURS.sub("", os.read(self._file, 65536).decode("utf-8", "ignore"))
        self.text = self.text.partition(words)[2]

    def type(self, line: str) -> None:
        """One line, with its Return."""
        os.write(self._file, line.encode() + b"\n")

    def end(self) -> int:
        """The exit code, once it has ended."""
        try:
            while os.read(self._file, 65536):
                pass
        except OSError:  # Linux: the other end of the terminal is closed
            pass
        os.close(self._file)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_people_can_be_spoken_for_and_others_can_look_on() -> None:
    terminal = Terminal()
    terminal.wait_for("Now you. Type here:")
    terminal.wait_for("rialto trail --last 10 --data-dir ")
    terminal.wait_for("\n")
    terminal.wait_for('rialto send juliet@capulet.example "Hello" --data-dir ')
    terminal.wait_for("somebody@127.0.0.1.")
    terminal.type("juliet > echo: Are you there?")
    terminal.wait_for("juliet@capulet.example hears from echo@test.example: Are you there?")
    terminal.type("romeo: Grüße")
    terminal.wait_for("juliet@capulet.example hears from romeo@montague.example: Grüße")
    terminal.type("juliet > refuse: Please")
    terminal.wait_for("juliet@capulet.example learns that refuse@test.example did not get it")
    terminal.type("romeo > refuse: Please")
    terminal.wait_for("the phone is told 603")
    terminal.type("mercutio: A plague")
    terminal.wait_for("to refuse@test.example")  # no such speaker: it is a line of who spoke last
    terminal.type("/peers")
    terminal.wait_for("TLSv1.3")
    terminal.type("/quit")
    assert terminal.end() == 0
