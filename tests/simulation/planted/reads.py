"""Bugs in reads: answers that are older than what the client could know (§8, thesis §6.4)."""

from __future__ import annotations

from node.raft import election, lease, reads, transfer
from node.raft.state import RaftState
from node.server.clients import Clients
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import CRASH, LINEARIZABILITY, READ_INDEX

BUGS = [
    Planted(
        name="a leader answers reads without asking whether it still leads",
        pitfall="Raft itself 6",
        story="No round is sent. A deposed leader that does not know it yet answers from its own "
        "old state.",
        target=reads,
        attribute="confirm",
        plant=edited(("raft.quorum_round >= done.round", "True")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
    ),
    Planted(
        name="any node answers reads from its own state",
        pitfall="Raft itself 6",
        story="A read is answered where it arrives, as if it had been asked to be stale.",
        target=Clients,
        attribute="request",
        plant=edited(("if message.stale:", "if True:")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=10,
    ),
    Planted(
        name="a lease in place of a round",
        pitfall="Raft itself 6",
        story="A leader that heard a majority within an election timeout answers at once. Clocks "
        "that do not run alike make another leader meanwhile. "
        "Searched for with nothing but clocks and partitions.",
        target=reads,
        attribute="confirm",
        plant=edited(
            (
                "if raft.quorum_round >= done.round:",
                "if raft.now - raft.quorum_contact < raft.timing.election_timeout_min_s:",
            )
        ),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=40,
        options={"faults": ("clock", "partition")},
    ),
    Planted(
        name="a new leader reads before its first commit",
        pitfall="Raft itself 7, Found in the field 11",
        story="The commit index is taken before an entry of the leader's own term is committed: "
        "it may be older than what was answered under the leader before.",
        target=reads,
        attribute="begin_round",
        plant=edited(("if not raft.knows_what_is_committed:", "if False:")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=30,
    ),
    Planted(
        name="a read takes the number of the last heartbeat and sends none",
        pitfall="Found in the field 11",
        story="The id of a round is used again: answers to heartbeats that were sent before the "
        "read came confirm it. "
        "Searched for with nothing but clocks and isolated nodes.",
        target=reads,
        attribute="begin_round",
        plant=edited(("broadcast_heartbeat(raft)\n", "pass\n")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=30,
        options={"faults": ("clock", "isolate")},
    ),
    Planted(
        name="a read joins the round that is under way",
        pitfall="Found in the field 11",
        story="A read that comes while a round waits for its answers is added to it, though they "
        "say nothing of the time after it was sent.",
        target=reads,
        attribute="begin_round",
        plant=edited(
            (
                "if reads.round is not None or not (reads.waiting or reads.questions):\n",
                (
                    "if reads.round is not None:\n"
                    "        reads.round.contexts += reads.waiting\n"
                    "        reads.waiting = []\n"
                    "    if reads.round is not None or not (reads.waiting or reads.questions):\n"
                ),
            )
        ),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=30,
    ),
    Planted(
        name="the index of a read is what is applied, not what is committed",
        pitfall="",
        story="What was committed, and answered by the leader before, is not yet in the state.",
        target=reads,
        attribute="begin_round",
        plant=edited(("raft.commit_index, reads.waiting", "0, reads.waiting")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=40,
    ),
    Planted(
        name="a confirmed read is answered before its index is applied",
        pitfall="",
        story="The server does not wait until it has applied as much as the read index says.",
        target=Clients,
        attribute="answer_reads",
        plant=edited((" and self._confirmed_reads[0][0] <= index", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=40,
    ),
    Planted(
        name="confirmed reads outlive the leader that confirmed them",
        pitfall="",
        story="Who lost the lead sends the readers elsewhere, and keeps what it would have told "
        "them.",
        target=Clients,
        attribute="give_up_lost_leader",
        plant=edited(("    self._confirmed_reads.clear()\n", "")),
        expected=(CRASH, READ_INDEX, LINEARIZABILITY),
        within=20,
        options={"faults": ("ambush", "hunt")},
    ),
    Planted(
        name="a leader answers a follower's question without a round",
        pitfall="Raft itself 6",
        story="It does not ask whether it still leads, since the follower believes so too. "
        "Searched for with nothing but partitions.",
        target=reads,
        attribute="on_read_index",
        plant=edited((" and lease.is_held(raft)", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=40,
        options={"faults": ("partition",)},
    ),
    Planted(
        name="a new leader answers a follower's question before its first commit",
        pitfall="Raft itself 7, Found in the field 11",
        story="Its own reads wait; those of others are answered at a commit index that may be "
        "older than what was answered under the leader before (etcd #7331).",
        target=reads,
        attribute="begin_round",
        plant=edited(
            (
                "if not raft.knows_what_is_committed:",
                "if not reads.questions and not raft.knows_what_is_committed:",
            )
        ),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
    ),
    Planted(
        name="an answer to an earlier question counts",
        pitfall="Found in the field 11",
        story="A question is asked anew, for reads that have come since, and the late answer to "
        "the first one serves them all (etcd #20418). Searched for with links that delay.",
        target=reads,
        attribute="on_read_index_reply",
        plant=edited((" or message.ticket != question.ticket", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("slow-link", "reorder", "flaky")},
    ),
    Planted(
        name="a follower answers before it has applied the index",
        pitfall="",
        story="It learns from the leader that it may answer, and does so from the state that it "
        "has.",
        target=reads,
        attribute="on_read_index_reply",
        plant=edited(("(message.index, ", "(0, ")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=30,
    ),
    Planted(
        name="a lease lasts for two election timeouts",
        pitfall="Raft itself 6",
        story="The bound is forgotten. Another leader is elected meanwhile.",
        target=lease,
        attribute="is_held",
        plant=edited((" / CLOCK_DRIFT_BOUND", " * 2")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("clock", "isolate")},
    ),
    Planted(
        name="a lease takes no account of clocks that drift",
        pitfall="Raft itself 6",
        story="It lasts for the shortest election timeout, by the leader's clock; a voter whose "
        "clock is faster is free before that.",
        target=lease,
        attribute="is_held",
        plant=edited((" / CLOCK_DRIFT_BOUND", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("clock", "isolate")},
    ),
    Planted(
        name="a lease is counted from when its round is answered",
        pitfall="Raft itself 6",
        story="The voters count from when they heard it, which was before.",
        target=lease,
        attribute="extend",
        plant=edited(
            (
                "raft.lease.since = rounds.popleft()[1]",
                "raft.lease.since = raft.now\n        rounds.popleft()",
            )
        ),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("slow-link", "isolate", "mute")},
    ),
    Planted(
        name="a voter that starts again has forgotten the lease",
        pitfall="Raft itself 6",
        story="It votes at once, though the leader holds a lease that it has granted.",
        target=RaftState,
        attribute="_begin_timers",
        plant=edited(("self.now if self.timing.lease else ", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("kill", "isolate", "cut")},
    ),
    Planted(
        name="a leader that hands over keeps its lease",
        pitfall="Raft itself 18",
        story="Whoever hears the heir votes, and the old leader may be the last to know.",
        target=transfer,
        attribute="hand_over",
        plant=edited(("raft.lease.forgone = True", "pass")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("transfer", "slow-link")},
    ),
    Planted(
        name="a voter that has come into a later term has forgotten the lease",
        pitfall="Raft itself 6",
        story="A refused candidate's answer brings the term; the voter has no leader any more, and "
        "votes.",
        target=election,
        attribute="on_request_vote",
        plant=edited(("raft.is_bound_by_a_lease", "False")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("clock", "isolate", "cut")},
    ),
]
