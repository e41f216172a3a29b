"""Where a node's process begins: the forkserver runs this, and it runs the node.

The supervisor names the node's entry point without importing it. The forkserver imports it once,
before the first fork (`preload`), and every node shares what was loaded.
"""

from __future__ import annotations

from importlib import import_module
from multiprocessing.connection import Connection


def run(entry: str, config: bytes, control: Connection, pipes: dict[int, Connection]) -> None:
    """Calls `module:function` with the rest."""
    module, _, function = entry.partition(":")
    getattr(import_module(module), function)(config, control, pipes)
