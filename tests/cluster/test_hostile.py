"""One client, or one node, that does its worst to a cluster of real processes.

While it does, an honest client goes on: it waits for an answer for no longer than `PATIENCE_S`, no
election comes of it, and no node takes more memory than `MOST_MEMORY`.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from launcher import Cluster
from launcher.client.client import Client
from launcher.client.sockets import Sockets
from launcher.config import load
from launcher.errors import LauncherError, NotRunning
from launcher.folders import lock
from node import wire
from node.machines.sessions import session_id
from node.raft.messages import NodeId
from node.wire import MOST_COMMANDS, Answers, OutOfOrder, Read, Redirect, Refused, Submit
from tests.cluster.lab import eventually
from tests.cluster.load import Background, Load

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

PATIENCE_S = 5.0
"""Of an honest client, on a slow, shared machine: a quarter of what one frame had cost before."""

MOST_MEMORY = 512 << 20
"""Of one node: what its bounds add up to, and what an interpreter takes."""


class Strict(Cluster):
    """A cluster whose nodes can be told to talk nonsense."""

    _entry = "tests.cluster.garbled_node:main"


class MemoryWatch(Background):
    """Notes the most memory that any of the nodes has taken, in bytes."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        pids = [node.pid for node in cluster.status().nodes if node.pid is not None]
        self._nodes = [psutil.Process(pid) for pid in pids]
        self.most = 0

    def work(self) -> None:
        while not self.ends.wait(0.02):
            self.most = max(self.most, *(node.memory_info().rss for node in self._nodes))


def sockets_of(cluster: Cluster) -> Sockets:
    record = lock.running(cluster.config)
    assert record is not None
    return Sockets(cluster.config, Path(record.runtime_dir))


@contextmanager
def strict_cluster(folder: Path, settings: str = "name: strict\n") -> Iterator[Strict]:
    (folder / "cluster.yaml").write_text(settings)
    cluster = Strict(3, config=load(directory=folder))
    try:
        cluster.up()
        yield cluster
    finally:
        with suppress(NotRunning):
            cluster.down()


@contextmanager
def unharmed(cluster: Cluster) -> Iterator[None]:
    """Whatever happens within, the cluster and its honest clients are none the worse for it."""
    term = cluster.status().term
    folder = cluster.config.data_dir.parent
    honest = Load(folder, "ADD honest {}".format, timeout_s=60.0, pause_s=0.01)
    memory = MemoryWatch(cluster)
    with honest, memory:
        honest.goes_on(5)
        yield
        honest.goes_on(5)
        for node in cluster.status().nodes:
            assert (node.state, node.restarts) == ("up", 0), node
    status = cluster.status()
    wait_s = honest.longest_gap_s
    print(f"\nlongest wait {wait_s:.2f} s, {memory.most >> 20} MiB, term {status.term}")
    assert status.term == term, "no election came of it"
    assert wait_s < PATIENCE_S
    assert memory.most < MOST_MEMORY
    cluster.wait(converged=True, timeout_s=60.0)


def leader_of(cluster: Cluster) -> NodeId:
    leader = cluster.wait(leader=True).leader
    assert leader is not None
    return leader


class Hostile:
    """A connection that says what it likes."""

    def __init__(self, cluster: Cluster, node: NodeId) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(sockets_of(cluster)[node]))
        self._reader = wire.FrameReader()
        self._replies: list[wire.ClientReply] = []

    def say(self, body: bytes) -> None:
        self.socket.sendall(wire.frame(body))

    def ask(self, request: wire.ClientRequest) -> wire.ClientReply:
        self.say(wire.encode_client(request))
        return self.hear()

    def hear(self) -> wire.ClientReply:
        while not self._replies:
            data = self.socket.recv(1 << 20)
            assert data, "the node has hung up"
            self._replies += map(wire.decode_reply, self._reader.feed(data))
        return self._replies.pop(0)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Hostile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def new_session() -> bytes:
    return session_id(1, secrets.token_bytes(16))


# -- what it asks for ----------------------------------------------------------------------------


def test_a_frame_that_acknowledges_what_it_only_sends_now_stalls_nobody(tmp_path: Path) -> None:
    """Four million commands in 8 MB, and the number of unacknowledged ones seems to be small."""
    with strict_cluster(tmp_path) as cluster:
        count = 4_000_000
        head = wire.encode_client(Submit(new_session(), 1, count + 1, []))[:-1]
        body = head + b"\xdd" + struct.pack("!I", count) + b"\xc4\x01x" * count
        with unharmed(cluster), Hostile(cluster, leader_of(cluster)) as hostile:
            for _ in range(3):
                hostile.say(body)
                reply = hostile.hear()
                assert isinstance(reply, Refused)
                assert "a request of 4000000 entries, of 4096 at most" in reply.reason


def test_as_many_commands_as_a_client_can_send_stall_nobody(tmp_path: Path) -> None:
    """In legal requests, without waiting for any answer."""
    with strict_cluster(tmp_path) as cluster:
        leader = leader_of(cluster)
        with unharmed(cluster), Hostile(cluster, leader) as hostile:
            session, sequence = new_session(), 1
            answered = threading.Thread(target=hear_all, args=(hostile,), daemon=True)
            answered.start()
            for _ in range(200):
                submit = Submit(session, sequence, sequence, [b"x"] * MOST_COMMANDS)
                with suppress(OSError):  # it was hung up on
                    hostile.say(wire.encode_client(submit))
                sequence += MOST_COMMANDS
            time.sleep(1.0)


def hear_all(hostile: Hostile) -> None:
    with suppress(OSError, AssertionError, ValueError):
        while True:
            hostile.hear()


@pytest.mark.parametrize("reads", [False, True])
def test_long_answers_by_the_thousand_are_an_error_in_the_end(tmp_path: Path, reads: bool) -> None:
    """Two thousand lists of twenty thousand names, some kilobytes of input, are a gigabyte."""
    with strict_cluster(tmp_path) as cluster:
        names = [f"ADD a file with a rather long name {number:06d}" for number in range(20_000)]
        assert all(done.ok for done in cluster.submit_many(names))
        with unharmed(cluster), Hostile(cluster, leader_of(cluster)) as hostile:
            if reads:
                many = hostile.ask(Read(1, [b"LS"] * 500_000, stale=True))
                assert isinstance(many, Refused)
                full = hostile.ask(Read(1, [b"LS"] * MOST_COMMANDS))
                assert isinstance(full, wire.ReadResult)
                results, errors = full.results, full.errors
            else:
                requests = [Submit(new_session(), 1, 1, [b"LS"] * 2000) for _ in range(3)]
                for request in requests:
                    hostile.say(wire.encode_client(request))
                results, errors = [], []
                while len(results) < 6000:
                    reply = hostile.hear()
                    assert isinstance(reply, Answers)
                    errors += [len(results) + position for position in reply.errors]
                    results += reply.results
            assert errors
            given = [result for n, result in enumerate(results) if n not in set(errors)]
            assert len(given) > 15, "what there is room for is answered"
            assert sum(map(len, given)) < 64 << 20
            assert results[errors[0]].startswith((b"not applied: ", b"the answers to this read"))
        for node in cluster.snapshot("all"):
            assert node.note.startswith("of entry")
        for number in (1, 2, 3):
            folder = tmp_path / "data" / f"node-{number}"
            size = max(file.stat().st_size for file in folder.iterdir())
            assert size < 160 << 20, "no snapshot holds all that was asked for"


def test_the_same_request_again_and_again_stalls_nobody(tmp_path: Path) -> None:
    """Its answers are kept: each time they are all to be sent once more."""
    with strict_cluster(tmp_path) as cluster:
        names = [f"ADD a file with a rather long name {number:06d}" for number in range(20_000)]
        assert all(done.ok for done in cluster.submit_many(names))
        with unharmed(cluster), Hostile(cluster, leader_of(cluster)) as hostile:
            body = wire.encode_client(Submit(new_session(), 1, 1, [b"LS"] * 20))
            hostile.socket.settimeout(2.0)
            with suppress(OSError):  # it does not read: it is read no more, or hung up on
                for _ in range(300):
                    hostile.say(body)
            time.sleep(1.0)


# -- what it does with its connections -----------------------------------------------------------


@contextmanager
def connections(cluster: Cluster, node: NodeId, count: int) -> Iterator[Sequence[Hostile]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Hostile(cluster, node)) for _ in range(count)]


def test_silent_connections_lock_nobody_out(tmp_path: Path) -> None:
    with strict_cluster(tmp_path) as cluster:
        leader = leader_of(cluster)
        with unharmed(cluster), connections(cluster, leader, 700):
            for number in range(5):
                with Client(sockets_of(cluster), timeout_s=PATIENCE_S) as client:
                    assert client.submit(b"ADD late %d" % number).ok


def test_frames_that_come_in_part_take_no_memory_without_end(tmp_path: Path) -> None:
    with strict_cluster(tmp_path) as cluster:
        leader = leader_of(cluster)
        with unharmed(cluster), connections(cluster, leader, 20) as hostile:
            part = struct.pack("!i", 60 << 20) + b"x" * (40 << 20)
            for one in hostile:
                with suppress(OSError):  # those with most are hung up on
                    one.socket.sendall(part)


def test_a_long_id_of_a_session_is_not_taken(tmp_path: Path) -> None:
    with strict_cluster(tmp_path) as cluster:
        leader = leader_of(cluster)
        with unharmed(cluster), Hostile(cluster, leader) as hostile:
            reply = hostile.ask(Submit(b"\0" * (60 << 20), 1, 1, [b"x"]))
            assert isinstance(reply, Refused)
            assert "the id of a session has 1 to 64 bytes" in reply.reason


def test_noise_ends_the_connection_that_it_came_over_and_nothing_else(tmp_path: Path) -> None:
    with strict_cluster(tmp_path) as cluster:
        leader = leader_of(cluster)
        with unharmed(cluster):
            for _ in range(50):
                with Hostile(cluster, leader) as hostile:
                    hostile.socket.sendall(os.urandom(5000))
                with Hostile(cluster, leader) as hostile:
                    for _ in range(10):
                        hostile.say(os.urandom(50))
                        assert isinstance(hostile.hear(), Refused | OutOfOrder | Redirect)


# -- nodes ---------------------------------------------------------------------------------------


def pid_of(cluster: Cluster, node: NodeId) -> int:
    pid = cluster.status().node(node).pid
    assert pid is not None
    return pid


@pytest.mark.parametrize("of", ["leader", "follower"])
def test_frames_of_nonsense_between_nodes_are_skipped(tmp_path: Path, of: str) -> None:
    with strict_cluster(tmp_path) as cluster:
        leader = leader_of(cluster)
        node = leader if of == "leader" else leader % 3 + 1
        with unharmed(cluster):
            for _ in range(3):
                os.kill(pid_of(cluster, node), signal.SIGUSR2)
                time.sleep(0.1)
        skipped = [event for event in cluster.timeline() if event.event == "frame.skipped"]
        assert {event.node for event in skipped} == {1, 2, 3} - {node}
        assert not [event for event in cluster.timeline() if event.event == "link.closed"]


def count_of(cluster: Cluster, name: str) -> int:
    return len([event for event in cluster.timeline() if event.event == name])


def has_renewed(cluster: Cluster, count: int) -> bool:
    return count_of(cluster, "link.renewed") >= count


@pytest.mark.parametrize("of", ["leader", "follower"])
def test_a_link_that_is_out_of_step_is_replaced_and_nobody_is_taken_for_dead(
    tmp_path: Path, of: str
) -> None:
    with strict_cluster(tmp_path) as cluster:
        leader = leader_of(cluster)
        node = leader if of == "leader" else leader % 3 + 1
        elections = count_of(cluster, "election.started")
        with unharmed(cluster):
            for times in (1, 2, 3):
                os.kill(pid_of(cluster, node), signal.SIGUSR1)
                eventually(partial(has_renewed, cluster, 2 * times), "both links are renewed")
        assert count_of(cluster, "election.started") == elections


def test_the_supervisor_outlives_noise_on_its_socket(tmp_path: Path) -> None:
    with strict_cluster(tmp_path) as cluster:
        record = lock.running(cluster.config)
        assert record is not None
        path = Path(record.runtime_dir) / "control.sock"
        with unharmed(cluster):
            for _ in range(100):
                with socket.socket(socket.AF_UNIX) as noisy, suppress(OSError):
                    noisy.connect(str(path))
                    noisy.sendall(struct.pack("!i", 60) + os.urandom(60))
                    noisy.recv(1000)
                    noisy.sendall(os.urandom(100))
            with pytest.raises(LauncherError):
                cluster.kill("nobody")
