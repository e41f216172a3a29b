"""What a cluster has to show once the faults have stopped: that it lives.

1. With as few nodes up as make a majority, within `LIVENESS_TIMEOUTS` election timeouts there is a
   leader and a new entry is answered;
2. with all of them up that have a disk left, they all have applied the same within as much, and
   every client that has been through it gets an entry and a read answered, and a read of some
   node where followers are asked;
3. the leader is asked to hand over: the one that is to lead does so within an election timeout; one
   that cannot be reached does not, and within an election timeout a new entry is answered;
4. the leader's disk hangs and its heart beats on: a new entry is answered, by the others' disks,
   and within two election timeouts another leads;
5. the leader grows deaf: it can send and hear nothing. Others elect another within as much, and a
   new entry is answered;
6. a follower cannot hear the leader for a while: nobody follows its call for an election, the term
   stays, and so does the leader;
7. the leader dies beside a node that hears nobody and asks for votes all the time: another one is
   elected.

Where the membership changes, what was begun is finished or undone first. Then the two facts agree:
nobody who is on record lacks a vote, and nobody votes who is not on record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from launcher import changes
from launcher.simulation.agenda import Agenda
from launcher.simulation.clients import SimulatedClient
from launcher.simulation.faults.nemesis import Nemesis
from launcher.simulation.memberships import RECONCILED, is_quorum
from launcher.simulation.network import Network, cuts
from launcher.simulation.node import SimulatedNode
from launcher.simulation.operator import Operator, current_leader
from launcher.simulation.situation import ELECTION_TIMEOUT_S, Situation
from node.raft.invariants import InvariantBroken
from node.raft.membership import stable
from node.raft.messages import Membership, NodeId

LIVENESS_TIMEOUTS = 10
"""So many times the longest election timeout the cluster has to recover once the faults stop."""

SETTLE_S = LIVENESS_TIMEOUTS * ELECTION_TIMEOUT_S

LIVENESS = "liveness"
STABILITY = "stability"


class Note(Protocol):
    """Notes down what is done to the cluster."""

    def __call__(self, event: str, level: str = "info", **fields: object) -> None: ...


class Liveness:
    """The examination of one cluster: `show` raises InvariantBroken when it does not live."""

    def __init__(
        self,
        situation: Situation,
        time: Agenda,
        network: Network,
        operator: Operator,
        nemesis: Nemesis,
        clients: list[SimulatedClient],
        new_client: Callable[[], SimulatedClient],
        note: Note,
    ) -> None:
        """clients: all that there are; `new_client` makes one more, and adds it"""
        self._situation = situation
        self._time = time
        self._network = network
        self._operator = operator
        self._nemesis = nemesis
        self._clients = clients
        self._new_client = new_client
        self._note = note

    @property
    def _nodes(self) -> list[SimulatedNode]:
        """Those that are on record."""
        return list(self._operator.nodes.values())

    def show(self) -> None:
        """Stops the faults, and has the cluster show all of it."""
        situation = self._situation
        if situation.reconfigures or situation.recorded_changes or situation.recovers:
            self.make_all_voters()
        voters = len(self._nodes)
        spared = (voters - 1) // 2
        well = [node for node in self._alive() if not node.is_doubtful]
        down = self._situation.chance("spared").sample(well, len(well))
        # Whoever is down already stays down first; then as many more as a majority can spare.
        down.sort(key=lambda node: node.server is not None)
        self._nemesis.stop(down[: max(0, spared - (voters - len(down)))])
        self._note("faults.stopped")
        self._commit_in_the_end("once the faults have stopped, with a bare majority up")
        for node in self._alive():
            node.start()
        self._recover("once all are up")
        self._serve_everyone()
        if voters > 1:
            self._hand_over()
            self._get_by_without_the_leaders_disk()
        if not self._can_spare(1) or voters < 3:
            return  # with fewer, one deaf node is one too few
        self._survive_a_deaf_leader()
        self._recover("once the leader hears again")
        self._suffer_a_deaf_follower()
        if self._can_spare(2):
            self._elect_beside_a_hasty_node()

    def make_all_voters(self) -> None:
        """What was begun is finished or undone; then all that are on record vote, and no others.

        Where the membership was changed behind the record's back, that is asked for.
        """
        self._nemesis.stop()
        self._note("faults.stopped")
        self._finish_changes()
        if self._situation.rebuilds:
            for node in self._nodes:
                if node.lost:
                    self._rebuild(node)
        if self._situation.reconfigures or self._situation.recovers:
            self._ask_for_all()
        self._reconcile()

    def _finish_changes(self) -> None:
        """The operator does to its end what is on record."""

        def done() -> bool:
            change = self._operator.record.change
            if change is None:
                return True
            learns = self._operator.nodes.get(change.nodes[0])
            if learns is not None and learns.lost:  # it has rotted while it was learning
                if change.kind == "add":
                    self._operator.remove([learns.node_id])
                elif change.kind == "rebuild":
                    self._operator.rebuild(learns)
            self._leave_somebody(changes.next_step(change))
            return False

        if not self._comes_about(done, 2 * SETTLE_S):
            change = self._operator.record.change
            self._fail_to_live(f"{change} is not finished by {self._time.now:.3f} s")

    def _leave_somebody(self, step: changes.Step | None) -> None:
        """A `reconfigure` was under way when the change began, and the only voters are those that
        are to leave: the change would wait for ever."""
        leader = current_leader(self._nodes)
        if isinstance(step, changes.Voters) and leader is not None and leader.server is not None:
            target = leader.server.state.configuration.membership.target
            if not step.among(target):
                leader.change_membership(self._operator.record.members)

    def _rebuild(self, node: SimulatedNode) -> None:
        """Its disk has rotted, and its peers give it back what it has lost."""
        chance = self._situation.chance(f"rebuild {node.node_id}")

        def rebuilt() -> bool:
            if self._operator.record.change is None and node.lost:
                self._operator.rebuild(node, chance)
            return self._operator.record.change is None and not node.lost

        if not self._comes_about(rebuilt, 2 * SETTLE_S):
            self._fail_to_live(f"n{node.node_id} is not rebuilt by {self._time.now:.3f} s")

    def _ask_for_all(self) -> None:
        everybody = self._operator.record.members

        def settled() -> bool:
            leader = current_leader(self._nodes)
            if leader is None or leader.server is None:
                return False
            state = leader.server.state
            index, configuration = state.configurations[-1]
            if configuration.membership == stable(everybody):
                return index <= state.commit_index and not self._is_changed_beyond(
                    state.commit_index
                )
            leader.change_membership(everybody)
            return False

        if not self._comes_about(settled, 2 * SETTLE_S):
            self._fail_to_live(f"not all are voters by {self._time.now:.3f} s")

    def _is_changed_beyond(self, commit_index: int) -> bool:
        """Whether a log still holds a change of the membership behind that index, which the leader
        has not replaced yet. Should the node with that log lead next, it would complete the change,
        and a majority of all nodes might then be no quorum.
        """
        everybody = stable(self._operator.nodes)
        for node in self._alive():
            if node.server is not None:
                index, configuration = node.server.state.configurations[-1]
                if index > commit_index and configuration.membership != everybody:
                    return True
        return False

    def _reconcile(self) -> None:
        """The log and the record agree on who votes, once a leader knows what is committed."""

        def known() -> Membership | None:
            leader = current_leader(self._nodes)
            if leader is None or leader.server is None:
                return None
            said = leader.server.status()
            sure = said.commit_term == said.term and said.membership_committed
            return said.membership if sure else None

        if not self._comes_about(lambda: known() is not None, SETTLE_S):
            self._fail_to_live(f"no leader knows what is committed by {self._time.now:.3f} s")
        membership, record = known(), self._operator.record
        if membership != stable(record.members):
            belief = f"on record are {record.members}, and by the log there is {membership}"
            self._fail(RECONCILED, belief)

    def _alive(self) -> list[SimulatedNode]:
        return [node for node in self._nodes if not node.lost]

    def _can_spare(self, count: int) -> bool:
        """Whether a majority is left without as many of those that are alive."""
        left = [node.node_id for node in self._alive()][count:]
        return is_quorum(stable(self._operator.nodes), left)

    def _recover(self, when: str) -> None:
        """There is a leader, it commits, and all agree."""
        self._commit_in_the_end(when)
        if not self._comes_about(self._converged, SETTLE_S):
            self._fail_to_live(f"no agreement {SETTLE_S:g} s {when}")

    def _comes_about(self, what: Callable[[], bool], patience_s: float) -> bool:
        """In so long, or as long as it takes who is behind to catch up: over slow links a long way
        takes long, and what counts is to get on."""
        give_up = self._time.now + 10 * SETTLE_S
        if self._time.run_until(self._time.now + patience_s / 2, what):
            return True
        # Not sooner: who has only just started has applied nothing, and nobody lacks anything.
        lack = self._lack()
        patience_s /= 2
        while not self._time.run_until(self._time.now + patience_s, what):
            before, lack = lack, self._lack()
            if lack >= before or self._time.now >= give_up:
                return False
            patience_s = SETTLE_S
        return True

    def _lack(self) -> int:
        """How many entries all together have yet to apply, to be as far as the furthest. Who is yet
        to be rebuilt has all of it before it: one begins when another one is done."""
        applied = [node.server.applied[0] for node in self._alive() if node.server is not None]
        if self._situation.recorded_changes:
            applied += [0 for node in self._nodes if node.lost or node.withheld]
        return sum(max(applied) - index for index in applied) if applied else 0

    def _serve_everyone(self) -> None:
        """Clients that have been through all of it get an entry and a read answered."""
        deadline = self._time.now + SETTLE_S
        for client in self._clients:
            self._serve(client, lambda one: one.submit([one.write(b"k0")]), deadline)
            self._serve(client, lambda one: one.read(b"k0"), deadline)
            if self._situation.followers:
                of = self._alive()[client.number % len(self._alive())].node_id
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

    def _get_by_without_the_leaders_disk(self) -> None:
        """The leader's disk hangs and its heart beats on: the others' disks are a majority."""
        leader = self._leader()
        if not self._can_spare(1):
            return
        self._note("disk.hung", leader=leader.node_id)
        leader.disk_hangs_until = float("inf")
        failed_over_by = self._time.now + 2 * ELECTION_TIMEOUT_S
        self._commit(self._time.now + SETTLE_S, f"while the disk of n{leader.node_id} hangs")
        if not self._another_leads(leader, failed_over_by):
            self._fail(
                LIVENESS, f"n{leader.node_id} leads on by {self._time.now:.3f} s: its disk hangs"
            )
        leader.go_on_with_disk()
        self._recover("once the disk goes on")

    def _another_leads(self, old: SimulatedNode, deadline: float) -> bool:
        return self._time.run_until(
            deadline, lambda: any(node.leads and node is not old for node in self._alive())
        )

    def _hand_over(self) -> None:
        """A leader that is asked to has the one lead that it is asked for, or leads on."""
        chance = self._situation.chance("handover")
        leader = self._leader()
        target = chance.choice([node for node in self._alive() if node is not leader])
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
        target = chance.choice([node for node in self._alive() if node is not leader])
        self._note("transfer.asked", leader=leader.node_id, target=target.node_id, reachable=False)
        self._deafen("unreachable", target.node_id, self._operator.nodes)
        if chance.random() < 0.5:  # it lacks an entry besides
            self._commit(self._time.now + SETTLE_S, f"while n{target.node_id} hears nobody")
        leader.transfer(target.node_id)
        done_by = self._time.now + ELECTION_TIMEOUT_S
        self._commit(done_by, f"beside a handover to n{target.node_id}, which hears nobody")
        self._network.mend("unreachable")
        self._recover("once it hears again")

    def _leads_alone(self, node: SimulatedNode) -> bool:
        return node.leads and node is current_leader(self._alive())

    def _elect_beside_a_hasty_node(self) -> None:
        """The leader dies, and one who hears nobody asks for votes all the time."""
        leader = self._leader()
        hasty = next(node for node in self._alive() if node is not leader)
        self._note("leader.killed", leader=leader.node_id, hasty=hasty.node_id)
        self._deafen("hasty", hasty.node_id, self._operator.nodes)
        hasty.clock.run_at(4.0, self._time.now)
        hasty.arm_timer()
        self._time.run_until(self._time.now + ELECTION_TIMEOUT_S)
        leader.crash(power=False, reason="killed")
        self._commit(
            self._time.now + SETTLE_S, f"while n{hasty.node_id} asks for votes all the time"
        )
        hasty.clock.run_at(1.0, self._time.now)
        self._network.mend("hasty")
        leader.start()
        self._recover("once nobody is hasty")

    def _survive_a_deaf_leader(self) -> None:
        leader = self._leader()
        deaf = leader.node_id
        self._note("leader.deafened", leader=deaf)
        self._deafen("deaf leader", deaf, self._operator.nodes)
        if not self._another_leads(leader, self._time.now + SETTLE_S):
            self._fail(LIVENESS, f"n{deaf} hears nobody and nobody has replaced it as leader")
        self._commit(self._time.now + SETTLE_S, "while the old leader is deaf")
        self._network.mend("deaf leader")

    def _suffer_a_deaf_follower(self) -> None:
        leader = self._leader()
        assert leader.server is not None
        term = leader.server.state.current_term
        deaf = next(node.node_id for node in self._alive() if node is not leader)
        self._note("follower.deafened", follower=deaf)
        self._deafen("deaf follower", deaf, [leader.node_id])
        self._time.run_until(self._time.now + 3 * ELECTION_TIMEOUT_S)
        self._network.mend("deaf follower")
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
        """It hears none of these, until `owner` is mended."""
        self._network.disturb(owner, cuts((source, deaf) for source in sources if source != deaf))

    def _commit(self, deadline: float, when: str) -> None:
        """A client that asks once, and goes on asking, has its answer by then."""
        if not self._time.run_until(deadline, self._new_entry()):
            self._fail_to_live(f"a new entry has no answer by {deadline:.3f} s {when}")

    def _commit_in_the_end(self, when: str) -> None:
        """As `_commit`; but where the last of a majority is behind, it has to catch up first."""
        if not self._comes_about(self._new_entry(), SETTLE_S):
            self._fail_to_live(f"a new entry has no answer by {self._time.now:.3f} s {when}")

    def _new_entry(self) -> Callable[[], bool]:
        """A client that begins now: whether it has its answer."""
        client = self._new_client()

        def done() -> bool:
            if client.idle and not _answered(client):
                client.submit([client.write(b"k0")])
            return _answered(client)

        client.work(until_s=0.0)
        return done

    def _converged(self) -> bool:
        """All agree, and each disk holds what its node agrees on: any of them could lead now."""
        alive = self._alive()
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
        leader = current_leader(self._alive())
        assert leader is not None, "they agree on one"
        return leader

    def _fail(self, broken: str, belief: str) -> None:
        raise InvariantBroken(broken, belief)

    def _fail_to_live(self, what: str) -> None:
        """What has not come about, and how everybody is."""
        found = ", ".join(map(self._describe, self._nodes))
        self._fail(LIVENESS, f"{what}: {found}")

    def _describe(self, node: SimulatedNode) -> str:
        if node.server is None:
            return f"n{node.node_id} {'lost' if node.lost else 'down'}"
        state = node.server.state
        return (
            f"n{node.node_id} {state.role.value} of term {state.current_term} at "
            f"{state.commit_index}/{state.log.last_index}"
        )


def _answered(client: SimulatedClient) -> bool:
    return any(one.completed_s is not None for one in client.history)
