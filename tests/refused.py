"""The text of a refusal, for tests that compare it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

import pytest

from node.errors import CommandError
from node.machines.protocol import Machine

_P = ParamSpec("_P")


def refusal(
    kind: type[Exception], act: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs
) -> str:
    """The text of the error of this kind that the call must raise: one printable line."""
    with pytest.raises(kind) as caught:
        act(*args, **kwargs)
    text = str(caught.value)
    assert text.isprintable(), "one line, and nothing that disturbs a terminal"
    assert text
    return text


def refused_command(machine: Machine, command: bytes) -> str:
    """Why a machine refuses a command, which is the entry at index 99."""
    return refusal(CommandError, machine.apply, 99, command)
