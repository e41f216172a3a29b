"""Calls a workload, which may be a user's: what it returns is checked, and how long it takes.

A workload that raises, hangs or returns nonsense ends the run with one line that says where in its
code. A hang is found by a timer signal, so this is for the main thread of a process of its own.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import get_args

import msgspec

from launcher.errors import LauncherError
from launcher.lab.history import Done
from launcher.lab.workloads.protocol import How, Judgement, Operation, Workload
from node.machines.failures import place_of_frame, what
from node.printable import printable_line

NEXT_LIMIT_S = 5.0
LOAD_LIMIT_S = 20.0
MOST_NAME = 64


class WorkloadFailed(LauncherError):
    """The workload itself is broken; nothing is known about the cluster."""


class TooSlow(LauncherError):
    """The workload's code took longer than it may."""


@contextmanager
def limited(what_for: str, limit_s: float) -> Iterator[None]:
    """Raises TooSlow, from within, when what is done takes longer."""

    def late(_: int, frame: FrameType | None) -> None:
        where = place_of_frame(frame)
        at = f"; it is at {where}" if where else ""
        raise TooSlow(f"{what_for} takes longer than {limit_s:g} s{at}")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s, 1.0)  # again, for code that catches everything
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Called:
    """A workload whose every call is guarded. Each raises WorkloadFailed.

    name: of the workload, for the messages
    """

    def __init__(self, name: str, workload: Workload, most_bytes: int) -> None:
        """most_bytes: of an entry"""
        self.name = name
        self._workload = workload
        self._most_bytes = most_bytes

    def next(self, client: int, number: int, rng: random.Random, last: Done | None) -> Operation:
        """See `Workload.next`."""
        operation = self._call("next", lambda: self._workload.next(client, number, rng, last))
        return self._checked("next", operation)

    def framing(self, method: str, number: int, last: Done | None) -> Operation | None:
        """The next operation of `opening` or `closing`."""
        asked: Callable[[int, Done | None], object] | None
        asked = getattr(self._workload, method, None)
        if asked is None:
            return None
        operation = self._call(method, lambda: asked(number, last))
        return None if operation is None else self._checked(method, operation)

    def check(self, history: Sequence[Done], limit_s: float) -> Judgement:
        """See `Workload.check`. Raises TooSlow, too."""
        found = self._call("check", lambda: self._workload.check(history), limit_s)
        if not isinstance(found, Judgement):
            raise self._nonsense("check", found, "valid(), invalid(reason, window) or unknown()")
        return found

    def _call(
        self, method: str, call: Callable[[], object], limit_s: float | None = None
    ) -> object:
        try:
            with limited(f"workload {self.name}: {method}", limit_s or NEXT_LIMIT_S):
                return call()
        except TooSlow as error:
            if method == "check":
                raise
            raise WorkloadFailed(str(error)) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise WorkloadFailed(f"workload {self.name}: {method} failed: {what(error)}") from error

    def _nonsense(self, method: str, found: object, wanted: str) -> WorkloadFailed:
        said = printable_line(repr(found), 80)
        return WorkloadFailed(f"workload {self.name}: {method} returned {said}, and not {wanted}")

    def _checked(self, method: str, found: object) -> Operation:
        if not isinstance(found, Operation):
            raise self._nonsense(method, found, "an Operation")
        problem = ""
        command = found.command
        if not isinstance(found.f, str) or not 0 < len(found.f) <= MOST_NAME:
            problem = f"f is a name of 1 to {MOST_NAME} characters"
        elif found.how not in get_args(How):
            problem = f"how is one of {', '.join(get_args(How))}"
        elif not isinstance(command, str | bytes) or not command:
            problem = "command is text or bytes, and not empty"
        elif len(command) > self._most_bytes:
            problem = f"command has at most {self._most_bytes} bytes (limits.entry)"
        else:
            try:
                msgspec.json.encode(found.value)
            except (TypeError, ValueError, OverflowError, RecursionError):
                problem = "value is something that JSON can hold"
        if problem:
            said = printable_line(repr(found), 200)
            raise WorkloadFailed(f"workload {self.name}: {method} returned {said}: {problem}")
        return found
