"""Whatever is asked about in a run with all kinds of faults, there is an answer."""

from __future__ import annotations

from collections import defaultdict

import pytest

from launcher.evidence.why import collect, grow, lines
from launcher.evidence.why.asked import VIOLATIONS
from launcher.evidence.why.rules.entries import entry, node_behind
from launcher.evidence.why.rules.table import RULES, root
from launcher.evidence.why.spacetime import of_all, of_things
from launcher.evidence.why.things import Thing
from launcher.evidence.why.tree import mentions
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.trace import Trace
from launcher.timeline.events import parse_line
from launcher.timeline.templates import SENTENCES

MOST = 4
"""Of each kind of event this many are asked about."""


@pytest.mark.parametrize("seed", range(1, 5))
def test_every_kind_of_event_and_message_of_a_run_has_an_explanation(seed: int) -> None:
    written: list[str] = []
    run_seed(Options(nodes=5, time_s=8.0), seed, Trace(written.append))
    found = [parse_line(line.rstrip("\n").encode()) for line in written]
    past = collect(event for event in found if event is not None)

    asked: dict[str, list[Thing]] = defaultdict(list)
    for happening in past.happenings:
        asked[happening.kind].append(happening)
    for message in past.messages.values():
        asked[message.type + message.lost].append(message)
    for things in asked.values():
        for thing in things[:: max(1, len(things) // MOST)]:
            tree = grow(past, root(past, thing))
            said = [*lines(tree, clock=str)]
            assert 1 <= len(said) <= 40
            assert all(line.isprintable() for line in said)
            assert not any("None" in line and "commit" not in line for line in said), said
            of_things(past, mentions(tree))
    for index in range(1, 200, 23):
        assert [*lines(grow(past, entry(past, index)), clock=str)]
    for node in sorted(past.nodes):
        assert [*lines(grow(past, node_behind(past, node)), clock=str)]
    assert of_all(past, 100).rows


def test_causes_never_come_after_what_they_cause() -> None:
    written: list[str] = []
    run_seed(Options(nodes=3, time_s=8.0, faults=("partition", "kill", "pause")), 2,
             Trace(written.append))  # fmt: skip
    found = [parse_line(line.rstrip("\n").encode()) for line in written]
    past = collect(event for event in found if event is not None)
    for happening in past.happenings:
        if happening.kind in ("leader.elected", "leader.stepped_down", "log.truncated"):
            tree = grow(past, root(past, happening))
            assert max(one.place for one in mentions(tree)) <= happening.place, happening.name


def test_each_rule_is_for_an_event_that_there_is() -> None:
    assert sorted(RULES.keys() - SENTENCES.keys()) == []
    assert SENTENCES.keys() >= VIOLATIONS
