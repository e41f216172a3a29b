"""The control socket: what no command line would send is refused as the command line refuses it,
and no client of it keeps an operator out."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from launcher.control import calling, requests
from launcher.control.bounds import MOST_LINK_FAULTS, MOST_TARGET_CHARACTERS
from launcher.control.links import LinkChange
from launcher.control.requests import Request
from launcher.errors import UsageError
from launcher.supervisor import listener
from launcher.supervisor.printed import MAX_BYTES
from node.wire import DiskFault, LinkFault
from tests.launcher.control.test_requests import ask, connect
from tests.launcher.fake_cluster import FakeCluster, fake_cluster, until

NINES = "9" * 5000
TARGETS = ["x" * (MOST_TARGET_CHARACTERS + 1)]

CUT = LinkChange(cut=True)

NONSENSE: list[tuple[Request, str]] = [
    (requests.AskLogs([1], 0, 1), "the first entry of a log has index 1"),
    (requests.AskLogs([1], 1 << 63, 1), "the first entry of a log has index 1"),
    (requests.AskLogs([1], 1, 0), "log shows 1 to 1000 entries at a time, not 0"),
    (requests.AskLogs([1], 1, 1001), "log shows 1 to 1000 entries at a time, not 1001"),
    (requests.AskLogs([1] * 1000, 1, 1), "log takes at most"),
    (requests.Kill(["1"], NINES), "there is no signal '999"),
    (requests.Kill(["1"], ""), "there is no signal"),
    (requests.Kill(["1"], "TERM", power=True), "a loss of power sends no SIGTERM"),
    (requests.Kill(["1"], torn=True), "--torn is for a loss of power"),
    (requests.Kill(TARGETS), "the targets may have 4096 characters"),
    (requests.StopNodes(["1"] * MOST_TARGET_CHARACTERS), "the targets may have 4096 characters"),
    (requests.RestartNodes(TARGETS, rolling=True), "the targets may have 4096 characters"),
    (requests.AddNodes(0), "add takes a number of nodes from 1 to 31"),
    (requests.AddNodes(-(10**30)), "add takes a number of nodes from 1 to 31"),
    (requests.AddNodes(10**30), "add takes a number of nodes from 1 to 31"),
    (requests.Partition("1|" * MOST_TARGET_CHARACTERS), "a partition may have 4096 characters"),
    (requests.SetDisks(["1"], DiskFault("slow-disk", 1e308)), "slow takes a duration"),
    (requests.SetDisks(["1"], DiskFault("slow-disk", -1.0)), "slow takes a duration"),
    (requests.SetDisks(["1"], DiskFault("slow-disk")), "slow takes a duration"),
    (requests.SetDisks(["1"], DiskFault("hang-disk", 1.0)), "hang-disk takes no delay"),
    (requests.SetLinks([LinkFault(source=1, target=2, delay_s=1e308)]), "from 0 to 3600"),
    (requests.SetLinks([LinkFault(source=1, target=2, jitter_s=-0.1)]), "from 0 to 3600"),
    (requests.SetLinks([LinkFault(source=1, target=2, loss=1.5)]), "loss is a probability"),
    (requests.SetLinks([LinkFault(source=10**30, target=2)]), "ids from 1 to 1000000000"),
    (requests.SetLinks([LinkFault(source=1, target=0)]), "ids from 1 to 1000000000"),
    (
        requests.SetLinks([LinkFault(source=1, target=2)] * (MOST_LINK_FAULTS + 1)),
        "the links can have 4096 faults, not 4097",
    ),
    (
        requests.SetLinks([LinkFault(source=1, target=2, delay_s=3600.0)] * 2),
        "delay_s is a number of seconds, from 0 to 3600",
    ),
    (
        requests.ChangeLinks("", CUT, [(1, 2)] * (MOST_LINK_FAULTS + 1)),
        "a request names 4096 links, not 4097",
    ),
    (requests.ChangeLinks("", CUT, [(10**30, 1)]), "a node has an id from 1 to 1000000000"),
    (requests.ChangeLinks("", CUT, [(0, 1)]), "a node has an id from 1 to 1000000000"),
    (requests.ChangeLinks("", CUT, [(2, 2)]), "a link leads from one node to another, not to"),
    (requests.AskLogs([10**30], 1, 1), "a node has an id from 1 to 1000000000"),
    (requests.NoteChaos("injected", nodes=[-1]), "a node has an id from 1 to 1000000000"),
    (requests.NoteChaos("failed", why="x" * 5000), "a note may have 4096 characters, not 5000"),
    (requests.NotePage("x" * 5000), "a note may have 4096 characters, not 5000"),
]
named = pytest.mark.parametrize(
    ("request_", "reason"), NONSENSE, ids=lambda value: value if isinstance(value, str) else ""
)


@named
def test_a_request_that_makes_no_sense_is_refused_before_it_is_sent(
    request_: Request, reason: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        calling.call(Path("nobody listens"), request_, 1.0)
    assert reason in str(refusal.value)
    assert len(str(refusal.value)) < 300


@pytest.mark.cluster
def test_the_socket_refuses_what_the_command_line_refuses_and_goes_on(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        for request, reason in NONSENSE:
            with connect(cluster) as connection:
                answer = ask(connection, msgspec.json.encode(request))
                assert (answer["ok"], answer["exit_status"]) == (False, 2), reason
                assert reason in answer["error"]
                assert len(answer["error"]) < 300
            assert cluster.status().leader == 1, "every later command works"
        for target in (NINES, NINES[:4000], f"n{NINES[:4000]}", NINES[:10]):
            with connect(cluster) as connection:
                answer = ask(connection, json.dumps({"op": "stop", "targets": [target]}).encode())
                assert answer["exit_status"] == 2
                assert answer["error"].startswith(("unknown target '", "the targets may have"))
                assert len(answer["error"]) < 300
        with connect(cluster) as connection:
            deep = b'{"op":"kill","x":' + b"[" * 100_000
            assert ask(connection, deep)["error"].startswith("not a request: ")
            answer = ask(connection, json.dumps({"op": "two\nlines" + NINES}).encode())
            assert answer["error"].startswith("not a request: Invalid value 'two lines999")
            assert len(answer["error"]) <= 300
        assert cluster.config.supervisor_stderr.read_bytes() == b"", "nothing was printed"


@pytest.mark.cluster
def test_a_request_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        most = listener.MAX_REQUEST_BYTES
        with connect(cluster) as connection:
            longest = json.dumps({"op": "status", "x": ""}).encode()
            longest = longest[:-2] + b"x" * (most - len(longest)) + longest[-2:]
            assert len(longest) == most
            assert ask(connection, longest)["ok"]
            connection.settimeout(listener.REQUEST_TIMEOUT_S / 2)
            connection.sendall(struct.pack("!i", most + 1) + b"{")
            assert connection.recv(1) == b"", "the connection is closed before the rest comes"
        assert cluster.status().leader == 1


# -- connections ---------------------------------------------------------------------------------


@contextlib.contextmanager
def many(cluster: FakeCluster, count: int) -> Iterator[list[socket.socket]]:
    """So many connections; half of them have sent a part of a request."""
    with ExitStack() as open_ones:
        sockets = []
        for number in range(count):
            one = open_ones.enter_context(_connected(cluster))
            if number % 2:
                with contextlib.suppress(BrokenPipeError):  # it was hung up on already
                    one.send(b"\x00\x00\x00")
            sockets.append(one)
        yield sockets


def _connected(cluster: FakeCluster) -> socket.socket:
    while True:
        with contextlib.suppress(BlockingIOError):  # those before it are not all let in yet
            return connect(cluster)
        time.sleep(0.01)


@pytest.mark.cluster
def test_half_open_connections_keep_nobody_out(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        supervisor = cluster.processes()[0].pid
        with many(cluster, 1100):
            for _ in range(3):
                assert cluster.status().leader == 1
                cluster.kill(2)
                cluster.start(2)
            open_files = len(os.listdir(f"/proc/{supervisor}/fd"))
            assert open_files < 200, "and the supervisor has not used up its descriptors"
        assert cluster.config.supervisor_stderr.read_bytes() == b"", "nothing was printed"


@pytest.mark.cluster
def test_connections_that_are_all_new_keep_others_out_for_a_moment_only(tmp_path: Path) -> None:
    """Who comes then is told so; those that come later find room again."""
    with fake_cluster(tmp_path) as cluster, many(cluster, listener.MOST_CONNECTIONS + 5):
        until(lambda: cluster.status().leader == 1, "room")


@pytest.mark.cluster
def test_requests_under_way_are_not_cut_off_by_those_who_come(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.behave(2, silent=True)
        cluster.kill(2)
        with connect(cluster) as waiting:
            body = b'{"op":"start","targets":["2"]}'
            waiting.sendall(len(body).to_bytes(4, "big") + body)
            with many(cluster, 200):
                assert cluster.status().leader == 1
                waiting.setblocking(False)
                with pytest.raises(BlockingIOError):
                    waiting.recv(1)  # neither answered nor hung up on


@pytest.mark.cluster
def test_who_sends_no_whole_request_is_hung_up_on_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setattr(listener, "REQUEST_TIMEOUT_S", 0.2)

    async def answer(request: Request) -> requests.Reply:
        return requests.Reply(ok=True)

    async def scenario() -> None:
        server = await listener.serve(tmp_path / "s", answer)
        async with server:
            for part in (b"", b"\x00\x00", b"\x00\x00\x00\x20{"):
                reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
                writer.write(part)
                began = time.monotonic()
                assert await asyncio.wait_for(reader.read(), 20) == b""
                assert time.monotonic() - began < 10
                writer.close()

    asyncio.run(scenario())


def test_who_does_not_read_its_answer_is_hung_up_on_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setattr(listener, "REQUEST_TIMEOUT_S", 0.3)
    answered: list[Request] = []

    async def answer(request: Request) -> requests.Reply:
        answered.append(request)
        return requests.Reply(ok=False, error="x" * (4 << 20))

    async def scenario() -> None:
        server = await listener.serve(tmp_path / "s", answer)
        async with server:
            with socket.socket(socket.AF_UNIX) as lazy:
                lazy.connect(str(tmp_path / "s"))
                body = b'{"op":"status"}'
                lazy.sendall((len(body).to_bytes(4, "big") + body) * 2)
                await asyncio.sleep(1.0)
                lazy.setblocking(False)
                size = 0
                with contextlib.suppress(ConnectionResetError):
                    while data := lazy.recv(1 << 20):
                        size += len(data)
                assert size < 4 << 20, "the rest was not waited for"
                assert len(answered) == 1

    asyncio.run(scenario())


# -- what is printed -----------------------------------------------------------------------------


def test_what_is_printed_is_bounded_and_the_last_of_it_kept(tmp_path: Path) -> None:
    """The file is open in many processes, which append to it."""
    path = tmp_path / "supervisor.stderr"
    script = (
        "import sys, pathlib; from launcher.supervisor import printed\n"
        "path = pathlib.Path(sys.argv[1]);\n"
        "for n in range(3000):\n"
        "    print('line', n, 'x' * 60, file=sys.stderr, flush=True);"
        "    printed.keep_bounded(path, 50_000)\n"
        "print('the end', file=sys.stderr)\n"
    )
    with path.open("ab") as file:
        subprocess.run([sys.executable, "-c", script, str(path)], stderr=file, check=True)
    assert path.stat().st_size <= 50_100
    assert path.with_name("supervisor.stderr.1").stat().st_size <= 50_100
    lines = path.read_text().splitlines()
    assert lines[-1] == "the end"
    assert lines[0].startswith("line ")
    assert MAX_BYTES <= 16 << 20


def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"x" * 100)
    script = (
        "import sys, pathlib; from launcher.supervisor import printed\n"
        "printed.keep_bounded(pathlib.Path(sys.argv[1]), 10)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert path.read_bytes() == b"x" * 100
