"""What leads from one event to another: by rules, by messages alone, or not at all."""

from __future__ import annotations

from launcher.evidence.why import collect
from launcher.evidence.why.between import path_between
from launcher.evidence.why.past import Past
from launcher.evidence.why.things import Happening
from tests.launcher.evidence.why.made import event, received, sent


def made() -> Past:
    """n1 takes a snapshot and then sends n2 a message, which sends one to n3."""
    first = event(1, 10, "snapshot.taken", index=4, bytes=10)
    other = event(4, 11, "snapshot.taken", index=4, bytes=10)
    to_two, early = sent(1, 20, 2, commit=1), sent(2, 25, 3, commit=1)
    to_three = sent(2, 40, 3, commit=1)
    last = event(3, 60, "snapshot.begun", index=9)
    events = [first, other, to_two, early, received(to_two, 30), to_three]
    return collect([*events, received(early, 45), received(to_three, 50), last])


def the(past: Past, kind: str, node: int) -> Happening:
    found = past.last((kind,), past.end, lambda one: one.node == node)
    assert found is not None
    return found


def test_messages_may_carry_an_influence() -> None:
    past = made()
    way = path_between(past, the(past, "snapshot.taken", 1), the(past, "snapshot.begun", 3))
    assert not way.by_rules
    assert [step.said for step in way.steps[1:-1]] == [
        "n1 sent n2 a heartbeat of term 1 (commit 1); it arrived",
        "n2 sent n3 a heartbeat of term 1 (commit 1); it arrived",
    ]
    second = way.steps[2].thing
    assert second is not None
    assert second.name == "n2:40>n3", "the one that left before n2 knew anything carries nothing"


def test_no_message_no_influence() -> None:
    past = made()
    way = path_between(past, the(past, "snapshot.taken", 4), the(past, "snapshot.begun", 3))
    assert way.steps == ()


def test_on_one_node_what_came_before_may_have_had_an_influence() -> None:
    past = collect([event(1, 1, "snapshot.begun", index=3), event(1, 2, "snapshot.taken", index=3)])
    way = path_between(past, past.happenings[0], past.happenings[1])
    assert len(way.steps) == 2


def test_rules_come_first() -> None:
    past = collect(
        [
            event(0, 1, "fault.injected", fault="kill", targets=[1], id=1),
            event(0, 2, "node.exited", target=1, reason="killed"),
            event(2, 3, "link.closed", peer=1, reason="end of file"),
        ]
    )
    way = path_between(past, past.happenings[0], past.happenings[2])
    assert way.by_rules
    assert [step.thing for step in way.steps] == past.happenings
