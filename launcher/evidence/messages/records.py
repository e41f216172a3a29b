"""One record of a tap file, out of the file's bytes; and the event that it is. Pure."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from launcher.timeline.events import Event, with_fields
from node import wire
from node.errors import WireError
from node.raft.messages import InstallSnapshot, Message
from node.tap.fields import fields_of, type_of
from node.tap.format import (
    BODY_AT,
    CAUSES,
    DELAYED,
    DUPLICATED,
    EVENT,
    INWARD,
    KINDS,
    LOST,
    MARK,
    RECEIVED,
    RECORD,
    ROLES,
    SENT,
    Head,
    chunk_bytes,
)


class Damaged(Exception):
    """What stands in the file is no record."""


class Record(NamedTuple):
    """One record, as it is in the file (`node/tap/format.py`), with the head of its file."""

    head: Head
    kind: int
    role: int
    cause: int
    peer: int
    size: int
    t: int
    term: int
    commit: int
    detail: int
    fault: int
    body: bytes


def record_at(data: bytes, position: int, head: Head) -> tuple[Record, int] | None:
    """The record that begins at this position, and where the next one does.

    None: it is not written yet, or `data` ends before it does. Raises Damaged.
    """
    if position + BODY_AT > len(data) or data[position] == 0:
        return None
    mark, kind, role, cause, length, *fields, body_bytes = RECORD.unpack_from(data, position)
    if mark != MARK or length < BODY_AT or length % 8 or length > head.capacity:
        raise Damaged("what stands there is no record")
    if position + length > len(data):
        return None
    size = BODY_AT + body_bytes
    known = kind in KINDS or kind == EVENT
    if size + (-size & 7) != length or not known or role >= len(ROLES) or cause >= len(CAUSES):
        raise Damaged("a record contradicts itself")
    body = data[position + BODY_AT : position + size]
    return Record._make((head, kind, role, cause, *fields, body)), position + length


def is_cut(data: bytes, position: int) -> bool:
    """Whether `data`, the end of a file, ends within the record that begins at this position."""
    rest = len(data) - position
    if rest <= 0 or data[position] == 0:
        return False
    return rest < BODY_AT or RECORD.unpack_from(data, position)[4] > rest


def message_of(record: Record) -> tuple[int, Message]:
    """The time that a message carries, and the message, without the data in it. Raises Damaged."""
    try:
        return wire.decode_rpc(record.body)
    except WireError as error:
        raise Damaged(str(error)) from error


def event_of(record: Record) -> Event:
    """The record as an event. Raises Damaged."""
    head = record.head
    if record.kind == EVENT:
        try:
            name, level, fields = _event_decoder.decode(record.body)
        except msgspec.DecodeError as error:
            raise Damaged(str(error)) from error
        return _event(record, record.t, name, level, fields)
    name = KINDS[record.kind]
    inward = record.kind == RECEIVED or (record.kind == LOST and record.detail == INWARD)
    ends: dict[str, object] = {"from": record.peer} if inward else {"to": record.peer}
    if record.kind == LOST:
        here, there = head.node, record.peer
        ends = {"from": there, "to": here} if inward else {"from": here, "to": there}
    if record.kind == LOST and CAUSES[record.cause] == "invalid":
        more = {"sent_t": None, "why": "invalid", "fault": None, "bytes": record.size}
        return _event(record, record.t, name, "debug", {**ends, **more})
    sent_t, message = message_of(record)
    fields = ends | _fate(record, sent_t)
    fields |= {"type": type_of(message), "bytes": record.size, "message": _fields(record, message)}
    t = max(record.t, sent_t + 1) if inward else record.t
    return _event(record, t, name, "debug", fields)


def _fate(record: Record, sent_t: int) -> dict[str, object]:
    """What became of a message: the fields of its event beside those of the message."""
    if record.kind == SENT:
        return {}
    if record.kind == RECEIVED:
        return {"sent_t": sent_t}
    fate: dict[str, object] = {"sent_t": sent_t, "fault": record.fault or None}
    if record.kind == LOST:
        fate["why"] = CAUSES[record.cause]
    elif record.kind == DELAYED:
        fate["delay_s"] = record.detail / 1e6
    elif record.kind == DUPLICATED:
        fate["copies"] = record.detail
    return fate


def _fields(record: Record, message: Message) -> dict[str, object]:
    fields = fields_of(message)
    if isinstance(message, InstallSnapshot) and record.size > len(record.body):
        try:
            fields["chunk"] = chunk_bytes(record.size, record.body)
        except WireError as error:
            raise Damaged(str(error)) from error
    return fields


def _event(record: Record, t: int, name: str, level: str, fields: dict[str, object]) -> Event:
    head, role = record.head, ROLES[record.role]
    event = Event(t, head.node, head.life, record.term, role, record.commit, level, name)
    return with_fields(event, fields)


_event_decoder = msgspec.msgpack.Decoder(tuple[str, str, dict[str, object]])
