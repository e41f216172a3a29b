"""supervisor.stderr: what any process of the cluster prints, kept within a bound.

The supervisor, the fork server and every node have inherited one open file, and only append to it.
So it cannot be replaced by a new one; it is copied, and then emptied where it is. The copy before
that is lost. What is printed in between is lost too: that is a moment, once in many megabytes.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

MAX_BYTES = 8 << 20
"""Of the file, and of the copy that is kept of it."""


def keep_bounded(path: Path, most_bytes: int = MAX_BYTES) -> None:
    """Empties the file that this process's standard error goes to, if it is `path` and too long.

    Raises OSError.
    """
    there, ours = path.stat(), os.fstat(sys.stderr.fileno())
    if not os.path.samestat(there, ours) or ours.st_size <= most_bytes:
        return
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
