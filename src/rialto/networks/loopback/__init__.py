"""Loopback: a network without a wire, whose people answer by rule. Example, demonstration, and test peer.

| who | does |
|---|---|
| `echo@` | sends every message back to its sender |
| `busy@` | is busy at the first try, and takes the message at the next |
| `refuse@` | refuses every message |
| `slow@` | takes every message after `slow_s` |

Who takes a message gives every receipt that its writer asked for. `echo@` also types when it is typed to, and
answers with all that was in the message: form, files, and the same wish for receipts.

All of them can be watched but `refuse@`: `echo@` is online, `busy@` does not want to be disturbed, `slow@` is
away and comes and goes every `slow_s`.

A new protocol begins as a copy of this folder: `settings` says what can be configured, `network` is what
the hub talks to, and this file is what the configuration finds.
"""

from __future__ import annotations

from rialto.networks.loopback.network import create
from rialto.networks.loopback.settings import PeerSettings, Settings, features

__all__ = ["PeerSettings", "Settings", "create", "features"]
