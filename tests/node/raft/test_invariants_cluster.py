"""The watch over a cluster: each property of Figure 3 is broken once, and the watch says which.

The servers here are states without a core: each test says what they hold.
"""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from launcher.simulation.stage.cores import batches
from node.raft.invariants import (
    ELECTION_SAFETY,
    LEADER_COMPLETENESS,
    LOG_MATCHING,
    STATE_MACHINE_SAFETY,
    ClusterWatch,
    InvariantBroken,
)
from node.raft.log import Log
from node.raft.membership import stable
from node.raft.messages import Batch, HardState, NodeId, Snapshot
from node.raft.settings import Limits, Timing
from node.raft.state import LEADER, RaftState

ALL = stable((1, 2, 3))


def server(
    node_id: NodeId,
    terms: list[int],
    *,
    commit: int = 0,
    term: int | None = None,
    leads: bool = False,
    base: tuple[int, int] | None = None,
) -> RaftState:
    """terms: of its entries, one number for each; term: its own, by default that of the last entry
    base: index and term of the last entry that a snapshot covers; its log goes on behind that"""
    held = batches(terms)
    snapshot = None
    if base is not None:
        snapshot = Snapshot(base[0], base[1], 0, ALL, 100, 1)
        held = [batch for batch in held if batch.first_index > base[0]]
    own = term if term is not None else terms[-1]
    log = Log(held, snapshot)
    state = RaftState(
        node_id, ALL, HardState(own), log, Timing(), Limits(), Random(1), 0.0, snapshot
    )
    state.commit_index = max(commit, state.commit_index)
    if leads:
        state.role = LEADER
    return state


def broken(watch: ClusterWatch, *states: RaftState) -> tuple[str, str]:
    """The property that does not hold any more at the last of these, and what is said of it."""
    watch.check(states[:-1])
    with pytest.raises(InvariantBroken) as found:
        watch.look(states[-1])
    return found.value.broken, found.value.belief


def other_data(state: RaftState, index: int) -> None:
    """Its entry at `index` is another one, of the same term."""
    position = index - state.log.first_index
    entry = state.log._batches[position]
    state.log._batches[position] = msgspec.structs.replace(entry, data=b"another")


# -- Election Safety -----------------------------------------------------------------------------


def test_two_leaders_in_a_term_are_found() -> None:
    one, other = server(1, [1], term=2, leads=True), server(2, [1], term=2, leads=True)
    assert broken(ClusterWatch(), one, other) == (
        ELECTION_SAFETY,
        "term 2 has one leader: 1, and not 2 too",
    )


def test_a_server_may_lead_again_in_a_later_term() -> None:
    watch, state = ClusterWatch(), server(1, [1], leads=True)
    watch.look(state)
    state.current_term = 3
    watch.look(state)
    assert watch.leaders == {1: 1, 3: 1}


# -- Log Matching --------------------------------------------------------------------------------


def test_logs_with_another_entry_of_the_same_index_and_term_are_found() -> None:
    other = server(2, [1, 1, 2])
    other_data(other, 3)
    assert broken(ClusterWatch(), server(1, [1, 1, 2]), other) == (
        LOG_MATCHING,
        "logs that hold an entry 3 of term 2 are the same up to there; that of node 2 is another",
    )


@pytest.mark.parametrize("others", [[1, 2, 3], [2, 2, 3]])
def test_logs_that_share_an_entry_and_differ_in_front_of_it_are_found(others: list[int]) -> None:
    assert broken(ClusterWatch(), server(1, [1, 1, 3]), server(2, others))[0] == LOG_MATCHING


def test_logs_that_differ_behind_what_they_share_are_no_finding() -> None:
    watch = ClusterWatch()
    watch.check([server(1, [1, 1, 2, 2]), server(2, [1, 1, 3]), server(3, [1, 1, 2])])


def test_a_server_that_comes_back_with_another_log_is_checked_from_its_beginning() -> None:
    """It may have lost what was not synced, and got something else since."""
    again = server(2, [1, 1, 3])
    other_data(again, 3)
    states = server(1, [1, 1, 3]), server(2, [1, 1, 2]), again
    assert broken(ClusterWatch(), *states)[0] == LOG_MATCHING


def test_what_takes_the_place_of_truncated_entries_is_checked_too() -> None:
    watch, state = ClusterWatch(), server(2, [1, 1, 2, 2])
    watch.check([server(1, [1, 1, 3, 3]), state])
    state.truncations += 1
    state.log.splice(batches([1, 1, 3, 3])[2:3])
    watch.look(state)
    state.log.splice([Batch(4, 3, state.log._batches[0].kind, 1, b"another")])
    with pytest.raises(InvariantBroken) as found:
        watch.look(state)
    assert found.value.broken == LOG_MATCHING


# -- Leader Completeness -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "has"),
    [([1], "nothing at 2 instead of term 1"), ([1, 2], "an entry of term 2 at 2 instead of term")],
)
def test_a_later_leader_that_lacks_what_is_committed_is_found(held: list[int], has: str) -> None:
    """Whether it is elected after that was committed, or was elected before anybody saw it."""
    committed = server(1, [1, 1], commit=2)
    leader = server(2, held, term=3, leads=True)
    for states in ((committed, leader), (leader, committed)):
        name, belief = broken(ClusterWatch(), *states)
        assert name == LEADER_COMPLETENESS
        assert "n2, leader of term 3, has " + has in belief


def test_a_leader_that_holds_all_that_is_committed_is_no_finding() -> None:
    """In its log, or covered by a snapshot up to a committed entry."""
    watch = ClusterWatch()
    watch.look(server(1, [1, 1, 2], commit=3))
    watch.look(server(2, [1, 1, 2], term=3, leads=True))
    watch.look(server(3, [1, 1, 2, 2], term=4, leads=True, base=(2, 1)))


def test_a_dead_leader_is_not_asked_for_what_is_committed_after_it() -> None:
    watch = ClusterWatch()
    watch.look(server(2, [1], term=3, leads=True))
    watch.forget(2)
    watch.look(server(1, [1, 1], commit=2))


# -- State Machine Safety ------------------------------------------------------------------------


def test_two_servers_that_commit_different_entries_at_an_index_are_found() -> None:
    assert broken(ClusterWatch(), server(1, [1, 1], commit=2), server(2, [1, 2, 2], commit=3)) == (
        STATE_MACHINE_SAFETY,
        "committed is for ever: at 2 it was that of term 1, and node 2 commits that of term 2",
    )


def test_a_server_may_commit_less_than_another_or_more() -> None:
    watch = ClusterWatch()
    states = [server(n, [1, 1, 2], commit=commit) for n, commit in ((1, 2), (2, 1), (3, 3))]
    watch.check(states[:2])
    assert watch.committed_end == 2
    watch.look(states[2])
    assert watch.committed_end == 3
    states[1].commit_index = 3
    watch.look(states[1])


@pytest.mark.parametrize(("base", "there"), [((3, 2), "None"), ((2, 2), "1")])
def test_a_snapshot_that_ends_where_nothing_was_committed_is_found(
    base: tuple[int, int], there: str
) -> None:
    index, term = base
    belief = (
        f"the log of node 2 begins behind entry {index} of term {term}; "
        f"committed there is one of term {there}"
    )
    states = server(1, [1, 1], commit=2), server(2, [], term=2, base=base)
    assert broken(ClusterWatch(), *states) == (STATE_MACHINE_SAFETY, belief)


def test_a_server_behind_a_snapshot_goes_on_from_its_end() -> None:
    watch = ClusterWatch()
    watch.look(server(1, [1, 1, 2, 2], commit=3))
    late = server(2, [1], commit=1)
    watch.look(late)
    late.log.restart(Snapshot(3, 2, 0, ALL, 100, 1))
    late.truncations += 1
    late.commit_index = 3
    watch.look(late)
    late.log.append(batches([1, 1, 2, 2])[3])
    late.commit_index = 4
    watch.look(late)
    assert watch.committed_end == 4


def test_two_servers_that_apply_different_entries_at_an_index_are_found() -> None:
    watch = ClusterWatch()
    one, two = batches([1, 1])
    watch.applied(1, one)
    watch.applied(2, one)
    watch.applied(1, two)
    with pytest.raises(InvariantBroken) as found:
        watch.applied(2, msgspec.structs.replace(two, data=b"another"))
    assert (found.value.broken, found.value.belief) == (
        STATE_MACHINE_SAFETY,
        "all apply the same at 2 (node 2)",
    )
