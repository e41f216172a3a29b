"""A workload played on a machine in memory: histories as a correct cluster would give them.

Each operation takes effect at one random moment between its beginning and its end, so those of
several clients overlap. Some are not answered: these take effect later, or never. A stale read is
answered by a second machine that is some entries behind.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from launcher.lab.history import Done
from launcher.lab.workloads.loading import Options, load
from launcher.lab.workloads.protocol import Operation
from node.errors import CommandError
from node.machines import registry

MILLISECOND = 1_000_000


@dataclass
class _Asked:
    process: int
    id: int
    operation: Operation
    invoked: int
    completed: int | None
    outcome: str = "info"
    result: str | None = None
    error: str = ""
    index: int | None = None


class Play:
    """One run. `history` is what its clients have seen."""

    def __init__(
        self,
        name: str,
        seed: int,
        *,
        operations: int = 300,
        lost: float = 0.05,
        bug: str = "",
    ) -> None:
        """bug: `lost` (an entry has no effect), `doubled` (an entry takes effect again, later), or
        `stale` (a linearizable read is answered by the machine that is behind)"""
        self._bug = bug
        self._rng = random.Random(seed)
        self._workload: Any = load(name, Options(keys=10 if name == "multicast" else 4, tag="t-"))
        self._machine: Any = registry.load(name)
        self._late: Any = registry.load(name)
        self._log: list[tuple[int, bytes]] = []
        self._shown = 0
        self._again: list[tuple[int, bytes]] = []
        self._now = 0
        self._lost = lost
        self._ids = itertools.count(1)
        self._numbers = itertools.count()
        self.history: list[Done] = []
        self._frame("opening")
        self._traffic(operations)
        self._frame("closing")
        self.history.sort(key=lambda one: one.invoked)

    def check(self) -> Any:
        return self._workload.check(self.history)

    def _frame(self, method: str) -> None:
        ask: Callable[[int, Done | None], Operation | None] | None
        ask = getattr(self._workload, method, None)
        last: Done | None = None
        for number in itertools.count():
            operation = ask(number, last) if ask is not None else None
            if operation is None:
                return
            asked = _Asked(0, next(self._ids), operation, self._now, self._now + 3 * MILLISECOND)
            self._now += MILLISECOND
            self._take_effect(asked)
            self._now += 9 * MILLISECOND
            last = self._done(asked)

    def _traffic(self, operations: int) -> None:
        """A queue of moments: at each something begins, takes effect or ends."""
        queue: list[tuple[int, int, Callable[[], None]]] = []

        def at(moment: int, do: Callable[[], None]) -> None:
            heapq.heappush(queue, (moment, next(self._numbers), do))

        count = itertools.count()
        last: dict[int, Done | None] = {}
        chances = {client: random.Random(f"{self._rng.random()}") for client in range(1, 5)}

        def begin(client: int, number: int) -> None:
            if next(count) >= operations:
                return
            operation = self._workload.next(client, number, chances[client], last.get(client))
            takes = self._rng.randrange(1, 20) * MILLISECOND
            answered = self._rng.random() >= self._lost
            asked = _Asked(client, next(self._ids), operation, self._now, None)
            effect = self._now + int(self._rng.random() * takes)
            if answered:
                asked.completed = self._now + takes
            elif self._rng.random() < 0.5:
                effect += self._rng.randrange(500) * MILLISECOND
            if answered or self._rng.random() < 0.7:
                at(effect, lambda: self._take_effect(asked))

            def end() -> None:
                last[client] = self._done(asked)
                at(self._now + MILLISECOND, lambda: begin(client, number + 1))

            at(self._now + takes, end)

        for client in range(1, 5):
            at(client, functools.partial(begin, client, 0))
        while queue:
            self._now, _, do = heapq.heappop(queue)
            do()

    def _take_effect(self, asked: _Asked) -> None:
        operation = asked.operation
        command = operation.command
        assert isinstance(command, str)
        struck = self._bug and self._rng.random() < 0.1
        machine = self._machine
        if hasattr(machine, "advance"):
            machine.advance(self._now // 1000)
        self._repeat()
        try:
            if operation.how == "submit":
                self._log.append((self._now // 1000, command.encode()))
                asked.index = len(self._log)
                if struck and self._bug == "lost":
                    before = list(machine.snapshot())
                    answer = machine.apply(asked.index, command.encode())
                    machine.restore(before)
                else:
                    answer = machine.apply(asked.index, command.encode())
                if struck and self._bug == "doubled":
                    self._again.append((asked.index + 8, command.encode()))
            elif operation.how == "stale" or (struck and self._bug == "stale"):
                self._catch_up()
                asked.index = self._shown
                answer = self._late.query(command.encode())
            else:
                asked.index = len(self._log)
                answer = machine.query(command.encode())
            asked.outcome, asked.result = "ok", answer.decode()
        except CommandError as error:
            asked.outcome, asked.error = "fail", str(error)

    def _repeat(self) -> None:
        """What takes effect again does so now."""
        while self._again and self._again[0][0] <= len(self._log):
            index, command = self._again.pop(0)
            try:
                self._machine.apply(index, command)
            except CommandError:
                continue

    def _catch_up(self) -> None:
        """The second machine applies some of what it lacks."""
        until = self._rng.randint(self._shown, len(self._log))
        for time_us, command in self._log[self._shown : until]:
            self._shown += 1
            if hasattr(self._late, "advance"):
                self._late.advance(time_us)
            try:
                self._late.apply(self._shown, command)
            except CommandError:
                continue

    def _done(self, asked: _Asked) -> Done:
        known = asked.completed is not None
        one = Done(
            process=asked.process,
            id=asked.id,
            f=asked.operation.f,
            value=asked.operation.value,
            outcome=msgspec.convert(asked.outcome if known else "info", Any),
            invoked=asked.invoked,
            completed=asked.completed,
            result=asked.result if known else None,
            error=asked.error if known else "",
            index=asked.index if known else None,
        )
        self.history.append(one)
        return one
