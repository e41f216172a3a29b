"""Leaders killed under load, clusters that come up: `launcher bench failover`, with its options.

python -m bench.failover
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "failover", *sys.argv[1:]], Context()))
