"""What readers of the page cost a cluster: `launcher bench page`, with its options.

python -m bench.page
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "page", *sys.argv[1:]], Context()))
