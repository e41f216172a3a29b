"""`launcher bench` of one cluster by itself, with real processes, for a moment."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from launcher.benchmark import crashes
from launcher.benchmark.elections import GIVE_UP_S, Delays, Timeouts
from tests.cluster.lab import Lab

pytestmark = pytest.mark.cluster


def test_leaders_are_killed_and_clusters_come_up(lab: Lab) -> None:
    brief = ["--kills", "2", "--ups", "1", "--window", "8"]
    results = lab.launcher("bench", "failover", *brief, "--json", check=True).json
    for hint in ("on", "off"):
        assert len(results["kills"][hint]) == 2
        for kill in results["kills"][hint]:
            assert 0 < kill["to_leader_s"] < kill["to_commit_s"] < 60
            assert 0 <= kill["pause_before_s"] < 60
    without_hint = [kill["to_leader_s"] for kill in results["kills"]["off"]]
    assert min(without_hint) > 0.3, "an election timeout, but for a heartbeat"
    (up,) = results["ups"]
    assert 0 < up["took_s"] < 60
    assert 0 < up["cpu_s"] < 60


def test_figure_16_on_real_processes(tmp_path: Path) -> None:
    """One range, a few crashes: none is over before its time, and none takes for ever."""
    told: list[None] = []
    found = crashes.measure(
        Timeouts(150, 300),
        Delays(),
        3,
        tmp_path,
        Random(1),
        slower=4,
        done=lambda: told.append(None),
    )
    assert len(found.downtimes_s) == len(told) == 3
    assert min(found.downtimes_s) >= 0.075 + 0.010, "half of the shortest timeout, and a vote"
    assert max(found.downtimes_s) < GIVE_UP_S
    assert min(found.broadcast_s) >= 0.015
    assert list(tmp_path.iterdir()) == []


def test_figure_16_is_a_command(lab: Lab) -> None:
    done = lab.launcher("bench", "figure16", "--trials", "0", "--simulated", "20", check=True)
    assert "150-155 ms" in done.out
    assert "kept: data/bench/figure16.json" in done.err
    for words, said in (
        (["--question", "20ms"], "--question 20ms: less than the whole broadcast, 15ms"),
        (["--broadcast", "soon"], "--broadcast soon: a duration such as 15ms, up to 10s"),
        (["--trials", "-1"], "--trials -1: from 0 to 1000000"),
    ):
        refused = lab.launcher("bench", "figure16", *words)
        assert refused.status == 2
        assert said in refused.last_error


def test_growth_is_measured(lab: Lab) -> None:
    brief = ["--entries", "2000", "--nodes", "1", "--clients", "2", "--seconds", "0.3"]
    results = lab.launcher("bench", "growth", *brief, "--json", check=True).json
    (log,) = results["log"]
    assert log["entries"] == 2000
    assert log["disk_bytes"] >= 2000 * 256
    assert log["memory_bytes"] > 1 << 20
    assert 0 < log["restart_s"] < 60
    assert [one["count"] for one in results["nodes"]] == [1]
    assert [one["count"] for one in results["clients"]] == [2]
    assert all(one["figures"]["throughput"] > 0 for one in results["clients"])


def test_the_cost_of_recording_messages_is_measured(lab: Lab) -> None:
    brief = ["--nodes", "1", "--rounds", "2", "--seconds", "0.3"]
    results = lab.launcher("bench", "tap", *brief, "--json", check=True).json
    assert results["names"] == ["ring", "off"]
    assert len(results["rounds"]) == 2
    assert all(one["throughput"] > 0 for pair in results["rounds"] for one in pair)
    refused = lab.launcher("bench", "tap", "--mode", "off")
    assert refused.status == 2


def test_idling_is_measured(lab: Lab) -> None:
    results = lab.launcher("bench", "idle", "--nodes", "3", "--seconds", "1", "--json", check=True)
    names = [one["name"].split()[0] for one in results.json["processes"]]
    assert {"n1", "n2", "n3", "supervisor"} <= set(names)
    assert sum("(leader)" in one["name"] for one in results.json["processes"]) == 1
    assert all(0 <= one["cpu_percent"] < 100 for one in results.json["processes"])
    assert sum(one["wakeups"] for one in results.json["processes"]) > 1
