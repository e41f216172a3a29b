"""What a node process is told when it starts, put together from all who know a part of it."""

from __future__ import annotations

import zlib
from pathlib import Path

from launcher.config import ClusterConfig
from launcher.control.taps import parse_mode
from launcher.folders.records import ClusterRecord
from node.raft.messages import NodeId
from node.raft.settings import LOG_BOUND, Limits, Timing
from node.storage.lives import LastKnown, Life
from node.wire import (
    ChangeSettings,
    Drop,
    LinkFault,
    NodeConfig,
    SetClock,
    SetDrops,
    SetTap,
    ToNode,
)


def node_config(
    config: ClusterConfig,
    cluster: ClusterRecord,
    node: NodeId,
    life: Life,
    known: LastKnown,
    *,
    peers: dict[NodeId, int],
    socket: Path,
    python_path: list[Path],
    faults: list[LinkFault],
    drops: list[Drop],
    clock: SetClock,
    tap: SetTap | None,
    unsynced: Path | None,
    machine_codes: list[str],
) -> NodeConfig:
    """For this start of `node`.

    known: what its data is known to have held before it
    peers: the lives of the nodes to which it is handed a pipe
    faults, drops, clock: what the links and the node's clocks do already
    tap: what an operator has ordered of its tap; None: it is as the settings say
    unsynced: where it records what is not synced
    machine_codes: the code that its machine may have; none: any
    """
    return NodeConfig(
        cluster_id=cluster.cluster_id,
        cluster_name=config.name,
        node_id=node,
        life=life.number,
        life_token=life.token,
        founding=cluster.founding,
        known=known,
        voters=cluster.voters_of(node),
        floor=cluster.floor_of(node),
        peers=peers,
        data_dir=config.node_data_dir(node),
        event_log=config.event_log(node),
        socket=socket,
        machine=config.machine,
        python_path=python_path,
        timing=_timing(config),
        limits=_limits(config),
        max_entry_bytes=config.entry_limit_bytes,
        segment_bytes=config.segment_bytes,
        snapshot_log_bytes=config.snapshot_log_bytes,
        snapshot_entries=config.snapshot_entries,
        session_timeout_s=cluster.session_timeout_s,
        most_sessions=cluster.most_sessions,
        most_clients=config.most_clients,
        log_level=config.log_level,
        log_rotate_bytes=config.log_rotate_bytes,
        digest_every=config.digest_every,
        slow_s=config.slow_s,
        machine_codes=machine_codes,
        seed=_seed(cluster, node, life),
        faults=faults,
        message_delay_s=config.message_delay_s,
        drops=drops,
        clock=clock,
        tap=tap_of(config) if tap is None else tap,
        tap_folder=config.tap_folder,
        unsynced=unsynced,
    )


def _seed(cluster: ClusterRecord, node: NodeId, life: Life) -> int:
    """Of all that the node draws, such as which messages a link loses: another for each start, and
    the same whenever it is computed from what is on record."""
    return zlib.crc32(f"{cluster.cluster_id} {node} {life.number}".encode())


def tap_of(config: ClusterConfig, mode: str | None = None) -> SetTap:
    """How a node is to record its messages. mode: in place of the one in the settings"""
    return SetTap(
        config.tap_mode if mode is None else parse_mode(mode),
        config.tap_segment_bytes,
        config.tap_keep_bytes,
    )


def settings_of(config: ClusterConfig) -> ChangeSettings:
    """What a node that runs is told of the settings that can be changed meanwhile."""
    return ChangeSettings(_timing(config), config.message_delay_s, config.log_level)


def orders_since(told: NodeConfig, config: ClusterConfig, drops: list[Drop]) -> list[ToNode]:
    """What has changed since the node was told how to start, beside faults."""
    orders: list[ToNode] = []
    if settings_of(config) != ChangeSettings(told.timing, told.message_delay_s, told.log_level):
        orders.append(settings_of(config))
    if drops != told.drops:
        orders.append(SetDrops(drops))
    return orders


def _timing(config: ClusterConfig) -> Timing:
    lease = config.reads == "lease"
    return Timing(
        heartbeat_interval_s=config.heartbeat_interval_s,
        election_timeout_min_s=config.election_timeout_min_s,
        election_timeout_max_s=config.election_timeout_max_s,
        failure_hint=config.failure_hint and not lease,
        pre_vote=config.pre_vote,
        lease=lease,
    )


def _limits(config: ClusterConfig) -> Limits:
    return Limits(
        max_append_bytes=config.append_limit_bytes,
        max_chunk_bytes=config.chunk_limit_bytes,
        inflight_batches=config.inflight_batches,
        inflight_bytes=config.inflight_bytes,
        max_uncommitted_bytes=config.uncommitted_bytes,
        max_trailing_bytes=config.snapshot_trailing_bytes,
        max_log_bytes=config.snapshot_log_bytes * LOG_BOUND,
    )
