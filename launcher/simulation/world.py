"""The world: one cluster in simulated time, from its first start to its verdict, by seed.

    outcome = World(situation(options, seed)).run()

Nothing in a run waits for real time (`agenda.py`), and all randomness comes from the seed. So a run
is about fifty times as fast as what it simulates, and the same seed gives the same run, to the last
byte of its trace.

A run has two parts. While there are faults (`faults/`), clients compete for a few keys, and every
step is watched (`watch.py`, `node/raft/invariants.py`). Then the faults stop, and the cluster must
show that it is live (`liveness.py`). In the end the checker looks at the clients' histories
(`launcher/checking/checker.py`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import msgspec

from launcher.checking.checker import Validity, check, explain
from launcher.checking.history import Operation
from launcher.simulation.agenda import Agenda
from launcher.simulation.availability import check_take_down
from launcher.simulation.clients import SimulatedClient
from launcher.simulation.faults.nemesis import Nemesis
from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.target_cluster import TargetCluster
from launcher.simulation.handover import HANDOVERS, HandoverWatch
from launcher.simulation.hostile import HostileClient
from launcher.simulation.liveness import Liveness
from launcher.simulation.network import SimulatedLinks
from launcher.simulation.node import SimulatedNode
from launcher.simulation.operator import Operator
from launcher.simulation.properties import CRASH, LINEARIZABILITY
from launcher.simulation.situation import Situation
from launcher.simulation.trace import MessageTrace, Trace
from launcher.simulation.watch import Watch
from launcher.simulation.watched_machine import WatchedMachine
from node import wire
from node.raft.invariants import InvariantBroken
from node.raft.membership import stable
from node.raft.messages import NodeId

_INVALID_INPUT = ("frame.skipped", "entries.skipped")
"""Events of invalid input from a peer. The product skips it, to survive the bug of another program.
In this world every peer is the product itself, so the bug is its own."""

CHECK_STEPS = 1_280_000
"""The checker's budget for the history of one run. It counts steps, not seconds, so that the
verdict is the same on any machine, however busy. This number takes about ten seconds; most
histories need a hundredth of it."""


class Failure(msgspec.Struct, frozen=True):
    """A property that does not hold.

    broken: the property's name
    belief: what should hold, and what was found instead
    at_s: when it was found, in simulated seconds
    detail: more lines for the report
    """

    broken: str
    belief: str
    at_s: float
    detail: str = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one run.

    undecided: why the checker could not decide; empty if it could
    simulated_s: how long the run was, in simulated seconds
    operations: how many operations the clients began
    acknowledged: how many entries were acknowledged to clients
    faults: how many faults began
    crashes: how many lives of nodes ended
    elections: how many terms had a leader
    events: how many callbacks of the agenda ran
    fingerprint: a checksum of all frames that nodes sent, in order; the same for the same run
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
    """One simulated cluster: the `Observer` of its nodes, and the `Onlooker` of its operator."""

    def __init__(self, situation: Situation, *, trace: Trace | None = None) -> None:
        self.time = Agenda()
        self.situation = situation
        options = situation.options
        self.schedule = situation.schedule()
        self.faults = 0
        self.crashes = 0
        self.fingerprint = 0
        self._trace = trace
        self._watch = Watch(situation.rng("watch"), stable(situation.members))
        self._handovers = HandoverWatch()
        self._nodes = {
            node_id: SimulatedNode(node_id, situation, self.time, self)
            for node_id in (*situation.nodes, *situation.spares)
        }
        self._watch.begin(self._nodes.values())
        self._links = SimulatedLinks(
            self.time, self._nodes, situation.latency_s, situation.rng("network")
        )
        link(self._nodes.values(), self._links)
        self._messages: MessageTrace | None = None
        if trace is not None and trace.has_messages:
            self._links.watch = self._messages = MessageTrace(trace, self.time, self._nodes)
        self._operator = Operator(
            self._nodes, situation.record, self.time, situation.rng("operator"), self
        )
        self._target = TargetCluster(self._links, self.time, situation, self._operator)
        self._nemesis = Nemesis(self._target, self._note_fault, self._watch.recovered)
        self._clients: list[SimulatedClient] = []
        for _ in range(options.clients):
            self._new_client()
        self._hostile = HostileClient(
            self._operator.nodes, self.time, situation.rng("hostile client")
        )
        self._liveness = Liveness(
            situation, self.time, self._links, self._operator, self._nemesis, self._clients,
            self._new_client, self._note,
        )  # fmt: skip

    def _new_client(self) -> SimulatedClient:
        number = len(self._clients) + 1
        options = self.situation.options
        client = SimulatedClient(
            number,
            self._operator.nodes,
            self.time,
            self._watch,
            self.situation.rng(f"client {number}"),
            keys=self.situation.keys,
            rate=options.rate / options.clients,
            padding=self.situation.padding,
            followers=self.situation.followers,
            target_rng=self.situation.rng(f"whom client {number} reads"),
            sessions_end=self.situation.sessions_end,
            only_reads=number <= self.situation.readers,
            one_shot=0 <= options.clients - number < self.situation.one_shots,
        )
        self._clients.append(client)
        return client

    # -- the run ---------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Simulates the run, from the first start to the verdict."""
        failure: Failure | None = None
        undecided = ""
        try:
            self._run_with_faults()
            self._liveness.examine()
        except InvariantBroken as error:
            failure = self.broken(error)
        except AssertionError as error:  # the product's own
            failure = self.broken(InvariantBroken(CRASH, f"an assertion does not hold: {error}"))
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

    def broken(self, error: InvariantBroken, detail: str = "") -> Failure:
        """A property does not hold: that is the last event of the run's trace."""
        self._note(
            "property.broken",
            level="error",
            property=error.broken,
            belief=error.belief,
            **error.facts,
        )
        return Failure(error.broken, error.belief, self.time.now, detail)

    def _run_with_faults(self) -> None:
        time_s = self.situation.options.time_s
        self._nemesis.follow(self.schedule)
        for node in self._nodes.values():
            self.time.at(0.0, node.start)
        for client in self._clients:
            client.work(until_s=time_s)
        if self.situation.hostile:
            self._hostile.work(until_s=time_s)
        self.time.run_until(time_s)

    def _check_history(self) -> tuple[Failure | None, str]:
        history: list[Operation] = []
        for client in self._clients:
            client.end()
            history += client.history
        verdict = check(history, max_steps=CHECK_STEPS)
        if verdict.validity is Validity.INVALID:
            at_s = max(
                (one.completed_s or one.invoked_s for one in verdict.window), default=self.time.now
            )
            error = InvariantBroken(LINEARIZABILITY, verdict.reason, until_s=at_s)
            failure = self.broken(error, explain(verdict))
            return msgspec.structs.replace(failure, at_s=at_s), ""
        return None, verdict.reason if verdict.validity is Validity.UNKNOWN else ""

    # -- the Observer port -----------------------------------------------------------------------

    def machine(self, node: SimulatedNode) -> WatchedMachine:
        """The `Observer` port."""
        return WatchedMachine(node.node_id, self._watch.applied)

    def started(self, node: SimulatedNode) -> None:
        """The `Observer` port."""
        self._watch.started(node)
        self._note("node.spawned", target=node.node_id)

    def stepped(self, node: SimulatedNode) -> None:
        """The `Observer` port."""
        self._watch.stepped(node)
        self._handovers.stepped(node)
        if self._trace is not None:
            self._trace.look(self.time.now, self._links, self._nodes.values())
            self._trace.stepped(self.time.now, node)

    def sending(self, node: SimulatedNode, peer: NodeId, frame: bytes) -> None:
        """The `Observer` port."""
        self.fingerprint = zlib.crc32(frame, self.fingerprint)
        self._watch.sending(node, peer, frame)
        if wire.tag_of(frame) in HANDOVERS:
            self._handovers.sending(node, self._nodes[peer], frame)

    def received(self, node: SimulatedNode, peer: NodeId, frame: bytes, t: int) -> None:
        """The `Observer` port."""
        if self._messages is not None:
            self._messages.received(node, peer, frame, t)

    def died(self, node: SimulatedNode, reason: str) -> None:
        """The `Observer` port."""
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
        """The `Observer` port."""
        t = node.tick()
        if event == "leader.elected":
            self._nemesis.elected(node)
        elif event in _INVALID_INPUT:
            belief = f"n{node.node_id} is sent what no correct peer sends: {fields['reason']}"
            raise InvariantBroken(CRASH, belief)
        elif event == "snapshot.rejected" and not self.situation.rots:
            self._watch.rejected(node, fields["reason"])
        self._nemesis.happened(node, event)
        if self._trace is not None:
            self._trace.event(self.time.now, t, node, level, event, term, role, commit, fields)

    # -- the Onlooker port -----------------------------------------------------------------------

    def forgot(self, node: SimulatedNode) -> None:
        """The `Onlooker` port."""
        self._watch.forgot(node)
        self._note("node.renewed", level="warn", target=node.node_id)

    def dismissed(self, node: SimulatedNode) -> None:
        """The `Onlooker` port."""
        self._watch.dismissed(node)

    def operated(self, event: str, **fields: object) -> None:
        """The `Onlooker` port."""
        self._note(event, "info", **fields)

    def taken_down(self, node: SimulatedNode) -> None:
        """The `Onlooker` port."""
        check_take_down(node, list(self._operator.nodes.values()))

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


def link(nodes: Iterable[SimulatedNode], links: SimulatedLinks) -> None:
    """Makes the nodes peers of each other."""
    everyone = list(nodes)
    for node in everyone:
        node.links = links
        node.peers = [peer for peer in everyone if peer is not node]
