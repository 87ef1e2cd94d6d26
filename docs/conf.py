"""How the documentation is built: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from rialto import __version__  # noqa: E402

project = "Rialto"
author = "The Rialto maintainers"
copyright = "The Rialto maintainers, Apache-2.0"  # noqa: A001
version = release = __version__

extensions = ["myst_parser", "generated"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
highlight_language = "text"

html_theme = "furo"
html_title = "Rialto"
html_copy_source = False

nitpicky = True
