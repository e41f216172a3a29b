"""A story of `launcher story` as events, so that the page shows it: Figures 7 and 8 of the paper,
and all others. They play on simulated cores, which nothing moves but the story's own lines.

A story has no time. Here each thing that happens takes MOMENT_S and each line LINE_S, so that a
reader can follow it at the page's usual speed. What the story says, its comments and its lines, are
events too (`story.told`, `story.line`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from launcher.page.recorded import Recorded, collect
from launcher.simulation.stage.cores import Stored
from launcher.simulation.stage.play import Play
from launcher.simulation.stage.script import COMMENT, Step, play_steps
from launcher.simulation.telling import Terms, basic, peers_of
from launcher.timeline.events import Event, parse_line
from node.raft.messages import Batch, Message, NodeId
from node.raft.ready import Note, Ready
from node.tap.fields import fields_of, type_of

MOMENT_S = 0.002
LINE_S = 0.03
MOST_EVENTS = 150_000


def recorded(name: str, text: str, *, seed: int = 1) -> Recorded:
    """A story that has been played. Raises what `play_steps` raises.

    text: its lines
    """
    play = StagedPlay(seed)
    paragraph: list[str] = []
    for step in play_steps(text, seed=seed, play=play):
        if step.kind == COMMENT and step.text.startswith("#"):
            paragraph.append(step.text.lstrip("# "))
            continue
        if paragraph:
            play.say("story.told", " ".join(paragraph))
            paragraph = []
        if step.text:
            play.step(step)
    if paragraph:
        play.say("story.told", " ".join(paragraph))
    return collect(lambda: iter(play.events), MOST_EVENTS, name)


class StagedPlay(Play):
    """The state of a story, and all that has happened in it as events."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.events: list[Event] = []
        self._at_s = 0.0
        self._t = 0
        self._said: dict[NodeId, dict[str, Any]] = {}
        self._terms: dict[NodeId, Terms] = {}
        self._up: set[NodeId] = set()
        self._cut: set[tuple[NodeId, NodeId]] = set()
        self._sent: dict[tuple[NodeId, NodeId, int], tuple[Message, int]] = {}

    # -- what the story says -----------------------------------------------------------------------

    def say(self, event: str, text: str, level: str = "info") -> None:
        """A comment or a line of the story, with the names that the page has for its servers."""
        for node_id, name in self.names.items():
            text = re.sub(rf"\b{re.escape(name)}\b", f"n{node_id}", text)
        self._put(0, level, event, text=text)

    def step(self, step: Step) -> None:
        """A line has been played."""
        self.look()
        self.say("story.line", step.text, "debug" if step.is_quiet else "info")
        self._at_s += MOMENT_S if step.is_quiet else LINE_S

    def look(self) -> None:
        """What has changed in the servers, and in the links between them."""
        if self.network is None:
            return
        up = set(self.net.servers)
        for node_id in sorted(self._up - up):
            self._put(0, "warn", "node.exited", target=node_id, reason="crashed")
            self._said.pop(node_id, None)
        for node_id in sorted(up - self._up):
            self._put(0, "info", "node.spawned", target=node_id)
            self._terms[node_id] = Terms()
        self._up = up
        if self.net.cut != self._cut:
            self._cut = set(self.net.cut)
            links = [[a, b, "cut"] for a, b in sorted(self._cut)]
            self._put(0, "debug", "world.changed", links=links)
        for node_id in sorted(up):
            state = self._state(node_id)
            if self._said.get(node_id) != state:
                self._said[node_id] = state
                self._put(node_id, "debug", "state.changed", state=state)

    # -- the Witness port --------------------------------------------------------------------------

    def noted(self, node_id: NodeId, note: Note) -> None:
        super().noted(node_id, note)
        self._put(node_id, note.level, note.event, **note.fields)

    def sent(self, sender: NodeId, to: NodeId, message: Message) -> None:
        super().sent(sender, to, message)
        self._put(sender, "debug", "message.sent", to=to, **_of(message))
        self._sent[sender, to, id(message)] = (message, self._t)

    def delivered(self, sender: NodeId, to: NodeId, message: Message) -> None:
        super().delivered(sender, to, message)
        which: dict[str, Any] = {"from": sender, "sent_t": self._sent_t(sender, to, message)}
        self._put(to, "debug", "message.received", **which, **_of(message))

    def lost(self, sender: NodeId, to: NodeId, message: Message, reason: str) -> None:
        super().lost(sender, to, message, reason)
        sent_t = self._sent_t(sender, to, message)
        which: dict[str, Any] = {"from": sender, "to": to, "sent_t": sent_t, "fault": None}
        self._put(sender, "debug", "message.lost", why=reason, **which, **_of(message))

    def persisted(self, node_id: NodeId, ready: Ready, stored: Stored) -> None:
        super().persisted(node_id, ready, stored)
        self.look()

    def applied(self, node_id: NodeId, batch: Batch) -> None:
        super().applied(node_id, batch)
        self.look()

    # -- events ------------------------------------------------------------------------------------

    def _sent_t(self, sender: NodeId, to: NodeId, message: Message) -> int:
        return self._sent.get((sender, to, id(message)), (message, 0))[1]

    def _state(self, node_id: NodeId) -> dict[str, Any]:
        state = self.net.servers[node_id].raft.state
        return {
            **basic(state),
            "log": self._terms[node_id].of(state),
            "peers": peers_of(state),
            "votes": sorted(state.votes.items()),
            "snapshot": 0 if state.snapshot is None else state.snapshot.last_included_index,
        }

    def _put(self, node_id: NodeId, level: str, event: str, **fields: Any) -> None:
        self._t += 1_000_000
        self._at_s += MOMENT_S
        server = self.net.servers.get(node_id) if node_id and self.network is not None else None
        state = None if server is None else server.raft.state
        record = {
            "t": self._t,
            "node": node_id,
            "life": 1,
            "term": 0 if state is None else state.current_term,
            "role": "" if state is None else state.role_name,
            "commit": 0 if state is None else state.commit_index,
            "level": level,
            "event": event,
            "at_s": round(self._at_s, 6),
            **fields,
        }
        made = parse_line(json.dumps(record, default=str).encode())
        assert made is not None, f"an event that nobody can read: {record}"
        self.events.append(made)


def _of(message: Message) -> dict[str, Any]:
    return {"type": type_of(message), "message": fields_of(message)}
