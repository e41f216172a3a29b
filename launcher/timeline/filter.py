"""Which events a reader of the timeline wants to see: by node, time, name and level."""

from __future__ import annotations

import fnmatch
import re
import time
from contextlib import suppress
from datetime import datetime

from launcher.errors import UsageError
from launcher.timeline.events import Event
from node.events import LEVELS
from node.quantities import parse_duration_us

_GLOB = re.compile(r"[A-Za-z0-9_.*?!\[\]-]+")


class Filter:
    """Which events to show; what is None lets all pass.

    node: only this node's; 0 is the supervisor
    since: only what is younger: a duration (`10s`, `1h30m`), an ISO time (local, unless it says),
        or a time of today (`14:05`)
    event: only events whose name matches, as in `election.*`
    level: only of this level or a graver one
    now_ns: what durations are counted back from; nanoseconds since the epoch

    Raises UsageError.
    """

    def __init__(
        self,
        node: int | None = None,
        since: str | None = None,
        event: str | None = None,
        level: str | None = None,
        *,
        now_ns: int | None = None,
    ) -> None:
        if node is not None and node < 0:
            raise UsageError(f"node {node}: a node's number, or 0 for the supervisor")
        if event is not None and not _GLOB.fullmatch(event):
            raise UsageError(f"event {event!r}: a name or a pattern, as in 'election.*'")
        if level is not None and level not in LEVELS:
            raise UsageError(f"level {level!r}: one of {', '.join(LEVELS)}")
        self.node = node
        self.since_t = (
            0 if since is None else _since(since, time.time_ns() if now_ns is None else now_ns)
        )
        self._named = None if event is None else re.compile(fnmatch.translate(event)).match
        self._levels = None if level is None else frozenset(LEVELS[: LEVELS.index(level)])

    def accepts(self, event: Event) -> bool:
        """Whether to show it. A level that nobody knows is never too low."""
        return (
            event.t >= self.since_t
            and (self.node is None or event.node == self.node)
            and (self._levels is None or event.level not in self._levels)
            and (self._named is None or self._named(event.event) is not None)
        )


def _since(text: str, now_ns: int) -> int:
    """Nanoseconds since the epoch. Raises UsageError."""
    with suppress(ValueError):
        return now_ns - parse_duration_us(text) * 1000
    try:
        if re.match(r"\d\d:", text):
            today = datetime.fromtimestamp(now_ns / 1e9).date()
            text = f"{today.isoformat()}T{text}"
        # In two steps, because a float does not hold nanoseconds.
        when = datetime.fromisoformat(text)
        return int(when.replace(microsecond=0).timestamp()) * 10**9 + when.microsecond * 1000
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"since {text!r}: a duration (10s, 5m, 1h30m) or an ISO time (2026-01-31T14:05:00)"
        ) from None
