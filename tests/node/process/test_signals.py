"""A process of ours knows its signals, whatever started it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

BEGINS = """
import json, signal, sys
from node.process import signals

signals.begin(keep_ignored=[int(number) for number in sys.argv[1:]])
numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
ignored = [int(n) for n in numbers if signal.getsignal(n) is signal.SIG_IGN]
blocked = [int(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
handler = signal.getsignal(signal.SIGINT) is signal.default_int_handler
print(json.dumps([sorted(ignored), blocked, handler]))
"""
USUAL = sorted({int(signal.SIGPIPE), int(signal.SIGXFSZ)})


def inherit_the_worst() -> None:
    """All that can be is ignored and blocked."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def begun(*kept: int) -> list[object]:
    said = subprocess.run(
        [sys.executable, "-c", BEGINS, *map(str, kept)],
        preexec_fn=inherit_the_worst,
        restore_signals=False,
        capture_output=True,
        check=True,
    )
    found: list[object] = json.loads(said.stdout)
    return found


def test_nothing_is_blocked_and_only_what_python_ignores_is_ignored() -> None:
    assert begun() == [USUAL, [], True]


@pytest.mark.parametrize("kept", [signal.SIGHUP, signal.SIGINT])
def test_what_is_meant_stays_ignored(kept: signal.Signals) -> None:
    assert begun(kept) == [sorted([kept, *USUAL]), [], kept != signal.SIGINT]
