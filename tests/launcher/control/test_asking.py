"""Asking a supervisor that is stopped, or hangs: whoever asks is told soon, and what to do."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from launcher.client import shared_client
from launcher.client.client import Client
from launcher.client.shared_client import SharedClient
from launcher.config import ClusterConfig
from launcher.control import asking, calling, requests
from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.folders import lock
from launcher.folders.ownership import Running
from launcher.folders.process_identity import ProcessRecord
from node import wire
from tests.launcher.fake_cluster import config_in, fake_cluster, until

STATUS = ClusterStatus(cluster="c", supervisor_pid=1, leader=None, term=0, nodes=[])


class FakeSupervisor:
    """Listens in a thread, in this process; `reply` says what it answers, after how long."""

    def __init__(
        self, folder: Path, reply: Callable[[requests.Request], requests.Reply | None]
    ) -> None:
        self.record = Running(ProcessRecord.of(os.getpid()), folder)
        self.asked: list[requests.Request] = []
        self._reply = reply
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(folder / requests.CONTROL_SOCKET))
        self._socket.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(
                    target=self._serve, args=(self._socket.accept()[0],), daemon=True
                ).start()

    def _serve(self, connection: socket.socket) -> None:
        frames = wire.FrameReader()
        with suppress(OSError):
            while data := connection.recv(1 << 16):
                for body in frames.feed(data):
                    request = msgspec.json.decode(body, type=requests.Request)
                    self.asked.append(request)
                    reply = self._reply(request)
                    if reply is not None:
                        connection.sendall(wire.frame(msgspec.json.encode(reply)))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    """A short one, for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    yield folder
    shutil.rmtree(folder)


def ask(
    supervisor: FakeSupervisor, config: ClusterConfig, monkeypatch: pytest.MonkeyPatch
) -> requests.Reply:
    monkeypatch.setattr(lock, "running", lambda config: supervisor.record)
    monkeypatch.setattr(calling, "_LOOK_INTERVAL_S", 0.05)
    monkeypatch.setattr(asking, "PING_INTERVAL_S", 0.1)
    monkeypatch.setattr(asking, "PING_TIMEOUT_S", 0.5)
    return asking.ask(config, requests.Heal(), 60.0)


def test_a_supervisor_that_hangs_is_noticed(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = FakeSupervisor(folder, lambda request: None)
    began = time.monotonic()

    with pytest.raises(TimedOut, match=r"\(pid \d+\) does not react: `launcher down` ends it"):
        ask(supervisor, config_in(tmp_path), monkeypatch)

    assert time.monotonic() - began < 30
    supervisor.close()


def test_a_supervisor_that_is_busy_is_waited_for(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how its nodes are, several times, while the request takes long."""
    pinged = threading.Event()

    def reply(request: requests.Request) -> requests.Reply:
        if isinstance(request, requests.AskStatus):
            if supervisor.asked.count(request) >= 3:
                pinged.set()
            return requests.Reply(ok=True, status=STATUS)
        pinged.wait(30)
        return requests.Reply(ok=True)

    supervisor = FakeSupervisor(folder, reply)
    assert ask(supervisor, config_in(tmp_path), monkeypatch).ok
    supervisor.close()


@pytest.mark.cluster
def test_a_supervisor_that_is_stopped_is_told_at_once(tmp_path: Path) -> None:
    """Nothing was asked of it, so nothing is done when it goes on."""
    with fake_cluster(tmp_path) as cluster:
        supervisor = cluster.record().process.find()
        assert supervisor is not None
        supervisor.suspend()
        until(lambda: supervisor.status() == psutil.STATUS_STOPPED, "it to be stopped")
        try:
            for act in (cluster.status, lambda: cluster.kill(1)):
                with pytest.raises(LauncherError) as caught:
                    act()
                assert str(caught.value) == (
                    f"the supervisor (pid {supervisor.pid}) is stopped by a signal and answers "
                    f"nobody: `kill -CONT {supervisor.pid}` lets it go on"
                )
                assert not isinstance(caught.value, TimedOut | NotRunning)
        finally:
            supervisor.resume()
        assert [node.state for node in cluster.status().nodes] == ["up"] * 3


@pytest.mark.cluster
def test_a_supervisor_that_is_stopped_while_it_is_waited_for(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.stop(1)
        cluster.behave(1, stubborn=True)
        cluster.start(1)
        supervisor = cluster.record().process.find()
        assert supervisor is not None
        errors: list[BaseException] = []

        def stop() -> None:
            try:
                cluster.stop(1)  # which takes three seconds, and then kills it
            except TimedOut as error:
                errors.append(error)

        until(lambda: not connections(cluster.record()), "the start's connection to be closed")
        thread = threading.Thread(target=stop)
        thread.start()
        until(lambda: connections(cluster.record()), "the request to be there")
        supervisor.suspend()
        try:
            thread.join(30)
            (error,) = errors
            assert "lets it go on; what was asked of it may be done then" in str(error)
        finally:
            supervisor.resume()


def connections(record: Running) -> int:
    """How many operators the supervisor talks to."""
    path = str(record.runtime_dir / requests.CONTROL_SOCKET)
    found = psutil.Process(record.pid).net_connections("unix")
    return sum(str(one.laddr) == path for one in found) - 1  # it listens there too


@pytest.mark.cluster
def test_a_supervisor_whose_control_socket_was_removed_can_still_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LISTEN_PATIENCE_S", 0.2)
    with fake_cluster(tmp_path) as cluster:
        (cluster.record().runtime_dir / requests.CONTROL_SOCKET).unlink()
        with pytest.raises(
            LauncherError, match=r"control\.sock was removed: `launcher down` ends the cluster"
        ) as caught:
            cluster.status()
        assert not isinstance(caught.value, NotRunning)
        assert cluster.down().was_running


# -- threads ---------------------------------------------------------------------------------------


def test_threads_that_begin_at_once_get_one_client(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []

    class SlowClient(Client):
        def __init__(self, *arguments: object, **options: object) -> None:
            made.append(self)
            time.sleep(0.05)

        def close(self) -> None:
            pass

    monkeypatch.setattr(shared_client, "Client", SlowClient)
    monkeypatch.setattr(asking, "runtime_dir", lambda config: tmp_path)
    shared, got = SharedClient(), []
    threads = [
        threading.Thread(target=lambda: got.append(shared.get(config_in(tmp_path))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert set(map(id, got)) == set(map(id, made))


def test_a_lock_that_another_thread_holds_does_not_stop_a_forked_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, leave = threading.Event(), threading.Event()

    class StuckClient(Client):
        def __init__(self, *arguments: object, **options: object) -> None:
            inside.set()
            leave.wait(30)

        def close(self) -> None:
            pass

    monkeypatch.setattr(shared_client, "Client", StuckClient)
    monkeypatch.setattr(asking, "runtime_dir", lambda config: tmp_path)
    shared = SharedClient()
    thread = threading.Thread(target=lambda: shared.get(config_in(tmp_path)))
    thread.start()
    inside.wait(30)
    child = os.fork()
    if not child:
        leave.set()
        shared.get(config_in(tmp_path))
        os._exit(0)
    try:
        until(lambda: os.waitpid(child, os.WNOHANG) == (child, 0), "the child to end", 20)
    except AssertionError:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        leave.set()
        thread.join()
