"""The world: the same seed is the same run; faults do what they say; the properties have eyes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from typing import Any

import pytest

from launcher.simulation.faults.schedule import FAULTS
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.world import World
from node.server.clients import Clients
from node.storage.wal import WriteAheadLog
from node.wire import DiskFault

SHORT = Options(time_s=6.0)


def traced(
    options: Options, seed: int, *, messages: bool = True
) -> tuple[list[dict[str, Any]], str]:
    """A run's trace: its events, and its text."""
    lines: list[str] = []
    outcome = run_seed(options, seed, Trace(lines.append, messages=messages))
    assert outcome.failure is None, outcome.failure
    return [json.loads(line) for line in lines], "".join(lines)


# -- determinism ---------------------------------------------------------------------------------

PROGRAM = """
import sys
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.trace import Trace

print(run_seed(Options(time_s=6.0), 5, Trace(sys.stdout.write)))
"""


def test_the_same_seed_is_the_same_run_byte_by_byte_in_any_process() -> None:
    """Under another hash seed, with another clock, with and without a trace."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("0", "UTC"), ("1", "Asia/Tokyo"), ("12345", "America/Lima"))
    ]
    assert runs[0] == runs[1] == runs[2]
    assert len(runs[0]) > 100_000
    assert runs[0].rstrip().endswith(str(run_seed(SHORT, 5)))


def test_other_seeds_are_other_runs() -> None:
    outcomes = {run_seed(Options(time_s=2.0), seed).fingerprint for seed in range(1, 11)}
    assert len(outcomes) == 10


def test_a_trace_changes_nothing() -> None:
    lines: list[str] = []
    assert run_seed(SHORT, 9, Trace(lines.append)) == run_seed(SHORT, 9)


# -- what a run is made of -----------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5, 7])
def test_clusters_of_any_size_work(nodes: int) -> None:
    acknowledged = 0
    for seed in (1, 4):
        outcome = run_seed(Options(nodes=nodes, time_s=5.0), seed)
        assert outcome.failure is None, outcome.failure
        acknowledged += outcome.acknowledged
    assert acknowledged > 70


def test_without_faults_every_operation_is_answered() -> None:
    world = World(situation(Options(time_s=10.0, faults=()), 1))
    outcome = world.run()
    assert outcome.failure is None
    assert outcome.faults == 0
    history = [one for client in world._clients for one in client.history]
    assert all(one.completed_s is not None for one in history if 2.0 < one.invoked_s < 9.0)
    assert outcome.operations == pytest.approx(1000, rel=0.25)


def test_clients_do_all_that_the_checker_knows_and_meet_refusals() -> None:
    history = []
    for seed in range(1, 5):
        world = World(situation(Options(time_s=15.0), seed))
        assert world.run().failure is None
        history += [one for client in world._clients for one in client.history]
    seen = Counter((one.kind.value, one.ok, one.completed_s is not None) for one in history)
    for kind, ok in [
        ("write", True),
        ("read", True),
        ("cas", True),
        ("cas", False),
        ("delete", True),
        ("delete", False),
    ]:
        assert seen[(kind, ok, True)] > 0, (kind, ok)
    assert sum(count for (_, _, done), count in seen.items() if not done) > 0, "none indeterminate"


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_alone_is_survived(kind: str) -> None:
    began = 0
    for seed in (1, 2):
        outcome = run_seed(Options(time_s=8.0, faults=(kind,)), seed)
        assert outcome.failure is None, outcome.failure
        began += outcome.faults
    assert began > 0


def events_of(options: Options, seed: int) -> set[str]:
    events, _ = traced(options, seed, messages=False)
    return {one["event"] for one in events if one["at_s"] < options.time_s}


@cache
def events_without_faults() -> set[str]:
    options = Options(time_s=3.0, faults=())
    return {event for seed in range(1, 9) for event in events_of(options, seed)}


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("kill", "node.exited"),
        ("power", "node.exited"),
        ("full-disk", "node.exited"),
        ("fail-write", "node.exited"),
        ("fail-sync", "node.exited"),
        ("isolate", "leader.stepped_down"),
        ("pause", "leader.stepped_down"),
        ("power", "log.torn_tail_dropped"),
        ("isolate", "log.truncated"),
    ],
)
def test_a_fault_shows(kind: str, event: str) -> None:
    """What it does is seen in some run, and is not seen without it."""

    options = Options(time_s=5.0, faults=(kind,))
    assert any(event in events_of(options, seed) for seed in range(22, 52))
    assert event not in events_without_faults()


def test_only_a_part_of_the_schedule() -> None:
    full = World(situation(SHORT, 2)).schedule
    assert len(full) >= 2
    part = Options(time_s=SHORT.time_s, only=(full[1].number,))
    assert World(situation(part, 2)).schedule == [full[1]]
    events, _ = traced(part, 2)
    assert [one["number"] for one in events if one["event"] == "fault.injected"] == [full[1].number]


def test_a_trace_has_the_form_of_an_event_log() -> None:
    from launcher.timeline.events import parse_line

    events, text = traced(Options(time_s=3.0), 4)
    assert all(parse_line(line.encode()) is not None for line in text.splitlines())
    times = [one["at_s"] for one in events]
    assert times == sorted(times)
    assert {one["node"] for one in events} == {0, 1, 2, 3, 4, 5}
    sent = [one["said"] for one in events if one["event"] == "message.sent"]
    assert any("AppendEntries term 1, entries 1 to 1" in message for message in sent)
    assert any(message.startswith("RequestVote (pre-vote)") for message in sent)


def test_a_node_that_dies_as_it_is_resumed_lives_in_its_next_life() -> None:
    """What came of the sync that failed was waiting for it, when it was stopped by SIGSTOP."""
    world = World(situation(Options(nodes=3, faults=(), time_s=3.0), 1))
    node = world._nodes[1]

    def stop() -> None:
        if not node._log_work._work:
            world.time.at(world.time.now + 0.00005, stop)
            return
        node.disk.fault = DiskFault("fail-sync")
        node.pause()

    def go_on() -> None:
        node.resume()
        node.start()

    world.time.at(1.0, stop)
    world.time.at(2.0, go_on)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    assert node.life >= 2


def test_nothing_is_done_for_a_process_that_has_died_as_it_was_resumed() -> None:
    """Two pieces of work were done while it was paused. The first has failed and ends the server,
    and the second, which that server asked for, is reported to nobody."""
    world = World(situation(Options(nodes=3, faults=(), time_s=3.0), 1))
    node = world._nodes[1]
    reported: list[str] = []

    def stop() -> None:
        if not node._log_work._work:
            world.time.at(world.time.now + 0.00005, stop)
            return
        node.disk.fault = DiskFault("fail-sync")
        node.pause()
        world.time.at(1.9, node._background.run, lambda: None, lambda _: reported.append("disk"))
        world.time.at(1.9, node._fork.run, lambda: b"", lambda *_: reported.append("fork"))

    def go_on() -> None:
        assert len(node._waiting) >= 3, "the failed sync, and what comes after it"
        node.resume()
        assert node.server is None
        assert not node._waiting

    world.time.at(1.0, stop)
    world.time.at(2.5, go_on)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    assert reported == []


def test_a_report_to_a_process_that_is_dead_is_a_failure() -> None:
    world = World(situation(Options(nodes=3, faults=(), time_s=3.0), 1))
    node = world._nodes[1]

    def kill() -> None:
        node.crash(power=False, reason="killed")
        node.report(lambda failure: None, None)

    world.time.at(1.0, kill)
    failure = world.run().failure
    assert failure is not None
    assert failure.broken == "crash"
    assert "n1 is dead" in failure.belief


def test_a_disk_that_hangs_goes_on_when_the_faults_stop() -> None:
    """And what hung of its own accord before that does so at its own time."""
    world = World(situation(Options(nodes=3, faults=(), time_s=3.0), 1))
    node = world._nodes[1]
    hung: list[bool] = []

    def hang(until_s: float) -> None:
        node.disk_hangs_until = until_s

    def look() -> None:
        hung.append(node._log_work._stalled)

    world.time.at(1.0, hang, 2.0)
    world.time.at(1.9, look)
    world.time.at(2.1, look)
    world.time.at(2.5, hang, 60.0)
    world.time.at(2.9, look)
    world.time.at(3.01, look)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    assert hung == [True, False, True, False]


# -- properties have eyes: each is made to fail ----------------------------------------------------


def broken_by(options: Options, seeds: range) -> set[str]:
    """Which properties runs break."""
    found = (run_seed(options, seed).failure for seed in seeds)
    return {failure.broken for failure in found if failure is not None}


def test_a_log_that_never_syncs_breaks_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated power loss, through the product's own recovery."""
    from launcher.simulation.disk import SimulatedFile

    monkeypatch.setattr(SimulatedFile, "sync", lambda self: None)
    assert broken_by(Options(time_s=5.0), range(1, 6)) & {"promises", "durability"}


def test_a_server_that_dies_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_it(self: Clients, *arguments: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Clients, "answer_reads", raise_it)
    failure = run_seed(Options(time_s=5.0), 1).failure
    assert failure is not None
    assert failure.broken == "crash"
    assert "a bug of ours" in failure.belief


def test_a_disk_error_that_no_fault_explains_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from node.errors import DiskFailed

    def fail(self: WriteAheadLog, *arguments: object) -> None:
        raise DiskFailed("write", "f", OSError(5, "no fault injected this"))

    monkeypatch.setattr(WriteAheadLog, "append", fail)
    failure = run_seed(Options(time_s=5.0, faults=()), 1).failure
    assert failure is not None
    assert failure.broken == "crash"


def test_a_cluster_that_never_elects_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from node.raft import election

    monkeypatch.setattr(election, "count_votes", lambda raft: False)
    failure = run_seed(Options(time_s=1.0), 1).failure
    assert failure is not None
    assert failure.broken == "liveness"
    assert "candidate of term" in failure.belief, "it tells how the nodes stand"
