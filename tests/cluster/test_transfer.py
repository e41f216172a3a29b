"""Handing over, with real processes: `transfer`, and what stops or restarts a leader."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.cluster.lab import Lab, eventually
from tests.cluster.load import Load

pytestmark = pytest.mark.cluster

ELECTION_TIMEOUT_S = 4.0
"""So long that nobody takes an election for a slow machine."""

SETTINGS = """name: lab
raft:
  heartbeat_interval: 200ms
  election_timeout: {min: 3s, max: 4s}
  failure_hint: off
"""


@pytest.fixture
def slow(lab: Lab) -> Lab:
    """A cluster whose elections take seconds unless somebody hands over."""
    (lab.folder / "cluster.yaml").write_text(SETTINGS)
    lab.up(5)
    return lab


@pytest.fixture
def patient(lab: Lab) -> Lab:
    """A cluster that gives nothing up because the machine is busy."""
    (lab.folder / "cluster.yaml").write_text(
        "name: lab\nraft:\n  election_timeout: {min: 2s, max: 3s}\n"
    )
    return lab


def under_load(lab: Lab, *words: str) -> Load:
    """Runs one command while a client submits, none of whose entries may fail."""
    return under_load_of(lab, lambda: lab.launcher(*words, check=True))


def under_load_of(lab: Lab, act: Callable[[], object]) -> Load:
    """Does something while a client submits, none of whose entries may fail."""
    with Load(lab.folder) as load:
        load.goes_on()
        act()
        load.goes_on()
    return load


def test_transfer_says_who_led_and_who_leads(patient: Lab) -> None:
    patient.up(5)
    leader = patient.leader()
    target = leader % 5 + 1
    said = patient.launcher("transfer", f"n{target}", "--json", check=True).json
    assert (said["led"], said["leads"]) == (leader, target)
    assert patient.leader() == target
    again = patient.launcher("transfer", "leader", check=True)
    assert again.out.startswith(f"n{target} leads already, in term {said['term']}")
    said = patient.launcher("transfer", "follower", "--json", check=True).json
    assert said["led"] == target != said["leads"]
    words = patient.launcher("transfer", "random", check=True).out.split()
    assert words[:2] == [f"n{said['leads']}", "led,"]
    assert {"transfer.started", "transfer.done"} <= {e["event"] for e in patient.events()}


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [(["9"], 2, "no node 9"), (["all"], 2, "one node leads"), (["1", "2"], 2, "unexpected")],
)
def test_a_target_that_is_none(lab: Lab, words: list[str], status: int, says: str) -> None:
    lab.up(3)
    done = lab.launcher("transfer", *words)
    assert (done.status, says in done.last_error) == (status, True), done.last_error


def test_a_transfer_that_fails_is_one_line_and_the_leader_leads_on(patient: Lab) -> None:
    patient.up(5)
    leader = patient.leader()
    away, dead = [node for node in range(1, 6) if node != leader][:2]
    patient.launcher("kill", str(dead), check=True)
    done = patient.launcher("transfer", str(dead))
    assert (done.status, done.last_error) == (1, f"launcher: n{dead} is down and cannot lead")
    rest = ",".join(str(node) for node in range(1, 6) if node != away)
    patient.launcher("partition", f"{away}|{rest}", check=True)
    done = patient.launcher("transfer", str(away))
    assert done.status == 1
    assert done.last_error.startswith(f"launcher: n{leader} did not hand over to n{away}: ")
    assert len(done.err.strip().splitlines()) == 1
    patient.launcher("submit", "ADD on", "--timeout", "10", check=True)
    assert patient.ps()["leader"] == leader


def test_without_a_leader_there_is_nobody_to_hand_over(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("kill", "leader", check=True)
    lab.launcher("kill", "follower", check=True)
    done = lab.launcher("transfer", "random")
    assert done.status == 1
    assert done.last_error


@pytest.mark.parametrize(
    "words", [["stop", "leader"], ["restart", "leader"], ["kill", "leader", "-s", "TERM"]]
)
def test_a_leader_that_is_stopped_hands_over_first(slow: Lab, words: list[str]) -> None:
    before = slow.leader()
    waited = elections_after_a_timeout(slow)
    under_load(slow, *words)
    assert elections_after_a_timeout(slow) == waited
    assert slow.leader() != before


def test_a_leader_that_is_terminated_from_outside_hands_over_first(slow: Lab) -> None:
    before = slow.leader()
    waited = elections_after_a_timeout(slow)

    def terminate() -> None:
        os.kill(slow.node(before)["pid"], signal.SIGTERM)
        eventually(lambda: slow.node(before)["state"] == "down", "it stops")

    under_load_of(slow, terminate)
    assert elections_after_a_timeout(slow) == waited
    assert slow.leader() != before
    assert slow.node(before)["reason"] == "stopped from outside"
    assert slow.launcher("start", str(before), check=True).status == 0


def test_a_leader_that_is_told_that_its_supervisor_is_gone_waits_for_nobody(slow: Lab) -> None:
    before = slow.leader()
    os.kill(slow.node(before)["pid"], signal.SIGHUP)
    eventually(lambda: slow.node(before)["state"] == "down", "it stops")
    assert slow.events("transfer.started") == []
    assert [event["reason"] for event in slow.events("node.stopped")] == ["SIGHUP"]


def elections_after_a_timeout(lab: Lab) -> int:
    """How often anybody waited for a leader in vain: who is asked to stand asks no pre-votes."""
    return sum(event["pre_vote"] for event in lab.events("election.started"))


def test_those_who_are_stopped_with_the_leader_are_not_its_heirs(slow: Lab) -> None:
    leader = slow.leader()
    also = 2 if leader == 1 else 1  # whom it would choose of those that have as much of the log
    waited = elections_after_a_timeout(slow)
    under_load(slow, "stop", f"{leader},{also}")
    assert elections_after_a_timeout(slow) == waited
    assert slow.leader() not in (leader, also)


def test_no_request_fails_in_a_rolling_restart(slow: Lab) -> None:
    load = under_load(slow, "restart", "all", "--rolling")
    status = slow.ps()
    assert [node["restarts"] for node in status["nodes"]] == [1] * 5
    elected = slow.events("leader.elected")
    assert len(elected) == 2, "one at the start, and one for the last to be restarted"
    listed = slow.launcher("read", "LS", check=True).lines
    assert len(listed) == len(set(listed)) >= load.count


def test_stop_all_and_down_hand_over_to_nobody(slow: Lab) -> None:
    slow.launcher("stop", "all", check=True)
    assert slow.events("transfer.started") == []
    slow.launcher("start", "all", check=True)
    slow.leader()
    slow.launcher("down", check=True)
    done = subprocess.run(
        slow.command("timeline", "--json", "--event", "transfer.*"),
        cwd=slow.folder,
        env=slow.environment(None),
        capture_output=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == []
