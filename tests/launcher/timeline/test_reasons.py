"""The sentences of elections say why, and leave no field untold."""

from __future__ import annotations

import json

import pytest

from launcher.timeline.events import Event
from launcher.timeline.sentences import sentence

SENT = {"t": 0, "life": 1, "role": "follower", "commit": 0, "level": "info"}


def told(event: str, **fields: object) -> str:
    node, term = 3, 4
    common = {**SENT, "node": node, "term": term, "event": event}
    raw = json.dumps({**common, **fields}).encode()
    made = Event(t=0, node=node, life=1, term=term, role="", commit=0, level="info",
                 event=event, raw=raw)  # fmt: skip
    said, rest = sentence(made, lambda n: f"n{n}")
    assert rest == {}, "the sentence tells every field"
    return said


REFUSED = {"candidate": 5, "pre_vote": False, "for_term": 4, "count": 1}
ASKED = {"candidate": 5, "pre_vote": True, "for_term": 5}
BEHIND = {"reason": "its log is behind ours", "candidate_index": 3, "candidate_term": 2,
          "last_index": 4, "last_term": 2}  # fmt: skip
AGAIN = {"attempt": 8, "needs": 3, "of": 5, "reason": "no leader is heard", "silent_s": 6.5}


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        (
            "vote.denied",
            {**REFUSED, "reason": "it has voted already", "voted_for": 3},
            "n3 refused n5 its vote: it has voted for itself in term 4",
        ),
        (
            "vote.denied",
            {**REFUSED, "reason": "it has voted already", "voted_for": 2},
            "n3 refused n5 its vote: it has voted for n2 in term 4",
        ),
        (
            "vote.denied",
            {**REFUSED, **BEHIND},
            ("n3 refused n5 its vote: the log of n5 is behind; it ends with entry 3 of term 2, and "
            "that of n3 with entry 4 of term 2"),
        ),
        (
            "vote.denied",
            {**ASKED, "reason": "a leader is heard", "leader": 1, "count": 16},
            "n3 would not vote for n5: it hears the leader n1 (16 times so far)",
        ),
        (
            "vote.denied",
            {**ASKED, "reason": "a leader is heard", "leader": 3, "count": 1},
            "n3 would not vote for n5: it is the leader itself",
        ),
        (
            "vote.denied",
            {**REFUSED, "reason": "a leader is heard", "leader": 1, "ignored": True},
            "n3 ignored n5, which asks for its vote in term 4: it hears the leader n1",
        ),
        (
            "vote.denied",
            {**ASKED, "for_term": 2, "reason": "that term is over", "count": 1},
            "n3 would not vote for n5 in term 2: that term is over",
        ),
        (
            "prevote.denied",
            {**ASKED, **BEHIND, "count": 2},
            ("n3 would not vote for n5: the log of n5 is behind; it ends with entry 3 of term 2, "
            "and that of n3 with entry 4 of term 2 (2 times so far)"),
        ),
        (
            "prevote.denied",
            {**ASKED, "for_term": 4, "reason": "the term has begun already", "count": 1},
            ("n3 would not vote for n5 in term 4: it is in term 4 already, so n5 must ask for a "
            "later one"),
        ),
        (
            "leader.stepped_down",
            {"reason": "no quorum is heard", "heard": [1], "in_s": 1.0, "has": 2, "needs": 3,
             "of": 5},
            ("n3 stepped down: in the last 1.0 s it has heard only n1, so 2 of 5 voters with "
            "itself, and a leader needs 3"),
        ),
        (
            "leader.stepped_down",
            {"reason": "no quorum is heard", "heard": [], "in_s": 1.0, "has": 1, "needs": 3,
             "of": 5},
            ("n3 stepped down: in the last 1.0 s it has heard no other node, and a leader needs 3 "
            "of 5 voters, itself included"),
        ),
        (
            "leader.stepped_down",
            {"reason": "term 5 has begun", "by": 2},
            "n3 stepped down: n2 has told it that term 5 has begun",
        ),
        (
            "election.started",
            {"pre_vote": True, "for_term": 5, "reason": "no leader is heard", "silent_s": 0.8},
            "n3 asks whether it would be elected in term 5: it has heard no leader for 0.8 s",
        ),
        (
            "election.started",
            {"pre_vote": True, "for_term": 5, "reason": "the leader's process has ended"},
            "n3 asks whether it would be elected in term 5: the leader's process has ended",
        ),
        (
            "election.started",
            {"pre_vote": True, "for_term": 5, "lost_pre_vote": True, "yes": [4], "no": [],
             "silent": [1, 2, 5], **AGAIN},
            ("n3 asks again whether it would be elected in term 5 (attempt 8). Last time, yes from "
            "n4, no answer from n1, n2, n5; it takes 3 of 5 votes, and its own is one"),
        ),
        (
            "election.started",
            {"pre_vote": False, "for_term": 5, "lost_pre_vote": False, "yes": [4], "no": [1, 2],
             "silent": [5], **AGAIN},
            ("n3 asks for votes in term 5 (attempt 8). In the last election, yes from n4, no from "
            "n1, n2, no answer from n5; it takes 3 of 5 votes, and its own is one"),
        ),
        (
            "election.started",
            {"pre_vote": False, "for_term": 5, "promised": [1, 2, 3]},
            "n3 asks for votes in term 5: with n1, n2 it would have a majority",
        ),
        (
            "leader.heard",
            {"leader": 1, "attempts": 13},
            ("n3 follows n1, the leader of term 4, after it had asked 13 times whether it would be "
            "elected"),
        ),
    ],
)  # fmt: skip
def test_the_reason_is_told(event: str, fields: dict[str, object], expected: str) -> None:
    assert told(event, **fields) == expected
