"""The words of commands that steer a running cluster: which setting, which link, which message.

Pure. `set KEY VALUE` is checked against the settings in force (`launcher/overrides.py`); here is
what `drop A>B TYPE` says, and what both answer.
"""

from __future__ import annotations

import msgspec

from launcher.control.targets import shown
from launcher.errors import UsageError
from node.raft.messages import NodeId
from node.wire import MESSAGE_TYPES

MOST_DROPPED = 1_000_000
"""No command loses more messages than that."""

MOST_VALUE_CHARACTERS = 200
"""No setting that can be changed has a longer value."""


class Unconfirmed(msgspec.Struct, frozen=True):
    """A node with a process that has not confirmed a change yet. state: why, such as `paused`"""

    node: NodeId
    state: str


class SettingChange(msgspec.Struct, frozen=True):
    """What `set` has done.

    key: as in cluster.yaml
    before, after: the values, as cluster.yaml would say them
    unconfirmed: the nodes with a process that have not confirmed it. They change when they run
        again; a node that is down has the new value when it starts
    """

    key: str
    before: str
    after: str
    unconfirmed: list[Unconfirmed] = []


def split_link(text: str) -> tuple[str, str]:
    """The two ends of `A>B`, each a target. Raises UsageError."""
    ends = [end.strip() for end in text.split(">")]
    if len(ends) != 2 or not all(ends):
        raise UsageError(
            f"{shown(text)} names no link: write 'n1>n2', in quotes because the shell takes > for "
            "a file"
        )
    return ends[0], ends[1]


def parse_message_type(text: str) -> str:
    """The type's name as it is written; any case will do. Raises UsageError."""
    for name in MESSAGE_TYPES:
        if name.lower() == text.strip().lower():
            return name
    raise UsageError(
        f"there is no message {shown(text)}: the messages are {', '.join(MESSAGE_TYPES)}"
    )


def check_count(count: int) -> None:
    """Raises UsageError for a number of messages that cannot be lost."""
    if not 1 <= count <= MOST_DROPPED:
        raise UsageError(f"drop loses 1 to {MOST_DROPPED} messages, not {count}")
