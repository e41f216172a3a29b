"""Bugs in the write-ahead log: syncs that are not, and tails that are judged wrongly."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    CRASH,
    DURABILITY,
    ELECTION_SAFETY,
    LOG_MATCHING,
    LOSS,
    PROMISES,
    RECOVERY,
)
from node.storage import recovery, segment
from node.storage.recovery import _Replay
from node.storage.wal import WriteAheadLog

BUGS = [
    Planted(
        key="append-not-synced",
        name="an append is not synced",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="The data is in the page cache only, and is lost when the power fails.",
        target=WriteAheadLog,
        attribute="_write",
        plant=edited(("self._file.write_synced(", "self._file.write_at(")),
        expected=(PROMISES, DURABILITY, RECOVERY),
        within=10,
    ),
    Planted(
        key="vote-alone-not-synced",
        name="a term and a vote are not synced unless entries come with them",
        pitfall="Raft itself 1, Found in the field 1",
        shows=PROMISES,
        story="A record without entries is written but not synced.",
        target=WriteAheadLog,
        attribute="_write",
        plant=edited(
            (
                "self._file.write_synced(",
                "(self._file.write_synced if batches else self._file.write_at)(",
            )
        ),
        expected=(PROMISES, RECOVERY),
        within=10,
    ),
    Planted(
        key="vote-not-written",
        name="a vote is not written",
        pitfall="Raft itself 5, Found in the field 1",
        shows=PROMISES,
        story="Only a new term is written. The server votes, crashes, restarts, is asked again in "
        "the same term, and votes again.",
        target=WriteAheadLog,
        attribute="append",
        plant=edited(
            (
                "hard_state != state.hard_state:",
                "hard_state.current_term != state.hard_state.current_term:",
            )
        ),
        expected=(PROMISES, ELECTION_SAFETY),
        within=60,
        options={"faults": ("transfer", "slow-link")},
    ),
    Planted(
        key="first-vote-after-restart",
        name="the term and vote of a restart are those of the first record",
        pitfall="Found in the field 1",
        shows=PROMISES,
        story="Recovery reads the entries of every record, and term and vote only of the first.",
        target=_Replay,
        attribute="replay",
        plant=edited(("        self.state = state\n", "")),
        expected=(PROMISES, RECOVERY, CRASH),
        within=10,
    ),
    Planted(
        key="failed-sync-retried",
        name="a failed sync is tried again, and believed",
        pitfall="Raft itself 12, Found in the field 4",
        shows=PROMISES,
        story="After a failed sync the kernel has marked the pages as clean. The second sync "
        "succeeds, and has written nothing.",
        target=WriteAheadLog,
        attribute="_write",
        plant=edited(
            (
                "    self._file.write_synced(self._offset, record)\n",
                (
                    "    self._file.write_at(self._offset, record)\n"
                    "        try:\n            self._file.sync()\n"
                    "        except OSError:\n            self._file.sync()\n"
                ),
            )
        ),
        expected=(PROMISES, DURABILITY, RECOVERY),
        within=60,
    ),
    Planted(
        key="failed-log-written-again",
        name="a log whose write has failed is written to again",
        pitfall="Raft itself 12, Found in the field 4",
        shows=PROMISES,
        story="The log stays in use. What the failed write has left is not written again at the "
        "next start, so it counts as durable though it never was.",
        target=WriteAheadLog,
        attribute="_go_on",
        plant=edited(("last.records and (mark is None or mark.sequence < last.sequence)", "False")),
        expected=(PROMISES, DURABILITY, RECOVERY),
        within=60,
    ),
    Planted(
        key="mark-before-sync",
        name="the mark is written before the sync",
        pitfall="",
        shows=PROMISES,
        story="The mark says that a record is durable, and a crash may still tear it. A torn "
        "record that lost nothing is taken for damage, and the node refuses to start.",
        target=WriteAheadLog,
        attribute="_write",
        plant=edited(
            (
                "    self._file.write_synced(self._offset, record)\n",
                (
                    "    self._file.write_at(self._offset, record)\n"
                    "        self._mark.write(sequence, self._number, self._offset + size)\n"
                    "        self._file.sync()\n"
                ),
            )
        ),
        expected=(RECOVERY, PROMISES),
        within=60,
    ),
    Planted(
        key="middle-damage-dropped",
        name="damage in the middle is taken for a torn tail",
        pitfall="Raft itself 13, Found in the field 5",
        story="Everything after the first bad record is removed, although it was acknowledged.",
        target=recovery,
        attribute="_judge_end",
        plant=edited(
            ("mark is not None and mark.sequence > last.sequence", "False"),
            ("later is not None", "False"),
        ),
        expected=(PROMISES, DURABILITY, RECOVERY),
        within=30,
    ),
    Planted(
        key="last-damage-dropped",
        name="damage in the last record is taken for a torn tail",
        pitfall="Raft itself 13, Found in the field 5",
        story="The mark is not looked at. A damaged last record was acknowledged, and is removed. "
        "Searched for with disks that lose bits, and little else.",
        target=recovery,
        attribute="_judge_end",
        plant=edited(("mark is not None and mark.sequence > last.sequence", "False")),
        expected=(PROMISES, DURABILITY, RECOVERY),
        within=20,
        options={"faults": ("flip-bit", "kill")},
    ),
    Planted(
        key="torn-tail-is-damage",
        name="a torn tail is taken for damage",
        pitfall="Found in the field 5",
        shows=RECOVERY,
        story="Any bad byte after the last record makes the node refuse to start, after a crash "
        "that lost nothing.",
        target=recovery,
        attribute="_judge_end",
        plant=edited(
            (
                "return TornTail(last.file, last.end, bad)",
                "raise DamagedLog(last.file, last.end, bad + ADVICE)",
            )
        ),
        expected=(RECOVERY, PROMISES),
        within=15,
    ),
    Planted(
        key="torn-record-is-whole",
        name="a torn record is taken for a whole one",
        pitfall="Found in the field 5",
        shows=LOG_MATCHING,
        story="Checksums are not compared, so half of a write is read as if it were all.",
        target=segment,
        attribute="_valid_frame",
        plant=edited(
            (
                (
                    "        or zlib.crc32(view[body:end], zlib.crc32(view[at : body - 4], salt)) "
                    "!= checksum\n"
                ),
                "",
            )
        ),
        expected=(RECOVERY, PROMISES, LOG_MATCHING, *LOSS),
        within=10,
    ),
    Planted(
        key="directory-not-synced",
        name="the directory is not synced when a segment is begun",
        pitfall="",
        shows=RECOVERY,
        story="The name of the new segment is in memory only. When the power fails, the segment "
        "is gone, and its entries with it.",
        target=WriteAheadLog,
        attribute="_begin_segment",
        plant=edited(("        self._disk.sync_directory()\n", "")),
        expected=(RECOVERY, PROMISES, DURABILITY),
        within=10,
    ),
    Planted(
        key="segment-named-before-sync",
        name="a segment gets its name before its header is synced",
        pitfall="",
        shows=PROMISES,
        story="The power fails, and the segment that the directory names has no header.",
        target=WriteAheadLog,
        attribute="_begin_segment",
        plant=edited(("        file.sync()\n", "")),
        expected=(RECOVERY, PROMISES, DURABILITY),
        within=30,
    ),
    Planted(
        key="segment-without-vote",
        name="a segment's header forgets the term and vote",
        pitfall="",
        shows=PROMISES,
        story="The header at the beginning of a segment does not repeat the current term and vote.",
        target=WriteAheadLog,
        attribute="_begin_segment",
        plant=edited(("self._state,", "State(),")),
        expected=(RECOVERY, PROMISES),
        within=10,
    ),
    Planted(
        key="segment-made-twice",
        name="a segment is made ahead while one is on its way",
        pitfall="",
        shows=CRASH,
        story="On a very slow disk the next segment is half full before the spare one is there. A "
        "second spare of the same name is asked for.",
        target=WriteAheadLog,
        attribute="spare_is_due",
        plant=edited((" or self._spare_is_coming", "")),
        expected=(CRASH, RECOVERY, PROMISES, DURABILITY),
        within=60,
        options={"faults": ("slow-disk",), "rate": 300.0},
    ),
    Planted(
        key="recovery-keeps-replaced",
        name="recovery keeps what was replaced",
        pitfall="",
        shows=CRASH,
        story="A batch that replaces others is added after them when the log is read again.",
        target=_Replay,
        attribute="_extend",
        plant=edited(("self.batches[-1].first_index >= first", "False")),
        expected=(RECOVERY, PROMISES, CRASH),
        within=20,
    ),
]
