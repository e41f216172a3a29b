"""Bugs in elections: votes, terms, timers and the leader's own doubts (§5.2, §5.4.1, §6.4.2.3)."""

from __future__ import annotations

from launcher.simulation.planted.form import Planted, edited
from launcher.simulation.planted.properties import (
    CRASH,
    DURABILITY,
    ELECTION_SAFETY,
    LEADER_COMPLETENESS,
    LINEARIZABILITY,
    LIVENESS,
    LOG_MATCHING,
    LOSS,
    MONOTONIC,
    PROMISES,
    STABILITY,
)
from node.raft import election, membership, roles
from node.raft.log import Log
from node.raft.raft import Raft
from node.raft.state import RaftState

BUGS = [
    Planted(
        key="vote-for-shorter-log",
        name="a vote is granted to a shorter log of the same term",
        pitfall="Raft itself 5",
        shows=LEADER_COMPLETENESS,
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
        key="vote-for-longer-log-of-earlier-term",
        name="a vote is granted to the longer log, whatever its term",
        pitfall="Found in the field 1",
        shows=LEADER_COMPLETENESS,
        story="Lengths are compared before terms. A server that was cut off with many uncommitted "
        "entries comes back, wins, and overwrites what the others have committed. Searched "
        "for with leaders that come and go.",
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
        key="vote-for-any-log",
        name="a vote looks at no log at all",
        pitfall="",
        shows=LEADER_COMPLETENESS,
        story="The election restriction of section 5.4.1 is left out, so any candidate may win.",
        target=election,
        attribute="on_request_vote",
        plant=edited(("raft.is_as_recent(message.last_log_index, message.last_log_term)", "True")),
        expected=LOSS,
        within=10,
    ),
    Planted(
        key="vote-twice",
        name="a voter votes for whoever asks, twice in a term",
        pitfall="Raft itself 5",
        shows=MONOTONIC,
        story="The voter does not check whether it has voted in this term, so a term gets two "
        "leaders.",
        target=election,
        attribute="on_request_vote",
        plant=edited(
            ("raft.voted_for is None and raft.leader_id is None", "raft.leader_id is None")
        ),
        expected=(PROMISES, MONOTONIC, ELECTION_SAFETY, CRASH),
        within=30,
    ),
    Planted(
        key="vote-forgotten-by-follower",
        name="the vote is forgotten when the server follows",
        pitfall="Found in the field 1",
        shows=MONOTONIC,
        story="A server that steps down forgets its vote, although the term stays the same. It "
        "votes a second time.",
        target=roles,
        attribute="become_follower",
        plant=edited(("raft.votes = {}\n", "raft.votes = {}\n    raft.voted_for = None\n")),
        expected=(PROMISES, MONOTONIC, ELECTION_SAFETY, CRASH),
        within=10,
    ),
    Planted(
        key="vote-kept-in-next-term",
        name="a term that advances keeps the vote of the last one",
        pitfall="",
        shows=LIVENESS,
        story="The vote is not reset with the term. So servers refuse the candidates of all later "
        "terms because of a vote that they once gave.",
        target=roles,
        attribute="advance_term",
        plant=edited(("    raft.voted_for = None\n", "")),
        expected=(PROMISES, MONOTONIC, ELECTION_SAFETY, LIVENESS, CRASH),
        within=10,
    ),
    Planted(
        key="half-is-a-quorum",
        name="half of the voters make a quorum",
        pitfall="Found in the field 7",
        shows=DURABILITY,
        story="The majority is rounded down. With five voters, two of them elect a leader and "
        "commit.",
        target=membership,
        attribute="majority",
        plant=edited(("// 2 + 1", "// 2")),
        expected=(*LOSS, ELECTION_SAFETY, LINEARIZABILITY),
        within=10,
    ),
    Planted(
        key="refusal-is-a-vote",
        name="a refusal counts as a vote",
        pitfall="",
        shows=LEADER_COMPLETENESS,
        story="The candidate counts the answers, not what they say.",
        target=election,
        attribute="count_votes",
        plant=edited(("voter for voter, yes in raft.votes.items() if yes", "raft.votes")),
        expected=(*LOSS, ELECTION_SAFETY, STABILITY),
        within=10,
    ),
    Planted(
        key="pre-vote-is-a-vote",
        name="a pre-vote counts as a vote",
        pitfall="",
        shows=ELECTION_SAFETY,
        story="The candidate does not tell the answers to its two questions apart. Pre-votes, "
        "which bind nobody, elect it.",
        target=roles,
        attribute="become_candidate",
        plant=edited(("    raft.votes = {raft.node_id: True}\n", "")),
        expected=(*LOSS, ELECTION_SAFETY, CRASH),
        within=20,
    ),
    Planted(
        key="ask-votes-before-disk",
        name="votes are asked for before the candidate's own is on disk",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="RequestVote is sent at once. The candidate crashes, has forgotten its term after "
        "the restart, and votes for another in the term in which it may have won.",
        target=election,
        attribute="_ask",
        plant=edited(("send_after_persist", "send")),
        expected=(PROMISES, ELECTION_SAFETY),
        within=15,
    ),
    Planted(
        key="answer-vote-before-disk",
        name="a vote is answered before it is on disk",
        pitfall="Raft itself 1",
        shows=PROMISES,
        story="The answer is sent at once. After a crash the voter has forgotten its vote, and "
        "gives it again.",
        target=election,
        attribute="on_request_vote",
        plant=edited(("send_after_persist", "send")),
        expected=(PROMISES, ELECTION_SAFETY),
        within=15,
    ),
    Planted(
        key="own-vote-before-disk",
        name="a candidate's own vote counts before it is on disk",
        pitfall="Raft itself 1",
        shows=CRASH,
        story="A server that is a majority by itself leads a term at once. A crash takes the term "
        "back, and the server leads the same term again, with other entries. Searched for "
        "with one node.",
        target=election,
        attribute="count_votes",
        plant=edited(("return raft.hard_state == raft.persisted_hard_state", "return True")),
        expected=(LOG_MATCHING, *LOSS, PROMISES),
        within=10,
        options={"nodes": 1},
    ),
    Planted(
        key="no-check-quorum",
        name="a leader that hears nobody goes on leading",
        pitfall="Raft itself 17",
        shows=LIVENESS,
        story="Without check-quorum, a leader that can send but not receive keeps all others from "
        "electing another leader, and can commit nothing.",
        target=Raft,
        attribute="elapse",
        plant=edited(("now - raft.quorum_contact > raft.timing.election_timeout_max_s", "False")),
        expected=(LIVENESS,),
        within=10,
    ),
    Planted(
        key="live-leader-deposed",
        name="a candidate deposes a leader that is heard",
        pitfall="Raft itself 9",
        shows=STABILITY,
        story="Servers vote although they hear a leader. So a server that cannot hear the leader "
        "deposes it.",
        target=RaftState,
        attribute="hears_a_leader",
        plant=lambda original: property(lambda raft: False),
        expected=(STABILITY,),
        within=15,
    ),
    Planted(
        key="pre-vote-refused-silently",
        name="a pre-vote is refused without a word",
        pitfall="Raft itself 10, Found in the field 9",
        story="A server that asks with an earlier term is ignored, instead of being told the "
        "later term. If it has the better log, it can neither win nor help another to win.",
        target=Raft,
        attribute="_answer_stale",
        plant=edited(("if isinstance(message, RequestVote):", "if False:")),
        expected=(LIVENESS,),
        within=30,
    ),
    Planted(
        key="pre-vote-refusal-without-term",
        name="a refused pre-vote does not say the voter's term",
        pitfall="Raft itself 10, Found in the field 9",
        shows=STABILITY,
        story="The refusal carries the term that was asked about. So the candidate does not learn "
        "that it is behind.",
        target=election,
        attribute="deny",
        plant=edited(("RequestVoteReply(raft.current_term,", "RequestVoteReply(message.term,")),
        expected=(LIVENESS, STABILITY),
        within=10,
    ),
    Planted(
        key="pre-vote-bound-by-vote",
        name="a server that has voted refuses pre-votes",
        pitfall="Raft itself 10",
        shows=LIVENESS,
        story="Pre-votes are treated like votes. A server that has voted in this term refuses a "
        "question about the next term. So after the first election there is never another.",
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
        key="term-of-answer-ignored",
        name="the term of an answer is ignored",
        pitfall="",
        story="Only requests make a server step down. A server that sends requests in an earlier "
        "term never learns of the later one.",
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
        key="candidate-ignores-leader",
        name="a candidate stays one when its term has a leader",
        pitfall="",
        shows=CRASH,
        story="A candidate that receives an AppendEntries of its own term does not become a "
        "follower.",
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
        key="any-message-resets-timer",
        name="any message restarts the election timer",
        pitfall="Raft itself 19",
        shows=LIVENESS,
        story="Refused votes and old leaders count as signs of a leader. Servers that cannot win "
        "keep those waiting that could.",
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
        key="no-random-timeouts",
        name="all election timeouts are the same",
        pitfall="Raft itself 20",
        shows=LIVENESS,
        story="No timeout is random. All servers ask at the same time, vote for themselves, and "
        "do so again and again.",
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
        key="pre-vote-raises-term",
        name="a server that hears a leader takes over the term of a pre-vote",
        pitfall="Raft itself 9",
        shows=STABILITY,
        story="The request for a pre-vote is refused, but its term is taken over, and the leader "
        "is deposed.",
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
