"""Bugs in replication: proofs, commits, backing up, bounds (§5.3, §5.4.2)."""

from __future__ import annotations

from node.raft import membership, replication
from node.raft.log import Log
from node.raft.raft import Raft
from node.raft.state import RaftState
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
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
)

BUGS = [
    Planted(
        name="an entry of an earlier term is committed by counting replicas",
        pitfall="Raft itself 2, Found in the field 14",
        story="Figure 8: the new leader counts disks for an old entry, tells of it, and falls; "
        "another, whose last entry is of a later term, overwrites it.",
        target=replication,
        attribute="advance_commit",
        plant=edited((" or raft.log.term_at(index) != raft.current_term", "")),
        expected=(*LOSS, COMMIT_RULE),
        within=30,
    ),
    Planted(
        name="a commit needs one disk too few",
        pitfall="Found in the field 7",
        story="The rank of the quorum's value is counted from one: of five voters, two suffice.",
        target=membership,
        attribute="_reached",
        plant=edited(("majority(half) - 1", "majority(half) - 2")),
        expected=(*LOSS, LINEARIZABILITY, LIVENESS),
        within=10,
    ),
    Planted(
        name="acknowledgements of an earlier term are counted",
        pitfall="Found in the field 7",
        story="A server that leads again counts what was acknowledged to it in an earlier term, "
        "and a leader in between may have taken back.",
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
        name="what was sent counts as acknowledged",
        pitfall="Found in the field 7",
        story="The leader takes its guess for the proof: any answer acknowledges all that is on "
        "its way.",
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
        name="the leader counts itself before its own disk has the entry",
        pitfall="Raft itself 1",
        story="The leader's own log in memory counts as a replica: of the majority that an "
        "answered entry is said to be on, one disk may not have it yet.",
        target=replication,
        attribute="advance_commit",
        plant=edited(("return raft.persisted_index", "return raft.log.last_index")),
        expected=LOSS,
        within=15,
    ),
    Planted(
        name="the leader commits only what its own disk has",
        pitfall="Found in the field 3",
        story="A majority of the others' disks is not enough. When the leader's disk hangs and its "
        "heartbeats do not, nothing is committed, and nobody else is elected.",
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
        name="a follower takes leader_commit as far as its log goes",
        pitfall="Raft itself 3",
        story="The commit index goes further than the message vouches: an old tail is applied.",
        target=replication,
        attribute="on_append_entries",
        plant=edited(
            ("min(message.leader_commit, vouched)", "min(message.leader_commit, log.last_index)")
        ),
        expected=LOSS,
        within=40,
    ),
    Planted(
        name="a heartbeat vouches for the whole log",
        pitfall="Raft itself 3",
        story="That the entry before the end agrees is taken to mean that all behind it does: an "
        "old tail is acknowledged, and applied.",
        target=replication,
        attribute="on_append_entries",
        plant=edited(("else message.prev_log_index", "else log.last_index")),
        expected=(*LOSS, CONSISTENT),
        within=40,
    ),
    Planted(
        name="a late, shorter AppendEntries truncates",
        pitfall="Raft itself 4",
        story="Whatever stands behind the message's entries goes, conflict or not: entries that "
        "were acknowledged, and may be counted already, are gone until they are sent again.",
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
        name="a conflicting entry is kept",
        pitfall="",
        story="An entry counts as held if anything stands at its index, whatever its term.",
        target=Log,
        attribute="missing",
        plant=edited(("!= batch.term", "is None")),
        expected=(*LOSS, LOG_MATCHING, PROMISES, LIVENESS),
        within=20,
    ),
    Planted(
        name="the term of the entry before is not compared",
        pitfall="",
        story="A follower takes entries behind any entry of that index: logs differ below them.",
        target=Log,
        attribute="matches",
        plant=edited(("== prev_log_term", "is not None")),
        expected=(*LOSS, LOG_MATCHING),
        within=45,
    ),
    Planted(
        name="an acknowledgement leaves before the entries are on disk",
        pitfall="Raft itself 1",
        story="The reply leaves at once; the power goes; an entry that was counted is gone.",
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
        name="a heartbeat's reply claims what is only in memory",
        pitfall="Raft itself 1",
        story="The reply to a heartbeat leaves at once, and claims more than the disk holds.",
        target=replication,
        attribute="on_append_entries",
        plant=edited(("min(vouched, raft.persisted_index)", "vouched")),
        expected=(PROMISES, DURABILITY),
        within=15,
    ),
    Planted(
        name="a heartbeat's reply tells of a term that is not on disk",
        pitfall="Raft itself 1",
        story="The reply leaves at once though the term in it is still being written.",
        target=RaftState,
        attribute="reply_by_hard_state",
        plant=edited(("self.hard_state == self.persisted_hard_state", "True")),
        expected=(PROMISES,),
        within=60,
    ),
    Planted(
        name="what was truncated meanwhile counts as on disk",
        pitfall="Raft itself 1",
        story="A write is done whose entries a conflict has since replaced. What stands at their "
        "indexes now is taken to be durable, and acknowledged with the next heartbeat.",
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
        name="after a truncation the disk is believed to be as far as before",
        pitfall="",
        story="A conflict takes entries back, and the note of how far the disk is stays.",
        target=replication,
        attribute="_splice",
        plant=edited(
            ("        raft.persisted_index = min(raft.persisted_index, truncated - 1)\n", "")
        ),
        expected=(PROMISES, CONSISTENT),
        within=15,
    ),
    Planted(
        name="followers are told to commit what was only sent",
        pitfall="Found in the field 7",
        story="leader_commit is the end of the leader's log.",
        target=replication,
        attribute="send_append",
        plant=edited(("leader_commit=raft.commit_index", "leader_commit=raft.log.last_index")),
        expected=LOSS,
        within=10,
    ),
    Planted(
        name="the window of messages in flight has no bound",
        pitfall="Raft itself 15",
        story="Whoever is paused or lags is sent everything, acknowledged or not.",
        target=replication,
        attribute="_replicate_to",
        plant=edited(("len(progress.inflight) >= limits.inflight_batches", "False")),
        expected=(BOUNDS,),
        within=10,
    ),
    Planted(
        name="the uncommitted tail has no bound",
        pitfall="Found in the field 13",
        story="Proposals are taken though nothing is committed, until the memory is full.",
        target=Raft,
        attribute="propose",
        plant=edited(("if tail and tail + len(data) > raft", "if False and tail > raft")),
        expected=(BOUNDS,),
        within=21,
    ),
    Planted(
        name="a lost probe is the last",
        pitfall="",
        story="Only an answer to entries ends the probing, and no heartbeat's does: when the one "
        "probe is lost, the peer is never sent anything again.",
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
        name="backing up lands within a batch",
        pitfall="",
        story="The guess is not rounded down to where a batch begins.",
        target=replication,
        attribute="_back_up",
        plant=edited(("not raft.log.is_batch_end(index)", "False")),
        expected=(CRASH,),
        within=20,
        options={"faults": ("transfer", "hunt")},
    ),
]
