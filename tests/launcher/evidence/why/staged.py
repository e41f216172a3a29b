"""A simulated cluster that a test moves by hand: its faults are made when the test says so.

The world, its links, nodes, clients and trace are those of `launcher simulate`; only the schedule
of faults is the test's. Each fault is an event, as the nemesis writes it, with a number of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from launcher.evidence.why import Past, collect, lines
from launcher.evidence.why.explaining import explain
from launcher.simulation.network import cuts
from launcher.simulation.planted import named, planted
from launcher.simulation.situation import NEVER, Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.world import World
from launcher.timeline.events import Event, parse_line
from node.raft.invariants import InvariantBroken
from node.raft.state import RaftState
from node.wire import ClockFault, LinkFault

Link = tuple[int, int]


class Staged:
    """One run. Times in simulated seconds."""

    def __init__(
        self, nodes: int = 3, *, rate: float = 20.0, seed: int = 1, **circumstances: Any
    ) -> None:
        self._lines: list[str] = []
        options = Options(nodes=nodes, time_s=60.0, faults=(), rate=rate or 1.0, clients=4)
        drawn = situation(options, seed)
        calm: dict[str, Any] = {
            "latency_s": (0.001, 0.002),
            "sync_s": (0.0005, 0.001),
            "failure_hint": False,
            "lease": False,
            "hostile": False,
            "followers": 0.0,
            "readers": 0,
            "one_shots": 0,
            "snapshot_log_bytes": 1 << 30,
            "snapshot_entries": NEVER,
            "max_apply_commands": 4096,
            "election_timeout_max_s": 1.0,
            **circumstances,
        }
        self.world = World(msgspec.structs.replace(drawn, **calm), trace=Trace(self._lines.append))
        self.nodes = self.world._nodes
        self._faults = 0
        self._rate = rate
        for node in self.nodes.values():
            self.world.time.at(0.0, node.start)
        for client in self.world._clients:
            client._until_s = 0.0  # it makes a call only when it is told to
            if rate:
                client.work(until_s=60.0)

    # -- time ------------------------------------------------------------------------------------

    def run(self, for_s: float) -> None:
        """Lets the world go on; a property that breaks ends the run, and its event is the last."""
        try:
            self.world.time.run_until(self.world.time.now + for_s)
        except InvariantBroken as error:
            self.world.broken(error)

    def run_until(self, event: str, *, within_s: float = 10.0, **fields: Any) -> Event:
        """Lets the world go on until such an event; returns it."""
        seen = len(self._lines)
        ends = self.world.time.now + within_s
        while self.world.time.now < ends:
            self.run(0.01)
            for line in self._lines[seen:]:
                found = parse_line(line.rstrip("\n").encode())
                if found is not None and found.event == event and _has(found, fields):
                    return found
            seen = len(self._lines)
        raise AssertionError(f"there was no {event} with {fields} within {within_s} s")

    @property
    def leader(self) -> int:
        """The node that leads the newest term."""
        terms = {
            node_id: self._state(node_id).current_term
            for node_id, node in self.nodes.items()
            if node.leads
        }
        return max(terms, key=lambda node_id: terms[node_id])

    def followers(self) -> list[int]:
        """Every other node."""
        return [node for node in self.nodes if node != self.leader]

    def last_index(self, node: int) -> int:
        return self._state(node).log.last_index

    # -- faults ----------------------------------------------------------------------------------

    def fault(self, kind: str, targets: Iterable[int], duration_s: float = 10.0) -> int:
        """The event of a fault; returns its number."""
        self._faults += 1
        self.world._note(
            "fault.injected",
            level="warn",
            fault=kind,
            targets=list(targets),
            number=self._faults,
            duration_s=duration_s,
        )
        return self._faults

    def cut(self, *links: Link) -> int:
        number = self.fault("cut", sorted({node for link in links for node in link}))
        self.world._links.disturb(number, cuts(links))
        return number

    def isolate(self, node: int) -> int:
        number = self.fault("isolate", [node])
        links = [
            link for other in self.nodes if other != node for link in ((node, other), (other, node))
        ]
        self.world._links.disturb(number, cuts(links))
        return number

    def slow(self, *links: Link, delay_s: float) -> int:
        number = self.fault("slow-link", sorted({link[0] for link in links}))
        self.world._links.disturb(
            number, [LinkFault(source=a, target=b, delay_s=delay_s) for a, b in links]
        )
        return number

    def mend(self, number: int) -> None:
        self.world._links.mend(number)

    def kill(self, node: int) -> int:
        number = self.fault("kill", [node])
        self.nodes[node].crash(power=False, reason="killed")
        return number

    def start(self, node: int) -> None:
        self.nodes[node].start()

    def pause(self, node: int, for_s: float) -> int:
        number = self.fault("pause", [node], for_s)
        self.nodes[node].pause()
        self.world.time.at(self.world.time.now + for_s, self.nodes[node].resume)
        return number

    def hasten(self, node: int) -> None:
        """Its clock runs four times as fast from here on, so it campaigns often. That is no fault
        that the trace tells of."""
        self.nodes[node].clock.move(ClockFault(rate=4.0), self.world.time.now)
        self.nodes[node].arm_timer()

    def time_out_together(self, *nodes: int) -> None:
        """Their election timers fire at the same moment, as chance may have it."""
        deadline = max(self._state(node).election_deadline for node in nodes)
        for node in nodes:
            self._state(node).election_deadline = deadline
            self.nodes[node].arm_timer()

    def _state(self, node: int) -> RaftState:
        server = self.nodes[node].server
        assert server is not None
        return server.state

    def hang_disk(self, node: int, for_s: float = 10.0) -> int:
        number = self.fault("hang-disk", [node], for_s)
        self.nodes[node].disk_hangs_until = self.world.time.now + for_s
        return number

    def transfer(self, target: int) -> None:
        self.nodes[self.leader].transfer(target)

    # -- what came of it -------------------------------------------------------------------------

    def events(self) -> list[Event]:
        found = [parse_line(line.rstrip("\n").encode()) for line in self._lines]
        return [event for event in found if event is not None]

    def past(self) -> Past:
        return collect(self.events())

    def why(self, what: str | Event, most: int = 10) -> str:
        """The first lines of why that happened."""
        asked = what if isinstance(what, str) else f"n{what.node}:{what.t}"
        found = explain(self.events, asked)
        said = [*lines(found.tree, clock=lambda ns: f"{ns / 1e9:8.4f}")][:most]
        return "\n".join(said)


@dataclass(frozen=True)
class StaleRead:
    """A leader that was cut off answers a read. Just before, a follower is stopped for a moment.

    old: that leader; cut, decoy: the two faults; broken: the event that says so
    """

    run: Staged
    old: int
    cut: int
    decoy: int
    broken: Event


def stale_read() -> StaleRead:
    """Plants the bug for as long as the run takes."""
    with planted(named("read-without-round")):
        run = Staged(5, rate=100.0, readers=2)
        run.run(2.0)
        old, (one, *_) = run.leader, run.followers()
        cut = run.isolate(old)
        run.run(0.3)
        decoy = run.pause(one, 0.05)
        return StaleRead(run, old, cut, decoy, run.run_until("property.broken"))


def _has(event: Event, wanted: dict[str, Any]) -> bool:
    return all(
        getattr(event, name, event.fields.get(name)) == value for name, value in wanted.items()
    )
