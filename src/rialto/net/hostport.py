"""`host:port` as people write it, `[::1]:5060` included."""

from __future__ import annotations


def split_host_port(text: str, default_port: int | None = None) -> tuple[str, int]:
    """Split `host:port`, `[v6]:port`, `host` or a bare IPv6 address. Raises `ValueError`."""
    host, port_text = text.strip(), ""
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r}: expected [IPv6]:port")
        port_text = rest[1:]
    elif host.count(":") == 1:
        host, _, port_text = host.partition(":")
    if not host:
        raise ValueError(f"{text!r}: expected host:port")
    if not port_text:
        if default_port is None:
            raise ValueError(f"{text!r}: expected a port, as in {host}:5060")
        return host, default_port
    if not (port_text.isascii() and port_text.isdigit() and int(port_text) <= 65535):
        raise ValueError(f"{text!r}: expected a port from 0 to 65535")
    return host, int(port_text)


def join_host_port(host: str, port: int) -> str:
    """The inverse: brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
