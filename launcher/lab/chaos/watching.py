"""How the cluster is, ten times a second; and whether the budget was kept.

A run's folder gets `samples.jsonl`, one `Sample` a line, and `broken` finds the moment in it at
which no majority was left. It looks only at what the cluster said of itself, so it judges the
player by what it did rather than by what it meant. A node that died of itself counts like one that
was killed: chaos had armed it, or had to reckon with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from launcher.control.status import (
    FROZEN_FOR_SAFETY,
    ClusterStatus,
    LinkStatus,
    NodeState,
    NodeStatus,
)
from launcher.errors import LauncherError, NotRunning
from launcher.lab.chaos.budget import describe, holds, state_of
from launcher.lab.chaos.record import Lines, NowNs
from node.raft.messages import Membership, NodeId

INTERVAL_S = 0.1


class SampledNode(msgspec.Struct, frozen=True, omit_defaults=True):
    """One node at one moment; the fields are those of `NodeStatus`."""

    id: NodeId
    state: NodeState
    throttle: float | None = None
    disk: str = ""
    points: str = ""


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The cluster at one moment.

    t: nanoseconds since the epoch, from before the cluster was asked
    voters, outgoing: of the configuration in force; no voters: nobody knows who votes
    links: those that do something to their messages: source, target, what
    error: why there is no status; then all else is empty
    """

    t: int
    leader: NodeId | None = None
    term: int = 0
    commit: int = 0
    voters: list[NodeId] = []
    outgoing: list[NodeId] = []
    frozen: bool = False
    nodes: list[SampledNode] = []
    links: list[tuple[NodeId, NodeId, str]] = []
    error: str = ""


class Broken(msgspec.Struct, frozen=True):
    """The moment at which the budget was broken.

    t: of the sample, nanoseconds since the epoch
    why: what was missing
    """

    t: int
    why: str


def sample_of(status: ClusterStatus, t: int) -> Sample:
    """What is kept of a status. Nodes that the supervisor has frozen, because safety is violated,
    tell nothing of what chaos did."""
    if status.frozen_because == FROZEN_FOR_SAFETY:
        return Sample(t=t, error=FROZEN_FOR_SAFETY)
    membership = status.membership
    return Sample(
        t=t,
        leader=status.leader,
        term=status.term,
        commit=status.commit_index,
        voters=[] if membership is None else list(membership.voters),
        outgoing=[] if membership is None else list(membership.outgoing),
        frozen=status.frozen,
        nodes=[
            SampledNode(node.id, node.state, node.throttle, node.disk, node.points)
            for node in status.nodes
        ],
        links=[(link.source, link.target, link.does) for link in status.links],
    )


def broken(samples: Iterable[Sample]) -> Broken | None:
    """The first moment at which no majority was left that is up, unpaused, connected, and has disks
    that work; None when there is no such moment. Pure.

    A sample without a status, or in which nobody knows who votes, tells nothing.
    """
    for sample in samples:
        if (why := _missing(sample)) is not None:
            return Broken(sample.t, why)
    return None


def _missing(sample: Sample) -> str | None:
    if not sample.voters:
        return None
    status = ClusterStatus(
        cluster="",
        supervisor_pid=0,
        leader=sample.leader,
        term=sample.term,
        nodes=[
            NodeStatus(
                id=node.id,
                state=node.state,
                throttle=node.throttle,
                disk=node.disk,
                points=node.points,
            )
            for node in sample.nodes
        ],
        membership=Membership(tuple(sample.voters), tuple(sample.voters), tuple(sample.outgoing)),
        frozen=sample.frozen,
        links=[LinkStatus(*link) for link in sample.links],
    )
    state = state_of(status, strict=False)
    return None if holds(state) else describe(state)


def read(path: Path) -> list[Sample]:
    """The samples of a file; a last line that is torn is left out. Raises OSError, and
    msgspec.MsgspecError for a file that is damaged elsewhere."""
    lines = path.read_bytes().split(b"\n")
    return [msgspec.json.decode(line, type=Sample) for line in lines[:-1]]


class Sampler(threading.Thread):
    """Takes samples until `stop`.

    ask: returns the status; raises LauncherError
    found: the first moment at which the budget was broken
    trouble: why samples could not be written; empty while they could
    """

    def __init__(
        self, ask: Callable[[], ClusterStatus], now_ns: NowNs, path: Path | None = None
    ) -> None:
        super().__init__(name="sampler", daemon=True)
        self._ask = ask
        self._now_ns = now_ns
        self._lines = Lines(path)
        self._ends = threading.Event()
        self.taken = 0
        self.found: Broken | None = None
        self.trouble = ""
        self._is_there, self._there_at = True, time.monotonic()

    @property
    def gone_s(self) -> float:
        """For how many seconds there has been no cluster; 0 when there is one."""
        return 0.0 if self._is_there else time.monotonic() - self._there_at

    def run(self) -> None:
        """Takes samples."""
        while not self._ends.wait(INTERVAL_S):
            sample = self._sample()
            self.taken += 1
            if self.found is None:
                self.found = broken([sample])
            try:
                self._lines.add(sample)
            except OSError as error:
                self.trouble = self.trouble or f"samples were lost: {error.strerror}"
        self._lines.close()

    def stop(self) -> None:
        """Takes no more samples."""
        self._ends.set()
        self.join(10.0)

    def _sample(self) -> Sample:
        t = self._now_ns()
        try:
            sample = sample_of(self._ask(), t)
        except LauncherError as error:
            self._is_there = not isinstance(error, NotRunning)
            return Sample(t=t, error=str(error))
        self._is_there, self._there_at = True, time.monotonic()
        return sample
