"""`serve`, `send`, `trail`, `queue` and `peers` against a real server in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from cli.running import COMMAND, Server, run


def test_a_message_is_sent_and_its_trail_can_be_read(server: Server) -> None:
    sent = server.run("send", "--wait", "10", "--subject", "news", "echo@test.example", "Hello")
    assert sent.code == 0
    message_id, outcome, *_ = sent.out.split()
    assert outcome == "delivered"
    trail = server.run("trail", message_id)
    assert trail.code == 0
    for word in ("operator@gw.example", "echo@test.example", "received", "routed", "delivered", "heard"):
        assert word in trail.out
    assert "hops   local: encrypted, proven by local > test.example: encrypted, proven by local" in trail.out
    message = server.run("trail", "--json", message_id).data[0]
    assert message["hops"] == [
        {"peer": "local", "proof": "local", "secured": True},
        {"peer": "test.example", "proof": "local", "secured": True},
    ]


def test_a_message_can_come_from_standard_input(server: Server) -> None:
    sent = server.run("send", "--wait", "10", "--json", "echo@test.example", "-", text="Hello\n")
    assert sent.data["outcome"] == "delivered"


def test_a_refusal_is_an_error_with_its_reason(server: Server) -> None:
    sent = server.run("send", "--wait", "10", "refuse@test.example", "Hello")
    assert sent.code == 1
    assert "error: declined: I would rather not" in sent.err
    assert "rialto trail" in sent.err


def test_a_message_that_nobody_can_carry_is_refused_at_once(server: Server) -> None:
    sent = server.run("send", "somebody@elsewhere.example", "Hello")
    assert sent.code == 1
    assert "domain-not-found" in sent.err


def test_nobody_can_be_spoken_for_but_the_server_itself(server: Server) -> None:
    sent = server.run("send", "--from", "ceo@test.example", "echo@test.example", "Hello")
    assert sent.code == 1
    assert "forbidden" in sent.err


def test_the_exit_code_tells_a_message_that_is_still_under_way(server: Server) -> None:
    sent = server.run("send", "--wait", "0.01", "slow@test.example", "Hello")
    assert sent.code == 3
    message_id, outcome = sent.out.split()[:2]
    assert outcome == "queued"
    assert message_id in [row["id"] for row in server.run("queue", "list", "--json").data]


def test_a_failed_message_can_be_found_by_its_state(server: Server) -> None:
    server.run("send", "--wait", "10", "refuse@test.example", "Hello")
    rows = server.run("trail", "--last", "5", "--state", "failed", "--json").data
    assert {row["state"] for row in rows} == {"failed"}
    assert rows[0]["reason"] == "declined"
    assert [stop["stop"] for stop in rows[0]["trail"]] == ["received", "routed", "failed"]


def test_a_message_that_is_not_known_is_an_error(server: Server) -> None:
    result = server.run("trail", "0000")
    assert result.code == 1
    assert "no message is known as 0000" in result.err
    result = server.run("trail", "0000", "--json")
    assert (result.code, result.data) == (1, [])


def test_a_trail_wants_either_an_id_or_a_number(server: Server) -> None:
    assert server.run("trail").code == 2
    assert server.run("trail", "0000", "--last", "1").code == 2


def test_peers_are_shown_with_their_links(server: Server) -> None:
    shown = server.run("peers")
    assert shown.code == 0
    row = next(line for line in shown.out.splitlines() if line.startswith("test.example"))
    assert row.split() == [
        "test.example", "loopback", "test.example", "<>", "here", "up", "none", "needed",
    ]  # fmt: skip
    assert server.run("peers", "--json").data["links"][0]["state"] == "up"


def test_what_waits_can_be_dropped_and_its_sender_is_told(server: Server) -> None:
    # `slow@` has one message in hand; whatever else is for it waits.
    server.run("send", "slow@test.example", "one")
    message_id = server.run("send", "--json", "slow@test.example", "two").data["id"]
    dropped = server.run("queue", "drop", "--why", "wrong number", message_id)
    assert (dropped.code, dropped.out) == (0, "dropped: 1\n")
    message, report = server.run("trail", "--json", message_id).data
    assert (message["state"], message["trail"][-1]["text"]) == ("dropped", "wrong number")
    assert (report["type"], report["about"]) == ("report", message_id)


def test_what_waits_can_be_tried_again(server: Server) -> None:
    server.run("send", "slow@test.example", "one")
    message_id = server.run("send", "--json", "slow@test.example", "two").data["id"]
    assert server.run("queue", "retry", "--json", message_id).data == {"retried": 1, "missing": []}
    assert server.run("queue", "retry", "--all").out.startswith("retried: ")


def test_what_does_not_wait_is_named(server: Server) -> None:
    for command in ("drop", "retry"):
        missing = server.run("queue", command, "0000")
        assert missing.code == 1
        assert "not waiting: 0000" in missing.err


def test_retry_wants_ids_or_all(server: Server) -> None:
    assert server.run("queue", "retry").code == 2
    assert server.run("queue", "retry", "--all", "0000").code == 2


def test_without_a_server_the_remedy_is_told(tmp_path: Path) -> None:
    for command in (["peers"], ["send", "a@b.example", "Hello"], ["queue", "retry", "--all"]):
        result = run(*command, "--data-dir", tmp_path)
        assert result.code == 1
        assert "no server answers" in result.err
        assert "rialto serve" in result.err


def test_trails_and_the_queue_can_be_read_without_a_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    message_id = server.run("send", "--json", "slow@test.example", "Hello").data["id"]
    assert server.stop() == 0
    assert message_id in server.run("queue", "list").out
    assert "queued" in server.run("trail", message_id).out
    assert message_id in run("trail", "--last", "1", "--data-dir", server.data_dir).out


def test_a_data_folder_without_a_database_is_no_traceback(tmp_path: Path) -> None:
    result = run("trail", "--last", "1", "--data-dir", tmp_path)
    assert result.code == 1
    assert "a database of Rialto" in result.err


def test_a_second_server_keeps_its_hands_off(server: Server) -> None:
    second = subprocess.run(
        [*COMMAND, "serve", "--config", str(server.config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert "a data folder that no other server is using" in second.stderr
    assert "Traceback" not in second.stderr
    assert server.run("peers").code == 0


def test_a_signal_reloads_the_configuration_and_a_mistake_changes_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        text = server.config.read_text()
        server.config.write_text(text.replace("test.example", "other.example"))
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("reloaded")
        assert server.ask("peers")["peers"][0]["domains"] == ["other.example"]
        server.config.write_text(text.replace("[networks.loopback]", "[networks.lopback]"))
        server.process.send_signal(signal.SIGHUP)
        failure = server.wait_for("not reloaded")
        assert "did you mean `loopback`?" in failure["error"]
        assert server.ask("peers")["peers"][0]["domains"] == ["other.example"]
    finally:
        assert server.stop() == 0


def test_systemd_is_told_when_the_server_is_ready_alive_and_stopping(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(20)
        server = Server(tmp_path, env={"NOTIFY_SOCKET": str(path)})
        try:
            assert {systemd.recv(100), systemd.recv(100)} == {b"READY=1", b"WATCHDOG=1"}
        finally:
            assert server.stop() == 0
        assert systemd.recv(100) == b"STOPPING=1"


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    path = tmp_path / "rialto.toml"
    path.write_text('[server]\nname = "gw.example"\ndata_dir = "/proc/nowhere"\n')
    result = subprocess.run(
        [*COMMAND, "serve", "--config", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_a_reader_that_goes_away_is_met_without_a_word() -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "config", "describe", "--toml"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    os.close(reading)
    _, error = process.communicate(timeout=30)
    assert error == ""


@pytest.mark.parametrize("command", ["peers", "queue list", "trail --last 3"])
def test_json_is_one_document(server: Server, command: str) -> None:
    assert json.loads(server.run(*command.split(), "--json").out) is not None
