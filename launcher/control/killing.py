"""How a node is to end: by a signal, or because its power fails."""

from __future__ import annotations

import signal

from launcher.control.targets import shown
from launcher.errors import UsageError


def parse_signal(text: str) -> signal.Signals:
    """`SIGTERM`, `term` or `15`. Raises UsageError."""
    name = text.strip().upper()
    try:
        if name.isascii() and name.isdigit():
            return signal.Signals(int(name))
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
    except (KeyError, ValueError):
        raise UsageError(
            f"there is no signal {shown(text)}: write a name such as KILL, TERM or SIGINT, "
            "or a number"
        ) from None


def check_kill(text: str, power: bool, torn: bool) -> None:
    """Raises UsageError for a signal that there is not, or that does not go with the rest.

    power: the power is to fail; torn: only a part of what was not synced is to be lost
    """
    number = parse_signal(text)
    if torn and not power:
        raise UsageError("--torn is for a loss of power: kill TARGET --power --torn")
    if power and number != signal.SIGKILL:
        raise UsageError(f"a loss of power sends no {number.name}: give either a signal or --power")
