"""What the record of messages costs: `launcher bench tap`, with its options.

python -m bench.tap
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "tap", *sys.argv[1:]], Context()))
