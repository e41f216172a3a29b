"""The floor: what replicating entries costs on this machine when there is no Raft in it.

    python launcher/benchmark/baseline.py --nodes 5 --window 256 --size 256 --folder F

A client keeps `window` entries unanswered, each a frame of its own, over a pipe. A leader takes
what waits as one batch, sends it to the followers over a pipe each, and beside that writes it to
its own file and syncs it (fdatasync; on macOS F_FULLFSYNC). A follower writes, syncs, acknowledges.
The client is answered, with how many entries are done, when a majority of the disks has them. The
files are preallocated, filled with zeros, and used again from their beginning when they are full.

A pipe is what a duplex `multiprocessing.Pipe` is made of, a pair of sockets; it is written to with
send, so that the system does not count that among the bytes which a process writes to files.

No terms, no votes, no log to look things up in, no machine, no client sessions, no checksums, no
retries, no events, no recovery. One thing it does not spare itself: each entry is sent by a system
call of its own, as programs that know nothing of each other would send theirs; so with one node,
where nothing else costs much, a client that packs entries together can be ahead of it. So that
nothing else is measured, only the standard library is imported here, and nothing of this project.

The program is a load generator (see `measure.py` for what it says and when):

    {"servers": [pid, ...], "client": pid}        the processes are there
    {"begun": true}                               it has warmed up, and begins to measure
    {"ended": true, "entries": n, "seconds": s}   so much was answered since; all still run

and then waits for the end of its standard input. `--latencies FILE` receives the seconds that each
of these entries took, as doubles.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import select
import socket
import struct
import sys
import time
from array import array
from collections import deque
from contextlib import suppress
from pathlib import Path

FILE_BYTES = 16 << 20
RECEIVE_BYTES = 1 << 20

_LENGTH = struct.Struct("!I")
_NUMBER = struct.Struct("!Q")
_RECORD = struct.Struct("!QII")
"""What stands before a batch, in a file and on its way: its first entry's number, how many entries,
and how many bytes."""


class File:
    """A preallocated file of zeros, written record after record, synced after each."""

    def __init__(self, path: Path, size_bytes: int = FILE_BYTES) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._size_bytes = size_bytes
        self._position = 0
        for offset in range(0, size_bytes, 1 << 20):
            os.pwrite(self._descriptor, bytes(min(1 << 20, size_bytes - offset)), offset)
        os.fsync(self._descriptor)

    def append(self, record: bytes) -> None:
        """Returns when the record is on the disk."""
        if self._position + len(record) > self._size_bytes:
            self._position = 0
        self._position += os.pwrite(self._descriptor, record, self._position)
        _sync(self._descriptor)


if sys.platform == "darwin":
    import fcntl

    def _sync(descriptor: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync stops at the drive's own cache
else:
    _sync = os.fdatasync


# -- the servers ---------------------------------------------------------------------------------


def follow(leader: socket.socket, file: File) -> None:
    """Writes, syncs and acknowledges each record, until the leader hangs up."""
    while head := _receive(leader, _RECORD.size):
        first, count, size_bytes = _RECORD.unpack(head)
        file.append(head + _receive(leader, size_bytes))
        leader.sendall(_NUMBER.pack(first + count - 1))


def lead(client: socket.socket, followers: list[socket.socket], file: File) -> None:
    """Replicates what the client sends, until it hangs up."""
    entries = Entries(client)
    peers = {follower.fileno(): follower for follower in followers}
    acknowledged = dict.fromkeys(peers, 0)
    own, answered = 0, 0
    poll = select.poll()
    for descriptor in [*peers, client.fileno()]:
        poll.register(descriptor, select.POLLIN)
    while not entries.ended:
        for descriptor, _ in poll.poll():
            if descriptor in peers:
                acknowledged[descriptor] = _number(peers[descriptor])
                continue
            batch, count = entries.take()
            if count:
                record = _RECORD.pack(own + 1, count, len(batch)) + batch
                for follower in followers:
                    follower.sendall(record)
                file.append(record)
                own += count
        done = sorted([own, *acknowledged.values()], reverse=True)[(len(peers) + 1) // 2]
        if done > answered:
            answered = done
            client.sendall(_NUMBER.pack(done))


class Entries:
    """The frames that a client sends, taken as many at a time as wait."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._rest = b""
        self.ended = False

    def take(self) -> tuple[bytes, int]:
        """The whole frames that have come, as they came, and how many they are."""
        received = self._client.recv(RECEIVE_BYTES)
        self.ended = not received
        data = self._rest + received
        position, count, size = 0, 0, len(data)
        while position + 4 <= size:
            after = position + 4 + _LENGTH.unpack_from(data, position)[0]
            if after > size:
                break
            position = after
            count += 1
        self._rest = data[position:]
        return data[:position], count


def _receive(pipe: socket.socket, size_bytes: int) -> bytes:
    """Exactly this many bytes; or none, when the other end is closed."""
    return pipe.recv(size_bytes, socket.MSG_WAITALL)


def _number(pipe: socket.socket) -> int:
    (number,) = _NUMBER.unpack(_receive(pipe, _NUMBER.size))
    return int(number)


# -- the client ----------------------------------------------------------------------------------


def submit(
    leader: socket.socket, window: int, size_bytes: int, warm_up_s: float, duration_s: float
) -> tuple[array[float], float]:
    """Keeps `window` entries unanswered; returns what each took, and in how many seconds.

    Each entry is handed over by itself, as it would be by programs that know nothing of each other.
    What is answered while it warms up does not count; it says when that is over.
    """
    frame = _LENGTH.pack(size_bytes) + b"x" * size_bytes
    clock = time.perf_counter
    sent_at: deque[float] = deque()
    latencies: array[float] = array("d")
    answered, free = 0, window
    begun, began_at = False, clock() + warm_up_s
    while True:
        for _ in range(free):
            sent_at.append(clock())
            leader.sendall(frame)
        done, now = _number(leader), clock()
        free, answered = done - answered, done
        took = [now - sent_at.popleft() for _ in range(free)]
        if begun:
            latencies.extend(took)
            if now - began_at >= duration_s:
                break
        elif now >= began_at:
            begun, began_at = True, now
            say(begun=True)
    sent = answered + len(sent_at)
    while answered < sent:
        answered = _number(leader)
    return latencies, now - began_at


def say(**what: object) -> None:
    """A line on standard output."""
    print(json.dumps(what), flush=True)


# -- the processes -------------------------------------------------------------------------------


def main() -> None:
    """The client is this process; the servers are forked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--window", type=int, default=256, help="entries unanswered")
    parser.add_argument("--size", type=int, default=256, help="bytes of an entry")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds")
    parser.add_argument("--duration", type=float, default=2.0, help="seconds")
    parser.add_argument("--folder", type=Path, required=True, help="where the files go")
    parser.add_argument("--latencies", type=Path, help="where the seconds of each entry go")
    asked = parser.parse_args()
    files = [File(asked.folder / f"floor-{n}.log") for n in range(1, asked.nodes + 1)]
    client, servers = start(files)
    say(servers=[server.pid for server in servers], client=os.getpid())
    latencies, seconds = submit(client, asked.window, asked.size, asked.warm_up, asked.duration)
    if asked.latencies is not None:
        asked.latencies.write_bytes(latencies.tobytes())
    say(ended=True, entries=len(latencies), seconds=seconds)
    sys.stdin.read()
    client.close()
    for server in servers:
        server.join()


def start(files: list[File]) -> tuple[socket.socket, list[multiprocessing.process.BaseProcess]]:
    """The client's end of its pipe, and a server for each file, the leader first.

    Only the two ends of a pipe hold it, so that whoever ends takes the others along.
    """
    context = multiprocessing.get_context("fork")
    client, leader = socket.socketpair()
    pairs = [socket.socketpair() for _ in files[1:]]
    near = [end for end, _ in pairs]
    far = [end for _, end in pairs]

    def run_leader() -> None:
        _close([client, *far])
        with suppress(OSError):  # the client was killed
            lead(leader, near, files[0])

    def run_follower(number: int) -> None:
        _close([client, leader, *near, *far[:number], *far[number + 1 :]])
        with suppress(OSError):  # the leader has ended, and needs no answer
            follow(far[number], files[number + 1])

    servers = [context.Process(target=run_leader)]
    servers += [context.Process(target=run_follower, args=(number,)) for number in range(len(far))]
    for server in servers:
        server.start()
    _close([leader, *near, *far])
    return client, list(servers)


def _close(ends: list[socket.socket]) -> None:
    for end in ends:
        end.close()


if __name__ == "__main__":
    main()
