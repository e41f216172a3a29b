"""What the past is made of: happenings on nodes, and messages between them.

An event of a message (`message.sent`, `message.received`, `message.lost`, ...) is one side of a
`Message`, whose name is who sent it, the sender's clock, and who was to receive it: `n1:T>n2`. Any
other event is a `Happening`. Both know their *place*: how many events came before, in the order in
which the events were read. That order never puts an effect before its cause; a clock may.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final, TypeAlias

import msgspec

from launcher.timeline.events import Event

NEVER: Final = -1
"""The place of what has not happened."""

MESSAGE_EVENTS = frozenset(
    {
        "message.sent",
        "message.received",
        "message.lost",
        "message.held",
        "message.delayed",
        "message.duplicated",
    }
)
"""The events that are sides of messages."""


class Content(msgspec.Struct, gc=False):
    """What a message says; only what applies to its type is not None.

    The names are those of the events: `index` and `log_term` are of the entry that comes before the
    entries that are sent, or of the last one of a candidate; `first` to `last` are the entries.
    """

    term: int | None = None
    index: int | None = None
    log_term: int | None = None
    entries: int | None = None
    first: int | None = None
    last: int | None = None
    commit: int | None = None
    vote: int | None = None
    granted: bool | None = None
    pre_vote: bool | None = None
    transfer: bool | None = None
    reject: bool | None = None
    hint: int | None = None
    hint_term: int | None = None
    match: int | None = None
    round: int | None = None
    offset: int | None = None
    size: int | None = None
    installed: bool | None = None
    ticket: int | None = None


class Side(msgspec.Struct, gc=False, rename={"source": "from", "said": "message"}):
    """The fields of an event of a message, decoded in one step."""

    t: int
    node: int
    event: str
    term: int = 0
    to: int = 0
    source: int = 0
    sent_t: int = 0
    type: str = ""
    said: Content | str | None = None
    why: str = ""
    fault: int | str | None = None
    at_s: float | None = None


_side = msgspec.json.Decoder(Side, strict=False)


def side_of(event: Event) -> Side | None:
    """An event of a message, decoded; None when it is damaged."""
    try:
        return _side.decode(event.raw)
    except (ValueError, RecursionError):
        return None


MessageId: TypeAlias = tuple[int, int, int]
"""The sender, the sender's clock, and the receiver."""


class Message(msgspec.Struct, gc=False):
    """One message from one node to another, and what became of it.

    t: the sender's clock, which the message carries
    content: what it says, as far as it is known
    sent, arrived, lost_at: places; NEVER: that is not among the events
    sent_ns, arrived_ns: when, as `when_ns` gives it
    heard_in: the term of the receiver when it arrived
    lost: why it was lost; empty if it was not
    fault: the number of the fault that lost, held or delayed it
    slowed: `held` or `delayed`, by a fault
    """

    source: int
    t: int
    target: int
    type: str
    content: Content
    sent: int = NEVER
    sent_ns: int = 0
    arrived: int = NEVER
    arrived_ns: int = 0
    heard_in: int = 0
    lost: str = ""
    lost_at: int = NEVER
    fault: int | str | None = None
    slowed: str = ""

    @property
    def id(self) -> MessageId:
        return (self.source, self.t, self.target)

    @property
    def name(self) -> str:
        return f"n{self.source}:{self.t}>n{self.target}"

    @property
    def place(self) -> int:
        """Where its last known side stands."""
        return max(self.sent, self.arrived, self.lost_at)

    @property
    def when_ns(self) -> int:
        return self.arrived_ns if self.arrived != NEVER else self.sent_ns

    @property
    def term(self) -> int:
        return self.content.term or 0


class Happening:
    """An event that is not of a message.

    place: how many events came before it
    fields: its own fields
    when_ns: when it happened; in the simulated world by the world's time, which no fault moves
    """

    def __init__(self, event: Event, place: int) -> None:
        self.event = event
        self.place = place

    @cached_property
    def fields(self) -> dict[str, object]:
        return self.event.fields

    @property
    def kind(self) -> str:
        return self.event.event

    @property
    def node(self) -> int:
        return self.event.node

    @property
    def term(self) -> int:
        return self.event.term

    @property
    def name(self) -> str:
        return f"n{self.event.node}:{self.event.t}"

    @cached_property
    def when_ns(self) -> int:
        return when_ns(self.event, self.fields.get("at_s"))

    def number(self, field: str) -> int | None:
        """The field, if it is a whole number."""
        value = self.fields.get(field)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def numbers(self, field: str) -> list[int]:
        """The whole numbers in a field that is a list."""
        value = self.fields.get(field)
        return [one for one in value if isinstance(one, int)] if isinstance(value, list) else []

    def text(self, field: str) -> str:
        """The field, if it is text; otherwise nothing."""
        value = self.fields.get(field)
        return value if isinstance(value, str) else ""

    def flag(self, field: str) -> bool:
        """Whether the field is true."""
        return self.fields.get(field) is True


Thing: TypeAlias = Happening | Message


def on(node: int | None) -> Callable[[Happening], bool]:
    """Whether something happened on that node."""
    return lambda one: one.node == node


def aimed_at(node: int | None) -> Callable[[Happening], bool]:
    """Whether an event of the supervisor, or of the world, is about that node."""
    return lambda one: one.number("target") == node


def in_term(node: int, term: int) -> Callable[[Happening], bool]:
    """Whether something happened on that node in that term: its election, its vote."""
    return lambda one: one.node == node and one.term == term


def when_ns(event: Event, at_s: object) -> int:
    """When an event happened: the world's time in the simulated world, otherwise its clock."""
    return int(at_s * 1e9) if isinstance(at_s, int | float) else event.t
