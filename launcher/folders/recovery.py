"""`launcher recover`: a new cluster from the data of one node, when a majority's data is lost.

While a majority of the data is intact, nothing that was acknowledged can be missing, and `rebuild`
brings back the rest. Without a majority nobody knows what was committed. Then one survivor's data
can become a new cluster of one voter (`node/storage/salvage.py`), and `add` brings others. That may
lose entries, so `look` says first which, as far as anybody can tell.

What happens on disk, so that a crash anywhere leaves the old cluster or the new one:

1. The new log is written into `node-N.recovering`, and synced. So far that means nothing.
2. `recovery.json` is written, sealed and durable: from now on the new cluster counts.
3. `node-N` gets the name `node-N.before-ID` (ID: the old cluster's), `node-N.recovering` becomes
   `node-N`, then lives.json and cluster.json are replaced, and recovery.json goes. Each step finds
   out whether it is done, and the next supervisor finishes them (`finish`).

The old folders stay. They belong to a cluster that is no more, and no node of the new one starts on
them.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from pathlib import Path

import msgspec

from launcher.config import ClusterConfig
from launcher.errors import LauncherError, UsageError
from launcher.folders import lives, records, sealed
from launcher.folders.emptying import is_mount_point
from launcher.folders.lives import Lives, NodeRecord
from launcher.folders.records import ClusterRecord
from node.errors import StorageError
from node.raft.membership import Configuration, stable
from node.raft.messages import NodeId
from node.storage.disk import OsDisk
from node.storage.lives import Founding, LastKnown, Life
from node.storage.salvage import Salvaged, everybody_in, rewrite, whose
from node.storage.segment import Identity
from node.storage.store import Kept, examine

_FILE = "recovery.json"


class Found(msgspec.Struct, frozen=True):
    """What a node's folder holds.

    last_index, last_term: of its last entry, committed or not
    problem: why it is of no use, empty if it is
    behind: the log was known to reach further, up to this entry; 0 if not
    """

    node: NodeId
    last_index: int = 0
    last_term: int = 0
    problem: str = ""
    behind: int = 0

    @property
    def reach(self) -> tuple[int, int]:
        """Which of two logs is the more recent (§5.4.1)."""
        return self.last_term, self.last_index


class Outlook(msgspec.Struct, frozen=True):
    """What a recovery from `survivor` would come to.

    others: the other nodes' folders
    needless: a majority of the data is intact, so the cluster needs no recovery
    """

    survivor: Found
    others: list[Found]
    needless: bool

    def lines(self) -> list[str]:
        """For people: what would count, and what may be missing."""
        node, last = self.survivor.node, self.survivor.last_index
        term = self.survivor.last_term
        counts = "all of it would count, also what was never acknowledged"
        said = [f"n{node}'s data reaches entry {last} in term {term}; {counts}"]
        if self.survivor.behind > last:
            said.append(
                f"n{node} was known to reach entry {self.survivor.behind}: what it has lost since "
                "may be missing"
            )
        for other in self.others:
            if other.problem:
                more = _may_be_missing(last, other.behind)
                said.append(f"n{other.node}'s data is lost: {other.problem}{more}")
            elif other.reach > self.survivor.reach:
                said.append(
                    f"n{other.node}'s data is more recent: it reaches entry {other.last_index} in "
                    f"term {other.last_term}, and what n{node} lacks of that would be missing; "
                    f"`launcher recover {other.node}` would keep it"
                )
            else:
                said.append(
                    f"n{other.node}'s data reaches entry {other.last_index} in term "
                    f"{other.last_term}, and n{node}'s is as recent"
                )
        if self.needless:
            said.append(
                "a majority of the data is intact: `launcher up` and `launcher rebuild` lose "
                "nothing, and this may"
            )
        return said


def _may_be_missing(last: int, known: int) -> str:
    if known <= last:
        return ""
    entries = f"entry {known}" if known == last + 1 else f"entries {last + 1} to {known}"
    return f". It was known to reach entry {known}: {entries} may be missing"


class _Intent(msgspec.Struct, frozen=True):
    """recovery.json: what is to stand there in the end.

    old_id: of the cluster that ends, or what stands for it
    """

    node: NodeId
    old_id: str
    cluster: ClusterRecord
    lives: Lives


def look(config: ClusterConfig, node: NodeId) -> Outlook:
    """What would become of it. Changes nothing; the caller holds the lock.

    Raises UsageError for a node without a folder, LauncherError when its data is of no use.
    """
    record, known = _on_record(config)
    members = sorted({*_folders(config), *(record.members if record else [])})
    if not config.node_data_dir(node).is_dir():
        there = ", ".join(f"n{one}" for one in _folders(config)) or "none"
        raise UsageError(f"n{node} has no data folder in {config.data_dir}; there: {there}")
    found = {one: _find(config, one, record, known) for one in members}
    survivor = found.pop(node)
    if survivor.problem:
        raise LauncherError(f"n{node} cannot be recovered from: {survivor.problem}")
    voters = record.members if record else members
    intact = [one for one in members if one == node or not found[one].problem]
    return Outlook(survivor, list(found.values()), Configuration(stable(voters)).has_quorum(intact))


def recover(config: ClusterConfig, node: NodeId) -> ClusterRecord:
    """Makes the data of `node` a new cluster; durable when it returns. The caller holds the lock.

    Raises LauncherError, and OSError.
    """
    look(config, node)
    folder, beside = config.node_data_dir(node), _beside(config, node)
    if is_mount_point(folder):
        raise LauncherError(
            f"{folder} is a mount point and cannot be replaced: copy what is in it into a folder "
            "of that name"
        )
    record, known = _on_record(config)
    source = OsDisk(folder)
    was = whose(source) or Identity("", node)
    if beside.exists():
        shutil.rmtree(beside)
    try:
        kept = examine(source, msgspec.structs.replace(was, founding=None))
        becomes = _successor(config, record, was, everybody_in(kept))
        salvaged = rewrite(
            source,
            kept,
            was,
            OsDisk(beside),
            Identity(becomes.cluster_id, node, becomes.founding),
            segment_bytes=config.segment_bytes,
        )
    except StorageError as error:
        raise LauncherError(f"n{node} cannot be recovered from: {error}") from error
    started = max(known.of(node).started if known else 0, kept.life.number)
    intent = _Intent(node, was.cluster_id, becomes, _lives_of(becomes, node, started, salvaged))
    sealed.replace(config.data_dir / _FILE, sealed.seal(intent), durable=True)
    finish(config)
    return becomes


def is_pending(config: ClusterConfig) -> bool:
    """Whether one was broken off, and is still to be finished."""
    return os.path.exists(config.data_dir / _FILE)  # not, where we may not look


def finish(config: ClusterConfig) -> bool:
    """Finishes a recovery that was broken off; whether there was one. The caller holds the lock.

    Raises LauncherError when recovery.json is damaged, and OSError.
    """
    file = config.data_dir / _FILE
    try:
        intent = sealed.unseal(file.read_bytes(), _Intent)
    except FileNotFoundError:
        return False
    except sealed.BrokenSeal as error:
        raise LauncherError(
            f"{file} is damaged ({error}): a recovery was broken off; remove this file and run "
            "`launcher recover NODE --yes` again"
        ) from error
    folder, beside = config.node_data_dir(intent.node), _beside(config, intent.node)
    if beside.exists():
        if folder.exists():
            folder.rename(_before(folder, intent.old_id))
        beside.rename(folder)
        sealed.sync_folder(config.data_dir)
    lives.write(config, intent.lives, durable=True)
    records.write(config, intent.cluster)
    file.unlink()
    sealed.sync_folder(config.data_dir)
    return True


def _on_record(config: ClusterConfig) -> tuple[ClusterRecord | None, Lives | None]:
    """cluster.json and lives.json, where they can be read."""
    try:
        record = records.read(config)
        if record is None:
            return None, None
        return record, lives.read(config, record, [])[0]
    except LauncherError:
        return None, None


def _folders(config: ClusterConfig) -> list[NodeId]:
    names = (path.name for path in config.data_dir.glob("node-*") if path.is_dir())
    ids = (name.removeprefix("node-") for name in names)
    return sorted(int(one) for one in ids if one.isascii() and one.isdigit())


def _find(
    config: ClusterConfig, node: NodeId, record: ClusterRecord | None, known: Lives | None
) -> Found:
    last_known = known.of(node).known if known else LastKnown()
    folder = config.node_data_dir(node)
    if not folder.is_dir():
        return Found(node, problem="its folder is gone", behind=last_known.last_index)
    try:
        disk = OsDisk(folder)
        owner = whose(disk)
        if owner is None:
            problem = "its folder holds no log"
            return Found(node, problem=problem, behind=last_known.last_index)
        if owner.node_id != node or (record and owner.cluster_id != record.cluster_id):
            problem = f"its folder is of n{owner.node_id} of cluster {owner.cluster_id}"
            return Found(node, problem=problem)
        kept = examine(disk, msgspec.structs.replace(owner, founding=None))
    except StorageError as error:
        return Found(node, problem=str(error), behind=last_known.last_index)
    behind = last_known.last_index if kept.sequence < last_known.sequence else 0
    return Found(node, kept.last_index, _last_term(kept), behind=behind)


def _last_term(kept: Kept) -> int:
    if kept.batches:
        return kept.batches[-1].term
    return kept.snapshot.last_included_term if kept.snapshot else 0


def _successor(
    config: ClusterConfig, record: ClusterRecord | None, was: Identity, named: set[NodeId]
) -> ClusterRecord:
    """The record of the new cluster; without an old one, the log and the config say what it was.

    named: by the log; an id that it names is never given again
    """
    told = was.founding or Founding((), config.session_timeout_s, config.most_sessions)
    ids = {*_folders(config), *told.founders, *named, was.node_id}
    last_id = max(*ids, record.last_id if record else 0)
    return ClusterRecord(
        cluster_id=secrets.token_hex(8),
        name=record.name if record else config.name,
        machine=record.machine if record else config.machine,
        founders=[was.node_id],
        session_timeout_s=record.session_timeout_s if record else told.session_timeout_s,
        most_sessions=record.most_sessions if record else told.most_sessions,
        members=[was.node_id],
        last_id=last_id,
    )


def _lives_of(cluster: ClusterRecord, node: NodeId, started: int, salvaged: Salvaged) -> Lives:
    known = LastKnown(True, Life(), salvaged.sequence, salvaged.last_index, salvaged.term)
    return Lives(cluster_id=cluster.cluster_id, nodes={node: NodeRecord(started, 0, known)})


def _beside(config: ClusterConfig, node: NodeId) -> Path:
    folder = config.node_data_dir(node)
    return folder.with_name(f"{folder.name}.recovering")


def _before(folder: Path, old_id: str) -> Path:
    """A name that is free."""
    path = folder.with_name(f"{folder.name}.before-{old_id}")
    for number in itertools.count(2):
        if not path.exists():
            break
        path = folder.with_name(f"{folder.name}.before-{old_id}.{number}")
    return path
