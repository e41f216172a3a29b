"""What a lesson claims is checked, and a claim that does not hold fails."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from launcher.control.status import ClusterStatus, NodeStatus
from launcher.lessons import claims
from launcher.lessons.claims import NotSo, Scene
from node.raft.membership import stable


def status(leader: int | None = 1, term: int = 1, **of_second: Any) -> ClusterStatus:
    """Three nodes that follow the leader; `of_second` changes the second."""
    nodes = [
        NodeStatus(
            id=node,
            state="up",
            role="leader" if node == leader else "follower",
            term=term,
            leader=leader,
            last_index=4,
            commit_index=4,
            applied_index=4,
            last_answer_s=0.0,
        )
        for node in (1, 2, 3)
    ]
    nodes[1] = msgspec.structs.replace(nodes[1], **of_second)
    return ClusterStatus(
        cluster="c",
        supervisor_pid=1,
        leader=leader,
        term=term,
        nodes=nodes,
        membership=stable([1, 2, 3]),
        membership_committed=True,
    )


def scene(now: ClusterStatus, **fields: Any) -> Scene:
    return Scene(lambda: now, **fields)


HOLD = [
    ("a leader", scene(status())),
    ("n1 leads", scene(status())),
    ("a new leader", scene(status(2, 3), leader=1, term=2)),
    ("the same leader", scene(status(2, 3), leader=2, term=2)),
    ("a later term", scene(status(None, 3), leader=1, term=2)),
    ("no leader", scene(status(None))),
    ("two leaders", scene(status(1, role="leader"))),
    ("all logs are the same", scene(status())),
    ("the log of n2 reaches 4", scene(status())),
    ("n2 is down", scene(status(state="down", role=None))),
    ("n2 is follower", scene(status())),
    ("it prints `a b`", scene(status(), output="x a b y")),
    ("it does not print `ab`", scene(status(), output="x a b y")),
    ("exit status 4", scene(status(), exit_status=4)),
]

FAIL = [
    ("a leader", scene(status(None)), "no leader has a majority"),
    ("n2 leads", scene(status()), "n1 leads"),
    ("a new leader", scene(status(), leader=1, term=0), "n1 still leads"),
    ("a new leader", scene(status(2, 2), leader=1, term=2), "the term is still 2"),
    ("the same leader", scene(status(), leader=2, term=1), "n2 led, and now n1 does"),
    ("a later term", scene(status(1, 2), leader=1, term=2), "the term is 2, and was 2"),
    ("no leader", scene(status()), "n1 leads"),
    ("two leaders", scene(status()), r"are \[1\]"),
    ("all logs are the same", scene(status(last_index=5)), "not all the same"),
    ("the log of n2 reaches 5", scene(status()), "ends at 4"),
    ("n2 is down", scene(status()), "n2 is up, follower"),
    ("n7 is down", scene(status()), "n7 is unknown"),
    ("it prints `ab`", scene(status(), output="x a b y"), "it printed 'x a b y'"),
    ("it does not print `a b`", scene(status(), output="a b"), "it printed 'a b'"),
    ("exit status 0", scene(status(), exit_status=4, output="no"), "is 4, and it printed 'no'"),
]


@pytest.mark.parametrize(("claim", "there"), HOLD, ids=[one[0] for one in HOLD])
def test_a_claim_that_holds(claim: str, there: Scene) -> None:
    claims.check(claim, there)


@pytest.mark.parametrize(("claim", "there", "said"), FAIL, ids=[one[0] for one in FAIL])
def test_a_claim_that_does_not_hold(claim: str, there: Scene, said: str) -> None:
    with pytest.raises(NotSo, match=said):
        claims.check(claim, there, patience_s=0)


def test_every_claim_is_tried_both_ways() -> None:
    for tried in (HOLD, FAIL):
        functions = {claims.find(one[0])[0] for one in tried}
        assert functions == {function for function, _ in claims.CLAIMS.values()}


def test_a_claim_of_the_state_is_waited_for() -> None:
    now = [status(None), status(None), status(2, 2)]
    later = Scene(lambda: now.pop(0) if len(now) > 1 else now[0])
    claims.check("a leader", later)
    assert (later.leader, later.term) == (2, 2)


def test_what_is_no_claim_is_refused_with_the_list() -> None:
    with pytest.raises(ValueError, match="no claim 'a king'; there are: a leader; NODE leads"):
        claims.find("a king")
