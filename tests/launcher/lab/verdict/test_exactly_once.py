"""Each acknowledged command is in the log once, at the index that was answered."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.lab.history import Done
from launcher.lab.verdict import exactly_once
from launcher.lab.verdict.chain import Chain
from launcher.lab.verdict.finding import INVALID, UNKNOWN, VALID, Finding
from node.raft.messages import Batch
from tests.launcher.lab.verdict.made_up import commands, noop, request, wrote

LOG = [
    noop(1, 1),
    commands(2, 1, request(1, "SET a 1"), request(1, "SET b 1", client=b"d")),
    commands(4, 1, request(2, "SET a 2", "SET a 3")),
]


def check(history: Sequence[Done], log: Sequence[Batch] = LOG, hour: float = 3600) -> Finding:
    chain = Chain(list(log))
    return exactly_once.check(history, chain, exactly_once.apply(chain, hour, 10_000))


def test_commands_at_their_indexes_are_right() -> None:
    done = [wrote(1, "SET a 1", 2), wrote(2, "SET b 1", 3), wrote(3, "SET a 3", 5)]

    assert check(done).outcome == VALID


def test_a_command_without_an_answer_may_be_there_or_not() -> None:
    done = [wrote(1, "SET a 1", 2)]
    unknown = [wrote(2, "SET a 2", None, outcome="info"), wrote(3, "SET z", None, outcome="info")]

    assert check([*done, *unknown]).outcome == VALID


def test_a_lost_command_is_seen_with_its_operation() -> None:
    one = check([wrote(1, "SET a 1", 2), wrote(2, "SET a 9", 6)])

    assert one.outcome == INVALID
    assert "entry 6 is lost: the committed log ends with entry 5" in one.reason
    assert "client 1, operation 2" in one.window[0]


def test_another_command_at_its_index_is_seen() -> None:
    one = check([wrote(1, "SET a 9", 2)])

    assert one.outcome == INVALID
    assert "the committed log has 'SET a 1' there" in one.reason


def test_an_index_of_no_command_is_seen() -> None:
    assert "holds no command" in check([wrote(1, "SET a 1", 1)]).reason


def test_two_answers_with_one_index_are_seen() -> None:
    one = check([wrote(1, "SET a 1", 2), wrote(2, "SET a 1", 2)])

    assert one.outcome == INVALID
    assert len(one.window) == 2


def test_a_retry_counts_where_it_was_first() -> None:
    log = [noop(1, 1), *(commands(index, 1, request(1, "SET a 1")) for index in (2, 3))]

    assert check([wrote(1, "SET a 1", 2)], log).outcome == VALID
    assert "had taken effect before" in check([wrote(1, "SET a 1", 3)], log).reason


def test_a_command_that_took_effect_twice_is_seen_also_without_an_answer() -> None:
    """A client that began a new session for what it had sent before."""
    again = request(1, "SET a 1", client=b"e")
    log = [noop(1, 1), commands(2, 1, request(1, "SET a 1"), again)]
    log.append(commands(4, 1, request(2, "SET b 1")))

    one = check([wrote(1, "SET a 1", None, outcome="info"), wrote(2, "SET b 1", 4)], log)

    assert one.outcome == INVALID
    assert "took effect at the entries 2 and 3" in one.reason


def test_the_same_command_of_two_operations_may_be_there_twice() -> None:
    log = [noop(1, 1), commands(2, 1, request(1, "ADD", "ADD"))]

    assert check([wrote(1, "ADD", 2), wrote(2, "ADD", 3)], log).outcome == VALID


def test_what_a_session_refuses_takes_no_effect() -> None:
    log = [noop(1, 1), commands(2, 1, request(5, "SET a 1"))]

    assert "holds no command that takes effect" in check([wrote(1, "SET a 1", 2)], log).reason


def test_a_log_that_begins_later_leaves_it_unknown() -> None:
    one = check([wrote(1, "SET a 1", 2), wrote(2, "SET a 3", 5)], LOG[2:])

    assert one.outcome == UNKNOWN
    assert "1 of 2 acknowledged commands are before entry 4" in one.reason


def test_without_any_answer_or_log_nothing_is_known() -> None:
    assert check([wrote(1, "SET a 1", None, outcome="info")]).outcome == UNKNOWN
    assert check([wrote(1, "SET a 1", 2)], []).outcome == UNKNOWN


def test_retries_and_sessions_that_end_are_counted() -> None:
    log = [
        commands(1, 1, request(1, "A"), time_us=0),
        commands(2, 1, request(1, "A"), time_us=10),
        commands(3, 1, request(1, "B", client=b"d"), time_us=2_000_000),
    ]

    applied = exactly_once.apply(Chain(log), 1.0, 10_000)

    assert (applied.answered_again, applied.sessions_ended) == (1, 1)


def test_a_session_that_has_to_go_for_another_is_counted() -> None:
    log = [commands(1, 1, request(1, "A"), request(1, "B", client=b"d"))]

    assert exactly_once.apply(Chain(log), 3600.0, 1).sessions_ended == 1
