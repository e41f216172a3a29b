"""Bugs in replication: proofs, commits, backing up, bounds (§5.3, §5.4.2)."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    BOUNDS,
    COMMIT_RULE,
    CONSISTENT,
    CRASH,
    DURABILITY,
    LINEARIZABILITY,
    LIVENESS,
    LOG_MATCHING,
    LOSS,
    PROMISES,
    STATE_MACHINE_SAFETY,
)
from node.raft import membership, replication
from node.raft.log import Log
from node.raft.raft import Raft
from node.raft.state import RaftState

BUGS = [
    Planted(
        key="count-earlier-terms",
        name="an entry of an earlier term is committed by counting replicas",
        pitfall="Raft itself 2, Found in the field 14",
        shows=COMMIT_RULE,
        story="Figure 8 of the paper: a new leader counts disks for an old entry, takes it for "
        "committed, and crashes. Another server, whose last entry is of a later term, "
        "becomes leader and overwrites it.",
        target=replication,
        attribute="advance_commit",
        plant=edited((" or raft.log.term_at(index) != raft.current_term", "")),
        expected=(*LOSS, COMMIT_RULE),
        within=30,
    ),
    Planted(
        key="one-disk-too-few",
        name="a commit needs one disk too few",
        pitfall="Found in the field 7",
        shows=DURABILITY,
        story="The position of the quorum's value is counted from one instead of zero. Of five "
        "voters, two are enough.",
        target=membership,
        attribute="_reached",
        plant=edited(("majority(half) - 1", "majority(half) - 2")),
        expected=(*LOSS, LINEARIZABILITY, LIVENESS),
        within=10,
    ),
    Planted(
        key="acknowledged-in-earlier-term",
        name="acknowledgements of an earlier term are counted",
        pitfall="Found in the field 7",
        story="A server that leads again counts what was acknowledged to it in an earlier term. A "
        "leader in between may have removed it.",
        target=Raft,
        attribute="_answer_stale",
        plant=edited(
            (
                "replication.refuse(raft, message))\n",
                (
                    "replication.refuse(raft, message))\n"
                    "    elif isinstance(message, AppendEntriesReply) and raft.role is LEADER:"
                    "\n        if message.success and message.match_index <= raft.log.last_index:\n"
                    "            raft.progress[sender].acknowledge(message.match_index)\n"
                    "            replication.advance_commit(raft)\n"
                ),
            )
        ),
        expected=(*LOSS, CONSISTENT, LIVENESS),
        within=30,
    ),
    Planted(
        key="sent-is-acknowledged",
        name="what was sent counts as acknowledged",
        pitfall="Found in the field 7",
        shows=DURABILITY,
        story="The leader takes its guess for a proof: any answer acknowledges everything that "
        "has been sent.",
        target=replication,
        attribute="on_append_entries_reply",
        plant=edited(
            ("if message.match_index > progress", "if progress.next_index - 1 > progress"),
            ("acknowledge(message.match_index)", "acknowledge(progress.next_index - 1)"),
        ),
        expected=(*LOSS, CONSISTENT),
        within=10,
    ),
    Planted(
        key="leader-counts-memory",
        name="the leader counts itself before its own disk has the entry",
        pitfall="Raft itself 1",
        shows=DURABILITY,
        story="The leader's own log in memory counts as a replica. So an entry may be answered "
        "when one disk of the majority does not have it yet.",
        target=replication,
        attribute="advance_commit",
        plant=edited(("return raft.persisted_index", "return raft.log.last_index")),
        expected=LOSS,
        within=15,
    ),
    Planted(
        key="leader-disk-required",
        name="the leader commits only what its own disk has",
        pitfall="Found in the field 3",
        shows=LIVENESS,
        story="A majority of the others' disks is not enough. When the leader's disk hangs and "
        "its heartbeats continue, nothing is committed, and nobody else is elected.",
        target=replication,
        attribute="advance_commit",
        plant=edited(
            (
                "raft.configuration.quorum_value(held)",
                "min(raft.configuration.quorum_value(held), raft.persisted_index)",
            )
        ),
        expected=(LIVENESS,),
        within=15,
    ),
    Planted(
        key="commit-to-end-of-log",
        name="a follower takes leader_commit as far as its log goes",
        pitfall="Raft itself 3",
        shows=CRASH,
        story="The follower's commit index goes further than the message has proved. Old entries "
        "at the end of its log are applied.",
        target=replication,
        attribute="on_append_entries",
        plant=edited(
            ("min(message.leader_commit, vouched)", "min(message.leader_commit, log.last_index)")
        ),
        expected=LOSS,
        within=40,
    ),
    Planted(
        key="heartbeat-vouches-for-all",
        name="a heartbeat vouches for the whole log",
        pitfall="Raft itself 3",
        shows=CRASH,
        story="The entry that the heartbeat names agrees with the leader's log. The follower "
        "takes this as a proof for all entries after it, and acknowledges and applies old "
        "ones.",
        target=replication,
        attribute="on_append_entries",
        plant=edited(("else message.prev_log_index", "else log.last_index")),
        expected=(*LOSS, CONSISTENT),
        within=40,
    ),
    Planted(
        key="late-append-truncates",
        name="a late, shorter AppendEntries truncates",
        pitfall="Raft itself 4",
        shows=DURABILITY,
        story="All entries after those of the message are removed, whether they conflict or not. "
        "Entries that were acknowledged, and may have been counted, are gone until they are "
        "sent again.",
        target=replication,
        attribute="on_append_entries",
        plant=edited(
            (
                "log.missing(message.batches)",
                "[one for one in message.batches if one.first_index > raft.commit_index]",
            )
        ),
        expected=(*LOSS, PROMISES, CONSISTENT),
        within=15,
    ),
    Planted(
        key="conflict-kept",
        name="a conflicting entry is kept",
        pitfall="",
        shows=STATE_MACHINE_SAFETY,
        story="A follower keeps any entry that it has at an index, whatever its term.",
        target=Log,
        attribute="missing",
        plant=edited(("!= batch.term", "is None")),
        expected=(*LOSS, LOG_MATCHING, PROMISES, LIVENESS),
        within=20,
    ),
    Planted(
        key="previous-term-not-compared",
        name="the term of the entry before is not compared",
        pitfall="",
        shows=CRASH,
        story="A follower accepts entries after any entry at that index. So logs differ before "
        "them.",
        target=Log,
        attribute="matches",
        plant=edited(("== prev_log_term", "is not None")),
        expected=(*LOSS, LOG_MATCHING),
        within=45,
    ),
    Planted(
        key="acknowledge-before-disk",
        name="an acknowledgement leaves before the entries are on disk",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="The answer is sent at once. Then the power fails, and an entry that was counted is "
        "gone.",
        target=replication,
        attribute="on_append_entries",
        plant=edited(
            (
                "raft.send_after_persist(message.leader_id, _accept",
                "raft.send(message.leader_id, _accept",
            )
        ),
        expected=(PROMISES, DURABILITY),
        within=15,
    ),
    Planted(
        key="heartbeat-claims-memory",
        name="a heartbeat's reply claims what is only in memory",
        pitfall="Raft itself 1",
        shows=DURABILITY,
        story="The answer to a heartbeat is sent at once, and says that the log is longer than "
        "the disk has it.",
        target=replication,
        attribute="on_append_entries",
        plant=edited(("min(vouched, raft.persisted_index)", "vouched")),
        expected=(PROMISES, DURABILITY),
        within=15,
    ),
    Planted(
        key="heartbeat-tells-unwritten-term",
        name="a heartbeat's reply tells of a term that is not on disk",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="The answer is sent at once, though the term in it is still being written.",
        target=RaftState,
        attribute="reply_by_hard_state",
        plant=edited(("self.hard_state == self.persisted_hard_state", "True")),
        expected=(PROMISES,),
        within=60,
    ),
    Planted(
        key="truncated-counts-as-written",
        name="what was truncated meanwhile counts as on disk",
        pitfall="Raft itself 1",
        story="A write ends, and a conflict has replaced its entries meanwhile. The entries that "
        "are now at their indexes are taken to be on disk, and acknowledged with the next "
        "heartbeat.",
        target=Raft,
        attribute="persisted",
        plant=edited(
            ("ready.truncations == raft.truncations and ", ""),
            ("= ready.last_index\n", "= min(ready.last_index, raft.handed_index)\n"),
        ),
        expected=(PROMISES, DURABILITY),
        within=30,
    ),
    Planted(
        key="disk-mark-after-truncation",
        name="after a truncation the disk is believed to be as far as before",
        pitfall="",
        shows=CONSISTENT,
        story="A conflict removes entries. The record of how much of the log is on disk stays as "
        "it was.",
        target=replication,
        attribute="_splice",
        plant=edited(
            ("        raft.persisted_index = min(raft.persisted_index, truncated - 1)\n", "")
        ),
        expected=(PROMISES, CONSISTENT),
        within=15,
    ),
    Planted(
        key="followers-commit-sent",
        name="followers are told to commit what was only sent",
        pitfall="Found in the field 7",
        shows=DURABILITY,
        story="The leader tells followers that everything up to the end of its log is committed.",
        target=replication,
        attribute="send_append",
        plant=edited(("leader_commit=raft.commit_index", "leader_commit=raft.log.last_index")),
        expected=LOSS,
        within=10,
    ),
    Planted(
        key="no-window-bound",
        name="the window of messages in flight has no bound",
        pitfall="Raft itself 15",
        shows=BOUNDS,
        story="A follower that is paused or slow is sent everything, acknowledged or not.",
        target=replication,
        attribute="_replicate_to",
        plant=edited(("len(progress.inflight) >= limits.inflight_batches", "False")),
        expected=(BOUNDS,),
        within=10,
    ),
    Planted(
        key="no-tail-bound",
        name="the uncommitted tail has no bound",
        pitfall="Found in the field 13",
        shows=BOUNDS,
        story="Proposals are accepted though nothing is committed, until the memory is full.",
        target=Raft,
        attribute="propose",
        plant=edited(("if tail and tail + len(data) > raft", "if False and tail > raft")),
        expected=(BOUNDS,),
        within=21,
    ),
    Planted(
        key="lost-probe-is-last",
        name="a lost probe is the last",
        pitfall="",
        shows=LIVENESS,
        story="Only an answer to entries ends the probing, not an answer to a heartbeat. When the "
        "one probe is lost, the follower is never sent anything again.",
        target=replication,
        attribute="on_append_entries_reply",
        plant=edited(
            (
                "message.prev_log_index >= progress.next_index - 1",
                "message.match_index >= progress.next_index",
            )
        ),
        expected=(LIVENESS,),
        within=10,
    ),
    Planted(
        key="back-up-within-batch",
        name="backing up lands within a batch",
        pitfall="",
        shows=CRASH,
        story="The leader's guess is not rounded down to the beginning of a batch.",
        target=replication,
        attribute="_back_up",
        plant=edited(("not raft.log.is_batch_end(index)", "False")),
        expected=(CRASH,),
        within=20,
        options={"faults": ("transfer", "hunt")},
    ),
]
