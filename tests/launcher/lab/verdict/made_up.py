"""Evidence that is made up: logs, events and histories as a run would have left them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from launcher.lab.history import Done, Outcome
from launcher.lab.verdict.chain import committed_chain
from launcher.lab.verdict.figure3 import Nodes
from launcher.lab.verdict.replay import Replay
from launcher.lab.verdict.seen import Seen, see
from launcher.lab.verdict.written import Book, Piece, Record
from launcher.timeline.events import parse_line
from node.machines.sessions import session_id
from node.raft import membership
from node.raft.messages import COMMANDS, CONFIGURATION, NOOP, Batch, Membership
from node.server.digest import running_digest
from node.storage.lives import Life
from node.wire import Submit, encode_client, join_submits


def noop(index: int, term: int) -> Batch:
    return Batch(index, term, NOOP, 1, b"")


def configuration(index: int, term: int, one: Membership) -> Batch:
    return Batch(index, term, CONFIGURATION, 1, membership.encode(one))


def request(sequence: int, *commands: str, client: bytes = b"c", lowest: int = 1) -> Submit:
    return Submit(session_id(0, client), sequence, lowest, [one.encode() for one in commands])


def commands(index: int, term: int, *requests: Submit, time_us: int = 0) -> Batch:
    count = sum(len(one.commands) for one in requests)
    data = join_submits([encode_client(one) for one in requests])
    return Batch(index, term, COMMANDS, count, data, time_us)


def record(term: int, vote: int | None, *batches: Batch, life: int = 1) -> Record:
    """Without its number, which `book` gives it."""
    return Record(0, life, term, vote, batches)


def book(node: int, *records: Record, first: int = 0) -> Book:
    """A log in one segment. first: the index before its first entry, for one that begins later"""
    numbered = [
        Record(number, one.life, one.term, one.voted_for, one.batches)
        for number, one in enumerate(records, 2)
    ]
    return Book(node, [Piece(1, Life(1, node), 1, first, True, numbered)])


def event(node: int, name: str, term: int = 1, commit: int = 0, **fields: object) -> str:
    life = fields.pop("life", 1)
    t = fields.pop("t", 0)
    record = {
        "t": t, "node": node, "life": life, "term": term, "role": "leader", "commit": commit,
        "level": "info", "event": name, **fields,
    }  # fmt: skip
    return json.dumps(record)


def elected(node: int, term: int, commit: int = 0, **fields: object) -> str:
    return event(node, "leader.elected", term, commit, **fields)


def seen(lines: Iterable[str]) -> Seen:
    events = [parse_line(line.encode()) for line in lines]
    assert None not in events
    return see(one for one in events if one is not None)


def nodes(books: Iterable[Book], lines: Iterable[str]) -> Nodes:
    told = seen(lines)
    replay = Replay(books, told.leaders_and_floors())
    return Nodes({}, told, replay, committed_chain(replay.ends, replay.by_end, told.claims))


def digest_of(batches: Sequence[Batch]) -> str:
    digest = b""
    for one in batches:
        digest = running_digest(digest, one)
    return digest.hex()


def wrote(
    number: int, command: str, index: int | None, *, outcome: Outcome = "ok", process: int = 1
) -> Done:
    """An operation that appends something, in the second of its number."""
    begun = number * 1_000_000_000
    return Done(
        process=process,
        id=number,
        f="write",
        value={"command": command},
        command=command,
        outcome=outcome,
        invoked=begun,
        completed=None if outcome == "info" else begun + 1000,
        result="ok" if outcome == "ok" else None,
        index=index,
    )


def write_events(folder: Path, by_node: dict[int, list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for node, lines in by_node.items():
        name = f"node-{node}.jsonl" if node else "supervisor.jsonl"
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
