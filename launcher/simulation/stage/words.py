"""The words of a script's line: numbers, durations, and how many words there must be.

A line fails by `Wrong`, if it is invalid, or by `Unmet`, if the servers are not as it says.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Words: TypeAlias = list[str]

MOST_SECONDS = 60
"""More than any script needs: a typing error must not keep the script running for long."""


class Wrong(Exception):
    """A command is invalid. The message says why."""


class Unmet(Exception):
    """A command is valid, but the servers are not as it says. The message says how they are."""


def first(words: Words) -> str:
    """The first word. Raises Wrong if there is none."""
    if not words:
        raise Wrong("there is a word missing")
    return words[0]


def alone(words: Words) -> str:
    """The only word. Raises Wrong if there are none or more."""
    if len(words) > 1:
        raise Wrong(f"cannot make sense of {words[1]!r}")
    return first(words)


def nothing(words: Words) -> None:
    """Raises Wrong if there are any words left."""
    if words:
        raise Wrong(f"cannot make sense of {words[0]!r}")


def number(word: str) -> int:
    """A count, an index or a term."""
    if not re.fullmatch("[0-9]{1,9}", word):
        raise Wrong(f"{word!r} is not a number")
    return int(word)


def numbers(words: Words) -> list[int]:
    """Counts, indexes or terms."""
    return [number(word) for word in words]


def duration(word: str) -> float:
    """The seconds in `200ms` or `1.5s`."""
    found = re.fullmatch(r"([0-9]{1,9}(?:[.][0-9]{1,9})?)(ms|s)", word)
    if not found:
        raise Wrong(f"{word!r} is not a duration such as 200ms or 1.5s")
    seconds = float(found[1]) / (1000 if found[2] == "ms" else 1)
    if seconds > MOST_SECONDS:
        raise Wrong(f"{word} is too long: at most {MOST_SECONDS}s at a time")
    return seconds
