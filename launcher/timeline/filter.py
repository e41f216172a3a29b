"""Which events a reader of the timeline wants to see: by node, time, name and level."""

from __future__ import annotations

import difflib
import fnmatch
import re
import time
from collections.abc import Sequence
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
    event: only events whose name matches, as in `election.*`, or one of several patterns with
        commas between them
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
        patterns = [] if event is None else event.split(",")
        if not all(map(_GLOB.fullmatch, patterns)):
            raise UsageError(
                f"event {event!r}: a name or a pattern, as in 'election.*'; or several, as in "
                "'election.*,vote.*'"
            )
        if level is not None and level not in LEVELS:
            raise UsageError(f"level {level!r}: one of {', '.join(LEVELS)}")
        self.node = node
        self.since_t = (
            0 if since is None else _since(since, time.time_ns() if now_ns is None else now_ns)
        )
        either = "|".join(map(fnmatch.translate, patterns))
        self._named = re.compile(either).match if patterns else None
        self._levels = None if level is None else frozenset(LEVELS[: LEVELS.index(level)])

    @property
    def is_narrow(self) -> bool:
        """Whether it chooses by name or by level."""
        return self._named is not None or self._levels is not None

    def accepts(self, event: Event) -> bool:
        """Whether to show it. A level that nobody knows is never too low."""
        return (
            event.t >= self.since_t
            and (self.node is None or event.node == self.node)
            and (self._levels is None or event.level not in self._levels)
            and (self._named is None or self._named(event.event) is not None)
        )


def check_known(event: str, names: Sequence[str]) -> None:
    """Raises UsageError when a pattern of `event` matches none of the names: it is misspelt."""
    for wanted in event.split(","):
        if not any(fnmatch.fnmatchcase(name, wanted) for name in names):
            raise _unknown(wanted, names)


def _unknown(wanted: str, names: Sequence[str]) -> UsageError:
    near = difflib.get_close_matches(wanted.replace("*", ""), names, 3, 0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `launcher timeline --events`"
    return UsageError(f"event {wanted!r}: no event has such a name; {hint}")


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
