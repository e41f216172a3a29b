"""The state of a script: its servers, its transcript, and the words that name servers and messages.

`commands.py` and `expectations.py` work on a `Play`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from launcher.log_table import Row
from launcher.simulation.stage import notation, words
from launcher.simulation.stage.cores import Network, Stored, Witness, terms_of
from launcher.simulation.stage.words import Link, Unmet, Words, Wrong
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
from node.raft.ready import Note, Ready

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
"""The words for messages in flight. The last three are special cases of the others."""


@dataclass(frozen=True)
class Selection:
    """Some messages in flight.

    which: all, or only one: the first (`one`) or the last one
    kind: one of `KINDS`; None for any
    sender, to: None for any server
    """

    which: str
    kind: str | None
    sender: NodeId | None
    to: NodeId | None

    def holds(self, mail: Mail) -> bool:
        """Whether a message in flight is selected, apart from `which`."""
        sender, to, message = mail
        return (
            (self.sender is None or self.sender == sender)
            and (self.to is None or self.to == to)
            and (self.kind is None or KINDS[self.kind](message))
        )


class Play(Witness):
    """The servers of a script, as the `Witness` that writes its transcript.

    told: the lines that the current command has caused so far
    moved: a command has done more than set the stage
    delayed: messages that wait for `release`
    reads: how many reads have been asked for
    answers: the index at which each read was answered, by its number
    refusal: the class of the last refusal
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
        """The servers, once `start` has made some."""
        assert self.network is not None
        return self.network

    def tell(self, text: str) -> None:
        """Adds a line to the transcript."""
        self.told.append(text)

    # -- the Witness port ------------------------------------------------------------------------

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
        """The server with this name. Raises Wrong if there is none."""
        return words.server(word, self.names)

    def servers(self, word: str) -> list[NodeId]:
        """The servers of a list with commas, or all running ones for `all`."""
        if word == "all":
            if not self.net.servers:
                raise Wrong("no server runs")
            return list(self.net.servers)
        return [self.server(one) for one in word.split(",")]

    def running(self, word: str) -> NodeId:
        """The server with this name. Raises Wrong if it is down."""
        node_id = self.server(word)
        if node_id not in self.net.servers:
            raise Wrong(f"{self.names[node_id]} is down")
        return node_id

    def links(self, chosen: Words) -> set[Link]:
        """The directed links that words name: `1|2,3` means both directions, `1->2` one."""
        return words.links(chosen, self.servers)

    def selection(self, words: Words) -> Selection:
        """The selection that words describe: `[one|last] [KIND] [from S] [to S]`."""
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
        """The positions of the selected messages in the mail. Raises Unmet if there are none."""
        chosen = self.selection(words)
        found = [at for at, mail in enumerate(self.net.mail) if chosen.holds(mail)]
        if not found:
            mail = [f"{self.names[a]} -> {self.names[b]} {type(m).__name__}"
                    for a, b, m in self.net.mail]  # fmt: skip
            raise Unmet(f"no such message is in flight, but {'; '.join(mail) or 'none'}")
        return {"all": found, "one": found[:1], "last": found[-1:]}[chosen.which]

    def node_ids(self, word: str) -> tuple[NodeId, ...]:
        """The servers of a list with commas, sorted; none for `none`."""
        return () if word == "none" else tuple(sorted(set(self.servers(word))))

    def listed(self, node_ids: Iterable[NodeId]) -> str:
        """The names of servers with commas; `none` when there are none."""
        return ",".join(self.names[node_id] for node_id in node_ids) or "none"

    # -- the state of a server -------------------------------------------------------------------

    def vote_of(self, voted_for: NodeId | None) -> str:
        """The name of the server that a vote went to, or `none`."""
        return "none" if voted_for is None else self.names[voted_for]

    def row(self, node_id: NodeId) -> Row:
        """The row of a server in the table of all logs."""
        server, disk = self.net.servers.get(node_id), self.net.disks[node_id]
        name = self.names[node_id]
        if server is None:
            hard_state = disk.hard_state
            vote = self.vote_of(hard_state.voted_for)
            terms = terms_of(disk.batches)
            base = disk.snapshot.last_included_index if disk.snapshot else 0
            return Row(name, "down", hard_state.current_term, vote, 0, terms, base)
        state = server.raft.state
        role = "pre-vote" if state.pre_vote else state.role.value
        vote, terms = self.vote_of(state.voted_for), self.net.log_terms(node_id)
        base, term = state.log.base_index, state.current_term
        return Row(name, role, term, vote, state.commit_index, terms, base)
