"""The control channel to one node: what is queued for a node that does not read."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import psutil
import pytest

from launcher.supervisor.lifecycle import End
from launcher.supervisor.processes import NodeProcess
from node import wire
from node.events import HybridClock
from tests.launcher.folders.test_process_identity import ident_by_wall_clock, set_clock_forward


class Recorder:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[wire.ToSupervisor] = []
        self.ends: list[End] = []

    def node_said(self, node: int, message: wire.ToSupervisor) -> None:
        self.said.append(message)

    def node_gone(self, node: int, end: End) -> None:
        self.ends.append(end)


class Ourselves:
    """A process in the role of a node's; `exitcode` is what the forkserver would say."""

    def __init__(self, sentinel: int, pid: int) -> None:
        self.pid = pid
        self.sentinel = sentinel
        self.exitcode: int | None = None


class World:
    def __init__(self, starter: ThreadPoolExecutor, pid: int) -> None:
        self.owner = Recorder()
        ours, self.theirs = socket.socketpair()
        for end in (ours, self.theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self.sentinel, self.death = os.pipe()
        self.process = Ourselves(self.sentinel, pid)
        clock = HybridClock()
        self.node = NodeProcess(7, 1, self.process, ours, clock, self.owner, starter)

    async def read(self) -> tuple[list[wire.ToNode], list[int]]:
        """All that is sent to the node, and the descriptors that come with it."""
        self.theirs.setblocking(False)
        frames, messages, fds = wire.FrameReader(), list[wire.ToNode](), list[int]()
        idle = 0
        while idle < 5:  # the sender goes on when the loop finds its socket writable again
            try:
                data, more, _, _ = socket.recv_fds(self.theirs, 1 << 16, 64)
            except BlockingIOError:
                idle += 1
                await asyncio.sleep(0.001)
                continue
            idle = 0
            fds += more
            messages += [wire.decode_to_node(body)[1] for body in frames.feed(data)]
        return messages, fds

    async def die(self, status: int | None) -> None:
        self.process.exitcode = status
        os.close(self.death)
        await asyncio.wait_for(self.node.gone.wait(), 10)


@asynccontextmanager
async def world(pid: int | None = None) -> AsyncIterator[World]:
    with ThreadPoolExecutor(1) as starter:
        made = World(starter, os.getpid() if pid is None else pid)
        try:
            yield made
        finally:
            if not made.node.gone.is_set():
                await made.die(0)
            made.theirs.close()
            os.close(made.sentinel)


def link() -> tuple[Connection, Connection]:
    return Pipe()


def test_a_node_that_does_not_read_gets_the_last_link_to_each_peer() -> None:
    """Pitfalls, Launchers 11: nobody is stalled; and what waits for it is bounded."""

    async def run() -> None:
        async with world() as it:
            before = psutil.Process().num_fds()
            for life in range(1, 301):
                for peer in (1, 2, 3):
                    near, far = link()
                    it.node.send_link(peer, life, far)
                    near.close()
            assert psutil.Process().num_fds() <= before + 3

            messages, fds = await it.read()

            links = [message for message in messages if isinstance(message, wire.NewLink)]
            assert len(links) == len(messages) == len(fds) < 900
            assert {link.peer: link.life for link in links} == {1: 300, 2: 300, 3: 300}
            for fd in fds:
                os.close(fd)

    asyncio.run(run())


def test_messages_keep_their_order_around_links() -> None:
    async def run() -> None:
        async with world() as it:
            for request in range(1, 501):
                it.node.send(wire.GetStatus(request))
            near, far = link()
            it.node.send_link(2, 1, far)
            it.node.send(wire.Stop())

            messages, fds = await it.read()

            assert messages == [
                *(wire.GetStatus(request) for request in range(1, 501)),
                wire.NewLink(2, 1),
                wire.Stop(),
            ]
            near.close()
            received = socket.socket(fileno=fds[0])
            assert received.recv(1) == b"", "nobody else holds a copy of either end"
            received.close()

    asyncio.run(run())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there are only wall clocks")
def test_a_node_gets_its_signal_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """`launcher kill` did nothing, and said that the node had survived SIGKILL."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

    async def run() -> None:
        async with world(child.pid) as it:
            set_clock_forward(monkeypatch)
            it.node.signal(signal.SIGKILL)
            assert child.wait(10) == -signal.SIGKILL

    try:
        monkeypatch.setattr(psutil.Process, "_get_ident", ident_by_wall_clock)
        asyncio.run(run())
    finally:
        child.kill()
        child.communicate()


def test_the_last_words_of_a_node_that_never_read_are_heard() -> None:
    """It exits with our messages unread, so writing to it fails before all of it is read."""

    async def run() -> None:
        async with world() as it:
            it.node.send(wire.GetStatus(1))
            said = wire.Failed("the disk is on fire", retry=True)
            it.theirs.sendall(wire.frame(wire.encode(1, said)))
            it.theirs.close()
            it.node.send(wire.Stop())

            await it.die(1)

            assert it.owner.ends == [End(1, "the disk is on fire", retry=True)]

    asyncio.run(run())


def test_nonsense_ends_the_conversation_and_is_told() -> None:
    async def run() -> None:
        async with world() as it:
            it.theirs.sendall(wire.frame(b"\xc1 nonsense"))

            await it.die(0)

            assert "said what nobody understands" in it.owner.ends[0].reason

    asyncio.run(run())


def test_links_for_a_node_that_is_gone_are_closed() -> None:
    async def run() -> None:
        async with world() as it:
            await it.die(0)
            near, far = link()

            it.node.send_link(1, 1, far)

            assert near.poll(10)  # end of file: no copy of the other end is left
            near.close()

    asyncio.run(run())
