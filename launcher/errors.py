"""The launcher's exceptions; each knows the exit status that the contract gives it.

    LeekyError (node/errors.py)
    └── LauncherError            1: it failed
        ├── UsageError           2: what was asked for makes no sense
        │   └── ConfigError      2: cluster.yaml is wrong: the key's path, the line, what is allowed
        ├── NotRunning           3: no such cluster is running
        └── TimedOut             4: it did not happen in time; it may yet

The text of each is one line that says what is wrong and what to do.
"""

from __future__ import annotations

from typing import ClassVar

from node.errors import LeekyError


class LauncherError(LeekyError):
    """What was asked for failed."""

    exit_status: ClassVar[int] = 1


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
