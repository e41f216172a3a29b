"""The floor: what it answers is on a majority of its files."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from array import array
from pathlib import Path

import psutil
import pytest

from launcher.benchmark import baseline

RECORD = struct.Struct("!QII")
SIZE = 40
FRAME = struct.pack("!I", SIZE) + b"x" * SIZE


def entries_in(file: Path) -> int:
    """How many entries a file holds: records without a gap, each with the frames it says."""
    data, position, last = file.read_bytes(), 0, 0
    while position + RECORD.size <= len(data):
        first, count, size_bytes = RECORD.unpack_from(data, position)
        if not count:
            break
        position += RECORD.size
        assert first == last + 1
        assert data[position : position + size_bytes] == FRAME * count
        position += size_bytes
        last += count
    assert not any(data[position:]), "zeros up to the end"
    return last


def run(folder: Path, nodes: int, window: int) -> list[dict[str, object]]:
    """Runs the program for a moment; what it said, and the processes that it left behind."""
    words = f"--nodes {nodes} --window {window} --size {SIZE} --warm-up 0.1 --duration 0.3"
    command = [sys.executable, "-I", baseline.__file__, *words.split(), "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--latencies", str(folder / "latencies")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("nodes", "window"), [(1, 1), (3, 16), (4, 1), (5, 256)])
def test_what_is_answered_is_on_a_majority(tmp_path: Path, nodes: int, window: int) -> None:
    there, begun, ended = run(tmp_path, nodes, window)

    assert begun == {"begun": True}
    entries = ended["entries"]
    assert isinstance(entries, int)
    assert entries > 0
    held = sorted(entries_in(tmp_path / f"floor-{n}.log") for n in range(1, nodes + 1))
    assert held[(nodes - 1) // 2] >= entries, "a majority has at least so many"
    latencies = array("d", (tmp_path / "latencies").read_bytes())
    assert len(latencies) == entries
    assert 0 < min(latencies) <= max(latencies) < 60
    servers = there["servers"]
    assert isinstance(servers, list)
    assert len(servers) == nodes
    assert not any(psutil.pid_exists(pid) for pid in servers)


def test_a_leader_answers_only_what_a_majority_has(tmp_path: Path) -> None:
    """Of five, itself and two: so it waits for the second acknowledgement."""
    client, near_client = socket.socketpair()
    pairs = [socket.socketpair() for _ in range(4)]
    followers = [end for _, end in pairs]
    for end in (client, *followers):
        end.settimeout(30)
    file = baseline.File(tmp_path / "leader.log", 1 << 16)
    leader = threading.Thread(
        target=baseline.lead, args=(near_client, [end for end, _ in pairs], file)
    )
    leader.start()
    try:
        client.sendall(FRAME * 2 + FRAME[:7])
        for follower in followers:
            assert follower.recv(1 << 16) == RECORD.pack(1, 2, len(FRAME) * 2) + FRAME * 2
        followers[3].sendall(struct.pack("!Q", 2))
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(8)
        client.settimeout(30)
        followers[0].sendall(struct.pack("!Q", 2))
        assert client.recv(8) == struct.pack("!Q", 2)
        client.sendall(FRAME[7:])  # the rest of the third
        assert followers[1].recv(1 << 16) == RECORD.pack(3, 1, len(FRAME)) + FRAME
    finally:
        client.close()
        leader.join(30)
    assert entries_in(tmp_path / "leader.log") == 3


def test_a_full_file_is_used_from_its_beginning(tmp_path: Path) -> None:
    file = baseline.File(tmp_path / "file.log", 100)
    for letter in b"abcd":
        file.append(bytes([letter]) * 40)
    assert (tmp_path / "file.log").read_bytes() == b"c" * 40 + b"d" * 40 + bytes(20)
    assert os.path.getsize(tmp_path / "file.log") == 100


def test_it_knows_nothing_of_ours() -> None:
    text = Path(baseline.__file__).read_text()
    assert "import launcher" not in text
    assert "from launcher" not in text
    assert "from node" not in text
