"""Giving a command to one server and to no other, at once.

A usual client (`launcher/client/client.py`) looks for the leader, and begins its session with a
question that only a leader with a majority can answer. A leader that is cut off would never get the
command. Here the session begins without a question, at the index that the server has applied.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from secrets import token_bytes

from launcher.client.answers import Submitted
from launcher.client.channel import Channel
from launcher.client.session import Session
from node.machines.sessions import session_id
from node.raft.messages import NodeId


def submit(
    node: NodeId, socket: Path, command: bytes, *, applied_index: int, timeout_s: float
) -> Submitted | None:
    """Gives a command to a node. Returns its answer, or None if there is none in time.

    applied_index: what the node has applied
    """
    session = Session(lambda: session_id(applied_index, token_bytes(16)))
    channel: Channel[Submitted] = Channel({node: socket}, [node], session, Random(), leader=node)
    try:
        now = time.monotonic()
        session.add([command], now)
        while time.monotonic() < now + timeout_s:
            for answer in channel.exchange(now + timeout_s):
                return answer
    finally:
        channel.close()
    return None
