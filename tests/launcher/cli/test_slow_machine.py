"""What `ps` says of a machine that is slow."""

from __future__ import annotations

from launcher.cli.slow_machine import slow_machine
from launcher.control.status import ClusterStatus, NodeStatus


def status(*slowest: tuple[float | None, float | None]) -> ClusterStatus:
    nodes = [
        NodeStatus(id=n, state="up", slowest_apply_s=apply_s, slowest_query_s=query_s)
        for n, (apply_s, query_s) in enumerate(slowest, start=1)
    ]
    return ClusterStatus(cluster="c", supervisor_pid=1, leader=1, term=1, nodes=nodes)


def test_the_slowest_call_of_each_kind_is_named_with_its_node() -> None:
    said = slow_machine(status((1.2, 0.0), (1.5, None), (1.4, 0.25)), 0.1)
    assert said == "slow machine: entries took up to 1.500 s (n2), a query took up to 0.250 s (n3)"


def test_a_call_that_is_faster_than_the_bound_is_not_named() -> None:
    said = slow_machine(status((0.05, 0.3), (0.09, 0.0)), 0.1)
    assert said == "slow machine: a query took up to 0.300 s (n1)"
    assert slow_machine(status((0.05, 0.09), (None, None)), 0.1) == ""
    assert slow_machine(status(), 0.1) == ""
