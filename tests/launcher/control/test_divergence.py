"""Nodes whose machines answer otherwise than others: which are odd, and from which entry on."""

from __future__ import annotations

from launcher.control.divergence import MOST_INDEXES, Comparison, Divergence
from node import wire
from node.raft.membership import stable

NODES = (1, 2, 3)


def status(
    index: int,
    answers: int,
    *,
    digests: list[tuple[int, int, str]] | None = None,
    state: tuple[int, int] | None = None,
) -> wire.Status:
    return wire.Status(
        role="follower",
        term=1,
        leader=1,
        voter=True,
        membership=stable(NODES),
        membership_committed=True,
        first_index=1,
        last_index=index,
        commit_index=index,
        commit_term=1,
        applied_index=index,
        snapshot_index=0,
        digest="",
        answers=answers,
        digests=digests or [],
        state=state,
    )


def compared(*said: tuple[int, int, int], nodes: tuple[int, ...] = NODES) -> Comparison:
    """Each: a node, an index, and the hash of its answers up to there."""
    comparison = Comparison()
    for node, index, answers in said:
        comparison.see(node, status(index, answers), nodes)
    return comparison


def test_nodes_that_answer_alike_are_not_marked() -> None:
    comparison = compared((1, 10, 5), (2, 10, 5), (3, 10, 5), (1, 12, 6), (3, 12, 6))

    assert comparison.diverged == {}


def test_the_node_that_a_majority_is_against_is_the_odd_one() -> None:
    comparison = compared(
        (1, 10, 5), (2, 10, 5), (3, 10, 5), (1, 20, 6), (2, 20, 6), (3, 20, 7)
    )  # fmt: skip

    assert comparison.diverged == {
        3: Divergence(kind="answers", after=10, up_to=20, others=[1, 2], odd=True)
    }
    said = "diverged: its answers differ from those of n1, n2, by an entry in 11..20"
    assert str(comparison.diverged[3]) == said


def test_without_a_majority_nobody_is_called_odd() -> None:
    comparison = compared((1, 10, 5), (2, 10, 6))

    assert sorted(comparison.diverged) == [1, 2]
    assert not comparison.diverged[1].odd
    assert "nobody can tell who is right" in str(comparison.diverged[1])

    comparison.see(3, status(10, 6), NODES)

    assert sorted(comparison.diverged) == [1], "two of three agree now"
    assert comparison.diverged[1].odd


def test_nodes_that_are_down_count_for_the_majority() -> None:
    """Two of five against one: the two that are down may agree with the one."""
    comparison = compared((1, 10, 5), (2, 10, 5), (3, 10, 6), nodes=(1, 2, 3, 4, 5))

    assert sorted(comparison.diverged) == [1, 2, 3]


def test_indexes_that_were_passed_are_compared_too() -> None:
    """Under load no two nodes say the same applied index; but their last logged ones meet."""
    comparison = Comparison()
    comparison.see(1, status(1234, 9, digests=[(1000, 5, "")]), NODES)
    comparison.see(2, status(1500, 8, digests=[(1000, 5, "")]), NODES)
    assert comparison.changes() == []
    comparison.see(3, status(2100, 7, digests=[(1000, 6, ""), (2000, 7, "")]), NODES)

    assert comparison.diverged[3].up_to == 1000
    assert comparison.changes() == [(3, comparison.diverged[3])]
    assert comparison.changes() == [], "it is told once"


def test_the_first_entry_at_which_it_differed_stays() -> None:
    comparison = compared(
        (1, 10, 5), (2, 10, 5), (3, 10, 9), (1, 20, 6), (2, 20, 6), (3, 20, 7)
    )  # fmt: skip

    assert comparison.diverged[3].up_to == 10


def test_a_node_that_agrees_again_is_not_marked_any_more() -> None:
    """It has got its state from another: by a snapshot, or learnt anew."""
    comparison = compared((1, 10, 5), (2, 10, 5), (3, 10, 9))
    comparison.see(1, status(20, 6), NODES)

    assert [node for node, _ in comparison.changes()] == [3]

    comparison.see(3, status(20, 6), NODES)

    assert comparison.diverged == {}
    assert comparison.changes() == [(3, None)]


def test_a_node_whose_data_is_gone_is_not_marked_any_more() -> None:
    comparison = compared((1, 10, 5), (2, 10, 5), (3, 10, 9))

    comparison.forget(3)
    comparison.see(2, status(10, 5), NODES)

    assert comparison.diverged == {}


def test_states_are_compared_where_snapshots_are_of_the_same_entry() -> None:
    comparison = Comparison()
    for node, checksum in ((1, 77), (2, 78), (3, 77)):
        comparison.see(node, status(10, 5, state=(8, checksum)), NODES)

    assert list(comparison.diverged) == [2]
    assert comparison.diverged[2].kind == "state"
    assert "its state differs from that of n1, n3" in str(comparison.diverged[2])


def test_what_is_kept_is_bounded() -> None:
    comparison = Comparison()
    for index in range(1, 3 * MOST_INDEXES):
        comparison.see(1, status(index, index), NODES)

    assert len(comparison._said["answers"]) <= MOST_INDEXES
