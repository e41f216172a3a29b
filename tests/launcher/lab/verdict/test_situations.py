"""Each of the twelve situations is counted when it happened, and not otherwise."""

from __future__ import annotations

import pytest

from launcher.errors import UsageError
from launcher.lab.verdict import exactly_once, situations
from launcher.lab.verdict.situations import SITUATIONS, Facts
from launcher.lab.verdict.written import Book
from node.raft.messages import Batch, Membership
from tests.launcher.lab.verdict.made_up import (
    book,
    commands,
    configuration,
    elected,
    event,
    nodes,
    noop,
    record,
    request,
)

THREE = Membership((1, 2, 3), (1, 2, 3))
FOUR = Membership((1, 2, 3, 4), (1, 2, 3, 4))
JOINT = Membership((1, 2, 3, 4), (1, 2, 3, 4), (1, 2, 3))


def counted(books: list[Book], lines: list[str]) -> dict[str, int]:
    """Those that were reached."""
    found = nodes(books, lines)
    applied = exactly_once.apply(found.chain, 1.0, 10_000)
    count = situations.count(Facts(found, applied))
    assert list(count) == list(SITUATIONS)
    return {name: times for name, times in count.items() if times}


def committed(*batches: Batch) -> tuple[list[Book], list[str]]:
    """A log that one node holds, all of it committed."""
    term = batches[-1].term
    return [book(1, record(term, None, *batches))], [
        event(1, "leader.heard", term, batches[-1].last_index)
    ]


def test_there_are_twelve() -> None:
    assert len(SITUATIONS) == 12


def test_a_quiet_run_has_none() -> None:
    assert counted(*committed(noop(1, 1), commands(2, 1, request(1, "SET a 1")))) == {}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("snapshot-sent", event(1, "snapshot.sent", peer=2, index=5)),
        ("snapshot-resumed", event(1, "snapshot.resumed", peer=2, index=5, offset=9)),
        ("handover-failed", event(1, "transfer.aborted", target=2, reason="late")),
        ("torn-tail", event(1, "log.torn_tail_dropped", file="x", offset=1, reason="y")),
        ("log-truncated", event(1, "log.truncated", first_index=2, last_index=3)),
        ("leader-without-quorum", event(1, "leader.stepped_down", reason="x", heard=[], in_s=1)),
        ("vote-refused-shorter-log", event(1, "vote.denied", candidate=2, candidate_index=1)),
        ("vote-refused-shorter-log", event(1, "prevote.denied", candidate=2, candidate_index=1)),
    ],
)
def test_what_an_event_tells_is_counted(name: str, line: str) -> None:
    assert counted([], [line, line]) == {name: 2}


@pytest.mark.parametrize(
    "line",
    [
        event(1, "leader.stepped_down", reason="term 2 has begun", by=2),
        event(1, "vote.denied", candidate=2, reason="it has voted already", voted_for=3),
    ],
)
def test_other_reasons_do_not_count(line: str) -> None:
    assert counted([], [line]) == {}


def test_entries_that_were_replaced_count_also_without_an_event() -> None:
    given = [book(1, record(1, None, noop(1, 1), noop(2, 1)), record(2, None, noop(2, 2)))]

    assert counted(given, []) == {"log-truncated": 1}


def test_a_retry_and_a_session_that_expires_are_counted_in_the_log() -> None:
    log = [
        commands(1, 1, request(1, "A")),
        commands(2, 1, request(1, "A")),
        commands(3, 1, request(1, "B", client=b"d"), time_us=3_000_000),
    ]

    assert counted(*committed(*log)) == {"retry-answered": 1, "session-expired": 1}


def test_a_joint_configuration_counts_by_who_led_through_it() -> None:
    first = [noop(1, 1), configuration(2, 1, THREE), configuration(3, 1, JOINT)]

    assert counted(*committed(*first)) == {}, "it is not left yet"
    one = [*first, configuration(4, 1, FOUR)]
    assert counted(*committed(*one)) == {"joint-led-through": 1}
    two = [*first, noop(4, 2), configuration(5, 2, FOUR)]
    assert counted(*committed(*two)) == {"joint-two-leaders": 1}


class TestLeaderDiedBeforeCommit:
    """Node 1 leads term 1, writes entry 3, and dies; node 2 leads on from entry 2."""

    LOG = (noop(1, 1), configuration(2, 1, THREE))
    LAST = commands(3, 1, request(1, "SET a 1"))
    TOLD = (
        elected(1, 1),
        event(0, "node.exited", 1, target=1, target_life=1, reason="killed with SIGKILL"),
        elected(2, 2, 2),
        event(2, "leader.heard", 2, 3),
    )

    def books(self, *others: Batch) -> list[Book]:
        """others: what node 2 has behind entry 2"""
        leader = [record(1, 1), record(1, 1, *self.LOG, self.LAST), record(1, 1, life=2)]
        return [
            book(1, *leader),
            book(2, record(1, 1, *self.LOG), record(2, 2), record(2, 2, *others)),
            book(3, record(1, 1, *self.LOG)),
        ]

    def test_it_is_counted(self) -> None:
        assert counted(self.books(noop(3, 2)), list(self.TOLD)) == {"leader-died-before-commit": 1}

    def test_also_when_a_later_leader_commits_the_entry(self) -> None:
        found = counted(self.books(self.LAST, noop(4, 2)), list(self.TOLD))

        assert found == {"leader-died-before-commit": 1}

    def test_not_when_a_majority_had_written_the_entry_in_its_term(self) -> None:
        given = self.books(noop(4, 2))
        given[1] = book(
            2, record(1, 1, *self.LOG, self.LAST), record(2, 2), record(2, 2, noop(4, 2))
        )

        assert counted(given, list(self.TOLD)) == {}

    def test_not_when_it_had_stepped_down_or_was_stopped(self) -> None:
        for more in (
            event(1, "leader.stepped_down", 1, 2, reason="term 2 has begun", by=2),
            event(1, "node.stopped", 1, 2, reason="asked to"),
        ):
            assert counted(self.books(noop(3, 2)), [*self.TOLD, more]) == {}

    def test_not_when_it_has_not_died(self) -> None:
        told = [line for line in self.TOLD if "node.exited" not in line]

        assert counted(self.books(noop(3, 2)), told) == {}


def test_a_situation_with_no_such_name_is_refused_with_those_that_there_are() -> None:
    situations.check_names(("torn-tail",))
    with pytest.raises(UsageError, match=r"nonsense: there is no such situation.*torn-tail"):
        situations.check_names(("torn-tail", "nonsense"))
