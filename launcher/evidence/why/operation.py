"""An operation of a client: what became of it, from its entry, or from what happened meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.evidence.why.cause import Cause, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.entries import entry
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
    """

    said: str
    outcome: str
    invoked_ns: int
    completed_ns: int | None
    index: int | None = None
    error: str = ""
    is_read: bool = False


def operation(past: Past, asked: Operation) -> Cause:
    """The operation, and under it what its outcome and its time rest on."""
    causes: list[Cause] = []
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


def _outcome(asked: Operation) -> str:
    took = "" if asked.completed_ns is None else seconds(asked.completed_ns - asked.invoked_ns)
    why = f" ({asked.error})" if asked.error else ""
    if asked.completed_ns is None:
        return f"no answer is on record, so it may have happened or not{why}"
    match asked.outcome:
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
