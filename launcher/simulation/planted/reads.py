"""Bugs in reads: answers that are older than what the client could know (§8, thesis §6.4)."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    CRASH,
    LINEARIZABILITY,
    READ_INDEX,
)
from node.raft import election, lease, reads, transfer
from node.raft.state import RaftState
from node.server.clients import Clients

BUGS = [
    Planted(
        key="read-without-round",
        name="a leader answers reads without asking whether it still leads",
        pitfall="Raft itself 6",
        shows=READ_INDEX,
        story="The leader does not ask a majority. A leader that was deposed without knowing it "
        "answers from its old state.",
        target=reads,
        attribute="confirm",
        plant=edited(("raft.quorum_round >= done.round", "True")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
    ),
    Planted(
        key="read-from-any-node",
        name="any node answers reads from its own state",
        pitfall="Raft itself 6",
        shows=READ_INDEX,
        story="A read is answered where it arrives, as if it had been a stale read.",
        target=Clients,
        attribute="request",
        plant=edited(("if message.stale:", "if True:")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=10,
    ),
    Planted(
        key="lease-for-round",
        name="a lease in place of a round",
        pitfall="Raft itself 6",
        shows=READ_INDEX,
        story="A leader that heard a majority within an election timeout answers at once. Clocks "
        "do not run alike, so there may be another leader meanwhile. Searched for with "
        "nothing but clocks and partitions.",
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
        key="read-before-first-commit",
        name="a new leader reads before its first commit",
        pitfall="Raft itself 7, Found in the field 11",
        shows=READ_INDEX,
        story="The leader uses its commit index before it has committed an entry of its own term. "
        "The leader before may have answered from a later state.",
        target=reads,
        attribute="begin_round",
        plant=edited(("if not raft.knows_what_is_committed:", "if False:")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=30,
    ),
    Planted(
        key="read-by-last-heartbeat",
        name="a read takes the number of the last heartbeat and sends none",
        pitfall="Found in the field 11",
        story="The number of a round is used again, so answers to heartbeats that were sent "
        "before the read came confirm it. Searched for with nothing but clocks and isolated "
        "nodes.",
        target=reads,
        attribute="begin_round",
        plant=edited(("broadcast_heartbeat(raft)\n", "pass\n")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=30,
        options={"faults": ("clock", "isolate")},
    ),
    Planted(
        key="read-joins-round",
        name="a read joins the round that is under way",
        pitfall="Found in the field 11",
        story="A read that comes while a round is under way is added to it. The answers say "
        "nothing about the time after the round was sent.",
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
        key="read-at-applied-index",
        name="the index of a read is what is applied, not what is committed",
        pitfall="",
        shows=READ_INDEX,
        story="Entries that were committed, and answered by the leader before, are not yet in the "
        "state.",
        target=reads,
        attribute="begin_round",
        plant=edited(("raft.commit_index, reads.waiting", "0, reads.waiting")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=40,
    ),
    Planted(
        key="read-before-applied",
        name="a confirmed read is answered before its index is applied",
        pitfall="",
        shows=READ_INDEX,
        story="The server does not wait until it has applied the log up to the read's index.",
        target=Clients,
        attribute="answer_reads",
        plant=edited((" and self._confirmed_reads[0][0] <= index", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=40,
    ),
    Planted(
        key="read-outlives-leader",
        name="confirmed reads outlive the leader that confirmed them",
        pitfall="",
        shows=CRASH,
        story="A server that has lost leadership redirects its readers, but keeps the answers "
        "that it had for them.",
        target=Clients,
        attribute="give_up_lost_leader",
        plant=edited(("    self._confirmed_reads.clear()\n", "")),
        expected=(CRASH, READ_INDEX, LINEARIZABILITY),
        within=20,
        options={"faults": ("ambush", "hunt")},
    ),
    Planted(
        key="question-without-round",
        name="a leader answers a follower's question without a round",
        pitfall="Raft itself 6",
        shows=READ_INDEX,
        story="The leader does not ask a majority, because the follower believes in it, too. "
        "Searched for with nothing but partitions.",
        target=reads,
        attribute="on_read_index",
        plant=edited((" and lease.is_held(raft)", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=40,
        options={"faults": ("partition",)},
    ),
    Planted(
        key="question-before-first-commit",
        name="a new leader answers a follower's question before its first commit",
        pitfall="Raft itself 7, Found in the field 11",
        shows=READ_INDEX,
        story="The leader's own reads wait. Those of followers get a commit index that may be "
        "older than what the leader before has answered (etcd #7331).",
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
        key="question-answered-late",
        name="an answer to an earlier question counts",
        pitfall="Found in the field 11",
        shows=READ_INDEX,
        story="A follower asks again, for reads that have come since. The late answer to the "
        "first question serves them all (etcd #20418). Searched for with links that delay.",
        target=reads,
        attribute="on_read_index_reply",
        plant=edited((" or message.ticket != question.ticket", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("slow-link", "reorder", "flaky")},
    ),
    Planted(
        key="follower-read-before-applied",
        name="a follower answers before it has applied the index",
        pitfall="",
        shows=READ_INDEX,
        story="The leader tells the follower an index. The follower answers at once from the "
        "state that it has.",
        target=reads,
        attribute="on_read_index_reply",
        plant=edited(("(message.index, ", "(0, ")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=30,
    ),
    Planted(
        key="lease-too-long",
        name="a lease lasts for two election timeouts",
        pitfall="Raft itself 6",
        shows=READ_INDEX,
        story="The bound is forgotten, and another leader is elected meanwhile.",
        target=lease,
        attribute="is_held",
        plant=edited((" / CLOCK_DRIFT_BOUND", " * 2")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("clock", "isolate")},
    ),
    Planted(
        key="lease-without-drift",
        name="a lease takes no account of clocks that drift",
        pitfall="Raft itself 6",
        story="The lease lasts for the shortest election timeout by the leader's clock. A voter "
        "with a faster clock may vote before that.",
        target=lease,
        attribute="is_held",
        plant=edited((" / CLOCK_DRIFT_BOUND", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("clock", "isolate")},
    ),
    Planted(
        key="lease-from-answer",
        name="a lease is counted from when its round is answered",
        pitfall="Raft itself 6",
        story="The voters count from the moment when they heard the leader, which was earlier.",
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
        key="lease-forgotten-by-restart",
        name="a voter that starts again has forgotten the lease",
        pitfall="Raft itself 6",
        story="The voter votes at once after a restart, though it has granted the leader a lease.",
        target=RaftState,
        attribute="_begin_timers",
        plant=edited(("self.now if self.timing.lease else ", "")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("kill", "isolate", "cut")},
    ),
    Planted(
        key="lease-kept-in-transfer",
        name="a leader that hands over keeps its lease",
        pitfall="Raft itself 18",
        shows=READ_INDEX,
        story="Servers that hear the successor vote for it, and the old leader may be the last to "
        "learn of it.",
        target=transfer,
        attribute="hand_over",
        plant=edited(("raft.lease.forgone = True", "pass")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("transfer", "slow-link")},
    ),
    Planted(
        key="lease-forgotten-in-later-term",
        name="a voter that has come into a later term has forgotten the lease",
        pitfall="Raft itself 6",
        story="The answer to a refused candidate brings a later term. In that term the voter has "
        "no leader, so it votes.",
        target=election,
        attribute="on_request_vote",
        plant=edited(("raft.is_bound_by_a_lease", "False")),
        expected=(READ_INDEX, LINEARIZABILITY),
        within=60,
        options={"faults": ("clock", "isolate", "cut")},
    ),
]
