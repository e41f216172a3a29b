"""A cause, and the sentence that states it.

A rule returns causes. A cause that is about a thing (a happening, a message) is explained in turn
by the rule of that thing, unless the cause already says what caused it, or is an *end*: something
from outside, such as a fault, or something that needs no explanation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from launcher.evidence.why.things import NEVER, Happening, Thing
from launcher.timeline.sentences import sentence


@dataclass(frozen=True)
class Cause:
    """Why something happened, in one sentence.

    said: the sentence, without a full stop
    thing: what it is about; None when that is no single thing
    because: what caused it in turn, where the rule knows that already
    is_end: nothing more is to be explained
    is_order: no rule states it: it only came before
    is_aside: true, and not what decided; it stands after the others, and is not explained here
    place, when_ns: of the thing, unless given; a cause with neither stands where its rule puts it
    """

    said: str
    thing: Thing | None = None
    because: tuple[Cause, ...] = ()
    is_end: bool = False
    is_order: bool = False
    is_aside: bool = False
    place: int = NEVER
    when_ns: int | None = None

    @property
    def at(self) -> int:
        """Where it stands among all events."""
        return self.place if self.place != NEVER or self.thing is None else self.thing.place

    @property
    def at_ns(self) -> int | None:
        """When; None when it is of no one moment."""
        if self.when_ns is not None or self.thing is None:
            return self.when_ns
        return self.thing.when_ns


def stated(happening: Happening, *because: Cause, is_end: bool = False) -> Cause:
    """The happening in the words of the timeline."""
    return Cause(said_of(happening), happening, tuple(because), is_end)


def said_of(happening: Happening) -> str:
    """What the event says, in the words of the timeline."""
    said, _ = sentence(happening.event, node_name)
    return said


def node_name(node: int) -> str:
    """n1, n2, ...; the supervisor is no node."""
    return f"n{node}" if node else "the supervisor"


def names(nodes: Iterable[int]) -> str:
    """n1 | n1 and n2 | n1, n2 and n3"""
    known = [node_name(node) for node in nodes]
    return known[0] if len(known) == 1 else ", ".join(known[:-1]) + " and " + known[-1]


def entries(first: int, last: int) -> str:
    """entry 7 | entries 7 to 9"""
    return f"entry {first}" if first == last else f"entries {first} to {last}"


def counted(count: int, what: str) -> str:
    """1 heartbeat | 3 heartbeats"""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def seconds(duration_ns: int) -> str:
    """0.4 ms | 15 ms | 1.25 s"""
    if duration_ns < 0:
        return "no time"
    if duration_ns < 10_000_000:
        return f"{duration_ns / 1e6:.1f} ms"
    if duration_ns < 1_000_000_000:
        return f"{duration_ns / 1e6:.0f} ms"
    return f"{duration_ns / 1e9:.2f} s"
