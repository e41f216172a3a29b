"""What is in the logs of a cluster's nodes, whether they run or not.

A node that runs is asked, by way of the supervisor. The files of any other node are read instead,
without a change to them: also those of one that is paused or hangs. Such a node may have more in
memory, and may be told to start while its files are read; then what was read is old, and no harm is
done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Literal, TypeAlias

import msgspec

from launcher.config import ClusterConfig
from launcher.control import asking
from launcher.control.bounds import MOST_LOG_ENTRIES
from launcher.control.requests import AskLogs, AskStatus
from launcher.control.status import ClusterStatus, NodeStatus
from launcher.control.targets import resolve
from launcher.errors import NotRunning, UsageError
from launcher.folders import records
from node import wire
from node.errors import StorageError
from node.printable import error_line
from node.raft.messages import NodeId
from node.storage.disk import OsDisk
from node.storage.salvage import whose
from node.storage.store import Kept, examine

TIMEOUT_S = 10.0
MOST_BYTES = 64 << 10
"""At most this much text of entries is taken from the files of each node."""

Source: TypeAlias = Literal["node", "disk", "none"]


class NodeLog(msgspec.Struct, frozen=True, kw_only=True):
    """What one node's log holds in the window.

    state: as in `NodeStatus`
    source: who said it: the `node`, its files on `disk`, or nobody (then `problem` says why)
    part: None when nobody said it
    """

    id: NodeId
    state: str
    source: Source
    part: wire.LogPart | None = None
    problem: str = ""

    def term_at(self, index: int) -> int | None:
        """The term of its entry at `index`; None where it holds none, or only in a snapshot."""
        found = [entry.term for entry in self.entries if entry.index == index]
        return found[0] if found else None

    @property
    def commit_index(self) -> int | None:
        """Its commit index; None where it has not said that."""
        return self.part.commit_index if self.part is not None else None

    @property
    def entries(self) -> Sequence[wire.LogEntry]:
        """Its entries in the window."""
        return self.part.entries if self.part is not None else ()


class SharedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry, and the nodes that hold it.

    committed: whether it is known to be: some node that holds it says so; None when no node was
        asked that could know, since files do not say it
    overruled: another entry is committed at its index, so this one never will be (§5.4.3)
    """

    entry: wire.LogEntry
    nodes: list[NodeId]
    committed: bool | None
    overruled: bool


class ClusterLog(msgspec.Struct, frozen=True, kw_only=True):
    """The logs of several nodes, between two indexes."""

    first_index: int
    last_index: int
    nodes: list[NodeLog]

    @property
    def entries(self) -> list[SharedEntry]:
        """The entries of the window, each once: by index, then by term."""
        held: dict[tuple[int, int], list[NodeId]] = {}
        said: dict[tuple[int, int], wire.LogEntry] = {}
        for node in self.nodes:
            for entry in node.entries:
                key = (entry.index, entry.term)
                held.setdefault(key, []).append(node.id)
                if key not in said or said[key].text is None:
                    said[key] = entry
        committed = {key for key in held if self._is_committed(*key)}
        decided = {index for index, _ in committed}
        nobody_knows = all(node.commit_index is None for node in self.nodes)
        return [
            SharedEntry(
                entry=said[key],
                nodes=held[key],
                committed=None if nobody_knows else key in committed,
                overruled=key not in committed and key[0] in decided,
            )
            for key in sorted(held)
        ]

    @property
    def differ(self) -> list[int]:
        """The indexes at which two nodes hold entries of different terms."""
        terms: dict[int, set[int]] = {}
        for node in self.nodes:
            for entry in node.entries:
                terms.setdefault(entry.index, set()).add(entry.term)
        return sorted(index for index, found in terms.items() if len(found) > 1)

    def _is_committed(self, index: int, term: int) -> bool:
        return any(
            node.term_at(index) == term for node in self.nodes if (node.commit_index or 0) >= index
        )


def read(
    config: ClusterConfig, targets: Sequence[str], first_index: int | None, count: int
) -> ClusterLog:
    """The logs of the targets, from `first_index` on, or the last `count` indexes.

    Raises UsageError, NotRunning when there is neither a cluster nor data, and LauncherError.
    """
    if not 1 <= count <= MOST_LOG_ENTRIES:
        raise UsageError(f"log shows 1 to {MOST_LOG_ENTRIES} entries at a time, not {count}")
    if first_index is not None and first_index < 1:
        raise UsageError(f"the first entry of a log has index 1: --from takes no {first_index}")
    status, runs = _status(config)
    ids = resolve(targets or ["all"], status, "log", Random())
    kept = _of_disks(config, [status.node(n) for n in ids if not _answers(status.node(n))])
    ends = [found.last_index for found in kept.values() if isinstance(found, Kept)]
    last = max([*(status.node(n).last_index for n in ids), *ends], default=0)
    first = max(1, last - count + 1) if first_index is None else first_index
    said = _ask(config, ids, first, count) if runs else {}
    late = [status.node(n) for n in ids if n not in said and n not in kept]
    kept |= _of_disks(config, late)
    nodes = [_node_log(status.node(n), said.get(n), kept.get(n), first, count) for n in ids]
    end = max((node.part.last_index for node in nodes if node.part is not None), default=0)
    return ClusterLog(first_index=first, last_index=min(end, first + count - 1), nodes=nodes)


def _status(config: ClusterConfig) -> tuple[ClusterStatus, bool]:
    """How the nodes are, and whether the cluster runs. Raises NotRunning without any data."""
    try:
        status = asking.ask(config, AskStatus(), TIMEOUT_S).status
        assert status is not None, "the reply to AskStatus has a status"
        return status, True
    except NotRunning:
        record = records.read(config)
        if record is None:
            raise
        nodes = [
            NodeStatus(id=n, state="down", responding=False, reason="the cluster is down")
            for n in record.members
        ]
        return ClusterStatus(
            cluster=record.name, supervisor_pid=0, leader=None, term=0, nodes=nodes
        ), False


def _answers(node: NodeStatus) -> bool:
    return node.state == "up" and node.responding


def _ask(
    config: ClusterConfig, ids: Sequence[NodeId], first: int, count: int
) -> Mapping[NodeId, wire.LogPart]:
    try:
        return asking.ask(config, AskLogs(list(ids), first, count), TIMEOUT_S).logs
    except NotRunning:
        return {}  # it has ended meanwhile, and its files are there


def _node_log(
    status: NodeStatus,
    said: wire.LogPart | None,
    kept: Kept | str | None,
    first: int,
    count: int,
) -> NodeLog:
    """What the node said, or else what its files hold, or why they cannot be read."""
    if said is not None:
        return NodeLog(id=status.id, state=status.state, source="node", part=said)
    if isinstance(kept, Kept):
        part = _part(kept, first, count)
        return NodeLog(id=status.id, state=status.state, source="disk", part=part)
    return NodeLog(id=status.id, state=status.state, source="none", problem=kept or "")


# -- on disk ---------------------------------------------------------------------------------------


def _of_disks(config: ClusterConfig, nodes: Iterable[NodeStatus]) -> dict[NodeId, Kept | str]:
    """What the files of each node hold; a text says why they cannot be read."""
    return {node.id: _of_disk(config, node.id) for node in nodes}


def _of_disk(config: ClusterConfig, node_id: NodeId) -> Kept | str:
    folder = config.node_data_dir(node_id)
    if not folder.is_dir():
        return "it has no data folder"
    try:
        disk = OsDisk(folder)
        owner = whose(disk)
        if owner is None:
            return "its folder holds no log that can be read"
        return examine(disk, msgspec.structs.replace(owner, founding=None))
    except StorageError as error:
        return error_line(error)


def _part(kept: Kept, first: int, count: int) -> wire.LogPart:
    snapshot = kept.snapshot.last_included_index if kept.snapshot else 0
    return wire.LogPart(
        role="",
        term=kept.hard_state.current_term,
        voted_for=kept.hard_state.voted_for,
        commit_index=None,
        first_index=snapshot + 1,
        last_index=kept.last_index,
        snapshot_index=snapshot,
        entries=wire.entries_of(kept.batches, first, count, MOST_BYTES),
    )
