"""Snapshots of real processes: disks stay small, and who was away comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.lab import Lab

pytestmark = pytest.mark.cluster

SMALL = """\
name: lab
machine: kv
limits: {entry: 16KiB, append: 64KiB, inflight: 256KiB}
storage: {segment: 64KiB}
snapshot: {log: 64KiB, trailing: 0B}
log: {digest_every: 50}
"""


def submit(lab: Lab, count: int, value: str) -> None:
    lines = [f"SET k{number % 100} {value}-{number}" for number in range(count)]
    done = lab.launcher("submit", "-", stdin="\n".join(lines) + "\n", check=True)
    assert len(done.lines) == count


def size_of(lab: Lab, node_id: int) -> int:
    return sum(file.stat().st_size for file in (lab.folder / "data" / f"node-{node_id}").iterdir())


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, SMALL)
    try:
        yield lab
    finally:
        lab.close()


def test_who_was_down_comes_back_by_snapshot_and_no_disk_grows(small: Lab) -> None:
    lab = small
    lab.up(3)
    submit(lab, 100, "first")
    away = lab.launcher("kill", "follower", "--json", check=True).json["chosen"][0]["id"]
    submit(lab, 8000, "second")
    assert max(size_of(lab, node_id) for node_id in (1, 2, 3)) < 1 << 20
    lab.launcher("start", str(away), check=True)
    lab.converge()
    assert [event["node"] for event in lab.events("snapshot.installed")] == [away]
    assert lab.node(away)["snapshot_index"] > 0
    stale = lab.launcher("read", "GET k42", "--stale", "--node", str(away), check=True)
    assert stale.lines == ["second-7942"]
    for index, said in lab.digests().items():
        assert len(set(said.values())) == 1, f"nodes differ at {index}"

    lab.launcher("down", check=True)
    lab.up(3)
    lab.converge()
    assert lab.launcher("read", "GET k42", check=True).lines == ["second-7942"]
    assert all(node["first_index"] > 1000 for node in lab.ps()["nodes"])


def test_a_snapshot_is_taken_on_command(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("submit", "ADD a", "ADD b", check=True)
    lab.converge()
    done = lab.launcher("snapshot", "all", check=True)
    assert [line.split(":")[0] for line in done.lines] == [
        "snapshot by n1", "snapshot by n2", "snapshot by n3",
    ]  # fmt: skip
    index = lab.ps()["nodes"][0]["applied_index"]
    assert [node["snapshot_index"] for node in lab.ps()["nodes"]] == [index] * 3
    lab.launcher("kill", "1", check=True)
    refused = lab.launcher("snapshot", "1")
    assert refused.status == 1
    assert refused.last_error == "launcher: n1 is not running, and takes no snapshot"
