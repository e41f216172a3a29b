"""Bugs in elections: votes, terms, timers and the leader's own doubts (§5.2, §5.4.1, §6.4.2.3)."""

from __future__ import annotations

from node.raft import election, membership, roles
from node.raft.log import Log
from node.raft.raft import Raft
from node.raft.state import RaftState
from tests.simulation.planted.form import Planted, edited
from tests.simulation.planted.properties import (
    CRASH,
    ELECTION_SAFETY,
    LINEARIZABILITY,
    LIVENESS,
    LOG_MATCHING,
    LOSS,
    MONOTONIC,
    PROMISES,
    STABILITY,
)

BUGS = [
    Planted(
        name="a vote is granted to a shorter log of the same term",
        pitfall="Raft itself 5",
        story="Only the last terms are compared. A candidate that lacks the end of the voter's log "
        "wins, and overwrites what was committed.",
        target=Log,
        attribute="is_as_recent",
        plant=edited(
            (
                "(last_log_term, last_log_index) >= (self.last_term, self.last_index)",
                "last_log_term >= self.last_term",
            )
        ),
        expected=LOSS,
        within=20,
    ),
    Planted(
        name="a vote is granted to the longer log, whatever its term",
        pitfall="Found in the field 1",
        story="Lengths are compared before terms. A server that was cut off with a long tail that "
        "nobody ever committed comes back and wins over what the others did commit. "
        "Searched for with leaders that come and go.",
        target=Log,
        attribute="is_as_recent",
        plant=edited(
            (
                "(last_log_term, last_log_index) >= (self.last_term, self.last_index)",
                "(last_log_index, last_log_term) >= (self.last_index, self.last_term)",
            )
        ),
        expected=LOSS,
        within=60,
        options={"faults": ("hunt", "isolate", "partition")},
    ),
    Planted(
        name="a vote looks at no log at all",
        pitfall="",
        story="The restriction of §5.4.1 is left out: any candidate may win.",
        target=election,
        attribute="on_request_vote",
        plant=edited(("raft.is_as_recent(message.last_log_index, message.last_log_term)", "True")),
        expected=LOSS,
        within=10,
    ),
    Planted(
        name="a voter votes for whoever asks, twice in a term",
        pitfall="Raft itself 5",
        story="Whether this server has voted already is not asked: a term gets two leaders.",
        target=election,
        attribute="on_request_vote",
        plant=edited(
            ("raft.voted_for is None and raft.leader_id is None", "raft.leader_id is None")
        ),
        expected=(PROMISES, MONOTONIC, ELECTION_SAFETY, CRASH),
        within=30,
    ),
    Planted(
        name="the vote is forgotten when the server follows",
        pitfall="Found in the field 1",
        story="Stepping down clears the vote, though the term stays: it is given a second time.",
        target=roles,
        attribute="become_follower",
        plant=edited(("raft.votes = {}\n", "raft.votes = {}\n    raft.voted_for = None\n")),
        expected=(PROMISES, MONOTONIC, ELECTION_SAFETY, CRASH),
        within=10,
    ),
    Planted(
        name="a term that advances keeps the vote of the last one",
        pitfall="",
        story="The vote is not reset with the term, so servers refuse candidates of every term to "
        "come because of a vote that they once gave.",
        target=roles,
        attribute="advance_term",
        plant=edited(("    raft.voted_for = None\n", "")),
        expected=(PROMISES, MONOTONIC, ELECTION_SAFETY, LIVENESS, CRASH),
        within=10,
    ),
    Planted(
        name="half of the voters make a quorum",
        pitfall="Found in the field 7",
        story="The majority is rounded down, so with five voters two elect and commit.",
        target=membership,
        attribute="majority",
        plant=edited(("// 2 + 1", "// 2")),
        expected=(*LOSS, ELECTION_SAFETY, LINEARIZABILITY),
        within=10,
    ),
    Planted(
        name="a refusal counts as a vote",
        pitfall="",
        story="Votes are counted by who has answered, not by what the answer was.",
        target=election,
        attribute="count_votes",
        plant=edited(("voter for voter, yes in raft.votes.items() if yes", "raft.votes")),
        expected=(*LOSS, ELECTION_SAFETY, STABILITY),
        within=10,
    ),
    Planted(
        name="a pre-vote counts as a vote",
        pitfall="",
        story="The candidate does not tell the answers to its two questions apart: pre-votes, "
        "which bind nobody, elect it.",
        target=roles,
        attribute="become_candidate",
        plant=edited(("    raft.votes = {raft.node_id: True}\n", "")),
        expected=(*LOSS, ELECTION_SAFETY, CRASH),
        within=20,
    ),
    Planted(
        name="votes are asked for before the candidate's own is on disk",
        pitfall="Raft itself 1",
        story="RequestVote leaves at once. The candidate crashes, has forgotten its term, and "
        "votes for another in the term in which it may have won.",
        target=election,
        attribute="_ask",
        plant=edited(("send_after_persist", "send")),
        expected=(PROMISES, ELECTION_SAFETY),
        within=15,
    ),
    Planted(
        name="a vote is answered before it is on disk",
        pitfall="Raft itself 1",
        story="The reply leaves at once; after a crash the vote is given again.",
        target=election,
        attribute="on_request_vote",
        plant=edited(("send_after_persist", "send")),
        expected=(PROMISES, ELECTION_SAFETY),
        within=15,
    ),
    Planted(
        name="a candidate's own vote counts before it is on disk",
        pitfall="Raft itself 1",
        story="A server that is its own majority leads a term at once, a crash takes the term "
        "back, and it leads the same term again, with other entries. Searched for with one node.",
        target=election,
        attribute="count_votes",
        plant=edited(("return raft.hard_state == raft.persisted_hard_state", "return True")),
        expected=(LOG_MATCHING, *LOSS, PROMISES),
        within=10,
        options={"nodes": 1},
    ),
    Planted(
        name="a leader that hears nobody leads on",
        pitfall="Raft itself 17",
        story="Without check-quorum a leader that can send but not receive keeps everyone from "
        "electing another, and can commit nothing.",
        target=Raft,
        attribute="elapse",
        plant=edited(("now - raft.quorum_contact > raft.timing.election_timeout_max_s", "False")),
        expected=(LIVENESS,),
        within=10,
    ),
    Planted(
        name="a candidate deposes a leader that is heard",
        pitfall="Raft itself 9",
        story="Votes are given though a leader is heard: whoever cannot hear it deposes it.",
        target=RaftState,
        attribute="hears_a_leader",
        plant=lambda original: property(lambda raft: False),
        expected=(STABILITY,),
        within=15,
    ),
    Planted(
        name="a pre-vote is refused without a word",
        pitfall="Raft itself 10, Found in the field 9",
        story="Who asks with an earlier term is ignored, instead of being told the later one. A "
        "server with the better log and the earlier term can neither win nor be won over.",
        target=Raft,
        attribute="_answer_stale",
        plant=edited(("if isinstance(message, RequestVote):", "if False:")),
        expected=(LIVENESS,),
        within=30,
    ),
    Planted(
        name="a refused pre-vote does not say the voter's term",
        pitfall="Raft itself 10, Found in the field 9",
        story="The refusal bears the term that was asked about: the candidate does not learn that "
        "it is behind.",
        target=election,
        attribute="deny",
        plant=edited(("RequestVoteReply(raft.current_term,", "RequestVoteReply(message.term,")),
        expected=(LIVENESS, STABILITY),
        within=10,
    ),
    Planted(
        name="a pre-vote is refused by who has voted",
        pitfall="Raft itself 10",
        story="Pre-votes go by the rule of votes. Who has voted in this term says no to a question "
        "about the next: after the first election there is never another.",
        target=election,
        attribute="_answer_pre_vote",
        plant=edited(
            (
                "recent and message.term > raft.current_term",
                "recent and message.term > raft.current_term and raft.voted_for is None",
            )
        ),
        expected=(LIVENESS,),
        within=10,
    ),
    Planted(
        name="the term of an answer is ignored",
        pitfall="",
        story="Only requests make a server step down: who asks in an earlier term never learns it.",
        target=Raft,
        attribute="_enter_term",
        plant=edited(
            (
                "    roles.become_follower(raft, None, f",
                (
                    "    if isinstance(message, RequestVoteReply | AppendEntriesReply):\n"
                    "        return False\n"
                    "    roles.become_follower(raft, None, f"
                ),
            )
        ),
        expected=(LIVENESS, STABILITY, CRASH),
        within=30,
    ),
    Planted(
        name="a candidate stays one when its term has a leader",
        pitfall="",
        story="AppendEntries of its own term does not make a candidate follow.",
        target=Raft,
        attribute="_hear_leader",
        plant=edited(
            (
                'roles.become_follower(raft, leader_id, "a leader is heard")',
                "raft.leader_id = leader_id",
            )
        ),
        expected=(CRASH,),
        within=10,
    ),
    Planted(
        name="any message restarts the election timer",
        pitfall="Raft itself 19",
        story="Denied votes and stale leaders count as a sign of a leader: whoever could win is "
        "kept waiting by those who cannot.",
        target=Raft,
        attribute="step",
        plant=edited(
            (
                "    raft.now = now\n",
                (
                    "    raft.now = now\n"
                    "    if raft.role is not LEADER:\n"
                    "        raft.reset_election_timer()\n"
                ),
            )
        ),
        expected=(LIVENESS,),
        within=30,
    ),
    Planted(
        name="all election timeouts are the same",
        pitfall="Raft itself 20",
        story="Nothing is drawn: all ask at the same time, vote for themselves, and go on so.",
        target=RaftState,
        attribute="reset_election_timer",
        plant=edited(
            (
                (
                    "self.random.uniform(\n"
                    "        timing.election_timeout_min_s, timing.election_timeout_max_s\n"
                    "    )"
                ),
                "timing.election_timeout_max_s",
            )
        ),
        expected=(LIVENESS,),
        within=10,
    ),
    Planted(
        name="a server that hears a leader takes up the term of a pre-vote",
        pitfall="Raft itself 9",
        story="The call for a pre-vote is refused, but its term is entered, and the leader falls.",
        target=Raft,
        attribute="_enter_term",
        plant=edited(
            (
                'election.deny(raft, message, "a leader is heard")\n            return False',
                (
                    'election.deny(raft, message, "a leader is heard")\n'
                    "                return True\n            return False"
                ),
            )
        ),
        expected=(STABILITY, CRASH),
        within=15,
    ),
]
