"""The nodes of a cluster: how their processes start and end, and the pipes between them.

A node is started the same way every time: it gets one end of a fresh pipe to each peer
that lives, and that peer gets the other end over its control pipe (`NewLink`). The supervisor keeps
no copy of either, so a node that dies is end-of-file at each of its peers at once.

Starts come one after the other, in a thread, because the forkserver answers only when it has
forked. Everything else happens in the event loop and waits for nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from launcher.config import ClusterConfig
from launcher.control.status import ClusterStatus, NodeStatus, cluster_status, with_cuts
from launcher.errors import LauncherError
from launcher.folders import private
from launcher.folders.ownership import folder_at
from launcher.supervisor import machine_code
from launcher.supervisor.changes import with_reasons
from launcher.supervisor.claim import Claim
from launcher.supervisor.describing import describe
from launcher.supervisor.drops import Drops
from launcher.supervisor.faults import Faults
from launcher.supervisor.lifecycle import End, RestartPolicy
from launcher.supervisor.log_questions import LogQuestions
from launcher.supervisor.node_config import node_config, orders_since, settings_of
from launcher.supervisor.points import POWER
from launcher.supervisor.processes import Node, NodeProcess, first_of, launch, rejoin
from launcher.supervisor.questions import STATUS_PATIENCE_S, Questions
from launcher.supervisor.roster import Roster
from node import wire
from node.events import EventLog, HybridClock
from node.printable import error_line
from node.raft.messages import NodeId

CONFIRM_PATIENCE_S = 2.0
"""How long nodes may take to confirm that a setting has been changed."""

_RECORD_AGAIN_S = 0.5


class Nodes:
    """All nodes. What starts them is one thread, `starter`; after `close` nothing is started."""

    def __init__(
        self,
        config: ClusterConfig,
        claim: Claim,
        clock: HybridClock,
        events: EventLog,
        *,
        entry: str,
        python_path: list[Path],
    ) -> None:
        policy = RestartPolicy(
            restart=config.restart_policy == "on-failure",
            attempts=config.restart_attempts,
            backoff_s=config.restart_backoff_s,
        )
        self._config = config
        self._claim = claim
        self.roster = Roster(claim, policy, self.emit)
        self.all = self.roster.all
        self._questions = Questions(self.roster)
        self.logs = LogQuestions(self.roster)
        self.closed = False
        self.trouble = ""
        """what the change under way waits for, where it does not get on"""
        self._clock = clock
        self._events = events
        self._entry = entry
        self._python_path = python_path
        self.faults = Faults(self.roster, self.ask, self.emit)
        self.drops = Drops(self.roster, self.ask)
        self.starter = ThreadPoolExecutor(1, "starter")
        self.on_power_failure: Callable[[NodeId, str], None] = lambda node, point: None
        """called when a node has stopped at a point at which its power is to fail"""
        self.one_start = asyncio.Lock()
        """held while a process is being started"""
        self._retries: set[asyncio.Task[None]] = set()

    def emit(self, level: str, event: str, **fields: object) -> None:
        """Writes an event of the supervisor's."""
        said = [node.status for node in self.all.values() if node.status is not None]
        term = max((status.term for status in said), default=0)
        commit = max((status.commit_index for status in said), default=0)
        self._events.emit(level, event, term, "supervisor", commit, **fields)

    def ask_leader(self, message: wire.ToNode) -> None:
        """Says something to whoever leads, if anybody does."""
        leader = self.roster.leader()
        if leader is not None and leader.process is not None:
            leader.process.send(message)

    # -- starting ----------------------------------------------------------------------------

    async def start(self, node_id: NodeId, *, automatic: bool = False) -> None:
        """Starts a process for a node that has none, and hands out the pipes. Never raises.

        automatic: only if it is still to be started by itself
        """
        node = self.all[node_id]
        async with self.one_start:
            await self.roster.until_thawed()
            if self.closed or node.process is not None or self.all.get(node_id) is not node:
                return
            if automatic and node.lifecycle.retry_at is None:
                return
            node.starting = True
            try:
                await self._start(node)
            except OSError as error:
                now = asyncio.get_running_loop().time()
                node.lifecycle.could_not_start(now, f"cannot be started: {error_line(error)}")
                self._after_end(node)
            finally:
                node.starting = False
                self.roster.notify()

    async def _start(self, node: Node) -> None:
        loop = asyncio.get_running_loop()
        known, life = self._claim.known_of(node.id), self._claim.next_life(node.id)
        private.make_folder(self._config.node_data_dir(node.id))
        self.roster.socket_of(node.id).unlink(missing_ok=True)
        peers = {peer: process for peer, process in self.roster.running() if peer != node.id}
        lives = {peer: process.life for peer, process in peers.items()}
        ours, theirs = socket.socketpair()
        told = node_config(
            self._config,
            self._claim.cluster,
            node.id,
            life,
            known,
            peers=lives,
            socket=self.roster.socket_of(node.id),
            python_path=self._python_path,
            faults=self.faults.links.faults,
            drops=self.drops.left(node.id),
            clock=node.clocks.order,
            tap=node.tap,
            unsynced=node.unsynced.path(),
            machine_codes=[] if node.other_code else self._codes(node.id),
        )
        near: dict[NodeId, Connection] = {}
        far: dict[NodeId, Connection] = {}
        try:
            for peer in peers:
                near[peer], far[peer] = Pipe()
            process = await loop.run_in_executor(
                self.starter,
                launch,
                self._entry,
                f"{self._config.name} n{node.id}",
                wire.encode_config(told),
                Connection(theirs.detach()),
                near,
            )
        except BaseException:
            ours.close()
            theirs.close()
            for end in (*near.values(), *far.values()):
                end.close()
            raise
        begun = NodeProcess(node.id, life.number, process, ours, self._clock, self, self.starter)
        node.begin_life(begun, folder_at(self._config.node_data_dir(node.id)))
        node.lifecycle.started(loop.time())
        self.emit("info", "node.spawned", target=node.id, target_life=life.number, pid=process.pid)
        for peer, end in far.items():
            found = self.all.get(peer)
            if found is not None and found.process is peers[peer]:
                peers[peer].send_link(node.id, life.number, end)
            else:  # it has died meanwhile, and a later life of it will bring a pipe of its own
                end.close()
        for order in self.faults.orders_for(node, told):
            begun.send(order)
        begun.send(self._questions.first())
        for order in orders_since(told, self._config, self.drops.left(node.id)):
            begun.send(order)
        self.record_processes()

    def record_processes(self) -> None:
        """Writes down which processes are the nodes'."""
        try:
            self._claim.record(self.roster.records())
        except OSError as error:  # only a supervisor that cleans up after us would miss it
            self.emit("warn", "record.failed", reason=error_line(error))

    # -- ending ------------------------------------------------------------------------------

    def close(self) -> None:
        """From here on nothing is started, and whoever waits for a start is told."""
        self.closed = True
        self.roster.thaw()
        self.roster.notify()

    async def quiesce(self, node_id: NodeId) -> NodeProcess | None:
        """The process of the node, waiting for the one that is just being started."""
        while self.all[node_id].starting:
            await self.roster.changed()
        return self.all[node_id].process

    async def end_all(self, patience_s: float, hurry: asyncio.Event) -> list[NodeId]:
        """Stops every node; kills those that have not stopped after `patience_s`, or on `hurry`.

        Returns those that had to be killed. Only after `close`.
        """
        assert self.closed
        with contextlib.suppress(TimeoutError):  # a forkserver that hangs dies with us
            async with asyncio.timeout(patience_s):
                await self.one_start.acquire()
        for node in self.all.values():
            if node.process is not None:
                node.lifecycle.expect_end("stopped")
                node.process.send(wire.Stop())
                node.process.let_go()  # one that is paused, throttled or frozen can read it now
        gone = asyncio.ensure_future(self._all_gone())
        rushed = asyncio.ensure_future(hurry.wait())
        await asyncio.wait({gone, rushed}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        rushed.cancel()
        killed = [node for node, process in self.roster.running()]
        for _, process in self.roster.running():
            process.signal(signal.SIGKILL)
        await asyncio.wait({gone}, timeout=5.0)
        return killed

    async def _all_gone(self) -> None:
        for _, process in self.roster.running():
            await process.gone.wait()

    def node_gone(self, node_id: NodeId, end: End) -> None:
        """Its process is no more: say so, and decide what follows."""
        node = self.all[node_id]
        process, node.process = node.process, None
        assert process is not None, f"n{node_id} ended twice"
        ready = process.ready.is_set()
        node.lost = end.lost
        self._claim.look(node_id)
        self.save_records()
        self.faults.process_ended(node)
        node.lifecycle.ended(asyncio.get_running_loop().time(), end)
        self.emit(
            "info"
            if node.lifecycle.state == "down" and node.lifecycle.retry_at is None
            else "warn",
            "node.exited",
            target=node_id,
            target_life=process.life,
            pid=process.pid,
            **({} if end.status is None else {"status": end.status}),
            reason=self.roster.reason(node),
            was_ready=ready,
        )
        self._after_end(node)
        self.roster.notify()

    def _after_end(self, node: Node) -> None:
        lifecycle = node.lifecycle
        loop = asyncio.get_running_loop()
        if lifecycle.state == "failed":
            self.emit("error", "node.failed", target=node.id, reason=self.roster.reason(node))
        elif lifecycle.retry_at is not None and not self.closed:
            wait_s = round(lifecycle.retry_at - loop.time(), 3)
            self.emit("warn", "restart.scheduled", target=node.id, in_s=wait_s)
            loop.call_at(lifecycle.retry_at, self._retry, node)

    def _retry(self, node: Node) -> None:
        if not self.closed and node.lifecycle.due(asyncio.get_running_loop().time()):
            task = asyncio.ensure_future(self.start(node.id, automatic=True))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)

    # -- waiting -----------------------------------------------------------------------------

    async def until_ready(self, node_id: NodeId, timeout_s: float) -> None:
        """Waits until the node has answered. Raises LauncherError as soon as it will not."""
        node = self.all[node_id]
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if self.closed:
                        raise LauncherError("the cluster is being taken down")
                    if node.process is not None:
                        await first_of(node.process.ready, node.process.gone)
                        if node.process is not None and node.process.ready.is_set():
                            return
                        continue
                    if not node.starting and node.lifecycle.retry_at is None:
                        state = node.lifecycle.state
                        raise LauncherError(f"n{node_id} is {state}: {self.roster.reason(node)}")
                    await self.roster.changed()
        except TimeoutError:
            raise LauncherError(
                f"n{node_id} was started and has not answered in {timeout_s:g} s; "
                f"its log is {self._config.event_log(node_id)}"
            ) from None

    # -- knowing -----------------------------------------------------------------------------

    def node_said(self, node_id: NodeId, message: wire.ToSupervisor) -> None:
        """A node's word: its status, or why it is about to exit."""
        node = self.all[node_id]
        if isinstance(message, wire.Status | wire.PointHit):
            self.faults.heard_points(node, message)
        if isinstance(message, wire.PointHit) and message.action == POWER:
            self.on_power_failure(node_id, message.state.point)
        if isinstance(message, wire.Failed | wire.Stopping | wire.PointHit):
            return  # the process keeps why it fails or stops for its end
        if isinstance(message, wire.TransferEnded | wire.TimedOut):
            self._questions.answered(node_id, message)
            return
        if isinstance(message, wire.LogPart):
            self.logs.answered(node_id, message)
            return
        if isinstance(message, wire.Dropped):
            self.drops.struck(node_id, message)
            return
        if isinstance(message, wire.LifeBegun):
            if self._admit_code(node, message.machine_code):
                self._record_life(node, message.sequence)
            return
        if isinstance(message, wire.LinkLost):
            peer = self.all.get(message.peer)
            if peer is not None and rejoin(node.process, peer.process, message.life):
                self.emit("warn", "link.renewed", targets=[node_id, peer.id])
            return
        node.status = message
        if node.process is not None:
            life, freezes = node.process.life, self._config.safety == "freeze"
            asked = self._questions.asked
            self.roster.guard.see(node_id, life, message, self.all, asked=asked, freezes=freezes)
        self._claim.reach(node_id, message.sequence, message.last_index, message.term)
        if message.role == "leader":
            self.roster.led_term = max(self.roster.led_term, message.term)
        if node.process is not None:
            node.process.ready.set()
        self._questions.answered(node_id, message)

    def _codes(self, node_id: NodeId) -> list[str]:
        """The code that the machines of all other nodes have, whose processes run."""
        running = self.roster.running()
        return machine_code.of(process for other, process in running if other != node_id)

    def _admit_code(self, node: Node, code: str) -> bool:
        """Whether the node may run its machine's code, now that it has said which that is."""
        machine = self._config.machine
        admitted, other = machine_code.admit(node, code, self._codes(node.id), machine)
        if other and admitted:
            self.emit("warn", "machine.other_code", target=node.id, machine=machine)
        return admitted

    def _record_life(self, node: Node, sequence: int) -> None:
        """The node speaks to nobody before its life is on record; a full disk makes it wait."""
        process = node.process
        if process is None:
            return
        try:
            self._claim.confirm(node.id, sequence)
        except OSError as error:
            self.emit("warn", "record.failed", reason=error_line(error))
            again = asyncio.get_running_loop().call_later
            again(_RECORD_AGAIN_S, self._record_again, node, process, sequence)
        else:
            process.send(wire.LifeRecorded())

    def _record_again(self, node: Node, process: NodeProcess, sequence: int) -> None:
        if node.process is process and not self.closed:
            self._record_life(node, sequence)

    def save_records(self) -> None:
        """Writes what is known of the nodes' data, if there is anything new."""
        try:
            self._claim.save()
        except OSError as error:
            self.emit("warn", "record.failed", reason=error_line(error))

    async def ask(self, patience_s: float = STATUS_PATIENCE_S) -> int:
        """As `Questions.ask`; what that shows of machines that differ becomes events."""
        request = await self._questions.ask(patience_s)
        self.roster.guard.tell_marks()
        return request

    async def status(self) -> ClusterStatus:
        """What `ps` shows, as fresh as the nodes will say."""
        await self.ask()
        nodes = [self._describe(node) for node in self.all.values()]
        said = {node.id: node.status for node in self.all.values() if node.status is not None}
        nodes = with_cuts(nodes, self.faults.of_links())
        name, led_term, links = self._config.name, self.roster.led_term, self.faults.link_statuses()
        status = cluster_status(name, os.getpid(), nodes, said, led_term, links)
        status = self.roster.with_what_holds_for_all(status)
        return with_reasons(status, self.roster.change, self.trouble)

    def _describe(self, node: Node) -> NodeStatus:
        voter = bool(self._claim.cluster.voters_of(node.id))
        return describe(
            node,
            self.roster.reason(node),
            voter,
            self.roster.guard.marks.get(node.id),
            folder_at(self._config.node_data_dir(node.id)),
        )

    # -- who leads ---------------------------------------------------------------------------

    @property
    def transfer_s(self) -> float:
        """A leader gives up handing over after so long."""
        return self._config.election_timeout_min_s

    async def transfer(self, leader: NodeId, target: NodeId) -> wire.TransferEnded:
        """As `Questions.transfer`, for as long as a leader here may take."""
        return await self._questions.transfer(leader, target, self.transfer_s)

    async def time_out(self, node_id: NodeId) -> wire.TimedOut:
        """As `Questions.time_out`."""
        return await self._questions.time_out(node_id)

    # -- settings ----------------------------------------------------------------------------

    @property
    def config(self) -> ClusterConfig:
        """The settings in force: those that the cluster came up with, and what was changed."""
        return self._config

    def publish(self, config: ClusterConfig) -> None:
        """These settings are in force from now on, for nodes that start and for whoever uses the
        cluster. Raises OSError when they cannot be written down; then nothing has changed."""
        self._claim.publish(config)
        self._config = config
        self._events.set_level(config.log_level)

    async def tell_settings(self) -> int:
        """Has every node that runs use the settings in force. Returns the number of the request
        that is in the status of those that confirm it."""
        for _, process in self.roster.running():
            process.send(settings_of(self._config))
        return await self.ask(CONFIRM_PATIENCE_S)
