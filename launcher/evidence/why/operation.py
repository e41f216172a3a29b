"""An operation of a client: what became of it, from its entry, or from what happened meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.evidence.why.cause import Cause, node_name, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.entries import entry
from launcher.evidence.why.rules.reads import Answer, stale_read
from launcher.evidence.why.things import Happening

DISTURBING = (
    "leader.elected",
    "leader.stepped_down",
    "node.exited",
    "disk.stalled",
    "transfer.started",
    "safety.violated",
)
"""What keeps clients waiting."""


@dataclass(frozen=True)
class Operation:
    """One operation, as the history of a run has it. Times in nanoseconds, beside those of events.

    said: who asked for what, in a sentence
    outcome: ok, fail or info
    completed_ns: None: no answer came
    index: the entry that the answer comes from
    error: the refusal, or why the outcome is unknown
    is_read: it makes no entry of its own
    by: the node that answered; None: nobody knows
    missed: what had been acknowledged before it was asked for, and is not in its answer
    """

    said: str
    outcome: str
    invoked_ns: int
    completed_ns: int | None
    index: int | None = None
    error: str = ""
    is_read: bool = False
    by: int | None = None
    missed: Missed | None = None


@dataclass(frozen=True)
class Missed:
    """A write that a read had to see, and did not.

    said: who asked for what, in a sentence
    """

    said: str
    index: int
    acknowledged_ns: int


def operation(past: Past, asked: Operation) -> Cause:
    """The operation, and under it what its outcome and its time rest on."""
    causes: list[Cause] = [*_stale(past, asked)]
    if asked.index is not None and not asked.is_read:
        causes.append(entry(past, asked.index))
    until_ns = asked.completed_ns if asked.completed_ns is not None else past.end_ns
    causes += [stated(one) for one in _meanwhile(past, asked.invoked_ns, until_ns)]
    if not causes:
        causes.append(
            Cause("no leader changed, no node ended and no disk hung meanwhile", is_end=True)
        )
    return Cause(
        f"{asked.said}: {_outcome(asked)}",
        because=tuple(causes),
        is_end=True,
        when_ns=asked.invoked_ns,
    )


def _stale(past: Past, asked: Operation) -> Iterator[Cause]:
    """Of a read that did not see what had been acknowledged: what it missed, and why."""
    missed, answered_ns = asked.missed, asked.completed_ns
    if missed is None or answered_ns is None:
        return
    before = seconds(asked.invoked_ns - missed.acknowledged_ns)
    until = past.place_of(answered_ns)
    because: tuple[Cause, ...] = ()
    if asked.by is not None:
        answer = Answer(asked.by, asked.index, asked.invoked_ns, until, answered_ns)
        because = tuple(stale_read(past, answer, until))
    yield Cause(
        f"it is stale: its answer comes from entry {asked.index}, and entry {missed.index} had "
        f"been acknowledged {before} before it was asked for ({missed.said})",
        because=because,
        is_end=True,
        place=until - 1,
        when_ns=answered_ns,
    )


def _outcome(asked: Operation) -> str:
    took = "" if asked.completed_ns is None else seconds(asked.completed_ns - asked.invoked_ns)
    why = f" ({asked.error})" if asked.error else ""
    if asked.completed_ns is None:
        return f"no answer is on record, so it may have happened or not{why}"
    match asked.outcome:
        case "ok" if asked.is_read and asked.by is not None:
            return f"answered by {node_name(asked.by)} after {took}"
        case "ok":
            where = f", by entry {asked.index}" if asked.index and not asked.is_read else ""
            return f"answered after {took}{where}"
        case "fail":
            return f"refused after {took}, so it did not happen{why}"
    return f"given up after {took}: it may have happened or not{why}"


def _meanwhile(past: Past, from_ns: int, until_ns: int) -> list[Happening]:
    """What may have kept it waiting, at most the last few."""
    found = past.all(DISTURBING, past.end)
    return [one for one in found if from_ns <= one.when_ns <= until_ns][-5:]
