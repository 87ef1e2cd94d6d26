"""Enough of a SIP reader for tests: start line, headers, body. Not the one under test."""

from dataclasses import dataclass

COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "c": "content-type", "l": "content-length"}


@dataclass(frozen=True, slots=True)
class SipText:
    """One request or response as it passed; header names in lower case and long form."""

    start: str
    headers: dict[str, list[str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    @property
    def status(self) -> int:
        """The status code; 0 for a request."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """The method, for a response that of its CSeq."""
        return self["cseq"].split()[1] if self.status else self.start.split()[0]

    def __getitem__(self, name: str) -> str:
        """The first value of a header, "" when there is none."""
        return self.headers.get(name.lower(), [""])[0]


def read_sip(raw: bytes) -> SipText:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("utf-8", "replace").replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers.setdefault(COMPACT.get(name, name), []).append(value.strip())
    return SipText(lines[0], headers, body)
