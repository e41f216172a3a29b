"""A client's side of its session: what is sent, what is sent again, and what an answer answers."""

from __future__ import annotations

from itertools import count

import pytest

from launcher.client.session import CHUNK_BYTES, CHUNK_COMMANDS, Query, Session, SessionLost
from node import wire
from node.errors import WireError
from node.machines.sessions import session_id


def new_session() -> Session:
    ids = count(1)
    return Session(lambda: b"client %d" % next(ids))


def decoded(frames: list[bytes]) -> list[wire.Submit]:
    requests = []
    for body in wire.FrameReader().feed(b"".join(frames)):
        request = wire.decode_request(body)
        assert isinstance(request, wire.Submit)
        requests.append(request)
    return requests


def unsent(session: Session, cursor: int = 0) -> list[wire.Submit]:
    return decoded(session.frames(cursor)[1])


def answers(first: int, results: list[bytes], *, index: int = 100, term: int = 3) -> wire.Answers:
    return wire.Answers(first, index, term, results, [])


def test_sequence_numbers_begin_with_1_and_go_on() -> None:
    session = new_session()
    session.add([b"a", b"b"], 0.0)
    session.add([b"c"], 0.0)

    assert unsent(session) == [
        wire.Submit(b"client 1", 1, 1, [b"a", b"b"]),
        wire.Submit(b"client 1", 3, 1, [b"c"]),
    ]
    assert session.unanswered == [b"a", b"b", b"c"]


def test_what_waits_together_is_packed_up_to_the_limits() -> None:
    session = new_session()
    session.add([b"x"] * (CHUNK_COMMANDS + 1), 0.0)
    half = b"y" * (CHUNK_BYTES // 2)
    session.add([half, half, b"z", b"w" * (2 * CHUNK_BYTES), b"v"], 0.0)

    requests = unsent(session)

    assert [len(r.commands) for r in requests] == [CHUNK_COMMANDS, 1, 2, 1, 1, 1]
    assert [c for r in requests for c in r.commands] == session.unanswered
    firsts = [r.first_sequence for r in requests]
    assert firsts == [1, 513, 514, 516, 517, 518]


def test_a_connection_carries_each_chunk_once_and_the_next_one_carries_all_again() -> None:
    session = new_session()
    session.add([b"a"], 0.0)
    cursor, first = session.frames(0)
    session.add([b"b"], 0.0)
    cursor, second = session.frames(cursor)

    assert [r.commands for r in decoded(first + second)] == [[b"a"], [b"b"]]
    assert session.frames(cursor) == (cursor, [])
    assert [r.commands for r in unsent(session)] == [[b"a"], [b"b"]]


def test_a_probe_carries_the_lowest_chunk_alone_and_goes_on_from_there() -> None:
    session = new_session()
    for command in [b"a", b"b", b"c"]:
        session.add([command], 0.0)

    cursor, frames = session.frames(0, limit=1)

    assert [r.commands for r in decoded(frames)] == [[b"a"]]
    assert [r.commands for r in unsent(session, cursor)] == [[b"b"], [b"c"]]


def test_answers_come_in_any_runs_and_carry_index_term_leader_and_latency() -> None:
    session = new_session()
    session.add([b"a", b"b"], 10.0)
    session.add([b"c", b"d"], 11.0)
    session.frames(0)

    one = session.take(answers(1, [b"A", b"B", b"C"], index=7), 4, 11.5)
    two = session.take(wire.Answers(4, 20, 5, [b"D"], [0]), 2, 12.0)

    assert one is not None
    assert two is not None
    assert [(s.entry, s.result, s.index, s.term) for s in one] == [
        (b"a", b"A", 7, 3),
        (b"b", b"B", 8, 3),
        (b"c", b"C", 9, 3),
    ]
    assert [s.latency_ms for s in one] == [1500, 1500, 500]
    assert all(s.ok and s.error is None and s.leader == 4 for s in one)
    (last,) = two
    assert (last.entry, last.ok, last.error, last.raw) == (b"d", False, "D", b"D")
    assert (last.index, last.term, last.leader) == (20, 5, 2)
    assert not session.outstanding


def test_what_was_answered_before_is_not_answered_again() -> None:
    session = new_session()
    session.add([b"a", b"b", b"c"], 0.0)
    session.frames(0)
    session.take(answers(1, [b"A", b"B"]), 1, 0.0)

    assert session.take(answers(1, [b"A", b"B"]), 1, 0.0) == []
    overlapping = session.take(wire.Answers(1, 50, 1, [b"A", b"B", b"C"], [0, 2]), 1, 0.0)

    assert overlapping is not None
    assert [(s.entry, s.index, s.ok) for s in overlapping] == [(b"c", 52, False)]


def test_a_half_answered_chunk_is_sent_again_without_that_half() -> None:
    session = new_session()
    session.add([b"a", b"b", b"c"], 0.0)
    session.frames(0)
    session.take(answers(1, [b"A"]), 1, 0.0)

    assert unsent(session) == [wire.Submit(b"client 1", 2, 2, [b"b", b"c"])]
    (b, _) = session.take(answers(2, [b"B", b"C"]), 1, 0.0) or []
    assert b.attempts == 2


def test_a_cursor_outlives_the_chunks_that_it_has_passed() -> None:
    session = new_session()
    session.add([b"a"], 0.0)
    cursor, _ = session.frames(0)
    session.take(answers(1, [b"A"]), 1, 0.0)
    session.add([b"b"], 0.0)

    cursor, frames = session.frames(cursor)

    assert decoded(frames) == [wire.Submit(b"client 1", 2, 2, [b"b"])]
    assert session.frames(cursor) == (cursor, [])


@pytest.mark.parametrize(
    "reply",
    [
        answers(2, [b"B"]),
        answers(1, [b"A", b"B", b"C", b"D"]),
        wire.Answers(1, 1, 1, [b"A"], [1]),
        wire.Answers(1, 1, 1, [b"A"], [-1]),
        wire.ReadResult(1, 1, 1, [], []),
    ],
    ids=["a gap", "more than was submitted", "error beyond", "error before", "of a read"],
)
def test_a_reply_that_makes_no_sense_changes_nothing(reply: wire.ClientReply) -> None:
    session = new_session()
    session.add([b"a", b"b", b"c"], 0.0)
    session.frames(0)

    with pytest.raises(WireError):
        session.take(reply, 1, 0.0)

    assert session.unanswered == [b"a", b"b", b"c"]


@pytest.mark.parametrize("expected", [0, 1, 2])
def test_out_of_order_sends_everything_again(expected: int) -> None:
    session = new_session()
    session.add([b"a", b"b"], 0.0)
    session.add([b"c"], 0.0)
    session.frames(0)

    assert session.take(wire.OutOfOrder(3, expected), 1, 0.0) is None

    assert [r.first_sequence for r in unsent(session)] == [1, 3]


def forgotten_after_two() -> Session:
    """Two commands answered, two more sent once; the cluster then says that it knows nobody."""
    session = new_session()
    session.add([b"a", b"b"], 0.0)
    cursor, _ = session.frames(0)
    session.take(answers(1, [b"A", b"B"]), 1, 0.0)
    session.add([b"c"], 0.0)
    session.add([b"d"], 0.0)
    session.frames(cursor)
    return session


def test_a_forgotten_session_begins_anew_when_nothing_can_have_been_applied() -> None:
    session = forgotten_after_two()

    assert session.take(wire.OutOfOrder(3, 0), 1, 0.0) is None

    assert unsent(session) == [
        wire.Submit(b"client 2", 1, 1, [b"c"]),
        wire.Submit(b"client 2", 2, 1, [b"d"]),
    ]


def test_a_forgotten_session_is_lost_when_a_retry_might_apply_twice() -> None:
    session = forgotten_after_two()
    session.frames(0)

    with pytest.raises(
        SessionLost, match="whether 2 unanswered entries took effect is not known"
    ) as lost:
        session.take(wire.OutOfOrder(3, 0), 1, 0.0)

    assert lost.value.unanswered == [b"c", b"d"]


def test_a_refusal_of_later_entries_says_nothing_of_the_lowest() -> None:
    session = forgotten_after_two()

    with pytest.raises(SessionLost):
        session.take(wire.OutOfOrder(4, 0), 1, 0.0)


def asking_session() -> Session:
    ids = count(1)
    return Session(lambda: b"client %d" % next(ids), asks=True)


def told(index: int) -> wire.ReadResult:
    """The leader has applied so much."""
    return wire.ReadResult(0, index, 1, [], [])


QUESTION = [wire.frame(wire.encode_client(wire.Read(0, [])))]


def test_a_session_that_asks_begins_where_the_leader_says() -> None:
    session = asking_session()
    session.add([b"a"], 0.0)
    session.add([b"b"], 0.0)
    cursor, frames = session.frames(0, 1)
    assert frames == QUESTION
    assert session.frames(cursor) == (cursor, [])

    assert session.take(told(41), 1, 0.0) == []

    _, frames = session.frames(cursor)
    begun = session_id(41, b"client 2")
    assert decoded(frames) == [wire.Submit(begun, 1, 1, [b"a"]), wire.Submit(begun, 2, 1, [b"b"])]
    assert session.take(told(50), 1, 0.0) == [], "asked of two nodes, answered by two"
    assert {one.client_id for one in unsent(session)} == {begun}


def test_a_session_that_is_refused_at_its_beginning_asks_again_and_begins_anew() -> None:
    """So many others have come meanwhile that it may be one of those that have ended."""
    session = asking_session()
    session.add([b"a"], 0.0)
    cursor, _ = session.frames(0)
    for attempt, index in ((2, 41), (4, 50), (6, 60)):
        session.take(told(index), 1, 0.0)
        _, frames = session.frames(cursor)
        assert decoded(frames) == [
            wire.Submit(session_id(index, b"client %d" % attempt), 1, 1, [b"a"])
        ]
        assert session.take(wire.OutOfOrder(1, 0), 1, 0.0) is None
        cursor, frames = session.frames(0)
        assert frames == QUESTION


def test_the_retry_of_a_first_command_that_is_refused_may_have_been_applied() -> None:
    session = asking_session()
    session.add([b"a"], 0.0)
    cursor, _ = session.frames(0)
    session.take(told(41), 1, 0.0)
    session.frames(cursor)
    session.frames(0)

    with pytest.raises(SessionLost, match="whether an unanswered entry took effect is not known"):
        session.take(wire.OutOfOrder(1, 0), 1, 0.0)


def test_after_a_while_it_asks_for_the_leader_and_goes_on() -> None:
    session = asking_session()
    session.add([b"a"], 0.0)
    cursor, _ = session.frames(0)
    session.take(told(41), 1, 0.0)
    cursor, _ = session.frames(cursor)
    session.take(answers(1, [b"A"]), 1, 0.0)
    session.ask_again()
    session.add([b"b"], 0.0)

    cursor, frames = session.frames(cursor)
    assert frames == QUESTION
    session.take(told(99), 1, 0.0)

    _, frames = session.frames(cursor)
    assert decoded(frames) == [wire.Submit(session_id(41, b"client 2"), 2, 2, [b"b"])]


def test_a_query_is_sent_once_over_each_connection_and_answered_once() -> None:
    query = Query(7, [b"x", b"y"], 1.0)
    cursor, frames = query.frames(0)

    (body,) = wire.FrameReader().feed(b"".join(frames))
    assert wire.decode_request(body) == wire.Read(7, [b"x", b"y"], False)
    assert query.frames(cursor) == (cursor, [])
    assert query.take(wire.ReadResult(6, 1, 1, [b"X", b"Y"], []), 1, 1.0) == []

    x, y = query.take(wire.ReadResult(7, 9, 2, [b"X", b"Y"], [1]), 3, 1.25) or []

    assert (x.query, x.ok, x.result, x.error, x.index, x.term) == (b"x", True, b"X", None, 9, 2)
    assert (y.query, y.ok, y.error, y.leader, y.latency_ms) == (b"y", False, "Y", 3, 250)
    assert not query.outstanding
    assert query.frames(0) == (0, [])


@pytest.mark.parametrize("reply", [wire.ReadResult(7, 1, 1, [b"X"], []), answers(1, [b"A"])])
def test_a_senseless_answer_to_a_query_is_an_error(reply: wire.ClientReply) -> None:
    query = Query(7, [b"x", b"y"], 0.0)
    with pytest.raises(WireError):
        query.take(reply, 1, 0.0)
    assert query.outstanding
