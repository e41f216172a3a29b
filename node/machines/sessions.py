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

Answers are kept in runs, the very `Answers` that were sent, not one by one. All is determined by
the log, so nodes that have applied the same entries hold the same sessions, and their snapshots are
the same bytes. Not done here: sessions never expire.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import TypeAlias

import msgspec

from node.errors import CommandError, MachineError
from node.machines import snapshot
from node.machines.protocol import Machine, error_answer
from node.wire import Answers, OutOfOrder, Submit

FORGOTTEN = b"applied before; its answer was acknowledged by the client, and is forgotten"
"""The answer to a command whose answer its client had acknowledged."""

_VERSION = 1

_first_sequence = attrgetter("first_sequence")


class _Session:
    """One client's: sequence numbers below `lowest` are forgotten, those below `next` answered.

    runs: consecutive, in order; the first holds `lowest`, the last ends just below `next`; none
        when the two are equal. The first may begin below `lowest`: a run is dropped whole.
    """

    __slots__ = ("lowest", "next", "runs")

    def __init__(self, next_sequence: int = 1, lowest: int = 1) -> None:
        self.next = next_sequence
        self.lowest = lowest
        self.runs: deque[Answers] = deque()

    def forget_below(self, sequence: int) -> None:
        """Only ever rises, and never above what has been applied, whatever the client says."""
        self.lowest = lowest = min(sequence, self.next)
        runs = self.runs
        while runs and runs[0].first_sequence + len(runs[0].results) <= lowest:
            runs.popleft()

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
    """Every client's session, in the order in which they began."""

    def __init__(self) -> None:
        self._sessions: dict[bytes, _Session] = {}

    def apply(
        self, machine: Machine, first_index: int, term: int, request: Submit
    ) -> list[Answers] | OutOfOrder:
        """Applies what is new of a committed request and answers all of it.

        first_index, term: of the entry that holds the request's first command; the others are at
            the indexes behind it, whether they are applied or not
        returns: runs in order that cover the request's sequence numbers exactly; or `OutOfOrder`,
            and then nothing at all has changed. Forgotten answers are errors at index 0 of term 0.

        An exception other than CommandError out of the machine propagates, and so does a TypeError
        when the machine answers with anything but bytes: this node's state is then worthless.
        """
        first = request.first_sequence
        session = self._sessions.get(request.client_id)
        if session is None:
            if first != 1:
                return OutOfOrder(first, 0)
            session = self._sessions[request.client_id] = _Session()
        elif first > session.next:
            return OutOfOrder(first, session.next)
        if request.lowest_unanswered > session.lowest:
            session.forget_below(request.lowest_unanswered)

        if first == session.next:
            if not request.commands:
                return []
            run = _apply_all(machine, first, first_index, term, request.commands)
            session.runs.append(run)
            session.next = first + len(run.results)
            return [run]
        return self._answer_again(session, machine, first_index, term, request)

    def snapshot(self) -> Iterator[bytes]:
        """The state as it is now, in chunks of at most `snapshot.CHUNK_BYTES`."""
        items: list[_Head | Answers] = []
        for client_id, session in self._sessions.items():
            items.append(_Head(client_id, session.next, session.lowest))
            items.extend(session.runs)
        return snapshot.write("sessions", _VERSION, items)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replaces the state by the one in a snapshot.

        Raises MachineError, and changes nothing, when the chunks are no snapshot of sessions.
        """
        sessions: dict[bytes, _Session] = {}
        session: _Session | None = None
        for item in snapshot.read("sessions", _VERSION, _item_decoder, chunks):
            if isinstance(item, _Head):
                session = sessions[item.client_id] = _Session(item.next, item.lowest)
            elif session is None:
                raise MachineError("no snapshot of sessions: an answer comes before any session")
            else:
                session.runs.append(item)
        self._sessions = sessions

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
        old = known_end - first
        if old < len(request.commands):
            new = request.commands[old:]
            run = _apply_all(machine, known_end, first_index + old, term, new)
            session.runs.append(run)
            session.next = known_end + len(run.results)
            answers.append(run)
        return answers


class _Head(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """In a snapshot, what stands before a session's runs of answers."""

    client_id: bytes
    next: int
    lowest: int


_Item: TypeAlias = _Head | Answers
_item_decoder: msgspec.msgpack.Decoder[_Item] = msgspec.msgpack.Decoder(_Item)


def _apply_all(
    machine: Machine, first_sequence: int, first_index: int, term: int, commands: list[bytes]
) -> Answers:
    """Applies commands that are all new. Nothing that is not needed for each is done for each."""
    apply = machine.apply
    results: list[bytes] = []
    errors: list[int] = []
    answer = results.append
    for index, command in enumerate(commands, first_index):
        try:
            answer(apply(index, command))
        except CommandError as error:
            errors.append(len(results))
            answer(error_answer(error))
    if set(map(type, results)) != {bytes}:
        wrong = next(result for result in results if type(result) is not bytes)
        raise TypeError(f"apply must answer with bytes, and answered with {type(wrong).__name__}")
    return Answers(first_sequence, first_index, term, results, errors)


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
