"""Reads of every kind in the simulated world, and that the checker sees which are no good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from launcher.checking.history import Kind
from launcher.client.session import Query
from launcher.simulation import clients
from launcher.simulation.clock import SimulatedClock
from launcher.simulation.faults import processes
from launcher.simulation.properties import LINEARIZABILITY
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options, situation
from launcher.simulation.world import World
from node.raft import lease, reads
from node.raft.lease import CLOCK_DRIFT_BOUND
from node.raft.state import RaftState
from node.wire import ClockFault


def first_that_fails(options: Options, seeds: Sequence[int]) -> tuple[int, str] | None:
    for seed in seeds:
        failure = run_seed(options, seed).failure
        if failure is not None:
            return seed, failure.broken
    return None


def lease_seeds(options: Options, last: int) -> list[int]:
    return [seed for seed in range(1, last + 1) if situation(options, seed).lease]


@pytest.fixture
def only_the_checker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the histories tells of a read that was not recent."""
    monkeypatch.setattr(clients.SimulatedClient, "_expect_recent", lambda *_: None)


def test_clients_read_of_leaders_of_followers_and_by_leases(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And all of it is in the histories that are checked."""
    seen: Counter[str] = Counter()

    def count(name: str, happens: bool) -> bool:
        seen[name] += happens
        return happens

    is_held, ask = lease.is_held, reads.ask
    monkeypatch.setattr(lease, "is_held", lambda raft: count("by lease", is_held(raft)))

    def watched(raft: RaftState) -> None:
        before = raft.reads.last_ticket
        ask(raft)
        count("questions", raft.reads.last_ticket != before)

    monkeypatch.setattr(reads, "ask", watched)
    for seed in range(1, 7):
        world = World(situation(Options(time_s=5.0), seed))
        assert world.run().failure is None
        history = [one for client in world._clients for one in client.history]
        seen["reads"] += sum(one.kind is Kind.READ and one.ok for one in history)
    assert seen["reads"] > 250
    assert seen["questions"] > 50
    assert seen["by lease"] > 25


def test_seeds_draw_who_answers_and_leases_of_their_own() -> None:
    drawn = [situation(Options(), seed) for seed in range(1, 101)]
    assert {one.followers for one in drawn} == {0.0, 0.3, 0.7}
    assert 15 < sum(one.lease for one in drawn) < 45
    assert any(one.lease and one.followers for one in drawn)


def test_where_there_are_leases_no_clock_leaves_their_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = Options(time_s=10.0, faults=("clock",))
    world = World(situation(options, lease_seeds(options, 20)[0]))
    rates: set[float] = {1.0}
    move = SimulatedClock.move

    def watched(
        clock: SimulatedClock, fault: ClockFault, now: float, *, wall_by_s: float = 0.0
    ) -> None:
        if now < options.time_s:
            assert fault == ClockFault(rate=fault.rate), "a step breaks any bound"
            rates.add(fault.rate)
        move(clock, fault, now, wall_by_s=wall_by_s)

    monkeypatch.setattr(SimulatedClock, "move", watched)
    assert world.run().failure is None
    assert len(rates) > 2
    assert max(rates) / min(rates) <= CLOCK_DRIFT_BOUND + 1e-9


@pytest.mark.usefixtures("only_the_checker")
def test_stale_reads_are_not_linearizable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that a follower answers from whatever state it has: the checker fails the history."""

    def stale(read_id: int, queries: Sequence[bytes], now: float, *, follower: bool) -> Query:
        return Query(read_id, queries, now, stale=follower)

    monkeypatch.setattr(clients, "Query", stale)
    found = first_that_fails(Options(time_s=5.0), range(1, 11))
    assert found is not None
    assert found[1] == LINEARIZABILITY


@pytest.mark.usefixtures("only_the_checker")
def test_leases_are_not_linearizable_where_clocks_leave_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The assumption is needed: nothing else is changed here but how wrong clocks may be."""
    options = Options(time_s=20.0, faults=("clock", "isolate"))
    seeds = lease_seeds(options, 100)
    monkeypatch.setattr(processes, "CLOCK_DRIFT_BOUND", 64.0)
    found = first_that_fails(options, seeds)
    assert found is not None
    assert found[1] == LINEARIZABILITY
    monkeypatch.setattr(processes, "CLOCK_DRIFT_BOUND", CLOCK_DRIFT_BOUND)
    assert run_seed(options, found[0]).failure is None
