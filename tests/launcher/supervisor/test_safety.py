"""What two reports of nodes show that cannot both be: one test for each promise of Figure 3."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.control.divergence import Comparison
from launcher.folders.violations import Report, Violation
from launcher.supervisor import safety
from launcher.supervisor.safety import MOST_DIGESTS, MOST_VIOLATIONS, Safety
from node import wire
from node.raft.membership import stable
from node.raft.messages import Membership

AT = "2026-11-29T01:02:03.456Z"


def report(
    term: int = 1, *, role: str = "follower", leader: int | None = None, **rest: Any
) -> wire.Status:
    """A node's report; what it does not tell is as in a node that holds nothing."""
    said: dict[str, Any] = {
        "role": role,
        "term": term,
        "leader": leader,
        "voter": True,
        "membership": stable((1, 2, 3)),
        "membership_committed": True,
        "first_index": 1,
        "last_index": 0,
        "commit_index": 0,
        "commit_term": 0,
        "applied_index": 0,
        "snapshot_index": 0,
        "digest": "",
    }
    return wire.Status(**(said | rest))


def peers(**matches: int) -> list[wire.Peer]:
    """`n2=7`: n2 has acknowledged 7 entries."""
    return [
        wire.Peer(int(name[1:]), match + 1, match, "replicate", 0, 0, 0.0)
        for name, match in matches.items()
    ]


def leads(node: int, term: int, last_index: int = 0, **rest: Any) -> wire.Status:
    """A leader whose peers have acknowledged everything, unless something else is told."""
    rest.setdefault("peers", peers(n1=last_index, n2=last_index, n3=last_index))
    return report(term, role="leader", leader=node, voted_for=node, last_index=last_index, **rest)


def compared(*said: tuple[int, wire.Status]) -> Safety:
    """What was found after these nodes have reported, all in their first life."""
    seen = Safety()
    for node, status in said:
        seen.see(node, 1, status, AT)
    return seen


def found(seen: Safety) -> list[tuple[str, str]]:
    return [(one.promise, one.found) for one in seen.violations]


# -- what is allowed -------------------------------------------------------------------------------


def test_a_cluster_that_keeps_its_promises_is_not_accused() -> None:
    """A leader, its followers, the next one in a later term, a restart with what was durable."""
    seen = compared(
        (1, leads(1, 1, 1, commit_index=1, commit_term=1, kept_term=1, kept_vote=1)),
        (2, report(1, leader=1, voted_for=1, kept_term=1, kept_vote=1)),
        (3, report(1, leader=1, voted_for=1, kept_term=1, kept_vote=1)),
        (1, leads(1, 1, 5, commit_index=4, commit_term=1, kept_term=1, kept_vote=1)),
        (2, report(1, leader=1, commit_index=3, commit_term=1, voted_for=1)),
        (2, report(2, role="candidate", commit_index=3, commit_term=1, voted_for=2)),
        (2, leads(2, 2, 6, commit_index=4, commit_term=1, kept_term=2, kept_vote=2)),
        (3, report(2, leader=2, commit_index=6, commit_term=2, voted_for=2)),
    )
    seen.see(1, 2, report(1, voted_for=1), AT)
    seen.see(1, 2, report(2, leader=2), AT)

    assert seen.violations == []


def test_a_term_and_a_vote_that_were_not_durable_may_be_forgotten_by_a_crash() -> None:
    seen = compared((1, report(5, role="candidate", voted_for=1, kept_term=4, kept_vote=2)))

    seen.see(1, 2, report(4, voted_for=2), AT)

    assert seen.violations == []


def test_the_commit_index_of_another_life_begins_anew() -> None:
    seen = compared((1, report(1, commit_index=9, commit_term=1)))

    seen.see(1, 2, report(1), AT)

    assert seen.violations == []


# -- Election Safety -------------------------------------------------------------------------------


def test_two_leaders_of_one_term_are_found_however_far_apart_they_are_reported() -> None:
    """§5.2: at most one leader is elected in a term."""
    later = [(2, leads(2, term, term)) for term in range(6, 106)]
    seen = compared((1, leads(1, 5)), *later, (3, report(5, role="follower", leader=3)))

    assert found(seen) == [("election safety", "n1, n3 have both led term 5")]
    assert seen.violations[0].reports == [
        Report(1, 1, AT, "n1 leads term 5"),
        Report(3, 1, AT, "n3 leads term 5"),
    ]


def test_a_follower_tells_of_a_leader_too() -> None:
    seen = compared((2, report(5, leader=1)), (3, report(5, leader=4)))

    assert found(seen) == [("election safety", "n1, n4 have both led term 5")]


def test_whom_a_candidate_once_followed_is_not_taken_for_a_leader_of_its_term() -> None:
    seen = compared((1, leads(1, 5)), (2, report(5, role="candidate", leader=3)))

    assert seen.violations == []


# -- Leader Completeness ---------------------------------------------------------------------------


@pytest.mark.parametrize("leader_first", [True, False])
def test_a_leader_without_what_was_committed_before_is_found(leader_first: bool) -> None:
    """§5.4: what is committed is in the logs of all leaders of later terms."""
    commit = (1, report(4, leader=1, commit_index=120, commit_term=4))
    leader = (3, leads(3, 6, 117))

    seen = compared(*((leader, commit) if leader_first else (commit, leader)))

    assert found(seen) == [
        (
            "leader completeness",
            "n3 leads term 6 with a log that ends at 117, and 120 was committed in an earlier term",
        )
    ]
    assert sorted(seen.violations[0].nodes) == [1, 3]


def test_what_a_leader_appends_later_does_not_hide_what_it_lacked() -> None:
    seen = compared((3, leads(3, 6, 117)), (3, leads(3, 6, 500)))

    seen.see(1, 1, report(4, commit_index=120, commit_term=4), AT)

    assert [one.promise for one in seen.violations] == ["leader completeness"]


# -- State Machine Safety --------------------------------------------------------------------------


def test_equal_indexes_with_different_digests_are_found() -> None:
    """§5.4.3, though neither node is at that index any more."""
    seen = compared(
        (1, report(applied_index=1700, digest="ff", digests=[(1000, 0, "aa")])),
        (2, report(applied_index=1900, digest="ee", digests=[(1000, 0, "bb")])),
    )

    assert found(seen) == [
        ("state machine safety", "n1, n2 have applied different entries up to 1000")
    ]


def test_digests_at_the_applied_index_are_compared_where_none_is_logged() -> None:
    seen = compared(
        (1, report(applied_index=7, digest="aa")), (2, report(applied_index=7, digest="bb"))
    )

    assert [one.promise for one in seen.violations] == ["state machine safety"]


def test_two_nodes_that_differ_are_told_once() -> None:
    """The hash is cumulative: it differs at each later index too."""
    seen = compared(
        (1, report(applied_index=7, digest="aa")),
        (2, report(applied_index=7, digest="bb")),
        (1, report(applied_index=8, digest="cc")),
        (2, report(applied_index=8, digest="dd")),
    )

    assert len(seen.violations) == 1


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ((9, 3), (9, 4), "n1, n2 have committed entry 9 with the terms 3 and 4"),
        ((9, 4), (12, 3), "entry 9 is committed with term 4, and entry 12 with term 3"),
        ((12, 3), (9, 4), "entry 12 is committed with term 3, and entry 9 with term 4"),
    ],
)
def test_committed_entries_of_which_no_log_holds_both_are_found(
    first: tuple[int, int], second: tuple[int, int], said: str
) -> None:
    """Terms rise with the indexes of a log (§5.3), so this holds at different indexes too."""
    seen = compared(
        (1, report(9, commit_index=first[0], commit_term=first[1])),
        (2, report(9, commit_index=second[0], commit_term=second[1])),
    )

    assert [one.promise for one in seen.violations] == ["state machine safety"]
    assert seen.violations[0].found.startswith(said)


def test_all_that_is_known_of_a_term_counts_not_only_the_last() -> None:
    seen = compared(
        (1, report(9, commit_index=5, commit_term=3)),
        (1, report(9, commit_index=20, commit_term=3)),
        (2, report(9, commit_index=10, commit_term=4)),
    )

    assert [one.promise for one in seen.violations] == ["state machine safety"]


def test_a_leader_that_counts_replicas_of_an_earlier_term_is_found() -> None:
    """§5.4.2, Figure 8: only an entry of its own term commits what lies before it."""
    seen = compared(
        (1, leads(1, 4, 20, commit_index=8, commit_term=2)),
        (1, leads(1, 4, 20, commit_index=12, commit_term=3)),
    )

    assert [one.promise for one in seen.violations] == [
        "a leader counts replicas of its own term only"
    ]
    assert "n1, which leads term 4, has committed entry 12 of term 3" in seen.violations[0].found


def test_a_new_leader_may_know_entries_of_earlier_terms_to_be_committed() -> None:
    seen = compared(
        (1, leads(1, 4, 20, commit_index=8, commit_term=2)),
        (1, leads(1, 4, 20, commit_index=8, commit_term=2)),
        (1, leads(1, 4, 20, commit_index=20, commit_term=4)),
    )

    assert seen.violations == []


def test_a_leader_that_commits_without_a_majority_is_found() -> None:
    """Five voters; two of them, and the leader, are a majority, and one of them is not."""
    five = {"membership": stable((1, 2, 3, 4, 5)), "commit_index": 8, "commit_term": 4}

    enough = compared((1, leads(1, 4, 9, peers=peers(n2=8, n3=9, n4=7, n5=0), **five)))
    too_few = compared((1, leads(1, 4, 9, peers=peers(n2=8, n3=7, n4=7, n5=0), **five)))

    assert enough.violations == []
    ((promise, said),) = found(too_few)
    assert promise == "what is committed is on a majority of disks"
    assert said.startswith("n1 has committed entry 8 with n1, n2 alone, which is no majority of")


def test_what_the_leader_has_forgotten_of_a_peer_that_was_restarted_counts_as_acknowledged() -> (
    None
):
    there = [wire.Peer(2, 9, 0, "probe", 1, 0, None), wire.Peer(3, 9, 0, "snapshot", 1, 0, None)]

    seen = compared((1, leads(1, 4, 9, peers=there, commit_index=8, commit_term=4)))

    assert seen.violations == []


def test_what_a_leader_of_an_earlier_term_has_committed_need_not_be_acknowledged_again() -> None:
    seen = compared((1, leads(1, 4, 9, peers=peers(n2=0, n3=0), commit_index=8, commit_term=3)))

    assert seen.violations == []


@pytest.mark.parametrize(("old_voter", "count"), [(8, 0), (7, 1)])
def test_a_joint_configuration_that_is_committed_without_its_old_half_is_found(
    old_voter: int, count: int
) -> None:
    """§6: n4 leaves; n1 and n2 are a majority of the new voters, and not of the old ones. The
    leader has just committed the joint configuration and proposed the one after it."""
    joint = Membership((1, 2, 3), (1, 2, 3), (1, 2, 3, 4))
    status = leads(
        1,
        4,
        9,
        peers=peers(n2=8, n3=7, n4=old_voter),
        commit_index=8,
        commit_term=4,
        membership=stable((1, 2, 3)),
        membership_committed=False,
        committed_membership=(8, joint),
    )

    seen = compared((1, status))

    assert len(seen.violations) == count
    if count:
        assert seen.violations[0].found == (
            "n1 has committed entry 8 with n1, n2 alone, which is no majority of the old voters "
            "n1, n2, n3, n4 and of the new voters n1, n2, n3"
        )


# -- what was acknowledged -------------------------------------------------------------------------


def test_a_log_that_has_lost_what_it_acknowledged_in_this_term_is_found() -> None:
    """§5.3: nothing is truncated that the leader of the term has had acknowledged."""
    seen = Safety()
    seen.see(1, 1, leads(1, 4, 9, peers=peers(n2=8, n3=9)), AT, asked=6)

    seen.see(2, 1, report(4, leader=1, last_index=7, request=6), AT, asked=7)
    assert seen.violations == [], "this may have been said before"
    seen.see(2, 1, report(4, leader=1, last_index=7, request=7), AT, asked=7)

    assert found(seen) == [
        (
            "what was acknowledged is kept",
            "n2 has acknowledged 8 entries in term 4, and its log ends at 7",
        )
    ]


def test_in_a_later_term_what_was_acknowledged_may_be_truncated() -> None:
    seen = Safety()
    seen.see(1, 1, leads(1, 4, 9, peers=peers(n2=8, n3=9)), AT, asked=6)

    seen.see(2, 1, report(5, leader=3, last_index=7, request=7), AT, asked=7)

    assert seen.violations == []


def test_what_a_node_acknowledged_before_its_data_was_removed_on_purpose_does_not_count() -> None:
    """Its leader may tell of it for a while."""
    seen = Safety()
    seen.see(1, 1, leads(1, 4, 9, peers=peers(n2=8, n3=9)), AT, asked=6)
    seen.forget(2)
    seen.see(1, 1, leads(1, 4, 9, peers=peers(n2=8, n3=9)), AT, asked=7)
    seen.see(2, 2, report(4, leader=1, last_index=0, request=9), AT, asked=9)
    assert seen.violations == []

    seen.see(1, 1, leads(1, 5, 9, peers=peers(n2=8, n3=9)), AT, asked=10)
    seen.see(2, 2, report(5, leader=1, last_index=0, request=11), AT, asked=11)

    assert [one.promise for one in seen.violations] == ["what was acknowledged is kept"]


# -- what one node has promised --------------------------------------------------------------------


def test_a_vote_that_is_given_twice_is_found() -> None:
    """§5.2: a server votes for at most one candidate in a term."""
    seen = compared((1, report(5, voted_for=2)), (1, report(5, voted_for=3)))

    assert found(seen) == [
        ("one vote in each term", "n1 has voted for n2 in term 5, and now for n3")
    ]


def test_a_vote_that_is_forgotten_by_a_restart_is_found() -> None:
    seen = compared((1, report(5, voted_for=2, kept_term=5, kept_vote=2)))

    seen.see(1, 2, report(5), AT)

    assert found(seen) == [
        ("one vote in each term", "n1 has voted for n2 in term 5, and has forgotten it")
    ]


@pytest.mark.parametrize("life", [1, 2])
def test_a_term_that_goes_back_is_found(life: int) -> None:
    seen = compared((1, report(5, kept_term=5)))

    seen.see(1, life, report(4), AT)

    assert [one.promise for one in seen.violations] == ["terms and commit indexes only rise"]


def test_what_the_records_say_is_remembered_when_the_supervisor_starts_again() -> None:
    seen = Safety({1: (5, 2)})

    seen.see(1, 8, report(5, voted_for=3), AT)

    assert found(seen) == [
        ("one vote in each term", "n1 has voted for n2 in term 5, and now for n3")
    ]


def test_a_commit_index_that_goes_back_in_one_life_is_found() -> None:
    seen = compared(
        (1, report(commit_index=9, commit_term=1)), (1, report(commit_index=8, commit_term=1))
    )

    assert found(seen) == [
        (
            "terms and commit indexes only rise",
            "the commit index of n1 has gone back from 9 to 8",
        )
    ]


def test_a_node_whose_data_was_removed_on_purpose_owes_nothing() -> None:
    seen = Safety({1: (5, 2)})
    seen.see(1, 1, report(5, voted_for=2, commit_index=9, commit_term=5), AT)

    seen.forget(1)
    seen.see(1, 2, report(0), AT)

    assert seen.violations == []


# -- machines --------------------------------------------------------------------------------------


def test_machines_that_differ_are_one_violation() -> None:
    seen, machines = Safety(), Comparison()
    reports = [
        (node, report(applied_index=6, answers=value, digests=[(4, 1, "")]))
        for node, value in ((1, 0xAA), (2, 0xBB), (3, 0xAA))
    ]
    for node, status in reports:
        machines.see(node, status, (1, 2, 3))
        seen.see(node, 7, status, AT, machines=machines)

    (one,) = seen.violations
    assert one.promise == "machines compute the same"
    assert one.found == "the machines of n1, n2 have answered differently by an entry in 5..6"
    assert [str(each) for each in one.reports] == [
        f"n1 (life 7) said {AT}: the hash of its machine's answers up to entry 6 is 000000aa",
        f"n2 (life 7) said {AT}: the hash of its machine's answers up to entry 6 is 000000bb",
    ]


# -- what is kept ----------------------------------------------------------------------------------


def test_what_is_on_record_is_not_found_again() -> None:
    before = compared((1, leads(1, 5)), (2, leads(2, 5))).violations

    seen = Safety(on_record=before)
    for node in (1, 2):
        assert seen.see(node, 9, leads(node, 5), AT) == []

    assert seen.violations == before


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "MOST_TERMS", 10)
    seen = Safety()
    for term in range(1, 100):
        many = [(term * 100 + place, 0, "aa") for place in range(100)]
        status = leads(1, term, term, commit_index=term, commit_term=term, digests=many)
        seen.see(1, 1, status, AT)
    for term in range(1, 100):
        seen.see(2, 1, leads(2, term), AT)

    assert len(seen._digests) == MOST_DIGESTS
    for by_term in (seen._leaders, seen._commits, seen._entries):
        assert by_term.terms == list(range(90, 100))
        assert len(by_term._of) == 10
    leaders = [one for one in seen.violations if one.promise == "election safety"]
    assert len(leaders) == 10, "of the ten newest terms"
    for node in range(1, 100):
        seen.see(node, 1, report(commit_index=9, commit_term=1), AT)
        seen.see(node, 1, report(commit_index=8, commit_term=1), AT)
    assert len(seen.violations) == MOST_VIOLATIONS


def test_a_violation_says_who_said_what_and_when_in_one_line() -> None:
    one = Violation(
        promise="election safety",
        subject="leaders of term 5",
        found="n1, n3 have both led term 5",
        reports=[Report(1, 2, AT, "n1 leads term 5"), Report(3, 0, "before", "it voted")],
    )

    assert str(one) == (
        "SAFETY IS VIOLATED (election safety): n1, n3 have both led term 5 "
        f"[n1 (life 2) said {AT}: n1 leads term 5; n3 said before: it voted]"
    )
