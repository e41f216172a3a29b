"""The operations of one key, by what they need and what they make of its value; who asks for what.

What is asked for of each value, and until when, decides what may be forgotten and what must be kept
(`sweep.py`).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import attrgetter

import msgspec

from launcher.checking.history import CAS, DELETE, READ, WRITE, Kind, Operation


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


by_completion = attrgetter("completed")


def steps(operations: Iterable[Operation]) -> Iterator[Step]:
    """Without those that constrain nothing."""
    for one in operations:
        kind, invoked = one.kind, one.invoked_s
        completed = math.inf if one.completed_s is None else one.completed_s
        if not invoked <= completed:
            raise ValueError(f"completes before it is invoked: {one}")
        lasting = completed == math.inf
        if kind is READ:
            if not lasting:
                yield Step(one, READ, invoked, completed, one.observed)
        elif kind is WRITE:
            if one.value is None or not (one.ok or lasting):
                raise ValueError(f"a write has a value and is not refused: {one}")
            yield Step(one, WRITE, invoked, completed, None, one.value)
        elif not (one.ok or lasting):
            # A refused DELETE saw that there is nothing; no CAS is refused by what it expects.
            seen = one.observed if kind is CAS else None
            absurd = kind is CAS and seen == one.expected
            yield Step(one, READ, invoked, completed, _Impossible() if absurd else seen)
        elif kind is DELETE:
            yield Step(one, DELETE, invoked, completed)
        elif one.value is None or one.expected is None:
            raise ValueError(f"a CAS has two values: {one}")
        elif one.value != one.expected:
            yield Step(one, CAS, invoked, completed, one.expected, one.value)
        elif not lasting:
            yield Step(one, READ, invoked, completed, one.expected)


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
            if kind is CAS and completed == math.inf:
                swaps.setdefault(step.makes, []).append(step.needs)
            elif kind is READ or kind is CAS:
                self[step.needs] = max(completed, self[step.needs])
            elif kind is DELETE and completed != math.inf:
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
        return max(last, self.last_delete) if step.kind is WRITE else last

    def is_blank(self, step: Step) -> bool:
        """Whether it is a write, indeterminate, and nobody asks for what it makes. It can stand in
        for any write whose value will not be seen: so that a delete finds something, say."""
        lasting = step.completed == math.inf
        return step.kind is WRITE and lasting and self[step.makes] < step.invoked


class Prospects:
    """What is yet to come of a key: who needs and makes its values, and deletes."""

    def __init__(self, steps: Iterable[Step], demand: Demand) -> None:
        self._needed: dict[bytes | None, float] = {}
        self._asked: dict[bytes | None, float] = {}
        self._made: dict[bytes | None, float] = {}
        self._reserve: list[tuple[float, int]] = []
        reserve = 0
        for step in sorted(steps, key=attrgetter("invoked"), reverse=True):
            kind, invoked, lasting = step.kind, step.invoked, step.completed == math.inf
            if kind is READ or kind is CAS:
                self._asked.setdefault(step.needs, invoked)
                if not lasting:
                    self._needed.setdefault(step.needs, invoked)
            if kind is not READ:
                self._made.setdefault(step.makes, invoked)
            if kind is DELETE:
                reserve += 1
            elif demand.is_blank(step):
                reserve = max(0, reserve - 1)
            self._reserve.append((-invoked, reserve))

    def must_be_there(self, value: bytes | None, now: float) -> bool:
        """Whether one who must find it is yet to be invoked, and nobody is who makes it."""
        return self._needed.get(value, now) > now >= self._made.get(value, now)

    def all_asked(self, value: bytes | None, now: float) -> bool:
        """Whether all who ask for it are invoked by now."""
        return self._asked.get(value, now) <= now

    def reserve(self, now: float) -> int:
        """How many blanks there must be now, so that each delete yet to be invoked has its own."""
        place = bisect_left(self._reserve, (-now, 0))  # the first that is invoked by now
        return self._reserve[place - 1][1] if place else 0
