"""Presence: who watches whom, what was allowed, what is known, and who has been told."""

from __future__ import annotations

from rialto.core.presence.presence import Presence
from rialto.core.presence.settings import PresenceSettings

__all__ = ["Presence", "PresenceSettings"]
