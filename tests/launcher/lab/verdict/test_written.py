"""What nodes wrote is read back from their files, and from copies of what they have dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.lab.folder import RunFolder
from launcher.lab.trial.keeping import Keeper
from launcher.lab.verdict.replay import Replay
from launcher.lab.verdict.written import Kept, node_folders, read_node
from node.raft.messages import HardState, Membership, Snapshot
from node.storage.disk import OsDisk
from node.storage.lives import Life
from node.storage.segment import Identity, header_size
from node.storage.snapshots import RECEIVING, SnapshotWriter, Stands
from node.storage.store import Store
from node.storage.wal import WriteAheadLog
from tests.node.storage.model import batch

WHO = Identity("c0ffee", 1)
SEGMENT_BYTES = 2136


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path)
    (folder.data_dir / "node-1").mkdir(parents=True)
    return folder


def data(run: RunFolder) -> OsDisk:
    return OsDisk(run.data_dir / "node-1")


def open_log(run: RunFolder, life: int = 1) -> WriteAheadLog:
    log, _ = WriteAheadLog.open(
        data(run), WHO, segment_bytes=SEGMENT_BYTES, life=Life(life, life * 7)
    )
    return log


def fill(log: WriteAheadLog, first: int, last: int) -> None:
    for index in range(first, last + 1):
        log.append(HardState(1, 1), [batch(index, size=400)])


def read(*folders: Path) -> Kept:
    return read_node(1, folders)


def indexes(kept: Kept) -> list[list[int]]:
    """The indexes of the batches in each book, in the order in which they were written."""
    return [
        [one.first_index for piece in book.pieces for record in piece.records for one in
         record.batches]
        for book in kept.books
    ]  # fmt: skip


def test_all_records_are_read_over_several_segments(run: RunFolder) -> None:
    log = open_log(run)
    fill(log, 1, 12)
    log.close()

    kept = read(run.data_dir / "node-1")

    assert indexes(kept) == [list(range(1, 13))]
    assert len(kept.books[0].pieces) > 2
    assert kept.problems == []
    last = kept.books[0].pieces[-1].records[-1]
    assert (last.life, last.term, last.voted_for) == (1, 1, 1)


def test_entries_that_were_replaced_are_read_too(run: RunFolder) -> None:
    log = open_log(run)
    fill(log, 1, 3)
    log.append(HardState(2, None), [batch(2, term=2)])
    log.close()

    replay = Replay(read(run.data_dir / "node-1").books, {})

    assert replay.truncated == [(1, 2, 3)]
    assert replay.ends[1].last_index == 2
    assert replay.ends[1].term_at(2) == 2
    assert replay.violations == []


def test_what_is_dropped_later_was_copied(run: RunFolder) -> None:
    log = open_log(run)
    keeper = Keeper(run)
    fill(log, 1, 12)
    keeper._look(whole=False)
    log.drop_before(10)
    fill(log, 13, 14)
    log.close()
    alone = read(run.data_dir / "node-1")
    keeper.finish()

    assert indexes(alone)[0][0] > 1
    assert indexes(read(run.wal_dir / "node-1")) == [list(range(1, 15))]
    assert list(node_folders(run.wal_dir)) == [1]


def test_what_a_snapshot_replaced_at_once_is_copied_too(run: RunFolder) -> None:
    """The last segment was dropped: no other one had followed it before."""
    log = open_log(run)
    fill(log, 1, 3)
    log.restart_after(40)
    Keeper(run)._look(whole=False)
    fill(log, 41, 42)
    log.close()

    assert indexes(read(run.wal_dir / "node-1", run.data_dir / "node-1")) == [[1, 2, 3, 41, 42]]


def test_what_was_in_the_last_segment_of_a_folder_that_was_emptied_was_copied(
    run: RunFolder,
) -> None:
    """Found by `launcher test --seed 19`: no copy had the first entries of any node."""
    log = open_log(run)
    keeper = Keeper(run)
    for first in (1, 2, 3):
        fill(log, first, first)
        keeper._look(whole=False)
    for path in (run.data_dir / "node-1").iterdir():
        path.unlink()
    keeper.finish()

    assert indexes(read(run.wal_dir / "node-1")) == [[1, 2, 3]]


def test_a_copy_of_the_last_segment_holds_nothing_that_a_loss_of_power_undid(
    run: RunFolder,
) -> None:
    folder = run.data_dir / "node-1"
    log = open_log(run)
    keeper = Keeper(run)
    fill(log, 1, 2)
    keeper._look(whole=False)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    fill(log, 3, 3)
    keeper._look(whole=False)
    log.close()
    for path, content in before.items():
        path.write_bytes(content)
    log = open_log(run, life=2)
    log.append(HardState(2, None), [batch(3, term=2, size=100)])
    keeper._look(whole=False)
    log.close()
    for path in folder.iterdir():
        path.unlink()
    keeper.finish()

    records = [one for piece in read(run.wal_dir / "node-1").books[0].pieces for one in
               piece.records]  # fmt: skip
    assert [(one.life, [each.term for each in one.batches]) for one in records] == [
        (1, [1]), (1, [1]), (2, []), (2, [2])
    ]  # fmt: skip


def test_copies_and_the_nodes_own_files_are_read_as_one_log(run: RunFolder) -> None:
    """As of a run that was killed before everything was copied."""
    log = open_log(run)
    fill(log, 1, 12)
    Keeper(run)._look(whole=False)
    log.drop_before(10)
    fill(log, 13, 14)
    log.close()

    places = [run.wal_dir / "node-1", run.data_dir / "node-1"]
    for folders in (places, places[::-1]):
        kept = read(*folders)
        assert indexes(kept) == [list(range(1, 15))]
        assert Replay(kept.books, {}).gaps == []


def test_what_is_in_no_copy_is_a_gap(run: RunFolder) -> None:
    log = open_log(run)
    fill(log, 1, 12)
    log.close()
    (run.data_dir / "node-1" / "0000000002.wal").unlink()

    replay = Replay(read(run.data_dir / "node-1").books, {})

    assert len(replay.gaps) == 1
    assert "of its log are in no copy" in replay.gaps[0]
    assert replay.violations == []
    assert replay.ends[1].last_index == 12


def test_a_node_that_was_rebuilt_has_two_books(run: RunFolder) -> None:
    log = open_log(run)
    fill(log, 1, 6)
    log.close()
    keeper = Keeper(run)
    keeper._look(whole=True)
    for path in (run.data_dir / "node-1").iterdir():
        path.unlink()
    log = open_log(run, life=2)
    fill(log, 1, 9)
    log.close()
    keeper.finish()

    assert indexes(read(run.wal_dir / "node-1")) == [list(range(1, 7)), list(range(1, 10))]


def test_a_log_that_a_snapshot_has_replaced_begins_behind_it(run: RunFolder) -> None:
    store, _ = Store.open(data(run), WHO, segment_bytes=SEGMENT_BYTES, life=Life(1, 7))
    store.append(HardState(1, 2), [batch(1), batch(2)])
    stands = Stands("c0ffee", 40, 1, 0, Membership((1, 2), (1, 2)), b"\1" * 8)
    snapshot = _received(store, stands)
    store.install(snapshot, HardState(1, 2))
    store.append(HardState(1, 2), [batch(41)])
    store.close()
    Keeper(run).finish()

    kept = read(run.wal_dir / "node-1")
    replay = Replay(kept.books, {})

    assert [one.last_included_index for one in kept.snapshots] == [40]
    assert (replay.ends[1].base_index, replay.ends[1].last_index) == (40, 41)
    assert replay.truncated == []


def test_a_torn_end_is_no_problem(run: RunFolder) -> None:
    log = open_log(run)
    fill(log, 1, 3)
    log.close()
    path = run.data_dir / "node-1" / "0000000001.wal"
    content = bytearray(path.read_bytes())
    end = header_size(WHO) + 3 * 480
    content[end - 100 :] = bytes(len(content) - end + 100)
    path.write_bytes(content)

    kept = read(run.data_dir / "node-1")

    assert indexes(kept) in ([[1, 2]], [[1, 2, 3]])
    assert kept.problems == []


def test_files_that_cannot_be_read_are_told(run: RunFolder) -> None:
    folder = run.data_dir / "node-1"
    (folder / "0000000001.wal").write_bytes(b"nonsense")
    (folder / f"{7:020d}.snapshot").write_bytes(b"nonsense")

    kept = read(folder)

    assert kept.books == []
    assert len(kept.problems) == 2
    assert "node-1/0000000001.wal: the segment's header is not intact" in kept.problems[0]


def _received(store: Store, stands: Stands) -> Snapshot:
    file = store.files.create(RECEIVING)
    try:
        return SnapshotWriter(file, stands).finish()
    finally:
        file.close()
