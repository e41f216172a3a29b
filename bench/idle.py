"""A cluster that has nothing to do: `launcher bench idle`, with its options.

python -m bench.idle
"""

from __future__ import annotations

import sys

from launcher.cli import shell as cli
from launcher.cli.commands.cluster import Context

if __name__ == "__main__":
    sys.exit(cli.run(["bench", "idle", *sys.argv[1:]], Context()))
