"""What the links of a node tell its tap: each loss by its name, and the fault behind it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from random import Random

import pytest

from launcher.evidence.messages.records import event_of
from launcher.timeline.events import Event
from node.faults.links import FaultFilter, causes
from node.process.transport import MAX_BUFFERED_BYTES, PipeLinks
from node.raft.messages import AppendEntries, Batch, BatchKind
from node.wire import Drop, LinkFault
from tests.node.process.test_process import until
from tests.node.tap.lab import NOW, frame, records_in, tap_in

FRAME = frame(AppendEntries(1, 1, 0, 0, (), 0))
LARGE = frame(AppendEntries(1, 1, 0, 0, (Batch(1, 1, BatchKind.COMMANDS, 1, b"x" * (1 << 20)),), 0))


class Tapped:
    """The links of node 1, with a tap, and one link to node 2."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tap = tap_in(folder, segment_bytes=1 << 20)
        self.filter = FaultFilter(rng=Random(1))
        self.links = PipeLinks(
            1,
            self.filter,
            lambda peer, body: self.tap.received(peer, body, NOW + 1),
            lambda peer, reason, dead: None,
            lambda peer: None,
            tap=self.tap,
        )

    async def attach(self) -> socket.socket:
        """Returns the other end."""
        near, far = socket.socketpair()
        await self.links.attach(2, near)
        return far

    def does(self, *faults: LinkFault) -> None:
        self.filter.set(faults, causes((number, one) for number, one in enumerate(faults, 1)))

    def send(self, *frames: bytes) -> None:
        for one in frames:
            self.links.send(2, one)
        self.links.flush()

    def keeps(self, delayed: bytes, *held: bytes) -> None:
        """Sends one that is delayed, and then those that are held."""
        self.does(LinkFault(source=1, target=2, delay_s=100))
        self.send(delayed)
        self.does(LinkFault(source=1, target=2, hold=True))
        self.send(*held)

    def said(self) -> list[Event]:
        return [event_of(one) for one in records_in(self.folder)]

    def fates(self) -> list[tuple[str, object]]:
        """What became of the messages that were sent: each event that is not `sent`, with its cause
        and the fault."""
        short = (
            (one.event.removeprefix("message."), one.fields)
            for one in self.said()
            if one.event != "message.sent"
        )
        return [(str(fields.get("why", event)), fields.get("fault")) for event, fields in short]


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scenario())


def test_what_has_no_link_was_not_sent(tmp_path: Path) -> None:
    tapped = Tapped(tmp_path)
    tapped.send(FRAME)
    assert tapped.said() == []


CASES: list[tuple[LinkFault, list[tuple[str, object]]]] = [
    (LinkFault(source=1, target=2, cut=True), [("cut", 1)]),
    (LinkFault(source=1, target=2, loss=1), [("loss", 1)]),
    (LinkFault(source=1, target=2, hold=True), [("held", 1)]),
    (LinkFault(source=1, target=2, delay_s=0.01), [("delayed", 1)]),
    (LinkFault(source=1, target=2, duplicate=1), [("duplicated", 1)]),
]


@pytest.mark.parametrize(("given", "fates"), CASES, ids=lambda one: str(one)[:1])
def test_a_fault_is_named(
    tmp_path: Path, given: LinkFault, fates: list[tuple[str, object]]
) -> None:
    async def scenario() -> None:
        tapped = Tapped(tmp_path)
        far = await tapped.attach()
        tapped.does(given)
        tapped.send(FRAME)
        assert tapped.said()[0].event == "message.sent"
        assert tapped.fates() == fates
        far.close()

    run(scenario)


def test_a_queue_behind_a_rate_is_full(tmp_path: Path) -> None:
    async def scenario() -> None:
        tapped = Tapped(tmp_path)
        far = await tapped.attach()
        tapped.does(LinkFault(source=1, target=2, rate=1e3))
        tapped.send(LARGE, LARGE, FRAME)
        assert ("rate-full", 1) in tapped.fates()
        far.close()

    run(scenario)


def test_a_drop_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        tapped = Tapped(tmp_path)
        far = await tapped.attach()
        tapped.filter.drop([Drop(1, 2, "heartbeat")])
        tapped.send(FRAME, FRAME)
        assert tapped.fates() == [("drop", None)]
        far.close()

    run(scenario)


def test_what_waits_for_a_peer_that_does_not_read_is_lost_when_there_is_too_much(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        tapped = Tapped(tmp_path)
        far = await tapped.attach()
        for _ in range(2 + MAX_BUFFERED_BYTES // (1 << 20)):
            tapped.send(LARGE)
        assert set(tapped.fates()) == {("full", None)}
        tapped.does(LinkFault(source=1, target=2, hold=True))
        for _ in range(2 + MAX_BUFFERED_BYTES // (1 << 20)):
            tapped.send(LARGE)
        assert tapped.fates()[-1] == ("held-full", 1)
        far.close()

    run(scenario)


def test_one_that_waits_is_the_next_to_be_lost_by_its_type(tmp_path: Path) -> None:
    """Of those that are held the oldest, then one that is delayed, and only then one that comes."""

    async def scenario() -> None:
        tapped = Tapped(tmp_path)
        far = await tapped.attach()
        tapped.keeps(FRAME, FRAME, frame(AppendEntries(1, 1, 7, 0, (), 0)))
        link = tapped.links._links[2]
        second = link.waiting.held[1]

        tapped.filter.drop([Drop(1, 2, "RequestVote", 1)])
        tapped.links.strike_waiting()
        assert len(link.waiting.held) == 2, "those of other types stay"
        tapped.filter.drop([Drop(1, 2, "AppendEntries", 1)])
        tapped.links.strike_waiting()
        assert link.waiting.held == [second]
        tapped.filter.drop([Drop(1, 2, "AppendEntries", 3)])
        tapped.links.strike_waiting()
        assert not link.waiting.held
        assert not link.waiting._late
        assert [why for why, _ in tapped.fates()] == ["delayed", "held", "held", *["drop"] * 3]

        tapped.does()
        tapped.send(FRAME)
        assert [why for why, _ in tapped.fates()][-1] == "drop", "the last of the three"
        tapped.send(FRAME)
        assert len(tapped.fates()) == 7, "and no more"
        far.close()

    run(scenario)


def test_what_waits_is_lost_when_its_link_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        tapped = Tapped(tmp_path)
        far = await tapped.attach()
        tapped.keeps(FRAME, FRAME)
        far.close()
        await until(lambda: not tapped.links.has(2))
        assert sorted(str(why) for why, _ in tapped.fates()) == [
            "closed", "closed", "delayed", "held"
        ]  # fmt: skip

    run(scenario)


def test_what_waits_is_lost_when_its_link_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        tapped = Tapped(tmp_path)
        ends = [await tapped.attach()]
        tapped.does(LinkFault(source=1, target=2, hold=True))
        tapped.send(FRAME)
        ends.append(await tapped.attach())
        assert [why for why, _ in tapped.fates()] == ["held", "replaced"]
        close(ends)

    run(scenario)


def test_what_was_on_its_way_when_the_link_was_cut_is_lost_where_it_arrives(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        tapped = Tapped(tmp_path)
        far = await tapped.attach()
        far.sendall(len(FRAME).to_bytes(4) + FRAME)
        await until(lambda: [why for why, _ in tapped.fates()] == ["received"])
        tapped.does(LinkFault(source=2, target=1, cut=True))
        far.sendall(len(FRAME).to_bytes(4) + FRAME)
        await until(lambda: len(tapped.fates()) == 2)
        assert tapped.fates()[1] == ("cut", 1)
        lost = tapped.said()[1]
        assert (lost.fields["from"], lost.fields["to"]) == (2, 1)
        far.close()

    run(scenario)


def close(ends: Iterable[socket.socket]) -> None:
    for end in ends:
        end.close()
