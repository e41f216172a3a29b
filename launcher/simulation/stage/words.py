"""The words of a script's line: how numbers and durations are written, and how words are missing.

`Wrong` and `Unmet` are how `commands.py` and `expectations.py` report what is wrong with a line.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Words: TypeAlias = list[str]

MOST_SECONDS = 60
"""Longer than any story; it bounds what a slip of the pen costs."""


class Wrong(Exception):
    """A command makes no sense: why not."""


class Unmet(Exception):
    """A command makes sense, but the servers do not bear it out: what was found."""


def first(words: Words) -> str:
    """The first word; there must be one."""
    if not words:
        raise Wrong("there is a word missing")
    return words[0]


def alone(words: Words) -> str:
    """The only word."""
    if len(words) > 1:
        raise Wrong(f"cannot make sense of {words[1]!r}")
    return first(words)


def nothing(words: Words) -> None:
    """No further words."""
    if words:
        raise Wrong(f"cannot make sense of {words[0]!r}")


def number(word: str) -> int:
    """A count, an index or a term."""
    if not re.fullmatch("[0-9]{1,9}", word):
        raise Wrong(f"{word!r} is not a number")
    return int(word)


def numbers(words: Words) -> list[int]:
    """Any number of them."""
    return [number(word) for word in words]


def duration(word: str) -> float:
    """Seconds, out of `200ms` or `1.5s`."""
    found = re.fullmatch(r"([0-9]{1,9}(?:[.][0-9]{1,9})?)(ms|s)", word)
    if not found:
        raise Wrong(f"{word!r} is not a duration such as 200ms or 1.5s")
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
    if seconds > MOST_SECONDS:
        raise Wrong(f"{word} is too long: at most {MOST_SECONDS}s at a time")
    return seconds
