"""The operator: a supervisor, and the person who administers the cluster with it, as one.

The steps of a change of the membership, their order, and what happens to an interrupted change are
the product's own (`launcher/supervisor/changes.py`), and so is the record
(`launcher/folders/records.py`). Like a real supervisor, the operator records a change before it
begins, and each step when it is done. It looks at the nodes only now and then, and a stopped
process tells it nothing. It can be killed between any two steps, also between a step and its
record. All nodes end with it then, and it forgets whatever it has not recorded.

Work of several steps is a generator that yields the simulated seconds until its next step (`Work`,
`Operator.begin`). In the supervisor, such work is a coroutine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol, TypeAlias

import msgspec

from launcher.control.status import (
    ClusterStatus,
    NodeState,
    NodeStatus,
    cluster_status,
    with_word_of,
)
from launcher.folders.records import Change, ClusterRecord
from launcher.simulation.network import Time
from launcher.supervisor import changes
from launcher.supervisor.changes import Act, Beside, Deed, Standing, Verdict, Voters, next_step
from node.raft.membership import Configuration, stable
from node.raft.messages import Floor, NodeId
from node.wire import Status

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

Work: TypeAlias = Generator[float, None, None]
"""Work in steps: yields how many simulated seconds pass before the next step."""

LOOKS_EVERY_S = 0.05
"""How often the operator looks at the nodes while it waits."""

DEED_TAKES_S = (0.001, 0.3)
"""The least and the most that it takes to stop a process, remove a folder or start a process. The
duration's logarithm is uniform."""

MEMBERSHIP = "membership"
RECOVERING = "recovering"
"""Locks: one change of the membership at a time, and none while the cluster is recovered."""


class Onlooker(Protocol):
    """Receives what the operator does."""

    def forgot(self, node: SimulatedNode) -> None:
        """The data of a node has just been removed."""
        ...

    def dismissed(self, node: SimulatedNode) -> None:
        """A node is about to be taken off the record, for good."""
        ...

    def taken_down(self, node: SimulatedNode) -> None:
        """A rolling restart is about to stop a node."""
        ...

    def operated(self, event: str, **fields: object) -> None:
        """An event for the log."""
        ...


class Operator:
    """Administers one simulated cluster.

    record: what the supervisor has on record; it forgets everything else when it is killed
    nodes: the nodes on record, by id
    is_down: there is no supervisor now
    on_step: called when a step of a change is done, and again when that is on record
    on_take_down: called with each node that a rolling restart is about to stop
    """

    def __init__(
        self,
        nodes: Mapping[NodeId, SimulatedNode],
        record: ClusterRecord,
        time: Time,
        rng: random.Random,
        onlooker: Onlooker,
    ) -> None:
        """nodes: all nodes of the run, those that may be added later too"""
        self.record = record
        self.nodes = {node_id: nodes[node_id] for node_id in record.members}
        self.time = time
        self.is_down = False
        self.on_step: Callable[[], None] = _nothing
        self.on_take_down = onlooker.taken_down
        self._everybody = nodes
        self._rng = rng
        self._onlooker = onlooker
        self._statuses: dict[NodeId, Status] = {}
        """the last status that each node has reported"""
        self._led_term = 0
        """the newest term in which the operator has seen a leader"""
        self._floor = Floor()
        self._under_way: dict[str, Work] = {}
        for node_id, node in nodes.items():
            node.withheld = node_id not in self.nodes

    # -- what it sees ----------------------------------------------------------------------------

    @property
    def leader(self) -> SimulatedNode | None:
        """The leader, as far as the nodes that answer can tell. A leader of a term before the
        newest one with a leader is ignored: its leadership is over."""
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
                self._statuses[node_id] = node.server.status()
            status = NodeStatus(id=node_id, state=_state_of(node))
            if node_id in self._statuses:
                status = with_word_of(
                    status, self._statuses[node_id], answers=node.server is not None
                )
            described.append(status)
        return cluster_status("simulated", 0, described, self._statuses)

    def _up(self) -> list[NodeId]:
        return [node_id for node_id, node in self.nodes.items() if _state_of(node) == "up"]

    def _leader_status(self) -> Status | None:
        """None also while a throttled leader is stopped: what it was told before, it does first."""
        leader = self.leader
        if leader is None or leader.server is None or leader.held:
            return None
        return leader.server.status()

    # -- what can be asked of it -----------------------------------------------------------------

    def reconfigure(self, target: list[NodeId]) -> None:
        """Asks the leader once to make these the voters, unless a change is under way."""
        leader = self.leader
        if target and leader is not None and self.record.change is None:
            leader.change_membership(target)

    def add(self, count: int) -> bool:
        """Begins to add nodes, with ids that no node has had. Returns whether it has begun."""
        record, new = self.record.enlisting(count)
        status = self._leader_status()
        if status is None or not self._may_begin("add", new, Beside.BEGIN):
            return False
        if any(node not in self._everybody for node in new):
            return False
        if not Configuration(status.membership).has_quorum(self._up()):
            return False
        change = Change("add", new)
        self.record = record.intending(change)  # both in one write
        for node_id in new:
            self.nodes[node_id] = self._everybody[node_id]
            self.nodes[node_id].data_at_rest.cluster_id = record.cluster_id
        self._go(change)
        return True

    def remove(self, ids: list[NodeId]) -> bool:
        """Begins to remove nodes. Returns whether it has begun.

        A change under way for the same nodes is given up.
        """
        under_way = self.record.change
        if under_way is None:
            if not self._may_begin("remove", ids, Beside.BEGIN) or self.leader is None:
                return False
            change = Change("remove", ids)
        else:
            if not self._may_begin("remove", ids, Beside.GIVE_UP):
                return False
            change = changes.superseded(under_way, ids)
        if not self._are_enough_without(ids):
            return False
        self.record = self.record.intending(change)
        self._go(change)
        return True

    def rebuild(self, node: SimulatedNode, rng: random.Random | None = None) -> bool:
        """Begins to rebuild a node on an empty disk. Returns whether it has begun.

        A node that is lost again while it is rebuilt starts over.

        rng: decides how long each step takes
        """
        change = Change("rebuild", [node.node_id])
        under_way = self.record.change
        if under_way is None:
            if not self._may_begin("rebuild", change.nodes, Beside.BEGIN) or self.leader is None:
                return False
            if not self._are_enough_without(change.nodes):
                return False
        else:
            if not self._may_begin("rebuild", change.nodes, Beside.JOIN) or not node.data.lost:
                return False
            change = Change("rebuild", under_way.nodes, then=under_way.then)
        self.record = self.record.intending(change)
        self._go(change, rng)
        return True

    def _may_begin(self, kind: str, ids: list[NodeId], wanted: Beside) -> bool:
        change = self.record.change
        if self.is_down or self.is_at(RECOVERING):
            return False
        return changes.beside(change, kind, ids) is wanted

    def _are_enough_without(self, ids: list[NodeId]) -> bool:
        """Whether the nodes that stay are a quorum, or those that go have no vote."""
        status = self.look()
        if status.membership is None or not any(map(status.may_vote, ids)):
            return True
        left = stable(node for node in status.membership.target if node not in ids)
        return Configuration(left).has_quorum(self._up())

    # -- its own life ----------------------------------------------------------------------------

    def die(self, reason: str = "its supervisor was killed") -> None:
        """The supervisor is killed: all nodes end, and what is not on record is forgotten."""
        self._let_go(lambda lock: True)
        self.is_down = True
        self._floor = Floor()
        self._statuses.clear()
        for node in self.nodes.values():
            node.withheld = True
            node.crash(power=False, reason=reason)

    def come_back(self) -> None:
        """A new supervisor starts the nodes on record, and continues the change on record."""
        if not self.is_down:
            return
        self.is_down = False
        down = changes.stay_down(self.record.change)
        for node_id, node in self.nodes.items():
            node.withheld = node_id in down
            node.start()
        if self.record.change is not None:
            self.begin(MEMBERSHIP, self._do_all(self._rng, resumed=True))

    def adopt_recovered(self) -> None:
        """The nodes have the data of a new cluster now, and no change of it is on record."""
        self.record = msgspec.structs.replace(
            self.record.intending(None), cluster_id=next(iter(self.nodes.values())).cluster_id
        )

    # -- work in steps ---------------------------------------------------------------------------

    def begin(self, lock: str, work: Work) -> bool:
        """Begins work, unless work with the same lock is under way. Returns whether it has begun.

        lock: what the supervisor would lock, such as `MEMBERSHIP`
        """
        if lock in self._under_way:
            work.close()
            return False
        self._under_way[lock] = work
        self._continue(lock, work)
        return True

    def is_at(self, lock: str) -> bool:
        """Whether work with this lock is under way."""
        return lock in self._under_way

    def stop_work(self) -> None:
        """Stops all work but a change on record. If there is no supervisor, a new one starts."""
        self._let_go(lambda lock: lock != MEMBERSHIP)
        self.come_back()

    def _let_go(self, of: Callable[[str], bool]) -> None:
        for lock in list(filter(of, self._under_way)):
            self._under_way.pop(lock).close()

    def _continue(self, lock: str, work: Work) -> None:
        if self._under_way.get(lock) is not work:
            return
        pause_s = next(work, None)
        if pause_s is None:
            del self._under_way[lock]
        else:
            self.time.at(self.time.now + pause_s, self._continue, lock, work)

    # -- changes ---------------------------------------------------------------------------------

    def _go(self, change: Change, rng: random.Random | None = None) -> None:
        """Replaces the change under way, if any, by the one that is on record now."""
        self._let_go(lambda lock: lock == MEMBERSHIP)
        self._tell("change.begun", change)
        self.begin(MEMBERSHIP, self._do_all(rng or self._rng, resumed=False))

    def _do_all(self, rng: random.Random, *, resumed: bool) -> Work:
        if resumed:
            yield from self._take_up()
        while (change := self.record.change) is not None:
            step = next_step(change)
            if isinstance(step, Act):
                yield from self._act(step)
                self.on_step()
                least_s, most_s = DEED_TAKES_S
                yield least_s * (most_s / least_s) ** rng.random()
            elif isinstance(step, Voters):
                while (status := self._made(step)) is None:
                    yield LOOKS_EVERY_S
                self._floor = changes.floor_of(status)
                self.on_step()
                yield 0.0
            self.record = self.record.intending(changes.advanced(change))
            self.on_step()
            yield 0.0
            if self.record.change is change.then:
                self._tell("change.done", change)

    def _take_up(self) -> Work:
        """Finishes or undoes what the previous supervisor has left, once the leader shows which."""
        change = self.record.change
        assert change is not None
        while (verdict := changes.verdict(change, self._leader_status())) is Verdict.WAIT:
            yield LOOKS_EVERY_S
        if verdict is Verdict.FINISH:
            self._tell("change.resumed", change)
            self.record = self.record.intending(changes.resumed(change))
        else:
            self._tell("change.undone", change)
            self.record = self.record.intending(changes.superseded(change, change.nodes))

    def _made(self, step: Voters) -> Status | None:
        """Returns the leader's status once it has made the change; None until then.

        Asks the leader for the change if it does not know of it, unless too few of the new voters
        are up.
        """
        leader, status = self.leader, self._leader_status()
        if leader is None or status is None:
            return None
        wanted = stable(step.among(status.membership.target))
        match changes.standing(step, status):
            case Standing.MADE:
                return status
            case Standing.UNKNOWN if Configuration(wanted).has_quorum(self._up()):
                leader.change_membership(list(wanted.target), status.term)
        return None

    def _act(self, act: Act) -> Work:
        """Carries out one step. Between the writes of a step the supervisor can die."""
        node_id = act.node
        if node_id not in self.nodes:
            return  # the node was dismissed before the supervisor was killed
        node = self.nodes[node_id]
        if act.deed is Deed.START:
            node.withheld = False
            node.start()
            return
        node.withheld = True  # nothing else may start it meanwhile
        node.crash(power=False, reason=f"stopped: {changes.under_way(self._change())}")
        match act.deed:
            case Deed.FORGET:
                self.record = self.record.renewing(node_id, self._floor)
                node.data.renewed = self._floor
                self.on_step()
                yield 0.0
                node.data_at_rest.expect_erasure()
                node.data_at_rest.erase()
                self._onlooker.forgot(node)
            case Deed.DISMISS:
                self._onlooker.dismissed(node)
                node.data_at_rest.expect_erasure()
                node.data_at_rest.erase()
                self.on_step()
                yield 0.0
                self.record = self.record.dismissing(node_id)
                del self.nodes[node_id]
                self._statuses.pop(node_id, None)

    def _change(self) -> Change:
        assert self.record.change is not None
        return self.record.change

    def _tell(self, event: str, change: Change) -> None:
        self._onlooker.operated(event, kind=change.kind, targets=change.nodes)


def _nothing() -> None:
    pass


def _state_of(node: SimulatedNode) -> NodeState:
    if node.server is None:
        return "failed" if node.data.lost else "down"
    return "paused" if node.paused else "up"


def current_leader(nodes: Iterable[SimulatedNode]) -> SimulatedNode | None:
    """The leader among these nodes; if there are several, that of the newest term."""
    leaders = [
        (node.server.state.current_term, node)
        for node in nodes
        if node.leads and node.server is not None
    ]
    return max(leaders, key=itemgetter(0))[1] if leaders else None
