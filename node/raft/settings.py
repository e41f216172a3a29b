"""What the core is given: `Timing`, in seconds, `Limits`, in bytes and counts, and `Randomness`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Randomness(Protocol):
    """Where election timeouts are drawn from: `random.Random` is one."""

    def uniform(self, a: float, b: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Election timeouts are drawn anew each time, from min to max (§5.2).

    failure_hint: whether `hint_failure` shortens the wait for a leader known to be dead
    hint_delay_s: the longest that such a shortened wait lasts
    commit_notice_s: the longest that followers stay unaware of a commit when nothing else is sent
    pre_vote: whether a server asks for pre-votes before it begins a term (thesis §9.6); without
        it, it begins a term as soon as it hears no leader, as in the paper (§5.2)
    lease: whether a leader that holds a lease serves reads without a round (`lease.py`). Leases
        exclude the hint: a voter that a lease binds must not take a closed pipe for its end
    """

    heartbeat_interval_s: float = 0.1
    election_timeout_min_s: float = 0.5
    election_timeout_max_s: float = 1.0
    failure_hint: bool = True
    hint_delay_s: float = 0.02
    commit_notice_s: float = 0.01
    pre_vote: bool = True
    lease: bool = False

    def __post_init__(self) -> None:
        assert 0 < self.heartbeat_interval_s < self.election_timeout_min_s
        assert self.election_timeout_min_s < self.election_timeout_max_s
        assert not (self.lease and self.failure_hint)


LOG_BOUND = 8
"""The log in memory may grow to this many times the size at which a snapshot is taken."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the leader's memory and each message. Sizes in bytes.

    max_append_bytes: of batches in one AppendEntries, unless a single batch is larger
    inflight_batches: how many AppendEntries with batches may be sent to one peer and not yet
        acknowledged
    inflight_bytes: of the batches in those
    max_uncommitted_bytes: of the log's uncommitted tail; proposals beyond it are refused
    max_apply_bytes: of batches handed out for applying in one Ready
    max_chunk_bytes: of a snapshot in one InstallSnapshot
    max_trailing_bytes: of the log that is kept though a snapshot includes it, for peers that are
        a little behind
    max_log_bytes: of the log in memory; above it, no peer that is being sent a snapshot holds any
        of the log back
    """

    max_append_bytes: int = 1 << 20
    inflight_batches: int = 64
    inflight_bytes: int = 8 << 20
    max_uncommitted_bytes: int = 64 << 20
    max_apply_bytes: int = 1 << 20
    max_chunk_bytes: int = 1 << 20
    max_trailing_bytes: int = 16 << 20
    max_log_bytes: int = 256 << 20
