"""The faults in force, their ids and their events."""

from __future__ import annotations

from typing import Any

from launcher.supervisor.injections import Injections


def test_a_fault_is_in_force_until_it_is_ended_and_its_events_carry_its_id() -> None:
    events: list[tuple[str, str, dict[str, Any]]] = []
    faults = Injections(lambda level, name, **fields: events.append((level, name, fields)))
    first, second = faults.next_id(), faults.next_id()
    faults.begin("partition", "links", [1, 2, 3], first, groups=[[1], [2, 3]])
    faults.begin("hang-disk", "disk", [2], second, targets=[2])

    assert [one.id for one in faults.all()] == [first, second]
    assert [one.fault for one in faults.of("links")] == ["partition"]
    assert [one.fault for one in faults.of("disk", [2])] == ["hang-disk"]
    assert faults.of("disk", [1, 3]) == []
    assert faults.end([first, 99]) == [first]
    assert [one.id for one in faults.all()] == [second]
    faults.spent([second])
    assert faults.all() == []
    assert events == [
        ("warn", "fault.injected", {"fault": "partition", "groups": [[1], [2, 3]], "id": first}),
        ("warn", "fault.injected", {"fault": "hang-disk", "targets": [2], "id": second}),
        ("info", "fault.healed", {"ids": [first]}),
    ]


def test_no_id_is_given_twice() -> None:
    faults = Injections(lambda *_, **__: None)
    ids = [faults.next_id() for _ in range(5)]
    faults.spent(ids)
    assert len({*ids, faults.next_id()}) == 6
