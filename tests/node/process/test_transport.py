"""Links between nodes: what comes over one ends no server, and an end of a link is a death only if
somebody has died."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from random import Random

import pytest

from node import wire
from node.faults.links import FaultFilter
from node.process import arriving
from node.process.arriving import LONGEST_S
from node.process.node import Node
from node.process.transport import MAX_BUFFERED_BYTES, Link, PipeLinks
from node.raft.messages import AppendEntries, AppendEntriesReply, NodeId, RequestVote
from node.wire import Drop, LifeBegun, LinkFault, LinkLost, NewLink, Status, Stop
from tests.node.process.test_process import events, until, with_a_supervisor
from tests.node.server.test_server import World, config


class End:
    """One node's links, and what it hears of them."""

    def __init__(self, node_id: NodeId, *faults: LinkFault) -> None:
        self.heard: list[str | bytes] = []
        self.links = PipeLinks(
            node_id,
            FaultFilter(faults, rng=Random(1)),
            lambda peer, body: self.heard.append(body),
            lambda peer, reason, dead: self.heard.append("dead" if dead else "lost"),
            lambda peer: self.heard.append("broken"),
        )


async def joined() -> tuple[End, End]:
    one, other = End(1), End(2)
    near, far = socket.socketpair()
    await asyncio.gather(one.links.attach(2, near), other.links.attach(1, far))
    return one, other


def run(scenario: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(scenario())


# -- a server ------------------------------------------------------------------------------------


def test_a_message_that_makes_no_sense_is_skipped_and_counted(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    server = world.servers[leader]
    peer = leader % 3 + 1
    term = server.state.current_term
    for body in (
        b"nonsense",
        wire.encode(1, AppendEntries(term, peer, 0, 0, (), 0)),
        wire.encode(1, AppendEntriesReply(term, True, 999, 999)),
        wire.encode(-1, RequestVote(term + 1, peer, 0, 0)),
        wire.encode(2**63, RequestVote(term + 1, peer, 0, 0)),
        wire.encode(1, RequestVote(2**63, peer, 0, 0)),
    ):
        server.receive(peer, body, world.now)
        server.pump(world.now)

    status = server.status()
    assert (status.role, status.term) == ("leader", term)
    assert status.frames_skipped == 6
    first, *others = world.events[leader].named("frame.skipped")
    assert first["reason"] == f"of n{peer}: not a message of ours: Expected `array`, got `int`"
    assert not others, "at most one a second"
    world.run(2.0)
    assert sum(int(str(one["count"])) for one in world.events[leader].named("frame.skipped")) == 6
    assert server.status().role == "leader"


def test_a_clock_that_shows_nonsense_is_not_believed(tmp_path: Path) -> None:
    """The next message sent would bear a time that no frame can hold."""
    world = World(tmp_path)
    leader = world.elect()
    server = world.servers[leader]
    server.receive(leader % 3 + 1, wire.encode(2**64 - 1, RequestVote(1, 9, 0, 0)), world.now)
    world.run(1.0)
    assert server.status().role == "leader"


# -- links ---------------------------------------------------------------------------------------


def test_a_process_that_dies_is_a_death() -> None:
    async def scenario() -> None:
        one = End(1)
        near, far = socket.socketpair()
        await one.links.attach(2, near)
        far.close()
        await until(lambda: bool(one.heard))
        assert one.heard == ["dead"]

    run(scenario)


def test_a_link_that_is_out_of_step_is_closed_and_nobody_is_taken_for_dead() -> None:
    async def scenario() -> None:
        one, other = await joined()
        one.links.send(2, b"before")
        one.links.flush()
        await until(lambda: other.heard == [b"before"])
        link = one.links._links[2]
        assert link._transport is not None
        link._transport.write(b"\x7f\xff\xff\xff no frame at all")
        await until(lambda: len(other.heard) == 3 and len(one.heard) == 1)
        assert other.heard == [b"before", "lost", "broken"]
        assert one.heard == ["lost"], "the other has said goodbye"
        assert not other.links.has(1)
        assert not one.links.has(2)

    run(scenario)


async def joined_by_bytes() -> tuple[End, End, asyncio.Transport, Link]:
    """Two ends, what writes raw bytes from the first to the other, and where they arrive."""
    one, other = await joined()
    out = one.links._links[2]._transport
    assert out is not None
    return one, other, out, other.links._links[1]


def grown_or_heard(link: Link, had: int, end: End) -> bool:
    return link.unfinished_bytes > had or bool(end.heard)


def test_a_frame_that_never_becomes_whole_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its length is nonsense, not absurd: what follows would be taken for its bytes, for ever."""
    now_s = 0.0
    monkeypatch.setattr(arriving, "monotonic", lambda: now_s)

    async def scenario() -> None:
        nonlocal now_s
        one, other, out, into = await joined_by_bytes()
        out.write(b"\x00\xff\xff\xff")
        for _ in range(200):
            had = into.unfinished_bytes
            one.links.send(2, b"a heartbeat")
            one.links.flush()
            await until(partial(grown_or_heard, into, had, other))
            if other.heard:
                break
            now_s += 0.5
        assert other.heard == ["lost", "broken"]
        assert now_s == pytest.approx(LONGEST_S, abs=1)

    run(scenario)


def test_a_pause_of_the_process_gives_no_frame_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    monkeypatch.setattr(arriving, "monotonic", lambda: now_s)

    async def scenario() -> None:
        nonlocal now_s
        _one, other, out, into = await joined_by_bytes()
        for part in (b"\x00\x00", b"\x00\x06who", b"le"):
            had = into.unfinished_bytes
            out.write(part)
            await until(partial(grown_or_heard, into, had, other))
            now_s += 3600
        out.write(b"!")
        await until(lambda: bool(other.heard))
        assert other.heard == [b"whole!"]

    run(scenario)


@pytest.mark.parametrize("renewed", [True, False])
def test_a_link_that_is_replaced_is_a_death_if_its_process_was(renewed: bool) -> None:
    async def scenario() -> None:
        one, other = await joined()
        near, far = socket.socketpair()
        await one.links.attach(2, near, renewed=renewed)
        await until(lambda: bool(other.heard))
        assert one.heard == ["lost" if renewed else "dead"]
        assert other.heard == ["lost"], "it hears goodbye"
        await other.links.attach(1, far, renewed=True)
        one.links.send(2, b"again")
        one.links.flush()
        await until(lambda: other.heard[-1] == b"again")

    run(scenario)


def test_what_is_unsent_to_a_peer_that_does_not_read_is_bounded() -> None:
    """The socket of a stopped process fills, then this end's buffer; further frames are lost."""

    async def scenario() -> None:
        one = End(1)
        near, far = socket.socketpair()
        await one.links.attach(2, near)
        link = one.links._links[2]
        assert link._transport is not None
        for _ in range(2 * MAX_BUFFERED_BYTES // (1 << 20)):
            one.links.send(2, b"x" * (1 << 20))
            one.links.flush()
        unsent = link._transport.get_write_buffer_size()
        assert MAX_BUFFERED_BYTES < unsent <= MAX_BUFFERED_BYTES + (2 << 20)
        assert link.dropped > 0
        link.close()
        far.close()

    run(scenario)


def test_frames_that_are_delayed_are_bounded_and_go_with_their_link() -> None:
    """A link may be asked to delay for an hour, and a leader goes on sending."""

    async def scenario() -> None:
        one = End(1, LinkFault(source=1, target=2, delay_s=3000.0))
        near, far = socket.socketpair()
        await one.links.attach(2, near)
        link = one.links._links[2]
        for _ in range(2 * MAX_BUFFERED_BYTES // (1 << 20)):
            one.links.send(2, b"x" * (1 << 20))
        assert MAX_BUFFERED_BYTES < link.waiting._late_bytes <= MAX_BUFFERED_BYTES + (1 << 20)
        assert link.dropped > 0
        link.close()
        assert not link.waiting._late
        far.close()

    run(scenario)


HOLD = LinkFault(source=1, target=2, hold=True)


async def joined_by(filter_: FaultFilter) -> tuple[PipeLinks, list[bytes]]:
    """n1's links, with this filter, and what n2 hears."""
    heard: list[bytes] = []

    def links(node_id: NodeId, faults: FaultFilter) -> PipeLinks:
        return PipeLinks(
            node_id,
            faults,
            lambda peer, body: heard.append(body),
            lambda peer, reason, dead: None,
            lambda peer: None,
        )

    one, other = links(1, filter_), links(2, FaultFilter(rng=Random(1)))
    near, far = socket.socketpair()
    await asyncio.gather(one.attach(2, near), other.attach(1, far))
    return one, heard


def test_what_is_held_goes_in_order_when_the_link_lets_go() -> None:
    async def scenario() -> None:
        filter_ = FaultFilter([HOLD], rng=Random(1))
        one, heard = await joined_by(filter_)
        for body in (b"a", b"b", b"c"):
            one.send(2, body)
            one.flush()
        await asyncio.sleep(0.05)
        assert heard == []
        filter_.set([])
        one.send(2, b"d")  # before the flush that lets the others go
        one.flush()
        await until(lambda: len(heard) == 4)
        assert heard == [b"a", b"b", b"c", b"d"]

    run(scenario)


def test_what_was_held_meets_the_faults_of_the_moment_at_which_it_goes() -> None:
    async def scenario() -> None:
        filter_ = FaultFilter([HOLD], rng=Random(1))
        one, heard = await joined_by(filter_)
        one.send(2, b"held")
        filter_.set([LinkFault(source=1, target=2, loss=1)])
        one.flush()
        filter_.set([])
        one.send(2, b"later")
        one.flush()
        await until(lambda: bool(heard))
        assert heard == [b"later"]

    run(scenario)


def test_frames_that_are_held_are_bounded_and_go_with_their_link() -> None:
    async def scenario() -> None:
        one = End(1, HOLD)
        near, far = socket.socketpair()
        await one.links.attach(2, near)
        link = one.links._links[2]
        for _ in range(2 * MAX_BUFFERED_BYTES // (1 << 20)):
            one.links.send(2, b"x" * (1 << 20))
        assert MAX_BUFFERED_BYTES < link.waiting._held_bytes <= MAX_BUFFERED_BYTES + (1 << 20)
        assert link.dropped > 0
        link.close()
        assert not link.waiting.held
        far.close()

    run(scenario)


def test_a_rate_bounds_the_bytes_per_second_between_two_processes() -> None:
    async def scenario() -> None:
        rate = LinkFault(source=1, target=2, rate=8e6)
        one, heard = await joined_by(FaultFilter([rate], rng=Random(1)))
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            one.send(2, bytes(10_000))
        one.flush()
        await until(lambda: len(heard) == 20)
        took_s = asyncio.get_running_loop().time() - began
        assert took_s >= 0.2, "200,000 bytes at 1,000,000 a second"

    run(scenario)


# -- a node and its supervisor -------------------------------------------------------------------


def said_by(supervisor: socket.socket, reader: wire.FrameReader) -> list[wire.ToSupervisor]:
    supervisor.setblocking(False)
    try:
        data = supervisor.recv(1 << 16)
    except BlockingIOError:
        return []
    return [wire.decode_to_supervisor(body)[1] for body in reader.feed(data)]


def test_a_node_asks_for_a_new_pipe_until_it_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.process.peers.ASK_FOR_LINK_AGAIN_S", 0.05)

    async def scenario() -> None:
        control, supervisor = with_a_supervisor()
        log = tmp_path / "log.jsonl"
        old, old_peer = socket.socketpair()
        settings = config(
            tmp_path, 1, 3, event_log=log, socket=tmp_path / "s", peers={2: 7},
            log_level="debug",
        )  # fmt: skip
        node = Node(settings, control, {2: old})
        running = asyncio.create_task(node.run())
        await until(lambda: log.exists() and "link.opened" in events(log))
        reader = wire.FrameReader()
        told: list[wire.ToSupervisor] = []

        def lost() -> list[LinkLost]:
            told.extend(said_by(supervisor, reader))
            return [one for one in told if isinstance(one, LinkLost)]

        old_peer.send(wire.frame(b"a frame that makes no sense closes no link"))
        await until(lambda: "frame.skipped" in events(log))
        assert not lost()
        old_peer.send(b"\xff\xff\xff\xff")
        await until(lambda: len(lost()) >= 3)
        assert set(lost()) == {LinkLost(2, 7)}

        new, new_peer = socket.socketpair()
        frame = wire.frame(wire.encode(1, NewLink(2, 7)))
        socket.send_fds(supervisor, [frame], [new.fileno()])
        new.close()
        await until(lambda: events(log).count("link.opened") == 2)
        asked = len(lost())
        await asyncio.sleep(0.3)
        assert len(lost()) <= asked + 1, "one may have been under way"
        assert any(isinstance(one, LifeBegun | Status) for one in told)
        supervisor.setblocking(True)
        supervisor.send(wire.frame(wire.encode(2, Stop())))
        assert await running == 0
        new_peer.close()

    run(scenario)


def test_a_message_that_is_lost_by_its_type_is_told_of(tmp_path: Path) -> None:
    async def scenario() -> None:
        lost: list[tuple[NodeId, str, str]] = []
        filter_ = FaultFilter(rng=Random(1))
        filter_.drop([Drop(1, 2, "AppendEntries")])
        heard: list[bytes] = []
        one = PipeLinks(
            1,
            filter_,
            lambda peer, body: None,
            lambda peer, reason, dead: None,
            lambda peer: None,
            lambda peer, struck, kind: lost.append((peer, struck, kind)),
        )
        other = PipeLinks(
            2,
            FaultFilter(rng=Random(1)),
            lambda peer, body: heard.append(body),
            lambda peer, reason, dead: None,
            lambda peer: None,
        )
        near, far = socket.socketpair()
        await asyncio.gather(one.attach(2, near), other.attach(1, far))
        vote = wire.encode(1, RequestVote(1, 1, 0, 0))
        beat = wire.encode(1, AppendEntries(1, 1, 0, 0, (), 0))
        for body in (vote, beat, beat):
            one.send(2, body)
        one.flush()
        await until(lambda: len(heard) == 2)
        assert heard == [vote, beat]
        assert lost == [(2, "AppendEntries", "heartbeat")]

    run(scenario)
