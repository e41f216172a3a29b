"""The operator: changes who takes part, one change at a time, as the supervisor does.

What it does to rebuild a node, and in which order, is the product's own (`launcher/rebuild.py`); so
is what it asks of whoever leads, and what it makes of the answer. Like a real one it looks only now
and then, hears nothing of a process that is stopped, and loses patience: then the rebuild stays
where it is, and the node with it, set aside, or learning.

Anything else that takes an operator several steps is a generator, which yields how many simulated
seconds it waits before its next step (`Work`, `Operator.begin`): what a coroutine is to the
supervisor.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, TypeAlias

from launcher.rebuild import Change, Deed, Standing, Step, floor_of, standing, steps
from launcher.simulation.network import Time
from launcher.status import ClusterStatus, NodeState, NodeStatus, cluster_status, with_word_of
from node.raft.membership import Configuration, stable
from node.raft.messages import Floor, NodeId
from node.wire import Status

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

Work: TypeAlias = Generator[float, None, None]
"""What an operator does step by step; yields how many simulated seconds pass before the next."""

LOOKS_EVERY_S = 0.05

DEED_TAKES_S = (0.001, 0.3)
"""Between these, the short ones as often: to stop a process, to remove a folder, to start one."""


class Rebuild:
    """A rebuild under way.

    voters: who votes while it is, at its stages
    floor: what was committed when the last change had been made
    gives_up_at: a change that is not made by then is not waited for any longer
    """

    def __init__(
        self,
        node: SimulatedNode,
        voters: Sequence[NodeId],
        gives_up_at: float,
        chance: random.Random,
    ) -> None:
        self.node = node
        self.gives_up_at = gives_up_at
        self.chance = chance
        self.stages: list[tuple[NodeId, ...]] = [
            tuple(voters),
            *(step.voters for step in steps(node.node_id, voters) if isinstance(step, Change)),
        ]
        self.steps: Iterator[Step] = steps(node.node_id, voters)
        self.step: Step = next(self.steps)
        self.floor = Floor()


class Operator:
    """Whoever administers one simulated cluster.

    nodes: by id
    rebuilding: what is under way; None when nothing is
    on_forget: told of each node whose data has just been removed
    on_take_down: told of each node that a rolling restart is about to stop
    """

    def __init__(
        self,
        nodes: Sequence[SimulatedNode],
        time: Time,
        on_forget: Callable[[SimulatedNode], None],
        on_take_down: Callable[[SimulatedNode], None],
    ) -> None:
        self.nodes = {node.node_id: node for node in nodes}
        self.time = time
        self.on_take_down = on_take_down
        self._on_forget = on_forget
        self._said: dict[NodeId, Status] = {}
        """the last that each node has said when it was looked at"""
        self._led_term = 0
        """in the newest term of which it has heard that it has a leader"""
        self.rebuilding: Rebuild | None = None
        self._under_way: dict[str, Work] = {}

    @property
    def leader(self) -> SimulatedNode | None:
        """Who leads, as far as those say that can: none whose lead is known to be over."""
        leader = current_leader(node for node in self.nodes.values() if not node.paused)
        if leader is None or leader.server is None:
            return None
        term = leader.server.state.current_term
        if term < self._led_term:
            return None
        self._led_term = term
        return leader

    def look(self) -> ClusterStatus:
        """What the supervisor would find if it asked all nodes now."""
        described = []
        for node_id, node in self.nodes.items():
            answers = node.server is not None and not node.paused
            if node.server is not None and answers:
                self._said[node_id] = node.server.status()
            status = NodeStatus(id=node_id, state=_state_of(node))
            if node_id in self._said:
                status = with_word_of(status, self._said[node_id], answers=node.server is not None)
            described.append(status)
        return cluster_status("simulated", 0, described, self._said)

    def reconfigure(self, target: list[NodeId]) -> None:
        """Asks once that these be the voters, unless it is at something else."""
        leader = self.leader
        if target and leader is not None and self.rebuilding is None:
            leader.change_membership(target)

    def rebuild(self, node: SimulatedNode, patience_s: float, chance: random.Random) -> bool:
        """Begins to have a node forget everything and learn it anew; whether it has begun.

        Not while another is being rebuilt, nor without a leader, nor when those that would be left
        are no quorum: as the supervisor has it.
        """
        leader = self.leader
        if self.rebuilding is not None or leader is None or leader.server is None:
            return False
        voters = leader.server.status().membership.target
        left = [voter for voter in voters if voter != node.node_id]
        up = [other.node_id for other in self.nodes.values() if other.server is not None]
        if not Configuration(stable(left)).has_quorum(up):
            return False
        self.rebuilding = Rebuild(node, voters, self.time.now + patience_s, chance)
        self._go_on(self.rebuilding)
        return True

    def begin(self, lock: str, work: Work) -> bool:
        """Begins something, unless something with the same lock is under way; whether it has begun.

        lock: names what the supervisor has a lock for, such as "rolling"
        """
        if lock in self._under_way:
            work.close()
            return False
        self._under_way[lock] = work
        self._continue(lock, work)
        return True

    def is_at(self, lock: str) -> bool:
        """Whether something with this lock is under way."""
        return lock in self._under_way

    def leave_off(self) -> None:
        """Whatever is under way stays where it is; a node that it has stopped may start."""
        if self.rebuilding is not None:
            self.rebuilding.node.withheld = False
            self.rebuilding = None
        under_way, self._under_way = self._under_way, {}
        for work in under_way.values():
            work.close()

    def _continue(self, lock: str, work: Work) -> None:
        if self._under_way.get(lock) is not work:
            return
        pause_s = next(work, None)
        if pause_s is None:
            del self._under_way[lock]
        else:
            self.time.at(self.time.now + pause_s, self._continue, lock, work)

    def _go_on(self, rebuild: Rebuild) -> None:
        """Does the step that is due, or sees how far it is."""
        if rebuild is not self.rebuilding:
            return
        if isinstance(rebuild.step, Deed):
            self._do(rebuild, rebuild.step)
            least_s, most_s = DEED_TAKES_S
            pause_s = least_s * (most_s / least_s) ** rebuild.chance.random()
        elif (said := self._has_made(rebuild.step)) is not None:
            rebuild.floor = floor_of(said)
            pause_s = 0.0
        else:
            if self.time.now >= rebuild.gives_up_at:
                self.leave_off()
            else:
                self.time.at(self.time.now + LOOKS_EVERY_S, self._go_on, rebuild)
            return
        following = next(rebuild.steps, None)
        if following is None:
            self.rebuilding = None
            return
        rebuild.step = following
        self.time.at(self.time.now + pause_s, self._go_on, rebuild)

    def _has_made(self, change: Change) -> Status | None:
        """What the leader says if that is the membership; if nobody knows that it is to be, it is
        asked for."""
        leader = self.leader
        if leader is None or leader.server is None:
            return None
        said = leader.server.status()
        match standing(change.voters, said):
            case Standing.MADE:
                return said
            case Standing.UNKNOWN:
                leader.change_membership(list(change.voters))
        return None

    def _do(self, rebuild: Rebuild, deed: Deed) -> None:
        node = rebuild.node
        match deed:
            case Deed.STOP:
                node.withheld = True  # nobody else starts it meanwhile
                node.crash(power=False, reason="stopped: it is to be rebuilt")
            case Deed.FORGET:
                node.forget(rebuild.floor)
                self._on_forget(node)
            case Deed.START:
                node.withheld = False
                node.start()


def _state_of(node: SimulatedNode) -> NodeState:
    if node.server is None:
        return "failed" if node.lost else "down"
    return "paused" if node.paused else "up"


def current_leader(nodes: Iterable[SimulatedNode]) -> SimulatedNode | None:
    """The leader of the newest term that has one, among these."""
    leaders = [
        (node.server.state.current_term, node)
        for node in nodes
        if node.leads and node.server is not None
    ]
    return max(leaders, key=itemgetter(0))[1] if leaders else None
