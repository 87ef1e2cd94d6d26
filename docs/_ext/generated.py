"""A directive that puts a part of `parts` into a page.

    ```{generated} networks
    ```

The first argument names the part; the rest are its arguments.
"""

from __future__ import annotations

from docutils import nodes
from parts import PARTS
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Generated(SphinxDirective):
    """See the module."""

    required_arguments = 1
    optional_arguments = 3

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        part, *arguments = self.arguments
        return self.parse_text_to_nodes(PARTS[part](*arguments), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.add_directive("generated", Generated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
