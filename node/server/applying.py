"""The state machine's half of a server: applies what is committed, and answers the clients.

Committed batches queue here and are applied in order, as far as a `Stretch` goes. A batch may be
cut off in the middle, between two pieces of its requests (`node/machines/sessions.py: pieces`), and
goes on in the next turn. Nobody sees the state in between: reads are answered, snapshots taken and
the applied index told only between two batches (`is_at_rest`).

While a snapshot is being restored the old machine is not handed anything more.

Two running hashes are kept of what is applied, so that nodes can be compared. `digest` is of the
log: nodes that differ in it break Raft's promise. `answers` is of what the machine answered: nodes
that differ in that alone have machines that do not compute the same from the same. It is a CRC-32,
which bytes at hand go through at next to no cost; and what follows a difference never hides it, for
equal bytes take unequal checksums to unequal ones.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from node import wire
from node.errors import WireError
from node.events import Note
from node.machines.failures import FailedOn
from node.machines.protocol import Machine, Timed
from node.machines.sessions import Sessions, pieces
from node.ports import ClientConnection, Points
from node.raft import membership
from node.raft.messages import COMMANDS, CONFIGURATION, Batch, Snapshot
from node.server.digest import running_digest
from node.server.machine_watch import MachineWatch
from node.server.settings import sessions_of
from node.server.stretch import Stretch
from node.storage.snapshots import Stands
from node.wire import NodeConfig, Submit

KEPT_DIGESTS = 16
"""A status tells both hashes at this many of the last indexes at which digests are logged."""

Waiting: TypeAlias = tuple[Sequence[ClientConnection] | None, Sequence[Submit] | None]
"""The clients that wait for a batch, by request, and the requests; None: no client waits."""


class Applying:
    """One server's machine and sessions, and how far both have applied the log.

    index, term, time_us: of the last entry of the last batch that is applied
    membership: the last that was applied
    digest: the running hash of all that was applied
    answers: the running hash of the answers to it
    digests: the last indexes at which both were logged, each with its `answers` and `digest`
    restoring: the snapshot that is being restored; None when none is
    """

    def __init__(
        self,
        config: NodeConfig,
        machine: Machine,
        take_waiting: Callable[[int], Waiting],
        applied: Callable[[int, int], None],
        note: Note,
        watch: MachineWatch,
        points: Points,
    ) -> None:
        """take_waiting: returns, and forgets, the clients that wait for the batch at an index
        applied: is told of each batch when it is applied, by entries and bytes
        """
        self._config = config
        self._take_waiting = take_waiting
        self._applied = applied
        self._note = note
        self._watch = watch
        self._points = points
        self.machine = machine
        self.timed = machine if isinstance(machine, Timed) else None
        self.sessions = sessions_of(config)
        self.index = 0
        self.term = 0
        self.time_us = 0
        self.membership = membership.stable(config.voters)
        self.digest = b""
        self.answers = self._answers = 0
        self.digests: deque[tuple[int, int, str]] = deque(maxlen=KEPT_DIGESTS)
        self._digest_due = config.digest_every
        self.restoring: Snapshot | None = None
        self._to_apply: deque[Batch] = deque()
        self._under_way: Iterator[tuple[int, int]] | None = None

    @property
    def is_at_rest(self) -> bool:
        """Whether the machine's state is that after `index`: no batch is half applied."""
        return self._under_way is None

    @property
    def has_more(self) -> bool:
        """Whether `go_on` would do anything now."""
        return self.restoring is None and bool(self._to_apply or self._under_way)

    def deadline_us(self) -> int | None:
        """The cluster time at which something of the machine's is due next. Raises MachineError."""
        if self.timed is None:
            return None
        try:
            due_us = self.timed.deadline_us()
            if due_us is not None and not isinstance(due_us, int):
                raise TypeError(f"deadline_us must answer with an int or None, not {due_us!r}")
        except BaseException as error:
            raise self._watch.failed("when it was asked for its deadline", error) from error
        return due_us

    def take(self, batches: Iterable[Batch]) -> None:
        """These are committed, behind all that were taken before."""
        self._to_apply.extend(batches)

    def go_on(self, stretch: Stretch) -> None:
        """Applies what there is, as far as the stretch goes. Raises MachineError."""
        while not stretch.is_over and self.restoring is None:
            if self._under_way is None:
                if not self._to_apply:
                    return
                self._under_way = self._apply(self._to_apply.popleft())
            for commands, size in self._under_way:
                stretch.spend(commands, size)
                if stretch.is_over:
                    return
            self._under_way = None

    def hold(self, snapshot: Snapshot) -> None:
        """The state will be that of `snapshot`: what was to be applied is in it."""
        self.restoring = snapshot
        self._to_apply.clear()
        self._under_way = None

    def take_over(
        self, snapshot: Snapshot, machine: Machine, sessions: Sessions, stands: Stands
    ) -> None:
        """The state is that of the snapshot from now on."""
        self.restoring = None
        self.machine, self.sessions = machine, sessions
        self.timed = machine if isinstance(machine, Timed) else None
        self.index = snapshot.last_included_index
        self.term = snapshot.last_included_term
        self.time_us = snapshot.time_us
        self.membership = snapshot.membership
        self.digest = stands.digest
        self.answers = self._answers = stands.answers
        every = self._config.digest_every
        self._digest_due = (self.index // every + 1) * every

    # -- one batch -------------------------------------------------------------------------------

    def _apply(self, batch: Batch) -> Iterator[tuple[int, int]]:
        """Applies it, piece by piece; after each piece, how many commands and bytes that was."""
        assert batch.first_index == self.index + 1, "entries are applied in order"
        if self._points.armed:
            configures = batch.kind is CONFIGURATION
            self._points.reach("before-apply-configuration" if configures else "before-apply")
        if self.timed is not None:
            self._advance(self.timed, batch)
        self.sessions.advance(batch.time_us)
        clients, requests = self._take_waiting(batch.first_index)
        if batch.kind is COMMANDS:
            yield 0, len(batch.data)
            index = batch.first_index
            for position, request in enumerate(requests or self._requests_in(batch)):
                client = None if clients is None else clients[position]
                yield from self._apply_request(index, batch.term, request, client)
                index += len(request.commands)
        elif batch.kind is CONFIGURATION:
            self.membership = membership.decode(batch.data)
        self.index = batch.last_index
        self.term = batch.term
        self.time_us = batch.time_us
        self.answers = self._answers
        self._digest_batch(batch)
        self._applied(batch.count, len(batch.data))

    def _advance(self, timed: Timed, batch: Batch) -> None:
        try:
            timed.advance(batch.time_us)
        except BaseException as error:
            doing = f"when it was told the time of entry {batch.first_index}"
            raise self._watch.failed(doing, error) from error

    def _apply_request(
        self, first_index: int, term: int, request: Submit, client: ClientConnection | None
    ) -> Iterator[tuple[int, int]]:
        index = first_index
        for piece in pieces(request):
            outcome = self._apply_piece(index, term, piece)
            if isinstance(outcome, wire.OutOfOrder):
                self._answers = zlib.crc32(b"%d" % outcome.expected, self._answers)
                if client is not None:
                    client.send(wire.encode_client(outcome))
                return  # and so is what follows
            if self.sessions.fresh is not None:
                self._hash(self.sessions.fresh)
            if client is not None:
                if self._points.armed:
                    self._points.reach("before-reply")
                for reply in outcome:
                    client.send(wire.encode_client(reply))
            index += len(piece.commands)
            yield len(piece.commands), self.sessions.answered_bytes

    def _hash(self, new: wire.Answers) -> None:
        """An answer counts once, when its command is applied. Were one that is given again hashed
        again, a client that only repeats a request would keep every node at work."""
        self._answers = zlib.crc32(b"\0".join(new.results), self._answers)
        if new.errors:
            self._answers = zlib.crc32(array("I", new.errors).tobytes(), self._answers)

    def _apply_piece(
        self, first_index: int, term: int, piece: Submit
    ) -> list[wire.Answers] | wire.OutOfOrder:
        watch = self._watch
        machine = watch.timing(self.machine)
        began = watch.stopwatch()
        try:
            outcome = self.sessions.apply(machine, first_index, term, piece)
        except FailedOn as failed:
            raise watch.failed_on(failed) from failed.__cause__
        took_s = watch.stopwatch() - began
        if machine is self.machine and (
            took_s >= watch.slow_s or took_s > watch.slowest_apply_s
        ):  # otherwise each has been timed
            watch.applied(first_index, piece.commands, took_s)
        return outcome

    def _requests_in(self, batch: Batch) -> Sequence[Submit]:
        """The requests of a batch for which nobody waits here.

        A leader puts only requests into the log that it has checked. If there is anything else,
        every node finds the same bytes there, at every start: so all of them skip the entries and
        say so, rather than refuse to run.
        """
        try:
            requests = wire.split_submits(batch.data)
        except WireError as error:
            reason = str(error)
        else:
            count = sum(len(request.commands) for request in requests)
            if count == batch.count:
                return requests
            reason = f"{count} commands, where {batch.count} were announced"
        self._note(
            "error",
            "entries.skipped",
            first_index=batch.first_index,
            last_index=batch.last_index,
            reason=reason,
        )
        return ()

    def _digest_batch(self, batch: Batch) -> None:
        self.digest = running_digest(self.digest, batch)
        if batch.last_index >= self._digest_due:
            every = self._config.digest_every
            self._digest_due = (batch.last_index // every + 1) * every
            digest = self.digest.hex()
            self.digests.append((batch.last_index, self.answers, digest))
            self._note(
                "info",
                "applied.digest",
                index=batch.last_index,
                digest=digest,
                answers=f"{self.answers:08x}",
            )
