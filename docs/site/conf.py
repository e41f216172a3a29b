"""How Sphinx builds the documentation: `make docs`. Nothing else imports this folder.

The pages are README.md, the other pages beside it and docs/*.md as they stand, so the source folder
is the repository. What only the site has stands in docs/site: the reference of the commands, made
from the table of commands, and that of the Python API, made from docstrings.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
sys.path[:0] = [str(ROOT), str(FOLDER)]

from docstrings import as_rst  # noqa: E402 (it stands beside this file)

import launcher  # noqa: E402 (of this repository, not of an installed package)

project = "Leeky Raft"
author = "the Leeky Raft developers"
copyright = "2026 the Leeky Raft developers"  # noqa: A001 (Sphinx's name)
version = release = launcher.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/site/*.md", "examples/*.md"]
exclude_patterns = ["build", ".venv", "data", "logs", "**/*_cache"]

html_theme = "furo"
html_title = f"Leeky Raft {release}"
html_extra_path = ["index.html"]
html_show_sourcelink = False
html_copy_source = False

myst_heading_anchors = 3
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
add_module_names = False

CONTENTS = """

```{toctree}
:hidden:
:caption: Using it

README <self>
docs/site/commands
docs/LEARN
docs/TEACH
docs/STORIES
docs/RECIPES
docs/BREAKING
docs/PAGE
docs/GLOSSARY
examples/README
CHANGELOG
```

```{toctree}
:hidden:
:caption: From Python

docs/API
docs/site/reference
docs/VERSIONING
```

```{toctree}
:hidden:
:caption: How it works
:glob:

docs/ARCHITECTURE
docs/*
```

```{toctree}
:hidden:
:caption: Taking part

CONTRIBUTING
SECURITY
```
"""


def complete(app: Any, name: str, source: list[str]) -> None:
    """Adds to a page what it does not have outside of the site."""
    if name == root_doc:
        source[0] += CONTENTS
    if name == "docs/site/reference":
        classes = (one for one in launcher.__all__ if one != "__version__")
        source[0] += "".join(map(CLASS.format, classes))


CLASS = """
```{{eval-rst}}
.. autoclass:: launcher.{0}
   :members:
```
"""


def translate(
    app: Any, kind: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    """Docstrings are plain text; Sphinx expects reStructuredText."""
    lines[:] = as_rst(lines)


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("source-read", complete)
    app.connect("autodoc-process-docstring", translate)
