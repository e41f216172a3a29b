"""Our cluster under load beside the floor, in turn: `launcher bench sweep`, with its options.

python -m bench.load [--all]
"""

from __future__ import annotations

import sys

from launcher.cli import shell as cli
from launcher.cli.commands.cluster import Context

if __name__ == "__main__":
    sys.exit(cli.run(["bench", "sweep", *sys.argv[1:]], Context()))
