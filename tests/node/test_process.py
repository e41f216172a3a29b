"""The process's own part: links that overtake each other, and the end in good order."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from launcher.client import Client, NoAnswer
from node import wire
from node.faults import FaultFilter
from node.process import Node
from node.transport import MAX_UNREAD_STATUS_BYTES, ControlChannel, PipeLinks
from node.wire import LifeRecorded, NewLink, Stop
from tests.node.test_server import config

PATIENCE_S = 20.0


async def until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, "it never came about"
        await asyncio.sleep(0.005)


def with_a_supervisor() -> tuple[socket.socket, socket.socket]:
    """The node's end of a control pipe, and the end of a supervisor that has its life on record."""
    control, supervisor = socket.socketpair()
    supervisor.send(wire.frame(wire.encode(1, LifeRecorded())))
    return control, supervisor


def is_closed(end: socket.socket) -> bool:
    """Whether the other end is gone; reads away what it has sent."""
    end.setblocking(False)
    try:
        while end.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    return True


def events(log: Path) -> list[str]:
    return [json.loads(line)["event"] for line in log.read_text().splitlines()]


def test_a_link_that_came_during_recovery_outlives_the_one_from_the_start(tmp_path: Path) -> None:
    """Node 2 dies and starts again while node 3 recovers: the pipe to its first life is stale."""

    async def scenario() -> None:
        ours, _theirs = socket.socketpair()
        old, old_peer = socket.socketpair()
        new, new_peer = socket.socketpair()
        control, supervisor = with_a_supervisor()
        log = tmp_path / "log.jsonl"
        settings = config(
            tmp_path,
            3,
            3,
            event_log=str(log),
            socket=str(tmp_path / "s"),
            peers={1: 1, 2: 1},
            log_level="debug",
        )
        frame = wire.frame(wire.encode(1, NewLink(2, 2)))
        socket.send_fds(supervisor, [frame], [new.fileno()])
        new.close()
        old_peer.close()
        node = Node(settings, control, {1: ours, 2: old})
        running = asyncio.create_task(node.run())
        await until(lambda: log.exists() and events(log).count("link.opened") == 2)
        await until(lambda: "node.ready" in events(log))
        assert not is_closed(new_peer)
        supervisor.send(wire.frame(wire.encode(2, Stop())))
        assert await running == 0
        assert events(log)[-1] == "node.stopped"

    asyncio.run(scenario())


def test_of_two_links_at_once_one_stays_open(tmp_path: Path) -> None:
    """A socket that is left open would hide that its process is dead."""

    async def scenario() -> None:
        first, first_peer = socket.socketpair()
        second, second_peer = socket.socketpair()
        links = PipeLinks(
            1,
            FaultFilter(rng=Random(1)),
            lambda peer, body: None,
            lambda peer, reason, dead: None,
            lambda peer: None,
        )
        await asyncio.gather(links.attach(2, first), links.attach(2, second))
        await until(lambda: is_closed(first_peer))
        assert not is_closed(second_peer)

    asyncio.run(scenario())


def test_a_stop_waits_for_what_is_being_written_and_begins_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        control, supervisor = with_a_supervisor()
        log = tmp_path / "log.jsonl"
        settings = config(tmp_path, 1, 1, event_log=str(log), socket=str(tmp_path / "s"))
        node = Node(settings, control, {})
        running = asyncio.create_task(node.run())
        await until(lambda: log.exists() and "leader.elected" in events(log))
        finished: list[int] = []

        def slow() -> None:
            time.sleep(0.2)
            finished.append(1)

        node._disk.run(slow, lambda error: finished.append(2))
        supervisor.send(wire.frame(wire.encode(2, Stop())))
        assert await running == 0
        assert finished == [1]

    asyncio.run(scenario())


async def say(path: Path, request: wire.ClientRequest) -> tuple[wire.ClientReply, bool]:
    """The first answer over a new connection, and whether the node hangs up behind it."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(wire.frame(wire.encode_client(request)))
        (size,) = struct.unpack("!i", await reader.readexactly(4))
        reply = wire.decode_reply(await reader.readexactly(size))
        try:
            ended = await asyncio.wait_for(reader.read(1), 0.1) == b""
        except TimeoutError:
            ended = False
        except ConnectionResetError:
            ended = True
        return reply, ended
    finally:
        writer.close()


def test_who_comes_when_a_node_has_all_its_clients_is_told_so_and_gets_in_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.connections.IDLE_S", 100.0)  # nobody loses its place

    async def scenario() -> None:
        control, supervisor = with_a_supervisor()
        log, path = tmp_path / "log.jsonl", tmp_path / "s"
        settings = config(tmp_path, 1, 1, event_log=str(log), socket=str(path), most_clients=2)
        node = Node(settings, control, {})
        running = asyncio.create_task(node.run())
        await until(lambda: log.exists() and "leader.elected" in events(log))
        held = [await asyncio.open_unix_connection(str(path)) for _ in range(2)]
        await until(lambda: len(node.connections) == 2)

        reply, ended = await say(path, wire.Read(1, [], stale=True))
        assert reply == wire.Redirect(None, "it has as many clients as it may, 2 (limits.clients)")
        assert ended
        with Client({1: path}, timeout_s=0.5) as client, pytest.raises(NoAnswer) as told:
            await asyncio.to_thread(client.submit, b"x")
        assert str(told.value) == (
            "not answered within 0.5 s: node 1 says: it has as many clients as it may, 2 "
            "(limits.clients); the entry may still be committed"
        )
        with Client({1: path}, timeout_s=10) as client:
            waiting = asyncio.create_task(asyncio.to_thread(client.submit, b"x"))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            held.pop()[1].close()
            assert (await waiting).ok
        held.pop()[1].close()
        await until(lambda: not len(node.connections))
        reply, ended = await say(path, wire.Read(1, [], stale=True))
        assert isinstance(reply, wire.ReadResult)
        assert not ended
        supervisor.send(wire.frame(wire.encode(2, Stop())))
        assert await running == 0

    asyncio.run(scenario())


def test_what_is_kept_for_a_supervisor_that_does_not_read_is_bounded(tmp_path: Path) -> None:
    async def scenario() -> None:
        control, supervisor = socket.socketpair()
        channel = ControlChannel(control, lambda body: None, lambda: None)
        for _ in range(5000):
            channel.send(b"x" * 1000)
        assert 0 < len(channel._unsent) <= MAX_UNREAD_STATUS_BYTES + 2000
        supervisor.setblocking(False)
        await until(lambda: not is_closed(supervisor) and not channel._unsent)
        channel.close()

    asyncio.run(scenario())
