"""What a node process is told when it starts: `NodeConfig`, and its bytes."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from node.raft.messages import Floor, NodeId
from node.raft.settings import Limits, Timing
from node.storage.lives import Founding, LastKnown
from node.wire.control import Drop, LinkFault, SetClock, SetTap


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All that a node process is told when it starts. Durations in seconds, sizes in bytes.

    voters: with whom the cluster begins; none for a node that joins one
    floor: what was committed when the node's data was last removed on purpose
    life, life_token: this start: 1 for the node's first, then one more at each; and random bits
    founding: with what the cluster began; None: not to be compared
    known: what the node's data is known to have held
    machine_codes: the fingerprints of the code that the nodes which run have; none: it may have any
    slow_s: an apply or a query that takes so long is told of
    peers: the lives of the peers to which a pipe is handed over at the start
    timing, limits: the core's settings
    message_delay_s: how much longer each message to another node takes
    drops: which of its messages are to be lost by their type
    unsynced: where it is to record what is not synced (`node/faults/recording.py`); None: nowhere
    max_apply_commands: commands applied, or queries served, before others get their turn
    faults, clock: what is wrong with the links and the clocks from the first moment on
    tap, tap_folder: how it records its messages (`node/tap/`), and where; None: nowhere
    snapshot_log_bytes, snapshot_entries: a snapshot is taken after this much of the log
    """

    cluster_id: str
    cluster_name: str
    node_id: NodeId
    life: int
    life_token: int = 0
    founding: Founding | None = None
    known: LastKnown = LastKnown()
    voters: list[NodeId]
    floor: Floor = Floor()
    peers: dict[NodeId, int]
    data_dir: Path
    event_log: Path
    socket: Path
    machine: str
    python_path: list[Path]
    timing: Timing
    limits: Limits
    max_entry_bytes: int
    max_apply_commands: int = 4096
    segment_bytes: int
    snapshot_log_bytes: int = 32 << 20
    snapshot_entries: int = 500_000
    session_timeout_s: float = 3600.0
    most_sessions: int = 10_000
    most_clients: int = 512
    log_level: str
    log_rotate_bytes: int
    digest_every: int
    slow_s: float = 0.1
    machine_codes: list[str] = []
    faults: list[LinkFault]
    message_delay_s: float = 0.0
    drops: list[Drop] = []
    clock: SetClock = SetClock()
    tap: SetTap = SetTap()
    tap_folder: Path | None = None
    unsynced: Path | None = None
    seed: int | None = None


def encode_config(config: NodeConfig) -> bytes:
    """What a node process is handed when it starts. A path need not be text."""
    return msgspec.msgpack.encode(config, enc_hook=os.fsencode)


def decode_config(data: bytes) -> NodeConfig:
    """The inverse of `encode_config`. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(
        data, type=NodeConfig, dec_hook=lambda kind, value: kind(os.fsdecode(value))
    )
