"""The watch over one server: what it finds, and that it finds it when nothing else has changed.

That it is quiet about a product without bugs, and is not about one with bugs, is for the simulated
world to show (`tests/simulation/`).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from launcher.simulation.stage.cores import Network
from node.raft.invariants import (
    BOUNDS,
    COMMIT_RULE,
    CONSISTENT,
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    MONOTONIC,
    ClusterWatch,
    InvariantBroken,
    ServerWatch,
)
from node.raft.messages import COMMANDS, NOOP, Batch, BatchKind
from node.raft.ready import Ready
from node.raft.settings import Limits
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


def commit_what_is_not_there(state: RaftState) -> None:
    state.commit_index = state.log.last_index + 1


def apply_what_is_not_committed(state: RaftState) -> None:
    state.last_applied = state.commit_index + 1


def forget_what_is_not_applied(state: RaftState) -> None:
    state.log.base_index = state.last_applied + 1


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
        (commit_what_is_not_there, CONSISTENT),
        (apply_what_is_not_committed, CONSISTENT),
        (forget_what_is_not_applied, CONSISTENT),
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


@pytest.mark.parametrize(
    ("what", "belief"),
    [
        (commit_less, "the commit index never goes back"),
        (apply_less, "applied entries stay applied"),
        (commit_what_is_not_there, "what is committed is in the log (5)"),
        (apply_what_is_not_committed, "what is applied is committed"),
        (forget_what_is_not_applied, "applied is above the base"),
        (guess_beyond_the_log, "the guess for 3 is above its proof and within the log: 4 < 6 <= 5"),
        (hold_more_than_is_handed_out, "durable <= handed out <= in the log: 5 <= 4 <= 4"),
    ],
)
def test_the_report_says_what_should_hold_and_what_was_found(
    what: Callable[[RaftState], None], belief: str
) -> None:
    _, state, watch = a_leader()
    assert (state.log.last_index, state.commit_index, state.last_applied) == (4, 4, 4)
    what(state)
    with pytest.raises(InvariantBroken) as found:
        watch.check()
    assert found.value.belief == belief


def test_a_first_vote_and_a_follower_that_truncates_are_no_findings() -> None:
    net = Network(3)
    state = net[2].state
    watch = ServerWatch(state)
    watch.check()
    state.voted_for = 1
    assert watch.check()
    state.truncations += 1
    assert watch.check()


def with_tail(*tail: tuple[int, BatchKind, int]) -> ServerWatch:
    """Of a leader that may have 100 bytes uncommitted, and holds 60 committed bytes of term 1.
    tail: the term, kind and size of each batch behind them; its own term is that of the last"""
    net = Network(3, limits=Limits(max_uncommitted_bytes=100))
    net.elect(1)
    net.propose(b"x" * 60)
    net.settle()
    state = net[1].state
    state.current_term = tail[-1][0]
    for term, kind, size in tail:
        state.log.append(Batch(state.log.last_index + 1, term, kind, 1, b"x" * size))
    return ServerWatch(state)


def test_an_uncommitted_tail_beyond_its_bound_is_found() -> None:
    with pytest.raises(InvariantBroken) as found:
        with_tail((2, COMMANDS, 60), (2, COMMANDS, 41)).check()
    assert (found.value.broken, found.value.belief) == (
        BOUNDS,
        "the uncommitted tail has 101 bytes",
    )


@pytest.mark.parametrize(
    "tail",
    [
        pytest.param([(1, COMMANDS, 60), (1, COMMANDS, 40)], id="at its bound"),
        pytest.param([(1, COMMANDS, 500)], id="a single proposal"),
        pytest.param(
            [(1, COMMANDS, 90), (1, COMMANDS, 90), (2, NOOP, 0)], id="an earlier leader's"
        ),
        pytest.param(
            [(1, COMMANDS, 90), (2, COMMANDS, 50), (2, COMMANDS, 50)],
            id="an earlier leader's, and its own at the bound",
        ),
        pytest.param([(2, NOOP, 90), (2, NOOP, 90)], id="not of a client"),
    ],
)
def test_an_uncommitted_tail_within_its_bound_is_no_finding(
    tail: list[tuple[int, BatchKind, int]],
) -> None:
    with_tail(*tail).check()


def test_a_leader_that_commits_by_counting_an_entry_of_an_earlier_term_is_found() -> None:
    """Figure 8."""
    _, state, watch = a_leader()
    state.log.append(Batch(5, 1, COMMANDS, 1, b""))
    watch.check()
    state.current_term = 2
    state.commit_index = 5
    with pytest.raises(InvariantBroken) as found:
        watch.check()
    assert (found.value.broken, found.value.belief) == (
        COMMIT_RULE,
        "a leader of term 2 commits an entry of term 1",
    )


def a_ready(net: Network) -> Ready:
    """One with three batches to store, and none to apply."""
    for data in (b"a", b"b", b"c"):
        net[1].propose(1, data, net.now)
    ready = net[1].ready()
    assert ready is not None
    assert [batch.first_index for batch in ready.batches] == [5, 6, 7]
    return ready


def test_a_ready_that_skips_an_entry_or_applies_what_is_not_committed_is_found() -> None:
    net, _, watch = a_leader()
    ready = a_ready(net)
    watch.check_ready(ready)
    first, _, third = ready.batches
    for wrong, belief in (
        (
            msgspec.structs.replace(ready, batches=[first, third]),
            "what is stored has no gaps",
        ),
        (
            msgspec.structs.replace(ready, committed=[first]),
            "only what is committed is applied",
        ),
    ):
        with pytest.raises(InvariantBroken) as found:
            watch.check_ready(wrong)
        assert (found.value.broken, found.value.belief) == (CONSISTENT, belief)


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
