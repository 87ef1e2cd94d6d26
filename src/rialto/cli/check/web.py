"""The web side: does the address that links begin with lead here?"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

from rialto.cli.check.findings import Finding, error, ok, warning
from rialto.config import Config

ANSWER_S = 10.0


def web(config: Config, *, running: bool) -> Iterator[Finding]:
    """Ask `/health` at the public address, as somebody with a link would."""
    if not config.web.listen:
        return
    url = config.web.url
    if url.startswith("http:"):
        yield warning(
            "web",
            url,
            "links are fetched without encryption",
            "set `certificate` and `key` in [web], or `url` to the https address of the proxy before it",
        )
    if not running:
        return
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=ANSWER_S) as answer:
            ours = json.loads(answer.read(1000)) == {"status": "ok"}
    except (OSError, ValueError) as problem:
        reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
        yield error("web", url, f"nobody answers: {reason}", "see the proxy, the DNS and [web] of this file")
        return
    if ours:
        yield ok("web", url, "leads here")
    else:
        yield error("web", url, "somebody else answers", "set `url` in [web] to what the proxy passes to us")
