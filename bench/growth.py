"""What a node costs as things grow: `launcher bench growth`, with its options.

python -m bench.growth
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "growth", *sys.argv[1:]], Context()))
