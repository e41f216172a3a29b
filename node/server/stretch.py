"""How much is done in one turn, before messages, heartbeats and other clients get theirs.

It is counted in commands (or queries) and in bytes, never in time: so the same input takes the same
steps wherever it is run, and a slow machine does not change what happens.
"""

from __future__ import annotations


class Stretch:
    """What may still be done in this turn of the loop."""

    __slots__ = ("_bytes", "_commands")

    def __init__(self, commands: int, size_bytes: int) -> None:
        self._commands = commands
        self._bytes = size_bytes

    @property
    def is_over(self) -> bool:
        return self._commands <= 0 or self._bytes <= 0

    def spend(self, commands: int, size_bytes: int) -> None:
        """So much has been done; it may be more than there was."""
        self._commands -= commands
        self._bytes -= size_bytes
