"""Whether the supervisor has found a broken promise, by the event log that it writes."""

from __future__ import annotations

import time
from pathlib import Path

_MARK = b'"event":"safety.violated"'
_LOOK_EVERY_S = 0.5


class Alarm:
    """Looks at what is new in an event log, twice a second at most."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = 0
        self._looked_at = float("-inf")
        self._raised = False

    def is_raised(self) -> bool:
        """Whether a violation stands there by now."""
        now = time.monotonic()
        if not self._raised and now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            self._raised = self._look()
        return self._raised

    def _look(self) -> bool:
        try:
            with self._log.open("rb") as opened:
                opened.seek(self._read)
                data = opened.read()
        except OSError:
            return False  # it is not there yet, or is being rotated
        whole = data.rfind(b"\n") + 1
        self._read += whole
        return _MARK in data[:whole]
