"""The examination of a cluster once the faults have stopped: it must be live, and stay stable.

1. With only a bare majority of the nodes up, the cluster elects a leader and commits a new entry,
   within `LIVENESS_TIMEOUTS` election timeouts (`cluster_wait.py`).
2. With all nodes up whose disks are not lost, all of them apply the same entries within as much.
   Every client of the run gets replies to an entry and to a read, and to a read from a certain node
   where followers are asked.
3. A leader that is asked to hand over does so within an election timeout. If the target cannot be
   reached, the cluster commits a new entry within an election timeout.
4. While the leader's disk hangs and its heartbeats continue, the cluster commits a new entry on the
   other disks, and elects another leader within two election timeouts.
5. A leader that can send but receives nothing is replaced, and the cluster commits a new entry.
6. A follower that cannot hear the leader for a while deposes nobody: the term and the leader stay.
7. While a node that hears nobody campaigns all the time, a leader that dies is replaced.

Where the membership changes in the run, all changes are finished or undone first
(`reconciliation.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from launcher.simulation.agenda import Agenda
from launcher.simulation.clients import SimulatedClient
from launcher.simulation.cluster_wait import SETTLE_S, ClusterWait
from launcher.simulation.faults.nemesis import Nemesis
from launcher.simulation.memberships import is_quorum
from launcher.simulation.network import SimulatedLinks, cuts
from launcher.simulation.node import SimulatedNode
from launcher.simulation.operator import Operator, current_leader
from launcher.simulation.properties import LIVENESS, STABILITY
from launcher.simulation.reconciliation import Reconciliation
from launcher.simulation.situation import ELECTION_TIMEOUT_S, Situation
from node.raft.invariants import InvariantBroken
from node.raft.membership import stable
from node.raft.messages import NodeId
from node.wire import ClockFault


class LogEvent(Protocol):
    """Writes an event of the world into the trace."""

    def __call__(self, event: str, level: str = "info", **fields: object) -> None: ...


class Liveness:
    """Examines one cluster. `examine` raises InvariantBroken when the cluster fails a step."""

    def __init__(
        self,
        situation: Situation,
        time: Agenda,
        links: SimulatedLinks,
        operator: Operator,
        nemesis: Nemesis,
        clients: list[SimulatedClient],
        new_client: Callable[[], SimulatedClient],
        note: LogEvent,
    ) -> None:
        """clients: all clients of the run; `new_client` adds one more to them"""
        self._situation = situation
        self._time = time
        self._links = links
        self._operator = operator
        self._nemesis = nemesis
        self._clients = clients
        self._new_client = new_client
        self._note = note
        self._wait = ClusterWait(situation, time, operator)
        self._reconciliation = Reconciliation(situation, time, operator, self._wait)

    def examine(self) -> None:
        """Stops the faults, and examines the cluster step by step."""
        situation = self._situation
        if situation.reconfigures or situation.recorded_changes or situation.recovers:
            self.make_all_voters()
        voters = len(self._wait.nodes)
        spared = (voters - 1) // 2
        well = [node for node in self._wait.alive if not node.data.is_doubtful]
        down = self._situation.rng("spared").sample(well, len(well))
        # Nodes that are down already stay down first, then as many more as a majority can spare.
        down.sort(key=lambda node: node.server is not None)
        self._nemesis.stop(down[: max(0, spared - (voters - len(down)))])
        self._note("faults.stopped")
        self._commit_in_the_end("once the faults have stopped, with a bare majority up")
        for node in self._wait.alive:
            node.start()
        self._recover("once all are up")
        self._serve_everyone()
        if voters > 1:
            self._hand_over()
            self._replace_a_leader_whose_disk_hangs()
        if not self._can_spare(1) or voters < 3:
            return  # with fewer, one deaf node is one too few
        self._replace_a_deaf_leader()
        self._recover("once the leader hears again")
        self._keep_the_leader_beside_a_deaf_follower()
        if self._can_spare(2):
            self._elect_beside_a_hasty_node()

    def make_all_voters(self) -> None:
        """Stops the faults, and finishes all membership changes (`reconciliation.py`)."""
        self._nemesis.stop()
        self._note("faults.stopped")
        self._reconciliation.make_all_voters()

    def _can_spare(self, count: int) -> bool:
        """Whether the live nodes are still a majority without `count` of them."""
        left = [node.node_id for node in self._wait.alive][count:]
        return is_quorum(stable(self._operator.nodes), left)

    def _recover(self, when: str) -> None:
        """The cluster commits a new entry, and then all live nodes agree."""
        self._commit_in_the_end(when)
        if not self._wait.until(self._converged, SETTLE_S):
            self._wait.fail(f"no agreement {SETTLE_S:g} s {when}")

    def _serve_everyone(self) -> None:
        """All clients of the run get replies to an entry and to a read."""
        deadline = self._time.now + SETTLE_S
        for client in self._clients:
            self._serve(client, lambda one: one.submit([one.write(b"k0")]), deadline)
            self._serve(client, lambda one: one.read(b"k0"), deadline)
            if self._situation.followers:
                of = self._wait.alive[client.number % len(self._wait.alive)].node_id
                self._serve(client, partial(SimulatedClient.read, key=b"k0", node=of), deadline)

    def _serve(
        self, client: SimulatedClient, ask: Callable[[SimulatedClient], None], deadline: float
    ) -> None:
        before = client.answers

        def served() -> bool:
            if client.idle and client.answers == before:
                ask(client)
            return client.idle and client.answers > before

        if not self._time.run_until(deadline, served):
            belief = f"client {client.number} has no answer by {deadline:.3f} s, long after faults"
            self._fail(LIVENESS, belief)

    def _replace_a_leader_whose_disk_hangs(self) -> None:
        """The leader's disk hangs while its heartbeats continue; the other disks are a majority."""
        leader = self._leader()
        if not self._can_spare(1):
            return
        self._note("disk.hung", leader=leader.node_id)
        leader.disk_hangs_until = float("inf")
        failed_over_by = self._time.now + 2 * ELECTION_TIMEOUT_S
        self._commit(self._time.now + SETTLE_S, f"while the disk of n{leader.node_id} hangs")
        if not self._another_leads(leader, failed_over_by):
            self._fail(
                LIVENESS,
                f"n{leader.node_id} still leads at {self._time.now:.3f} s: its disk hangs",
            )
        leader.resume_disk()
        self._recover("once the disk works again")

    def _another_leads(self, old: SimulatedNode, deadline: float) -> bool:
        return self._time.run_until(
            deadline, lambda: any(node.leads and node is not old for node in self._wait.alive)
        )

    def _hand_over(self) -> None:
        """A leader that is asked to hand over hands over to that node, or keeps leading."""
        rng = self._situation.rng("handover")
        leader = self._leader()
        target = rng.choice([node for node in self._wait.alive if node is not leader])
        self._note("transfer.asked", leader=leader.node_id, target=target.node_id)
        leader.transfer(target.node_id)
        if not self._time.run_until(
            self._time.now + ELECTION_TIMEOUT_S, lambda: self._leads_alone(target)
        ):
            self._fail(LIVENESS, f"n{leader.node_id} was to hand over to n{target.node_id}")
        self._recover("once another leads")
        if not self._can_spare(1):
            return
        leader = self._leader()
        target = rng.choice([node for node in self._wait.alive if node is not leader])
        self._note("transfer.asked", leader=leader.node_id, target=target.node_id, reachable=False)
        self._deafen("unreachable", target.node_id, self._operator.nodes)
        if rng.random() < 0.5:  # it lacks an entry besides
            self._commit(self._time.now + SETTLE_S, f"while n{target.node_id} hears nobody")
        leader.transfer(target.node_id)
        done_by = self._time.now + ELECTION_TIMEOUT_S
        self._commit(done_by, f"beside a handover to n{target.node_id}, which hears nobody")
        self._links.mend("unreachable")
        self._recover("once it hears again")

    def _leads_alone(self, node: SimulatedNode) -> bool:
        return node.leads and node is current_leader(self._wait.alive)

    def _elect_beside_a_hasty_node(self) -> None:
        """The leader dies while a node that hears nobody campaigns all the time."""
        leader = self._leader()
        hasty = next(node for node in self._wait.alive if node is not leader)
        self._note("leader.killed", leader=leader.node_id, hasty=hasty.node_id)
        self._deafen("hasty", hasty.node_id, self._operator.nodes)
        hasty.clock.move(ClockFault(rate=4.0), self._time.now)
        hasty.arm_timer()
        self._time.run_until(self._time.now + ELECTION_TIMEOUT_S)
        leader.crash(power=False, reason="killed")
        self._commit(
            self._time.now + SETTLE_S, f"while n{hasty.node_id} asks for votes all the time"
        )
        hasty.clock.run_true(self._time.now)
        self._links.mend("hasty")
        leader.start()
        self._recover("once no node campaigns all the time")

    def _replace_a_deaf_leader(self) -> None:
        """The leader receives nothing, though it can send."""
        leader = self._leader()
        deaf = leader.node_id
        self._note("leader.deafened", leader=deaf)
        self._deafen("deaf leader", deaf, self._operator.nodes)
        if not self._another_leads(leader, self._time.now + SETTLE_S):
            self._fail(LIVENESS, f"n{deaf} hears nobody and nobody has replaced it as leader")
        self._commit(self._time.now + SETTLE_S, "while the old leader is deaf")
        self._links.mend("deaf leader")

    def _keep_the_leader_beside_a_deaf_follower(self) -> None:
        """A follower cannot hear the leader for three election timeouts."""
        leader = self._leader()
        assert leader.server is not None
        term = leader.server.state.current_term
        deaf = next(node.node_id for node in self._wait.alive if node is not leader)
        self._note("follower.deafened", follower=deaf)
        self._deafen("deaf follower", deaf, [leader.node_id])
        self._time.run_until(self._time.now + 3 * ELECTION_TIMEOUT_S)
        self._links.mend("deaf follower")
        self._recover("once the follower hears the leader again")
        now_leads = self._leader()
        assert now_leads.server is not None
        if now_leads is not leader or now_leads.server.state.current_term != term:
            self._fail(
                STABILITY,
                f"n{deaf} could not hear the leader, and that deposed it: n{leader.node_id} led "
                f"term {term}, and n{now_leads.node_id} leads "
                f"{now_leads.server.state.current_term}",
            )

    def _deafen(self, owner: str, deaf: NodeId, sources: Iterable[NodeId]) -> None:
        """Cuts the links from these sources to the deaf node, until `owner` is mended."""
        self._links.disturb(owner, cuts((source, deaf) for source in sources if source != deaf))

    def _commit(self, deadline: float, when: str) -> None:
        """A new client gets the reply to an entry by then."""
        if not self._time.run_until(deadline, self._new_entry()):
            self._wait.fail(f"a new entry has no answer by {deadline:.3f} s {when}")

    def _commit_in_the_end(self, when: str) -> None:
        """As `_commit`, but waits longer while the nodes catch up."""
        if not self._wait.until(self._new_entry(), SETTLE_S):
            self._wait.fail(f"a new entry has no answer by {self._time.now:.3f} s {when}")

    def _new_entry(self) -> Callable[[], bool]:
        """Begins a client that submits until it has a reply. Returns whether it has one, as a
        function."""
        client = self._new_client()

        def done() -> bool:
            if client.idle and not _answered(client):
                client.submit([client.write(b"k0")])
            return _answered(client)

        client.work(until_s=0.0)
        return done

    def _converged(self) -> bool:
        """Whether all live nodes follow one leader, have applied the same, and hold the same log on
        their disks: any of them could lead now."""
        alive = self._wait.alive
        leader = current_leader(alive)
        if leader is None or leader.server is None:
            return False
        state = leader.server.state
        if state.commit_index != state.log.last_index:
            return False
        for node in alive:
            if node.server is None or node.server.applied != leader.server.applied:
                return False
            if node.server.state.leader_id != leader.node_id:
                return False
            if node.server.state.log.last_index != state.log.last_index:
                return False
            if node.server.state.persisted_index != state.log.last_index:
                return False
        return True

    def _leader(self) -> SimulatedNode:
        leader = current_leader(self._wait.alive)
        assert leader is not None, "the nodes have converged"
        return leader

    def _fail(self, broken: str, belief: str) -> None:
        raise InvariantBroken(broken, belief)


def _answered(client: SimulatedClient) -> bool:
    return any(one.completed_s is not None for one in client.history)
