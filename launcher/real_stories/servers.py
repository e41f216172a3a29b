"""The servers of a story as real processes: a cluster of its own, and the names of its nodes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from launcher.client.here import NotCommitted
from launcher.cluster import Cluster
from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import LauncherError, NotRunning
from launcher.simulation.stage import words
from launcher.simulation.stage.words import Link, Unmet, Words
from node.raft.messages import NodeId
from node.wire import LinkFault

WAIT_S = 30.0
"""How long something may take before it counts as not happening. On a fast machine most of what is
waited for takes less than a second."""

UNANSWERED_S = 3.0
"""How long to wait for a leader that is cut off, and for what a server has applied."""

POLL_S = 0.02

MOST_SERVERS = 9

TIMESCALE = 2
"""Timers are twice as long as usual. A leader that is cut off leads on for about an election
timeout, and a story wants to give it a command in that time."""

_T = TypeVar("_T")


@contextmanager
def running(size: int, names: dict[NodeId, str], *, failure_hint: bool) -> Iterator[Servers]:
    """A new cluster in a temporary folder. Whatever happens, it is down afterwards and leaves
    nothing behind.

    Raises LauncherError when it cannot be started.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leeky-story-")))
        file = folder / "cluster.yaml"
        hint = "true" if failure_hint else "false"
        file.write_text(
            f"name: story\nnodes: {size}\nmachine: journal\ntimescale: {TIMESCALE}\n"
            f"raft:\n  failure_hint: {hint}\n"
        )
        cluster = Cluster(config=file)
        cluster.up(WAIT_S)
        stack.callback(cluster.close)
        stack.callback(_take_down, cluster)
        yield Servers(cluster, names)


def _take_down(cluster: Cluster) -> None:
    with suppress(NotRunning):  # its supervisor has died, and its nodes with it
        cluster.down(volumes=True)


class Servers:
    """The running servers.

    cut: the links, (sender, receiver), that are cut
    answered: whether the last `propose` was answered; None before the first
    """

    def __init__(self, cluster: Cluster, names: dict[NodeId, str]) -> None:
        self.cluster = cluster
        self.names = names
        self.cut: set[Link] = set()
        self.answered: bool | None = None

    # -- names -----------------------------------------------------------------------------------

    def server(self, word: str) -> NodeId:
        """The server with this name. Raises Wrong if there is none."""
        return words.server(word, self.names)

    def servers(self, word: str) -> list[NodeId]:
        """The servers of a list with commas, or all that run for `all`."""
        if word == "all":
            return [node.id for node in self.cluster.status().up]
        return [self.server(one) for one in word.split(",")]

    def links(self, chosen: Words) -> set[Link]:
        """The links that words name: `1|2,3` means both directions, `1->2` one. Raises Wrong."""
        return words.links(chosen, self.servers)

    # -- waiting ---------------------------------------------------------------------------------

    def until(self, what: Callable[[ClusterStatus], _T | None]) -> _T | None:
        """What a look at the cluster gives, as soon as that is not None; None after `WAIT_S`."""
        give_up_at = time.monotonic() + WAIT_S
        while True:
            found = what(self.cluster.status())
            if found is not None or time.monotonic() >= give_up_at:
                return found
            time.sleep(POLL_S)

    def until_met(self, problem: Callable[[ClusterStatus], str]) -> None:
        """Waits until there is no problem. Raises Unmet with the problem that remains.

        problem: what a look at the cluster finds; nothing when all is as wanted
        """
        last = ""

        def met(status: ClusterStatus) -> bool | None:
            nonlocal last
            last = problem(status)
            return None if last else True

        if self.until(met) is None:
            raise Unmet(last)

    # -- what the words do -----------------------------------------------------------------------

    def elect(self, node_id: NodeId) -> str:
        """Makes a server the leader: waits for a leader that it can hear, which hands over to it.

        Returns what happened. Raises Unmet.
        """

        def leads(status: ClusterStatus) -> NodeId | None:
            leader = status.leader
            if leader is None or {(leader, node_id), (node_id, leader)} & self.cut:
                return None
            return leader

        leader = self.until(leads)
        if leader is None:
            raise Unmet("there is no leader that it can hear")
        if leader != node_id:
            self._transfer(node_id)
        self.until_met(lambda status: self.not_leading(status, [node_id]))
        return f"{self.names[node_id]} leads term {self.cluster.status().node(node_id).term}"

    def _transfer(self, node_id: NodeId) -> None:
        """Has the leader hand over, again when one attempt fails: it may be a new leader still."""
        give_up_at = time.monotonic() + WAIT_S
        while True:
            try:
                self.cluster.transfer(node_id)
                return
            except LauncherError as error:
                if time.monotonic() >= give_up_at:
                    raise Unmet(str(error)) from error
                time.sleep(POLL_S)

    def not_leading(self, status: ClusterStatus, wanted: list[NodeId]) -> str:
        """Why none of these is the leader that the servers which hear it follow; or nothing."""
        leader = status.leader
        if leader is None:
            return "there is no leader"
        if leader not in wanted:
            return f"the leader of term {status.term} is {self.names[leader]}"
        behind = [
            self.names[node.id]
            for node in status.up
            if not {(leader, node.id), (node.id, leader)} & self.cut and node.leader != leader
        ]
        if behind:
            return f"{self.names[leader]} leads, and {','.join(behind)} does not follow it"
        return ""

    def propose(self, node_id: NodeId, commands: Words) -> list[str]:
        """Gives commands to a server, one after another, and to no other. Returns what happened.

        A server that is cut off from a majority has less time to answer: it cannot.

        Raises Unmet when the server does not take them.
        """
        name = self.names[node_id]
        told: list[str] = []
        for command in commands:
            before = self.cluster.status().node(node_id)
            if before.role != "leader":
                raise Unmet(f"{name} does not lead")
            timeout_s = UNANSWERED_S if self._is_cut_off(node_id) else WAIT_S
            try:
                (done,) = self.cluster.submit_to(node_id, command, timeout_s=timeout_s)
            except NotCommitted:
                self.answered = False
                return [*told, self._unanswered(before, command)]
            self.answered = True
            told.append(f"{name} answers: {command} is committed, at index {done.index}")
        return told

    def _is_cut_off(self, node_id: NodeId) -> bool:
        """Whether it can exchange messages with no majority: links are cut, or servers are down."""
        status = self.cluster.status()
        near = [
            peer.id for peer in status.up if not {(peer.id, node_id), (node_id, peer.id)} & self.cut
        ]
        return not status.has_quorum(near)

    def _unanswered(self, before: NodeStatus, command: str) -> str:
        """What became of a command that has no answer. Raises Unmet if it is in no log."""
        after, name = self.cluster.status().node(before.id), self.names[before.id]
        if after.last_index <= before.last_index:
            raise Unmet(f"{name} did not take it: it no longer led")
        return (
            f"no answer: {name} has {command} in its log, at index {after.last_index}, and knows "
            f"of no commit after index {after.commit_index}"
        )

    def set_cuts(self, cut: set[Link]) -> None:
        """Cuts these links, and no others."""
        self.cluster.set_links(LinkFault(source=a, target=b, cut=True) for a, b in sorted(cut))
        self.cut = cut

    def applied(self, node_id: NodeId) -> str:
        """The commands that a server has applied. Raises NoAnswer."""
        answer = self.cluster.read("LS", stale=True, node=node_id, timeout_s=UNANSWERED_S)
        return " ".join(answer.text.split())

    def table(self) -> list[str]:
        """A line for each server: its role, its term, its indexes, what it has applied."""
        width = max(len("server"), *map(len, self.names.values()))
        lines = [f"{'server':{width}}  {'role':10} term  last  commit  applied"]
        for node in self.cluster.status().nodes:
            name = self.names[node.id]
            if node.state != "up":
                lines.append(f"{name:{width}}  down")
                continue
            lines.append(
                f"{name:{width}}  {node.role or '-':10} {node.term:4}  {node.last_index:4}  "
                f"{node.commit_index:6}  {self.applied(node.id)}".rstrip()
            )
        return lines
