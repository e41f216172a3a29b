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
- A value that no one asks for who completes later, or only reads that are open and have seen it,
  is no better than any other, unless that is None. An indeterminate operation whose effect no one
  will ask for is forgotten.
- Same value, no more owed and no less able: the other configuration is dropped. A write need not be
  able if its value has been seen by all who will, and there are others, whose values no one will
  see, for every delete that may have to find something.
- With *foresight*: a value that somebody must find who is yet to be invoked is not left, or given
  up, when nothing makes it again. A history that fails does so sooner then, for what comes later.

Time, or steps, and memory (configurations held at once) are bounded (`budget.py`).
Nothing recurses.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections import defaultdict, deque
from collections.abc import Iterator
from functools import reduce
from itertools import islice
from operator import and_, itemgetter, or_
from typing import TypeAlias

import msgspec

from launcher.checking.budget import Budget
from launcher.checking.history import CAS, DELETE, READ, WRITE, Kind
from launcher.checking.steps import (
    Demand,
    Prospects,
    Step,
    by_completion,
)

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
        insort(self.steps, step, key=by_completion)
        self.bits |= step.bit

    def remove(self, step: Step) -> None:
        self.steps.remove(step)
        self.bits &= ~step.bit

    def first(self, able: int) -> Step | None:
        """The first that is able: the others can do it for longer."""
        if self.bits & able:
            for step in self.steps:
                if step.bit & able:
                    return step
        return None


_NONE_ALIKE = _Alike()


class Sweep:
    """The configurations of one key, as time goes by.

    Invariants: bits are held by open and by indeterminate steps alone, each its own. Who is owed is
    open, is not satisfied by the value, and is able, unless it only looks. A CAS or a DELETE that
    is open and able is owed. No configuration can stand in for another, as far as we look.
    """

    def __init__(
        self, steps: list[Step], initial: Values, budget: Budget, *, foresight: bool = False
    ) -> None:
        self._steps = steps
        self._budget = budget
        self._demand = Demand(steps)
        self._prospects = Prospects(steps, self._demand)
        self._foresight = foresight
        self._now = -math.inf
        self._configs: list[Config] = [(value, 0, 0) for value in initial]
        self._free_bits: list[int] = []
        self._width_bits = 0
        self._open = self._open_writes = self._blanks = 0
        # Open and indeterminate steps by completion: writes by what they make, others by `needs`.
        self._by_value: dict[Kind, dict[bytes | None, _Alike]] = {kind: {} for kind in Kind}
        # The bits of those that make each value.
        self._makers: defaultdict[bytes | None, int] = defaultdict(int)
        # The indeterminate ones: a heap by when their effect is no longer asked for.
        self._expiries: list[tuple[float, int, Step]] = []
        # The writes by completion, with whether anybody asks for what they make: until the next one
        # completes, and not before it is needed.
        self._by_end: list[tuple[float, bool, Step]] | None = None

    def run(self, starts: deque[Start] | None = None) -> Step | None:
        """The first step that cannot complete; with foresight, or by which that is certain for a
        later one. Adds the quiescent moments before to `starts`.
        """
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
        is_write = kind is WRITE
        value = step.makes if is_write else step.needs
        self._by_value[kind].setdefault(value, _Alike()).add(step)
        if kind is not READ:
            self._makers[step.makes] |= bit
        if lasting:
            heapq.heappush(self._expiries, (expires, bit, step))
            if self._demand.is_blank(step):
                self._blanks |= bit
            self._configs = [(held, owed, able | bit) for held, owed, able in self._configs]
            return
        self._open |= bit
        self._open_writes |= bit if is_write else 0
        may_be_satisfied, more_able = is_write or kind is READ, 0 if kind is READ else bit
        self._configs = [
            (held, owed if may_be_satisfied and held == value else owed | bit, able | more_able)
            for held, owed, able in self._configs
        ]

    def _close(self, step: Step) -> None:
        """The step is in no configuration any more."""
        by_value = self._by_value[step.kind]
        value = step.makes if step.kind is WRITE else step.needs
        by_value[value].remove(step)
        if not by_value[value].bits:
            del by_value[value]
        if step.kind is not READ:
            self._makers[step.makes] &= ~step.bit
        self._free_bits.append(step.bit)
        self._blanks &= ~step.bit
        self._open &= ~step.bit
        self._open_writes &= ~step.bit

    def _complete(self, step: Step) -> None:
        """Keep the configurations in which the step has taken effect by now, in every way."""
        bit, now = step.bit, step.completed
        self._now, self._by_end = now, None
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
                unseen = (value, owed, able & ~bit)
                if not able & bit or not self._misses(step.makes, unseen):
                    found.append(unseen)
                # Optional. It may be seen, if anybody asks for what it makes.
                if not able & bit or self._demand.of_effect(step) < now:
                    continue
            if self._is_next(step, value, owed):
                after = self._after(config, step)
                if not self._misses(value, after):
                    found.append(after)
            elif config not in seen:
                seen.add(config)
                self._search(config, step, seen, found)
        self._close(step)
        self._configs = found if len(found) < 2 else self._undominated(found)

    def _is_next(self, step: Step, value: bytes | None, owed: int) -> bool:
        """Whether it can take effect at once, and nothing can be gained by anyone going first."""
        if step.kind is CAS:
            return owed == step.bit and value == step.needs
        is_blind = step.kind is WRITE or (step.kind is DELETE and value is not None)
        return is_blind and not owed & ~(step.bit | self._open_writes)

    def _misses(self, value: bytes | None, config: Config) -> bool:
        """Whether the value, if it is another, will be missed by someone who is yet to come."""
        held, _, able = config
        if (
            not self._foresight
            or held == value
            or not self._prospects.must_be_there(value, self._now)
        ):
            return False
        return not able & self._makers.get(value, 0)

    def _after(self, config: Config, step: Step) -> Config:
        """The configuration once a step that changes the value has taken effect."""
        _, owed, able = config
        owed &= ~step.bit
        if step.kind is not CAS:
            # Any open write may have come just before, and nobody could tell.
            owed &= ~self._open_writes
        if owed:
            for kind in (READ, WRITE):
                owed &= ~self._by_value[kind].get(step.makes, _NONE_ALIKE).bits
        return step.makes, owed, able & ~step.bit

    def _search(self, start: Config, target: Step, seen: set[Config], found: list[Config]) -> None:
        """Add to `found` what is left by every useful way to let the target take effect."""
        stack = [start]
        while stack:
            config = stack.pop()
            self._budget.spend(len(seen) + len(found) + len(self._configs), self._width_bits)
            value = config[0]
            # Whoever is next leaves the same value.
            must_be_there = self._foresight and self._prospects.must_be_there(value, self._now)
            for step in self._movers(config, target):
                after = self._after(config, step)
                if must_be_there and self._misses(value, after):
                    continue
                if step is target or (target.kind is READ and not after[1] & target.bit):
                    found.append(after)
                elif after not in seen:
                    seen.add(after)
                    stack.append(after)

    def _movers(self, config: Config, target: Step) -> Iterator[Step]:
        """The steps that may usefully be the next to change the value, the target among them."""
        value, owed, able = config
        is_delete = target.kind is DELETE and value is not None
        if target.bit & able and (is_delete or target.kind is WRITE):
            yield target
        swaps, deletes = self._by_value[CAS], self._by_value[DELETE]
        # A dict, for its order: that of a set is another in each process, and so is what it costs.
        reads = self._by_value[READ].items()
        wanted = {one: None for one, waiting in reads if waiting.bits & owed}
        for one, waiting in swaps.items():
            if waiting.bits & able:
                wanted[one] = None
        for swap in swaps.get(value, _NONE_ALIKE).steps:
            if swap.bit & able and (swap.bit & owed or swap.makes in wanted):
                yield swap
        delete = deletes.get(None, _NONE_ALIKE).first(able)
        if delete is not None and value is None and delete.bit & owed:
            yield from self._writes_for_a_delete(able)
        elif delete is not None and value is not None and (delete.bit & owed or None in wanted):
            yield delete
        if not owed & self._open_writes:
            wanted.pop(value, None)  # otherwise, writing it once more lets others have come before
        for needed in wanted:
            write = self._by_value[WRITE].get(needed, _NONE_ALIKE).first(able)
            if write is not None:
                yield write

    def _writes_for_a_delete(self, able: int) -> Iterator[Step]:
        """The writes by which a delete may find something, in the order of their completion.

        Once there is one whose value nobody asks for, whatever expires later is left for later.
        """
        if self._by_end is None:
            writes = [one for alike in self._by_value[WRITE].values() for one in alike.steps]
            self._by_end = [
                (one.completed, self._demand[one.makes] >= self._now, one) for one in writes
            ]
            self._by_end.sort(key=itemgetter(0, 1))
        tried: set[bytes | None] = set()
        for _, is_asked_for, write in self._by_end:
            if not write.bit & able or write.makes in tried:
                continue
            tried.add(write.makes)
            if not self._misses(write.makes, (None, 0, able & ~write.bit)):
                yield write
                if not is_asked_for:
                    return

    def _undominated(self, configs: list[Config]) -> list[Config]:
        """Without those that another one can stand in for."""
        idle = {
            held
            for held in {config[0] for config in configs}
            if self._demand[held] < self._now or self._is_over(held)
        }
        spent = self._spent(configs)
        all_spent = reduce(or_, (writes for writes, _ in spent), 0)
        # Whoever dominates comes first.
        order = sorted(
            dict.fromkeys(configs),
            key=lambda config: (config[1].bit_count(), -config[2].bit_count(), config[0] in idle),
        )
        kept: list[Config] = []
        for config in order:
            self._budget.spend(len(kept), self._width_bits)
            value, owed, able = config
            for other, less_owed, more_able in islice(kept, 512):  # all would be quadratic
                if less_owed & ~owed or (other != value and (other is None or value not in idle)):
                    continue
                lacks = able & ~more_able
                if not lacks & ~all_spent and not any(
                    lacks & writes and less_owed & reads for writes, reads in spent
                ):
                    break
            else:
                kept.append(config)
        return kept

    def _spent(self, configs: list[Config]) -> list[tuple[int, int]]:
        """Writes of a value that need not be able where none of these reads of it are owed: nobody
        else will ask for it, and there are blanks enough for whatever else they are good for."""
        in_all = reduce(and_, [able for _, _, able in configs])
        told_apart = reduce(or_, [able for _, _, able in configs]) & ~in_all
        if not told_apart:
            return []
        deletes = self._by_value[DELETE].get(None, _NONE_ALIKE).bits
        others = (deletes | self._open_writes).bit_count()
        if (in_all & self._blanks).bit_count() < others + self._prospects.reserve(self._now):
            return []
        reads = self._by_value[READ]
        return [
            (writes.bits, reads.get(value, _NONE_ALIKE).bits)
            for value, writes in self._by_value[WRITE].items()
            if writes.bits & told_apart and self._is_over(value)
        ]

    def _is_over(self, value: bytes | None) -> bool:
        """Whether nobody asks for the value but reads that are open."""
        return value not in self._by_value[CAS] and self._prospects.all_asked(value, self._now)
