"""The claim: a supervisor's hold on a data folder, and what is on record there.

    data/supervisor.lock, supervisor.json    who runs here                  lock.py
    logs/timeline.lock                       whose logs these are           lock.py
    data/cluster.json                        the cluster's identity         records.py
    data/lives.json                          what each node has confirmed   lives.py

These modules are in `launcher/folders/`. A claim is taken once, by the supervisor, before it starts
anything. Each method that changes a record writes it before it returns.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress

from launcher.config import ClusterConfig
from launcher.folders import (
    emptying,
    lives,
    lock,
    private,
    records,
    recovery,
    runtime_files,
    supervisor_file,
    violations,
)
from launcher.folders.healing import heal
from launcher.folders.lives import Lives, NodeRecord
from launcher.folders.lock import DataLock, disk_errors
from launcher.folders.ownership import SupervisorRecord
from launcher.folders.process_identity import ProcessRecord
from launcher.folders.records import Change, ClusterRecord
from launcher.folders.runtime import RuntimeFolder
from launcher.folders.violations import Violation
from launcher.overrides import texts_of
from node.raft.messages import Floor, NodeId
from node.storage.lives import LastKnown, Life


class Claim:
    """The lock is held; what it protects is clean, and belongs to the cluster that was asked for.

    healed: what was left behind and has been cleaned up, a phrase each
    warnings: what is on record is not as it should be, a sentence each
    violations: of safety, that were found in this cluster
    remarks: what is not well with the folders, for whoever starts the cluster, a sentence each
    """

    def __init__(self, config: ClusterConfig, held: DataLock, runtime: RuntimeFolder) -> None:
        self._config = config
        self._held = held
        self._logs: int | None = None
        self._runtime = runtime
        self._unsaved = False
        self._settings = texts_of(config)
        self.runtime_dir = runtime.path
        self.healed: list[str] = []
        self.warnings: list[str] = []
        self.remarks: list[str] = []
        self.violations: list[Violation] = []
        self.cluster: ClusterRecord
        self._lives: Lives

    @classmethod
    def take(cls, config: ClusterConfig, runtime: RuntimeFolder, *, fresh: bool) -> Claim:
        """Locks, cleans up, begins anew when `fresh`, and checks whose data it is.

        Raises LauncherError with one line for the user; then nothing is held.
        """
        with disk_errors(config.log_dir, "logs"):
            private.make_folder(config.log_dir)
        with disk_errors(config.data_dir):
            private.make_folder(config.data_dir)
            remarks = private.close_to_others("data", config.data_dir)
            remarks += private.close_to_others("logs", config.log_dir)
            held = lock.take(config)
        claim = cls(config, held, runtime)
        claim.remarks = remarks
        try:
            lock.check_unshared(config)
            with disk_errors(config.log_dir, "logs"):
                claim._logs = lock.take_logs(config)
            with disk_errors(config.data_dir):
                claim.healed = heal(config)
                if fresh:
                    emptying.check_logs_removable(config)
                    emptying.remove_data(config)
                elif recovery.finish(config):
                    claim.healed.append("finished a recovery that was broken off")
                claim._identify()
                claim.introduce()
        except BaseException:
            claim._let_go()
            raise
        return claim

    # -- lives -----------------------------------------------------------------------------------

    def next_life(self, node: NodeId) -> Life:
        """Counts a start of `node` (0: the supervisor), durably. Raises OSError."""
        record = lives.started(self._lives.of(node), secrets.randbits(63))
        self._save(node, record, durable=True)
        return record.life

    def known_of(self, node: NodeId) -> LastKnown:
        """What the data of `node` is known to have held."""
        return self._lives.of(node).known

    def confirm(self, node: NodeId, sequence: int) -> None:
        """The node's log holds its present life, as record `sequence`. Raises OSError."""
        record = self._lives.of(node)
        self._save(node, lives.confirmed(record, record.life, sequence), durable=True)

    def reach(
        self, node: NodeId, sequence: int, last_index: int | None = None, term: int | None = None
    ) -> None:
        """The node's log holds record `sequence`; written by the next `save`."""
        before = self._lives.of(node)
        self._note(node, before, lives.reaching(before, sequence, last_index, term))

    def keep(self, node: NodeId, term: int, vote: NodeId | None) -> None:
        """The node's data holds this term and this vote; written by the next `save`."""
        before = self._lives.of(node)
        self._note(node, before, lives.keeping(before, term, vote))

    def kept(self) -> dict[NodeId, tuple[int, NodeId | None]]:
        """The terms and votes that the nodes' data is known to hold; without those of none."""
        records = ((node, self._lives.of(node)) for node in self.cluster.members)
        return {node: (one.kept_term, one.kept_vote) for node, one in records if one.kept_term}

    def _note(self, node: NodeId, before: NodeRecord, after: NodeRecord) -> None:
        if after is not before:
            self._lives = self._lives.changed(node, after)
            self._unsaved = True

    def convict(self, found: list[Violation]) -> None:
        """These are all violations of safety that were found. Durable. Raises OSError."""
        self.violations = list(found)
        self._check_held()
        violations.write(self._config, self.cluster.cluster_id, found)

    def look(self, node: NodeId) -> None:
        """A process of `node` has ended: how far its log reaches, by its folder. Never raises."""
        self.reach(node, lives.last_record_in(self._config, self.cluster, node))

    def save(self) -> None:
        """Writes what `reach` was told, if that is anything new, and supervisor.json again if it
        was overwritten. Not durable. Raises OSError."""
        if not self.holds:
            return
        if supervisor_file.read_supervisor(self._config) != self._supervisor:
            supervisor_file.write_supervisor(self._config, self._supervisor)
        if self._unsaved:
            lives.write(self._config, self._lives, durable=False)
            self._unsaved = False

    def _save(self, node: NodeId, record: NodeRecord, *, durable: bool) -> None:
        self._check_held()
        changed = self._lives.changed(node, record)
        lives.write(self._config, changed, durable=durable)
        self._lives = changed
        self._unsaved = False

    # -- members ---------------------------------------------------------------------------------

    def intend(self, change: Change | None) -> None:
        """This change is under way, or none is; durable before it goes on. Raises OSError."""
        self._change(self.cluster.intending(change))

    def enlist(self, count: int) -> list[NodeId]:
        """That many more nodes are to run, and are being added: both in one write, which is
        durable before they run. Raises OSError."""
        record, new = self.cluster.enlisting(count)
        self._change(record.intending(Change("add", new)))
        return new

    def dismiss(self, node: NodeId) -> None:
        """This node is not to run any more, and its data, which is of no use, goes first. It may
        have been dismissed before. Raises OSError."""
        folder = self._config.node_data_dir(node)
        self._save(node, lives.emptied(self._lives.of(node)), durable=True)
        emptying.empty(folder)
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            with suppress(OSError):  # a mount point stays
                folder.rmdir()
        self._change(self.cluster.dismissing(node))

    def why_not_emptied(self, node: NodeId) -> str:
        """Why the data of this node could not be removed now; empty if it could be."""
        return emptying.why_not_emptied(self._config.node_data_dir(node))

    def renew(self, node: NodeId, floor: Floor) -> None:
        """The data of this node goes, and when it starts again it learns everything anew. It must
        be no voter, and that as much as `floor` be committed. Raises OSError."""
        self._change(self.cluster.renewing(node, floor))
        self._save(node, lives.emptied(self._lives.of(node)), durable=True)
        emptying.empty(self._config.node_data_dir(node))

    def _change(self, record: ClusterRecord) -> None:
        self._check_held()
        records.write(self._config, record)
        self.cluster = record

    # -- who we are ------------------------------------------------------------------------------

    def record(self, nodes: dict[NodeId, ProcessRecord]) -> None:
        """Writes down which processes are ours, where no copy of the data can name them.

        Raises OSError.
        """
        runtime_files.record(self._runtime, nodes)

    def publish(self, config: ClusterConfig) -> None:
        """Writes down which settings are in force, for whoever uses the cluster. Raises OSError."""
        self._settings = texts_of(config)
        runtime_files.publish(self._runtime, self._settings)

    def mark_frozen(self, why: str) -> None:
        """Writes down why the cluster is frozen, for its clients; empty: it is not.

        Raises OSError.
        """
        runtime_files.mark_frozen(self._runtime, why)

    @property
    def holds(self) -> bool:
        """The data is still ours: nobody has moved or removed its folder from under us."""
        return self._held.is_in_place

    @property
    def loss(self) -> str:
        """Why it does not hold the data any more, and what to do."""
        return self._held.what_happened()

    def release(self) -> None:
        """Leaves nothing but the data. The lock goes last."""
        self._runtime.remove()
        with suppress(OSError):
            self.save()
        self._held.forget_supervisor()
        self._let_go()

    def _let_go(self) -> None:
        if self._logs is not None:
            lock.release(self._logs)
        self._held.release()

    def _check_held(self) -> None:
        """Before what stands in the data folder is changed: another may be in its place by now.

        Raises OSError.
        """
        if not self.holds:
            raise FileNotFoundError(errno.ENOENT, self.loss)

    @property
    def is_at_home(self) -> bool:
        """Nobody has removed the runtime folder."""
        return self._runtime.is_in_place

    def move(self) -> None:
        """Makes another runtime folder, and says where it is. Raises OSError."""
        before, self._runtime = self._runtime, self._runtime.another()
        before.remove()
        self.runtime_dir = self._runtime.path
        self.introduce()

    def introduce(self) -> None:
        """Writes down who we are, in the runtime folder before anything says where that is.

        Raises OSError.
        """
        config, me = self._config, ProcessRecord.of(os.getpid())
        runtime_files.assign(self._runtime, self._held.folder, config.data_dir, me)
        runtime_files.publish(self._runtime, self._settings)
        self._supervisor = SupervisorRecord(
            folder=self._held.folder,
            pid=me.pid,
            start=me.start,
            runtime_dir=str(self.runtime_dir),
            name=config.name,
        )
        supervisor_file.write_supervisor(config, self._supervisor)

    # -- whose data it is ------------------------------------------------------------------------

    def _identify(self) -> None:
        """Checks the records against what was asked for, or makes them."""
        config = self._config
        known = records.read(config)
        if known is None:
            self._begin()
            return
        records.check_same(config, known)
        renewed = [one.node for one in known.renewed]
        self._lives, warning = lives.read(config, known, renewed)
        if warning:
            self.warnings.append(warning)
        self.cluster = known
        self.violations, warning = violations.read(config, known.cluster_id)
        if warning:
            self.warnings.append(warning)
        self.remarks += map(str, self.violations)

    def _begin(self) -> None:
        config = self._config
        emptying.check_no_data(config)
        # Whatever logs there are tell of a cluster that is no more; one timeline, one history.
        emptying.check_logs_removable(config)
        emptying.remove_logs(config)
        self.cluster = records.begin(config)
        self._lives = Lives(cluster_id=self.cluster.cluster_id)
        lives.write(config, self._lives, durable=True)  # first: see `launcher/folders/lives.py`
        records.write(config, self.cluster)


def remove_folder(config: ClusterConfig) -> None:
    """Removes the lock too, and the data folder if nothing else is in it; the caller holds it."""
    config.supervisor_lock.unlink(missing_ok=True)
    with suppress(OSError):
        config.data_dir.rmdir()


def exists(config: ClusterConfig) -> bool:
    """There has been a cluster here, and its data has not been removed."""
    return config.supervisor_file.exists() or config.cluster_file.exists()
