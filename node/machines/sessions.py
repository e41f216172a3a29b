"""Client sessions: a command takes effect once, however often it is sent (§8, thesis §6.3).

A client that gets no answer sends its command again, perhaps to another leader, and then the log
may hold the command twice. So a client numbers its commands 1, 2, 3, ..., and every node keeps, as
part of the replicated state, each client's next sequence number and the answers that the client may
not have yet. A sequence number that was applied before is not applied again: its first answer is
given again, with the index and the term of that first time.

A session is first in, first out: its commands take effect in the order of their numbers, without
gaps. A request that begins above the next number is answered `OutOfOrder` and nothing of it is
applied: something sent before it was lost and must come first. An unknown client's session begins
with 1; a request that begins elsewhere is from a session that this log does not know.

With each request a client says below which number all its answers have arrived; those are forgotten
for good. A duplicate that comes later still is told so, in an error, and is not applied.

A session ends by the log alone (thesis §6.3): when it has not been used for longer than the timeout
in cluster time. Where there are more sessions than the limit, the one that has been idle longest
ends. Nothing happens while no entry comes. Timeout and limit are the same on all nodes for ever:
they belong to the cluster's identity (`launcher/supervisor/claim.py`), and a snapshot made with
others is refused.

What is forgotten must not begin anew: a retry of number 1 would be applied twice. So an id begins
with the index of an entry that was committed before the session's first request was sent
(`session_id`), and the index at which a session that is gone was last used is the *floor*: an
unknown id from below it may be one of those that are gone, and gets `OutOfOrder` with 0, always.

Answers are kept in runs, the very `Answers` that were sent, not one by one. All is determined by
the log, so nodes that have applied the same entries hold the same sessions, and their snapshots are
the same bytes.

What is kept is weighed (`answers.py`):

- a session whose unacknowledged answers have come to `Budget.session` gets no more of them: its
  further commands are answered with NOT_APPLIED, and are not applied;
- no single answer is longer than `Budget.session`. The command has taken effect by the time that
  its answer is seen, so only the answer is replaced, by an error that says so;
- when all sessions together come to more than `Budget.together`, those that keep most forget theirs
  until half of that is left. They forget answers only: no command is applied twice for it.

So what is refused here depends on the budget, and every node must have the same one. It is part of
the program: `_VERSION` stands for it, and a node refuses the snapshot of another version.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import TypeAlias

import msgspec

from node.errors import MachineError
from node.machines import snapshot
from node.machines.answers import apply_all, weigh
from node.machines.protocol import Machine
from node.wire import Answers, OutOfOrder, Submit

FORGOTTEN = b"applied before; its answer is kept no longer"
"""The answer to a command whose answer its client had acknowledged, or that was let go of."""

TIMEOUT_US = 3_600_000_000
MOST = 10_000
"""What holds where nothing else is said."""

_VERSION = 3
"""In 2, answers were counted and not weighed."""

_INDEX_BYTES = 8

_first_sequence = attrgetter("first_sequence")
_weight = attrgetter("weight")


PIECE_COMMANDS = 512
"""A request with more commands is applied in pieces of this many."""


class Budget(msgspec.Struct, frozen=True):
    """What kept answers may weigh, in bytes: those of one session, and those of all together."""

    session: int = 16 << 20
    together: int = 128 << 20


BUDGET = Budget()
"""Every node's. Another one needs another `_VERSION`."""


def session_id(index: int, unique: bytes) -> bytes:
    """The id of a session that begins now, when `index` is known to be committed."""
    return index.to_bytes(_INDEX_BYTES, "big") + unique


def pieces(request: Submit) -> Iterator[Submit]:
    """A request in pieces that are applied one after the other, so that other things get their turn
    between two. All nodes cut alike, for the answers are kept as they were cut."""
    commands = request.commands
    if len(commands) <= PIECE_COMMANDS:
        yield request
        return
    for start in range(0, len(commands), PIECE_COMMANDS):
        yield Submit(
            request.client_id,
            request.first_sequence + start,
            request.lowest_unanswered,
            commands[start : start + PIECE_COMMANDS],
        )


def _begun_after(client_id: bytes) -> int:
    return int.from_bytes(client_id[:_INDEX_BYTES], "big")


class _Session:
    """One client's: sequence numbers below `lowest` are forgotten, those below `next` answered.

    used_us, used_index: cluster time and first index of the last request that it was used for
    runs: consecutive, in order; the first holds `lowest`, the last ends just below `next`; none
        when the two are equal. The first may begin below `lowest`: a run is dropped whole.
    weights, weight: of each run, and of all of them, in bytes
    """

    __slots__ = ("lowest", "next", "runs", "used_index", "used_us", "weight", "weights")

    def __init__(
        self, next_sequence: int = 1, lowest: int = 1, used_us: int = 0, used_index: int = 0
    ) -> None:
        self.next = next_sequence
        self.lowest = lowest
        self.used_us = used_us
        self.used_index = used_index
        self.runs: list[Answers] = []
        self.weights: list[int] = []
        self.weight = 0

    def keep(self, run: Answers, weight: int) -> None:
        """The answers to the session's next commands."""
        self.runs.append(run)
        self.weights.append(weight)
        self.weight += weight

    def forget_below(self, sequence: int) -> int:
        """Only ever rises, and never above what has been applied, whatever the client says; how
        much is kept less."""
        self.lowest = lowest = min(sequence, self.next)
        count = 0
        for run in self.runs:
            if run.first_sequence + len(run.results) > lowest:
                break
            count += 1
        freed = sum(self.weights[:count])
        self.weight -= freed
        del self.runs[:count]
        del self.weights[:count]
        return freed

    def answered(self, first: int, end: int) -> list[Answers]:
        """The first answers to the sequence numbers from `first` up to, not including, `end`."""
        assert self.lowest <= first < end <= self.next, "these answers are kept"
        answers = []
        position = bisect_right(self.runs, first, key=_first_sequence) - 1
        while first < end:
            part = _cut(self.runs[position], first, end)
            answers.append(part)
            first += len(part.results)
            position += 1
        return answers


class Sessions:
    """Every client's session, the one that has been idle longest first."""

    def __init__(
        self, timeout_us: int = TIMEOUT_US, most: int = MOST, budget: Budget = BUDGET
    ) -> None:
        """timeout_us: of cluster time that a session may be idle; most: how many there may be"""
        self._timeout_us = timeout_us
        self._most = most
        self._budget = budget
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._floor = 0
        """the last index at which a session was used that is gone"""
        self._time_us = 0
        self.kept_bytes = 0
        """what all kept answers weigh"""
        self.answered_bytes = 0
        """what the answers to the last request weigh, kept anew or given again"""
        self.fresh: Answers | None = None
        """the answers to what was new of the last request, if anything was"""

    def __len__(self) -> int:
        return len(self._sessions)

    def advance(self, time_us: int) -> None:
        """The entries that are applied next are of this cluster time; it never goes back."""
        self._time_us = time_us
        last_us = time_us - self._timeout_us
        sessions = self._sessions
        while sessions and next(iter(sessions.values())).used_us < last_us:
            self._forget_oldest()

    def apply(
        self, machine: Machine, first_index: int, term: int, request: Submit
    ) -> list[Answers] | OutOfOrder:
        """Applies what is new of a committed request and answers all of it.

        first_index, term: of the entry that holds the request's first command; the others are at
            the indexes behind it, whether they are applied or not
        returns: runs in order that cover the request's sequence numbers exactly; or `OutOfOrder`,
            and then nothing at all has changed. Forgotten answers are errors at index 0 of term 0.

        Raises FailedOn when the machine fails (`apply_all`): this node's state is then worthless.
        """
        first = request.first_sequence
        self.answered_bytes = 0
        self.fresh = None
        session = self._sessions.get(request.client_id)
        if session is None:
            if first != 1 or _begun_after(request.client_id) < self._floor:
                return OutOfOrder(first, 0)
            session = self._sessions[request.client_id] = _Session()
            if len(self._sessions) > self._most:
                self._forget_oldest()
        elif first > session.next:
            return OutOfOrder(first, session.next)
        else:
            self._sessions.move_to_end(request.client_id)
        session.used_us = self._time_us
        session.used_index = first_index
        if request.lowest_unanswered > session.lowest:
            self.kept_bytes -= session.forget_below(request.lowest_unanswered)

        if first == session.next:
            if not request.commands:
                return []
            return [self._apply_new(session, machine, first_index, term, request.commands)]
        return self._answer_again(session, machine, first_index, term, request)

    def _apply_new(
        self,
        session: _Session,
        machine: Machine,
        first_index: int,
        term: int,
        commands: list[bytes],
    ) -> Answers:
        """Applies the session's next commands, as far as its budget goes, and keeps the answers."""
        limit = self._budget.session
        run, weight = apply_all(
            machine, session.next, first_index, term, commands, limit, limit - session.weight
        )
        session.keep(run, weight)
        session.next += len(run.results)
        self.fresh = run
        self.answered_bytes += weight
        self.kept_bytes += weight
        if self.kept_bytes > self._budget.together:
            self._make_room()
        return run

    def _make_room(self) -> None:
        """The sessions that keep most forget their answers; of equal ones those idle longest."""
        by_weight = sorted(self._sessions.values(), key=_weight, reverse=True)
        for session in by_weight:
            if 2 * self.kept_bytes <= self._budget.together:
                return
            self.kept_bytes -= session.forget_below(session.next)

    def snapshot(self) -> Iterator[bytes]:
        """The state as it is now, in chunks of at most `snapshot.CHUNK_BYTES`."""
        items: list[_Item] = [_Rules(self._timeout_us, self._most, self._floor)]
        for client_id, session in self._sessions.items():
            used = session.used_us, session.used_index
            items.append(_Head(client_id, session.next, session.lowest, *used))
            items.extend(session.runs)
        return snapshot.write("sessions", _VERSION, items)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replaces the state by the one in a snapshot.

        Raises MachineError, and changes nothing, when the chunks are no snapshot of sessions, one
        of another version, or one of sessions that end otherwise.
        """
        sessions: OrderedDict[bytes, _Session] = OrderedDict()
        session: _Session | None = None
        items = snapshot.read("sessions", _VERSION, _decoder, chunks, oldest=_VERSION)
        rules = next(items, None)
        if not isinstance(rules, _Rules):
            raise MachineError("no snapshot of sessions: it does not say when they end")
        if (rules.timeout_us, rules.most) != (self._timeout_us, self._most):
            raise MachineError(
                f"a snapshot of sessions that end after {rules.timeout_us} us or beyond "
                f"{rules.most}; here they end after {self._timeout_us} us or beyond {self._most}"
            )
        for item in items:
            if isinstance(item, _Head):
                session = sessions[item.client_id] = _Session(
                    item.next, item.lowest, item.used_us, item.used_index
                )
            elif isinstance(item, _Rules) or session is None:
                raise MachineError("no snapshot of sessions: an answer comes before any session")
            else:
                session.keep(item, weigh(item.results))
        self._sessions, self._floor = sessions, rules.floor
        self.kept_bytes = sum(map(_weight, sessions.values()))

    def _forget_oldest(self) -> None:
        _, session = self._sessions.popitem(last=False)
        self.kept_bytes -= session.weight
        self._floor = session.used_index

    def _answer_again(
        self, session: _Session, machine: Machine, first_index: int, term: int, request: Submit
    ) -> list[Answers]:
        """A request that begins with what has been applied, and may go on with what has not."""
        first = request.first_sequence
        known_end = min(session.next, first + len(request.commands))
        kept_from = max(first, min(session.lowest, known_end))
        answers = []
        if first < kept_from:
            count = kept_from - first
            answers.append(Answers(first, 0, 0, [FORGOTTEN] * count, list(range(count))))
        if kept_from < known_end:
            answers += session.answered(kept_from, known_end)
            self.answered_bytes += sum(weigh(run.results) for run in answers)
        old = known_end - first
        if old < len(request.commands):
            new = request.commands[old:]
            answers.append(self._apply_new(session, machine, first_index + old, term, new))
        return answers


class _Head(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """In a snapshot, what stands before a session's runs of answers."""

    client_id: bytes
    next: int
    lowest: int
    used_us: int
    used_index: int


class _Rules(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """In a snapshot, what stands before all sessions: when they end, and the floor."""

    timeout_us: int
    most: int
    floor: int


_Item: TypeAlias = _Rules | _Head | Answers
_decoder: msgspec.msgpack.Decoder[list[_Item]] = msgspec.msgpack.Decoder(list[_Item])


def _cut(run: Answers, first: int, end: int) -> Answers:
    """The part of a run from sequence number `first` up to, not including, `end`."""
    start = first - run.first_sequence
    stop = min(end - run.first_sequence, len(run.results))
    if start == 0 and stop == len(run.results):
        return run
    return Answers(
        first,
        run.first_index + start,
        run.term,
        run.results[start:stop],
        [position - start for position in run.errors if start <= position < stop],
    )
