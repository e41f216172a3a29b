"""Safety is watched over on real processes: a mistake is planted, and every node is frozen at once.

The mistakes are a machine that answers otherwise on each node, and, by an edit of the
product, a quorum that is half of the voters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.simulation.planted import named
from tests.cluster.lab import Lab, eventually
from tests.lab.copies import patched_copy

pytestmark = pytest.mark.cluster

ODD = """
import os

class Machine:
    def apply(self, index, command):
        return str(os.getpid() if command == b"pid" else index).encode()

    def query(self, query):
        return b""

    def snapshot(self):
        return b""

    def restore(self, state):
        pass
"""

SETTINGS = "name: lab\nmachine: odd:Machine\nlog: {{digest_every: 20}}\nsafety: {safety}\n"


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "odd.py").write_text(ODD)
    lab = Lab(tmp_path, SETTINGS.format(safety="freeze"))
    try:
        yield lab
    finally:
        lab.close()


def states(lab: Lab) -> set[str]:
    return {node["state"] for node in lab.ps()["nodes"]}


def found(lab: Lab) -> list[str]:
    return [one["promise"] for one in lab.ps()["violations"]]


def stopped(lab: Lab) -> bool:
    pids = [node["pid"] for node in lab.ps()["nodes"] if node["pid"] is not None]
    return all(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids)


def told(lab: Lab) -> list[dict[str, Any]]:
    return lab.events("safety.violated")


def test_a_machine_that_is_not_deterministic_freezes_the_cluster_until_it_is_thawed(
    odd: Lab,
) -> None:
    odd.up(3)
    odd.launcher("submit", "pid", check=True)

    eventually(lambda: odd.ps()["frozen"], "it is frozen")

    assert states(odd) == {"paused"}
    assert stopped(odd)
    assert found(odd) == ["machines compute the same"]
    shown = odd.launcher("ps", check=True).lines
    assert shown[0].startswith("SAFETY IS VIOLATED (machines compute the same): the machines of n")
    assert shown[1].startswith("safety was violated, and every node is frozen: `launcher ps`")
    refused = odd.launcher("submit", "a")
    assert refused.status == 1
    assert "safety was violated, and every node is frozen" in refused.err
    (event,) = told(odd)
    assert event["level"] == "error"
    assert event["frozen"] is True
    assert event["reports"]

    thawed = odd.launcher("thaw", check=True)

    assert "SAFETY IS VIOLATED" in thawed.err
    odd.launcher("submit", "a", check=True)
    assert states(odd) == {"up"}
    assert found(odd) == ["machines compute the same"], "it is not forgotten"
    assert len(told(odd)) == 1, "it is not found again"


def test_what_was_found_outlives_the_supervisor_and_goes_with_the_data(odd: Lab) -> None:
    odd.up(3)
    odd.launcher("submit", "pid", check=True)
    eventually(lambda: odd.ps()["frozen"], "it is frozen")
    psutil.Process(odd.ps()["supervisor_pid"]).kill()
    eventually(lambda: odd.launcher("ps").status == 3, "nothing runs")

    up = odd.launcher("up", "3", "-d", stdin="", check=True)

    assert "SAFETY IS VIOLATED" in up.err
    assert found(odd) == ["machines compute the same"]
    assert not odd.ps()["frozen"], "it is known, so it freezes nothing again"
    down = odd.launcher("down", check=True)
    assert "SAFETY IS VIOLATED" in down.err
    odd.launcher("up", "3", "-d", "--fresh", stdin="", check=True)
    assert found(odd) == []


def test_with_report_it_is_said_and_the_cluster_goes_on(odd: Lab) -> None:
    (odd.folder / "cluster.yaml").write_text(SETTINGS.format(safety="report"))
    odd.up(3)
    odd.launcher("submit", "pid", check=True)

    eventually(lambda: found(odd), "it is found")

    assert states(odd) == {"up"}
    odd.launcher("submit", "a", check=True)
    (event,) = told(odd)
    assert event["frozen"] is False


def test_no_log_is_pruned_once_something_was_found(odd: Lab) -> None:
    settings = SETTINGS.format(safety="report") + "log: {digest_every: 20, rotate: 4KiB, keep: 1}\n"
    settings = settings.replace("log: {digest_every: 20}\n", "", 1)
    (odd.folder / "cluster.yaml").write_text(settings)
    odd.up(3)
    odd.launcher("submit", "pid", check=True)
    eventually(lambda: found(odd), "it is found")

    def old_files() -> int:
        odd.launcher("transfer", "random")
        return len(list((odd.folder / "logs").glob("node-1.jsonl.*")))

    eventually(lambda: old_files() > 3, "more old files than log.keep says")


@pytest.mark.parametrize("safety", ["freeze", "report"])
def test_two_leaders_in_one_term_are_found(tmp_path: Path, safety: str) -> None:
    """With half of the voters for a quorum, each side of a partition elects a leader."""
    root = patched_copy(tmp_path / "product", [named("half-is-a-quorum")])
    (tmp_path / "lab").mkdir()
    lab = Lab(tmp_path / "lab", f"name: lab\nsafety: {safety}\n", root=root)
    try:
        lab.up(4)
        lab.launcher("partition", "1,2|3,4", check=True)

        def provoke() -> bool:
            """The side with the lower term elects again, and so it reaches the other's term."""
            leaders = [node for node in lab.ps()["nodes"] if node["role"] == "leader"]
            if len(leaders) == 2:
                behind = min(leaders, key=lambda node: int(node["term"]))
                lab.launcher("restart", str(behind["id"]))
            return "election safety" in found(lab)

        eventually(provoke, "two nodes have led one term", pause_s=0.5)

        assert lab.ps()["frozen"] == (safety == "freeze")
        record = json.loads((lab.folder / "data" / "safety.json").read_text())
        said = next(one for one in record["violations"] if one["promise"] == "election safety")
        assert len({report["said"] for report in said["reports"]}) == 2
    finally:
        lab.close()
