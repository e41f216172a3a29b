"""Bugs in the write-ahead log: syncs that are not, and tails that are judged wrongly."""

from __future__ import annotations

from node.storage import recovery, segment
from node.storage.recovery import _Replay
from node.storage.wal import WriteAheadLog
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
    CRASH,
    DURABILITY,
    ELECTION_SAFETY,
    LOG_MATCHING,
    LOSS,
    PROMISES,
    RECOVERY,
)

BUGS = [
    Planted(
        name="an append is not synced",
        pitfall="Raft itself 1",
        story="What was written stands in the page cache, and is lost with the power.",
        target=WriteAheadLog,
        attribute="_write",
        plant=edited(("self._file.write_synced(", "self._file.write_at(")),
        expected=(PROMISES, DURABILITY, RECOVERY),
        within=10,
    ),
    Planted(
        name="a term and a vote are not synced unless entries come with them",
        pitfall="Raft itself 1, Found in the field 1",
        story="A record without batches is written and left to the kernel.",
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
        name="a vote is not written",
        pitfall="Raft itself 5, Found in the field 1",
        story="Only a new term is worth a record. The server votes, crashes, starts again, is "
        "asked again in the same term, and votes again.",
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
        name="the term and vote of a restart are those of the first record",
        pitfall="Found in the field 1",
        story="Recovery takes entries from every record, and the state from none.",
        target=_Replay,
        attribute="replay",
        plant=edited(("        self.state = state\n", "")),
        expected=(PROMISES, RECOVERY, CRASH),
        within=10,
    ),
    Planted(
        name="a failed sync is tried again, and believed",
        pitfall="Raft itself 12, Found in the field 4",
        story="The kernel has called the pages clean: the second sync succeeds, and has written "
        "nothing.",
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
        name="a log whose write has failed is written to again",
        pitfall="Raft itself 12, Found in the field 4",
        story="The log is not poisoned, and what the failed write left behind is not written anew "
        "at the next start, so it counts as durable without ever having been.",
        target=WriteAheadLog,
        attribute="_go_on",
        plant=edited(("last.records and (mark is None or mark.sequence < last.sequence)", "False")),
        expected=(PROMISES, DURABILITY, RECOVERY),
        within=60,
    ),
    Planted(
        name="the mark is written before the sync",
        pitfall="",
        story="The mark says that a record is durable which a crash may still tear: an honest "
        "torn tail is taken for damage, and the node refuses to start.",
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
        name="damage in the middle is taken for a torn tail",
        pitfall="Raft itself 13, Found in the field 5",
        story="Everything behind the first bad record is dropped, and it was acknowledged.",
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
        name="damage in the last record is taken for a torn tail",
        pitfall="Raft itself 13, Found in the field 5",
        story="The mark is not asked. A rotten last record was acknowledged, and is dropped. "
        "Searched for with disks that rot, and little else.",
        target=recovery,
        attribute="_judge_end",
        plant=edited(("mark is not None and mark.sequence > last.sequence", "False")),
        expected=(PROMISES, DURABILITY, RECOVERY),
        within=20,
        options={"faults": ("flip-bit", "kill")},
    ),
    Planted(
        name="a torn tail is taken for damage",
        pitfall="Found in the field 5",
        story="Any bad byte behind the last record makes the node refuse to start, after a crash "
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
        name="a torn record is taken for a whole one",
        pitfall="Found in the field 5",
        story="Checksums are not compared: half of an append is replayed.",
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
        name="the directory is not synced when a segment is begun",
        pitfall="",
        story="The new segment has its name in memory only: after a loss of power it is not there, "
        "and nor are the entries in it.",
        target=WriteAheadLog,
        attribute="_begin_segment",
        plant=edited(("        self._disk.sync_directory()\n", "")),
        expected=(RECOVERY, PROMISES, DURABILITY),
        within=10,
    ),
    Planted(
        name="a segment gets its name before its header is synced",
        pitfall="",
        story="The power goes, and the segment that the directory names has no header.",
        target=WriteAheadLog,
        attribute="_begin_segment",
        plant=edited(("        file.sync()\n", "")),
        expected=(RECOVERY, PROMISES, DURABILITY),
        within=30,
    ),
    Planted(
        name="a segment's header forgets the term and vote",
        pitfall="",
        story="The header that begins a segment does not repeat the state in force.",
        target=WriteAheadLog,
        attribute="_begin_segment",
        plant=edited(("self._state,", "State(),")),
        expected=(RECOVERY, PROMISES),
        within=10,
    ),
    Planted(
        name="a segment is made ahead while one is on its way",
        pitfall="",
        story="A disk so slow that the next segment is half full before the spare for it is there "
        "is asked for a second one, of the same name.",
        target=WriteAheadLog,
        attribute="spare_is_due",
        plant=edited((" or self._spare_is_coming", "")),
        expected=(CRASH, RECOVERY, PROMISES, DURABILITY),
        within=60,
        options={"faults": ("slow-disk",), "rate": 300.0},
    ),
    Planted(
        name="recovery keeps what was replaced",
        pitfall="",
        story="A batch that replaces others is added behind them when the log is read again.",
        target=_Replay,
        attribute="_extend",
        plant=edited(("self.batches[-1].first_index >= first", "False")),
        expected=(RECOVERY, PROMISES, CRASH),
        within=20,
    ),
]
