"""The write-ahead log: a server's log, term and vote, durable (Figure 2, "persistent state").

    log, recovered = WriteAheadLog.open(disk, Identity(cluster_id, node_id))
    log.append(hard_state, batches)      # durable when it returns

The contract. What `append` returned for is there after any crash. What it did not return for is
there whole, or not at all. Nothing else is ever there, and the term never goes back. Whatever
`open` hands out has been synced first, so it may be acted upon at once. When a write or a sync
fails, the log is poisoned: what reached the disk is unknown, a kernel may have thrown the pages
away and call them clean, and so a second sync that succeeds proves nothing. The server must stop.

The files of a log, in a folder that only it uses:

    0000000007.wal         segments, numbered from 1, of which the last one is written to
    spare-0000000003.wal   dropped segments, to be used again (at most `_MAX_SPARES`)
    spare-0000000000.wal   one that was made ahead, full of zeros
    segment.tmp, spare.tmp a segment, or a spare, being made; removed at the next start
    synced.mark            how far the log is known to be synced (`node/storage/mark.py`)

One append is one record: one write that is synced, then one unsynced write of the mark. An append
that does not fit into what is left of a segment begins the next one, which is made larger than
usual when it has to be; no record spans two segments. Behind each record stand zeros (the end
mark), written with it and overwritten by the next record, so that nothing stale can ever stand
where a next record is looked for.

A new segment is made beside the log: it is zero-filled (or a spare is taken), its header is written
and synced, then it gets its name, and the directory is synced, all before a record goes into it.
Since the header repeats the state (term, vote, first segment kept), older segments can go at any
time: `drop_before` first writes and syncs the number of the first segment kept, then renames the
others away; a crash in between is finished at the next start.

Filling a segment with zeros takes as long as a hundred appends. So, when half of one is written and
no spare is there, whoever uses the log is to have one made beside the appends, in another thread:

    if log.spare_is_due():              # says so once for each segment
        while log.make_spare():         # a piece at a time
            ...                         # may fail; then the next segment is made when it is needed

`node/storage/segment.py` has the bytes, `recovery.py` the judgement of what is found, `index.py`
which segment holds what. What is assumed of a disk: a sync is a sync, and a torn write leaves bytes
that it did not cover as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import msgspec

from node.errors import DiskFailed
from node.ports import UNARMED, Disk, DiskFile, Points
from node.raft.messages import Batch, HardState
from node.storage.disk import failing_as
from node.storage.index import SegmentIndex, SegmentInfo
from node.storage.lives import Life
from node.storage.mark import Mark, MarkFile, read_mark
from node.storage.recovery import Found, TornTail, may_follow, recover
from node.storage.segment import (
    FORMAT,
    SPARE_PREFIX,
    Header,
    Identity,
    State,
    encode_header,
    encode_record,
    header_size,
    is_spare,
    record_size,
    segment_name,
)

__all__ = ["Identity", "Recovered", "SegmentInfo", "TornTail", "WriteAheadLog"]

_TEMPORARY = "segment.tmp"
_TEMPORARY_SPARE = "spare.tmp"
_MADE_AHEAD = SPARE_PREFIX + segment_name(0)
"""No segment has that number, so no dropped one comes to have that name."""

_MAX_SPARES = 4
_ZEROS = bytes(1 << 20)


class Recovered(msgspec.Struct):
    """What a log held when it was opened.

    batches: the log's entries, in order and without a gap; they begin at index 1, or behind what
        `drop_before` has dropped
    torn: what was dropped as the torn write of a crash, if there was one
    """

    hard_state: HardState
    batches: list[Batch]
    torn: TornTail | None


class WriteAheadLog:
    """The log of one node, open for appending. See the module's docstring; made by `open`."""

    _mark: MarkFile  # made once there is a segment: a mark without one means that one is missing

    def __init__(self, disk: Disk, identity: Identity, segment_bytes: int) -> None:
        self._disk = disk
        self._identity = identity
        self._salt = identity.salt()
        self._segment_bytes = segment_bytes
        self._failure: DiskFailed | None = None
        self.points: Points = UNARMED
        """those around each sync"""
        self._state = State()
        self._index = SegmentIndex(0)
        self._spares: list[str] = []
        self._spare_asked_in = 0
        """the segment in which the last one was asked for"""
        self._spare_is_coming = False
        self._spare: tuple[DiskFile, int] | None = None
        """the one that is being made, and how much of it is"""
        # The segment that is written to.
        self._file: DiskFile | None = None
        self._name = ""
        self._number = 0
        self._capacity = 0
        self._offset = 0
        self._sequence = 0

    @classmethod
    def open(
        cls,
        disk: Disk,
        identity: Identity,
        *,
        segment_bytes: int = 8 << 20,
        life: Life = Life(),  # noqa: B008 (frozen)
        judge: Callable[[Found | None], None] = lambda found: None,
    ) -> tuple[WriteAheadLog, Recovered]:
        """Opens the log in `disk`, and creates it when the folder holds none.

        segment_bytes: size of each new segment
        life: begins now, and is durable when this returns (`node/storage/lives.py`); number 0: none
        judge: is told what was found (None: no log) before anything is changed, and may raise

        Raises DamagedLog and WrongDirectory (then nothing was changed), and DiskFailed.
        """
        log = cls(disk, identity, segment_bytes)
        with failing_as("listing", "the data folder"):
            names = disk.list()
        mark = read_mark(disk, names, log._salt)
        found = recover(disk, names, identity, mark)
        judge(found)
        # From here on the folder is ours, and sound.
        for name in (_TEMPORARY, _TEMPORARY_SPARE):
            if name in names:
                with failing_as("removal", name):
                    disk.remove(name)
        log._spares = sorted(filter(is_spare, names))
        if found is None:
            log._state = State(life=life)
            log._begin_segment(0)
        else:
            log._go_on(found, mark)
        log._mark = MarkFile(disk, names, log._salt)
        # Also for names that an earlier life gave and did not live to sync.
        with failing_as("sync", "the data folder"):
            disk.sync_directory()
        log._write_mark()
        if found is None:
            return log, Recovered(HardState(), [], None)
        if life.number:
            log._write(msgspec.structs.replace(log._state, life=life), ())
        return log, Recovered(found.state.hard_state, found.batches, found.torn)

    @property
    def segments(self) -> tuple[SegmentInfo, ...]:
        """The segments, oldest first: number, file, first and last index of the entries in it."""
        return tuple(msgspec.structs.replace(segment) for segment in self._index.segments)

    @property
    def sequence(self) -> int:
        """Of the last record or header, all of which are durable; it only rises."""
        return self._sequence

    def append(self, hard_state: HardState | None, batches: Sequence[Batch]) -> None:
        """Makes a term and vote (None: unchanged) and batches durable; returns when they are.

        A batch whose first index is at or below the log's end replaces everything from there on;
        another batch must begin there. Raises DiskFailed, and from then on always.
        """
        self._raise_if_poisoned()
        state = self._state
        if hard_state is not None and hard_state != state.hard_state:
            assert may_follow(state.hard_state, hard_state), (
                f"{hard_state} does not follow {state.hard_state}"
            )
            state = State(hard_state, state.first_segment, state.life)
        if state is self._state and not batches:
            return
        self._index.assert_follow(batches)
        self._write(state, batches)
        for batch in batches:
            self._index.extend(batch)

    def spare_is_due(self) -> bool:
        """Whether a spare is to be made now; asked while nothing is being written."""
        if self._spares or self._spare_is_coming or self._spare_asked_in == self._number:
            return False
        if 2 * self._offset <= self._capacity:
            return False
        self._spare_asked_in = self._number
        # Nobody may name another one while the one before is being taken into use.
        self._spare_is_coming = True
        return True

    def make_spare(self) -> bool:
        """Makes a piece of what the next segment can be, because one is due; whether more is to be
        done. Meanwhile another thread may use the log. Raises DiskFailed, which does the log no
        harm, and ends it."""
        try:
            self._spare = self._spare or self._begin_spare()
            with failing_as(f"preallocation ({self._segment_bytes} bytes)", _MADE_AHEAD):
                file, done = self._spare
                zeros = _ZEROS[: self._segment_bytes - done]
                file.write_at(done, zeros)
                file.sync()  # in steps, so that no sync of the log beside it waits for much
                self._spare = file, done + len(zeros)
                if done + len(zeros) < self._segment_bytes:
                    return True
                self._disk.rename(_TEMPORARY_SPARE, _MADE_AHEAD)
                self._spares.append(_MADE_AHEAD)
                self._spare = None
                file.close()
        except DiskFailed:
            spare, self._spare = self._spare, None
            self._spare_is_coming = False
            if spare is not None:
                self._give_up(spare[0], _TEMPORARY_SPARE)
            raise
        self._spare_is_coming = False
        return False

    def _begin_spare(self) -> tuple[DiskFile, int]:
        with failing_as("creation", _TEMPORARY_SPARE):
            if _TEMPORARY_SPARE in self._disk.list():
                self._disk.remove(_TEMPORARY_SPARE)  # one that was given up, and stayed
            return self._disk.open(_TEMPORARY_SPARE, create=True), 0

    def drop_before(self, index: int) -> None:
        """Drops the segments whose entries are all below `index`; the last segment stays.

        Entries below `index` may remain, those in the first segment kept. Raises DiskFailed.
        """
        self._raise_if_poisoned()
        dropped = self._index.wholly_below(index)
        if not dropped:
            return
        first = dropped[-1].number + 1
        self._write(msgspec.structs.replace(self._state, first_segment=first), ())
        self._index.drop(len(dropped))
        try:
            self._recycle([segment.file for segment in dropped])
        except DiskFailed as failure:
            self._failure = failure
            raise

    def restart_after(self, index: int) -> None:
        """Drops every entry: the log goes on behind `index`, whatever it held. Raises DiskFailed.

        A crash leaves either the old log or the new one. The term and vote stay.
        """
        self._raise_if_poisoned()
        dropped = [segment.file for segment in self._index.segments]
        state, before = self._state, self._index
        self._state = State(state.hard_state, self._number + 1, state.life)
        self._index = SegmentIndex(index)
        try:
            self._begin_segment(0)
            self._write_mark()
            self._recycle(dropped)
        except DiskFailed as failure:
            self._state, self._index = state, before
            self._failure = failure
            raise
        except OSError as error:
            self._failure = DiskFailed("write", self._name, error)
            raise self._failure from error

    def close(self) -> None:
        """Closes the files. Everything appended is durable already. Raises DiskFailed."""
        assert self._file is not None
        self._file.close()
        self._mark.close()

    # -- writing ---------------------------------------------------------------------------------

    def _raise_if_poisoned(self) -> None:
        if self._failure is not None:
            failure = self._failure
            raise DiskFailed(failure.operation, failure.file, failure.cause) from failure

    def _write(self, state: State, batches: Sequence[Batch]) -> None:
        """One record: written, synced, marked."""
        size = record_size(batches)
        try:
            if self._offset + size > self._capacity:
                self._begin_segment(size)
            assert self._file is not None
            sequence = self._sequence + 1
            record = encode_record(self._salt, self._number, sequence, state, batches)
            if self._offset + len(record) > self._capacity:  # less than an end mark is left
                record = record[: self._capacity - self._offset]
            if self.points.armed:
                self._file.write_at(self._offset, record)
                self.points.reach("before-sync")
                self._file.sync()
            else:
                self._file.write_synced(self._offset, record)
            self._offset += size
            self._sequence = sequence
            self._state = state
            self._write_mark()
            if self.points.armed:
                self.points.reach("after-sync")
        except DiskFailed as failure:
            self._failure = failure
            raise
        except OSError as error:
            self._failure = DiskFailed("synced write", self._name, error)
            raise self._failure from error

    def _write_mark(self) -> None:
        with failing_as("write of the mark", self._name):
            self._mark.write(self._sequence, self._number, self._offset)

    # -- segments --------------------------------------------------------------------------------

    def _begin_segment(self, record_bytes: int) -> None:
        """Makes the next segment, with room for a record of that size, and goes on in it."""
        number = self._number + 1
        name = segment_name(number)
        least = header_size(self._identity) + record_bytes
        spare = self._take_spare() if least <= self._segment_bytes else None
        if spare is not None:
            (file, made_as), capacity = spare, self._segment_bytes
        else:
            made_as, capacity = _TEMPORARY, max(self._segment_bytes, least)
            file = self._make_file(name, capacity)
        recycled = made_as not in (_TEMPORARY, _MADE_AHEAD)
        sequence = self._sequence + 1
        header = Header(
            number,
            sequence,
            self._identity,
            self._state,
            capacity,
            self._index.last_index,
            recycled,
        )
        with failing_as("write of the header", name):
            file.write_at(0, encode_header(header)[:capacity])
            file.sync()
            self._disk.rename(made_as, name)
            self._disk.sync_directory()
        if self._file is not None:
            self._file.close()
        self._file, self._name, self._number, self._capacity = file, name, number, capacity
        self._offset = header_size(self._identity)
        self._sequence = sequence
        self._index.begin_segment(number, name)

    def _make_file(self, name: str, capacity: int) -> DiskFile:
        """A new file full of zeros, really written: syncs of it need not touch its metadata."""
        with failing_as(f"preallocation ({capacity} bytes)", name):
            file = self._disk.open(_TEMPORARY, create=True)
            try:
                _write_zeros(file, 0, capacity)
            except OSError:
                self._give_up(file, _TEMPORARY)
                raise
        return file

    def _give_up(self, file: DiskFile, temporary: str) -> None:
        """Gives a full disk its space back. If that fails too, the next start does it."""
        with contextlib.suppress(OSError):
            file.close()
            self._disk.remove(temporary)

    def _take_spare(self) -> tuple[DiskFile, str] | None:
        """A spare of the usual size, and its name; spares of another size are removed."""
        while self._spares:
            name = self._spares.pop()
            with failing_as("reuse", name):
                file = self._disk.open(name)
                if file.size() == self._segment_bytes:
                    return file, name
                file.close()
                self._disk.remove(name)
        return None

    def _recycle(self, names: Sequence[str]) -> None:
        """Takes segments out of the log, and keeps a few of them as spares."""
        for name in names:
            with failing_as("recycling", name):
                if len(self._spares) < _MAX_SPARES:
                    self._disk.rename(name, SPARE_PREFIX + name)
                    self._spares.append(SPARE_PREFIX + name)
                else:
                    self._disk.remove(name)
        # Before a spare is written to, no crash may bring its old name back.
        with failing_as("sync", "the data folder"):
            self._disk.sync_directory()

    # -- after recovery --------------------------------------------------------------------------

    def _go_on(self, found: Found, mark: Mark | None) -> None:
        """Takes over a recovered log, and makes durable what was only found in the page cache."""
        last = found.last
        self._state = found.state
        self._index = found.index
        self._name = last.file
        self._number = last.header.number
        self._capacity = last.header.capacity
        self._offset = last.end
        self._sequence = last.sequence
        with failing_as("repair", self._name):
            self._file = self._disk.open(self._name)
            if found.torn is not None:
                # Nothing of the dropped bytes may ever stand behind a later record.
                _write_zeros(self._file, self._offset, self._capacity)
            elif last.records and (mark is None or mark.sequence < last.sequence):
                # Its sync may have failed, and left pages that are called clean: write it again.
                offset, end = last.records[-1]
                self._file.write_at(offset, last.data[offset:end])
            self._file.sync()
        last.data = b""
        if last.header.version != FORMAT:
            self._begin_segment(0)  # a segment is of one format from end to end
        if found.leftover:
            self._recycle(found.leftover)


def _write_zeros(file: DiskFile, start: int, stop: int) -> None:
    for at in range(start, stop, len(_ZEROS)):
        file.write_at(at, _ZEROS[: stop - at])
