"""One node's life as its supervisor sees it: up, paused, down, failed; and what follows a death.

Pure: time is an argument, and nothing here starts or kills anything. The rules:

- An end that was asked for leaves the node `down`.
- So does SIGKILL from outside, and a stop in good order that the node has announced (a SIGTERM from
  outside): somebody meant it. Exit status 0 without a word means nothing: any code in the process
  can end it so.
- Exit status 3, or the node's own word that starting it again cannot help, makes it `failed`.
- After any other end it is started again, `backoff_s` later, then twice that, and so on. When
  `attempts` restarts in a row have not brought it up for `STABLE_S`, it is `failed`.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from launcher.control.status import TO_BE_RESTARTED, NodeState

STABLE_S = 10.0
"""A node that has run this long has recovered: what happened before it counts no more."""

MAX_BACKOFF_S = 30.0

STOPPED = 0
REFUSES = 3
"""The exit status of a node that will not run with this directory or machine."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """restart: whether a node that failed is started again at all; attempts: how often in a row"""

    restart: bool
    attempts: int
    backoff_s: float


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended.

    status: its exit status, or minus the signal; None when nobody was there to see it
    reason: what the node said before it exited, empty if nothing
    retry: whether it believes that starting it again can help
    lost: its data is damaged, missing or too old, and cannot count
    announced: the node said that it would stop in good order
    """

    status: int | None
    reason: str = ""
    retry: bool = True
    lost: bool = False
    announced: bool = False

    def describe(self) -> str:
        """In words, for an end that nobody asked for."""
        if self.reason:
            return self.reason
        if self.status is None:
            return "ended, nobody saw how"
        if self.status < 0:
            return f"ended by {signal_name(-self.status)}"
        return (
            f"ended with exit status {self.status} and without a word, as code does that calls "
            "os._exit (the machine's?); what it printed is in supervisor.stderr"
        )


class Lifecycle:
    """The state of one node.

    reason: why it is down or failed; empty otherwise
    retry_at: when it is to be started by itself; None: not at all. A new node is due at once.
    restarts: how often it was started again
    """

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._expected = ""
        self._failures = 0
        self._started_at: float | None = None
        self.state: NodeState = "down"
        self.reason = "not started yet"
        self.retry_at: float | None = 0.0
        self.restarts = 0

    def started(self, now: float) -> None:
        """A process runs."""
        if self._started_at is not None:
            self.restarts += 1
        self._started_at = now
        self._expected = ""
        self.state = "up"
        self.reason = ""
        self.retry_at = None

    def expect_end(self, reason: str) -> None:
        """Its end has been asked for: `reason` will say by what. Empty: no longer."""
        self._expected = reason

    def stay_down(self, reason: str) -> None:
        """Somebody wants it down, so nothing starts it again by itself."""
        if self.state in ("down", "failed"):
            self.state = "down"
            self.reason = reason
            self.retry_at = None

    def paused(self, is_paused: bool) -> None:
        """What the kernel says of a process that runs."""
        if self.state in ("up", "paused"):
            self.state = "paused" if is_paused else "up"

    def ended(self, now: float, end: End) -> None:
        """The process is gone; decides what follows."""
        expected, self._expected = self._expected, ""
        if expected:
            self._rest("down", expected)
        elif end.status == -signal.SIGKILL and not end.reason:
            self._rest("down", "killed from outside")
        elif end.status == STOPPED and end.announced:
            self._rest("down", "stopped from outside")
        elif end.status == REFUSES or not end.retry:
            self._rest("failed", end.describe())
        else:
            self._failed_once(now, end.describe())

    def could_not_start(self, now: float, reason: str) -> None:
        """There is no process; it counts like one that ended at once."""
        self._started_at = now if self._started_at is None else self._started_at
        self._failed_once(now, reason)

    def due(self, now: float) -> bool:
        """It is time to start it again."""
        return self.retry_at is not None and now >= self.retry_at

    def _failed_once(self, now: float, reason: str) -> None:
        if self._started_at is not None and now - self._started_at >= STABLE_S:
            self._failures = 0
        if not self._policy.restart:
            self._rest("failed", reason)
        elif self._failures >= self._policy.attempts:
            restarts = f"{self._failures} restart{'s' * (self._failures != 1)}"
            self._rest("failed", f"gave up after {restarts}: {reason}")
            self._failures = 0
        else:
            wait_s = min(self._policy.backoff_s * 2**self._failures, MAX_BACKOFF_S)
            self._failures += 1
            self._rest("down", f"{TO_BE_RESTARTED}: {reason}")
            self.retry_at = now + wait_s

    def _rest(self, state: NodeState, reason: str) -> None:
        self.state = state
        self.reason = reason
        self.retry_at = None


def signal_name(number: int) -> str:
    """`SIGKILL`, or `signal 34` for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
