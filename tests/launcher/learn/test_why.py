"""Why a node leads or does not: each case, from facts that are made up here."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import LauncherError
from launcher.learn.standing import remarks
from launcher.learn.why import Facts, gather, why
from launcher.timeline.events import Event
from node.raft.messages import Membership

VOTERS = (1, 2, 3, 4, 5)


def a_node(node_id: int, **changes: Any) -> NodeStatus:
    usual: dict[str, Any] = {"role": "follower", "leader": 4, "term": 7, "last_index": 9}
    usual |= {"commit_index": 9, "applied_index": 9, "last_answer_s": 0.0, "pid": 100 + node_id}
    return NodeStatus(id=node_id, **{"state": "up", **usual, **changes})


def a_status(
    *changed: NodeStatus, leader: int | None = 4, membership: Membership | None = None
) -> ClusterStatus:
    nodes = {n: a_node(n, role="leader" if n == leader else "follower") for n in VOTERS}
    if leader is None:
        nodes = {n: a_node(n, leader=None) for n in VOTERS}
    nodes |= {node.id: node for node in changed}
    known = membership or Membership(voters=VOTERS, outgoing=(), target=VOTERS)
    return ClusterStatus(
        cluster="leeky", supervisor_pid=1, leader=leader, term=7, nodes=[*nodes.values()],
        membership=known,
    )  # fmt: skip


def an_event(name: str, t: int = 0, node: int = 1, term: int = 7, **fields: object) -> Event:
    common = {"t": t, "node": node, "life": 1, "term": term, "role": "", "commit": 0}
    raw = json.dumps({**common, "level": "info", "event": name, **fields}).encode()
    return msgspec.structs.replace(msgspec.json.decode(raw, type=Event), raw=raw)


def cut(status: ClusterStatus, *groups: tuple[int, ...]) -> ClusterStatus:
    """The status while the nodes are partitioned so."""
    away = {node: [n for n in VOTERS if n not in group] for group in groups for node in group}
    nodes = [msgspec.structs.replace(node, cut_off_from=away[node.id]) for node in status.nodes]
    return msgspec.structs.replace(status, nodes=nodes)


def told(facts: Facts, node: int | None) -> list[str]:
    return why(facts, node, clock=lambda t: f"at {t}")


def test_a_follower_follows_a_leader_that_is_heard() -> None:
    elected = an_event("leader.elected", node=4, votes=[3, 4, 5])
    facts = Facts(a_status(a_node(1, leader_heard_s=0.04)), events=[elected])
    assert told(facts, 1) == [
        (
            "n1 follows n4, which leads term 7 and is heard (last 40 ms ago), elected with the "
            "votes of n3, n5. While a majority hears n4, no node is elected in its place; "
            "`transfer n1` would make n1 the leader."
        )
    ]


def test_the_leader_leads_by_its_votes_and_its_followers() -> None:
    elected = an_event("leader.elected", node=4, votes=[3, 4, 5])
    assert told(Facts(a_status(), events=[elected]), 4) == [
        "n4 leads term 7: it was elected with the votes of n3, n5.",
        "It leads for as long as a majority hears it: n1, n2, n3, n5, and itself.",
    ]
    assert told(Facts(a_status()), None)[0] == "n4 leads term 7."


def test_a_leader_without_a_majority_can_commit_nothing() -> None:
    lonely = [a_node(n, leader=None, role="candidate") for n in (1, 2, 3)]
    facts = Facts(cut(a_status(*lonely), (1, 2, 3), (4, 5)))
    assert told(facts, 4) == [
        "n4 leads term 7.",
        (
            "But it can commit nothing now: only n5 follows it, and a decision takes 3 of 5 votes. "
            "If that lasts for an election timeout, it steps down."
        ),
        "It is cut off from n1, n2, n3, and an election takes 3 of 5 votes.",
    ]


def test_a_node_that_is_cut_off_cannot_be_elected() -> None:
    alone = a_node(1, leader=None, role="candidate", term=5)
    facts = Facts(cut(a_status(alone), (1, 2), (3, 4, 5)))
    first, second = told(facts, 1)
    assert first == (
        "n1 cannot lead: it is cut off from n3, n4, n5, and an election takes 3 of 5 votes."
    )
    assert second == "n4 leads term 7."


def test_a_node_that_is_down_paused_or_hangs() -> None:
    down = a_node(1, state="down", role=None, leader=None, reason="killed with SIGKILL")
    assert told(Facts(a_status(down)), 1) == [
        "n1 cannot lead: it is down (killed with SIGKILL).",
        "n4 leads term 7.",
    ]
    paused = a_node(1, state="paused", role=None, leader=None)
    assert told(Facts(a_status(paused)), 1)[0] == (
        "n1 cannot lead: it is paused (its process is frozen by a signal)."
    )
    hangs = a_node(1, responding=False, last_answer_s=4.0)
    assert told(Facts(a_status(hangs)), 1)[0] == (
        "n1 cannot lead: its process has not responded for 4 s."
    )


def test_a_learner_and_a_node_that_is_no_member() -> None:
    change = Membership(voters=(2, 3, 4, 5), outgoing=(), target=VOTERS)
    assert told(Facts(a_status(membership=change)), 1)[0] == (
        "n1 cannot lead: it is a learner, and has no vote yet."
    )
    without = Membership(voters=(2, 3, 4, 5), outgoing=(), target=(2, 3, 4, 5))
    removed = a_node(1, leader=None, change="it was removed")
    assert told(Facts(a_status(removed, membership=without)), 1)[0] == (
        "n1 cannot lead: it is no member (it was removed)."
    )


def test_a_leader_of_an_earlier_term_has_not_heard_of_the_later_one() -> None:
    old = a_node(1, role="leader", leader=1, term=5)
    assert told(Facts(cut(a_status(old), (1, 2), (3, 4, 5))), 1)[0] == (
        "n1 still believes that it leads term 5, but n4 leads the later term 7, and n1 has not "
        "heard of that yet. It can commit nothing: a majority no longer accepts its term."
    )
    assert remarks(a_status(old)) == [
        (
            "n1 still calls itself leader, of term 5: it has not heard yet that n4 leads term 7. "
            "It can commit nothing, so this is safe."
        )
    ]


def test_a_log_that_is_behind_gets_no_votes() -> None:
    behind = a_node(1, leader=None, role="candidate", last_index=4, commit_index=4)
    facts = Facts(
        a_status(behind, leader=None),
        events=[
            an_event(
                "vote.denied", t=3, node=3, candidate=1, reason="its log is behind ours",
                pre_vote=False, for_term=7, count=1, candidate_index=4, candidate_term=2,
                last_index=9, last_term=5,
            )
        ],
    )  # fmt: skip
    said = told(facts, 1)
    assert said[0] == (
        "Its log is behind: it ends with entry 4, and the entries up to 9 are committed. A "
        "majority has them, and would not vote for n1."
    )
    assert said[-1] == (
        "at 3: n3 refused n1 its vote: the log of n1 is behind; it ends with entry 4 of term 2, "
        "and that of n3 with entry 9 of term 5."
    )


def test_the_disk_of_a_node_may_hang() -> None:
    assert "Its disk is not well: hangs." in told(Facts(a_status(a_node(1, disk="hangs"))), 1)


def test_without_a_leader_and_too_few_nodes() -> None:
    down = [a_node(n, state="down", role=None, reason="killed") for n in (3, 4, 5)]
    said = told(Facts(a_status(*down, leader=None)), None)
    assert said == [
        "There is no leader: 2 of 5 voters are up and it takes 3; n3, n4, n5 are down (killed)."
    ]
    assert told(Facts(a_status(*down, leader=None)), 1)[0] == (
        "n1 cannot lead: n3, n4, n5 do not run or respond, and an election takes 3 of 5 votes."
    )


def test_without_a_leader_since_no_group_is_a_majority() -> None:
    facts = Facts(cut(a_status(leader=None), (1, 2), (3, 4), (5,)))
    assert told(facts, None) == [
        (
            "There is no leader: the links are cut so that no node reaches enough voters, and an "
            "election takes 3 of 5 votes."
        )
    ]


def test_without_a_leader_while_an_election_is_under_way() -> None:
    asked = an_event(
        "election.started", t=5, node=2, pre_vote=True, for_term=8, reason="no leader is heard",
        silent_s=0.8,
    )  # fmt: skip
    facts = Facts(a_status(leader=None), events=[asked])
    first, second = told(facts, None)
    assert first.startswith("There is no leader at this moment, and enough nodes are up")
    assert second == (
        "at 5: n2 asks whether it would be elected in term 8: it has heard no leader for 0.8 s."
    )
    assert told(facts, 2)[-1] == second


def test_a_leader_that_has_stepped_down_says_why() -> None:
    stepped = an_event("leader.stepped_down", t=9, node=1, reason="term 7 has begun", by=4)
    assert told(Facts(a_status(), events=[stepped]), 1)[-1] == (
        "at 9: n1 stepped down: n4 has told it that term 7 has begun."
    )


def test_a_node_that_is_not_there() -> None:
    with pytest.raises(LauncherError, match="there is no node n9; there are n1, n2, n3, n4, n5"):
        why(Facts(a_status()), 9)


def test_a_cluster_of_one() -> None:
    only = Membership(voters=(1,), outgoing=(), target=(1,))
    status = ClusterStatus(
        cluster="leeky", supervisor_pid=1, leader=1, term=1, membership=only,
        nodes=[a_node(1, role="leader", leader=1)],
    )  # fmt: skip
    assert told(Facts(status), 1)[-1] == "It is the only voter, so it needs no other node."


def test_the_facts_are_gathered_from_the_timeline() -> None:
    begun = an_event("supervisor.started", node=0)
    elected = an_event("leader.elected", node=4, votes=[3, 4, 5])
    other = an_event("node.ready")
    assert gather(a_status(), [begun, other, elected]) == Facts(a_status(), (elected,))
    assert gather(a_status(), [elected, begun]) == Facts(a_status())


def test_what_lies_behind_the_commit_index_of_a_restarted_node_is_not_lost() -> None:
    restarted = [a_node(n, leader=None, commit_index=0) for n in VOTERS]
    assert remarks(a_status(*restarted, leader=None)) == [
        (
            "n1, n2, n3, n4, n5: entries behind `commit` are not lost. A node that has restarted "
            "learns from the next leader which of them are committed."
        )
    ]
    assert remarks(a_status()) == []
    assert max(map(len, remarks(a_status(*restarted, leader=None), 60))) <= 60
