"""What a node costs as things grow: `launcher bench growth`, with its options.

python -m bench.growth
"""

from __future__ import annotations

import sys

from launcher import cli
from launcher.commands import Context

if __name__ == "__main__":
    sys.exit(cli.run(["bench", "growth", *sys.argv[1:]], Context()))
