"""`python -m launcher`, and the `launcher` script: argv to the command table.

`_supervise` is how a launcher starts the supervisor's process. It is answered before anything else
is imported, since every millisecond of it is a millisecond until there is a leader. With
`_LAUNCHER_COMPLETE` in the environment, a shell asks what it can offer for the words typed so far
(`launcher/completion.py`).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.cluster import Cluster


def main() -> int:
    """Runs one command and returns its exit status."""
    if sys.argv[1:2] == ["_supervise"]:
        from launcher.boot import supervise

        return supervise(sys.argv[2:])

    if asked := os.environ.get("_LAUNCHER_COMPLETE"):
        from launcher.commands import Context, launcher
        from launcher.completion import answer

        return answer(launcher, asked, Context())

    from launcher.cli import main as run

    return run(sys.argv[1:], _open_prompt)


def _open_prompt(cluster: Cluster) -> int:
    from launcher.repl import run

    return run(cluster)


if __name__ == "__main__":
    sys.exit(main())
