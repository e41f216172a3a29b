"""A node that, when it is told to by a signal, sends its peers what makes no sense.

SIGUSR1     bytes that are no stream of frames, over each of its links
SIGUSR2     frames of nonsense over each of its links: some that are no messages, some that are
SIGRTMIN    the content of a file over each of its links (`words_for`), which is removed then
"""

from __future__ import annotations

import asyncio
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socket

from node import wire
from node.process import node, process
from node.process.transport import Link, PipeLinks
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshotReply,
    NodeId,
    RequestVote,
)

NO_FRAME = b"\x7f\xff\xff\xff"


def words_for(data_dir: Path) -> Path:
    """Where a node with this data folder finds what it is to say."""
    return data_dir.with_name(f"{data_dir.name}-says")


def nonsense(node_id: NodeId) -> list[bytes]:
    far = 1 << 40
    return [
        b"no message",
        wire.encode(2**64 - 1, RequestVote(1, node_id, 0, 0)),
        wire.encode(1, RequestVote(2**63, node_id, far, far)),
        *(wire.encode(1, AppendEntriesReply(term, True, far, far)) for term in range(1, 20)),
        *(wire.encode(1, AppendEntries(term, 99, 0, 0, (), far)) for term in range(1, 20)),
        *(wire.encode(1, InstallSnapshotReply(term, far, -1, True)) for term in range(1, 20)),
    ]


class GarbledLinks(PipeLinks):
    """The links of such a node."""

    words = Path()

    async def attach(self, peer: NodeId, pipe: socket, *, renewed: bool = False) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._break_off)
        loop.add_signal_handler(signal.SIGUSR2, self._talk_nonsense)
        loop.add_signal_handler(signal.SIGRTMIN, self._say)
        await super().attach(peer, pipe, renewed=renewed)

    def _break_off(self) -> None:
        for link in self._open():
            assert link._transport is not None
            link._transport.write(NO_FRAME)

    def _talk_nonsense(self) -> None:
        for link in self._open():
            for body in nonsense(self._node_id):
                link.send(body)
            link.flush()

    def _say(self) -> None:
        said = self.words.read_bytes()
        for link in self._open():
            assert link._transport is not None
            link._transport.write(said)
        self.words.unlink()

    def _open(self) -> list[Link]:
        return [link for link in self._links.values() if link._transport is not None]


def main(config_bytes: bytes, control: Connection, pipes: dict[NodeId, Connection]) -> None:
    GarbledLinks.words = words_for(wire.decode_config(config_bytes).data_dir)
    vars(node)["PipeLinks"] = GarbledLinks
    process.main(config_bytes, control, pipes)
