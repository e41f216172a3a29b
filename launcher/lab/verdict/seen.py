"""What the processes of a cluster have told in their event logs, as far as a verdict needs it.

`Seen.take` is given each event once, in order, and keeps only what is counted or compared, so that
a run of hours fits into memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from launcher.timeline.events import Event
from node.raft.messages import NodeId

Lived: TypeAlias = tuple[NodeId, int]
"""A node, and which of its lives."""

COUNTED = (
    "log.truncated",
    "snapshot.sent",
    "snapshot.resumed",
    "log.torn_tail_dropped",
    "transfer.aborted",
)
"""Events that are counted by their names."""


class Digest(msgspec.Struct, frozen=True):
    """What a node had applied up to an index.

    digest: the running hash of the entries; answers: that of the machine's answers
    """

    digest: str
    answers: str


class Ended(msgspec.Struct, frozen=True):
    """How a node's process ended, as the supervisor saw it."""

    node: NodeId
    life: int
    reason: str


class Seen:
    """All that is kept of the events.

    count: how many events there were; by name, for those in COUNTED and two more
    leaders: by term, who was elected in it, in which life
    votes: by node and term, whom the node voted for
    commits: by term, the largest commit index that a node told while it was in that term
    claims: by node, the largest commit index that it ever told
    digests: by index, what each node had applied up to there
    stepped_down: leaderships that ended without the death of the leader
    stopped: lives that ended in good order
    ends: how processes ended
    failures: why nodes failed by themselves
    machine_failures: what their machines raised
    violations: what the supervisor said of a broken property
    diverged: what it said of machines that answered differently
    lost_lines: of event logs: how many were damaged, or could not be written
    """

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.leaders: dict[int, dict[Lived, int]] = {}
        self.votes: dict[tuple[NodeId, int], set[NodeId]] = {}
        self.commits: dict[int, int] = {}
        self.claims: dict[NodeId, int] = {}
        self.digests: dict[int, dict[NodeId, set[Digest]]] = {}
        self.stepped_down: set[tuple[NodeId, int, int]] = set()
        self.stopped: set[Lived] = set()
        self.ends: list[Ended] = []
        self.failures: list[tuple[NodeId, int, str]] = []
        self.machine_failures: list[tuple[NodeId, int, str]] = []
        self.violations: list[str] = []
        self.diverged: list[str] = []
        self.lost_lines = 0

    @property
    def elections(self) -> list[tuple[int, int, NodeId]]:
        """When who was elected in which term: `(t, term, node)`."""
        return sorted(
            (t, term, node)
            for term, elected in self.leaders.items()
            for (node, _), t in elected.items()
        )

    def committed_before(self, term: int) -> int:
        """The last index that is known to have been committed in a term before this one."""
        return max((index for of, index in self.commits.items() if of < term), default=0)

    def leaders_and_floors(self) -> dict[tuple[NodeId, int], int]:
        """Each leader and its term, with what had been committed before that term."""
        floors: dict[tuple[NodeId, int], int] = {}
        terms = sorted(self.commits)
        position, committed = 0, 0
        for term in sorted(self.leaders):
            while position < len(terms) and terms[position] < term:
                committed = max(committed, self.commits[terms[position]])
                position += 1
            for node, _ in self.leaders[term]:
                floors[node, term] = committed
        return floors

    def take(self, event: Event) -> None:
        """The next event."""
        if event.node:
            self._take_commit(event)
        name = event.event
        if name in COUNTED:
            self.count[name] += 1
        elif name in _TAKEN:
            _TAKEN[name](self, event, event.fields)

    def _take_commit(self, event: Event) -> None:
        node, term, commit = event.node, event.term, event.commit
        if commit > self.claims.get(node, 0):
            self.claims[node] = commit
        if commit > self.commits.get(term, 0):
            self.commits[term] = commit

    def _digest(self, event: Event, fields: dict[str, object]) -> None:
        index, digest = fields.get("index"), fields.get("digest")
        if isinstance(index, int) and isinstance(digest, str):
            of_nodes = self.digests.setdefault(index, {})
            told = Digest(digest, str(fields.get("answers", "")))
            of_nodes.setdefault(event.node, set()).add(told)

    def _elected(self, event: Event, fields: dict[str, object]) -> None:
        self.leaders.setdefault(event.term, {})[event.node, event.life] = event.t

    def _voted(self, event: Event, fields: dict[str, object]) -> None:
        candidate = fields.get("candidate")
        if isinstance(candidate, int):
            self.votes.setdefault((event.node, event.term), set()).add(candidate)

    def _stepped_down(self, event: Event, fields: dict[str, object]) -> None:
        self.stepped_down.add((event.node, event.life, event.term))
        if "heard" in fields:
            self.count["leader.without_quorum"] += 1

    def _refused(self, event: Event, fields: dict[str, object]) -> None:
        if "candidate_index" in fields:
            self.count["vote.shorter_log"] += 1

    def _stopped(self, event: Event, fields: dict[str, object]) -> None:
        self.stopped.add((event.node, event.life))

    def _exited(self, event: Event, fields: dict[str, object]) -> None:
        node, life = fields.get("target"), fields.get("target_life")
        if isinstance(node, int) and isinstance(life, int):
            self.ends.append(Ended(node, life, str(fields.get("reason", ""))))

    def _failed(self, event: Event, fields: dict[str, object]) -> None:
        if event.node:
            self.failures.append((event.node, event.life, str(fields.get("reason", ""))))

    def _machine_failed(self, event: Event, fields: dict[str, object]) -> None:
        reason = str(fields.get("reason", "")).strip().splitlines()
        self.machine_failures.append((event.node, event.life, reason[-1] if reason else ""))

    def _violated(self, event: Event, fields: dict[str, object]) -> None:
        found = fields.get("found")
        said = [f"{name} {value}" for name, value in fields.items()]
        promise = f"{fields.get('promise', 'a promise')} is broken"
        self.violations.append(f"{promise}: {found}" if found else ", ".join(said))

    def _diverged(self, event: Event, fields: dict[str, object]) -> None:
        self.diverged.append(", ".join(f"{name} {value}" for name, value in fields.items()))

    def _log_lost(self, event: Event, fields: dict[str, object]) -> None:
        lines = fields.get("lines")
        self.lost_lines += lines if isinstance(lines, int) else 0


_TAKEN = {
    "applied.digest": Seen._digest,
    "leader.elected": Seen._elected,
    "vote.granted": Seen._voted,
    "leader.stepped_down": Seen._stepped_down,
    "vote.denied": Seen._refused,
    "prevote.denied": Seen._refused,
    "node.stopped": Seen._stopped,
    "node.exited": Seen._exited,
    "node.failed": Seen._failed,
    "machine.failed": Seen._machine_failed,
    "safety.violated": Seen._violated,
    "node.diverged": Seen._diverged,
    "log.lost": Seen._log_lost,
}
"""What takes the events that are more than counted."""


def see(events: Iterable[Event]) -> Seen:
    """What all these events tell."""
    seen = Seen()
    for event in events:
        seen.take(event)
    return seen
