"""The watch over one server: what it finds, and that it finds it when nothing else has changed.

That it is quiet about a product without bugs, and is not about one with bugs, is for the simulated
world to show (`tests/simulation/`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.simulation.stage.cores import Network
from node.raft.invariants import (
    BOUNDS,
    CONSISTENT,
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    MONOTONIC,
    ClusterWatch,
    InvariantBroken,
    ServerWatch,
)
from node.raft.state import RaftState, Role


def a_leader() -> tuple[Network, RaftState, ServerWatch]:
    """One that has been looked at twice, and nothing was new the second time."""
    net = Network(3)
    net.elect(1)
    net.propose(b"abc", count=3)
    net.settle()
    state = net[1].state
    watch = ServerWatch(state)
    assert watch.check(), "of a new server everything is new"
    assert not watch.check()
    return net, state, watch


def commit_less(state: RaftState) -> None:
    state.commit_index -= 3
    state.last_applied -= 3


def apply_less(state: RaftState) -> None:
    state.last_applied -= 3


def go_back_a_term(state: RaftState) -> None:
    state.log.last_term = 0
    state.current_term -= 1


def vote_again(state: RaftState) -> None:
    state.voted_for = 2


def truncate(state: RaftState) -> None:
    state.truncations += 1


def hold_more_than_is_handed_out(state: RaftState) -> None:
    state.persisted_index += 1


def hold_a_term_to_come(state: RaftState) -> None:
    state.log.last_term = state.current_term + 1


def prove_more_than_is_guessed(state: RaftState) -> None:
    state.progress[2].match_index = state.progress[2].next_index


def guess_beyond_the_log(state: RaftState) -> None:
    state.progress[3].next_index = state.log.last_index + 2


def send_without_end(state: RaftState) -> None:
    state.progress[2].inflight.extend([(1, 1)] * (state.limits.inflight_batches + 1))


@pytest.mark.parametrize(
    ("what", "broken"),
    [
        (commit_less, MONOTONIC),
        (apply_less, MONOTONIC),
        (go_back_a_term, MONOTONIC),
        (vote_again, MONOTONIC),
        (truncate, LEADER_APPEND_ONLY),
        (hold_more_than_is_handed_out, CONSISTENT),
        (hold_a_term_to_come, CONSISTENT),
        (prove_more_than_is_guessed, CONSISTENT),
        (guess_beyond_the_log, CONSISTENT),
        (send_without_end, BOUNDS),
    ],
)
def test_a_single_thing_that_goes_wrong_is_found(
    what: Callable[[RaftState], None], broken: str
) -> None:
    """Also where it is all that has changed since the last look."""
    _, state, watch = a_leader()
    what(state)
    with pytest.raises(InvariantBroken) as found:
        watch.check()
    assert found.value.broken == broken


def test_a_leader_that_voted_for_nobody_is_found_at_the_first_look() -> None:
    """Nothing has changed since the watch began, and it has not looked yet either."""
    net = Network(3)
    net.elect(1)
    net[1].state.voted_for = None
    with pytest.raises(InvariantBroken) as found:
        ServerWatch(net[1].state).check()
    assert found.value.broken == ELECTION_SAFETY


def test_what_is_new_is_told() -> None:
    net, state, watch = a_leader()
    net[1].propose(1, b"x", net.now)
    assert watch.check()
    assert not watch.check()
    state.persisted_index = state.handed_index = state.log.last_index
    assert watch.check()


def test_answers_of_peers_alone_are_nothing_new() -> None:
    """Those who look further when anything is new need not look for them."""
    _, state, watch = a_leader()
    state.progress[2].last_contact += 1.0
    state.progress[2].round_acked += 1
    assert not watch.check()


def test_a_leader_of_an_earlier_term_may_lack_what_was_committed_since() -> None:
    """Leader Completeness is about later terms (Figure 3)."""
    net = Network(3)
    net.elect(1)
    net.isolate(1)
    net.time_out(2)
    net.settle(only=(2, 3))
    assert net[1].state.role is net[2].state.role is Role.LEADER
    assert net[2].state.commit_index > net[1].state.log.last_index
    watch = ClusterWatch()
    watch.look(net[2].state)
    watch.look(net[1].state)
    assert watch.leaders == {1: 1, 2: 2}
