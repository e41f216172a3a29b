"""lives.json: what each node's data is known to have held. The rules are pure.

    data/lives.json     sealed; for each node how often it was started and what it has confirmed

A folder cannot tell of itself that it was emptied, or that an older copy was put back
(`node/storage/lives.py`). So the supervisor records what each node confirms:

1. Before a process starts, its start is counted (`started`), durably: two starts never share a
   number.
2. The node writes that life into its log, reports it, and speaks to nobody until the supervisor
   has recorded it (`confirmed`), durably. From then on an empty folder is a lost one.
3. Once a second, and at each end of a process, how far its log reaches is recorded (`reaching`).
   That record is not synced: after a loss of power it may be a little old, and then a copy from
   that little while is not recognised.
4. When a node's data is removed on purpose, by `rebuild`, it may be empty again (`emptied`).

The supervisor (`launcher/supervisor/claim.py`) and the operator of the simulated world call the
same rules.

When lives.json is missing or damaged and cluster.json is there, every node counts as one that has
lived: it is written before cluster.json, so no crash leaves the one without the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from launcher.config import ClusterConfig
from launcher.errors import LauncherError
from launcher.folders import sealed
from launcher.folders.records import ClusterRecord
from node.errors import StorageError
from node.raft.membership import Configuration, stable
from node.raft.messages import NodeId
from node.storage.disk import OsDisk
from node.storage.lives import LastKnown, Life
from node.storage.mark import read_mark
from node.storage.segment import Identity
from node.storage.store import examine

FORMAT = 1
SUPERVISOR: NodeId = 0


class NodeRecord(msgspec.Struct, frozen=True):
    """One node.

    started: how often
    token: of the last start
    known: what its data is known to have held
    kept_term, kept_vote: the term and the vote that were durable in it then
    """

    started: int = 0
    token: int = 0
    known: LastKnown = LastKnown()
    kept_term: int = 0
    kept_vote: NodeId | None = None

    @property
    def life(self) -> Life:
        """The one that was started last."""
        return Life(self.started, self.token)


def started(record: NodeRecord, token: int) -> NodeRecord:
    """A process is about to start."""
    return msgspec.structs.replace(record, started=record.started + 1, token=token)


def confirmed(record: NodeRecord, life: Life, sequence: int) -> NodeRecord:
    """The node has written this life into its log, as record `sequence`."""
    known = msgspec.structs.replace(
        record.known, lived=True, life=life, sequence=max(sequence, record.known.sequence)
    )
    return msgspec.structs.replace(record, known=known)


def reaching(
    record: NodeRecord, sequence: int, last_index: int | None = None, term: int | None = None
) -> NodeRecord:
    """The node's log holds record `sequence`; None: the rest is not known."""
    known = record.known
    if not known.lived or sequence <= known.sequence:
        return record
    return msgspec.structs.replace(
        record,
        known=msgspec.structs.replace(
            known,
            sequence=sequence,
            last_index=known.last_index if last_index is None else last_index,
            term=known.term if term is None else term,
        ),
    )


def keeping(record: NodeRecord, term: int, vote: NodeId | None) -> NodeRecord:
    """The node's data holds this term, and this vote in it."""
    if (term, vote) == (record.kept_term, record.kept_vote):
        return record
    return msgspec.structs.replace(record, kept_term=term, kept_vote=vote)


def emptied(record: NodeRecord) -> NodeRecord:
    """The node's data is removed on purpose: it may begin anew, with a higher life."""
    return msgspec.structs.replace(record, known=LastKnown(), kept_term=0, kept_vote=None)


class Lives(msgspec.Struct, frozen=True, kw_only=True):
    """lives.json."""

    format: int = FORMAT
    cluster_id: str
    nodes: dict[NodeId, NodeRecord] = {}

    def of(self, node: NodeId) -> NodeRecord:
        """The record of a node; a node that was never started has an empty one."""
        return self.nodes.get(node, NodeRecord())

    def changed(self, node: NodeId, record: NodeRecord) -> Lives:
        """The lives in which that is what is on record of `node`."""
        return msgspec.structs.replace(self, nodes={**self.nodes, node: record})


def file_of(config: ClusterConfig) -> Path:
    """Where the record stands."""
    return config.data_dir / "lives.json"


def read(
    config: ClusterConfig, cluster: ClusterRecord, renewed: Iterable[NodeId]
) -> tuple[Lives, str]:
    """What is on record of this cluster's nodes, and a warning where that is not what was written.

    renewed: nodes whose data may be empty, as cluster.json of the version before says

    Raises LauncherError for a newer format, and OSError.
    """
    file = file_of(config)
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return _all_have_lived(config, cluster, f"{file.name} is missing")
    try:
        if not sealed.is_sealed(data):
            counts = sealed.decode(data, dict[int, int])
            return _of_counts(cluster.cluster_id, counts, renewed), ""
        lives = sealed.unseal(data, Lives)
    except sealed.BrokenSeal as error:
        return _all_have_lived(config, cluster, f"{file.name} is damaged ({error})")
    if lives.format != FORMAT:
        raise LauncherError(
            f"{file} has format {lives.format}, and this launcher knows {FORMAT}: "
            "use the launcher that wrote it, or begin anew with --fresh"
        )
    if lives.cluster_id != cluster.cluster_id:
        return _all_have_lived(config, cluster, f"{file.name} is of another cluster")
    return lives, ""


def write(config: ClusterConfig, lives: Lives, *, durable: bool) -> None:
    """Raises OSError."""
    sealed.replace(file_of(config), sealed.seal(lives), durable=durable)


def _all_have_lived(
    config: ClusterConfig, cluster: ClusterRecord, problem: str
) -> tuple[Lives, str]:
    """An empty folder is then a lost one; how far the others reached is not known any more."""
    nodes = {
        node: NodeRecord(started=_last_life_in(config, cluster, node), known=LastKnown(lived=True))
        for node in cluster.members
    }
    said = f"{problem}: each node's own log says what is known of it; an empty folder is refused"
    return Lives(cluster_id=cluster.cluster_id, nodes=nodes), said


def last_record_in(config: ClusterConfig, cluster: ClusterRecord, node: NodeId) -> int:
    """Of the node's log, by its mark (`node/storage/mark.py`); 0 when that cannot be read.

    After the end of a process the mark is exact.
    """
    folder = config.node_data_dir(node)
    if not folder.is_dir():
        return 0
    disk = OsDisk(folder)
    try:
        mark = read_mark(disk, disk.list(), Identity(cluster.cluster_id, node).salt())
    except (StorageError, OSError):
        return 0
    return 0 if mark is None else mark.sequence


def advice(node: NodeId, voters: Iterable[NodeId], lost: Iterable[NodeId]) -> str:
    """What to do about a node whose data is damaged, missing or too old.

    lost: the nodes of which that is known, this one included
    """
    left = set(voters) - set(lost)
    if Configuration(stable(voters)).has_quorum(left):
        return f"`launcher rebuild {node}` brings it back from the other nodes"
    if not left:
        return (
            "no other node has the data: put it back into its folder, or begin without any data "
            "with `launcher up --fresh`"
        )
    names = ", ".join(f"n{other}" for other in sorted(left))
    return (
        f"a majority of the data is lost, and only {names} has any: put the data back, or let "
        f"`launcher recover {min(left)}` begin anew from one node's data"
    )


def _last_life_in(config: ClusterConfig, cluster: ClusterRecord, node: NodeId) -> int:
    """By the node's log; 0 when there is none that can be read: the node itself says why."""
    folder = config.node_data_dir(node)
    if not folder.is_dir():
        return 0
    try:
        kept = examine(OsDisk(folder), Identity(cluster.cluster_id, node, cluster.founding))
    except StorageError:
        return 0
    return kept.life.number


def _of_counts(cluster_id: str, counts: dict[int, int], renewed: Iterable[NodeId]) -> Lives:
    """From what the version before wrote: how often each process was started."""
    empty = set(renewed)
    return Lives(
        cluster_id=cluster_id,
        nodes={
            node: NodeRecord(
                started=count, known=LastKnown(lived=node != SUPERVISOR and node not in empty)
            )
            for node, count in counts.items()
        },
    )
