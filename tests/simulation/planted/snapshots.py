"""Bugs in snapshots: what they stand for, when they count, how they travel (§7)."""

from __future__ import annotations

from node.raft import replication
from node.raft import snapshot as core
from node.raft.log import Log
from node.server import snapshots as server_side
from node.server.applying import Applying
from node.server.server import Server
from node.server.write import Write
from node.storage import snapshots as files
from node.storage.snapshots import SnapshotFiles, SnapshotWriter
from node.storage.wal import WriteAheadLog
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
    CONSISTENT,
    CRASH,
    DURABILITY,
    EXACTLY_ONCE,
    LINEARIZABILITY,
    LIVENESS,
    LOSS,
    MONOTONIC,
    PROMISES,
    RECOVERY,
    STATE_MACHINE_SAFETY,
)

BUGS = [
    Planted(
        name="a snapshot older than what was applied is installed",
        pitfall="Raft itself 14",
        story="A late snapshot rolls the follower back behind what it has committed and applied.",
        target=core,
        attribute="_has_all",
        plant=edited(("return index <= raft.commit_index", "return False")),
        expected=(MONOTONIC, CONSISTENT, STATE_MACHINE_SAFETY, CRASH, *LOSS),
        within=60,
    ),
    Planted(
        name="an entry at the snapshot's end is taken for the one that it ends with",
        pitfall="Found in the field 10",
        story="The log is kept because it reaches as far as the snapshot; that the entry there is "
        "of another term is not looked at, and it counts as committed.",
        target=core,
        attribute="_has_all",
        plant=edited(("raft.log.term_at(index) == term", "raft.log.term_at(index) is not None")),
        expected=(*LOSS, STATE_MACHINE_SAFETY),
        within=60,
    ),
    Planted(
        name="a snapshot is acknowledged before it is durable",
        pitfall="Raft itself 1",
        story="The leader hears that all is there while the follower's disk is still at it.",
        target=core,
        attribute="confirm_installed",
        plant=edited(("raft.send_after_persist(", "raft.send(")),
        expected=(PROMISES, DURABILITY),
        within=60,
    ),
    Planted(
        name="who receives a snapshot gets no heartbeats",
        pitfall="Raft itself 16",
        story="The transfer is all that a peer hears of its leader: a lost chunk ends it.",
        target=replication,
        attribute="broadcast_heartbeat",
        plant=edited(("snapshot.ask(raft, peer, progress)", "pass")),
        expected=(LIVENESS,),
        within=60,
        options={"faults": ("cut", "kill", "snapshot")},
    ),
    Planted(
        name="a snapshot gets its name before it is synced",
        pitfall="Found in the field 5",
        story="The power goes, the name is there, and what it names is not.",
        target=SnapshotWriter,
        attribute="finish",
        plant=edited(("    self._file.sync()\n", "")),
        expected=(PROMISES, RECOVERY, DURABILITY),
        within=60,
    ),
    Planted(
        name="a received snapshot is not synced",
        pitfall="Raft itself 1",
        story="It is checked in the page cache; the power goes, and it is gone, like the log.",
        target=files,
        attribute="check_received",
        plant=edited(("        file.sync()\n", "")),
        expected=(PROMISES, RECOVERY, DURABILITY),
        within=60,
    ),
    Planted(
        name="the log goes before the snapshot's name is durable",
        pitfall="Raft itself 1",
        story="Segments are dropped, the power goes, and the directory has forgotten the snapshot.",
        target=SnapshotFiles,
        attribute="publish",
        plant=edited(("        self._disk.sync_directory()\n", "")),
        expected=(PROMISES, RECOVERY, DURABILITY),
        within=60,
    ),
    Planted(
        name="the sessions are not in the snapshot",
        pitfall="Raft itself 11, Found in the field 6",
        story="Who starts from it does not know that a command was applied, and applies its retry.",
        target=server_side,
        attribute="_write",
        plant=edited(
            (
                "sessions.snapshot()",
                "Sessions(sessions._timeout_us, sessions._most).snapshot()",
            )
        ),
        expected=(EXACTLY_ONCE, STATE_MACHINE_SAFETY, LINEARIZABILITY, LIVENESS),
        within=60,
    ),
    Planted(
        name="a snapshot says that it stands for one entry more than is applied",
        pitfall="Found in the field 6",
        story="Applied mark and state are not of one moment: the entry in between is skipped.",
        target=Server,
        attribute="_take_snapshot",
        plant=edited(("        applying.index,\n", "        applying.index + 1,\n")),
        expected=(STATE_MACHINE_SAFETY, CONSISTENT, CRASH, LINEARIZABILITY, *LOSS),
        within=60,
    ),
    Planted(
        name="what is committed while a snapshot is restored is not held back",
        pitfall="Found in the field 6",
        story="The old machine is handed entries from behind the snapshot.",
        target=Applying,
        attribute="go_on",
        plant=edited((" and self.restoring is None", "")),
        expected=(CRASH, STATE_MACHINE_SAFETY),
        within=60,
    ),
    Planted(
        name="the log is compacted to what is applied",
        pitfall="",
        story="More is forgotten than the snapshot stands for: nobody can be brought up to date.",
        target=core,
        attribute="trim",
        plant=edited(
            ("    end = raft.snapshot.last_included_index\n", "    end = raft.last_applied\n")
        ),
        expected=(CRASH, LIVENESS, CONSISTENT),
        within=60,
    ),
    Planted(
        name="a late AppendEntries from before the snapshot is refused",
        pitfall="Raft itself 4",
        story="The log does not know the entry before it any more, and takes it for a gap.",
        target=Log,
        attribute="matches",
        plant=edited(("    if prev_log_index < self.base_index:\n        return True\n", "")),
        expected=(LIVENESS, CRASH, CONSISTENT),
        within=60,
    ),
    Planted(
        name="a late AppendEntries from before the snapshot is taken for new",
        pitfall="Raft itself 4",
        story="What a snapshot stands for is not in the log, so it counts as missing.",
        target=Log,
        attribute="missing",
        plant=edited(("batch.last_index <= self.base_index", "False")),
        expected=(CRASH, CONSISTENT, *LOSS),
        within=60,
    ),
    Planted(
        name="term and vote do not survive that the log is begun anew",
        pitfall="Found in the field 1",
        story="The log behind a snapshot begins with no vote cast in any term.",
        target=WriteAheadLog,
        attribute="restart_after",
        plant=edited(
            (
                "State(state.hard_state, self._number + 1, state.life)",
                "State(first_segment=self._number + 1, life=state.life)",
            )
        ),
        expected=(PROMISES, RECOVERY, CRASH),
        within=60,
    ),
    Planted(
        name="a snapshot gets its name before the log holds what it stands for",
        pitfall="Raft itself 1",
        story="Entries may be applied before our own disk has them, or knows of their term.",
        target=Write,
        attribute="carry_out",
        plant=edited(
            (
                "    hard_state, install = self.hard_state, self.install\n",
                (
                    "    if self.publish is not None:\n"
                    "        store.publish(self.publish)\n"
                    "    hard_state, install = self.hard_state, self.install\n"
                ),
            ),
            (
                (
                    "    store.append(hard_state, self.batches)\n"
                    "    if self.publish is not None:\n"
                    "        store.publish(self.publish)\n"
                ),
                "    store.append(hard_state, self.batches)\n",
            ),
        ),
        expected=(CRASH, PROMISES, RECOVERY, DURABILITY),
        within=60,
    ),
    Planted(
        name="a chunk is taken wherever it belongs",
        pitfall="",
        story="A doubled chunk is written behind itself; what comes of it fails its checksum.",
        target=server_side.Snapshots,
        attribute="receive",
        plant=edited(("message.offset == receiving.accepted", "True")),
        expected=(CONSISTENT, LIVENESS),
        within=40,
        options={"faults": ("flaky", "reorder", "snapshot", "isolate")},
    ),
]
