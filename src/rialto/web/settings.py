"""The settings of the web side."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class WebSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """HTTP: files behind links, and the state of the instance. Off as long as `listen` is empty."""

    listen: Annotated[
        str, Meta(description="Address and port to listen at, `127.0.0.1:8080` say; empty for no HTTP.")
    ] = ""
    url: Annotated[
        str,
        Meta(
            description="How the world reaches it, `https://im.example.org` say, without a slash at the end; "
            "links begin with it. Default: what `listen` says.",
        ),
    ] = ""
    certificate: Annotated[
        str, Meta(description="PEM file of its certificate; empty for plain HTTP, behind a proxy.")
    ] = ""
    key: Annotated[str, Meta(description="PEM file of the private key.")] = ""
    max_connections: Annotated[
        int, Meta(gt=0, description="How many connections may be open; the idlest make room for new ones.")
    ] = 1000
