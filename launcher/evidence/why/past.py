"""The past: what happened before something, indexed so that rules can ask about it.

`collect` reads events in their order and keeps what rules need. Memory is bounded: of messages the
last `most_messages` are kept, of other events the last `most_events`. What was left out is counted,
and an explanation that would need it says that it is not there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import TypeAlias, TypeVar

from launcher.evidence.why.things import (
    MESSAGE_EVENTS,
    NEVER,
    Content,
    Happening,
    Message,
    MessageId,
    Side,
    side_of,
)
from launcher.timeline.events import Event

MOST_MESSAGES = 100_000
MOST_EVENTS = 100_000

NEGLECTED = frozenset({"applied.digest", "timer.fired"})
"""Events that come all the time, and that no rule asks for."""

FREQUENT = frozenset({"commit.advanced", "entries.proposed", "disk.waited"})
"""Events that come with each message; the rarer ones must not be dropped for them."""

Link: TypeAlias = tuple[int, int]
_T = TypeVar("_T")
_sent = attrgetter("sent")
_arrived = attrgetter("arrived")
_place = attrgetter("place")


class Past:
    """What is known of what happened, up to some event. Filled by `collect`.

    happenings: all but messages, in order
    sent, arrivals: the messages of each directed link, as they were sent, and as they arrived
    nodes: every node that is named
    last_term, last_commit: of each node, what it last said of itself
    left_out: how many messages and events were dropped to bound the memory
    damaged: how many events of messages could not be decoded
    end: the place after the last event that was read
    """

    def __init__(self) -> None:
        self.happenings: list[Happening] = []
        self.sent: dict[Link, list[Message]] = defaultdict(list)
        self.arrivals: dict[Link, list[Message]] = defaultdict(list)
        self.messages: dict[MessageId, Message] = {}
        self.nodes: set[int] = set()
        self.last_term: dict[int, int] = {}
        self.last_commit: dict[int, int] = {}
        self.left_out = 0
        self.left_out_until_ns = 0
        self.damaged = 0
        self.end = 0
        self._last_side_ns = 0
        self._by_kind: dict[str, list[Happening]] = defaultdict(list)
        self._by_node: dict[int, list[Happening]] = defaultdict(list)

    @property
    def end_ns(self) -> int:
        """When the last event was."""
        last = self.happenings[-1].when_ns if self.happenings else 0
        return max(last, self._last_side_ns)

    # -- what happened ---------------------------------------------------------------------------

    def last(
        self,
        kinds: Sequence[str],
        before: int,
        where: Callable[[Happening], bool] = lambda _: True,
        *,
        after: int = NEVER,
    ) -> Happening | None:
        """The last happening of these kinds between two places."""
        found: Happening | None = None
        for kind in kinds:
            of_kind = self._by_kind.get(kind, [])
            for one in _backwards(of_kind, bisect_left(of_kind, before, key=_place)):
                if one.place <= after or (found is not None and one.place < found.place):
                    break
                if where(one):
                    found = one
                    break
        return found

    def first(
        self,
        kinds: Sequence[str],
        after: int,
        where: Callable[[Happening], bool] = lambda _: True,
    ) -> Happening | None:
        """The first happening of these kinds after a place."""
        found: Happening | None = None
        for kind in kinds:
            of_kind = self._by_kind.get(kind, [])
            for place in range(bisect_right(of_kind, after, key=_place), len(of_kind)):
                one = of_kind[place]
                if found is not None and one.place > found.place:
                    break
                if where(one):
                    found = one
                    break
        return found

    def all(self, kinds: Sequence[str], before: int, after: int = NEVER) -> list[Happening]:
        """The happenings of these kinds between two places, in order."""
        found: list[Happening] = []
        for kind in kinds:
            of_kind = self._by_kind.get(kind, [])
            first = bisect_right(of_kind, after, key=_place)
            found += of_kind[first : bisect_left(of_kind, before, key=_place)]
        return sorted(found, key=_place)

    def last_any(self, before: int) -> Happening | None:
        """What happened last before that place, on any node."""
        place = bisect_left(self.happenings, before, key=_place)
        return self.happenings[place - 1] if place else None

    def at(self, place: int) -> Happening | None:
        """What happened at exactly that place."""
        last = self.last_any(place + 1)
        return last if last is not None and last.place == place else None

    def place_of(self, when_ns: int) -> int:
        """The place of the first event after that moment; the end when there is none."""
        return next((one.place for one in self.happenings if one.when_ns > when_ns), self.end)

    def last_of_node(self, node: int, before: int, unless: Container[str] = ()) -> Happening | None:
        """What happened last on this node before that place."""
        own = self._by_node.get(node, [])
        for one in _backwards(own, bisect_left(own, before, key=_place)):
            if one.kind not in unless:
                return one
        return None

    # -- messages --------------------------------------------------------------------------------

    @property
    def has_messages(self) -> bool:
        return bool(self.messages)

    def sent_between(self, source: int, target: int, after: int, before: int) -> list[Message]:
        """What `source` sent to `target` between two places, in order."""
        on_link = self.sent.get((source, target), [])
        first = bisect_right(on_link, after, key=_sent)
        return on_link[first : bisect_left(on_link, before, key=_sent)]

    def last_sent(
        self,
        source: int,
        target: int,
        before: int,
        where: Callable[[Message], bool] = lambda _: True,
    ) -> Message | None:
        """The last such message that was sent before that place."""
        on_link = self.sent.get((source, target), [])
        found = (
            one
            for one in _backwards(on_link, bisect_left(on_link, before, key=_sent))
            if where(one)
        )
        return next(found, None)

    def last_arrival(
        self,
        source: int,
        target: int,
        before: int,
        where: Callable[[Message], bool] = lambda _: True,
    ) -> Message | None:
        """The last such message that had arrived by that place (inclusive)."""
        on_link = self.arrivals.get((source, target), [])
        place = bisect_right(on_link, before, key=_arrived)
        return next((one for one in _backwards(on_link, place) if where(one)), None)

    def arrivals_between(self, source: int, target: int, after: int, before: int) -> list[Message]:
        """What arrived at `target` from `source` between two places, in order."""
        on_link = self.arrivals.get((source, target), [])
        first = bisect_right(on_link, after, key=_arrived)
        return on_link[first : bisect_left(on_link, before, key=_arrived)]

    def peers(self, node: int) -> list[int]:
        """Every other node that is known."""
        return sorted(self.nodes - {node})

    # -- filling it ------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Takes the next event."""
        place, self.end = self.end, self.end + 1
        if event.event in MESSAGE_EVENTS:
            side = side_of(event)
            if side is None:
                self.damaged += 1
            else:
                self._take_side(side, place)
        elif event.event not in NEGLECTED:
            self._take_happening(Happening(event, place))
        if event.node:
            self.nodes.add(event.node)
            self.last_term[event.node] = event.term
            self.last_commit[event.node] = event.commit

    def _take_happening(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self._by_kind[happening.kind].append(happening)
        self._by_node[happening.node].append(happening)
        if happening.kind in ("node.spawned", "leader.elected"):
            self.nodes |= {
                *happening.numbers("votes"),
                happening.number("target") or happening.node,
            }
            self.nodes.discard(0)

    def _take_side(self, side: Side, place: int) -> None:
        at_ns = side.t if side.at_s is None else int(side.at_s * 1e9)
        self._last_side_ns = at_ns
        if side.event == "message.sent":
            id_ = (side.node, side.t, side.to)
        else:
            id_ = (side.source or side.node, side.sent_t or side.t, side.to or side.node)
        message = self.messages.get(id_)
        if message is None:
            self.nodes |= {id_[0], id_[2]}
            content = side.said if isinstance(side.said, Content) else Content()
            message = Message(*id_, side.type, content)
            self.messages[id_] = message
        match side.event:
            case "message.sent":
                if message.sent == NEVER:
                    message.sent, message.sent_ns = place, at_ns
                    self.sent[side.node, side.to].append(message)
            case "message.received":
                if message.arrived == NEVER:  # of copies the first counts
                    message.arrived, message.arrived_ns = place, at_ns
                    message.heard_in = side.term
                    message.lost = ""
                    self.arrivals[message.source, message.target].append(message)
            case "message.lost":
                if message.arrived == NEVER:
                    message.lost, message.lost_at = side.why or "unknown", place
                    message.fault = side.fault
            case _:
                message.slowed = side.event.removeprefix("message.")
                message.fault = side.fault if message.fault is None else message.fault

    def shed(self, most_messages: int, most_events: int) -> None:
        """Drops the oldest messages and events until no more than these are left."""
        if (count := len(self.messages) - most_messages) > 0:
            oldest = sorted(self.messages.values(), key=_place)[:count]
            horizon = oldest[-1].place
            self.left_out += count
            self.left_out_until_ns = max(self.left_out_until_ns, oldest[-1].when_ns)
            for message in oldest:
                del self.messages[message.id]
            for links in (self.sent, self.arrivals):
                for link, on_link in links.items():
                    links[link] = [one for one in on_link if one.place > horizon]
        self._shed_happenings(most_events)

    def _shed_happenings(self, most: int) -> None:
        """The frequent kinds first, and of each the oldest."""
        for kinds in (FREQUENT, None):
            count = len(self.happenings) - most
            if count <= 0:
                return
            of_these = [one for one in self.happenings if kinds is None or one.kind in kinds]
            if not of_these:
                continue
            horizon = of_these[min(count, len(of_these)) - 1].place
            self.left_out += min(count, len(of_these))

            kept = _after(horizon, kinds)
            self.happenings = list(filter(kept, self.happenings))
            for lists in (self._by_kind, self._by_node):
                for of_one in lists.values():
                    of_one[:] = filter(kept, of_one)


def collect(
    events: Iterable[Event],
    until: int | None = None,
    *,
    most_messages: int = MOST_MESSAGES,
    most_events: int = MOST_EVENTS,
) -> Past:
    """The past that these events tell, in their order.

    until: the place of the last event that counts; None: all of them
    most_messages, most_events: how many are kept, the last ones
    """
    past = Past()
    slack = 1.25
    for event in events:
        past.take(event)
        if len(past.messages) > slack * most_messages or (
            len(past.happenings) > slack * most_events
        ):
            past.shed(most_messages, most_events)
        if until is not None and past.end > until:
            break
    past.shed(most_messages, most_events)
    return past


def _after(horizon: int, kinds: Container[str] | None) -> Callable[[Happening], bool]:
    """Whether a happening is kept when those of these kinds, or all, are dropped up to there."""
    return lambda one: one.place > horizon or (kinds is not None and one.kind not in kinds)


def _backwards(items: list[_T], end: int) -> Iterator[_T]:
    """Those before that position, the last first."""
    for position in range(end - 1, -1, -1):
        yield items[position]
