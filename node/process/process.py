"""The process of a node: one asyncio loop, one disk thread, pipes, a client socket, signals.

What runs in the loop is `node/process/node.py`.

A node lives no longer than its supervisor: the end of its control pipe stops it, however the
supervisor died. A node that is stopped by SIGSTOP cannot see that. So it closes the pipe that
keeps the fork server alive; the fork server then dies with the supervisor, which orphans the
node's process group, and to a stopped orphaned group the kernel sends SIGHUP and SIGCONT. So SIGHUP
stops a node at once; at SIGTERM a leader first hands over, as when its supervisor asks it to stop.

Exit status: 0 stopped as asked; 1 failed, and starting again may help; 3 refuses to run with what
it was given (a damaged log, another node's directory, no such machine).
"""

from __future__ import annotations

import asyncio
import multiprocessing.forkserver
import os
import signal
import socket
import sys
from multiprocessing.connection import Connection

import msgspec

from node import wire
from node.process import descriptors, signals
from node.process.node import Node
from node.raft.messages import NodeId
from node.wire import NodeConfig


def main(config_bytes: bytes, control: Connection, pipes: dict[NodeId, Connection]) -> None:
    """The body of a node process: never returns, but exits with the status told above.

    config_bytes: a `NodeConfig`, by `wire.encode_config`
    control: the pipe to the supervisor
    pipes: this node's ends of the pipes to the peers that `NodeConfig.peers` names
    """
    os.setpgid(0, 0)
    signals.begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _let_go_of_fork_server()
    # The disk thread must get the interpreter soon after a sync returns, however busy the loop is.
    sys.setswitchinterval(0.0005)
    config = wire.decode_config(config_bytes)
    most_clients = descriptors.room_for_clients(config.most_clients)
    config = msgspec.structs.replace(config, most_clients=most_clients)
    sockets = {peer: _socket_of(pipe) for peer, pipe in pipes.items()}
    status = asyncio.run(_run(config, _socket_of(control), sockets))
    sys.stderr.flush()
    os._exit(status)  # the disk thread may hang in a sync: nothing waits for it


async def _run(
    config: NodeConfig, control: socket.socket, pipes: dict[NodeId, socket.socket]
) -> int:
    return await Node(config, control, pipes).run()


def _socket_of(connection: Connection) -> socket.socket:
    with connection:
        return socket.socket(fileno=os.dup(connection.fileno()))


def _let_go_of_fork_server() -> None:
    """Closes this process's copy of the pipe whose last end keeps the fork server alive."""
    server = vars(multiprocessing.forkserver)["_forkserver"]
    descriptor = getattr(server, "_forkserver_alive_fd", None)
    if descriptor is not None:
        os.close(descriptor)
        server._forkserver_alive_fd = None
