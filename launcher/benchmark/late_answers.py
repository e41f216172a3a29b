"""A node whose answers to its peers take their time: for experiments only.

A link's delay (`node/faults/links.py`) is the same for all that crosses it. The broadcast time of
the paper's §9.3 is the time for a question *and* its answer, and most of it may lie with the
answer: a server that votes decides at once, and answers when its vote is on its disk. So what
answers a peer takes a multiple of the link's delay here; where the link has none, it takes no time
either."""

from __future__ import annotations

import asyncio
import os
from multiprocessing.connection import Connection

from launcher.cluster import Cluster
from node import wire
from node.faults.links import PASS
from node.process import node, process
from node.process.transport import PipeLinks
from node.raft.messages import (
    AppendEntriesReply,
    InstallSnapshotReply,
    NodeId,
    ReadIndexReply,
    RequestVoteReply,
)

VARIABLE = "LEEKY_BENCH_ANSWERS_TAKE"
"""How many times longer an answer takes than a question. The nodes inherit this variable from the
process that starts the supervisor."""

ANSWERS = (RequestVoteReply, AppendEntriesReply, InstallSnapshotReply, ReadIndexReply)


class LateAnswers(PipeLinks):
    """Links on which answers leave later."""

    def send(self, peer: NodeId, body: bytes) -> None:
        """The port's `send`."""
        _, message = wire.decode_rpc(body)
        verdict = self._faults.verdict(self._node_id, peer)
        if verdict is PASS or not isinstance(message, ANSWERS):
            super().send(peer, body)
            return
        more = max(0.0, float(os.environ[VARIABLE]) - 1)
        for delay_s in verdict:
            asyncio.get_running_loop().call_later(more * delay_s, self._send_now, peer, body)

    def _send_now(self, peer: NodeId, body: bytes) -> None:
        super().send(peer, body)
        self.flush()


class LateCluster(Cluster):
    """A cluster of such nodes."""

    _entry = f"{__name__}:main"


def main(config_bytes: bytes, control: Connection, pipes: dict[NodeId, Connection]) -> None:
    """The body of such a node's process."""
    vars(node)["PipeLinks"] = LateAnswers
    process.main(config_bytes, control, pipes)
