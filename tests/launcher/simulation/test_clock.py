"""Clocks in the simulated world: they are moved by the same verdicts as real ones."""

from __future__ import annotations

import pytest

from launcher.control.clocks import describe
from launcher.simulation.clock import EPOCH_NS, SimulatedClock
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options, situation
from launcher.simulation.world import World
from node.raft.state import RaftState
from node.wire import ClockFault

SEED = 1


def test_the_wall_clock_runs_as_the_monotonic_one_and_stays_as_wrong_as_it_is() -> None:
    clock = SimulatedClock()
    clock.move(ClockFault(rate=2.0), 10.0, wall_by_s=-3.0)
    assert (clock.read(12.0), clock.wall_ns(12.0)) == (14.0, EPOCH_NS + 11 * 10**9)
    clock.run_true(12.0)
    assert (clock.read(13.0), clock.wall_ns(13.0)) == (15.0, EPOCH_NS + 12 * 10**9)


def times_of_entries(fault: ClockFault) -> list[int]:
    """The cluster times of a leader's log, in a run in which all clocks are moved from the third
    second on, without any other fault. It passes."""
    world = World(situation(Options(time_s=6.0, faults=()), SEED))

    def move() -> None:
        for node in world._nodes.values():
            node.clock.move(fault, world.time.now)
            node.arm_timer()

    world.time.at(3.0, move)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    leader = next(node for node in world._nodes.values() if node.leads)
    assert leader.server is not None
    log = leader.server.state.log
    return [batch.time_us for batch in log.batches_from(log.base_index + 1)]


@pytest.mark.parametrize(
    "fault",
    [
        ClockFault(bump_s=-0.1),
        ClockFault(bump_s=-2.0),
        ClockFault(strobe_s=0.05, period_s=0.01),
        ClockFault(strobe_s=-1.0, period_s=0.7, rate=1.5),
    ],
)
def test_cluster_time_never_goes_back(fault: ClockFault) -> None:
    times = times_of_entries(fault)
    assert len(times) > 10
    assert times == sorted(times)


def test_cluster_time_follows_the_leader_s_rate() -> None:
    true, fast = (times_of_entries(ClockFault(rate=rate))[-1] for rate in (1.0, 1.2))
    assert fast - true > 300_000, "0.2 s for each of the seconds that were left"


def test_a_leader_that_puts_an_earlier_time_into_an_entry_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def as_the_clock_shows(raft: RaftState) -> int:
        return raft.elected_time_us + int((raft.now - raft.elected_at) * 1e6)

    monkeypatch.setattr(RaftState, "cluster_time_us", property(as_the_clock_shows))
    with pytest.raises(AssertionError, match="no correct peer sends"):
        times_of_entries(ClockFault(bump_s=-2.0))


def test_the_fault_clock_runs_steps_and_strobes_as_the_command_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: set[str] = set()
    move = SimulatedClock.move

    def watched(
        clock: SimulatedClock, fault: ClockFault, now: float, *, wall_by_s: float = 0.0
    ) -> None:
        seen.update(describe(fault, ClockFault()).split()[:1])
        move(clock, fault, now, wall_by_s=wall_by_s)

    monkeypatch.setattr(SimulatedClock, "move", watched)
    for seed in range(1, 5):
        outcome = run_seed(Options(time_s=6.0, faults=("clock",)), seed)
        assert outcome.failure is None, outcome.failure
    assert seen == {"rate", "bump", "strobe"}
