"""What a user asks about: an id, `last-election`, `last-violation`, an entry's index, a node.

    n4:1700000000123456789           an event of node 4
    n1:1700000000123456789>n2        a message from node 1 to node 2
    last-election                    the last leader that was elected, or the last attempt since
    last-violation                   the last safety violation, or broken property
    120                              entry 120 of the log
    n3                               why node 3 does not catch up

Events are read twice: `find` looks for the place, and `collect` keeps what came before it. So an
event long ago is explained with the memory of one that has just happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from launcher.errors import LauncherError, UsageError
from launcher.evidence.why.cause import Cause
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.entries import entry, node_behind
from launcher.evidence.why.rules.table import root
from launcher.evidence.why.things import MESSAGE_EVENTS, Happening, Message, side_of
from launcher.timeline.events import Event

LAST_ELECTION = "last-election"
LAST_VIOLATION = "last-violation"
FORMS = (
    "n4:T (see timeline --ids), n1:T>n2 (see timeline --messages --ids), last-election, "
    "last-violation, the index of an entry, n3 (why it does not catch up), or op:CLIENT:ID with "
    "--run"
)
VIOLATIONS = frozenset({"safety.violated", "property.broken", "node.diverged"})

_ID = re.compile(r"n?(?P<node>[0-9]{1,9}):(?P<t>[0-9]{1,20})(>n?(?P<to>[0-9]{1,9}))?")
_NODE = re.compile(r"n(?P<node>[0-9]{1,9})")


@dataclass(frozen=True)
class Asked:
    """What is asked about; exactly one of the fields is set."""

    text: str
    id: tuple[int, int] | None = None
    to: int | None = None
    word: str = ""
    index: int | None = None
    node: int | None = None


@dataclass(frozen=True)
class Found:
    """Where the events have it.

    place: of the event; of an entry or a node: of the last event that counts; None: the end
    first_ns: the time of the first event that there is
    """

    asked: Asked
    place: int | None
    first_ns: int = 0


def parse(text: str) -> Asked:
    """Raises UsageError."""
    if text in (LAST_ELECTION, LAST_VIOLATION):
        return Asked(text, word=text)
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return Asked(text, index=int(text))
    if match := _NODE.fullmatch(text):
        return Asked(text, node=int(match["node"]))
    if match := _ID.fullmatch(text):
        to = int(match["to"]) if match["to"] else None
        return Asked(text, id=(int(match["node"]), int(match["t"])), to=to)
    raise UsageError(f"{text!r} names no event: {FORMS}")


def find(events: Iterable[Event], asked: Asked) -> Found:
    """Looks for it among all events. Raises LauncherError when it is not there."""
    search = _Search(asked)
    for event in events:
        if search.see(event):
            break
    return search.result()


class _Search:
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._place: int | None = None
        self._end = 0
        self._first: Event | None = None
        self._nodes: set[int] = set()
        self._elected: tuple[int, int] | None = None
        self._tried: tuple[int, int] | None = None
        self._behind: set[int] = set()

    def see(self, event: Event) -> bool:
        """Takes the next event; whether the search is over."""
        place, self._end = self._end, self._end + 1
        if self._first is None and event.node:
            self._first = event
        self._nodes.add(event.node)
        asked = self._asked
        if asked.id is not None:
            return self._see_id(event, place, asked.id)
        if asked.word == LAST_VIOLATION and event.event in VIOLATIONS:
            self._place = place
        elif asked.word == LAST_ELECTION:
            self._see_election(event, place)
        elif asked.index is not None:
            self._see_commit(event, place, asked.index)
        return False

    def _see_id(self, event: Event, place: int, wanted: tuple[int, int]) -> bool:
        if (event.node, event.t) != wanted:
            return False
        if self._asked.to is None:
            self._place = place
            return True
        if event.event != "message.sent":
            return False
        side = side_of(event)
        if side is not None and side.to == self._asked.to:
            self._place = place
        return False  # what became of it comes later

    def _see_election(self, event: Event, place: int) -> None:
        if event.event == "leader.elected":
            self._elected, self._tried = (place, event.term), None
        elif (
            event.event == "election.started"
            and event.role != "pre-candidate"
            and (self._elected is None or event.term > self._elected[1])
        ):
            self._tried = (place, event.term)

    def _see_commit(self, event: Event, place: int, index: int) -> None:
        """Until all nodes that say anything know the entry to be committed."""
        if not event.node:
            return
        if event.commit < index:
            self._behind.add(event.node)
            self._place = None
        elif event.node in self._behind or self._place is None:
            self._behind.discard(event.node)
            if not self._behind:
                self._place = place

    def result(self) -> Found:
        asked = self._asked
        if self._end == 0:
            raise LauncherError(f"there are no events, so nothing is known of {asked.text}")
        if asked.word == LAST_ELECTION:
            last = self._tried or self._elected
            if last is None:
                raise LauncherError("no node has asked for votes yet: there was no election")
            self._place = last[0]
        elif asked.word == LAST_VIOLATION and self._place is None:
            raise LauncherError("nothing was violated: there is no such event")
        elif asked.id is not None and self._place is None:
            raise self._no_such_event()
        return Found(
            asked,
            None if asked.to is not None else self._place,
            0 if self._first is None else self._first.t,
        )

    def _no_such_event(self) -> LauncherError:
        asked = self._asked
        assert asked.id is not None, "only an id names one event"
        node, t = asked.id
        if node not in self._nodes:
            return LauncherError(f"there is no event {asked.text}: nothing of n{node} is recorded")
        if self._first is not None and t < self._first.t:
            return LauncherError(
                f"{asked.text} is older than everything that is recorded: the first event is "
                f"n{self._first.node}:{self._first.t}, so what was before has been overwritten or "
                "removed, if there was anything"
            )
        return LauncherError(
            f"there is no event {asked.text}: `launcher timeline --ids` shows the ids of events, "
            "and with --messages those of messages"
        )


def cause_of(past: Past, found: Found) -> Cause:
    """What is asked about, at the top of its tree. Raises LauncherError."""
    asked = found.asked
    if asked.index is not None:
        return entry(past, asked.index)
    if asked.node is not None:
        if asked.node not in past.nodes:
            raise LauncherError(f"there is no node n{asked.node} in what is recorded")
        return node_behind(past, asked.node)
    if asked.id is not None and asked.to is not None:
        message = past.messages.get((*asked.id, asked.to))
        if message is None:
            raise LauncherError(f"the message {asked.text} is no longer among those that were kept")
        return root(past, message)
    thing = thing_at(past, found)
    if thing is None:
        raise LauncherError(f"no rule explains {asked.text}: it says nothing by itself")
    return root(past, thing)


def thing_at(past: Past, found: Found) -> Happening | Message | None:
    """The event, or the message that it is a side of."""
    if found.asked.to is not None and found.asked.id is not None:
        return past.messages.get((*found.asked.id, found.asked.to))
    place = found.place
    if place is not None and (happening := past.at(place)) is not None:
        return happening
    sides = (one for one in past.messages.values() if place in (one.sent, one.arrived, one.lost_at))
    return next(sides, None)


def is_message(event: Event) -> bool:
    """Whether an event is a side of a message."""
    return event.event in MESSAGE_EVENTS
