"""The fault filter: what becomes of a message on a directed link, as a pure verdict.

Every message between nodes asks for its verdict: the seconds after which each copy of it arrives.
`()` is lost, `(0.0,)` is untouched, `(0.0, 0.0)` arrives twice, `(0.05,)` arrives later, and `HELD`
is kept until the link lets go. Whoever sends does the waiting: here is no clock, and the size, the
time and the randomness are handed in, so that the same seed and the same messages give the same
verdicts.

What a `LinkFault` (`node/wire/`) does to a message, in this order:

    cut         It is lost, always. The news that the other end has died is lost too (`is_cut`).
    hold        It waits until the link does not hold any more, and then asks again.
    loss        It is lost with this probability, all of it. A link with loss 1 is not cut: the
                death of its other end still shows.
    duplicate   With this probability it is two messages from here on, and each fares by itself.
    rate        It waits until all bytes before it have crossed, and then takes the time that its
                own bytes need at this number of bits per second. If more than MOST_QUEUED_BYTES
                are before it, it is lost, as in a router whose queue is full.
    delay_s     It takes this much longer,
    jitter_s    and up to this much more, each value as likely. So a later one may overtake it.
    reorder     With this probability it is also held back, half to one and a half times
                REORDER_HOLD_S, while what is sent after it passes by.

Where messages are slow on purpose (`delay_all`), every message of every link takes that
much longer, and whatever a fault adds.

One message may also be lost by its type (`node/wire/types.py`): a `Drop` says which, on which link,
and how many of them. It strikes what is really sent: what a cut loses does not count.

Faults on one link combine as if the message crossed them one after the other: it is cut if any
cuts, it holds if any holds, the lowest rate counts, delays and jitters add up to at most
MOST_DELAY_S each, and a message escapes loss (or duplication, or reordering) only by escaping each.
The links of the two directions are strangers: what one does, the other does not.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TypeAlias

import msgspec

from node.raft.messages import NodeId
from node.wire import Drop, LinkFault

PASS = (0.0,)
"""The verdict on a link without faults, where messages are not slow; always this very object."""

LOST: tuple[float, ...] = ()

FaultId: TypeAlias = int | str
"""Names a fault that was injected."""

Causes: TypeAlias = Mapping[tuple[NodeId, NodeId], Mapping[str, FaultId]]
"""For each link, the id of the fault behind each part of what it does."""

HELD = (math.inf,)
"""The verdict on a link that holds; always this very object. Whoever sends keeps the message, and
asks again when the link does not hold any more."""

MOST_DELAY_S = 3600
MOST_ID = 10**9
LEAST_RATE = 1e3
MOST_RATE = 1e12

MOST_QUEUED_BYTES = 1 << 20
"""What may wait on a link with a `rate` before a message that is not lost for it. One message more
waits then, of any size: a larger one could never cross otherwise."""

REORDER_HOLD_S = 0.05
"""About how long a reordered message is held back. Under load that is many messages; on a link
that is idle but for heartbeats a message may not be overtaken by anything in that time."""


class FaultFilter:
    """What each directed link does at present. Raises ValueError on an impossible fault.

    has_rates: some link has a `rate`, so that verdicts depend on the time
    why_lost: why the last message was lost whose verdict was `LOST`: cut, loss or rate-full
    """

    def __init__(self, faults: Iterable[LinkFault] = (), *, rng: random.Random) -> None:
        self._rng = rng
        self._links: dict[tuple[NodeId, NodeId], LinkFault] = {}
        self._busy_until: dict[tuple[NodeId, NodeId], float] = {}
        self._fault_of: Callable[[tuple[NodeId, NodeId]], LinkFault | None] = self._links.get
        self._alone: NodeId | None = None
        self._drops: dict[tuple[NodeId, NodeId], dict[str, int]] = {}
        self._slow = PASS
        self._causes: Causes = {}
        self.why_lost = "cut"
        self.set(faults)

    def set(self, faults: Iterable[LinkFault], causes: Causes = {}) -> None:  # noqa: B006
        """From now on the links do this, and nothing else. On an error they do what they did.

        causes: the ids of the faults behind it
        """
        self._links = combined(faults)
        self._causes = causes
        self._busy_until = {
            link: until
            for link, until in self._busy_until.items()
            if link in self._links and self._links[link].rate
        }
        self.has_rates = any(fault.rate for fault in self._links.values())
        self.cut_off(self._alone)

    def in_force(self) -> Mapping[tuple[NodeId, NodeId], LinkFault]:
        """What each link does that does something, without what `cut_off` says."""
        return self._links

    def cut_off(self, node: NodeId | None) -> None:
        """From now on nothing crosses any link of this node, whatever `set` says; None: of none."""
        self._alone = node
        self._fault_of = ordered = self._links.get
        if node is not None:
            self._fault_of = lambda link: _cut(*link) if node in link else ordered(link)

    def delay_all(self, delay_s: float) -> None:
        """From now on every message takes this much longer."""
        if not 0 <= delay_s <= MOST_DELAY_S:
            raise ValueError(f"messages cannot take {delay_s} s longer")
        self._slow = (delay_s,) if delay_s else PASS

    def drop(self, drops: Iterable[Drop], *, add: bool = False) -> None:
        """These messages are to be lost; no others, or (`add`) besides those from before."""
        if not add:
            self._drops = {}
        for drop in drops:
            of_link = self._drops.setdefault((drop.source, drop.target), {})
            of_link[drop.type] = of_link.get(drop.type, 0) + drop.count

    def awaits(self, source: NodeId, target: NodeId) -> bool:
        """Whether some message from `source` to `target` is to be lost by its type."""
        return (source, target) in self._drops and not self.is_cut(source, target)

    def strike(self, source: NodeId, target: NodeId, types: Collection[str]) -> str | None:
        """The type by which this message is lost, if it is; there is then one less to come.

        types: all types of the message: a heartbeat is an AppendEntries, too
        """
        of_link = self._drops.get((source, target), {})
        struck = next((one for one in of_link if one in types), None)
        if struck is not None:
            of_link[struck] -= 1
            if not of_link[struck]:
                del of_link[struck]
            if not of_link:
                del self._drops[source, target]
        return struck

    def verdict(
        self, source: NodeId, target: NodeId, size: int = 0, now: float = 0.0
    ) -> tuple[float, ...]:
        """The seconds after which each copy of a message from `source` reaches `target`.

        size: bytes of the message
        now: seconds, on any clock that runs true

        Called once for each message, in the order in which they are sent.
        """
        fault = self._fault_of((source, target))
        if fault is None:
            return self._slow
        if fault.cut:
            self.why_lost = "cut"
            return LOST
        if fault.hold:
            return HELD
        if self._happens(fault.loss):
            self.why_lost = "loss"
            return LOST
        copies = 2 if self._happens(fault.duplicate) else 1
        if not fault.rate:
            return tuple(self._delay_s(fault) for _ in range(copies))
        self.why_lost = "rate-full"
        waits = (self._wait_s(fault, size, now) for _ in range(copies))
        return tuple(wait_s + self._delay_s(fault) for wait_s in waits if wait_s is not None)

    def cause(self, source: NodeId, target: NodeId, *parts: str) -> FaultId | None:
        """The id of the fault that does one of these to the messages of a link; None: not known.
        If several faults do the same, it is the one that was named first.

        parts: cut, hold, loss, duplicate, rate, delay, reorder
        """
        ids = self._causes.get((source, target), {})
        return next((ids[part] for part in parts if part in ids), None)

    def holds(self, source: NodeId, target: NodeId) -> bool:
        """Whether messages on this link wait until it does not hold any more."""
        fault = self._links.get((source, target))
        return fault is not None and fault.hold

    def has_rate(self, source: NodeId, target: NodeId) -> bool:
        """Whether messages on this link wait for those before them."""
        fault = self._links.get((source, target))
        return fault is not None and fault.rate > 0

    def is_cut(self, source: NodeId, target: NodeId) -> bool:
        """Whether nothing whatever crosses, not even the news that `source` has died."""
        fault = self._fault_of((source, target))
        return fault is not None and fault.cut

    def _happens(self, probability: float) -> bool:
        # No draw for what is certain or switched off: a fault that is not used changes no other.
        return probability > 0 and (probability >= 1 or self._rng.random() < probability)

    def _wait_s(self, fault: LinkFault, size: int, now: float) -> float | None:
        """Until all bytes of the message are on the link; None: too many are before it."""
        link = (fault.source, fault.target)
        free_at = max(self._busy_until.get(link, now), now)
        if (free_at - now) * fault.rate > 8 * MOST_QUEUED_BYTES:
            return None
        self._busy_until[link] = free_at = free_at + 8 * size / fault.rate
        return free_at - now

    def _delay_s(self, fault: LinkFault) -> float:
        delay_s = fault.delay_s + self._slow[0]
        if fault.jitter_s > 0:
            delay_s += fault.jitter_s * self._rng.random()
        if self._happens(fault.reorder):
            delay_s += REORDER_HOLD_S * (0.5 + self._rng.random())
        return delay_s


def combined(faults: Iterable[LinkFault]) -> dict[tuple[NodeId, NodeId], LinkFault]:
    """What each link does that does anything at all.

    Raises ValueError on an impossible fault, and where the faults of one link are impossible
    together: what comes out can be combined again.
    """
    links: dict[tuple[NodeId, NodeId], LinkFault] = {}
    for fault in faults:
        check(fault)
        link = (fault.source, fault.target)
        known = links.get(link)
        links[link] = fault if known is None else _combined(known, fault)
    for fault in links.values():
        check(fault)
    # A fault that does nothing must not cost its link the short way through `verdict`.
    return {link: fault for link, fault in links.items() if fault != nothing(*link)}


def parts_of(fault: LinkFault) -> list[str]:
    """What it does to the messages of its link: some of cut, hold, loss, duplicate, rate, delay,
    reorder."""
    parts = ("cut", "hold", "loss", "duplicate", "rate", "reorder")
    found = [part for part in parts if getattr(fault, part)]
    return [*found, "delay"] if fault.delay_s or fault.jitter_s else found


def causes(faults: Iterable[tuple[FaultId, LinkFault]]) -> Causes:
    """Who is behind each part of what the links do; of several it is the first."""
    found: dict[tuple[NodeId, NodeId], dict[str, FaultId]] = {}
    for fault_id, fault in faults:
        of_link = found.setdefault((fault.source, fault.target), {})
        for part in parts_of(fault):
            of_link.setdefault(part, fault_id)
    return found


def nothing(source: NodeId, target: NodeId) -> LinkFault:
    """A link that does nothing to its messages."""
    return LinkFault(source=source, target=target)


def partition(groups: Sequence[Collection[NodeId]]) -> list[LinkFault]:
    """Cuts every link between nodes of different groups, in both directions (pure).

    A node that is to be on its own is a group of one; links of nodes in no group are left alone.
    Raises ValueError when a node is in two groups.
    """
    group_of: dict[NodeId, int] = {}
    for number, group in enumerate(groups):
        for node in sorted(set(group)):
            if node in group_of:
                raise ValueError(f"node {node} is in two groups of the partition")
            group_of[node] = number
    return [
        _cut(source, target)
        for source in group_of
        for target in group_of
        if group_of[source] != group_of[target]
    ]


def check(fault: LinkFault) -> None:
    """Raises ValueError for a fault that no link can have."""
    for node in (fault.source, fault.target):
        if not 1 <= node <= MOST_ID:
            raise ValueError(f"a link leads from one node to another, with ids from 1 to {MOST_ID}")
    for field in ("loss", "duplicate", "reorder"):
        value: float = getattr(fault, field)
        if not 0 <= value <= 1:  # catches NaN too
            raise ValueError(f"{field} is a probability, from 0 to 1, not {value}")
    for field in ("delay_s", "jitter_s"):
        value = getattr(fault, field)
        if not 0 <= value <= MOST_DELAY_S:
            raise ValueError(
                f"{field} is a number of seconds, from 0 to {MOST_DELAY_S}, not {value}"
            )
    if fault.rate and not LEAST_RATE <= fault.rate <= MOST_RATE:
        raise ValueError(
            f"rate is 0, or a number of bits per second from {LEAST_RATE:g} to {MOST_RATE:g}, "
            f"not {fault.rate}"
        )


def _cut(source: NodeId, target: NodeId) -> LinkFault:
    return LinkFault(source=source, target=target, cut=True)


def _combined(one: LinkFault, other: LinkFault) -> LinkFault:
    return msgspec.structs.replace(
        one,
        cut=one.cut or other.cut,
        delay_s=one.delay_s + other.delay_s,
        jitter_s=one.jitter_s + other.jitter_s,
        loss=_either(one.loss, other.loss),
        duplicate=_either(one.duplicate, other.duplicate),
        reorder=_either(one.reorder, other.reorder),
        rate=min(filter(None, (one.rate, other.rate)), default=0.0),
        hold=one.hold or other.hold,
    )


def _either(one: float, other: float) -> float:
    """The probability that at least one of two independent things happens."""
    return one + other - one * other
