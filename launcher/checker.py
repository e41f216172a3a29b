"""Was it linearizable? An exact answer for histories of registers, or an honest "unknown".

A history is linearizable if every operation can be given one moment between its invocation and its
completion at which it took effect, so that all that was observed makes sense (Herlihy and Wing
1990). The question is NP-complete; Wing and Gong (1993) search for an order, Lowe ("Testing for
linearizability", 2017) remembers the states that the search has been in, and Horn and Kroening
("Faster linearizability checking via P-compositionality", 2015) ask for each key by itself.

We take Lowe's *just-in-time* form of the search. A sweep goes over the invocations and completions
of one key in the order of time, with the set of all *configurations* that can explain what has
been seen so far. When an operation completes that has not yet taken effect, it must take effect
now, perhaps after some others that are open: no operation takes effect sooner than somebody's
completion makes it. If no configuration is left, the history is not linearizable. So memory holds
one moment's possibilities and never the past.

A configuration is a value of the key and two sets of operations, which are bits of integers:

    owed   open, and must still take effect before they complete
    able   writes, deletes and swaps (CAS) that can still take effect. Those that are able and not
           owed are *optional*: they may as well never be seen

An indeterminate operation is optional for ever. That there may be hundreds of those is why most of
what follows is there: each rule leaves out configurations that another one can stand in for, which
is able to do whatever they can. None of them guesses.

- Whoever only looks (a read, a refusal) takes effect as soon as the value is what it saw.
- A write that is open when another write, or a delete that found something, takes effect becomes
  optional: it may have come just before, unseen. So does a write of the value that is there.
- Out of turn, nothing takes effect but what somebody open waits for: a write or swap whose value
  is wanted, a write where a delete needs something to delete. Deletes and swaps that are owed may
  always: they need not find again what they need.
- Among writes of one value, the first to expire goes first.
- A value that no one who completes later asks for is as good as any other; a value asked for is
  better. An indeterminate operation whose effect no one will ask for is forgotten.
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
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import TypeAlias

import msgspec

from node.machines.protocol import shown

MAX_STATES = 500_000
"""So many configurations at once take some 200 MB."""

EASY_STATES = 2_000
"""Every key is first tried with so few: one hard key must not hide another's easy failure."""

MAX_RIVALS = 64
"""With so many configurations is a new one compared, to see whether it can be dropped."""

MAX_CHECKPOINTS = 64
"""So many quiescent moments before a failure are tried as the beginning of its window."""

TICKS = 256
"""The clock is read once for so many steps of the search."""

WIDE_BITS = 2_048
"""For each so many bits that configurations are wide, half as many of them may be held."""


class Kind(enum.Enum):
    """What a client asked for."""

    READ = "read"
    WRITE = "write"
    CAS = "cas"
    DELETE = "delete"


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
        if operation.key in by_key:
            by_key[operation.key].append(operation)
        else:
            by_key[operation.key] = [operation]

    deadline = clock() + timeout_s
    undecided: Sequence[bytes] = list(by_key)
    reason = ""
    for states in sorted({min(EASY_STATES, max_states), max_states}):
        hard: dict[bytes, str] = {}
        for key in undecided:
            try:
                budget = _Budget(states, clock, deadline)
                failed = _first_failure(by_key[key], budget)
            except _Exhausted as exhausted:
                hard[key] = f"{_shown(key)}: {exhausted}"
                continue
            if failed is not None:
                budget = _Budget(max_states, clock, deadline)
                return _invalid(key, by_key[key], failed, budget)
        if not hard:
            return Verdict(Validity.VALID)
        undecided, reason = list(hard), next(iter(hard.values()))
    return Verdict(Validity.UNKNOWN, undecided[0], reason=reason)


# -- bounds --------------------------------------------------------------------------------------


class _Exhausted(Exception):
    """The search has reached one of its bounds; says which."""


class _Budget:
    """What a search may still use. Both methods raise _Exhausted."""

    def __init__(self, max_states: int, clock: Callable[[], float], deadline: float) -> None:
        self._max_states = max_states
        self._clock = clock
        self._deadline = deadline
        self._ticks = 1

    def tick(self) -> None:
        """One step of the search."""
        self._ticks -= 1
        if not self._ticks:
            self._ticks = TICKS
            if self._clock() > self._deadline:
                raise _Exhausted("not decided in the time given")

    def hold(self, states: int, width_bits: int) -> None:
        """So many configurations are held at once."""
        if states * (1 + width_bits // WIDE_BITS) > self._max_states:
            raise _Exhausted(f"more possible states than may be held at once ({self._max_states})")


# -- operations as the search sees them ----------------------------------------------------------


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


def _steps(operations: Iterable[Operation], until: float = math.inf) -> Iterator[_Step]:
    """Without those that constrain nothing. What completes after `until` is indeterminate."""
    for one in operations:
        kind, invoked = one.kind, one.invoked_s
        completed = math.inf if one.completed_s is None else one.completed_s
        if not invoked <= completed:
            raise ValueError(f"completes before it is invoked: {one}")
        lasting = one.completed_s is None or completed > until
        if lasting:
            completed = math.inf
        if kind is _READ:
            if not lasting:
                yield _Step(one, _READ, invoked, completed, one.observed)
        elif kind is _WRITE:
            if one.value is None or not (one.ok or lasting):
                raise ValueError(f"a write has a value and is not refused: {one}")
            yield _Step(one, _WRITE, invoked, completed, None, one.value)
        elif not (one.ok or lasting):
            # A refused DELETE has seen that there is nothing.
            yield _Step(one, _READ, invoked, completed, one.observed if kind is _CAS else None)
        elif kind is _DELETE:
            yield _Step(one, _DELETE, invoked, completed)
        elif one.value is None or one.expected is None:
            raise ValueError(f"a CAS has two values: {one}")
        elif one.value != one.expected:
            yield _Step(one, _CAS, invoked, completed, one.expected, one.value)
        elif not lasting:
            yield _Step(one, _READ, invoked, completed, one.expected)


def _is_absurd(one: Operation) -> bool:
    """Whether it contradicts itself: a CAS that was refused although it saw what it expected."""
    refused = one.completed_s is not None and not one.ok
    return refused and one.kind is _CAS and one.observed == one.expected


class _Demand:
    """Until when each value is asked for.

    A completed operation asks for what it needs until it completes. An indeterminate CAS asks for
    what it needs as long as somebody asks for what it makes.
    """

    def __init__(self, steps: Iterable[_Step]) -> None:
        self.last_delete = -math.inf
        until: dict[bytes | None, float] = {}
        swaps: dict[bytes | None, list[bytes | None]] = {}
        for step in steps:
            kind, completed = step.kind, step.completed
            if kind is _CAS and completed == math.inf:
                swaps.setdefault(step.makes, []).append(step.needs)
            elif kind is _READ or kind is _CAS:
                until[step.needs] = max(completed, until.get(step.needs, completed))
            elif kind is _DELETE and completed != math.inf:
                self.last_delete = max(self.last_delete, completed)
        # From the longest demand down, so that each value is settled when it is first reached.
        for made in sorted(swaps, key=lambda value: -until.get(value, -math.inf)):
            longest, reached = until.get(made, -math.inf), [made]
            while reached:
                for needed in swaps.pop(reached.pop(), ()):
                    if until.get(needed, -math.inf) < longest:
                        until[needed] = longest
                        reached.append(needed)
        self._until = until

    def of(self, value: bytes | None) -> float:
        """The last moment at which somebody may ask for it."""
        return self._until.get(value, -math.inf)

    def of_effect(self, step: _Step) -> float:
        """The last moment at which somebody may ask for what the step makes."""
        last = self.of(step.makes)
        return max(last, self.last_delete) if step.kind is _WRITE else last


# -- the sweep -----------------------------------------------------------------------------------

_Config: TypeAlias = tuple[bytes | None, int, int]
"""The value; the bits of the steps that are owed; the bits of those that are able."""

_Start: TypeAlias = tuple[float, tuple[bytes | None, ...], list[_Step]]
"""A quiescent moment: when, the possible values, the indeterminate steps that are still able."""


class _Sweep:
    """The configurations of one key, as time goes by.

    Invariants: bits are held by open and by indeterminate steps alone, each its own. Who is owed is
    open, is not satisfied by the value, and is able, unless it only looks. A CAS or a DELETE that
    is open and able is owed. No configuration can stand in for all of another (as far as
    `MAX_RIVALS` lets us look).
    """

    def __init__(
        self, steps: Sequence[_Step], initial: Collection[bytes | None], budget: _Budget
    ) -> None:
        self._steps = steps
        self._budget = budget
        self._demand = _Demand(steps)
        self._configs: list[_Config] = [(value, 0, 0) for value in initial]
        self._free_bits: list[int] = []
        self._width_bits = 0
        self._open = self._open_reads = self._open_writes = 0
        self._satisfied_by: dict[bytes | None, int] = {}
        """Bits of the open reads of a value, and of the open writes of it."""
        # Whoever may change the value, indeterminate or not, in the order of completion.
        self._writes: dict[bytes | None, list[_Step]] = {}  # by what they make
        self._swaps: dict[bytes | None, list[_Step]] = {}  # by what they need
        self._deletes: dict[bytes | None, list[_Step]] = {}  # all at None
        self._expiries: list[tuple[float, int, _Step]] = []
        """The indeterminate ones: a heap by when their effect is no longer asked for."""

    def run(self, starts: deque[_Start] | None = None) -> _Step | None:
        """The first step that cannot complete. Adds the quiescent moments before to `starts`."""
        steps, count = self._steps, len(self._steps)
        events = [(step.invoked, place) for place, step in enumerate(steps)]
        ends = [(step.completed, place) for place, step in enumerate(steps, count)]
        # An invocation's place is lower than any completion's: equal times are concurrent.
        events = sorted(events + [end for end in ends if end[0] != math.inf])
        for now, place in events:
            if place < count:
                self._invoke(steps[place])
                continue
            self._complete(steps[place - count])
            if not self._configs:
                return steps[place - count]
            if starts is not None and not self._open:
                able = 0
                for config in self._configs:
                    able |= config[2]
                lasting = [step for _, bit, step in self._expiries if bit & able]
                starts.append((now, tuple({config[0]: 0 for config in self._configs}), lasting))
        return None

    def _invoke(self, step: _Step) -> None:
        kind, makes, lasting = step.kind, step.makes, step.completed == math.inf
        expires = self._demand.of_effect(step) if lasting else math.inf
        if expires < step.invoked:
            return
        if self._free_bits:
            bit = self._free_bits.pop()
        else:
            bit = 1 << self._width_bits
            self._width_bits += 1
        step.bit = bit
        if kind is not _READ:
            shelf, value = self._shelf(step)
            insort(shelf.setdefault(value, []), step, key=_by_completion)
            self._configs = [(value, owed, able | bit) for value, owed, able in self._configs]
        if lasting:
            heapq.heappush(self._expiries, (expires, bit, step))
            return
        self._open |= bit
        if kind is _READ or kind is _WRITE:
            satisfying = step.needs if kind is _READ else makes
            self._satisfied_by[satisfying] = self._satisfied_by.get(satisfying, 0) | bit
            if kind is _READ:
                self._open_reads |= bit
            else:
                self._open_writes |= bit
            self._configs = [
                config if config[0] == satisfying else (config[0], config[1] | bit, config[2])
                for config in self._configs
            ]
        else:
            self._configs = [(value, owed | bit, able) for value, owed, able in self._configs]

    def _shelf(self, step: _Step) -> tuple[dict[bytes | None, list[_Step]], bytes | None]:
        """Where a step that changes the value is kept, and under which value."""
        if step.kind is _WRITE:
            return self._writes, step.makes
        return (self._swaps if step.kind is _CAS else self._deletes), step.needs

    def _close(self, step: _Step) -> None:
        """Nobody is able any more to do it. Every configuration has been told."""
        bit, kind = step.bit, step.kind
        self._free_bits.append(bit)
        if kind is not _READ:
            shelf, value = self._shelf(step)
            shelf[value].remove(step)
            if not shelf[value]:
                del shelf[value]
        if bit & self._open and (kind is _READ or kind is _WRITE):
            value = step.needs if kind is _READ else step.makes
            self._satisfied_by[value] &= ~bit
            if not self._satisfied_by[value]:
                del self._satisfied_by[value]
        self._open &= ~bit
        self._open_reads &= ~bit
        self._open_writes &= ~bit

    def _complete(self, step: _Step) -> None:
        """Keep the configurations in which the step has taken effect by now, in every way."""
        bit, now = step.bit, step.completed
        self._budget.tick()
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
                if not able & bit or not self._is_worth_doing(step, value):
                    continue
            if self._is_next(step, value, owed):
                found.append(self._after(config, step))
            elif config not in seen:
                self._search(config, step, seen, found)
        self._close(step)
        self._configs = found if len(found) < 2 else self._undominated(found, now)

    def _is_worth_doing(self, write: _Step, value: bytes | None) -> bool:
        """Whether a write that need not be seen may make a difference if it is."""
        if self._demand.of(write.makes) >= write.completed:
            return True
        may_be_absent = value is None or bool(self._deletes)
        return may_be_absent and self._demand.last_delete >= write.completed

    def _is_next(self, step: _Step, value: bytes | None, owed: int) -> bool:
        """Whether it can take effect at once, and nothing can be gained by anyone going first."""
        if step.kind is _CAS:
            return owed == step.bit and value == step.needs
        if step.kind is _READ or (step.kind is _DELETE and value is None):
            return False
        return not owed & ~(step.bit | self._open_writes)

    def _after(self, config: _Config, step: _Step) -> _Config:
        """The configuration once a step that changes the value has taken effect."""
        _, owed, able = config
        owed &= ~step.bit
        if step.kind is not _CAS:
            # Any open write may have come just before, and nobody could tell.
            owed &= ~self._open_writes
        return step.makes, owed & ~self._satisfied_by.get(step.makes, 0), able & ~step.bit

    def _search(
        self, start: _Config, target: _Step, seen: set[_Config], found: list[_Config]
    ) -> None:
        """Add to `found` what is left by every useful way to let the target take effect."""
        is_read, bit = target.kind is _READ, target.bit
        seen.add(start)
        stack = [start]
        while stack:
            config = stack.pop()
            self._budget.tick()
            self._budget.hold(len(seen) + len(found) + len(self._configs), self._width_bits)
            for step in self._movers(config, target):
                after = self._after(config, step)
                if step is target or (is_read and not after[1] & bit):
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
        owed_reads = owed & self._open_reads
        wanted = {one for one, bits in self._satisfied_by.items() if bits & owed_reads}
        for needs, swaps in self._swaps.items():
            if any(swap.bit & able for swap in swaps):
                wanted.add(needs)
        owed_or_target = owed | target.bit
        for swap in self._swaps.get(value, ()):
            if swap.bit & able and (swap.bit & owed_or_target or swap.makes in wanted):
                yield swap
        delete = self._first(self._deletes.get(None, ()), able)
        if delete is not None:
            if value is None:
                if delete.bit & owed:
                    yield from self._writes_for_a_delete(able, target.completed)
            elif delete.bit & owed or None in wanted:
                yield delete
        for one in wanted:
            if one != value and (write := self._first(self._writes.get(one, ()), able)):
                yield write

    def _first(self, steps: Iterable[_Step], able: int) -> _Step | None:
        """Of steps that do the same, the one that cannot do it for long."""
        for step in steps:
            if step.bit & able:
                return step
        return None

    def _writes_for_a_delete(self, able: int, now: float) -> Iterator[_Step]:
        """The writes by which a delete may find something, in the order of their completion.

        Once there is one whose value nobody asks for, whatever expires later is left for later.
        """
        firsts = [self._first(writes, able) for writes in self._writes.values()]
        writes = [write for write in firsts if write is not None]
        writes.sort(key=lambda write: (write.completed, self._demand.of(write.makes) >= now))
        for write in writes:
            yield write
            if self._demand.of(write.makes) < now:
                return

    def _undominated(self, configs: list[_Config], now: float) -> list[_Config]:
        """Without those that another one can stand in for."""
        idle = {
            value: value is not None and self._demand.of(value) < now
            for value in {config[0] for config in configs}
        }
        # Whoever dominates comes first.
        order = sorted(
            set(configs),
            key=lambda config: (config[1].bit_count(), -config[2].bit_count(), idle[config[0]]),
        )
        kept: list[_Config] = []
        for config in order:
            self._budget.tick()
            value, owed, able = config
            for other, less_owed, more_able in islice(kept, MAX_RIVALS):
                if less_owed & ~owed or able & ~more_able:
                    continue
                if other == value or (idle[value] and other is not None):
                    break
            else:
                kept.append(config)
        self._budget.hold(len(kept), self._width_bits)
        return kept


# -- the window ----------------------------------------------------------------------------------


class _Window:
    """Steps of one key that no order explains from any value of `initial`.

    It begins as everything until the failure, and gets smaller by changes that keep two things
    true: it still fails, and if all of the history had an explanation, so would it.
    """

    def __init__(self, operations: Iterable[Operation], until: float, budget: _Budget) -> None:
        self.initial: tuple[bytes | None, ...] = (None,)
        self._budget = budget
        self._steps: list[_Step] = []
        self._keep(_steps(operations, until), until)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """By invocation."""
        found = (step.operation for step in self._steps)
        return tuple(sorted(found, key=lambda operation: operation.invoked_s))

    def minimise(self) -> None:
        """Make it small. Raises _Exhausted, and is then as small as it got."""
        self._begin_later()
        size = len(self._steps)
        while size > 1:
            size = (size + 1) // 2
            self._thin_out(size)
        while self._thin_out(1):
            pass

    def _keep(self, steps: Iterable[_Step], until: float) -> None:
        """Keep these up to the failure at `until`: what was open then had not been answered."""
        self._steps = []
        for step in steps:
            if step.invoked <= until and (step.kind is not _READ or step.completed <= until):
                if step.completed > until:
                    step.completed = math.inf
                self._steps.append(step)

    def _begin_later(self) -> None:
        """Begin at a late quiescent moment: twice as far back each time that is not enough."""
        starts: deque[_Start] = deque(maxlen=MAX_CHECKPOINTS)
        _Sweep(self._steps, self.initial, self._budget).run(starts)
        back = 1
        while back <= len(starts):
            start, values, able = starts[-back]
            steps = able + [step for step in self._steps if step.invoked > start]
            if self._replace(steps, values):
                return
            back *= 2

    def _thin_out(self, size: int) -> bool:
        """Leave out what can be left out, so many at a time. Whether there was anything."""
        before = len(self._steps)
        at = 0
        while at < len(self._steps):
            steps = _without(self._steps, at, size)
            if len(steps) == len(self._steps) or not self._replace(steps, self.initial):
                at += size
        return len(self._steps) < before

    def _replace(self, steps: list[_Step], initial: tuple[bytes | None, ...]) -> bool:
        """Take these instead, if they fail as well."""
        failed = _Sweep(steps, initial, self._budget).run()
        if failed is None:
            return False
        self.initial = initial
        self._keep(steps, failed.completed)
        return True


def _without(steps: Sequence[_Step], at: int, size: int) -> list[_Step]:
    """Without some of the `size` steps from `at` on: those that explain nothing about the others.

    From an order that explains all steps, whoever only looks can be taken away. So can a write or
    swap whose value none of the rest asks for (but a delete may need what a write leaves to be
    deleted), and a delete if none of the rest needs the key to be absent: until the next write
    nobody notices.
    """
    leaving = {id(step) for step in steps[at : at + size] if step.kind is _READ}
    doubtful = [step for step in steps[at : at + size] if step.kind is not _READ]
    wanted = Counter(
        step.needs for step in steps if step.kind in (_READ, _CAS) and id(step) not in leaving
    )
    deletes = sum(step.kind is _DELETE and step.completed != math.inf for step in steps)
    before = -1
    while len(leaving) != before:
        before = len(leaving)
        for step in reversed(doubtful):
            if wanted[step.makes] or (step.kind is _WRITE and deletes) or id(step) in leaving:
                continue
            leaving.add(id(step))
            if step.kind is _CAS:
                wanted[step.needs] -= 1
            elif step.kind is _DELETE and step.completed != math.inf:
                deletes -= 1
    return [step for step in steps if id(step) not in leaving]


def _first_failure(operations: Sequence[Operation], budget: _Budget) -> Operation | None:
    """An operation by whose completion no explanation is left."""
    for operation in operations:
        if _is_absurd(operation):
            return operation
    failed = _Sweep(list(_steps(operations)), (None,), budget).run()
    return None if failed is None else failed.operation


def _invalid(
    key: bytes, operations: Sequence[Operation], failed: Operation, budget: _Budget
) -> Verdict:
    if _is_absurd(failed):
        reason = f"{_shown(key)}: a CAS was refused although it saw the value that it expected"
        return Verdict(Validity.INVALID, key, (failed,), (failed.observed,), reason)

    assert failed.completed_s is not None, "only a completion can leave no explanation"
    window = _Window(operations, failed.completed_s, budget)
    small = ""
    try:
        window.minimise()
    except _Exhausted:
        small = " (there was no time to leave out more)"
    left = window.operations
    many = "1 operation" if len(left) == 1 else f"{len(left)} operations"
    reason = f"{_shown(key)}: no order explains {many} of the history{small}"
    return Verdict(Validity.INVALID, key, left, window.initial, reason)


# -- for people ----------------------------------------------------------------------------------


def explain(verdict: Verdict) -> str:
    """The verdict for a terminal: a few lines, and one for each operation of the window."""
    if verdict.validity is Validity.VALID:
        return "linearizable"
    if verdict.validity is Validity.UNKNOWN:
        return f"unknown whether linearizable: {verdict.reason}"
    begin = " or ".join(_shown(value) for value in verdict.initial)
    lines = [
        f"not linearizable: {verdict.reason}",
        f"{_shown(verdict.key)} is {begin} at first; then",
    ]
    rows = [(_when(operation), _what(operation)) for operation in verdict.window]
    wide = max((len(when) for when, _ in rows), default=0)
    lines += [
        f"  {when:<{wide}}  client {operation.client}: {what}"
        for operation, (when, what) in zip(verdict.window, rows, strict=True)
    ]
    return "\n".join(lines)


def _when(operation: Operation) -> str:
    if operation.completed_s is None:
        return f"{operation.invoked_s:.6f} s .."
    return f"{operation.invoked_s:.6f} s .. {operation.completed_s:.6f} s"


def _what(operation: Operation) -> str:
    kind = operation.kind
    if kind is _READ:
        asked = "read"
    elif kind is _WRITE:
        asked = f"write {_shown(operation.value)}"
    elif kind is _CAS:
        asked = f"CAS {_shown(operation.expected)} to {_shown(operation.value)}"
    else:
        asked = "delete"
    if operation.completed_s is None:
        return f"{asked}: no answer"
    if kind is _READ:
        return f"{asked}: saw {_shown(operation.observed)}"
    if operation.ok:
        return f"{asked}: ok"
    seen = operation.observed if kind is _CAS else None
    return f"{asked}: refused, saw {_shown(seen)}"


def _shown(value: bytes | None) -> str:
    return "absent" if value is None else f'"{shown(value)}"'
