"""The words of a script's line: numbers, durations, and how many words there must be.

A line fails by `Wrong`, if it is invalid, or by `Unmet`, if the servers are not as it says.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from node.quantities import parse_duration_s
from node.raft.messages import NodeId

Words: TypeAlias = list[str]

Link: TypeAlias = tuple[NodeId, NodeId]
"""From a sender to a receiver."""

MOST_SECONDS = 60
"""More than any script needs: a typing error must not keep the script running for long."""


class Wrong(Exception):
    """A command is invalid. The message says why."""


class Unmet(Exception):
    """A command is valid, but the servers are not as it says. The message says how they are."""


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the known word that is nearest, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def unknown(what: str, word: str, known: Iterable[str]) -> Wrong:
    """What to raise for an unknown word. It has the nearest one, and all others.

    what: what kind of word it is
    """
    names = list(known)
    near = suggestion(word, names)
    there_are = " There are" if near else "; there are"
    return Wrong(f"no {what} {word!r}{near}{there_are} {', '.join(names)}")


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
    try:
        seconds = parse_duration_s(word)
    except ValueError as error:
        raise Wrong(str(error)) from error
    if seconds > MOST_SECONDS:
        raise Wrong(f"{word} is too long: at most {MOST_SECONDS}s at a time")
    return seconds


def server(word: str, names: Mapping[NodeId, str]) -> NodeId:
    """The server with this name, or with this number: `2` or `S2`. Raises Wrong if none has it."""
    for node_id, name in names.items():
        if word in (name, str(node_id), f"S{node_id}"):
            return node_id
    raise Wrong(f"no server {word!r}; there are {', '.join(names.values())}")


def links(words: Words, servers: Callable[[str], Iterable[NodeId]]) -> set[Link]:
    """The links that words name: `1|2,3` means both directions, `1->2` one. Raises Wrong.

    servers: those of one side
    """
    found: set[Link] = set()
    for word in words:
        if "->" in word:
            left, _, right = word.partition("->")
            found |= {(a, b) for a in servers(left) for b in servers(right)}
        elif "|" in word:
            sides = [list(servers(side)) for side in word.split("|")]
            found |= {
                (a, b) for one in sides for other in sides if one != other
                for a in one for b in other
            }  # fmt: skip
        else:
            raise Wrong(f"{word!r} names no link")
    return found
