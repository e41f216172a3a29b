"""A script's servers, what has been told of them, and the words that name them.

`script.py` has the commands, `expectations.py` what must be so; both read their words here, and
both say what is wrong with them by `Wrong` and `Unmet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from launcher.simulation.stage import notation
from launcher.simulation.stage.cores import Network, Stored, Witness, terms_of
from launcher.simulation.stage.words import Unmet, Words, Wrong
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Batch,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    NodeId,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from node.raft.state import Note, Ready

Mail: TypeAlias = tuple[NodeId, NodeId, Message]

KINDS: dict[str, Callable[[Message], bool]] = {
    "RequestVote": lambda message: isinstance(message, RequestVote),
    "RequestVoteReply": lambda message: isinstance(message, RequestVoteReply),
    "AppendEntries": lambda message: isinstance(message, AppendEntries),
    "AppendEntriesReply": lambda message: isinstance(message, AppendEntriesReply),
    "TimeoutNow": lambda message: isinstance(message, TimeoutNow),
    "InstallSnapshot": lambda message: isinstance(message, InstallSnapshot),
    "InstallSnapshotReply": lambda message: isinstance(message, InstallSnapshotReply),
    "ReadIndex": lambda message: isinstance(message, ReadIndex),
    "ReadIndexReply": lambda message: isinstance(message, ReadIndexReply),
    "PreVote": lambda message: isinstance(message, RequestVote) and message.pre_vote,
    "PreVoteReply": lambda message: isinstance(message, RequestVoteReply) and message.pre_vote,
    "Heartbeat": lambda message: isinstance(message, AppendEntries) and not message.batches,
}
"""The words for what is in flight; the last three are uses of the first ones."""


@dataclass(frozen=True)
class Selection:
    """Which messages: of `kind`, on some links, and how many of them."""

    which: str
    kind: str | None
    sender: NodeId | None
    to: NodeId | None

    def holds(self, mail: Mail) -> bool:
        """Whether this message in flight is one."""
        sender, to, message = mail
        return (
            (self.sender is None or self.sender == sender)
            and (self.to is None or self.to == to)
            and (self.kind is None or KINDS[self.kind](message))
        )


class Play(Witness):
    """A script's servers, and what is told of them.

    told: the lines that the command has caused so far
    moved: whether anything has happened; before that the stage may be set
    delayed: messages that are in flight but out of reach
    reads: how many have been asked for; `answers` has the index that each was answered at
    refusal: what the last request was refused with
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.told: list[str] = []
        self.network: Network | None = None
        self.moved = False
        self.names: dict[NodeId, str] = {}
        self.delayed: list[Mail] = []
        self.reads = 0
        self.answers: dict[int, int] = {}
        self.refusal: str | None = None

    @property
    def net(self) -> Network:
        """The servers; there are some since `start`."""
        assert self.network is not None
        return self.network

    def tell(self, text: str) -> None:
        """One more line of the transcript."""
        self.told.append(text)

    # -- what the network tells ------------------------------------------------------------------

    def noted(self, node_id: NodeId, note: Note) -> None:
        self.tell(f"{self.names[node_id]} {notation.of_note(note, self.names)}")

    def sent(self, sender: NodeId, to: NodeId, message: Message) -> None:
        self.tell(f"{self.names[sender]} -> {self.names[to]} {notation.of_message(message)}")

    def delivered(self, sender: NodeId, to: NodeId, message: Message) -> None:
        self.tell(f"{self.names[to]} <- {self.names[sender]} {notation.of_message(message)}")

    def lost(self, sender: NodeId, to: NodeId, message: Message, reason: str) -> None:
        link = f"{self.names[sender]} -x {self.names[to]}"
        self.tell(f"{link} {notation.of_message(message)} ({reason})")

    def persisted(self, node_id: NodeId, ready: Ready, stored: Stored) -> None:
        last_index = stored.batches[-1].last_index if stored.batches else 0
        written = notation.of_write(ready, last_index, self.names)
        self.tell(f"{self.names[node_id]} persists {written}")

    def applied(self, node_id: NodeId, batch: Batch) -> None:
        self.tell(f"{self.names[node_id]} applies {notation.of_batch(batch)}")

    def read(self, node_id: NodeId, index: int, contexts: list[int]) -> None:
        for context in contexts:
            self.answers[context] = index
            self.tell(f"{self.names[node_id]} answers read {context} at index {index}")

    def elapsed(self, now: float) -> None:
        self.tell(f"at {now:.3f} s")

    # -- words -----------------------------------------------------------------------------------

    def server(self, word: str) -> NodeId:
        """A server that there is."""
        for node_id, name in self.names.items():
            if word in (name, str(node_id), f"S{node_id}"):
                return node_id
        raise Wrong(f"no server {word!r}; there are {', '.join(self.names.values())}")

    def servers(self, word: str) -> list[NodeId]:
        """Some servers, or `all` that run."""
        if word == "all":
            if not self.net.servers:
                raise Wrong("none runs")
            return list(self.net.servers)
        return [self.server(one) for one in word.split(",")]

    def running(self, word: str) -> NodeId:
        """A server that is up."""
        node_id = self.server(word)
        if node_id not in self.net.servers:
            raise Wrong(f"{self.names[node_id]} is down")
        return node_id

    def links(self, words: Words) -> set[tuple[NodeId, NodeId]]:
        """`1|2,3` is both ways, `1->2` one."""
        links: set[tuple[NodeId, NodeId]] = set()
        for word in words:
            if "->" in word:
                left, _, right = word.partition("->")
                links |= {(a, b) for a in self.servers(left) for b in self.servers(right)}
            elif "|" in word:
                sides = [self.servers(side) for side in word.split("|")]
                links |= {
                    (a, b) for one in sides for other in sides if one != other
                    for a in one for b in other
                }  # fmt: skip
            else:
                raise Wrong(f"{word!r} names no link")
        return {(a, b) for a, b in links if a != b}

    def selection(self, words: Words) -> Selection:
        """Of the messages in flight."""
        rest = list(words)
        which = rest.pop(0) if rest and rest[0] in {"one", "last"} else "all"
        kind = rest.pop(0) if rest and rest[0] in KINDS else None
        ends: dict[str, NodeId] = {}
        while len(rest) >= 2 and rest[0] in {"from", "to"}:
            end, server, *rest = rest
            ends[end] = self.server(server)
        if rest:
            raise Wrong(f"cannot make sense of {rest[0]!r}; KIND is {', '.join(KINDS)}")
        return Selection(which, kind, ends.get("from"), ends.get("to"))

    def positions(self, words: Words) -> list[int]:
        """Where in the mail the chosen messages are; there must be one."""
        chosen = self.selection(words)
        found = [at for at, mail in enumerate(self.net.mail) if chosen.holds(mail)]
        if not found:
            mail = [f"{self.names[a]} -> {self.names[b]} {type(m).__name__}"
                    for a, b, m in self.net.mail]  # fmt: skip
            raise Unmet(f"no such message is in flight, but {'; '.join(mail) or 'none'}")
        return {"all": found, "one": found[:1], "last": found[-1:]}[chosen.which]

    def node_ids(self, word: str) -> tuple[NodeId, ...]:
        """Some servers, or `none`, in the order of their numbers."""
        return () if word == "none" else tuple(sorted(set(self.servers(word))))

    def listed(self, node_ids: Iterable[NodeId]) -> str:
        """Their names with commas; `none` when there are none."""
        return ",".join(self.names[node_id] for node_id in node_ids) or "none"

    # -- what is so ------------------------------------------------------------------------------

    def vote_of(self, voted_for: NodeId | None) -> str:
        """Whom a vote went to."""
        return "none" if voted_for is None else self.names[voted_for]

    def row(self, node_id: NodeId) -> notation.Row:
        """One server, for the table of all logs."""
        server, disk = self.net.servers.get(node_id), self.net.disks[node_id]
        name = self.names[node_id]
        if server is None:
            hard_state = disk.hard_state
            vote = self.vote_of(hard_state.voted_for)
            terms = terms_of(disk.batches)
            base = disk.snapshot.last_included_index if disk.snapshot else 0
            return notation.Row(name, "down", hard_state.current_term, vote, 0, terms, base)
        state = server.raft.state
        role = "pre-vote" if state.pre_vote else state.role.value
        vote, terms = self.vote_of(state.voted_for), self.net.log_terms(node_id)
        base, term = state.log.base_index, state.current_term
        return notation.Row(name, role, term, vote, state.commit_index, terms, base)
