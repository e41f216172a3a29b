"""The workload `files`: names that come and go in the machine `files`, checked as a set.

Every name is added once, by one client, and that client alone deletes it, once. So a name is there
during one stretch of time at most: from a moment within its ADD to a moment within its DELETE. Each
READ, each LS and each refusal says of a name that it was there, or that it was not, at some moment
between its beginning and its end. The check looks for two moments that explain all of them.

    add, delete    of a client's own names; it keeps about `keys` of them
    read, stale    of a name of any client; the answer has the index at which it was added
    list           all names

A stale read promises little: the name was added, and the ADD had begun before the read ended.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import ClassVar

import msgspec

from launcher.lab.history import Done
from launcher.lab.workloads.mix import Mix
from launcher.lab.workloads.protocol import Judgement, Operation, invalid, valid


class FilesLoad:
    """What each client has added, and not deleted."""

    machine = "files"
    MIX: ClassVar[Mapping[str, int]] = {
        "add": 35, "delete": 25, "read": 25, "stale": 5, "list": 10,
    }  # fmt: skip

    def __init__(self, mix: Mix, keys: int, tag: str = "") -> None:
        self._mix = mix
        self._keys = keys
        self._prefix = f"{tag}f"
        self._there: dict[int, deque[str]] = {}
        self._added: dict[int, int] = {}

    def next(self, client: int, number: int, rng: random.Random, last: Done | None) -> Operation:
        """The next operation: see `Workload`."""
        there = self._there.setdefault(client, deque())
        if last is not None and last.f == "add" and last.outcome != "fail":
            there.append(last.value)
        f = self._mix.draw(rng)
        if f == "list":
            return _list()
        if f in ("read", "stale"):
            return self._read(client, rng, stale=f == "stale")
        if f == "delete" or len(there) >= 2 * self._keys:
            if there:
                name = there.popleft()
                return Operation(f="delete", command=f"DELETE {name}", value=name)
            return self._read(client, rng, stale=False)
        self._added[client] = count = self._added.get(client, 0) + 1
        name = f"{self._prefix}{client}.{count}"
        return Operation(f="add", command=f"ADD {name}", value=name)

    def closing(self, number: int, last: Done | None) -> Operation | None:
        """Lists all names once."""
        return _list() if number == 0 else None

    def check(self, history: Sequence[Done]) -> Judgement:
        """Whether each name was there during one stretch of time, and seen just then."""
        names, lists = _facts(history, self._prefix)
        for name, facts in names.items():
            broken = facts.broken(name)
            if broken is not None:
                return broken
        broken = _missing_in_lists(names, lists)
        return broken or valid("every name came once, went once, and was seen between")

    def _read(self, client: int, rng: random.Random, *, stale: bool) -> Operation:
        """A name that has probably been added lately: clients go on about equally fast."""
        count = max(1, self._added.get(client, 0) - rng.randrange(2 * self._keys + 2))
        whose = rng.choice(range(1, max(client, 4) + 1))
        name = f"{self._prefix}{whose}.{count}"
        how = "stale" if stale else "read"
        if how == "stale":
            return Operation(f="stale", how="stale", command=f"READ {name}", value=name)
        return Operation(f="read", how="read", command=f"READ {name}", value=name)


def _list() -> Operation:
    return Operation(f="list", how="read", command="LS")


class _Name(msgspec.Struct):
    """What the history says of one name: the operations that saw it there, or not there."""

    add: Done | None = None
    deletes: list[Done] = []
    present: list[Done] = []
    absent: list[Done] = []
    stale: list[Done] = []

    def broken(self, name: str) -> Judgement | None:
        """What no two moments explain."""
        add = self.add
        deleted = [one for one in self.deletes if one.outcome == "ok"]
        seen = [*self.present, *deleted, *self.stale]
        if add is None:
            return invalid(f"{name} was seen, and nobody added it", seen[:1]) if seen else None
        if add.outcome == "fail":
            said = f"{name} was added once, and was there before: an entry took effect twice"
            return invalid(said, [add])
        early = next((one for one in seen if _end(one) < add.invoked), None)
        if early is not None:
            return invalid(f"{name} was seen before anybody added it", [early, add])
        if len(deleted) > 1:
            return invalid(f"{name} was added once and deleted twice", [add, *deleted])
        if wrong := self._wrong_index(add):
            return invalid(f"{name} was added at one index and seen at another", wrong)
        if deleted and (late := self._last_seen()) and late.invoked > _end(deleted[0]):
            return invalid(f"{name} was seen after it was deleted", [add, deleted[0], late])
        low, high = self.surely_there
        lost = next((one for one in self.absent if one.invoked > low and _end(one) < high), None)
        if lost is not None:
            return invalid(f"{name} was lost", [*self._proof(), lost])
        return None

    @property
    def surely_there(self) -> tuple[float, float]:
        """After the first moment, and before the second, it must be there."""
        assert self.add is not None, "it was added"
        deleted = [one for one in self.deletes if one.outcome == "ok"]
        low = min(_end(one) for one in (self.add, *self.present, *deleted))
        perhaps = deleted or [one for one in self.deletes if one.outcome == "info"]
        if not perhaps:
            return low, math.inf
        return low, max(min(one.invoked for one in perhaps), *self._seen_at)

    def proof_of_absence(self, seen: Done, name: str) -> Judgement:
        """The judgement on a list that lacks it."""
        return invalid(f"{name} was lost: it is missing in a list", [*self._proof(), seen])

    def _proof(self) -> list[Done]:
        """Why it must have been there."""
        assert self.add is not None, "it was added"
        shown = [self.add]
        if self.add.completed is None and self.present:
            shown.append(min(self.present, key=_end))
        if self.deletes:
            late = self._last_seen()
            shown += [late] if late is not None and late not in shown else []
            shown += [one for one in self.deletes if one.outcome != "fail"][:1]
        return shown

    @property
    def _seen_at(self) -> list[float]:
        return [-math.inf, *(one.invoked for one in self.present)]

    def _last_seen(self) -> Done | None:
        return max(self.present, key=lambda one: one.invoked, default=None)

    def _wrong_index(self, add: Done) -> list[Done]:
        """Reads that saw another index than that of the ADD, or than each other."""
        known = None if add.index is None else (f"added at index {add.index}", add)
        for one in [*self.present, *self.stale]:
            if one.f == "list" or one.result is None:
                continue
            if known is None:
                known = one.result, one
            elif one.result != known[0]:
                return [known[1], one]
        return []


def _end(one: Done) -> float:
    return math.inf if one.completed is None else one.completed


def _facts(history: Sequence[Done], prefix: str) -> tuple[dict[str, _Name], list[Done]]:
    """What is said of each name, and the lists."""
    names: dict[str, _Name] = {}
    lists: list[Done] = []
    for one in history:
        if one.f == "list":
            if one.outcome == "ok":
                lists.append(one)
                for name in _listed(one, prefix):
                    names.setdefault(name, _Name()).present.append(one)
            continue
        facts = names.setdefault(one.value, _Name())
        if one.f == "add":
            facts.add = one
        elif one.f == "delete":
            facts.deletes.append(one)
            if one.outcome == "fail":
                facts.absent.append(one)
        elif one.outcome == "ok":
            (facts.stale if one.f == "stale" else facts.present).append(one)
        elif one.outcome == "fail" and one.f == "read":
            facts.absent.append(one)
    return names, lists


def _listed(one: Done, prefix: str) -> Iterator[str]:
    """The names of this run in a list; other runs may have left some."""
    for name in (one.result or "").split("\n"):
        if name.startswith(prefix):
            yield name


def _missing_in_lists(names: Mapping[str, _Name], lists: Sequence[Done]) -> Judgement | None:
    """The first list that lacks a name which must have been there.

    Lists come by their beginnings. So a name whose time is over when one begins is no matter to
    those after it, and only the names of the moment are looked at.
    """
    known = [(name, facts) for name, facts in names.items() if facts.add is not None]
    coming = sorted((*facts.surely_there, name) for name, facts in known)
    coming.reverse()
    there: list[tuple[float, str]] = []
    for one in lists:
        while coming and coming[-1][0] < one.invoked:
            _, high, name = coming.pop()
            heappush(there, (high, name))
        while there and there[0][0] < one.invoked:
            heappop(there)
        seen = set((one.result or "").split("\n"))
        end = _end(one)
        for high, name in there:
            if end < high and name not in seen:
                return names[name].proof_of_absence(one, name)
    return None
