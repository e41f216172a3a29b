"""The launcher's exceptions; each knows the exit status that the contract gives it.

    LeekyError (node/errors.py)
    └── LauncherError            1: it failed
        ├── UsageError           2: what was asked for makes no sense
        │   ├── ConfigError      2: cluster.yaml is wrong: the key's path, the line, what is allowed
        │   └── Refused          2: a node will never take this request (route.py)
        ├── ScenarioFailed       1: a scenario did not come out as it says (simulation/script.py)
        ├── NotRunning           3: no such cluster is running
        ├── SessionLost          1: the cluster has forgotten the client's session (session.py)
        ├── TimedOut             4: it did not happen in time; it may yet
        │   └── NoAnswer         4: nor is it known whether it has; resend tells (unanswered.py)
        └── Undecided            5: a verdict that cannot be told

The text of each is one line that says what is wrong and what to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar

from node.errors import LeekyError
from node.printable import error_line, printable


class LauncherError(LeekyError):
    """What was asked for failed. Its text is one line, whatever it quotes."""

    exit_status: ClassVar[int] = 1

    def __init__(self, text: str = "") -> None:
        super().__init__(printable(text))


class UsageError(LauncherError):
    """What was asked for makes no sense, whatever the state of the cluster."""

    exit_status = 2


class ConfigError(UsageError):
    """cluster.yaml cannot be used."""


class NotRunning(LauncherError):
    """No such cluster is running."""

    exit_status = 3


class TimedOut(LauncherError):
    """It did not happen in time; it may yet."""

    exit_status = 4


class Undecided(LauncherError):
    """Nobody can tell: what was seen neither proves nor refutes what should hold."""

    exit_status = 5


@contextlib.contextmanager
def saying(failed: str) -> Iterator[None]:
    """Raises LauncherError for an OSError: what has failed, and why."""
    try:
        yield
    except OSError as error:
        raise LauncherError(f"{failed}: {error_line(error)}") from error
