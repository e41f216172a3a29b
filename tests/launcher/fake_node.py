"""A node that speaks the control protocol and nothing else: what the supervisor's tests start.

Who leads is a matter of the pipes alone: the lowest id among a node and the peers whose pipes are
open. So when every node agrees on the leader, every pipe has reached both its ends; and when a node
dies, the others can only know it from end-of-file. Each change of the leader begins a new term,
which the fakes of one cluster take from one file: so no term has two leaders, and terms only rise.

What else it does stands in the file `behave` of its data folder, a JSON object:

    {"fail": "reason", "retry": false}      says Failed and exits with 1, or 3 without retry
    {"exit": 7}                             exits at once, without a word
    {"exit": 7, "times": 2}                 only in its first two lives after that
    {"stubborn": true}                      takes no notice of Stop and SIGTERM
    {"silent": true}                        runs, and never says a word
    {"tells_no_log": true}                  says how it is, and never what is in its log
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from node import wire
from node.events import EventLog, HybridClock
from node.raft.membership import stable


class FakeNode:
    def __init__(self, config: wire.NodeConfig, control: socket.socket, behave: Any) -> None:
        self.config = config
        self.control = control
        self.behave = behave
        self.clock = HybridClock()
        self.events = EventLog(Path(config.event_log), config.node_id, config.life, self.clock)
        self.frames = wire.FrameReader()
        self.fds: list[int] = []
        self.peers: dict[int, socket.socket] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ, None)
        self.faults = len(config.faults)
        self.disk = wire.SetDiskFault(None)
        self.moved = config.clock
        self.fault_ids: list[int] = []

    def attach(self, peer: int, pipe: socket.socket) -> None:
        self.drop(peer)
        pipe.setblocking(False)  # what was readable a moment ago may have been replaced since
        self.peers[peer] = pipe
        self.selector.register(pipe, selectors.EVENT_READ, peer)

    def drop(self, peer: int) -> None:
        old = self.peers.pop(peer, None)
        if old is not None:
            self.selector.unregister(old)
            old.close()

    def say(self, message: wire.ToSupervisor) -> None:
        self.control.sendall(wire.frame(wire.encode(self.clock.tick(), message)))

    def leave(self) -> None:
        with contextlib.suppress(OSError):
            self.say(wire.Stopping("a signal"))
        os._exit(0)

    def status(self, request: int) -> None:
        if self.behave.get("silent"):
            return
        leader = min([self.config.node_id, *self.peers])
        term = term_of(leader, Path(self.config.event_log).parent / "fake-term")
        self.say(
            wire.Status(
                request=request,
                role="leader" if leader == self.config.node_id else "follower",
                term=term,
                leader=leader,
                voter=True,
                membership=stable(self.config.voters),
                membership_committed=True,
                first_index=1,
                last_index=10,
                commit_index=10,
                commit_term=1,
                applied_index=self.faults,
                snapshot_index=0,
                digest="",
                disk_fault=self.disk.fault,
                faults=sorted([*self.fault_ids, *self.disk.ids, *self.moved.ids]),
            )
        )

    def log(self, asked: wire.GetLog) -> None:
        """Ten entries, whose commands name the node; more than are asked for are not told."""
        first, node = asked.first_index, self.config.node_id
        entries = [
            wire.LogEntry(index, 1, "command", b"of n%d" % node, 5)
            for index in range(first, min(10, first + asked.most_entries - 1) + 1)
        ]
        self.say(
            wire.LogPart(
                request=asked.request,
                role="follower",
                term=1,
                voted_for=1,
                commit_index=10,
                first_index=1,
                last_index=10,
                snapshot_index=0,
                entries=entries,
            )
        )

    def run(self) -> int:
        self.events.emit("info", "node.started", 1, "follower", 0, pid=os.getpid())
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    if not self.hear():
                        return 0
                elif key.data in self.peers and self.read(key.data):
                    self.status(0)

    def read(self, peer: int) -> bool:
        """Whether the peer has gone."""
        try:
            gone = not self.peers[peer].recv(1 << 16)
        except BlockingIOError:
            gone = False
        except ConnectionResetError:
            gone = True
        if gone:
            self.drop(peer)
        return gone

    def hear(self) -> bool:
        """Whether to go on."""
        data, fds, _, _ = socket.recv_fds(self.control, 1 << 16, 64)
        self.fds += fds
        if not data:
            return False
        for body in self.frames.feed(data):
            _, message = wire.decode_to_node(body)
            match message:
                case wire.Stop():
                    if not self.behave.get("stubborn"):
                        return False
                case wire.SetFaults(faults, ids):
                    self.faults, self.fault_ids = len(faults), ids
                case wire.SetDiskFault():
                    self.disk = message
                case wire.SetClock():
                    if not self.behave.get("deaf"):
                        self.moved = message
                case wire.NewLink(peer, _):
                    self.attach(peer, socket.socket(fileno=self.fds.pop(0)))
                    self.status(0)
                case wire.GetStatus(request):
                    self.status(request)
                case wire.GetLog():
                    if not self.behave.get("tells_no_log"):
                        self.log(message)
        return True


def term_of(leader: int, file: Path) -> int:
    """The term in which it leads: the last one, or a new one when that had another leader.

    The first is 2: what is in the logs is of term 1, and committed before. The file has a line for
    each change, which one write appends: a fake that is killed leaves it whole.
    """
    with file.open("a+b", buffering=0) as shared:
        fcntl.flock(shared, fcntl.LOCK_EX)
        shared.seek(0)
        leaders = [int(line) for line in shared.read().split()]
        if not leaders or leaders[-1] != leader:
            leaders.append(leader)
            shared.write(b"%d\n" % leader)
        return 1 + len(leaders)


def main(config_bytes: bytes, control: Connection, pipes: dict[int, Connection]) -> None:
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # As the real node does it: without this copy, the forkserver dies with the supervisor.
    os.close(vars(vars(forkserver)["_forkserver"])["_forkserver_alive_fd"])
    config = wire.decode_config(config_bytes)
    assert set(pipes) == set(config.peers)
    file = Path(config.data_dir) / "behave"
    behave = json.loads(file.read_text()) if file.exists() else {}
    if "times" in behave:
        behave["times"] -= 1
        file.write_text(json.dumps(behave if behave["times"] else {}))
    if "exit" in behave:
        os._exit(behave["exit"])
    node = FakeNode(config, socket.socket(fileno=os.dup(control.fileno())), behave)
    control.close()
    stop = signal.SIG_IGN if behave.get("stubborn") else lambda *_: node.leave()
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    if "fail" in behave:
        retry = behave.get("retry", True)
        node.say(wire.Failed(behave["fail"], retry))
        os._exit(1 if retry else 3)
    for peer, pipe in pipes.items():
        node.attach(peer, socket.socket(fileno=os.dup(pipe.fileno())))
        pipe.close()
    os._exit(node.run())
