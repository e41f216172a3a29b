"""Was it linearizable? An exact answer for histories of registers, or an honest "unknown".

A history is linearizable if every operation can be given one moment between its invocation and its
completion at which it took effect, so that all that was observed makes sense (Herlihy and Wing
1990). That is NP-complete; Wing and Gong (1993) search for an order, Lowe ("Testing for
linearizability", 2017) remembers the states that the search has been in, and Horn and Kroening
("Faster linearizability checking via P-compositionality", 2015) ask for each key by itself.

This is Lowe's *just-in-time* search. A sweep goes over the invocations and completions of one key
by time, with the set of all *configurations* that explain what has been seen so far. No operation
takes effect sooner than somebody's completion makes it: when one completes that has not yet taken
effect, it must, perhaps after others that are open. If no configuration is left, the history is
not linearizable. Memory holds one moment's possibilities and never the past.

A configuration is a value of the key and two sets of operations, which are bits of integers:

    owed   open, and must still take effect before they complete
    able   writes, deletes and swaps (CAS) that can still take effect. Those that are able and not
           owed are *optional*: they may as well never be seen

An indeterminate operation is optional for ever, and there may be hundreds. Each of these rules
leaves out configurations that another one can stand in for, as it can do whatever they can:

- Whoever only looks (a read, a refusal) takes effect as soon as the value is what it saw.
- A write that is open when another write, or a delete that found something, takes effect becomes
  optional: it may have come just before, unseen. So does a write of the value that is there.
- Out of turn, nothing takes effect but what somebody open waits for, and deletes and swaps that
  are owed: those need not find again what they need.
- Among writes of one value, the first to expire goes first.
- A value that no one who completes later asks for is no better than any other, unless that is
  None. An indeterminate operation whose effect no one will ask for is forgotten.
- Same value, no more owed and no less able: the other configuration is dropped.

Time (a deadline) and memory (configurations held at once) are bounded; whoever exceeds them is
told UNKNOWN. Nothing recurses. Not done: several keys in one operation, ranges, counters.
"""

from __future__ import annotations

import enum
import heapq
import math
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import islice
from operator import attrgetter, or_
from typing import TypeAlias

import msgspec

from node.machines.protocol import shown

MAX_STATES = 500_000
"""So many configurations at once take some 200 MB."""

EASY_STATES = 2_000
"""Every key is first tried with so few: one hard key must not hide another's easy failure."""


class Kind(enum.Enum):
    """What a client asked for."""

    READ = "read"
    WRITE = "write"
    CAS = "cas"
    DELETE = "delete"
    __hash__ = object.__hash__  # what Enum has instead takes time


class Operation(msgspec.Struct, frozen=True):
    """One request of a client, and what came of it. Times in seconds, of one clock.

    client:       who asked; only for people: an operation need not wait for its client's last one
    completed_s:  None: indeterminate, it may have taken effect at any time since, or never will
    ok:           completed: False when the machine refused; a read's is ignored
    value:        WRITE: what was written; CAS: the new value
    expected:     CAS: the old value
    observed:     completed READ: what was seen; refused CAS: what the key held; None: no such key
    """

    client: int
    kind: Kind
    key: bytes
    invoked_s: float
    completed_s: float | None
    ok: bool = True
    value: bytes | None = None
    expected: bytes | None = None
    observed: bytes | None = None


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
    max_states: int = MAX_STATES,
    clock: Callable[[], float] = time.monotonic,
) -> Verdict:
    """Whether the history is linearizable, every key being absent at first.

    An operation that completed before another was invoked came before it; at equal times they are
    concurrent. Values need not be unique. INVALID of one key wins over UNKNOWN of another.

    Raises ValueError for an operation that cannot be: one that completes before it is invoked, a
    write that was refused or had no value, a CAS without both of its values.
    """
    by_key: dict[bytes, list[Operation]] = {}
    for operation in history:
        by_key.setdefault(operation.key, []).append(operation)
    deadline = clock() + timeout_s
    undecided = dict.fromkeys(by_key, "")
    for states in sorted({min(EASY_STATES, max_states), max_states}):
        hard: dict[bytes, str] = {}
        for key in undecided:
            try:
                budget = _Budget(states, clock, deadline)
                failed = _Sweep(list(_steps(by_key[key])), (None,), budget).run()
            except _Exhausted as exhausted:
                hard[key] = f"{_shown(key)}: {exhausted}"
                continue
            if failed is not None:
                budget = _Budget(max_states, clock, deadline)
                return _invalid(key, by_key[key], failed.completed, budget)
        if not hard:
            return Verdict(Validity.VALID)
        undecided = hard
    key, reason = next(iter(undecided.items()))
    return Verdict(Validity.UNKNOWN, key, reason=reason)


class _Exhausted(Exception):
    """The search has reached one of its bounds; says which."""


class _Budget(msgspec.Struct):
    """What a search may still use."""

    max_states: int
    clock: Callable[[], float]
    deadline: float
    ticks: int = 1

    def spend(self, states: int = 0, width_bits: int = 0) -> None:
        """One step of the search, with so many configurations held. Raises _Exhausted."""
        # 500 bytes hold a configuration of 2048 bits, and twice as many of twice as many bits.
        if states * (1 + width_bits // 2048) > self.max_states:
            raise _Exhausted(f"more possible states than may be held at once ({self.max_states})")
        self.ticks -= 1
        if not self.ticks:
            self.ticks = 256  # one takes microseconds
            if self.clock() > self.deadline:
                raise _Exhausted("not decided in the time given")


class _Step(msgspec.Struct, eq=False):
    """An operation by what it needs and what it makes of the value.

    READ needs a value, which may be None: also a refusal, which saw one, and a CAS of a value to
    itself. WRITE needs nothing, DELETE any value but None. CAS needs one value and makes another.
    `completed` is infinite for an indeterminate operation.
    """

    operation: Operation
    kind: Kind
    invoked: float
    completed: float
    needs: bytes | None = None
    makes: bytes | None = None
    bit: int = 0


_by_completion = attrgetter("completed")
_READ, _WRITE, _CAS, _DELETE = Kind.READ, Kind.WRITE, Kind.CAS, Kind.DELETE


def _steps(operations: Iterable[Operation]) -> Iterator[_Step]:
    """Without those that constrain nothing."""
    for one in operations:
        kind, invoked = one.kind, one.invoked_s
        completed = math.inf if one.completed_s is None else one.completed_s
        if not invoked <= completed:
            raise ValueError(f"completes before it is invoked: {one}")
        lasting = completed == math.inf
        if kind is _READ:
            if not lasting:
                yield _Step(one, _READ, invoked, completed, one.observed)
        elif kind is _WRITE:
            if one.value is None or not (one.ok or lasting):
                raise ValueError(f"a write has a value and is not refused: {one}")
            yield _Step(one, _WRITE, invoked, completed, None, one.value)
        elif not (one.ok or lasting):
            # A refused DELETE saw that there is nothing; no CAS is refused by what it expects.
            seen = one.observed if kind is _CAS else None
            absurd = kind is _CAS and seen == one.expected
            yield _Step(one, _READ, invoked, completed, _Impossible() if absurd else seen)
        elif kind is _DELETE:
            yield _Step(one, _DELETE, invoked, completed)
        elif one.value is None or one.expected is None:
            raise ValueError(f"a CAS has two values: {one}")
        elif one.value != one.expected:
            yield _Step(one, _CAS, invoked, completed, one.expected, one.value)
        elif not lasting:
            yield _Step(one, _READ, invoked, completed, one.expected)


class _Impossible(bytes):
    """A value that no key ever holds, whatever its bytes."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class _Demand(dict[bytes | None, float]):
    """The last moment at which somebody may ask for each value.

    A completed operation asks for what it needs until it completes. An indeterminate CAS asks for
    what it needs as long as somebody asks for what it makes.
    """

    def __init__(self, steps: Iterable[_Step]) -> None:
        self.last_delete = -math.inf
        swaps: dict[bytes | None, list[bytes | None]] = {}
        for step in steps:
            kind, completed = step.kind, step.completed
            if kind is _CAS and completed == math.inf:
                swaps.setdefault(step.makes, []).append(step.needs)
            elif kind is _READ or kind is _CAS:
                self[step.needs] = max(completed, self[step.needs])
            elif kind is _DELETE and completed != math.inf:
                self.last_delete = max(completed, self.last_delete)
        # From the longest demand down, so that each value is settled when it is first reached.
        for made in sorted(swaps, key=lambda value: -self[value]):
            reached = [made]
            while reached:
                for needed in swaps.pop(reached.pop(), ()):
                    if self[needed] < self[made]:
                        self[needed] = self[made]
                        reached.append(needed)

    def __missing__(self, value: bytes | None) -> float:
        return -math.inf

    def of_effect(self, step: _Step) -> float:
        """The last moment at which somebody may ask for what the step makes."""
        last = self[step.makes]
        return max(last, self.last_delete) if step.kind is _WRITE else last


# The value; the bits of the steps that are owed; the bits of those that are able.
_Config: TypeAlias = tuple[bytes | None, int, int]
_Values: TypeAlias = tuple[bytes | None, ...]
# A quiescent moment: when, the possible values, the indeterminate steps that are still able.
_Start: TypeAlias = tuple[float, _Values, list[_Step]]


class _Sweep:
    """The configurations of one key, as time goes by.

    Invariants: bits are held by open and by indeterminate steps alone, each its own. Who is owed is
    open, is not satisfied by the value, and is able, unless it only looks. A CAS or a DELETE that
    is open and able is owed. No configuration can stand in for another, as far as we look.
    """

    def __init__(self, steps: list[_Step], initial: _Values, budget: _Budget) -> None:
        self._steps = steps
        self._budget = budget
        self._demand = _Demand(steps)
        self._configs: list[_Config] = [(value, 0, 0) for value in initial]
        self._free_bits: list[int] = []
        self._width_bits = 0
        self._open = self._open_writes = 0
        # Open and indeterminate steps by completion: writes by what they make, others by `needs`.
        self._by_value: dict[Kind, dict[bytes | None, list[_Step]]] = {kind: {} for kind in Kind}
        # The indeterminate ones: a heap by when their effect is no longer asked for.
        self._expiries: list[tuple[float, int, _Step]] = []

    def run(self, starts: deque[_Start] | None = None) -> _Step | None:
        """The first step that cannot complete. Adds the quiescent moments before to `starts`."""
        steps, count = self._steps, len(self._steps)
        events = [(step.invoked, place) for place, step in enumerate(steps)]
        ends = [(step.completed, place) for place, step in enumerate(steps, count)]
        # An invocation's place is lower than any completion's: equal times are concurrent.
        for now, place in sorted(events + [end for end in ends if end[0] != math.inf]):
            if place < count:
                self._invoke(steps[place])
                continue
            self._complete(steps[place - count])
            if not self._configs:
                return steps[place - count]
            if starts is not None and not self._open:
                able = reduce(or_, (config[2] for config in self._configs))
                lasting = [step for _, bit, step in self._expiries if bit & able]
                starts.append((now, tuple({config[0]: 0 for config in self._configs}), lasting))
        return None

    def _invoke(self, step: _Step) -> None:
        kind, lasting = step.kind, step.completed == math.inf
        expires = self._demand.of_effect(step) if lasting else math.inf
        if expires < step.invoked:
            return
        if not self._free_bits:
            self._free_bits.append(1 << self._width_bits)
            self._width_bits += 1
        bit = step.bit = self._free_bits.pop()
        is_write = kind is _WRITE
        value = step.makes if is_write else step.needs
        insort(self._by_value[kind].setdefault(value, []), step, key=_by_completion)
        if lasting:
            heapq.heappush(self._expiries, (expires, bit, step))
            self._configs = [(held, owed, able | bit) for held, owed, able in self._configs]
            return
        self._open |= bit
        self._open_writes |= bit if is_write else 0
        may_be_satisfied, more_able = is_write or kind is _READ, 0 if kind is _READ else bit
        self._configs = [
            (held, owed if may_be_satisfied and held == value else owed | bit, able | more_able)
            for held, owed, able in self._configs
        ]

    def _close(self, step: _Step) -> None:
        """The step is in no configuration any more."""
        by_value = self._by_value[step.kind]
        value = step.makes if step.kind is _WRITE else step.needs
        by_value[value].remove(step)
        if not by_value[value]:
            del by_value[value]
        self._free_bits.append(step.bit)
        self._open &= ~step.bit
        self._open_writes &= ~step.bit

    def _complete(self, step: _Step) -> None:
        """Keep the configurations in which the step has taken effect by now, in every way."""
        bit, now = step.bit, step.completed
        self._budget.spend()
        while self._expiries and self._expiries[0][0] < now:
            _, expired, lasting = heapq.heappop(self._expiries)
            self._configs = [(value, owed, able & ~expired) for value, owed, able in self._configs]
            self._close(lasting)
        found: list[_Config] = []
        seen: set[_Config] = set()
        for config in self._configs:
            value, owed, able = config
            if not owed & bit:
                found.append((value, owed, able & ~bit))
                # Optional. It may be seen, if anybody asks for what it makes.
                if not able & bit or self._demand.of_effect(step) < now:
                    continue
            if self._is_next(step, value, owed):
                found.append(self._after(config, step))
            elif config not in seen:
                seen.add(config)
                self._search(config, step, seen, found)
        self._close(step)
        self._configs = found if len(found) < 2 else self._undominated(found, now)

    def _is_next(self, step: _Step, value: bytes | None, owed: int) -> bool:
        """Whether it can take effect at once, and nothing can be gained by anyone going first."""
        if step.kind is _CAS:
            return owed == step.bit and value == step.needs
        is_blind = step.kind is _WRITE or (step.kind is _DELETE and value is not None)
        return is_blind and not owed & ~(step.bit | self._open_writes)

    def _after(self, config: _Config, step: _Step) -> _Config:
        """The configuration once a step that changes the value has taken effect."""
        _, owed, able = config
        owed &= ~step.bit
        if step.kind is not _CAS:
            # Any open write may have come just before, and nobody could tell.
            owed &= ~self._open_writes
        if owed:
            for kind in (_READ, _WRITE):
                for satisfied in self._by_value[kind].get(step.makes, ()):
                    owed &= ~satisfied.bit
        return step.makes, owed, able & ~step.bit

    def _search(
        self, start: _Config, target: _Step, seen: set[_Config], found: list[_Config]
    ) -> None:
        """Add to `found` what is left by every useful way to let the target take effect."""
        stack = [start]
        while stack:
            config = stack.pop()
            self._budget.spend(len(seen) + len(found) + len(self._configs), self._width_bits)
            for step in self._movers(config, target):
                after = self._after(config, step)
                if step is target or (target.kind is _READ and not after[1] & target.bit):
                    found.append(after)
                elif after not in seen:
                    seen.add(after)
                    stack.append(after)

    def _movers(self, config: _Config, target: _Step) -> Iterator[_Step]:
        """The steps that may usefully be the next to change the value, the target among them."""
        value, owed, able = config
        is_delete = target.kind is _DELETE and value is not None
        if target.bit & able and (is_delete or target.kind is _WRITE):
            yield target
        swaps, deletes = self._by_value[_CAS], self._by_value[_DELETE]
        wanted = {one for one, reads in self._by_value[_READ].items() if _first(reads, owed)}
        wanted |= {one for one, waiting in swaps.items() if _first(waiting, able)}
        for swap in swaps.get(value, ()):
            if swap.bit & able and (swap.bit & owed or swap.makes in wanted):
                yield swap
        delete = _first(deletes.get(None, ()), able)
        if delete is not None and value is None and delete.bit & owed:
            yield from self._writes_for_a_delete(able, target.completed)
        elif delete is not None and value is not None and (delete.bit & owed or None in wanted):
            yield delete
        if not owed & self._open_writes:
            wanted.discard(value)  # otherwise, writing it once more lets others have come before
        for needed in wanted:
            write = _first(self._by_value[_WRITE].get(needed, ()), able)
            if write is not None:
                yield write

    def _writes_for_a_delete(self, able: int, now: float) -> Iterator[_Step]:
        """The writes by which a delete may find something, in the order of their completion.

        Once there is one whose value nobody asks for, whatever expires later is left for later.
        """
        firsts = (_first(same, able) for same in self._by_value[_WRITE].values())
        writes = [write for write in firsts if write is not None]
        writes.sort(key=lambda one: (one.completed, self._demand[one.makes] >= now))
        for write in writes:
            yield write
            if self._demand[write.makes] < now:
                return

    def _undominated(self, configs: list[_Config], now: float) -> list[_Config]:
        """Without those that another one can stand in for."""
        idle = {held for held, _, _ in configs if self._demand[held] < now}
        # Whoever dominates comes first.
        order = sorted(
            set(configs),
            key=lambda config: (config[1].bit_count(), -config[2].bit_count(), config[0] in idle),
        )
        kept: list[_Config] = []
        for config in order:
            self._budget.spend(len(kept), self._width_bits)
            value, owed, able = config
            for other, less_owed, more_able in islice(kept, 64):  # all would be quadratic
                if less_owed & ~owed or able & ~more_able:
                    continue
                if other == value or (value in idle and other is not None):
                    break
            else:
                kept.append(config)
        return kept


def _first(steps: Iterable[_Step], able: int) -> _Step | None:
    """Of steps that do the same, the first that is able: the others can do it for longer."""
    return next((step for step in steps if step.bit & able), None)


class _Window:
    """Steps of one key that no order explains from any value of `initial`.

    It begins as everything until the failure, and gets smaller by changes that keep two things
    true: it still fails, and if all of the history had an explanation, so would it.
    """

    def __init__(self, steps: Iterable[_Step], failed: float, budget: _Budget) -> None:
        self.initial: _Values = (None,)
        self._budget = budget
        self._keep(steps, failed)

    def minimise(self) -> None:
        """Make it small. Raises _Exhausted, and is then as small as it got."""
        self._begin_later()
        size, before = len(self.steps), 0
        while size > 1 or before != len(self.steps):
            size, before = (size + 1) // 2, len(self.steps)
            at = 0
            while at < len(self.steps):
                steps = _without(self.steps, at, size)
                if len(steps) == len(self.steps) or not self._replace(steps, self.initial):
                    at += size

    def _keep(self, steps: Iterable[_Step], failed: float) -> None:
        """Keep what was invoked by the failure. What was open then had not been answered."""
        self.steps = [
            step
            for step in steps
            if step.invoked <= failed and (step.kind is not _READ or step.completed <= failed)
        ]
        for step in self.steps:
            if step.completed > failed:
                step.completed = math.inf

    def _begin_later(self) -> None:
        """Begin at a late quiescent moment: twice as far back each time that is not enough."""
        starts: deque[_Start] = deque(maxlen=64)
        _Sweep(self.steps, self.initial, self._budget).run(starts)
        for back in (1, 2, 4, 8, 16, 32, 64):
            if back <= len(starts):
                start, values, able = starts[-back]
                if self._replace(able + [s for s in self.steps if s.invoked > start], values):
                    return

    def _replace(self, steps: list[_Step], initial: _Values) -> bool:
        """Take these instead, if they fail as well."""
        failed = _Sweep(steps, initial, self._budget).run()
        if failed is not None:
            self.initial = initial
            self._keep(steps, failed.completed)
        return failed is not None


def _without(steps: list[_Step], at: int, size: int) -> list[_Step]:
    """Without some of the `size` steps from `at` on: those that explain nothing about the others.

    From an order that explains all steps, whoever only looks can be taken away. So can a write or
    swap whose value none of the rest asks for (but a delete may need what a write leaves to be
    deleted), and a delete if none of the rest needs the key to be absent: until the next write
    nobody notices.
    """
    leaving = {step for step in steps[at : at + size] if step.kind is _READ}
    doubtful = [step for step in steps[at : at + size] if step.kind is not _READ]
    before = -1
    while len(leaving) != before:
        before = len(leaving)
        left = [step for step in steps if step not in leaving]
        wanted = {step.needs for step in left if step.kind in (_READ, _CAS)}
        deletes = any(step.kind is _DELETE and step.completed != math.inf for step in left)
        for step in doubtful:
            if step.makes not in wanted and not (step.kind is _WRITE and deletes):
                leaving.add(step)
    return left


def _invalid(key: bytes, history: list[Operation], failed: float, budget: _Budget) -> Verdict:
    window = _Window(_steps(history), failed, budget)
    note = ""
    try:
        window.minimise()
    except _Exhausted:
        note = " (there was no time to leave out more)"
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
        _READ: "read",
        _WRITE: f"write {_shown(one.value)}",
        _CAS: f"CAS {_shown(one.expected)} to {_shown(one.value)}",
        _DELETE: "delete",
    }[one.kind]
    if one.completed_s is None:
        return f"{one.invoked_s:.6f} s ..  client {one.client}: {asked}: no answer"
    saw = f"saw {_shown(one.observed)}"
    told = saw if one.kind is _READ else "ok" if one.ok else f"refused, {saw}"
    when = f"{one.invoked_s:.6f} s .. {one.completed_s:.6f} s"
    return f"{when}  client {one.client}: {asked}: {told}"


def _shown(value: bytes | None) -> str:
    return "absent" if value is None else f'"{shown(value)}"'
