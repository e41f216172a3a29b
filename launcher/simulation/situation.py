"""The circumstances of one simulated run: what its seed decides before anything happens.

Limits are drawn small as often as large, so that a run of seconds comes to them; latencies and
disks are fast or slow; the failure hint is on or off. `Options` is what the user says, `Situation`
what the seed makes of it.
"""

from __future__ import annotations

import random
from functools import lru_cache, partial
from pathlib import Path

import msgspec

from launcher.records import ClusterRecord
from launcher.simulation.schedule import (
    ADD,
    FAULTS,
    FLIP_BIT,
    REBUILD,
    RECONFIGURE,
    RECOVER,
    REMOVE,
    Fault,
    make_schedule,
    only,
)
from node.raft.messages import Floor, NodeId
from node.storage.lives import LastKnown, Life
from node.wire import NodeConfig

CLUSTER_ID = "simulated"

ELECTION_TIMEOUT_S = 1.0
"""The longest that a simulated node waits for a leader."""

KEYS = (3, 6, 12)

HOSTILE = 0.1
"""In so many runs there is a hostile client."""

SESSIONS_END = 0.3
"""In so many runs sessions end early: idle ones, or all but a few."""

SESSION_S = 3600.0
SESSIONS = 10_000
"""By these no session ends in a run."""

MOST_ADDED = 8
"""So many nodes may be added in a run, one after the other or together."""

NEVER = 1 << 40
"""So many entries no run has."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be simulated.

    nodes: how many servers
    time_s: for how many simulated seconds faults happen; the liveness phase comes after them
    faults: the kinds that are allowed, names of `FAULTS`
    rate: operations a simulated second that all clients together begin, if they are not held up
    clients: how many there are
    only: of the seed's schedule only the faults with these numbers; None for all
    """

    nodes: int = 5
    time_s: float = 60.0
    faults: tuple[str, ...] = tuple(FAULTS)
    rate: float = 100.0
    clients: int = 8
    only: tuple[int, ...] | None = None


def _chance(seed: int, purpose: str) -> random.Random:
    return random.Random(f"{seed}/{purpose}")


@lru_cache(maxsize=2)
def _schedule(options: Options, seed: int) -> tuple[Fault, ...]:
    """Asked for at each start of each node."""
    schedule = make_schedule(options.faults, options.time_s, partial(_chance, seed))
    return tuple(schedule if options.only is None else only(schedule, options.only))


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """One run's circumstances. Seconds and bytes.

    latency_s: between these a message takes from one node to another
    sync_s: between these an append takes
    turn_s: how long a process gathers what comes before it acts
    max_apply_commands: so many a node applies, or queries it answers, before others get their turn
    session_timeout_s, most_sessions: when sessions end
    keys: over how many keys the clients quarrel
    padding: up to so many bytes are added to a value
    followers: such a share of the reads is asked of a certain node, whether it leads or not
    lease: leaders answer reads by leases; then no clock leaves the bound that they assume
    readers: so many of the clients only read
    one_shots: so many of the others begin anew for each call
    hostile: there is a client besides that asks for what no client may
    election_timeout_max_s: between the shortest timeout and this they are drawn
    """

    seed: int
    options: Options
    latency_s: tuple[float, float]
    sync_s: tuple[float, float]
    turn_s: float
    failure_hint: bool
    max_append_bytes: int
    max_inflight_batches: int
    max_uncommitted_bytes: int
    max_apply_bytes: int
    max_apply_commands: int
    segment_bytes: int
    keys: int
    padding: int
    snapshot_log_bytes: int
    snapshot_entries: int
    snapshot_trailing_bytes: int
    snapshot_chunk_bytes: int
    followers: float
    lease: bool
    session_timeout_s: float
    most_sessions: int
    readers: int
    one_shots: int
    hostile: bool
    election_timeout_max_s: float

    @property
    def nodes(self) -> list[NodeId]:
        """Those that are on record when the run begins."""
        return list(range(1, self.options.nodes + 1))

    @property
    def spares(self) -> list[NodeId]:
        """Those that may be added. They do not run before."""
        first = self.options.nodes + 1
        adds = any(fault.kind == ADD for fault in self.schedule())
        return list(range(first, first + MOST_ADDED)) if adds else []

    @property
    def record(self) -> ClusterRecord:
        """What the supervisor has on record when the run begins."""
        return ClusterRecord(
            cluster_id=CLUSTER_ID,
            name=CLUSTER_ID,
            machine="kv",
            founders=self.members,
            session_timeout_s=self.session_timeout_s,
            most_sessions=self.most_sessions,
            members=self.nodes,
            last_id=self.options.nodes,
        )

    @property
    def reconfigures(self) -> bool:
        """Whether the membership changes in this run, to whatever."""
        return any(fault.kind == RECONFIGURE for fault in self.schedule())

    @property
    def rots(self) -> bool:
        """Whether disks rot in this run."""
        return any(fault.kind == FLIP_BIT for fault in self.schedule())

    @property
    def rebuilds(self) -> bool:
        """Whether nodes are set aside and rebuilt in this run."""
        return any(fault.kind == REBUILD for fault in self.schedule())

    @property
    def recovers(self) -> bool:
        """Whether the cluster is given up, and begun anew from one node's data, in this run."""
        return any(fault.kind == RECOVER for fault in self.schedule())

    @property
    def recorded_changes(self) -> bool:
        """Whether nodes are added, removed or rebuilt in this run, as the supervisor does it."""
        return any(fault.kind in (ADD, REMOVE, REBUILD) for fault in self.schedule())

    @property
    def sessions_end(self) -> bool:
        """Whether a client that is at work may lose its session in this run."""
        return self.session_timeout_s < SESSION_S or self.most_sessions < SESSIONS

    @property
    def members(self) -> list[NodeId]:
        """With whom the cluster begins: not always with all, where the membership changes."""
        if not self.reconfigures:
            return self.nodes
        size = self.chance("members").choice([len(self.nodes), (len(self.nodes) + 1) // 2])
        return self.nodes[:size]

    def chance(self, purpose: str) -> random.Random:
        """The randomness for one purpose. What one purpose draws never moves another."""
        return _chance(self.seed, purpose)

    def schedule(self) -> list[Fault]:
        """The faults of this run: the seed's, or those of them that `Options.only` names.

        Raises UsageError for a number that the seed's schedule does not have.
        """
        return list(_schedule(self.options, self.seed))

    def node_config(
        self,
        node_id: NodeId,
        life: Life,
        known: LastKnown,
        *,
        renewed: Floor | None = None,
        cluster_id: str = CLUSTER_ID,
    ) -> NodeConfig:
        """What a node of this cluster is told when it starts; of the voters nothing, if it joins,
        or has been `renewed` when so much was committed.

        known: what its data is known to have held
        """
        begins = node_id in self.members and renewed is None
        return NodeConfig(
            cluster_id=cluster_id,
            cluster_name=CLUSTER_ID,
            node_id=node_id,
            life=life.number,
            life_token=life.token,
            known=known,
            voters=self.members if begins else [],
            floor=renewed or Floor(),
            peers={},
            data_dir=Path(),
            event_log=Path(),
            socket=Path(),
            machine="kv",
            python_path=[],
            heartbeat_interval_s=0.1,
            election_timeout_min_s=0.5,
            election_timeout_max_s=self.election_timeout_max_s,
            failure_hint=self.failure_hint,
            lease=self.lease,
            max_entry_bytes=1 << 20,
            max_append_bytes=self.max_append_bytes,
            max_inflight_batches=self.max_inflight_batches,
            max_inflight_bytes=8 << 20,
            max_uncommitted_bytes=self.max_uncommitted_bytes,
            max_apply_bytes=self.max_apply_bytes,
            max_apply_commands=self.max_apply_commands,
            segment_bytes=self.segment_bytes,
            snapshot_log_bytes=self.snapshot_log_bytes,
            snapshot_entries=self.snapshot_entries,
            snapshot_trailing_bytes=self.snapshot_trailing_bytes,
            snapshot_chunk_bytes=self.snapshot_chunk_bytes,
            session_timeout_s=self.session_timeout_s,
            most_sessions=self.most_sessions,
            log_level="debug",
            log_rotate_bytes=1 << 30,
            digest_every=100,
            faults=[],
        )


def situation(options: Options, seed: int) -> Situation:
    """What this seed makes of the options."""
    chance, reads = random.Random(f"{seed}/situation"), random.Random(f"{seed}/reads")
    latency_s = chance.choice([0.0001, 0.0001, 0.001, 0.005])
    sync_s = chance.choice([0.0002, 0.0002, 0.002, 0.01])
    narrow = chance.random() < 0.15  # what is sent and written piece by piece is there in part
    ends, haste = random.Random(f"{seed}/sessions"), random.Random(f"{seed}/haste")
    timeout_s, most = SESSION_S, SESSIONS
    if ends.random() < SESSIONS_END:
        timeout_s = ends.choice([0.3, 1.0, 3.0, SESSION_S])
        most = ends.choice([2, 5, 12, SESSIONS])
    drawn = Situation(
        seed=seed,
        options=options,
        latency_s=(latency_s, latency_s * chance.choice([1.5, 4.0])),
        sync_s=(sync_s, sync_s * chance.choice([1.5, 5.0])),
        turn_s=chance.choice([0.0001, 0.0005, 0.001]),
        failure_hint=chance.random() < 0.5,
        max_append_bytes=chance.choice([1, 500, 4000, 1 << 20]),
        max_inflight_batches=chance.choice([1, 4, 64]),
        max_uncommitted_bytes=chance.choice([400, 2000, 1 << 20]),
        max_apply_bytes=chance.choice([2000, 1 << 20, 1 << 20]),
        max_apply_commands=random.Random(f"{seed}/stretch").choice([1, 20, 4096, 4096]),
        segment_bytes=chance.choice([8 << 10, 32 << 10, 128 << 10]),
        keys=chance.choice(KEYS),
        padding=chance.choice([0, 0, 50, 200]),
        snapshot_log_bytes=chance.choice([1000, 10_000, 1 << 30]),
        snapshot_entries=chance.choice([10, 50, 300, NEVER]),
        snapshot_trailing_bytes=chance.choice([0, 0, 500, 5000]),
        snapshot_chunk_bytes=chance.choice([300, 1500, 1 << 20]),
        followers=reads.choice([0.0, 0.3, 0.7]),
        lease=reads.random() < 0.3,
        session_timeout_s=timeout_s,
        most_sessions=most,
        readers=haste.choice([0, 0, 2, 4]),
        one_shots=haste.choice([0, 0, 2]),
        hostile=random.Random(f"{seed}/hostile").random() < HOSTILE,
        election_timeout_max_s=haste.choice([ELECTION_TIMEOUT_S, ELECTION_TIMEOUT_S, 0.6]),
    )
    if drawn.lease:
        # A lease fails in the moments in which another leads already: who reads then, of the one,
        # and who writes, of the other?
        drawn = msgspec.structs.replace(
            drawn,
            readers=haste.choice([2, 4]),
            one_shots=2,
            election_timeout_max_s=haste.choice([ELECTION_TIMEOUT_S, 0.55]),
        )
    drawn = msgspec.structs.replace(drawn, readers=min(drawn.readers, options.clients // 2))
    if narrow:
        drawn = msgspec.structs.replace(
            drawn,
            latency_s=(0.005, 0.02),
            sync_s=(0.01, 0.05),
            max_append_bytes=1,
            max_inflight_batches=1,
        )
    return _bearable(drawn, options)


def _bearable(drawn: Situation, options: Options) -> Situation:
    """Without what nobody could live with for long, and nobody would have together."""
    chunk_bytes = drawn.snapshot_chunk_bytes
    if drawn.one_shots:
        # Each leaves a session behind, so the state grows with the run; and a snapshot has to be
        # through before the next is due, and the log behind it gone (seed 562 of 60 s).
        chunk_bytes = max(int(25 * options.time_s), chunk_bytes)
    if drawn.sync_s[0] > 0.002:
        # Each chunk takes a sync, and the last of a bare majority may need one snapshot and then,
        # with nothing kept behind it, the next (seed 1132 of 60 s).
        chunk_bytes = max(1500, chunk_bytes)
    drawn = msgspec.structs.replace(drawn, snapshot_chunk_bytes=chunk_bytes)
    if drawn.latency_s[0] > 0.001 or drawn.sync_s[0] > 0.002:
        # Who is slow, and in haste, splits one vote after the other.
        drawn = msgspec.structs.replace(drawn, election_timeout_max_s=ELECTION_TIMEOUT_S)
    if drawn.max_append_bytes == drawn.max_inflight_batches == 1:
        # So slow that calls pile up: over few keys the checker would have too much to try.
        drawn = msgspec.structs.replace(drawn, keys=KEYS[-1])
    return drawn
