"""Simulated elections after a crash: what the paper says of them (§9.3), and what must hold."""

from __future__ import annotations

import statistics
from random import Random

import pytest

from launcher.benchmark.elections import GIVE_UP_S, Delays, Timeouts, Trial

PROMPT = Delays(1e-6, 1e-6)


def downtimes_ms(
    timeouts: Timeouts, delays: Delays, count: int = 200, *, seed: int = 1, pre_vote: bool = False
) -> list[float]:
    random = Random(seed)
    trials = (Trial(timeouts, delays, random, pre_vote=pre_vote) for _ in range(count))
    return sorted(1000 * trial.downtime_s() for trial in trials)


def test_the_same_seed_gives_the_same_downtimes() -> None:
    timeouts = Timeouts(150, 155)
    first, again, other = (downtimes_ms(timeouts, Delays(), 20, seed=seed) for seed in (7, 7, 8))
    assert first == again != other


def test_the_smallest_downtime_is_half_of_the_shortest_timeout() -> None:
    """The paper: "about half", for the crash is at most a heartbeat interval after the last one."""
    for timeouts in (Timeouts(150, 300), Timeouts(50, 100)):
        found = downtimes_ms(timeouts, PROMPT)
        assert timeouts.min_ms / 2 <= found[0] < timeouts.min_ms
        assert found[-1] > timeouts.min_ms / 2 + 10


def test_without_randomness_votes_split_without_end() -> None:
    assert downtimes_ms(Timeouts(150, 150), Delays(), 3) == [1000 * GIVE_UP_S] * 3


def test_a_little_randomness_is_enough() -> None:
    """The paper's 287 ms, where a question takes 2.5 of the 15 ms: a loose bound about it."""
    assert (
        287 * 0.8 < statistics.median(downtimes_ms(Timeouts(150, 155), Delays(), 1000)) < 287 * 1.2
    )


def test_more_randomness_makes_the_worst_milder() -> None:
    worst = [downtimes_ms(Timeouts(150, longest), Delays(), 300)[-1] for longest in (155, 200)]
    assert worst[0] > 2 * worst[1]


def test_a_question_that_takes_longer_than_the_randomness_splits_the_first_vote() -> None:
    """All four have voted for themselves before they hear of anyone else: nobody wins that term."""
    found = downtimes_ms(Timeouts(150, 155), Delays(0.0075, 0.0075))
    assert found[0] >= 150 + 75


def test_a_vote_that_is_won_takes_one_broadcast() -> None:
    """With plenty of randomness the first to stand mostly wins: its answers end the downtime."""
    fast = statistics.median(downtimes_ms(Timeouts(150, 10_000), PROMPT))
    slow = statistics.median(downtimes_ms(Timeouts(150, 10_000), Delays(0.1, 0.3)))
    assert slow - fast == pytest.approx(400, abs=100)


def test_pre_votes_cost_a_round_and_spare_the_split() -> None:
    plain = downtimes_ms(Timeouts(150, 155), Delays())
    asked = downtimes_ms(Timeouts(150, 155), Delays(), pre_vote=True)
    assert asked[-1] < plain[-1]
    assert asked[0] >= 75 + 2 * 15


def test_only_who_has_enough_of_the_log_wins() -> None:
    random = Random(1)
    for _ in range(20):
        trial = Trial(Timeouts(50, 100), Delays(), random)
        trial.downtime_s()
        leaders = [n for n, raft in trial.servers.items() if raft.state.role.value == "leader"]
        assert len(leaders) == 1
        assert leaders[0] in (3, 4)


def test_a_slow_disk_delays_what_depends_on_it() -> None:
    random = Random(1)
    trials = [
        Trial(Timeouts(150, 10_000), PROMPT, random, logs=(1, 1, 1, 1), disk_s=0.2).downtime_s()
        for _ in range(50)
    ]
    assert min(trials) >= 0.075 + 0.4, "a candidate's own vote is on its disk, then the voters'"
