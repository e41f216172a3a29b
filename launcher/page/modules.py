"""The page's static files: plain ES modules, a style sheet, and the frame of the page.

A server hands them out as they are. For a file that opens from the disk, where a browser loads no
module from another file, `joined` makes one script of them: each module after those that it
imports, without its `import` and `export`. So names at the top of the modules must all differ, and
imports take names as they are; `joined` refuses anything else.
"""

from __future__ import annotations

import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
_TOP = re.compile(
    r"^(?:async )?(?:function\*?|class|const|let|var) +([A-Za-z_$][\w$]*)", re.MULTILINE
)


def text(name: str) -> str:
    """A static file. Raises OSError when there is no such file."""
    return (STATIC / name).read_text(encoding="utf-8")


def served() -> frozenset[str]:
    """The names of the files that a server hands out."""
    return frozenset(path.name for path in STATIC.iterdir() if path.suffix in (".js", ".css"))


def joined(first: str = "main.js") -> str:
    """All modules that `first` needs, as one script. Raises ValueError where that will not do."""
    order: list[str] = []
    _visit(first, order, [])
    seen: dict[str, str] = {}
    parts = []
    for name in order:
        source = _EXPORT.sub("", _IMPORT.sub("", text(name)))
        left = re.search(r"^(?:import|export)\b.*$", source, re.MULTILINE)
        if left is not None:
            raise ValueError(f"{name} cannot be joined with the others: {left[0]}")
        for found in _TOP.findall(source):
            if seen.setdefault(found, name) != name:
                raise ValueError(f"{name} and {seen[found]} both name something {found}")
        parts.append(f"// {name}\n{source}")
    return "\n".join(parts)


def _visit(name: str, order: list[str], path: list[str]) -> None:
    """Depth first. path: how `name` was come to"""
    if name in path:
        raise ValueError(f"modules import each other: {' > '.join([*path, name])}")
    if name in order:
        return
    for names, needed in _IMPORT.findall(text(name)):
        if " as " in names:
            raise ValueError(f"{name} gives what it imports from {needed} another name")
        _visit(needed, order, [*path, name])
    order.append(name)
