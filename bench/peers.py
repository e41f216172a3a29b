"""Ours beside etcd and PySyncObj, in turn: `launcher bench peers`, with its options.

    python -m bench.peers [--nodes 3]

Installs Debian's etcd when it is missing, apt-get is there, and root asks.
"""

from __future__ import annotations

import sys

from launcher.cli import shell
from launcher.cli.context import Context

if __name__ == "__main__":
    sys.exit(shell.run(["bench", "peers", "--install", *sys.argv[1:]], Context()))
