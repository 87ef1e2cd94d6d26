"""Links between pages, and into the source, lead somewhere."""

import re
from pathlib import Path

import pytest

from docs.pages import PAGES, ROOT, prose

_LINK = re.compile(r"\]\(([^)\s]+)\)|\{download\}`[^<`]*<([^>]+)>`")
_TOCTREE = re.compile(r"^```\{toctree\}\n(?::[^\n]*\n)*\n?(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for groups in _LINK.findall(prose(page)):
        link = next(filter(None, groups))
        if link.startswith(("https://", "#")):
            continue
        assert (page.parent / link.partition("#")[0]).exists(), link


def test_each_page_can_be_found() -> None:
    docs = ROOT / "docs"
    listed = {docs / "index.md"}
    for page in docs.glob("**/*.md"):
        for tree in _TOCTREE.findall(page.read_text(encoding="utf-8")):
            for entry in tree.split():
                listed |= set(page.parent.glob(f"{entry}.md"))
    pages = {page for page in docs.glob("**/*.md") if "_build" not in page.parts}
    assert sorted(pages - listed) == []
