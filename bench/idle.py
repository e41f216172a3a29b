"""A cluster that has nothing to do: `launcher bench idle`, with its options.

python -m bench.idle
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "idle", *sys.argv[1:]], Context()))
