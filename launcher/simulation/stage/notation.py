"""How a transcript writes messages, entries, events and logs: short, and the same every time.

`3@2` is the entry at index 3, of term 2. `3@2:x` adds its command, `x`. `3..5@2:x,y,z` is a batch
of three entries. `4@2:voters=1,2,3` is a configuration, with `target=` while there are learners,
and with `outgoing=` while it is joint. The table of logs is that of `launcher/log_table.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.raft import membership
from node.raft.messages import (
    CONFIGURATION,
    NOOP,
    TICK,
    AppendEntries,
    AppendEntriesReply,
    Batch,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Message,
    NodeId,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    Snapshot,
    TimeoutNow,
)
from node.raft.ready import Note, Ready

ROUNDS = (AppendEntries, AppendEntriesReply, InstallSnapshot, InstallSnapshotReply)
"""The messages with a round."""

SERVER_FIELDS = {
    "candidate",
    "leader",
    "target",
    "votes",
    "peer",
    "voters",
    "outgoing",
    "learners",
    "by",
    "heard",
    "yes",
    "no",
    "silent",
    "promised",
    "voted_for",
}
"""The fields of events that name servers."""


def of_batch(batch: Batch) -> str:
    """Index, term and commands: `3@2:x`."""
    first, last = batch.first_index, batch.last_index
    span = f"{first}@{batch.term}" if first == last else f"{first}..{last}@{batch.term}"
    if batch.kind is NOOP:
        return f"{span}:no-op"
    if batch.kind is TICK:
        return f"{span}:tick"
    if batch.kind is CONFIGURATION:
        return f"{span}:{_of_membership(membership.decode(batch.data))}"
    data = batch.data.decode("utf-8", "replace")
    return span if data == span else f"{span}:{','.join(data.split())}"


def _of_membership(members: Membership) -> str:
    parts = {"voters": members.voters}
    if members.target != members.voters:
        parts["target"] = members.target
    if members.outgoing:
        parts["outgoing"] = members.outgoing
    return ";".join(f"{name}={','.join(map(str, ids))}" for name, ids in parts.items())


def of_batches(batches: Iterable[Batch]) -> str:
    """Batches, in brackets."""
    return f"[{' '.join(of_batch(batch) for batch in batches)}]"


def of_message(message: Message) -> str:
    """A message with its fields."""
    match message:
        case RequestVote():
            words = [f"last={message.last_log_index}@{message.last_log_term}"]
            words += ["pre-vote"] * message.pre_vote
            words += ["transfer"] * message.leadership_transfer
        case RequestVoteReply():
            words = ["granted" if message.vote_granted else "denied"]
            words += ["pre-vote"] * message.pre_vote
        case AppendEntries():
            words = [
                f"prev={message.prev_log_index}@{message.prev_log_term}",
                f"entries={of_batches(message.batches)}",
                f"commit={message.leader_commit}",
            ]
        case AppendEntriesReply() if message.success:
            words = [f"success match={message.match_index}"]
        case AppendEntriesReply():
            words = [f"refused prev={message.prev_log_index}"]
            words += [f"hint={message.hint_index}@{message.hint_term}"]
        case InstallSnapshot():
            words = [of_snapshot(message.snapshot), f"bytes={_span(message)}"]
        case InstallSnapshotReply():
            words = [f"of={message.last_included_index}"]
            words += ["installed" if message.installed else f"bytes={message.offset}"]
        case TimeoutNow():
            words = []
        case ReadIndex():
            words = [f"ticket={message.ticket}"]
        case ReadIndexReply():
            words = [f"ticket={message.ticket}", f"index={message.index}"]
    if isinstance(message, ROUNDS) and message.round:
        words.append(f"round={message.round}")
    return " ".join([type(message).__name__, f"term={message.term}", *words])


def of_snapshot(snapshot: Snapshot) -> str:
    """The last entry that it covers: `snapshot=5@2`."""
    return f"snapshot={snapshot.last_included_index}@{snapshot.last_included_term}"


def _span(message: InstallSnapshot) -> str:
    return f"{message.offset}..{message.offset + len(message.data)}/{message.snapshot.size}"


def of_note(note: Note, names: Mapping[NodeId, str]) -> str:
    """A core's event with its level, its term and its fields."""
    words = [f"{note.level} {note.event} term={note.term}"]
    if note.event == "commit.advanced":
        words.append(f"commit={note.commit}")
    for key, value in note.fields.items():
        match value:
            case bool():
                text = "yes" if value else "no"
            case list():
                named = (names[one] if key in SERVER_FIELDS else str(one) for one in value)
                text = ",".join(named) or "none"
            case int() if key in SERVER_FIELDS:
                text = names[value]
            case str() if " " in value:
                text = f'"{value}"'
            case _:
                text = str(value)
        words.append(f"{key}={text}")
    return " ".join(words)


def of_write(ready: Ready, last_index: int, names: Mapping[NodeId, str]) -> str:
    """What a Ready puts on a disk whose log ends at `last_index`."""
    words = []
    if ready.snapshot is not None:
        words.append(f"{of_snapshot(ready.snapshot)} in the place of all")
    if ready.hard_state is not None:
        voted_for = ready.hard_state.voted_for
        vote = "none" if voted_for is None else names[voted_for]
        words.append(f"term={ready.hard_state.current_term} vote={vote}")
    if ready.batches:
        words.append(f"entries={of_batches(ready.batches)}")
        first = ready.batches[0].first_index
        if first <= last_index:
            words.append(f"in the place of {first}..{last_index}")
    return " ".join(words)
