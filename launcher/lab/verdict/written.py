"""What nodes wrote into their logs: every record, also of entries that were replaced later.

A segment is read as recovery reads it (`node/storage/segment.py`), but nothing is refused. What can
be read is told, and what is missing shows as a gap in the records' numbers. Nothing is changed.

A node whose data was removed on purpose (`rebuild`) begins a new log, with segment 1. Each such log
is a `Book` of its own. A node's lives are counted through all of them, and so they are told apart.

A copy of a segment is called `0000000003.life-2-1a2b3c4d.wal`: its number, and the life of the node
in which it was begun. The files of the node itself are called `0000000003.wal`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from node.errors import StorageError
from node.raft.messages import Batch, NodeId
from node.storage.disk import OsDisk
from node.storage.lives import Founding, Life
from node.storage.segment import (
    Header,
    Segment,
    owner_of,
    read_record,
    read_segment,
)
from node.storage.snapshots import DamagedSnapshot, SnapshotReader, Stands, snapshot_index

OWNER_BYTES = 4096
"""More than any segment's header takes."""

_NAME = re.compile(r"[0-9]{10}(\.life-[0-9]+-[0-9a-f]+)?\.wal")


class Record(msgspec.Struct, frozen=True, gc=False):
    """One append of a node.

    life: the number of the node's start that wrote it
    term, voted_for: in force from this record on
    """

    sequence: int
    life: int
    term: int
    voted_for: NodeId | None
    batches: tuple[Batch, ...]


class Piece(msgspec.Struct):
    """One segment.

    life: in which it was begun
    sequence: of its header; that of the first record is the next
    last_index: of the log where the segment begins
    is_beginning: the log has no entries before it: it is the first segment, or a snapshot has taken
        the place of all of them
    """

    number: int
    life: Life
    sequence: int
    last_index: int
    is_beginning: bool
    records: list[Record]


class Book(msgspec.Struct):
    """One log of a node, from its first segment that is there.

    node: whose it is
    pieces: in the order in which they were written
    """

    node: NodeId
    pieces: list[Piece]


class Kept(msgspec.Struct):
    """What is kept of a node's files.

    founding: with what its cluster began, as its log tells; None when nothing tells
    snapshots: those that are intact
    problems: files that cannot be read, a line each
    """

    node: NodeId
    books: list[Book]
    snapshots: list[Stands]
    problems: list[str]
    founding: Founding | None = None


def node_folders(folder: Path) -> dict[NodeId, Path]:
    """The folders `node-N` in a folder, by the node."""
    found = {}
    for path in folder.glob("node-*") if folder.is_dir() else ():
        number = path.name.removeprefix("node-")
        if number.isdigit() and path.is_dir():
            found[int(number)] = path
    return dict(sorted(found.items()))


def read_node(node: NodeId, folders: Iterable[Path]) -> Kept:
    """Reads what is kept of a node, in several folders."""
    kept = Kept(node, [], [], [])
    shared: dict[tuple[int, int], Batch] = {}
    pieces: dict[tuple[int, Life], Piece] = {}
    snapshots: dict[bytes, Stands] = {}
    for folder in folders:
        for piece in _pieces(folder, shared, kept):
            key = piece.number, piece.life
            known = pieces.get(key)
            if known is None or len(known.records) < len(piece.records):
                pieces[key] = piece
        for stands in _snapshots(folder, kept.problems):
            snapshots[msgspec.msgpack.encode(stands)] = stands
    kept.books = _books(node, pieces.values())
    kept.snapshots = list(snapshots.values())
    return kept


def _books(node: NodeId, pieces: Iterable[Piece]) -> list[Book]:
    books: list[Book] = []
    for piece in sorted(pieces, key=lambda one: (one.life.number, one.sequence)):
        if not books or piece.number <= books[-1].pieces[-1].number:
            books.append(Book(node, []))
        books[-1].pieces.append(piece)
    return books


def copy_name(header: Header) -> str:
    """What the copy of a segment is called."""
    life = header.state.life
    return f"{header.number:010d}.life-{life.number}-{life.token:08x}.wal"


def header_of(data: bytes, name: str) -> Header | None:
    """The header of a segment that begins with these bytes; None where there is none."""
    start = data[:OWNER_BYTES]
    owner = owner_of(start)
    if owner is None:
        return None
    try:
        return read_segment(name, start, owner).header
    except StorageError:
        return None


def _pieces(folder: Path, shared: dict[tuple[int, int], Batch], kept: Kept) -> Iterator[Piece]:
    problems = kept.problems
    for path in sorted(folder.glob("*.wal")):
        if not _NAME.fullmatch(path.name):
            continue
        try:
            data = path.read_bytes()
            owner = owner_of(data[:OWNER_BYTES])
            if owner is None:
                problems.append(f"{_named(path)}: the segment's header is not intact")
                continue
            segment = read_segment(f"{path.name[:10]}.wal", data, owner)
        except OSError as error:
            problems.append(f"{_named(path)}: {error.strerror}")
        except StorageError as error:
            problems.append(f"{_named(path)}: {error}")
        else:
            kept.founding = owner.founding or kept.founding
            yield _piece(segment, shared, _named(path), problems)


def _piece(
    segment: Segment, shared: dict[tuple[int, int], Batch], name: str, problems: list[str]
) -> Piece:
    header = segment.header
    records = []
    for number, (offset, end) in enumerate(segment.records, header.sequence + 1):
        try:
            state, batches = read_record(segment, offset, end)
        except ValueError as error:
            problems.append(f"{name}, byte {offset}: {error}")
            break
        same = tuple(_once(batch, shared) for batch in batches)
        vote = state.hard_state
        records.append(Record(number, state.life.number, vote.current_term, vote.voted_for, same))
    begins = header.number == 1 or header.state.first_segment == header.number
    life = header.state.life
    return Piece(header.number, life, header.sequence, header.last_index, begins, records)


def _once(batch: Batch, shared: dict[tuple[int, int], Batch]) -> Batch:
    """The batch, or an equal one that is in memory already."""
    known = shared.setdefault((batch.first_index, batch.term), batch)
    return known if known == batch else batch


def _snapshots(folder: Path, problems: list[str]) -> Iterator[Stands]:
    disk = OsDisk(folder)
    for path in sorted(folder.glob("*.snapshot")):
        if snapshot_index(path.name) is None:
            continue
        try:
            reader = SnapshotReader(disk.open(path.name))
            try:
                yield reader.verify()[1]
            finally:
                reader.close()
        except DamagedSnapshot as error:
            problems.append(f"{_named(path)}: {error}")
        except OSError as error:
            problems.append(f"{_named(path)}: {error.strerror}")


def _named(path: Path) -> str:
    return "/".join(path.parts[-3:])
