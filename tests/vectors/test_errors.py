"""The error vectors of RFC 7247: what one side says, and what the other side hears of it."""

from typing import Any

import pytest

from rialto.networks.sip.conditions import error_from, status_for
from rialto.networks.sip.wire import Response
from rialto.networks.xmpp.conditions import from_error, to_error
from rialto.networks.xmpp.wire.conditions import condition_of, error_element
from rialto.networks.xmpp.wire.element import Element
from vectors.kit import name_of, tables

OURS = {
    # A challenge is answered by the gateway or not at all: what is left of both is this.
    "407": ("not-authorized", "auth"),
    # `unexpected-request` tells a user nothing; a conflict may be gone the next time.
    "491": ("conflict", "cancel"),
    # The reason is known to be congestion, and worth another try.
    "503": ("resource-constraint", "wait"),
}
"""Where we do not give the condition of table 3 (RFC 7247 section 7: free to deviate)."""

TYPES = {"not-acceptable": ("cancel",)}
"""A loop is nothing that the sender could modify."""


@pytest.mark.parametrize("vector", tables("errors", "xmpp-to-sip"), ids=name_of)
def test_a_condition_is_one_of_these_status_codes(vector: dict[str, Any]) -> None:  # ERR-6, ERR-8
    error = error_element(vector["condition"], kind=vector["type"], address=vector.get("address", ""))
    status = status_for(from_error(Element("message", {"type": "error"}, [error])))
    assert status in [*vector["statuses"], *vector.get("tolerated", ())]


@pytest.mark.parametrize("vector", tables("errors", "sip-to-xmpp"), ids=name_of)
def test_a_status_code_is_one_of_these_conditions(vector: dict[str, Any]) -> None:  # ERR-7, ERR-10
    status = vector["status"]
    redirect = vector.get("contact", "")
    error = to_error(error_from(Response(status, "Reason", []), redirect))
    condition, text, address = condition_of(error)
    if str(status) in OURS:
        assert (condition, error.get("type")) == OURS[str(status)]
        assert condition not in vector["conditions"]
    else:
        assert condition in vector["conditions"]
        assert error.get("type") in [*vector["types"], *TYPES.get(condition, ())]
    assert text.endswith("Reason")  # behind a warning where it may have arrived
    if "address" in vector:
        assert bool(address) == (vector["address"] == "required")
