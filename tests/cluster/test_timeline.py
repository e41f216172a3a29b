"""The combined timeline: complete, once each, in causal order, live and afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.lab import PATIENCE_S, Lab, entries, eventually

pytestmark = pytest.mark.cluster

BUSY = """\
name: lab
log:
  level: debug
  rotate: 4KiB
  keep: 1000
"""


def lines_of(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def all_logged(logs: Path) -> list[dict[str, Any]]:
    """What the processes wrote, wherever it has been rotated to."""
    files = [*logs.glob("node-*.jsonl*"), *logs.glob("supervisor.jsonl*")]
    return sorted(lines_of(*files), key=lambda event: (event["t"], event["node"]))


def merged(logs: Path) -> list[dict[str, Any]]:
    rotated = sorted(logs.glob("timeline.jsonl.*"))
    newest = logs.glob("timeline.jsonl")  # there is none just after it has been rotated
    return lines_of(*rotated, *newest)


def check_complete(lab: Lab) -> None:
    """No event lost, none twice, never back in time."""
    logs = lab.folder / "logs"
    timeline = merged(logs)
    keys = [(event["t"], event["node"]) for event in timeline]
    assert keys == sorted(keys)
    assert timeline == all_logged(logs)


def test_the_timeline_is_complete_when_the_cluster_is_down(tmp_path: Path) -> None:
    """Pitfall 9: under load, with kills, pauses and rotated logs."""
    lab = Lab(tmp_path, BUSY)
    try:
        lab.up(5)
        for round_ in range(3):
            lab.launcher("submit", "-", stdin="\n".join(entries(300, f"ADD r{round_}")), check=True)
            lab.launcher("kill", "leader", check=True)
            lab.launcher("pause", "follower", check=True)
            lab.leader()
            lab.launcher("resume", "all", check=True)
            lab.launcher("start", "all", check=True)
            lab.leader()
        lab.launcher("down", check=True)
        check_complete(lab)
        assert list((tmp_path / "logs").glob("node-*.jsonl.*")), "logs were rotated"
    finally:
        lab.close()


def test_a_killed_supervisor_costs_the_timeline_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path, BUSY)
    try:
        lab.up(3)
        lab.launcher("submit", "-", stdin="\n".join(entries(300)), check=True)
        lab.remember()
        os.kill(lab.ps()["supervisor_pid"], signal.SIGKILL)
        eventually(lambda: not lab.left(), "all gone")
        assert lab.events("leader.elected"), "it is readable without a supervisor"
        lab.up(3)
        lab.launcher("down", check=True)
        check_complete(lab)
    finally:
        lab.close()


def test_causes_come_before_effects(lab: Lab) -> None:
    lab.up(5)
    for _ in range(3):
        (killed,) = lab.launcher("kill", "leader", "--json", check=True).json["chosen"]
        lab.leader()
        lab.launcher("start", str(killed["id"]), check=True)
        lab.leader()
    lab.launcher("down", check=True)
    events = lab.events()
    assert [(e["t"], e["node"]) for e in events] == sorted((e["t"], e["node"]) for e in events)
    for place, event in enumerate(events):
        if event["event"] == "leader.elected":
            granted = {
                e["node"]
                for e in events[:place]
                if e["event"] == "vote.granted" and e["term"] == event["term"]
            }
            assert set(event["votes"]) - {event["node"]} <= granted
    elected = [event["term"] for event in events if event["event"] == "leader.elected"]
    assert len(elected) == len(set(elected)), "one leader a term"


def test_one_line_an_event_and_filters(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("kill", "leader", check=True)
    lab.leader()
    lines = lab.launcher("timeline", "-n", "all", check=True).lines
    assert any("n1" in line for line in lines)
    elections = lab.launcher("timeline", "--event", "leader.*", "--json", check=True).lines
    assert {json.loads(line)["event"].split(".")[0] for line in elections} == {"leader"}
    assert len(lab.launcher("timeline", "-n", "2", check=True).lines) == 2
    only = lab.launcher("timeline", "--node", "0", "--json", check=True).lines
    assert {json.loads(line)["node"] for line in only} == {0}
    assert lab.launcher("timeline", "--since", "1h", check=True).lines[: len(lines)] == lines
    assert lab.launcher("timeline", "--since", "2999-01-01T00:00:00", check=True).lines == []
    lab.launcher("down", check=True)
    assert lab.launcher("timeline", check=True).lines, "it is there when the cluster is gone"


def test_follow_shows_what_happens_at_once_and_a_stalled_reader_stalls_nobody(lab: Lab) -> None:
    """Pitfalls 10 and 11."""
    lab.up(3)
    follower = lab.spawn("timeline", "-f", "--json", stderr=subprocess.DEVNULL)
    stalled = lab.spawn("timeline", "-f", "--json", stderr=subprocess.DEVNULL)
    assert follower.stdout is not None
    try:
        (killed,) = lab.launcher("kill", "leader", "--json", check=True).json["chosen"]
        seen = None
        while seen is None or seen["event"] != "leader.elected" or seen["node"] == killed["id"]:
            seen = json.loads(follower.stdout.readline())
        for _ in range(20):
            lab.launcher("submit", "-", stdin="\n".join(entries(20, "ADD y")), timeout_s=60)
        follower.send_signal(signal.SIGINT)
        assert follower.wait(PATIENCE_S) == 130
    finally:
        for process in (follower, stalled):
            process.kill()
            process.communicate()
