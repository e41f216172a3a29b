"""Counts, rates and latencies of a history. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from launcher.benchmark.figures import percentile
from launcher.lab.history import Done


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Operations of one kind, or all.

    ok, fail, info: how many ended so
    p50_ms, p99_ms: from when an operation was sent to when its answer was there, of those that were
        answered, in milliseconds; None when none was
    """

    ok: int
    fail: int
    info: int
    p50_ms: float | None
    p99_ms: float | None

    @property
    def operations(self) -> int:
        return self.ok + self.fail + self.info


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients of a run did, without its opening and closing.

    by_operation: by the operation's name
    rate: answers a second, refusals too
    """

    all: Counted
    by_operation: dict[str, Counted]
    rate: float


def summarise(
    operations: Sequence[Done], begun: int, took_s: float, *, until: int | None = None
) -> Summary:
    """Sums up a history.

    begun, took_s: when the clients began, in nanoseconds, and for how long, in seconds
    until: only what began before this moment, and the rate up to it, in nanoseconds
    """
    asked = [one for one in operations if one.process and (until is None or one.invoked < until)]
    seconds = took_s if until is None else min(took_s, max(0.0, (until - begun) / 1e9))
    names = dict.fromkeys(one.f for one in asked)
    total = _counted(asked)
    return Summary(
        all=total,
        by_operation={name: _counted(one for one in asked if one.f == name) for name in names},
        rate=(total.ok + total.fail) / seconds if seconds else 0.0,
    )


def _counted(operations: Iterable[Done]) -> Counted:
    counts = {"ok": 0, "fail": 0, "info": 0}
    took_ms: list[float] = []
    for one in operations:
        counts[one.outcome] += 1
        if one.completed is not None:
            took_ms.append((one.completed - one.invoked) / 1e6)
    took_ms.sort()
    return Counted(
        ok=counts["ok"],
        fail=counts["fail"],
        info=counts["info"],
        p50_ms=percentile(took_ms, 0.5) if took_ms else None,
        p99_ms=percentile(took_ms, 0.99) if took_ms else None,
    )
