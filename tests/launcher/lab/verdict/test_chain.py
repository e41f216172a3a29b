"""The committed log, put together from what several nodes wrote."""

from __future__ import annotations

from launcher.lab.verdict.chain import Chain, committed_chain
from launcher.lab.verdict.replay import Replay
from launcher.lab.verdict.written import Book
from tests.launcher.lab.verdict.made_up import book, noop, record

ENTRIES = [noop(1, 1), noop(2, 1), noop(3, 2), noop(4, 2)]


def chain(books: list[Book], claims: dict[int, int], *, latest: bool = False) -> Chain:
    replay = Replay(books, {})
    return committed_chain(replay.ends, replay.by_end, claims, latest=latest)


def test_it_is_put_together_from_parts_that_no_node_has_whole() -> None:
    """Node 1 was dropped out after entry 3; node 2 knows of nothing before entry 2."""
    books = [
        book(1, record(2, None, *ENTRIES[:3])),
        book(2, record(2, None, *ENTRIES[2:]), first=2),
    ]

    found = chain(books, {1: 2, 2: 4})

    assert found.batches == ENTRIES
    assert found.is_whole
    assert [found.term_at(index) for index in range(6)] == [0, 1, 1, 2, 2, None]


def test_what_was_replaced_or_is_not_known_to_be_committed_is_not_in_it() -> None:
    books = [book(1, record(1, None, ENTRIES[0], noop(2, 1), noop(3, 1)), record(2, None, *[
        noop(2, 2), noop(3, 2)]))]  # fmt: skip

    assert chain(books, {1: 2}).batches == [ENTRIES[0], noop(2, 2)]
    assert chain(books, {}).batches == []


def test_where_no_copy_goes_back_it_begins_later() -> None:
    found = chain([book(2, record(2, None, *ENTRIES[2:]), first=2)], {2: 4})

    assert found.batches == ENTRIES[2:]
    assert not found.is_whole
    assert (found.first_index, found.last_index, found.batch_at(2)) == (3, 4, None)


def test_where_nodes_disagree_the_latest_term_can_be_asked_for() -> None:
    books = [
        book(1, record(1, None, *[noop(index, 1) for index in (1, 2, 3, 4)])),
        book(2, record(1, None, ENTRIES[0]), record(2, None, noop(2, 2))),
    ]
    claims = {1: 4, 2: 2}

    assert chain(books, claims).last_term == 1
    assert chain(books, claims, latest=True).batches == [ENTRIES[0], noop(2, 2)]
