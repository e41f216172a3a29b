"""The simulated links hold and let go, and carry so many bits a second, as real ones do."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from launcher.simulation.agenda import Agenda
from launcher.simulation.network import MOST_HELD, Connection, SimulatedLinks
from node.raft.messages import NodeId
from node.wire import LinkFault

HOLD = LinkFault(source=1, target=2, hold=True)


@dataclass
class End:
    """A process that notes what arrives."""

    epoch: int = 0
    cluster_id: str = "lab"
    heard: list[bytes] = field(default_factory=list)
    unflushed: list[Connection] = field(default_factory=list)

    def receive(self, peer: NodeId, frames: list[bytes]) -> None:
        self.heard += frames

    def take_requests(self, connection: Connection, bodies: list[bytes] | None) -> None:
        raise AssertionError("it has no clients")


def world() -> tuple[Agenda, SimulatedLinks, dict[NodeId, End]]:
    agenda = Agenda()
    ends = {1: End(), 2: End()}
    return agenda, SimulatedLinks(agenda, ends, (0.001, 0.002), Random(1)), ends


def test_what_is_held_arrives_in_order_when_the_fault_ends() -> None:
    agenda, links, ends = world()
    links.disturb("one", [HOLD])
    for frame in (b"a", b"b"):
        links.send(1, 2, [frame])
    links.send(2, 1, [b"back"])
    agenda.run_until(5.0)
    assert (ends[2].heard, ends[1].heard) == ([], [b"back"])
    links.disturb("other", [HOLD])
    links.mend("one")
    agenda.run_until(6.0)
    assert ends[2].heard == [], "the other fault still holds"
    links.mend("other")
    links.send(1, 2, [b"c"])
    agenda.run_until(7.0)
    assert ends[2].heard == [b"a", b"b", b"c"]


def test_what_is_held_ends_with_the_life_of_either_process_and_is_bounded() -> None:
    for node in (1, 2):
        agenda, links, ends = world()
        links.disturb("fault", [HOLD])
        links.send(1, 2, [b"old"])
        ends[node].epoch += 1
        links.send(1, 2, [b"new"])
        links.heal()
        agenda.run_until(1.0)
        assert ends[2].heard == [b"new"]
    links.disturb("fault", [HOLD])
    links.send(1, 2, [b"x"] * (MOST_HELD + 5))
    links.heal()
    agenda.run_until(2.0)
    assert len(ends[2].heard) == 1 + MOST_HELD


def test_a_rate_bounds_the_bytes_of_a_simulated_second() -> None:
    agenda, links, ends = world()
    links.disturb("fault", [LinkFault(source=1, target=2, rate=80_000)])
    for _ in range(30):
        links.send(1, 2, [bytes(1000)])
    agenda.run_until(1.5)
    assert 13 <= len(ends[2].heard) <= 15, "10,000 bytes a second"
    ends[2].epoch += 1
    agenda.run_until(10.0)
    assert len(ends[2].heard) <= 15, "the rest ended with the process that it was sent to"
