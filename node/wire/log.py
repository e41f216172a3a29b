"""Entries of a log as they are shown: index, term, kind, and the beginning of each command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from node.errors import WireError
from node.raft import membership as memberships
from node.raft.messages import COMMANDS, CONFIGURATION, NOOP, Batch
from node.wire.client import split_submits

EntryKind: TypeAlias = Literal["command", "no-op", "tick", "configuration"]

MOST_BEGINNING_BYTES = 64
"""At most this much of a command is shown."""

MOST_READ_BYTES = 8 << 20
"""At most this much of a log is decoded for one answer, and whatever batch crosses it."""


class LogEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One entry.

    text: the beginning of the command, or the membership; None where it was too much to read
    size: how many bytes the command has; 0 where it was not read
    """

    index: int
    term: int
    kind: EntryKind
    text: bytes | None = None
    size: int = 0


def entries_of(
    batches: Iterable[Batch], first_index: int, most_entries: int, most_bytes: int
) -> list[LogEntry]:
    """The entries of these batches from `first_index` on.

    most_entries: no more entries
    most_bytes: no more of their text; further entries come without it
    """
    entries: list[LogEntry] = []
    read = shown = 0
    for batch in batches:
        if len(entries) >= most_entries:
            break
        if batch.last_index < first_index:
            continue
        kind, texts = _texts(batch) if read < MOST_READ_BYTES else (_kind(batch), ())
        read += len(batch.data)
        start = max(first_index, batch.first_index)
        for index in range(start, min(batch.last_index, start + most_entries - 1) + 1):
            position = index - batch.first_index
            text = texts[position] if position < len(texts) else None
            beginning = None if text is None else text[:MOST_BEGINNING_BYTES]
            shown += len(beginning or b"")
            if beginning is None or shown > most_bytes:
                entries.append(LogEntry(index, batch.term, kind))
            else:
                entries.append(LogEntry(index, batch.term, kind, beginning, len(text or b"")))
    return entries[:most_entries]


def _kind(batch: Batch) -> EntryKind:
    if batch.kind is COMMANDS:
        return "command"
    if batch.kind is CONFIGURATION:
        return "configuration"
    return "no-op" if batch.kind is NOOP else "tick"


def _texts(batch: Batch) -> tuple[EntryKind, Sequence[bytes]]:
    """What is in the batch's entries; nothing where its data makes no sense, as nodes skip that."""
    kind = _kind(batch)
    try:
        if kind == "command":
            submits = split_submits(batch.data)
            return kind, [command for submit in submits for command in submit.commands]
        if kind == "configuration":
            return kind, [_of_membership(batch.data)]
    except (WireError, msgspec.MsgspecError):
        return kind, ()
    return kind, (b"",) * batch.count


def _of_membership(data: bytes) -> bytes:
    membership = memberships.decode(data)
    parts = [("voters", membership.voters)]
    if membership.outgoing:
        parts.append(("and of before", membership.outgoing))
    learners = [node for node in membership.target if node not in membership.voters]
    if learners:
        parts.append(("learners", tuple(learners)))
    said = (f"{name} {', '.join(f'n{node}' for node in ids)}" for name, ids in parts)
    return "; ".join(said).encode()
