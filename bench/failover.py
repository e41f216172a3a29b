"""Leaders killed under load, clusters that come up: `launcher bench failover`, with its options.

python -m bench.failover
"""

from __future__ import annotations

import sys

from launcher.cli import shell as cli
from launcher.cli.commands.cluster import Context

if __name__ == "__main__":
    sys.exit(cli.run(["bench", "failover", *sys.argv[1:]], Context()))
