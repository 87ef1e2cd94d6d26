"""The pages of the documentation, and what stands in them."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests/interop/README.md"]
    if "_build" not in page.parts
)

_FENCE = re.compile(r"^( *)(`{3,}|:{3,})(\S*)([^\n]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: `language` is `toml`, `console`, `{generated}`; `argument` what stands behind it."""

    page: Path
    language: str
    argument: str
    text: str

    @property
    def name(self) -> str:
        """For test ids."""
        return f"{self.page.relative_to(ROOT)}: {' '.join(self.text.split())[:40]}"


def blocks(language: str) -> list[Block]:
    """All blocks of one language, in all pages."""
    return [
        Block(page, found[3], found[4].strip(), found[5])
        for page in PAGES
        for found in _FENCE.finditer(page.read_text(encoding="utf-8"))
        if found[3] == language
    ]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def text_of(name: str) -> str:
    """One page, by its path below docs."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def load_parts() -> ModuleType:
    """What the documentation takes from the code (`docs/_ext/parts.py`)."""
    spec = importlib.util.spec_from_file_location("parts", ROOT / "docs/_ext/parts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
