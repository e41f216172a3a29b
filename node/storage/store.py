"""All that is durable of one node: its log, its term and vote, and its snapshots, put together.

    store, recovered = Store.open(disk, Identity(cluster_id, node_id))

The log reaches back to the older of the two snapshots that are kept, so that either will do to
start from. What a crash can leave, and what is made of it:

- a log that holds what the newest snapshot stands for, and more: what is behind it counts;
- a log that ends before it, or holds another entry where it ends: a leader's snapshot was being
  installed, which replaces the whole log. That is finished now;
- a snapshot that is damaged: the other one, if the log goes on from there. If not, entries that
  were acknowledged would be lost: DamagedLog;
- a log that begins later than behind any snapshot has lost one: DamagedLog.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.errors import DamagedLog
from node.ports import Disk, Points
from node.raft.messages import Batch, HardState, Snapshot
from node.storage.disk import failing_as
from node.storage.lives import LastKnown, Life, check_not_lost
from node.storage.mark import read_mark
from node.storage.recovery import Found, TornTail, recover
from node.storage.segment import ADVICE, Identity, segment_name
from node.storage.snapshots import RECEIVING, TAKING, SnapshotFiles, snapshot_name
from node.storage.wal import WriteAheadLog


class Kept(msgspec.Struct):
    """What of a node's past counts.

    batches: the log behind the snapshot
    last_index: of the log, or of the snapshot when nothing is behind it
    stale_log: nothing of the log counts: it is to be begun anew behind the snapshot
    damaged: snapshots that are passed over: file and reason
    life: the last that the log tells of
    sequence: of the log's last record; 0 when there is no log
    """

    hard_state: HardState
    snapshot: Snapshot | None
    batches: list[Batch]
    torn: TornTail | None = None
    stale_log: bool = False
    damaged: list[tuple[str, str]] = []
    life: Life = Life()
    sequence: int = 0

    @property
    def last_index(self) -> int:
        """Of the last entry that counts."""
        if self.batches:
            return self.batches[-1].last_index
        return self.snapshot.last_included_index if self.snapshot else 0


class Store:
    """A node's folder, open. Its methods do disk work; made by `open`.

    files: the snapshots in it
    """

    def __init__(self, log: WriteAheadLog, files: SnapshotFiles, kept: Kept) -> None:
        self.files = files
        self._log = log
        self._previous_index = 0
        """of the snapshot before the newest: so far back the log is kept"""
        self._newest_index = kept.snapshot.last_included_index if kept.snapshot else 0

    @classmethod
    def open(
        cls,
        disk: Disk,
        identity: Identity,
        *,
        segment_bytes: int = 8 << 20,
        life: Life = Life(),  # noqa: B008 (frozen)
        known: LastKnown = LastKnown(),  # noqa: B008 (frozen)
    ) -> tuple[Store, Kept]:
        """Opens what is in `disk`, and begins anew when it is empty.

        life: begins now, and is durable when this returns
        known: what the data is known to have held

        Raises DamagedLog, LostData and WrongDirectory (then nothing was changed), and DiskFailed.
        """
        files = SnapshotFiles(disk, identity.cluster_id)
        kept: list[Kept] = []

        def judge(found: Found | None) -> None:
            check_not_lost(
                found.state.life if found else None,
                found.last.sequence if found else 0,
                life,
                known,
            )
            kept.append(reconcile(found, *files.find()))

        log, _ = WriteAheadLog.open(
            disk, identity, segment_bytes=segment_bytes, life=life, judge=judge
        )
        files.clean_up()
        (one,) = kept
        if one.stale_log:
            assert one.snapshot is not None
            log.restart_after(one.snapshot.last_included_index)
        return cls(log, files, one), one

    def reach_points(self, points: Points) -> None:
        """From now on the points around syncs are reached; none was while the log was opened."""
        self._log.points = points

    @property
    def sequence(self) -> int:
        """As `WriteAheadLog.sequence`."""
        return self._log.sequence

    def append(self, hard_state: HardState | None, batches: Sequence[Batch]) -> None:
        """As `WriteAheadLog.append`."""
        self._log.append(hard_state, batches)

    def spare_is_due(self) -> bool:
        """As `WriteAheadLog.spare_is_due`."""
        return self._log.spare_is_due()

    def make_spare(self) -> bool:
        """As `WriteAheadLog.make_spare`."""
        return self._log.make_spare()

    def close(self) -> None:
        """As `WriteAheadLog.close`."""
        self._log.close()

    def publish(self, snapshot: Snapshot) -> None:
        """`TAKING` is whole and synced, and the log holds all that it stands for: from now on it
        counts, and what was before its predecessor goes. Raises DiskFailed."""
        self.files.publish(TAKING, snapshot)
        self._previous_index, self._newest_index = self._newest_index, snapshot.last_included_index
        self._log.drop_before(self._previous_index + 1)

    def install(self, snapshot: Snapshot, hard_state: HardState | None) -> None:
        """`RECEIVING` is whole and synced: it takes the place of the whole log. Raises DiskFailed.

        hard_state: made durable first, so that no snapshot is of a term to come
        """
        self._log.append(hard_state, ())
        self.files.publish(RECEIVING, snapshot)
        self._log.restart_after(snapshot.last_included_index)
        self._previous_index = self._newest_index = snapshot.last_included_index


def examine(disk: Disk, identity: Identity) -> Kept:
    """What would be recovered; changes nothing.

    Raises DamagedLog, WrongDirectory and DiskFailed.
    """
    with failing_as("listing", "the data folder"):
        names = disk.list()
    found = recover(disk, names, identity, read_mark(disk, names, identity.salt()))
    return reconcile(found, *SnapshotFiles(disk, identity.cluster_id).find())


def reconcile(found: Found | None, intact: list[Snapshot], damaged: list[tuple[str, str]]) -> Kept:
    """Decides what counts of a log and of the snapshots beside it. Raises DamagedLog.

    intact, damaged: what `SnapshotFiles.find` found
    """
    if found is None:
        if intact or damaged:
            raise DamagedLog(segment_name(1), 0, "the log is missing, and was not" + ADVICE)
        return Kept(HardState(), None, [])
    kept = _what_counts(found, intact, damaged)
    kept.life, kept.sequence = found.state.life, found.last.sequence
    return kept


def _what_counts(found: Found, intact: list[Snapshot], damaged: list[tuple[str, str]]) -> Kept:
    hard_state, batches, last_index = found.state.hard_state, found.batches, found.index.last_index
    first_index = batches[0].first_index if batches else last_index + 1
    for snapshot in intact:
        end = snapshot.last_included_index
        if first_index > end + 1:
            break  # nor does it join any older one
        rest = [batch for batch in batches if batch.last_index > end]
        joins = rest[0].first_index == end + 1 if rest else last_index == end
        if joins and _term_at(batches, end) in (None, snapshot.last_included_term):
            return Kept(hard_state, snapshot, rest, found.torn, False, damaged)
        if not any(file > snapshot_name(end) for file, _ in damaged):
            return Kept(hard_state, snapshot, [], found.torn, True, damaged)
    if first_index == 1 and not intact:
        return Kept(hard_state, None, batches, found.torn, False, damaged)
    if damaged:
        file, reason = damaged[0]
        raise DamagedLog(file, 0, reason + ADVICE)
    file = snapshot_name(first_index - 1)
    reason = f"the log begins with entry {first_index}, and no snapshot stands for those before it"
    raise DamagedLog(file, 0, reason + ADVICE)


def _term_at(batches: list[Batch], index: int) -> int | None:
    for batch in batches:
        if batch.first_index <= index <= batch.last_index:
            return batch.term
    return None
