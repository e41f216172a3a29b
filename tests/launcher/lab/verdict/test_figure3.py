"""The properties of Figure 3: each is violated once, and seen."""

from __future__ import annotations

from launcher.lab.verdict import figure3
from launcher.lab.verdict.figure3 import Nodes
from launcher.lab.verdict.finding import INVALID, UNKNOWN, VALID, Finding
from launcher.lab.verdict.written import Kept
from launcher.timeline.events import Event, parse_line
from node.raft.messages import Membership
from node.storage.snapshots import Stands
from tests.launcher.lab.verdict.made_up import (
    book,
    commands,
    digest_of,
    elected,
    event,
    nodes,
    noop,
    record,
    request,
)

ONE, TWO = noop(1, 1), commands(2, 1, request(1, "SET a 1"))
THREE = noop(3, 2)


def found(given: Nodes, name: str) -> Finding:
    (one,) = [finding for finding in figure3.check(given) if finding.check == name]
    return one


def _event(line: str) -> Event:
    event = parse_line(line.encode())
    assert event is not None
    return event


def good() -> Nodes:
    """Node 1 leads term 1 and commits two entries; node 2 leads term 2."""
    first = [record(1, 1), record(1, 1, ONE, TWO), record(2, None), record(2, None, THREE)]
    second = [record(1, 1), record(1, 1, ONE, TWO), record(2, 2), record(2, 2, THREE)]
    digest = digest_of([ONE, TWO])
    return nodes(
        [book(1, *first), book(2, *second)],
        [
            elected(1, 1),
            event(1, "applied.digest", 1, 2, index=2, digest=digest, answers="00"),
            event(2, "applied.digest", 1, 2, index=2, digest=digest, answers="00"),
            elected(2, 2, 2),
            event(2, "leader.heard", 2, 3),
        ],
    )


def test_a_run_in_which_all_holds_is_valid() -> None:
    findings = figure3.check(good())

    assert [one.check for one in findings] == list(figure3.PROPERTIES)
    assert {one.outcome for one in findings} == {VALID}


def test_what_nobody_told_is_unknown() -> None:
    findings = figure3.check(nodes([], []))

    assert {one.outcome for one in findings} == {UNKNOWN}


def test_two_leaders_of_one_term_are_seen() -> None:
    one = found(nodes([], [elected(1, 3), elected(2, 3)]), "election-safety")

    assert one.outcome == INVALID
    assert one.reason == "a term has one leader, and term 3 had n1 and n2"


def test_a_second_vote_in_one_term_is_seen_in_the_events() -> None:
    votes = [event(3, "vote.granted", 2, candidate=1), event(3, "vote.granted", 2, candidate=2)]

    one = found(nodes([], [*votes, elected(1, 2)]), "election-safety")

    assert one.outcome == INVALID
    assert "in term 2 it voted for n1 and for n2" in one.reason


def test_a_second_vote_in_one_term_is_seen_in_the_log() -> None:
    given = nodes([book(3, record(2, 1), record(2, 2, life=2))], [elected(1, 2)])

    one = found(given, "election-safety")

    assert one.outcome == INVALID
    assert "in term 2 it voted for n1 and then for n2" in one.reason


def test_a_term_that_goes_back_is_seen() -> None:
    one = found(nodes([book(3, record(4, None), record(3, None))], []), "monotonic")

    assert one.outcome == INVALID


def test_a_leader_that_removes_its_own_entries_is_seen() -> None:
    mine = [record(1, 1), record(1, 1, ONE, TWO), record(1, 1, noop(2, 1))]

    one = found(nodes([book(1, *mine)], [elected(1, 1)]), "leader-append-only")

    assert one.outcome == INVALID
    assert "n1, leader of term 1, removed its entries 2 to 2" in one.reason


def test_a_candidate_that_lost_may_remove_entries() -> None:
    mine = [record(1, None, ONE, TWO), record(2, 1), record(2, 1, noop(2, 2))]

    one = found(nodes([book(1, *mine)], [elected(2, 2)]), "leader-append-only")

    assert one.outcome == VALID


def test_two_entries_of_one_index_and_term_are_seen() -> None:
    other = commands(2, 1, request(1, "SET a 2"))
    given = [book(1, record(1, 1, ONE, TWO)), book(2, record(1, 1, ONE, other))]

    one = found(nodes(given, [elected(1, 1)]), "log-matching")

    assert one.outcome == INVALID
    assert "an entry 2 of term 1" in one.reason


def test_the_same_entry_behind_different_ones_is_seen() -> None:
    given = [
        book(1, record(1, 1, ONE, TWO), record(2, None, THREE)),
        book(2, record(1, 1, ONE), record(2, None, noop(2, 2), THREE)),
    ]

    assert found(nodes(given, [elected(1, 1)]), "log-matching").outcome == INVALID


def test_logs_that_begin_later_match() -> None:
    given = [book(1, record(1, 1, ONE, TWO), record(2, None, THREE)),
             book(2, record(2, None, THREE), first=2)]  # fmt: skip

    assert found(nodes(given, [elected(1, 1)]), "log-matching").outcome == VALID


def test_a_leader_without_a_committed_entry_is_seen() -> None:
    given = [
        book(1, record(1, 1), record(1, 1, ONE, TWO)),
        book(2, record(1, 1, ONE), record(2, 2), record(2, 2, noop(2, 2))),
    ]
    told = [elected(1, 1), event(1, "leader.heard", 1, 2), elected(2, 2, 1)]

    one = found(nodes(given, told), "leader-completeness")

    assert one.outcome == INVALID
    assert "n2, elected in term 2, lacks entry 2 of term 1" in one.reason


def test_a_leader_with_another_entry_there_is_seen() -> None:
    given = [
        book(1, record(1, 1), record(1, 1, ONE, TWO), record(3, None)),
        book(2, record(1, 1, ONE), record(2, 2, noop(2, 2)), record(3, 2)),
    ]
    told = [elected(1, 1), event(1, "leader.heard", 1, 2), elected(2, 3, 1)]

    one = found(nodes(given, told), "leader-completeness")

    assert one.outcome == INVALID
    assert "it has an entry of term 2 there" in one.reason


def test_different_commits_are_seen() -> None:
    given = [
        book(1, record(1, 1), record(1, 1, ONE, TWO)),
        book(2, record(1, 1, ONE), record(2, 2, noop(2, 2), THREE)),
    ]
    told = [event(1, "leader.heard", 1, 2), event(2, "leader.heard", 2, 3)]

    one = found(nodes(given, told), "state-machine-safety")

    assert one.outcome == INVALID
    assert "n1 knows entry 2 of term 1 as committed" in one.reason


def test_different_digests_are_seen_also_of_two_lives_of_one_node() -> None:
    for node, life in ((2, 1), (1, 2)):
        given = good()
        told = event(node, "applied.digest", 1, 2, index=2, digest="beef", answers="00", life=life)
        given.seen.take(_event(told))

        one = found(given, "state-machine-safety")

        assert one.outcome == INVALID
        assert "up to entry 2 they applied different entries" in one.reason


def test_a_snapshot_with_another_digest_is_seen() -> None:
    given = good()
    stands = Stands("c", 2, 1, 0, Membership((1, 2), (1, 2)), bytes.fromhex("beef"))
    given.kept[2] = Kept(2, [], [stands], [])

    assert found(given, "state-machine-safety").outcome == INVALID


def test_applying_what_was_not_committed_is_seen() -> None:
    given = good()
    given.seen.digests.clear()
    for node in (1, 2):
        told = event(node, "applied.digest", 1, 2, index=2, digest="beef", answers="00")
        given.seen.take(_event(told))

    one = found(given, "state-machine-safety")

    assert one.outcome == INVALID
    assert "what is applied is what is committed" in one.reason
