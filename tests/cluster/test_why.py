"""`launcher why` and `launcher explain`, on real nodes and without any."""

from __future__ import annotations

import json

import pytest

from tests.cluster.lab import Lab, eventually

pytestmark = pytest.mark.cluster


def why(lab: Lab, *node: str) -> str:
    done = lab.launcher("why", "--json", *node)
    assert done.status == 0, done.err
    return " ".join(json.loads(done.out)["why"])


def test_why_a_node_leads_and_why_another_does_not(lab: Lab) -> None:
    lab.up(5)
    leader = lab.leader()
    other, *rest = (node for node in range(1, 6) if node != leader)
    assert lab.launcher("wait", "--leader").status == 0
    assert f"n{leader} leads term" in why(lab)
    assert f"n{other} follows n{leader}, which leads term" in why(lab, f"n{other}")

    assert lab.launcher("partition", f"{other}|{leader},{rest[0]},{rest[1]},{rest[2]}").status == 0
    cut = ", ".join(f"n{node}" for node in sorted([leader, *rest]))
    expected = (
        f"n{other} cannot lead: it is cut off from {cut}, and an election takes 3 of 5 votes."
    )
    assert why(lab, f"n{other}").startswith(expected)

    def has_asked_in_vain() -> bool:
        asked = lab.events("election.started")
        return any(one["node"] == other and len(one.get("silent", [])) == 4 for one in asked)

    eventually(has_asked_in_vain, "the lonely node to ask a second time")
    assert lab.launcher("kill", f"n{rest[0]}").status == 0
    assert why(lab, f"n{rest[0]}").startswith(f"n{rest[0]} cannot lead: it is down (killed")
    assert lab.launcher("why", "n9").status == 1


def test_explaining_needs_no_cluster(lab: Lab) -> None:
    done = lab.launcher("explain", "no-op")
    assert done.status == 0
    assert done.out.startswith("No-op: An entry without a command")
    unknown = lab.launcher("explain", "trem")
    assert (unknown.status, unknown.out) == (2, "")
    assert unknown.err.startswith("launcher: no topic 'trem'; did you mean term or ")
