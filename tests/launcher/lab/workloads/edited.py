"""Histories written by hand: an operation a line, at times in milliseconds."""

from __future__ import annotations

import itertools
from typing import Any, Literal

from launcher.lab.history import Done

MILLISECOND = 1_000_000
_ids = itertools.count(1)


def op(
    begin: int,
    end: int | None,
    f: str,
    value: Any = None,
    result: str | None = None,
    *,
    error: str = "",
    client: int = 1,
    index: int | None = None,
) -> Done:
    """An operation from `begin` to `end`; refused with `error`; unknown without an end."""
    outcome: Literal["ok", "fail", "info"]
    outcome = "info" if end is None else "fail" if error else "ok"
    return Done(
        process=client,
        id=next(_ids),
        f=f,
        value=value,
        outcome=outcome,
        invoked=begin * MILLISECOND,
        completed=None if end is None else end * MILLISECOND,
        result=result,
        error=error,
        index=index,
    )
