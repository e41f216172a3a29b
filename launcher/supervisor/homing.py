"""The supervisor keeps its cluster reachable, whatever becomes of the folder of its sockets.

That folder lies in the folder for temporary files, where others clean up: `tmpwatch`, the end of a
batch job, a user. Connections survive that, and so do all processes. But nobody new finds them, and
the fork server, whose socket is there too, starts no node any more. So the supervisor looks every
moment whether all is in place, and makes anew what is not; the folder under the same name, if it
can.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial

from launcher.control import requests
from launcher.control.requests import Reply, Request
from launcher.folders import runtime_files
from launcher.supervisor import listener, processes
from launcher.supervisor.claim import Claim
from launcher.supervisor.nodes import Nodes
from node.wire import Listen

LOOK_INTERVAL_S = 0.5
_LOOKS = 2


class Home:
    """The supervisor's sockets, and those of the nodes."""

    def __init__(
        self,
        claim: Claim,
        nodes: Nodes,
        answer: Callable[[Request], Awaitable[Reply]],
        most_connections: int,
    ) -> None:
        self._claim = claim
        self._nodes = nodes
        self._answer = answer
        self._most_connections = most_connections
        self._server: asyncio.Server | None = None
        self._trouble = ""

    async def listen(self) -> None:
        """Answers at the control socket, and at no other any more. Raises OSError."""
        if self._server is not None:
            self._server.close()
        path = self._claim.runtime_dir / requests.CONTROL_SOCKET
        path.unlink(missing_ok=True)
        self._server = await listener.serve(path, self._answer, self._most_connections)

    def close(self) -> None:
        """Listens no more; who is connected is answered."""
        if self._server is not None:
            self._server.close()

    async def keep(self) -> None:
        """Makes anew what is missing, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            try:
                await self._look()
                self._trouble = ""
            except OSError as error:
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    self._nodes.emit("error", "sockets.missing", reason=self._trouble)

    async def _look(self) -> None:
        """Raises OSError."""
        claim, missing = self._claim, False
        if not claim.is_at_home:
            missing = True
            claim.move()
        if not (claim.runtime_dir / runtime_files.OWNER_FILE).exists():
            missing = True
            claim.introduce()
        if not (claim.runtime_dir / runtime_files.PROCESSES_FILE).exists():
            self._nodes.record_processes()
        if not (claim.runtime_dir / runtime_files.SETTINGS_FILE).exists():
            claim.publish(self._nodes.config)
        why = self._nodes.roster.frozen_because
        if why and not runtime_files.why_frozen(claim.runtime_dir):
            claim.mark_frozen(why)
        if not (claim.runtime_dir / requests.CONTROL_SOCKET).exists():
            missing = True
            await self.listen()
        if not processes.fork_server_is_reachable():
            missing = True
            retire = partial(processes.retire_fork_server, claim.runtime_dir)
            await asyncio.get_running_loop().run_in_executor(self._nodes.starter, retire)
        if self._have_listen() or missing:
            self._nodes.emit("warn", "sockets.renewed", folder=os.fsdecode(claim.runtime_dir))

    def _have_listen(self) -> bool:
        """Nodes whose socket is gone are told to make it anew; whether any is told now."""
        told = False
        for node in self._nodes.all.values():
            path = self._nodes.roster.socket_of(node.id)
            if node.process is None:
                continue
            if path.exists() or not node.process.ready.is_set():
                node.process.unreachable_looks = 0
                continue
            node.process.unreachable_looks += 1
            if node.process.unreachable_looks == _LOOKS:  # at the first it may be about to listen
                told = True
                node.process.send(Listen(path.name, os.fsencode(path.parent)))
        return told
