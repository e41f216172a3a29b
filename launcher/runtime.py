"""The runtime folder: one short, private folder for the sockets of one life of a cluster.

The path of a Unix socket may have about a hundred bytes (104 on macOS), so it does not lie with the
data, whose path may be long, but in the folder for temporary files; or in /tmp when that is long.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

_PREFIX = "leeky-"
_LONGEST_PARENT = 60
"""Leaves room for our own name, and for the longest socket of ours and of multiprocessing."""


def make() -> Path:
    """A new one, that only we can enter (mode 0700)."""
    parent = tempfile.gettempdir()
    short = len(parent.encode()) <= _LONGEST_PARENT
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent if short else "/tmp"))


def is_one(folder: Path) -> bool:
    """Whether this is such a folder: one that is safe to remove when its owner is dead."""
    return folder.name.startswith(_PREFIX) and folder.is_dir() and not folder.is_symlink()
