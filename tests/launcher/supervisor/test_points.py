"""What the supervisor keeps of a node's points, from one life to the next."""

from __future__ import annotations

from typing import Any

import msgspec

from launcher.control.points import parse_actions
from launcher.supervisor.injections import Injections
from launcher.supervisor.points import CUT_OFF, NodePoints, rows, struck
from node import wire


def armed(text: str, point: str = "before-sync", fault_id: int = 1) -> NodePoints:
    points = NodePoints()
    points.arm(point, fault_id, parse_actions(text))
    return points


def hit(points: NodePoints, action: wire.PointAction, hits: int, left: str) -> wire.PointHit:
    (state,) = points.states.values()
    terms = parse_actions(left)
    said = msgspec.structs.replace(state, hits=hits, strikes=hits, terms=terms)
    return wire.PointHit(said, action)


def test_a_node_that_starts_is_told_what_is_left_of_a_chain() -> None:
    points = armed("2*kill")
    injections = Injections(lambda *_, **__: None)
    assert struck(1, points, hit(points, "kill", 1, "1*kill"), injections) == (
        "killed at the point before-sync"
    )
    (order,) = points.first_orders()
    assert isinstance(order, wire.ArmPoints)
    assert [(one.hits, one.terms) for one in order.points] == [(1, parse_actions("kill"))]
    struck(1, points, hit(points, "kill", 2, "off"), injections)
    assert points.first_orders() == []
    assert points.in_words() == ""


def test_what_a_node_says_of_an_earlier_arming_is_old() -> None:
    points = armed("pause")
    old = msgspec.structs.replace(points.states["before-sync"], hits=9)
    points.arm("before-sync", 2, parse_actions("kill"))
    points.hear([old])
    assert points.states["before-sync"].hits == 0
    assert points.heard == set()


def test_a_disarmed_point_keeps_its_counts() -> None:
    points = armed("pause")
    points.hear([msgspec.structs.replace(points.states["before-sync"], hits=4, strikes=4)])
    points.disarm("before-sync")
    assert points.first_orders() == []
    (row,) = [row for row in rows({2: points}) if row.nodes]
    assert (row.point, row.etcd) == ("before-sync", "raftBeforeSave, walBeforeSync")
    assert [(n.node, n.actions, n.hits, n.strikes) for n in row.nodes] == [(2, "", 4, 4)]


def test_a_node_that_has_cut_itself_off_stays_so_in_its_next_life_until_heal() -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    injections = Injections(lambda level, name, **fields: events.append((name, fields)))
    points = armed("cut", "before-apply")
    assert struck(3, points, hit(points, "cut", 1, "off"), injections) == ""
    assert points.in_words() == "cut off at the point before-apply"
    assert points.first_orders() == [wire.ArmPoints([], True)]
    assert [one.nodes for one in injections.of(CUT_OFF)] == [(3,)]
    assert events == [("fault.injected", {"fault": "isolate", "targets": [3], "id": 1})]
    points.heal()
    assert (points.in_words(), points.first_orders()) == ("", [])
