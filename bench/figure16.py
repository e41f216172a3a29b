"""The Raft paper's Figure 16, measured anew: `launcher bench figure16`, with its options.

python -m bench.figure16
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "figure16", *sys.argv[1:]], Context()))
