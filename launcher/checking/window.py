"""The proof of a failure: the fewest operations of a key that no order explains."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from launcher.checking.budget import Budget
from launcher.checking.history import Kind
from launcher.checking.steps import Step
from launcher.checking.sweep import Start, Sweep, Values


class Window:
    """Steps of one key that no order explains from any value of `initial`.

    It begins as everything, and gets smaller by changes that keep two things true: it still fails,
    and if all of the history had an explanation, so would it.
    """

    def __init__(self, steps: Iterable[Step], budget: Budget) -> None:
        """steps: known to fail, from no value"""
        self.steps = list(steps)
        self.initial: Values = (None,)
        self._budget = budget

    def minimise(self) -> None:
        """Make it small. Raises Exhausted, and is then as small as it got."""
        self._replace(self.steps, self.initial)  # ends at the failure
        self._begin_later()
        size, before = len(self.steps), 0
        while size > 1 or before != len(self.steps):
            size, before = (size + 1) // 2, len(self.steps)
            at = 0
            while at < len(self.steps):
                steps = _without(self.steps, at, size)
                if len(steps) == len(self.steps) or not self._replace(steps, self.initial):
                    at += size

    def _keep(self, steps: Iterable[Step], failed: float) -> None:
        """Keep what was invoked by the failure. What was open then had not been answered."""
        self.steps = [
            step
            for step in steps
            if step.invoked <= failed and (step.kind is not Kind.READ or step.completed <= failed)
        ]
        for step in self.steps:
            if step.completed > failed:
                step.completed = math.inf

    def _begin_later(self) -> None:
        """Begin at a late quiescent moment: twice as far back each time that is not enough."""
        starts: deque[Start] = deque(maxlen=64)
        Sweep(self.steps, self.initial, self._budget).run(starts)
        for back in (1, 2, 4, 8, 16, 32, 64):
            if back <= len(starts):
                start, values, able = starts[-back]
                if self._replace(able + [s for s in self.steps if s.invoked > start], values):
                    return

    def _replace(self, steps: list[Step], initial: Values) -> bool:
        """Take these instead, if they fail as well."""
        failed = Sweep(steps, initial, self._budget).run()
        if failed is not None:
            self.initial = initial
            self._keep(steps, failed.completed)
        return failed is not None


def _without(steps: list[Step], at: int, size: int) -> list[Step]:
    """Without some of the `size` steps from `at` on: those that explain nothing about the others.

    From an order that explains all steps, whoever only looks can be taken away. So can a write or
    swap whose value none of the rest asks for (but a delete may need what a write leaves to be
    deleted), and a delete if none of the rest needs the key to be absent: until the next write
    nobody notices.
    """
    leaving = {step for step in steps[at : at + size] if step.kind is Kind.READ}
    doubtful = [step for step in steps[at : at + size] if step.kind is not Kind.READ]
    before = -1
    while len(leaving) != before:
        before = len(leaving)
        left = [step for step in steps if step not in leaving]
        wanted = {step.needs for step in left if step.kind in (Kind.READ, Kind.CAS)}
        deletes = any(step.kind is Kind.DELETE and step.completed != math.inf for step in left)
        for step in doubtful:
            if step.makes not in wanted and not (step.kind is Kind.WRITE and deletes):
                leaving.add(step)
    return left
