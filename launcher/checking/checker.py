"""Was it linearizable? An exact answer for histories of registers, or an honest "unknown".

A history is linearizable if every operation can be given one moment between its invocation and its
completion at which it took effect, so that all that was observed makes sense (Herlihy and Wing
1990). That is NP-complete; Wing and Gong (1993) search for an order, Lowe ("Testing for
linearizability", 2017) remembers the states that the search has been in, and Horn and Kroening
("Faster linearizability checking via P-compositionality", 2015) ask for each key by itself.

`launcher/checking/sweep.py` is that search. The verdict is UNKNOWN when the search exceeds the time
(or the steps) or the memory given. Not done: several keys in one operation, ranges, counters.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from operator import attrgetter

import msgspec

from launcher.checking.budget import Budget, Exhausted, Limit, StepLimit, TimeLimit
from launcher.checking.history import Kind, Operation
from launcher.checking.steps import steps
from launcher.checking.sweep import Sweep
from launcher.checking.window import Window
from node.machines.protocol import shown

MAX_STATES = 500_000
"""The most configurations that are kept at once; they take about 200 MB."""

EASY_STATES = 2_000
"""Every key is first tried with so few: one hard key must not hide another's easy failure."""


class Validity(enum.Enum):
    """The answer."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


class Verdict(msgspec.Struct, frozen=True):
    """The answer, and for INVALID the proof.

    key:      of the window, or the one that is undecided
    window:   INVALID: operations on `key`, by invocation, that no order explains from any value of
              `initial`. What was left out could not have explained them either
    initial:  what the key may have held when the window begins. Of the values that nobody in the
              window or after it asks for, one stands for all
    reason:   one line for people
    """

    validity: Validity
    key: bytes | None = None
    window: tuple[Operation, ...] = ()
    initial: tuple[bytes | None, ...] = ()
    reason: str = ""


def check(
    history: Iterable[Operation],
    *,
    timeout_s: float = 60.0,
    max_steps: int | None = None,
    max_states: int = MAX_STATES,
) -> Verdict:
    """Whether the history is linearizable, every key being absent at first.

    An operation that completed before another was invoked came before it; at equal times they are
    concurrent. Values need not be unique. INVALID of one key wins over UNKNOWN of another.

    max_steps: bounds the steps of the search, in place of its time: then the verdict is the same on
        any machine

    Raises ValueError for an operation that cannot be: one that completes before it is invoked, a
    write that was refused or had no value, a CAS without both of its values.
    """
    by_key: dict[bytes, list[Operation]] = {}
    for operation in history:
        by_key.setdefault(operation.key, []).append(operation)
    limit: Limit = TimeLimit(timeout_s) if max_steps is None else StepLimit(max_steps)
    undecided = dict.fromkeys(by_key, "")
    for states in sorted({min(EASY_STATES, max_states), max_states}):
        hard: dict[bytes, str] = {}
        for key in undecided:
            try:
                budget = Budget(states, limit)
                sweep = Sweep(list(steps(by_key[key])), (None,), budget, foresight=True)
                fails = sweep.run() is not None
            except Exhausted as exhausted:
                hard[key] = f"{_shown(key)}: {exhausted}"
                continue
            if fails:
                return _invalid(key, by_key[key], Budget(max_states, limit))
        if not hard:
            return Verdict(Validity.VALID)
        undecided = hard
    key, reason = next(iter(undecided.items()))
    return Verdict(Validity.UNKNOWN, key, reason=reason)


def _invalid(key: bytes, history: list[Operation], budget: Budget) -> Verdict:
    window = Window(steps(history), budget)
    note = ""
    try:
        window.minimise()
    except Exhausted:
        note = " (more could be left out, given more time)"
    left = tuple(step.operation for step in sorted(window.steps, key=attrgetter("invoked")))
    reason = f"{_shown(key)}: no order explains these operations of it ({len(left)}){note}"
    return Verdict(Validity.INVALID, key, left, window.initial, reason)


def explain(verdict: Verdict) -> str:
    """The verdict for a terminal: a few lines, and one for each operation of the window."""
    if verdict.validity is not Validity.INVALID:
        return f"{verdict.validity.value}: {verdict.reason or 'linearizable'}"
    begin = " or ".join(map(_shown, verdict.initial))
    lines = [f"not linearizable: {verdict.reason}", f"{_shown(verdict.key)} is {begin}; then"]
    return "\n".join(lines + [f"  {_told(one)}" for one in verdict.window])


def _told(one: Operation) -> str:
    asked = {
        Kind.READ: "read",
        Kind.WRITE: f"write {_shown(one.value)}",
        Kind.CAS: f"CAS {_shown(one.expected)} to {_shown(one.value)}",
        Kind.DELETE: "delete",
    }[one.kind]
    if one.completed_s is None:
        return f"{one.invoked_s:.6f} s ..  client {one.client}: {asked}: no answer"
    saw = f"saw {_shown(one.observed)}"
    told = saw if one.kind is Kind.READ else "ok" if one.ok else f"refused, {saw}"
    when = f"{one.invoked_s:.6f} s .. {one.completed_s:.6f} s"
    return f"{when}  client {one.client}: {asked}: {told}"


def _shown(value: bytes | None) -> str:
    return "absent" if value is None else f'"{shown(value)}"'
