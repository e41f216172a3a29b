"""The words of `launcher tap`: how nodes record their messages. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from launcher.control.targets import shown
from launcher.errors import UsageError
from node.raft.messages import NodeId

Mode: TypeAlias = Literal["off", "ring", "full"]

MODES: dict[Mode, str] = {
    "off": "nothing is recorded",
    "ring": "the newest messages are kept",
    "full": "all messages are kept, up to tap.keep",
}
"""The modes, each in a few words."""


class TapOfNode(msgspec.Struct, frozen=True):
    """What `tap` has done at one node.

    mode: the one that is ordered
    note: why it is not in force there yet; empty: it is
    """

    node: NodeId
    mode: Mode
    note: str = ""


def parse_mode(text: str) -> Mode:
    """The mode that a word means. Raises UsageError."""
    for mode in MODES:
        if text.lower() == mode:
            return mode
    raise UsageError(f"tap takes off, ring or full, not {shown(text)}")
