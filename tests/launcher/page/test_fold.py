"""The fold: at any moment of a simulated run the page's picture is the world's true state."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher.page.events import Shortened, for_page
from launcher.simulation.node import SimulatedNode
from launcher.simulation.situation import Options, situation
from launcher.simulation.telling import of_world, peers_of
from launcher.simulation.trace import Trace
from launcher.simulation.world import World
from tests.launcher.page.javascript import needs_node, static_copy

HARNESS = Path(__file__).parent / "fold.mjs"
MOMENTS = 100

pytestmark = needs_node

Picture = dict[str, Any]


def fold(
    tmp_path: Path, events: list[dict[str, Any]], places: list[int], **environment: str
) -> list[Picture]:
    """The page's state after each of these numbers of events. environment: for `fold.mjs`"""
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    modules = static_copy(tmp_path)
    said = subprocess.run(
        ["node", str(HARNESS), str(modules), str(file), *map(str, places)],
        capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


class Witness:
    """Looks at the true state of a world at random moments of its run."""

    def __init__(self, seed: int, time_s: float = 8.0) -> None:
        self.events: list[dict[str, Any]] = []
        self.moments: list[tuple[int, Picture]] = []
        shorten = Shortened()
        self._trace = Trace(lambda line: self.events.append(shorten(for_page(json.loads(line)))))
        self.world = World(situation(Options(time_s=time_s), seed), trace=self._trace)
        rng = random.Random(seed)
        for _ in range(MOMENTS):
            self.world.time.at(rng.uniform(0.0, time_s + 3.0), self._look)

    def _look(self) -> None:
        world = self.world
        # A fault that has begun since the last step of any node has no event yet.
        self._trace.look(world.time.now, world._links, world._nodes.values())
        truth: Picture = {
            "nodes": {str(node.node_id): true_node(node) for node in world._nodes.values()},
            "links": {
                f"{a}>{b}": does
                for a, b, does in of_world(world._links, world._nodes.values())["links"]
            },
        }
        self.moments.append((len(self.events), truth))


def true_node(node: SimulatedNode) -> Picture:
    """A node, in the fold's words. What a dead one had is not asked for."""
    if node.server is None:
        return {"process": "down"}
    state = node.server.state
    log = state.log
    starts = [log.term_at(i) for i in range(log.first_index, log.last_index + 1)]
    return {
        "process": "paused" if node.paused or node.held else "up",
        "term": state.current_term,
        "role": state.role_name,
        "vote": state.voted_for,
        "votes": sorted(voter for voter, granted in state.votes.items() if granted),
        "commit": state.commit_index,
        "base": log.base_index,
        "terms": starts,
        "snapshot": 0 if state.snapshot is None else state.snapshot.last_included_index,
        "peers": {str(peer): [after, match] for peer, after, match in peers_of(state)},
    }


def shown(node: Picture | None, truth: Picture) -> Picture:
    """What the fold has of a node, in the same words."""
    if node is None or truth == {"process": "down"}:
        return {"process": "down" if node is None else node["process"]}
    log = node["log"]
    ends = [first for first, _ in log["starts"][1:]] + [log["last"] + 1] * bool(log["starts"])
    terms = [
        term
        for (first, term), end in zip(log["starts"], ends, strict=True)
        for _ in range(first, end)
    ]
    return {
        **{key: node[key] for key in ("process", "term", "role", "vote", "commit", "snapshot")},
        "votes": sorted(node["votes"]),
        "base": log["base"],
        "terms": terms,
        "peers": {peer: [one["next"], one["match"]] for peer, one in node["peers"].items()},
    }


@pytest.mark.parametrize("seed", range(1, 11))
def test_at_random_moments_the_picture_is_the_true_state(seed: int, tmp_path: Path) -> None:
    witness = Witness(seed)
    witness.world.run()
    assert len(witness.moments) == MOMENTS
    random.Random(seed).shuffle(witness.moments)  # so that the keyframes are used, too
    pictures = fold(tmp_path, witness.events, [place for place, _ in witness.moments])
    for picture, (place, truth) in zip(pictures, witness.moments, strict=True):
        for node_id, true in truth["nodes"].items():
            found = shown(picture["nodes"].get(node_id), true)
            assert found == true, f"node {node_id} after {place} events"
        assert picture["links"] == truth["links"], f"after {place} events"


def test_a_long_run_forgets_its_beginning_and_nothing_else(tmp_path: Path) -> None:
    witness = Witness(3, time_s=3.0)
    witness.world.run()
    said: list[Any] = [*fold(tmp_path, witness.events, [], TRIM="700")]
    assert said == [700]


def test_without_messages_the_logs_are_what_the_nodes_say_is_committed(tmp_path: Path) -> None:
    """As in the event logs of real nodes: no event has a state."""

    def said(at: float, node: int, event: str, role: str, **more: Any) -> dict[str, Any]:
        record = {"t": str(at), "at": at, "life": 1, "level": "info", "node": node, "role": role}
        return {**record, "event": event, "term": 2, "commit": 0, **more}

    events = [
        said(1, 1, "leader.elected", "leader", last_index=3, votes=[1, 2]),
        said(2, 1, "applied.digest", "leader", commit=9),
        said(3, 2, "applied.digest", "follower", commit=7),
        said(4, 3, "applied.digest", "follower", commit=5, term=1),
    ]
    (picture,) = fold(tmp_path, events, [4])
    logs = {node: one["log"] for node, one in picture["nodes"].items()}
    assert (logs["1"]["last"], logs["1"]["starts"]) == (9, [[1, 0], [4, 2]])
    assert (logs["2"]["last"], logs["2"]["starts"]) == (7, [[1, 0], [4, 2]])
    assert (logs["3"]["last"], logs["3"]["starts"]) == (5, [[1, 0]]), "of which term is not known"
    assert [one["commit"] for one in picture["nodes"].values()] == [9, 7, 5]
