"""The circumstances of one simulated run: what its seed decides before anything happens.

Limits are drawn small as often as large, so that a run of seconds reaches them. Links and disks are
fast or slow, and the failure hint is on or off. `Options` is what the user asks for, and
`Situation` is what the seed draws from that.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import msgspec

from launcher.fault_kinds import ADD, FLIP_BIT, REBUILD, RECONFIGURE, RECOVER, REMOVE
from launcher.folders.records import ClusterRecord
from launcher.simulation.faults.schedule import FAULTS, Fault, make_schedule, only
from node.raft.messages import Floor, NodeId
from node.raft.settings import LOG_BOUND, Limits, Timing
from node.storage.lives import LastKnown, Life
from node.wire import NodeConfig

CLUSTER_ID = "simulated"

ELECTION_TIMEOUT_S = 1.0
"""The longest election timeout."""

KEYS = (3, 6, 12)
"""How many keys the clients use: a run draws one of these."""

HOSTILE = 0.1
"""The share of runs with a hostile client."""

SESSIONS_END = 0.3
"""The share of runs in which sessions end early: idle ones, or all but a few."""

SESSION_S = 3600.0
SESSIONS = 10_000
"""A timeout and a number of sessions that no run reaches."""

MOST_ADDED = 8
"""How many nodes may be added in a run, one after another or together."""

NEVER = 1 << 40
"""More entries than any run has."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be simulated.

    nodes: how many servers there are
    time_s: for how many simulated seconds faults happen, before the liveness phase
    faults: the kinds of faults that are allowed, names of `FAULTS`
    rate: how many operations all clients together begin in a simulated second, if nothing delays
        them
    clients: how many clients there are
    only: the numbers of the faults of the seed's schedule that happen; None for all
    """

    nodes: int = 5
    time_s: float = 60.0
    faults: tuple[str, ...] = tuple(FAULTS)
    rate: float = 100.0
    clients: int = 8
    only: tuple[int, ...] | None = None


def _rng(seed: int, purpose: str) -> random.Random:
    return random.Random(f"{seed}/{purpose}")


@lru_cache(maxsize=2)
def _schedule(options: Options, seed: int) -> tuple[Fault, ...]:
    """Cached: every start of a node asks for it."""
    schedule = make_schedule(options.faults, options.time_s, partial(_rng, seed))
    return tuple(schedule if options.only is None else only(schedule, options.only))


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """The circumstances of one run. Times in seconds, sizes in bytes.

    latency_s: the least and the most that a message takes from one node to another
    sync_s: the least and the most that an append takes
    turn_s: how long a process collects what arrives before it acts
    limits: the core's
    max_apply_commands: how many commands or queries a node handles before other work gets a turn
    session_timeout_s, most_sessions: when sessions end
    keys: how many keys the clients use
    padding: the most bytes that are added to a value
    followers: the share of the reads that is sent to a certain node, whether it leads or not
    lease: leaders serve reads by leases; then all clocks stay within the bound that leases assume
    readers: how many of the clients only read
    one_shots: how many of the other clients begin a new session for each call
    hostile: whether there is also a hostile client
    election_timeout_max_s: election timeouts are drawn between the shortest one and this
    """

    seed: int
    options: Options
    latency_s: tuple[float, float]
    sync_s: tuple[float, float]
    turn_s: float
    failure_hint: bool
    limits: Limits
    max_apply_commands: int
    segment_bytes: int
    keys: int
    padding: int
    snapshot_log_bytes: int
    snapshot_entries: int
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
        """The nodes on record when the run begins."""
        return list(range(1, self.options.nodes + 1))

    @property
    def spares(self) -> list[NodeId]:
        """The nodes that may be added during the run, and do not run before."""
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
        """Whether the voters change at random in this run, without the supervisor's record."""
        return any(fault.kind == RECONFIGURE for fault in self.schedule())

    @property
    def rots(self) -> bool:
        """Whether bits on disks flip in this run."""
        return any(fault.kind == FLIP_BIT for fault in self.schedule())

    @property
    def rebuilds(self) -> bool:
        """Whether nodes are rebuilt in this run."""
        return any(fault.kind == REBUILD for fault in self.schedule())

    @property
    def recovers(self) -> bool:
        """Whether the cluster is recovered from one node's data in this run."""
        return any(fault.kind == RECOVER for fault in self.schedule())

    @property
    def recorded_changes(self) -> bool:
        """Whether nodes are added, removed or rebuilt in this run, by the supervisor's record."""
        return any(fault.kind in (ADD, REMOVE, REBUILD) for fault in self.schedule())

    @property
    def sessions_end(self) -> bool:
        """Whether an active client may lose its session in this run."""
        return self.session_timeout_s < SESSION_S or self.most_sessions < SESSIONS

    @property
    def members(self) -> list[NodeId]:
        """The first voters: all nodes, or in some runs with `reconfigure` only half of them."""
        if not self.reconfigures:
            return self.nodes
        size = self.rng("members").choice([len(self.nodes), (len(self.nodes) + 1) // 2])
        return self.nodes[:size]

    def rng(self, purpose: str) -> random.Random:
        """Returns a new random stream for one purpose, independent of all other purposes."""
        return _rng(self.seed, purpose)

    def schedule(self) -> list[Fault]:
        """The faults of this run: those of the seed, or only those that `Options.only` names.

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
        """What a node of this cluster is told when it starts.

        A node that joins, or was rebuilt, is told no voters: it learns them from its peers.

        known: what its data is known to have held
        renewed: what was committed when its data was removed; None if it never was
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
            timing=Timing(
                heartbeat_interval_s=0.1,
                election_timeout_min_s=0.5,
                election_timeout_max_s=self.election_timeout_max_s,
                failure_hint=self.failure_hint and not self.lease,
                lease=self.lease,
            ),
            limits=self.limits,
            max_entry_bytes=1 << 20,
            max_apply_commands=self.max_apply_commands,
            segment_bytes=self.segment_bytes,
            snapshot_log_bytes=self.snapshot_log_bytes,
            snapshot_entries=self.snapshot_entries,
            session_timeout_s=self.session_timeout_s,
            most_sessions=self.most_sessions,
            log_level="debug",
            log_rotate_bytes=1 << 30,
            digest_every=100,
            faults=[],
        )


def situation(options: Options, seed: int) -> Situation:
    """Draws the circumstances of this seed."""
    rng, reads = random.Random(f"{seed}/situation"), random.Random(f"{seed}/reads")
    latency_s = rng.choice([0.0001, 0.0001, 0.001, 0.005])
    sync_s = rng.choice([0.0002, 0.0002, 0.002, 0.01])
    narrow = rng.random() < 0.15  # slow, and in small pieces: so that often only a part arrives
    ends, haste = random.Random(f"{seed}/sessions"), random.Random(f"{seed}/haste")
    timeout_s, most = SESSION_S, SESSIONS
    if ends.random() < SESSIONS_END:
        timeout_s = ends.choice([0.3, 1.0, 3.0, SESSION_S])
        most = ends.choice([2, 5, 12, SESSIONS])
    drawn = Situation(
        seed=seed,
        options=options,
        latency_s=(latency_s, latency_s * rng.choice([1.5, 4.0])),
        sync_s=(sync_s, sync_s * rng.choice([1.5, 5.0])),
        turn_s=rng.choice([0.0001, 0.0005, 0.001]),
        failure_hint=rng.random() < 0.5,
        limits=Limits(
            max_append_bytes=rng.choice([1, 500, 4000, 1 << 20]),
            inflight_batches=rng.choice([1, 4, 64]),
            max_uncommitted_bytes=rng.choice([400, 2000, 1 << 20]),
            max_apply_bytes=rng.choice([2000, 1 << 20, 1 << 20]),
        ),
        max_apply_commands=random.Random(f"{seed}/stretch").choice([1, 20, 4096, 4096]),
        segment_bytes=rng.choice([8 << 10, 32 << 10, 128 << 10]),
        keys=rng.choice(KEYS),
        padding=rng.choice([0, 0, 50, 200]),
        snapshot_log_bytes=rng.choice([1000, 10_000, 1 << 30]),
        snapshot_entries=rng.choice([10, 50, 300, NEVER]),
        followers=reads.choice([0.0, 0.3, 0.7]),
        lease=reads.random() < 0.3,
        session_timeout_s=timeout_s,
        most_sessions=most,
        readers=haste.choice([0, 0, 2, 4]),
        one_shots=haste.choice([0, 0, 2]),
        hostile=random.Random(f"{seed}/hostile").random() < HOSTILE,
        election_timeout_max_s=haste.choice([ELECTION_TIMEOUT_S, ELECTION_TIMEOUT_S, 0.6]),
    )
    drawn = _limited(
        drawn,
        max_trailing_bytes=rng.choice([0, 0, 500, 5000]),
        max_chunk_bytes=rng.choice([300, 1500, 1 << 20]),
        max_log_bytes=drawn.snapshot_log_bytes * LOG_BOUND,
    )
    if drawn.lease:
        # A lease that is too long shows only while another leader exists already: then some client
        # must read from the old leader, and another one write at the new leader.
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
        )
        drawn = _limited(drawn, max_append_bytes=1, inflight_batches=1)
    return _bearable(drawn, options)


def _limited(drawn: Situation, **changes: int) -> Situation:
    """With these limits of the core changed."""
    return msgspec.structs.replace(drawn, limits=replace(drawn.limits, **changes))


def _bearable(drawn: Situation, options: Options) -> Situation:
    """Replaces combinations of circumstances under which no cluster could make progress."""
    chunk_bytes = drawn.limits.max_chunk_bytes
    if drawn.one_shots:
        # Each one-shot call leaves a session behind, so the state grows with the run. A snapshot
        # must arrive before the next one is due, and the log after it is gone (seed 562 of 60 s).
        chunk_bytes = max(int(25 * options.time_s), chunk_bytes)
    if drawn.sync_s[0] > 0.002:
        # Each chunk takes a sync. The last node of a bare majority may need one snapshot and then,
        # because no entries are kept, the next one (seed 1132 of 60 s).
        chunk_bytes = max(1500, chunk_bytes)
    drawn = _limited(drawn, max_chunk_bytes=chunk_bytes)
    if drawn.latency_s[0] > 0.001 or drawn.sync_s[0] > 0.002:
        # Slow nodes with short election timeouts split one vote after another.
        drawn = msgspec.structs.replace(drawn, election_timeout_max_s=ELECTION_TIMEOUT_S)
    if drawn.limits.max_append_bytes == drawn.limits.inflight_batches == 1:
        # So slow that calls pile up: with few keys the checker would have too much to try.
        drawn = msgspec.structs.replace(drawn, keys=KEYS[-1])
    return drawn
