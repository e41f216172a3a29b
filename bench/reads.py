"""Linearizable reads beside writes, in turn: `launcher bench reads`, with its options.

python -m bench.reads
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "reads", *sys.argv[1:]], Context()))
