"""`launcher log` on real processes: nodes that differ, a snapshot, nodes that do not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from launcher.client.unanswered import NoAnswer
from launcher.cluster import Cluster
from tests.cluster.lab import Lab, eventually

pytestmark = pytest.mark.cluster

SMALL = """\
name: lab
snapshot: {log: 64KiB, trailing: 0B}
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path, SMALL)
    try:
        yield lab
    finally:
        lab.close()


def log(lab: Lab, *words: str) -> Any:
    return lab.launcher("log", "--json", *words, check=True).json


def names(ids: list[int]) -> str:
    return ", ".join(f"n{node}" for node in ids)


def test_log_of_five_nodes_of_which_two_differ(lab: Lab) -> None:
    """An entry at a leader that is cut off with one follower, and another entry in its place."""
    lab.up(5)
    with Cluster.attach(lab.folder / "cluster.yaml") as cluster:
        lab.converge()
        leader = lab.leader()
        few = sorted([leader, leader % 5 + 1])
        most = [node for node in range(1, 6) if node not in few]
        # A client that has been idle would first ask a question, which is not answered.
        at = cluster.submit("ADD first").index + 1
        cluster.partition(f"{few[0]},{few[1]}|{','.join(map(str, most))}")
        with suppress(NoAnswer):  # the leader that the client knows takes it, and cannot commit it
            cluster.submit("ADD only-here", timeout_s=0.3)
        eventually(lambda: log(lab)["differ"] == [at], "two nodes that differ from three")

        entries = [one for one in log(lab)["entries"] if one["index"] == at]
        assert [(one["kind"], one["nodes"]) for one in entries] == [
            ("command", few),
            ("no-op", most),
        ]
        assert entries[0]["text"] == "ADD only-here"
        assert [one["committed"] for one in entries] == [False, True]
        assert entries[0]["overruled"], "it will never be committed"
        assert entries[0]["term"] < entries[1]["term"]
        text = lab.launcher("log", check=True).out
        assert f"At index {at} the logs DIFFER: there is an entry on {names(few)} of term" in text
        cut = {node["id"]: node["cut_off_from"] for node in lab.ps()["nodes"]}
        assert cut == {node: (most if node in few else few) for node in range(1, 6)}
        assert f"{names(few)} are cut off from {names(most)}" in lab.launcher("ps").lines

        cluster.heal()
        lab.converge()
        assert log(lab)["differ"] == []
        assert "DIFFER" not in lab.launcher("log", check=True).out


def test_log_of_a_node_with_a_snapshot(small: Lab) -> None:
    """Entries that only a snapshot stands for are dots, beside nodes that still hold them."""
    lab = small
    lab.up(3)
    lab.launcher("submit", "ADD a", "ADD b", check=True)
    lab.converge()
    with_snapshot = lab.leader() % 3 + 1
    lab.launcher("snapshot", str(with_snapshot), check=True)
    last = lab.node(with_snapshot)["last_index"]
    eventually(
        lambda: lab.node(with_snapshot)["first_index"] == last + 1, "the log begins after it"
    )
    shown = log(lab, "--from", "1")
    node = next(one for one in shown["nodes"] if one["id"] == with_snapshot)
    assert (node["snapshot_index"], node["entries"]) == (last, [])
    assert all(with_snapshot not in entry["nodes"] for entry in shown["entries"])

    lines = lab.launcher("log", "--from", "1", check=True).lines
    row = next(line for line in lines if line.startswith(f"n{with_snapshot} "))
    assert row.split()[4:] == ["."] * (last - 1) + [".|"]
    assert any(f"(n{with_snapshot})" in line for line in lines)
    assert any(f"a snapshot stands for the entries up to {last}" in line for line in lines)


def test_log_of_nodes_that_do_not_answer_is_read_from_their_files(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("submit", "ADD a", check=True)
    lab.converge()
    away = [node for node in (1, 2, 3) if node != lab.leader()]
    lab.launcher("pause", str(away[0]), check=True)
    lab.launcher("kill", str(away[1]), check=True)
    shown = log(lab)
    said = {node["id"]: (node["state"], node["source"]) for node in shown["nodes"]}
    assert (said[away[0]], said[away[1]]) == (("paused", "disk"), ("down", "disk"))
    assert {tuple(entry["nodes"]) for entry in shown["entries"]} == {(1, 2, 3)}
    lab.launcher("resume", "all", check=True)

    lab.launcher("down", check=True)
    after = log(lab)
    assert {node["source"] for node in after["nodes"]} == {"disk"}
    assert [entry["text"] for entry in after["entries"]][1] == "ADD a"
    assert "are down: the row shows what is on disk" in lab.launcher("log", check=True).out
    lab.up(3)
    lab.converge()
