"""Our cluster under load beside the floor, in turn: `launcher bench sweep`, with its options.

python -m bench.load [--all]
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "sweep", *sys.argv[1:]], Context()))
