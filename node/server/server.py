"""The server: Raft's core, the log on disk, the state machine and the clients, put in order.

No socket, no thread, no clock: what it touches of the world are the ports of `node/ports.py`. Its
caller hands it frames, requests, closed links and the time, and then calls `pump`, which drains
everything that has come: proposes what clients have submitted as one batch, and does what the core
says. Then it lets what was sent leave, and calls `begin_write`. The order of that is the heart of
the matter:

- events first, so that the log tells of a thing before anyone can react to it;
- messages that depend on nothing unsaved leave at once, and while they travel
- the log is written and synced on the disk queue: one write at a time, everything that has
  gathered meanwhile in the next, so there is one sync for each batch of them. It begins when they
  have left, for they have further to go;
- what depends on that write, replies above all, leaves when it is durable;
- committed entries are applied and their clients answered;
- now and then the state is written down, so that the log before it can go
  (`node/server/snapshots.py`).

A write that fails, or a machine that raises anything but CommandError, ends the server: the
exception reaches the caller, who must let the process die. Nothing is tried again on the same log.
"""

from __future__ import annotations

from collections.abc import Callable

from node import wire
from node.errors import DiskFailed, Nonsense, NotLeader, WireError
from node.events import HybridClock, Repeated
from node.machines.protocol import Machine
from node.machines.sessions import Sessions
from node.ports import UNARMED, ClientConnection, Disk, DiskQueue, EventSink, Fork, Links, Points
from node.raft import sanity
from node.raft.messages import Message, NodeId, Snapshot
from node.raft.raft import Raft
from node.raft.ready import Ready
from node.raft.settings import Randomness, Timing
from node.raft.state import LEADER, RaftState
from node.server.applying import Applying
from node.server.causes import Causes
from node.server.clients import Clients
from node.server.machine_watch import MachineWatch, Stopwatch
from node.server.recovery import open_store, tell
from node.server.settings import stretch_of
from node.server.snapshots import Snapshots
from node.server.status import log_part, status_of
from node.server.write import Write
from node.storage.snapshots import Stands
from node.storage.store import Kept
from node.wire import NodeConfig


class Server:
    """One node's logic. Not thread-safe."""

    def __init__(
        self,
        config: NodeConfig,
        *,
        machine: Callable[[], Machine],
        disk: Disk,
        disk_queue: DiskQueue,
        background: DiskQueue,
        fork: Fork,
        links: Links,
        events: EventSink,
        clock: HybridClock,
        random: Randomness,
        now: float,
        stopwatch: Stopwatch = float,
        points: Points = UNARMED,
    ) -> None:
        """Recovers the log and the snapshot; this life is in the log when it returns.

        Raises DamagedLog, LostData, WrongDirectory, DiskFailed or MachineError (`node/errors.py`).

        machine: makes a new one, in its initial state
        disk_queue: for the log; background: for the snapshots of others, for restoring, and for
            what the log will need
        stopwatch: with what the machine is timed, only to tell of it; by default it stands still
        """
        self._config = config
        self._new_machine = machine
        first_machine = machine()
        self._disk_queue = disk_queue
        self._links = links
        self._events = events
        self._clock, self._points = clock, points
        self._store, recovered = open_store(config, disk, points)
        self._raft = Raft(
            config.node_id,
            config.voters,
            hard_state=recovered.hard_state,
            batches=recovered.batches,
            snapshot=recovered.snapshot,
            floor=config.floor,
            timing=config.timing,
            limits=config.limits,
            random=random,
            now=now,
        )
        self._writing: Write | None = None
        self._next_write = Write()

        self._causes = Causes(self._raft.state, clock, self.note)
        self._skipped = Repeated("frame.skipped", self.note)
        self._watch = MachineWatch(config.machine, config.slow_s, stopwatch, self.note)
        self._clients = Clients(config, self._raft, self.note, self._watch)
        self._background = background
        files = self._store.files
        self._snapshots = Snapshots(config, files, background, fork, self.note, self._send, points)
        self._applying = Applying(
            config, first_machine, self._clients.take_waiting, self._snapshots.applied,
            self.note, self._watch, points,
        )  # fmt: skip
        self._begin_turn()
        self._begin_from(recovered)

    def _begin_from(self, recovered: Kept) -> None:
        snapshot = recovered.snapshot
        if snapshot is not None:
            self._take_over(snapshot, *self._snapshots.restore(snapshot, self._new_machine))
        tell(recovered, self._raft.state.log, self.note)

    # -- what comes in: after any of these, `pump` is due ----------------------------------------

    def receive(self, peer: NodeId, body: bytes, now: float) -> int | None:
        """A frame from a peer. Returns when it has arrived, by this node's clock. What makes no
        sense is skipped, counted and told of: for Raft it was lost, and None is returned."""
        try:
            t, message = wire.decode_rpc(body)
            if not 0 <= t < sanity.MOST:
                raise WireError(f"its clock shows {t}")
            self._raft.step(peer, message, now)
        except (WireError, Nonsense) as error:
            self._skipped.add(f"of n{peer}: {error}")
            return None
        self._causes.arrived(arrived := self._clock.observe(t))
        return arrived

    def link_opened(self, peer: NodeId, now: float) -> None:
        """There is a link to a process of `peer` that is new to us."""
        self._raft.link_opened(peer, now)

    def peer_died(self, peer: NodeId, now: float) -> None:
        """The process of `peer` is dead: no more than a hint (`failure_hint`)."""
        self._raft.hint_failure(peer, now)

    def transfer(self, target: NodeId | None, now: float) -> None:
        """Hand leadership over, to `target` or to the node with most of the log (thesis §3.10).

        `handing_over` says how long it goes on. Raises NotLeader, ImpossibleTransfer.
        """
        self._raft.transfer(target, now)

    def change_timing(self, timing: Timing, now: float) -> None:
        """Other timers from now on."""
        self._raft.change_timing(timing, now)

    def time_out(self, now: float) -> None:
        """As if the election timer had fired. Raises ImpossibleElection."""
        self._raft.time_out(now)

    def change_membership(self, target: list[NodeId], now: float, term: int | None = None) -> None:
        """Begins to make `target` the voters; `status` tells how far it is (§6).

        term: only as the leader of that term

        Raises NotLeader, Busy.
        """
        state = self._raft.state
        if term is not None and term != state.current_term:
            raise NotLeader(state.leader_id)
        self._raft.change_membership(target, now)

    def request(self, client: ClientConnection, body: bytes) -> None:
        """A client's request."""
        self._clients.request(client, body)

    def client_gone(self, client: ClientConnection) -> None:
        """Nobody waits for these answers any more."""
        self._clients.gone(client)

    def pump(self, now: float) -> bool:
        """Act on all that has come; whether more waits and `pump` is to be called again soon."""
        raft, clients, applying = self._raft, self._clients, self._applying
        state = raft.state
        self._begin_turn()
        self._skipped.tell(now)
        self._watch.tell(now)
        if now >= (deadline := raft.deadline):
            self._causes.fires(now, deadline)
            raft.elapse(now)
        clients.give_up_lost_leader(now)
        clients.begin(now, applying.index)
        if applying.timed is not None and state.role is LEADER:
            self._tick_if_due(now)
        self._go_on()
        while (ready := raft.ready()) is not None:
            self._carry_out(ready)
            clients.give_up_lost_leader(now)
            if state.last_applied < state.commit_index:
                break  # a long way to go: let heartbeats in between
        clients.send_away_parked(now)
        if self._snapshots.is_due and applying.restoring is None and applying.is_at_rest:
            self._take_snapshot()
        return state.last_applied < state.commit_index or applying.has_more or clients.has_reads_due

    def begin_write(self, now: float) -> None:
        """Begins to make durable what is to be, when the disk is free. Due after each `pump`, and
        after what that has sent has left; `deadline` may change."""
        write = self._next_write
        if self._writing is not None or write.is_empty:
            return
        self._writing, self._next_write = write, Write()
        self._raft.disk_at_work(now)
        self._causes.write_begins()
        self._disk_queue.run(
            lambda: write.carry_out(self._store, self._points),
            lambda error: self._written(write, error),
        )

    @property
    def deadline(self) -> float:
        """When `pump` is due next if nothing comes in before."""
        deadline, parked_until = self._raft.deadline, self._clients.deadline
        if parked_until < deadline:
            deadline = parked_until
        if self._applying.timed is None:
            return deadline
        state = self._raft.state
        if state.role is LEADER and state.transfer is None:
            due_us = self._applying.deadline_us()
            if due_us is not None and due_us > state.log.last_time_us:
                due = state.elected_at + (due_us + 1 - state.elected_time_us) / 1e6
                deadline = min(deadline, due)
        return deadline

    @property
    def state(self) -> RaftState:
        """The core's state, for those who watch over it; only to be read."""
        return self._raft.state

    @property
    def handing_over(self) -> bool:
        """Whether leadership is being handed over: neither given up nor taken by another yet."""
        return self._raft.state.transfer is not None

    @property
    def applied(self) -> tuple[int, bytes]:
        """Up to which entry it has applied the log, and the running hash of what it applied."""
        return self._applying.index, self._applying.digest

    @property
    def applying(self) -> Applying:
        """The machine's half of the server, for those who watch over it; only to be read."""
        return self._applying

    @property
    def sequence(self) -> int:
        """Of the last record of its log that is durable (`node/storage/lives.py`)."""
        return self._store.sequence

    def note(self, level: str, event: str, **fields: object) -> None:
        """Writes an event of this node's."""
        state = self._raft.state
        self._events.emit(
            level, event, state.current_term, state.role_name, state.commit_index, **fields
        )

    def log_part(self, asked: wire.GetLog) -> wire.LogPart:
        """Some entries of its log, as they are shown."""
        return log_part(self._raft.state, asked)

    def status(self, request: int = 0, now: float | None = None) -> wire.Status:
        """How this node sees the world. now: by default the time of its last step."""
        state = self._raft.state
        return status_of(
            state,
            self._applying,
            self._snapshots,
            self._watch,
            now=state.now if now is None else now,
            request=request,
            sequence=self._store.sequence,
            frames_skipped=self._skipped.count,
        )

    # -- what the core says ----------------------------------------------------------------------

    def _carry_out(self, ready: Ready) -> None:
        for note in ready.notes:
            self._events.emit(
                note.level, note.event, note.term, note.role, note.commit, **note.fields
            )
        if ready.messages:
            self._send(ready.messages)
        must_persist = ready.must_persist
        if must_persist or self._writing is not None or not self._next_write.is_empty:
            if must_persist:
                self._next_write.readies.append(ready)
            self._next_write.messages += ready.messages_after_persist
            self._next_write.keep_bounded()
        elif ready.messages_after_persist:
            self._send(ready.messages_after_persist)
        for peer, chunk in ready.chunks_to_send:
            self._snapshots.send_chunk(self._raft, peer, chunk)
        for peer, chunk in ready.chunks_received:
            self._snapshots.receive(self._raft, peer, chunk)
        if ready.snapshot is not None:
            self._applying.hold(ready.snapshot)
            if self._next_write.publish is not None:
                self._next_write.publish = None
                self._snapshots.drop()
        if ready.committed:
            self._applying.take(ready.committed)
        if ready.reads:
            self._clients.confirmed(ready.reads)
        self._go_on()

    def _begin_turn(self) -> None:
        """So much is applied, and so much is answered, before others get their turn."""
        self._applied_stretch = stretch_of(self._config)
        self._answered_stretch = stretch_of(self._config)

    def _go_on(self) -> None:
        """Applies what is committed and answers reads, as far as this turn goes. A batch is applied
        whole before a read is answered, and a read is answered whole before a batch is applied."""
        applying, clients = self._applying, self._clients
        if not clients.has_half_answered:
            applying.go_on(self._applied_stretch)
        if applying.is_at_rest:
            clients.answer_reads(
                applying.machine, applying.index, applying.term, self._answered_stretch
            )

    def _send(self, messages: list[tuple[NodeId, Message]]) -> None:
        if self._points.armed and messages:
            who = "leader" if self._raft.state.role is LEADER else "follower"
            self._points.reach(f"before-{who}-send")
        said: Message | None = None
        frame = b""
        for peer, message in messages:
            if message is not said:  # one message to many is encoded once
                said, frame = message, wire.encode(self._clock.tick(), message)
            self._links.send(peer, frame)

    def _written(self, write: Write, error: BaseException | None) -> None:
        """The disk queue is done with `write`. Raises its error: there is no going on from one."""
        self._writing = None
        self._raft.disk_at_work(None)
        if error is not None:
            raise error
        self._causes.write_ends(snapshot=write.publish is not None or write.install is not None)
        for ready in write.readies:
            self._raft.persisted(ready)
        if self._points.armed and write.has_vote:
            self._points.reach("after-vote")
        self._send(write.messages)
        if self._store.spare_is_due():
            self._make_spare()
        if write.publish is not None:
            index = write.publish.last_included_index
            self.note("info", "snapshot.taken", index=index, bytes=write.publish.size)
            self._snapshots.published()
            self._raft.compact(write.publish, self._raft.state.now)
        if write.install is not None:
            self._snapshots.installed()
            self._restore(write.install)

    def _make_spare(self) -> None:
        """A piece of what the log goes on in next, behind whatever else waits to be done."""
        more: list[bool] = []

        def done(error: BaseException | None) -> None:
            if isinstance(error, DiskFailed) and error.is_for_want_of_space:
                # It is made when it is needed, and if there is no space then, that ends the server.
                self.note("warn", "log.not_prepared", reason=str(error))
            elif error is not None:
                raise error
            elif more.pop():
                self._make_spare()

        self._background.run(lambda: more.append(self._store.make_spare()), done)

    # -- snapshots -------------------------------------------------------------------------------

    def take_snapshot(self) -> None:
        """Somebody wants one, of the state as it is now or a little later."""
        self._snapshots.want()

    def _take_snapshot(self) -> None:
        """Of all that is applied: it gets its name when the log, too, is durable up to there."""
        applying = self._applying
        if not applying.membership.voters:
            return  # it joins, and has not applied yet who votes: no snapshot could say it
        newest = self._raft.state.snapshot
        if applying.index <= (newest.last_included_index if newest else 0):
            self._snapshots.no_need()
            return
        stands = Stands(
            self._config.cluster_id,
            applying.index,
            applying.term,
            applying.time_us,
            applying.membership,
            applying.digest,
            applying.answers,
        )

        def done(snapshot: Snapshot) -> None:
            newest = self._raft.state.snapshot
            if newest is not None and newest.last_included_index >= snapshot.last_included_index:
                self._snapshots.drop()
                return
            self._next_write.publish = snapshot

        self._snapshots.take(stands, applying.sessions, applying.machine, self._new_machine, done)

    def _restore(self, snapshot: Snapshot) -> None:
        """Beside the loop; whatever is committed meanwhile waits."""
        made: list[tuple[Machine, Sessions, Stands]] = []

        def done(error: BaseException | None) -> None:
            if snapshot is not self._applying.restoring:
                return  # a newer one has come
            if error is not None:
                raise error
            self._take_over(snapshot, *made.pop())
            self._go_on()

        self._background.run(
            lambda: made.append(self._snapshots.restore(snapshot, self._new_machine)), done
        )

    def _take_over(
        self, snapshot: Snapshot, machine: Machine, sessions: Sessions, stands: Stands
    ) -> None:
        """The state is that of the snapshot from now on."""
        self._applying.take_over(snapshot, machine, sessions, stands)
        self._clients.state_replaced()
        self._snapshots.begin_from(snapshot)

    def _tick_if_due(self, now: float) -> None:
        """Something expires now by the leader's clock: an entry has to say so, unless one does."""
        state = self._raft.state
        state.now = now
        due_us = self._applying.deadline_us()
        if due_us is not None and state.log.last_time_us < due_us <= state.cluster_time_us:
            self._raft.tick(now)
