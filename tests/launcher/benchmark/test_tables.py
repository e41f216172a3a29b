"""What the benchmarks of failover, growth and idling show of their numbers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.benchmark import failover, growth, idle
from launcher.benchmark.bed import Sightings, settings_in
from launcher.benchmark.failover import Kill
from launcher.benchmark.figures import Figures
from launcher.benchmark.report import draw
from node import wire


def kills(count: int) -> list[Kill]:
    """The first took 1 ms to a commit, the next 2, and so on."""
    return [
        Kill(to_leader_s=n / 2000, to_commit_s=n / 1000, pause_before_s=0.001)
        for n in range(1, count + 1)
    ]


def test_kills_are_shown_beside_the_goals() -> None:
    ups = [failover.Up(took_s=took_s, cpu_s=0.7) for took_s in (2.0, 0.5, 1.0)]
    results = failover.FailoverResults(
        window=64, size_bytes=256, kills={"on": kills(100), "off": kills(100)}, ups=ups
    )
    shown, starts = failover.tables(results)
    by_name = {str(row[0]): list(row[1:]) for row in shown.rows}
    assert by_name["hint on: to the next commit"] == [
        *("50.5", "90.0", "99.0", "100.0", "1.68", "0.66"),
    ]
    assert by_name["hint off: to a leader"] == ["25.2", "45.0", "49.5", "50.0", "", ""]
    assert list(starts.rows[0])[1:] == ["1.00", "0.50", "2.00", "1.00", "0.70"]


def test_what_was_not_wanted_is_not_shown() -> None:
    assert (
        failover.tables(failover.FailoverResults(window=64, size_bytes=256, kills={}, ups=[])) == []
    )
    nothing = growth.GrowthResults(log=[], nodes=[], clients=[])
    assert growth.tables(nothing) == []
    assert growth.plots(nothing) == {}


def logged(entries: int, restart_s: float) -> growth.Logged:
    return growth.Logged(
        entries=entries,
        append_us=20.0,
        disk_bytes=entries * 256,
        memory_bytes=(10 << 20) + entries * 512,
        memory_restarted_bytes=(10 << 20) + entries * 500,
        restart_s=restart_s,
        restart_cpu_s=restart_s / 2,
    )


def test_growth_is_shown_with_its_laws(tmp_path: Path) -> None:
    figures = Figures(throughput=1000.0, p50_ms=1.0, p99_ms=2.0, p999_ms=3.0, memory_bytes=1 << 20)
    loaded = [growth.Loaded(count=count, figures=figures) for count in (1, 10)]
    results = growth.GrowthResults(
        log=[logged(n, 0.5 + n * 4e-6) for n in (1000, 100_000, 1_000_000)],
        nodes=loaded,
        clients=loaded,
    )
    log, goal, nodes, clients = growth.tables(results)
    by_name = {str(row[0]): list(row) for row in log.rows}
    assert by_name["append, us an entry"][-2:] == ["constant", None]
    assert by_name["restart to serving, s"][-2:] == ["linear", "0.50 s + 4.00 us an entry"]
    assert by_name["restart, s of a core"][-1] == "0.25 s + 2.00 us an entry"
    assert by_name["memory, MB"][-1] == "10 MB + 512 B an entry"
    assert list(goal.rows[0]) == ["seconds", "4.50", "0.90", "222,000"]
    for table in (nodes, clients):
        assert list(table.rows[0]) == ["answers/s", "1,000", "1,000", "constant", None]
    pytest.importorskip("matplotlib")
    for name, onto in growth.plots(results).items():
        assert draw(tmp_path, name, onto) is not None


def test_the_goal_of_the_restart_is_for_a_million_entries() -> None:
    results = growth.GrowthResults(
        log=[logged(1000, 0.5), logged(10_000, 0.6)], nodes=[], clients=[]
    )
    assert len(growth.tables(results)) == 1


def test_sizes_are_tenths_of_the_largest() -> None:
    assert growth.tenths(1_000_000, 1000) == [1000, 10_000, 100_000, 1_000_000]
    assert growth.tenths(500, 1000) == [500]
    assert growth.tenths(0, 1000) == []
    assert growth.odd(9) == [1, 3, 5, 7, 9]
    assert growth.odd(4) == [1, 3, 4]
    assert growth.odd(0) == []


def test_idling_is_shown_beside_the_goal() -> None:
    one = idle.Process(name="n1", cpu_percent=1.0, wakeups=10.0, memory_bytes=3 << 20)
    other = idle.Process(name="supervisor", cpu_percent=0.5, wakeups=5.0, memory_bytes=1 << 20)
    table = idle.table(idle.IdleResults(seconds=20.0, processes=[other, one]))
    assert [list(row) for row in table.rows] == [
        ["n1", "1.00", "10.0", "3.0"],
        ["supervisor", "0.50", "5.00", "1.0"],
        ["all together", "1.50", "15.0", "4.0"],
        ["of the goal", "0.50", "", ""],
    ]


def test_events_are_seen_once_and_whole(tmp_path: Path) -> None:
    with settings_in(tmp_path, 2) as config:
        config.log_dir.mkdir()
        first, second = config.event_log(1), config.event_log(2)
        line = json.dumps({"t": 5, "node": 1, "term": 2, "event": "leader.elected"})
        first.write_text(f"{line}\n{line.replace('elected', 'heard')}\n")
        second.write_text(line.replace("5", "3")[:20])
        sightings = Sightings(config, "leader.elected")
        assert [event.t for event in sightings.new()] == [5]
        assert sightings.new() == []
        with second.open("a") as file:
            file.write(line.replace("5", "3")[20:] + "\n")
        assert [(event.t, event.term) for event in sightings.new()] == [(3, 2)]
    assert list(tmp_path.iterdir()) == []


def test_a_crowd_says_why_it_cannot_go_on(tmp_path: Path) -> None:
    """A node that leads no more redirects."""
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        words = [sys.executable, "-m", "launcher.benchmark.crowd", "--socket", str(path)]
        words += ["--clients", "1", "--size", "10", "--warm-up", "0", "--duration", "1"]
        process = subprocess.Popen(
            [*words, "--latencies", str(tmp_path / "out")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        listener.settimeout(30)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            assert connection.recv(1 << 16)
            connection.sendall(wire.frame(wire.encode_client(wire.Redirect(2, "not the leader"))))
            _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert b"the node does not take it: Redirect(leader_id=2" in said
