"""The search for an order: a sweep over the operations of one key, by time.

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

Time (a deadline) and memory (configurations held at once) are bounded (`Budget`).
Nothing recurses.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import islice
from operator import attrgetter, or_
from typing import TypeAlias

import msgspec

from launcher.checking.history import Kind, Operation


class Exhausted(Exception):
    """The search has reached one of its bounds; says which."""


class Budget(msgspec.Struct):
    """What a search may still use."""

    max_states: int
    clock: Callable[[], float]
    deadline: float
    ticks: int = 1

    def spend(self, states: int = 0, width_bits: int = 0) -> None:
        """One step of the search, with so many configurations held. Raises Exhausted."""
        # 500 bytes hold a configuration of 2048 bits, and twice as many of twice as many bits.
        if states * (1 + width_bits // 2048) > self.max_states:
            raise Exhausted(f"more possible states than may be held at once ({self.max_states})")
        self.ticks -= 1
        if not self.ticks:
            self.ticks = 256  # one takes microseconds
            if self.clock() > self.deadline:
                raise Exhausted("not decided in the time given")


class Step(msgspec.Struct, eq=False):
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


def steps(operations: Iterable[Operation]) -> Iterator[Step]:
    """Without those that constrain nothing."""
    for one in operations:
        kind, invoked = one.kind, one.invoked_s
        completed = math.inf if one.completed_s is None else one.completed_s
        if not invoked <= completed:
            raise ValueError(f"completes before it is invoked: {one}")
        lasting = completed == math.inf
        if kind is _READ:
            if not lasting:
                yield Step(one, _READ, invoked, completed, one.observed)
        elif kind is _WRITE:
            if one.value is None or not (one.ok or lasting):
                raise ValueError(f"a write has a value and is not refused: {one}")
            yield Step(one, _WRITE, invoked, completed, None, one.value)
        elif not (one.ok or lasting):
            # A refused DELETE saw that there is nothing; no CAS is refused by what it expects.
            seen = one.observed if kind is _CAS else None
            absurd = kind is _CAS and seen == one.expected
            yield Step(one, _READ, invoked, completed, _Impossible() if absurd else seen)
        elif kind is _DELETE:
            yield Step(one, _DELETE, invoked, completed)
        elif one.value is None or one.expected is None:
            raise ValueError(f"a CAS has two values: {one}")
        elif one.value != one.expected:
            yield Step(one, _CAS, invoked, completed, one.expected, one.value)
        elif not lasting:
            yield Step(one, _READ, invoked, completed, one.expected)


class _Impossible(bytes):
    """A value that no key ever holds, whatever its bytes."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class Demand(dict[bytes | None, float]):
    """The last moment at which somebody may ask for each value.

    A completed operation asks for what it needs until it completes. An indeterminate CAS asks for
    what it needs as long as somebody asks for what it makes.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
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

    def of_effect(self, step: Step) -> float:
        """The last moment at which somebody may ask for what the step makes."""
        last = self[step.makes]
        return max(last, self.last_delete) if step.kind is _WRITE else last


# The value; the bits of the steps that are owed; the bits of those that are able.
Config: TypeAlias = tuple[bytes | None, int, int]
Values: TypeAlias = tuple[bytes | None, ...]
# A quiescent moment: when, the possible values, the indeterminate steps that are still able.
Start: TypeAlias = tuple[float, Values, list[Step]]


class _Alike(msgspec.Struct):
    """Steps of one kind that do the same, by completion, and the bits of all of them."""

    steps: list[Step] = []
    bits: int = 0

    def add(self, step: Step) -> None:
        insort(self.steps, step, key=_by_completion)
        self.bits |= step.bit

    def remove(self, step: Step) -> None:
        self.steps.remove(step)
        self.bits &= ~step.bit

    def first(self, able: int) -> Step | None:
        """The first that is able: the others can do it for longer."""
        if not self.bits & able:
            return None
        return next(step for step in self.steps if step.bit & able)


_NONE_ALIKE = _Alike()


class Sweep:
    """The configurations of one key, as time goes by.

    Invariants: bits are held by open and by indeterminate steps alone, each its own. Who is owed is
    open, is not satisfied by the value, and is able, unless it only looks. A CAS or a DELETE that
    is open and able is owed. No configuration can stand in for another, as far as we look.
    """

    def __init__(self, steps: list[Step], initial: Values, budget: Budget) -> None:
        self._steps = steps
        self._budget = budget
        self._demand = Demand(steps)
        self._configs: list[Config] = [(value, 0, 0) for value in initial]
        self._free_bits: list[int] = []
        self._width_bits = 0
        self._open = self._open_writes = 0
        # Open and indeterminate steps by completion: writes by what they make, others by `needs`.
        self._by_value: dict[Kind, dict[bytes | None, _Alike]] = {kind: {} for kind in Kind}
        # The indeterminate ones: a heap by when their effect is no longer asked for.
        self._expiries: list[tuple[float, int, Step]] = []

    def run(self, starts: deque[Start] | None = None) -> Step | None:
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

    def _invoke(self, step: Step) -> None:
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
        self._by_value[kind].setdefault(value, _Alike()).add(step)
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

    def _close(self, step: Step) -> None:
        """The step is in no configuration any more."""
        by_value = self._by_value[step.kind]
        value = step.makes if step.kind is _WRITE else step.needs
        by_value[value].remove(step)
        if not by_value[value].bits:
            del by_value[value]
        self._free_bits.append(step.bit)
        self._open &= ~step.bit
        self._open_writes &= ~step.bit

    def _complete(self, step: Step) -> None:
        """Keep the configurations in which the step has taken effect by now, in every way."""
        bit, now = step.bit, step.completed
        self._budget.spend()
        while self._expiries and self._expiries[0][0] < now:
            _, expired, lasting = heapq.heappop(self._expiries)
            self._configs = [(value, owed, able & ~expired) for value, owed, able in self._configs]
            self._close(lasting)
        found: list[Config] = []
        seen: set[Config] = set()
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

    def _is_next(self, step: Step, value: bytes | None, owed: int) -> bool:
        """Whether it can take effect at once, and nothing can be gained by anyone going first."""
        if step.kind is _CAS:
            return owed == step.bit and value == step.needs
        is_blind = step.kind is _WRITE or (step.kind is _DELETE and value is not None)
        return is_blind and not owed & ~(step.bit | self._open_writes)

    def _after(self, config: Config, step: Step) -> Config:
        """The configuration once a step that changes the value has taken effect."""
        _, owed, able = config
        owed &= ~step.bit
        if step.kind is not _CAS:
            # Any open write may have come just before, and nobody could tell.
            owed &= ~self._open_writes
        if owed:
            for kind in (_READ, _WRITE):
                owed &= ~self._by_value[kind].get(step.makes, _NONE_ALIKE).bits
        return step.makes, owed, able & ~step.bit

    def _search(self, start: Config, target: Step, seen: set[Config], found: list[Config]) -> None:
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

    def _movers(self, config: Config, target: Step) -> Iterator[Step]:
        """The steps that may usefully be the next to change the value, the target among them."""
        value, owed, able = config
        is_delete = target.kind is _DELETE and value is not None
        if target.bit & able and (is_delete or target.kind is _WRITE):
            yield target
        swaps, deletes = self._by_value[_CAS], self._by_value[_DELETE]
        # A dict, for its order: that of a set is another in each process, and so is what it costs.
        reads = self._by_value[_READ].items()
        wanted = dict.fromkeys(one for one, waiting in reads if waiting.bits & owed)
        wanted.update((one, None) for one, waiting in swaps.items() if waiting.bits & able)
        for swap in swaps.get(value, _NONE_ALIKE).steps:
            if swap.bit & able and (swap.bit & owed or swap.makes in wanted):
                yield swap
        delete = deletes.get(None, _NONE_ALIKE).first(able)
        if delete is not None and value is None and delete.bit & owed:
            yield from self._writes_for_a_delete(able, target.completed)
        elif delete is not None and value is not None and (delete.bit & owed or None in wanted):
            yield delete
        if not owed & self._open_writes:
            wanted.pop(value, None)  # otherwise, writing it once more lets others have come before
        for needed in wanted:
            write = self._by_value[_WRITE].get(needed, _NONE_ALIKE).first(able)
            if write is not None:
                yield write

    def _writes_for_a_delete(self, able: int, now: float) -> Iterator[Step]:
        """The writes by which a delete may find something, in the order of their completion.

        Once there is one whose value nobody asks for, whatever expires later is left for later.
        """
        firsts = (same.first(able) for same in self._by_value[_WRITE].values())
        writes = [write for write in firsts if write is not None]
        writes.sort(key=lambda one: (one.completed, self._demand[one.makes] >= now))
        for write in writes:
            yield write
            if self._demand[write.makes] < now:
                return

    def _undominated(self, configs: list[Config], now: float) -> list[Config]:
        """Without those that another one can stand in for."""
        idle = {held for held, _, _ in configs if self._demand[held] < now}
        # Whoever dominates comes first.
        order = sorted(
            dict.fromkeys(configs),
            key=lambda config: (config[1].bit_count(), -config[2].bit_count(), config[0] in idle),
        )
        kept: list[Config] = []
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
