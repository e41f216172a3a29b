"""Stretches without a leader: what counts as one, told in timelines of a few events."""

from __future__ import annotations

import json
from typing import TypeAlias

from launcher.timeline.events import Event, parse_line
from tests.cluster.leaderless import stretches

Told: TypeAlias = tuple[int, int, str, dict[str, object]]

THREE = (1, 2, 3)


def tell(*story: Told) -> list[Event]:
    """The events of a story: seconds, node, event, fields. Terms rise with each election."""
    events = []
    term = 0
    for second, node, name, fields in story:
        term += name == "leader.elected"
        common = {"t": second * 10**9, "node": node, "life": 1, "term": term, "role": "follower"}
        line = json.dumps({**common, "commit": 0, "level": "info", "event": name, **fields})
        event = parse_line(line.encode())
        assert event is not None
        events.append(event)
    return events


def begin(*nodes: int) -> list[Told]:
    """All are ready at second 0, and node 1 leads at once."""
    return [*(ready(0, node) for node in nodes), elected(0, 1)]


def elected(second: int, node: int) -> Told:
    return (second, node, "leader.elected", {})


def dies(second: int, node: int) -> Told:
    return (second, 0, "node.exited", {"target": node})


def ready(second: int, node: int) -> Told:
    return (second, node, "node.ready", {})


def adopts(second: int, node: int, voters: list[int], outgoing: tuple[int, ...] = ()) -> Told:
    fields: dict[str, object] = {"voters": voters, "outgoing": list(outgoing), "learners": []}
    return (second, node, "configuration.adopted", fields)


def injected(second: int, fault: str, **fields: object) -> Told:
    return (second, 0, "fault.injected", {"fault": fault, **fields})


def healed(second: int, **fields: object) -> Told:
    return (second, 0, "fault.healed", fields)


def found(*story: Told, voters: tuple[int, ...] = THREE) -> list[tuple[int, int]]:
    """From which second to which each stretch goes."""
    return [
        (one.began_ns // 10**9, one.ended_ns // 10**9) for one in stretches(tell(*story), voters)
    ]


def test_a_leader_that_lives_leaves_no_stretch() -> None:
    assert found(*begin(1, 2, 3), dies(5, 3), ready(7, 3)) == []


def test_the_first_election_counts_from_when_a_quorum_is_ready() -> None:
    assert found(ready(1, 1), ready(2, 2), ready(4, 3), elected(5, 3)) == [(2, 5)]


def test_from_the_leaders_death_to_the_next_election() -> None:
    assert found(*begin(1, 2, 3), dies(5, 1), elected(8, 2)) == [(5, 8)]


def test_what_happens_meanwhile_does_not_divide_it() -> None:
    story = [dies(5, 1), (6, 2, "election.started", {}), ready(7, 1), elected(8, 2)]
    assert found(*begin(1, 2, 3), *story) == [(5, 8)]


def test_a_leader_that_steps_down_leads_no_more() -> None:
    story = [(5, 1, "leader.stepped_down", {}), elected(6, 3)]
    assert found(*begin(1, 2, 3), *story) == [(5, 6)]


def test_a_leader_that_stops_in_good_order_ends_then() -> None:
    story = [(5, 1, "node.stopped", {}), elected(6, 3), dies(7, 1)]
    assert found(*begin(1, 2, 3), *story) == [(5, 6)]


def test_time_without_a_quorum_does_not_count() -> None:
    story = [dies(5, 1), dies(7, 2), ready(20, 2), elected(22, 2)]
    assert found(*begin(1, 2, 3), *story) == [(5, 7), (20, 22)]


def test_who_recovers_does_not_count() -> None:
    story = [dies(5, 3), dies(6, 1), (7, 1, "node.started", {}), ready(9, 1), elected(10, 2)]
    assert found(*begin(1, 2, 3), *story) == [(9, 10)]


def test_a_paused_node_is_not_there() -> None:
    story = [injected(5, "pause", targets=[1]), elected(7, 2), healed(9, targets=[1])]
    assert found(*begin(1, 2, 3), *story) == [(5, 7)]
    story = [injected(5, "pause", targets=[2, 3]), dies(6, 1), healed(8, targets=[2])]
    assert found(*begin(1, 2, 3), *story, ready(9, 1), elected(10, 1)) == [(9, 10)]


def test_a_disk_that_is_mended_resumes_nobody() -> None:
    story = [injected(5, "pause", targets=[1]), healed(6, fault="disk", targets=[1])]
    assert found(*begin(1, 2, 3), *story, elected(7, 2)) == [(5, 7)]


def test_a_leader_on_the_side_without_a_quorum_leads_nobody() -> None:
    story = [injected(5, "partition", groups=[[1], [2, 3]]), elected(7, 2)]
    assert found(*begin(1, 2, 3), *story) == [(5, 7)]


def test_a_ring_replaces_the_sides_and_a_link_that_is_ok_ends_no_partition() -> None:
    sides = injected(5, "partition", groups=[[1], [2, 3]])
    ring = injected(6, "partition", links=[[1, 2], [2, 3], [3, 1]])
    assert found(*begin(1, 2, 3), sides, ring, elected(7, 1)) == [(5, 6)]
    ok = healed(6, fault="links", links=[[1, 2]])
    assert found(*begin(1, 2, 3), sides, ok, elected(7, 2)) == [(5, 7)]


def test_where_no_side_has_a_quorum_nobody_could_lead() -> None:
    story = [injected(5, "partition", groups=[[1], [2], [3]]), (6, 1, "leader.stepped_down", {})]
    assert found(*begin(1, 2, 3), *story, healed(9), elected(11, 3)) == [(9, 11)]


def test_a_quorum_is_one_of_the_configuration_in_force() -> None:
    """Of the five that there are, two are alive: a majority of the three that vote."""
    five = (1, 2, 3, 4, 5)
    adopted = [adopts(2, node, [1, 2, 3]) for node in five]
    story = [*begin(*five), *adopted, dies(3, 4), dies(3, 5), dies(4, 1), elected(6, 2)]
    assert found(*story, voters=five) == [(4, 6)]
    story = [*begin(*five), dies(3, 4), dies(3, 5), dies(4, 1), ready(5, 4), elected(6, 2)]
    assert found(*story, voters=five) == [(5, 6)]


def test_a_joint_configuration_takes_both_majorities() -> None:
    joint = [adopts(1, node, [4, 5, 6], (1, 2, 3)) for node in (1, 2, 3, 4, 5, 6)]
    story = [*begin(1, 2, 3, 4, 5, 6), *joint, dies(2, 5), dies(2, 6), dies(3, 1)]
    assert found(*story, ready(5, 5), elected(6, 2)) == [(5, 6)]


def test_what_only_the_dead_leader_had_adopted_is_not_in_force() -> None:
    """It had begun to add two; the others know of nothing, and elect without them."""
    story = [adopts(4, 1, [1, 2, 3, 4, 5], (1, 2, 3)), dies(5, 1), elected(8, 2)]
    assert found(*begin(1, 2, 3), *story) == [(5, 8)]


def test_the_last_stretch_is_open_to_the_end() -> None:
    story = [dies(5, 1), (9, 2, "election.started", {})]
    assert found(*begin(1, 2, 3), *story) == [(5, 9)]


def test_at_the_end_the_last_leaders_configuration_is_in_force() -> None:
    grows = ([1, 2, 3, 4, 5], (1, 2, 3))
    story = [adopts(4, 2, *grows), dies(5, 1), (9, 2, "election.started", {})]
    assert found(*begin(1, 2, 3), *story) == [(5, 9)]
    story = [adopts(4, 1, *grows), dies(5, 1), (9, 2, "election.started", {})]
    assert found(*begin(1, 2, 3), *story) == [], "two are no majority of five"
