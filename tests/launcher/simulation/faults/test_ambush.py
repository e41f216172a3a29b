"""Ambushes, clients that only read, timeouts close together: what bad moments are made of."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import pytest

from launcher.checking.history import Kind
from launcher.simulation.faults.strikes import AMBUSHED
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import ELECTION_TIMEOUT_S, Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.world import World
from node.raft.invariants import CONSISTENT
from node.raft.state import RaftState
from node.storage.lives import LastKnown, Life

AMBUSH = Options(time_s=10.0, faults=("ambush", "transfer", "snapshot", "reconfigure"))


@cache
def events(options: Options, seed: int) -> list[dict[str, Any]]:
    lines: list[str] = []
    outcome = run_seed(options, seed, Trace(lines.append))
    assert outcome.failure is None, outcome.failure
    return [json.loads(line) for line in lines]


@pytest.mark.xdist_group("ambush")
@pytest.mark.slow
def test_who_is_in_a_delicate_moment_is_struck_soon_after_it() -> None:
    struck = 0
    for seed in range(1, 7):
        moments: list[float] = []
        ambushed_until = 0.0
        for one in events(AMBUSH, seed):
            if one["event"] == "fault.injected" and one["fault"] == "ambush":
                ambushed_until = max(ambushed_until, one["at_s"] + one["duration_s"])
            if one["event"] in AMBUSHED:
                moments.append(one["at_s"])
            if one["event"] == "node.exited" and one["at_s"] < AMBUSH.time_s:
                assert any(one["at_s"] - 0.31 < moment for moment in moments)
                assert one["at_s"] < ambushed_until + 0.31
                struck += 1
    assert struck >= 3


@pytest.mark.slow
def test_every_moment_is_one_that_comes() -> None:
    seen = {one["event"] for seed in range(1, 9) for one in events(Options(time_s=20.0), seed)}
    assert seen >= set(AMBUSHED)


def test_some_clients_only_read() -> None:
    options = Options(time_s=3.0, faults=())
    seed = next(seed for seed in range(1, 50) if situation(options, seed).readers == 4)
    world = World(situation(options, seed))
    assert world.run().failure is None
    asked = Counter(
        (client.number <= 4, one.kind is Kind.READ)
        for client in world._clients[: options.clients]
        for one in client.history
        if one.invoked_s < options.time_s
    )
    assert asked[True, True] > 20
    assert asked[True, False] == 0
    assert asked[False, False] > 20


def test_timeouts_are_drawn_close_together_where_all_is_fast() -> None:
    drawn = [situation(Options(), seed) for seed in range(200)]
    hasty = [one for one in drawn if one.election_timeout_max_s < ELECTION_TIMEOUT_S]
    assert 20 < len(hasty) < 100
    assert all(one.latency_s[0] <= 0.001 and one.sync_s[0] <= 0.002 for one in hasty)
    timing = hasty[0].node_config(1, Life(1), LastKnown()).timing
    assert timing.election_timeout_min_s < timing.election_timeout_max_s < ELECTION_TIMEOUT_S


def test_who_is_no_voter_and_stands_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RaftState, "may_campaign", property(lambda raft: True))
    options = Options(time_s=3.0, faults=("reconfigure",))
    found = [run_seed(options, seed).failure for seed in range(1, 6)]
    assert any(one is not None and one.broken == CONSISTENT for one in found)
