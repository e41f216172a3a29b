"""Linearizable reads beside writes, in turn: `launcher bench reads`, with its options.

python -m bench.reads
"""

from __future__ import annotations

import sys

from launcher.cli import shell as cli
from launcher.cli.commands.cluster import Context

if __name__ == "__main__":
    sys.exit(cli.run(["bench", "reads", *sys.argv[1:]], Context()))
