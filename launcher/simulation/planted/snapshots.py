"""Bugs in snapshots: what they stand for, when they count, how they travel (§7)."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
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

BUGS = [
    Planted(
        key="older-snapshot-installed",
        name="a snapshot older than what was applied is installed",
        pitfall="Raft itself 14",
        shows=CONSISTENT,
        story="A late snapshot takes the follower back to a state before what it has committed "
        "and applied.",
        target=core,
        attribute="_has_all",
        plant=edited(("return index <= raft.commit_index", "return False")),
        expected=(MONOTONIC, CONSISTENT, STATE_MACHINE_SAFETY, CRASH, *LOSS),
        within=60,
    ),
    Planted(
        key="snapshot-end-not-compared",
        name="an entry at the snapshot's end is taken for the one that it ends with",
        pitfall="Found in the field 10",
        story="The log is kept because it is as long as the snapshot. Its entry at that index is "
        "of another term, and counts as committed.",
        target=core,
        attribute="_has_all",
        plant=edited(("raft.log.term_at(index) == term", "raft.log.term_at(index) is not None")),
        expected=(*LOSS, STATE_MACHINE_SAFETY),
        within=60,
    ),
    Planted(
        key="snapshot-acknowledged-before-disk",
        name="a snapshot is acknowledged before it is durable",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="The leader is told that the snapshot has arrived while the follower's disk is "
        "still writing it.",
        target=core,
        attribute="confirm_installed",
        plant=edited(("raft.send_after_persist(", "raft.send(")),
        expected=(PROMISES, DURABILITY),
        within=60,
    ),
    Planted(
        key="snapshot-without-heartbeats",
        name="a follower that receives a snapshot gets no heartbeats",
        pitfall="Raft itself 16",
        shows=LIVENESS,
        story="The chunks of the snapshot are all that the follower hears of its leader. When one "
        "is lost, it hears nothing more.",
        target=replication,
        attribute="broadcast_heartbeat",
        plant=edited(("snapshot.ask(raft, peer, progress)", "pass")),
        expected=(LIVENESS,),
        within=60,
        options={"faults": ("cut", "kill", "snapshot")},
    ),
    Planted(
        key="snapshot-named-before-sync",
        name="a snapshot gets its name before it is synced",
        pitfall="Found in the field 5",
        shows=RECOVERY,
        story="The power fails. The name of the snapshot is there, and its content is not.",
        target=SnapshotWriter,
        attribute="finish",
        plant=edited(("    self._file.sync()\n", "")),
        expected=(PROMISES, RECOVERY, DURABILITY),
        within=60,
    ),
    Planted(
        key="received-snapshot-not-synced",
        name="a received snapshot is not synced",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="The snapshot is in the page cache only. The power fails, and it is gone, and so is "
        "the log that it replaced.",
        target=files,
        attribute="check_received",
        plant=edited(("        file.sync()\n", "")),
        expected=(PROMISES, RECOVERY, DURABILITY),
        within=60,
    ),
    Planted(
        key="log-removed-before-snapshot",
        name="the log is removed before the snapshot's name is durable",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="Parts of the log are removed, the power fails, and the directory has lost the "
        "snapshot's name.",
        target=SnapshotFiles,
        attribute="publish",
        plant=edited(("        self._disk.sync_directory()\n", "")),
        expected=(PROMISES, RECOVERY, DURABILITY),
        within=60,
    ),
    Planted(
        key="snapshot-without-sessions",
        name="the sessions are not in the snapshot",
        pitfall="Raft itself 11, Found in the field 6",
        shows=EXACTLY_ONCE,
        story="A node that starts from the snapshot does not know that a command was applied, and "
        "applies its retry.",
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
        key="snapshot-claims-one-more",
        name="a snapshot says that it stands for one entry more than is applied",
        pitfall="Found in the field 6",
        shows=CRASH,
        story="The index and the state in the snapshot are not of the same moment. The entry in "
        "between is skipped.",
        target=Server,
        attribute="_take_snapshot",
        plant=edited(("        applying.index,\n", "        applying.index + 1,\n")),
        expected=(STATE_MACHINE_SAFETY, CONSISTENT, CRASH, LINEARIZABILITY, *LOSS),
        within=60,
    ),
    Planted(
        key="commit-during-restore",
        name="what is committed while a snapshot is restored is not held back",
        pitfall="Found in the field 6",
        shows=CRASH,
        story="The old machine is given entries from after the snapshot.",
        target=Applying,
        attribute="go_on",
        plant=edited((" and self.restoring is None", "")),
        expected=(CRASH, STATE_MACHINE_SAFETY),
        within=60,
    ),
    Planted(
        key="compact-to-applied",
        name="the log is compacted to what is applied",
        pitfall="",
        shows=LIVENESS,
        story="More of the log is removed than the snapshot covers. Nobody can be brought up to "
        "date.",
        target=core,
        attribute="trim",
        plant=edited(
            ("    end = raft.snapshot.last_included_index\n", "    end = raft.last_applied\n")
        ),
        expected=(CRASH, LIVENESS, CONSISTENT),
        within=60,
    ),
    Planted(
        key="old-append-refused",
        name="a late AppendEntries from before the snapshot is refused",
        pitfall="Raft itself 4",
        story="The log no longer has the entry before it, so the follower believes that something "
        "is missing.",
        target=Log,
        attribute="matches",
        plant=edited(("    if prev_log_index < self.base_index:\n        return True\n", "")),
        expected=(LIVENESS, CRASH, CONSISTENT),
        within=60,
    ),
    Planted(
        key="old-append-taken",
        name="a late AppendEntries from before the snapshot is taken for new",
        pitfall="Raft itself 4",
        shows=CRASH,
        story="Entries that the snapshot covers are not in the log, so they are taken for missing "
        "ones.",
        target=Log,
        attribute="missing",
        plant=edited(("batch.last_index <= self.base_index", "False")),
        expected=(CRASH, CONSISTENT, *LOSS),
        within=60,
    ),
    Planted(
        key="new-log-without-vote",
        name="term and vote do not survive that the log is begun anew",
        pitfall="Found in the field 1",
        shows=PROMISES,
        story="The log that begins after a snapshot has no term and no vote.",
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
        key="snapshot-named-before-log",
        name="a snapshot gets its name before the log holds what it stands for",
        pitfall="Raft itself 1",
        story="Entries may be applied before the node's own disk has them, or knows of their term.",
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
        key="chunk-taken-anywhere",
        name="a chunk is taken wherever it belongs",
        pitfall="",
        shows=CONSISTENT,
        story="A duplicated chunk is written twice. The result fails its checksum.",
        target=server_side.Snapshots,
        attribute="receive",
        plant=edited(("message.offset == receiving.accepted", "True")),
        expected=(CONSISTENT, LIVENESS),
        within=40,
        options={"faults": ("flaky", "reorder", "snapshot", "isolate")},
    ),
]
