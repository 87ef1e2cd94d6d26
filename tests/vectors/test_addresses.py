"""The address vectors of RFC 7247, through the readers and writers of both networks."""

from typing import Any

import pytest

from rialto.model.errors import AddressError
from rialto.networks.sip.addresses import address_of, uri_of
from rialto.networks.sip.wire import parse_uri
from rialto.networks.xmpp.wire import jid
from vectors.kit import name_of, tables


@pytest.mark.parametrize("vector", tables("addresses", "sip-to-xmpp"), ids=name_of)
def test_a_sip_uri_is_this_jid(vector: dict[str, Any]) -> None:  # ADR-13, ADR-14, ADR-15
    if vector.get("refused"):
        with pytest.raises(AddressError):
            jid.write(address_of(parse_uri(vector["sip"])))
    else:
        assert jid.write(address_of(parse_uri(vector["sip"]))) == vector["xmpp"]


@pytest.mark.parametrize("vector", tables("addresses", "xmpp-to-sip"), ids=name_of)
def test_a_jid_is_this_sip_uri(vector: dict[str, Any]) -> None:  # ADR-6, ADR-18
    assert str(uri_of(jid.parse(vector["xmpp"]))) == vector["sip"]
