"""What a process does with signals from its beginning on, whatever started it.

A process inherits which signals are ignored and which are blocked, through every fork and exec. A
parent that ignores SIGCHLD takes the exit statuses of its grandchildren away, and one that blocks
signals makes a process deaf to them. So whatever begins here sets all of it first.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Collection

_IGNORED_BY_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""A write then fails with an exception instead."""

_UNCHANGEABLE = frozenset({signal.SIGKILL, signal.SIGSTOP})


def begin(keep_ignored: Collection[int] = ()) -> None:
    """Blocks no signal, and gives each that was ignored what a new Python process does with it.

    keep_ignored: these stay ignored if they are

    A handler that this process has set already stays. Called in the main thread.
    """
    for number in signal.valid_signals() - _UNCHANGEABLE - _IGNORED_BY_PYTHON:
        if number not in keep_ignored and signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            with contextlib.suppress(OSError):  # one that the system keeps for itself
                signal.signal(number, usual)
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
