"""The world: one cluster in simulated time, from its first start to its verdict, by seed.

    outcome = World(situation(options, seed)).run()

Nothing in it waits (`agenda.py`), and nothing is random but by the seed. So a run is some fifty
times as fast as what it simulates, and the same seed is the same run, to the last byte of its
trace.

A run has two parts. While there are faults (`nemesis.py`), clients quarrel over a few keys, and
every step is watched (`watch.py`, `node/raft/invariants.py`). Then the faults stop, and the cluster
has to show that it lives (`_live`):

1. with as few nodes up as make a majority, within `LIVENESS_TIMEOUTS` election timeouts there is a
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

In the end the clients' histories go to the checker (`launcher/checker.py`).
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from launcher.checker import Validity, check, explain
from launcher.checking.history import Operation
from launcher.simulation.agenda import Agenda
from launcher.simulation.clients import SimulatedClient
from launcher.simulation.handover import HANDOVERS, HandoverWatch
from launcher.simulation.nemesis import Nemesis
from launcher.simulation.network import Network, cuts
from launcher.simulation.node import CRASH, SimulatedNode, link
from launcher.simulation.operator import Operator, current_leader
from launcher.simulation.schedule import Fault
from launcher.simulation.situation import ELECTION_TIMEOUT_S, Situation
from launcher.simulation.trace import Trace
from launcher.simulation.watch import TAG_AT, Watch, WatchedMachine
from node.raft.invariants import InvariantBroken
from node.raft.membership import stable
from node.raft.messages import NodeId

LIVENESS_TIMEOUTS = 10
"""So many times the longest election timeout the cluster has to recover once the faults stop."""

SETTLE_S = LIVENESS_TIMEOUTS * ELECTION_TIMEOUT_S

LIVENESS = "liveness"
STABILITY = "stability"
LINEARIZABILITY = "linearizability"

CHECK_LOOKS = 5_000
"""So often may the checker look at its clock for one run's history, and its clock counts just that:
what it can decide is the same on any machine, however busy. It is some ten seconds at the most, and
mostly a hundredth of that."""


class Failure(msgspec.Struct, frozen=True):
    """A property that does not hold.

    broken: its name
    belief: what was believed, and what was found instead
    at_s: when, in simulated seconds
    detail: more lines, for people
    """

    broken: str
    belief: str
    at_s: float
    detail: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to.

    undecided: why the checker could not tell, if it could not
    simulated_s: how long the run was, in its own time
    operations: how many the clients began
    faults: how many happened
    elections: how many terms had a leader
    fingerprint: a checksum of every frame that was delivered and when; the same for the same run
    """

    seed: int
    failure: Failure | None
    undecided: str
    simulated_s: float
    operations: int
    acknowledged: int
    faults: int
    crashes: int
    elections: int
    events: int
    fingerprint: int


class World:
    """One simulated cluster. Observer of its nodes."""

    def __init__(self, situation: Situation, *, trace: Trace | None = None) -> None:
        self.time = Agenda()
        self.situation = situation
        options = situation.options
        self.schedule = situation.schedule()
        self.faults = 0
        self.crashes = 0
        self.fingerprint = 0
        self._trace = trace
        self._watch = Watch(situation.chance("watch"), stable(situation.members))
        self._handovers = HandoverWatch()
        self._nodes = {
            node_id: SimulatedNode(node_id, situation, self.time, self)
            for node_id in situation.nodes
        }
        self._watch.begin(self._nodes.values())
        self._network = Network(
            self.time, self._nodes, situation.latency_s, situation.chance("network")
        )
        link(self._nodes.values(), self._network)
        nodes = list(self._nodes.values())
        self._operator = Operator(nodes, self.time, self._forgot)
        self._nemesis = Nemesis(
            nodes, self._network, self.time, situation, self._operator, self._note_fault
        )
        self._clients = [self._client(number) for number in range(1, options.clients + 1)]

    def _client(self, number: int) -> SimulatedClient:
        options = self.situation.options
        return SimulatedClient(
            number,
            self._nodes,
            self.time,
            self._watch,
            self.situation.chance(f"client {number}"),
            keys=self.situation.keys,
            rate=options.rate / options.clients,
            padding=self.situation.padding,
            followers=self.situation.followers,
            whom=self.situation.chance(f"whom client {number} reads"),
            sessions_end=self.situation.sessions_end,
            only_reads=number <= self.situation.readers,
            one_shot=0 <= options.clients - number < self.situation.one_shots,
        )

    # -- the run ---------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """From the first start to the verdict."""
        failure: Failure | None = None
        undecided = ""
        try:
            self._disturbed()
            self._live()
        except InvariantBroken as error:
            failure = Failure(error.broken, error.belief, self.time.now)
        except AssertionError as error:  # what the product itself believes impossible
            failure = Failure(CRASH, f"an assertion does not hold: {error}", self.time.now)
        if failure is None:
            failure, undecided = self._check_history()
        return Outcome(
            seed=self.situation.seed,
            failure=failure,
            undecided=undecided,
            simulated_s=self.time.now,
            operations=sum(len(client.history) for client in self._clients),
            acknowledged=self._watch.acknowledged_count,
            faults=self.faults,
            crashes=self.crashes,
            elections=len(self._watch.cluster.leaders),
            events=self.time.events,
            fingerprint=self.fingerprint,
        )

    def _disturbed(self) -> None:
        time_s = self.situation.options.time_s
        self._nemesis.follow(self.schedule)
        for node in self._nodes.values():
            self.time.at(0.0, node.start)
        for client in self._clients:
            client.work(until_s=time_s)
        self.time.run_until(time_s)

    def _check_history(self) -> tuple[Failure | None, str]:
        history: list[Operation] = []
        for client in self._clients:
            client.end()
            history += client.history
        verdict = check(history, timeout_s=CHECK_LOOKS, clock=itertools.count().__next__)
        if verdict.validity is Validity.INVALID:
            at_s = max(
                (one.completed_s or one.invoked_s for one in verdict.window), default=self.time.now
            )
            return Failure(LINEARIZABILITY, verdict.reason, at_s, explain(verdict)), ""
        return None, verdict.reason if verdict.validity is Validity.UNKNOWN else ""

    # -- liveness --------------------------------------------------------------------------------

    def _live(self) -> None:
        if self.situation.reconfigures or self.situation.rebuilds:
            self._make_all_voters()
        voters = len(self.situation.nodes)
        spared = voters - (voters // 2 + 1)
        well = [node for node in self._alive() if not node.flipped]
        down = self.situation.chance("spared").sample(well, len(well))
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
        if len(self._alive()) <= voters // 2 + 1 or voters < 3:
            return  # with fewer, one deaf node is one too few
        self._survive_a_deaf_leader()
        self._recover("once the leader hears again")
        self._suffer_a_deaf_follower()
        if len(self._alive()) - 2 > voters // 2:
            self._elect_beside_a_hasty_node()

    def _make_all_voters(self) -> None:
        """What is asked for in the end is what the membership comes to, whatever was under way."""
        self._nemesis.stop()
        self._note("faults.stopped")
        if self.situation.rebuilds:
            for node in self._nodes.values():
                if node.lost:
                    self._rebuild(node)
        everybody = self.situation.nodes

        def settled() -> bool:
            leader = current_leader(self._nodes.values())
            if leader is None or leader.server is None:
                return False
            state = leader.server.state
            index, configuration = state.configurations[-1]
            if configuration.membership == stable(everybody):
                return index <= state.commit_index
            leader.change_membership(everybody)
            return False

        if not self._comes_about(settled, 2 * SETTLE_S):
            self._fail_to_live(f"not all are voters by {self.time.now:.3f} s")

    def _rebuild(self, node: SimulatedNode) -> None:
        """Its disk has rotted, and its peers give it back what it has lost."""
        chance = self.situation.chance(f"rebuild {node.node_id}")

        def rebuilt() -> bool:
            if self._operator.rebuilding is None and node.lost:
                self._operator.rebuild(node, SETTLE_S, chance)
            return self._operator.rebuilding is None and not node.lost

        if not self._comes_about(rebuilt, 2 * SETTLE_S):
            self._fail_to_live(f"n{node.node_id} is not rebuilt by {self.time.now:.3f} s")

    def _alive(self) -> list[SimulatedNode]:
        return [node for node in self._nodes.values() if not node.lost]

    def _recover(self, when: str) -> None:
        """There is a leader, it commits, and all agree."""
        self._commit_in_the_end(when)
        if not self._comes_about(self._converged, SETTLE_S):
            self._fail_to_live(f"no agreement {SETTLE_S:g} s {when}")

    def _comes_about(self, what: Callable[[], bool], patience_s: float) -> bool:
        """In so long, or as long as it takes who is behind to catch up: over slow links a long way
        takes long, and what counts is to get on."""
        give_up = self.time.now + 10 * SETTLE_S
        if self.time.run_until(self.time.now + patience_s / 2, what):
            return True
        # Not sooner: who has only just started has applied nothing, and nobody lacks anything.
        lack = self._lack()
        patience_s /= 2
        while not self.time.run_until(self.time.now + patience_s, what):
            before, lack = lack, self._lack()
            if lack >= before or self.time.now >= give_up:
                return False
            patience_s = SETTLE_S
        return True

    def _lack(self) -> int:
        """How many entries all together have yet to apply, to be as far as the furthest. Who is yet
        to be rebuilt has all of it before it: one begins when another one is done."""
        applied = [node.server.applied[0] for node in self._alive() if node.server is not None]
        if self.situation.rebuilds:
            applied += [0 for node in self._nodes.values() if node.lost or node.withheld]
        return sum(max(applied) - index for index in applied) if applied else 0

    def _serve_everyone(self) -> None:
        """Clients that have been through all of it get an entry and a read answered."""
        deadline = self.time.now + SETTLE_S
        for client in self._clients:
            self._serve(client, lambda one: one.submit([one.write(b"k0")]), deadline)
            self._serve(client, lambda one: one.read(b"k0"), deadline)
            if self.situation.followers:
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

        if not self.time.run_until(deadline, served):
            belief = f"client {client.number} has no answer by {deadline:.3f} s, long after faults"
            self._fail(LIVENESS, belief)

    def _get_by_without_the_leaders_disk(self) -> None:
        """The leader's disk hangs and its heart beats on: the others' disks are a majority."""
        leader = self._leader()
        if len(self._alive()) - 1 <= len(self.situation.nodes) // 2:
            return
        self._note("disk.hung", leader=leader.node_id)
        leader.disk_hangs_until = float("inf")
        failed_over_by = self.time.now + 2 * ELECTION_TIMEOUT_S
        self._commit(self.time.now + SETTLE_S, f"while the disk of n{leader.node_id} hangs")
        if not self._another_leads(leader, failed_over_by):
            self._fail(
                LIVENESS, f"n{leader.node_id} leads on by {self.time.now:.3f} s: its disk hangs"
            )
        leader.go_on_with_disk()
        self._recover("once the disk goes on")

    def _another_leads(self, old: SimulatedNode, deadline: float) -> bool:
        return self.time.run_until(
            deadline, lambda: any(node.leads and node is not old for node in self._alive())
        )

    def _hand_over(self) -> None:
        """A leader that is asked to has the one lead that it is asked for, or leads on."""
        chance = self.situation.chance("handover")
        leader = self._leader()
        target = chance.choice([node for node in self._alive() if node is not leader])
        self._note("transfer.asked", leader=leader.node_id, target=target.node_id)
        leader.transfer(target.node_id)
        if not self.time.run_until(
            self.time.now + ELECTION_TIMEOUT_S, lambda: self._leads_alone(target)
        ):
            self._fail(LIVENESS, f"n{leader.node_id} was to hand over to n{target.node_id}")
        self._recover("once another leads")
        if len(self._alive()) - 1 <= len(self.situation.nodes) // 2:
            return
        leader = self._leader()
        target = chance.choice([node for node in self._alive() if node is not leader])
        self._note("transfer.asked", leader=leader.node_id, target=target.node_id, reachable=False)
        self._deafen("unreachable", target.node_id, self._nodes)
        if chance.random() < 0.5:  # it lacks an entry besides
            self._commit(self.time.now + SETTLE_S, f"while n{target.node_id} hears nobody")
        leader.transfer(target.node_id)
        done_by = self.time.now + ELECTION_TIMEOUT_S
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
        self._deafen("hasty", hasty.node_id, self._nodes)
        hasty.clock.run_at(4.0, self.time.now)
        hasty.arm_timer()
        self.time.run_until(self.time.now + ELECTION_TIMEOUT_S)
        leader.crash(power=False, reason="killed")
        self._commit(
            self.time.now + SETTLE_S, f"while n{hasty.node_id} asks for votes all the time"
        )
        hasty.clock.run_at(1.0, self.time.now)
        self._network.mend("hasty")
        leader.start()
        self._recover("once nobody is hasty")

    def _survive_a_deaf_leader(self) -> None:
        leader = self._leader()
        deaf = leader.node_id
        self._note("leader.deafened", leader=deaf)
        self._deafen("deaf leader", deaf, self._nodes)
        if not self._another_leads(leader, self.time.now + SETTLE_S):
            self._fail(LIVENESS, f"n{deaf} hears nobody and nobody has replaced it as leader")
        self._commit(self.time.now + SETTLE_S, "while the old leader is deaf")
        self._network.mend("deaf leader")

    def _suffer_a_deaf_follower(self) -> None:
        leader = self._leader()
        assert leader.server is not None
        term = leader.server.state.current_term
        deaf = next(node.node_id for node in self._alive() if node is not leader)
        self._note("follower.deafened", follower=deaf)
        self._deafen("deaf follower", deaf, [leader.node_id])
        self.time.run_until(self.time.now + 3 * ELECTION_TIMEOUT_S)
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
        if not self.time.run_until(deadline, self._new_entry()):
            self._fail_to_live(f"a new entry has no answer by {deadline:.3f} s {when}")

    def _commit_in_the_end(self, when: str) -> None:
        """As `_commit`; but where the last of a majority is behind, it has to catch up first."""
        if not self._comes_about(self._new_entry(), SETTLE_S):
            self._fail_to_live(f"a new entry has no answer by {self.time.now:.3f} s {when}")

    def _new_entry(self) -> Callable[[], bool]:
        """A client that begins now: whether it has its answer."""
        client = self._client(len(self._clients) + 1)
        self._clients.append(client)

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
        found = ", ".join(map(self._describe, self._nodes.values()))
        self._fail(LIVENESS, f"{what}: {found}")

    def _describe(self, node: SimulatedNode) -> str:
        if node.server is None:
            return f"n{node.node_id} {'lost' if node.lost else 'down'}"
        state = node.server.state
        return (
            f"n{node.node_id} {state.role.value} of term {state.current_term} at "
            f"{state.commit_index}/{state.log.last_index}"
        )

    # -- the observer ----------------------------------------------------------------------------

    def machine(self, node: SimulatedNode) -> WatchedMachine:
        """The Observer port."""
        return WatchedMachine(node.node_id, self._watch.applied)

    def started(self, node: SimulatedNode) -> None:
        """The Observer port."""
        self._watch.started(node)
        self._note("node.spawned", target=node.node_id)

    def stepped(self, node: SimulatedNode) -> None:
        """The Observer port."""
        self._watch.stepped(node)
        self._handovers.stepped(node)

    def sending(self, node: SimulatedNode, peer: NodeId, frame: bytes) -> None:
        """The Observer port."""
        self.fingerprint = zlib.crc32(frame, self.fingerprint)
        self._watch.sending(node, peer, frame)
        if frame[TAG_AT] in HANDOVERS:
            self._handovers.sending(node, self._nodes[peer], frame)
        if self._trace is not None:
            self._trace.message(self.time.now, node, peer, frame)

    def died(self, node: SimulatedNode, reason: str) -> None:
        """The Observer port."""
        self.crashes += 1
        self._watch.died(node)
        self._note("node.exited", level="warn", target=node.node_id, reason=reason)

    def happened(
        self,
        node: SimulatedNode,
        level: str,
        event: str,
        term: int,
        role: str,
        commit: int,
        fields: dict[str, object],
    ) -> None:
        """The Observer port."""
        t = node.tick()
        if event == "leader.elected":
            self._nemesis.elected(node)
        elif event == "snapshot.rejected" and not self.situation.rots:
            self._watch.rejected(node, fields["reason"])
        self._nemesis.happened(node, event)
        if self._trace is not None:
            self._trace.event(self.time.now, t, node, level, event, term, role, commit, fields)

    def _forgot(self, node: SimulatedNode) -> None:
        self._watch.forgot(node)
        self._note("node.renewed", level="warn", target=node.node_id)

    def _note_fault(self, fault: Fault, targets: list[NodeId]) -> None:
        self.faults += 1
        self._note(
            "fault.injected",
            level="warn",
            fault=fault.kind,
            targets=targets,
            number=fault.number,
            duration_s=round(fault.duration_s, 6),
            amount=round(fault.amount, 6),
        )

    def _note(self, event: str, level: str = "info", **fields: object) -> None:
        if self._trace is not None:
            self._trace.world(self.time.now, level, event, fields)


def _answered(client: SimulatedClient) -> bool:
    return any(one.completed_s is not None for one in client.history)
