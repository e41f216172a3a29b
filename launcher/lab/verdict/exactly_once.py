"""Each acknowledged command is in the committed log, once, at the index that was answered. Pure.

A client that gets no answer sends its command again, so the log may hold it twice. Then only the
first counts (`node/machines/sessions.py`). So the log is applied once more here, through the same
sessions, and each command that takes effect is compared with what the clients were told:

- an acknowledged command that is not there is lost;
- an index was answered once: two acknowledged commands at one index are one that counted double;
- the command at the index is the one that was acknowledged there, and takes effect there;
- a command that no other operation has takes effect once, acknowledged or not.

A refusal by the machine (a compare-and-set that does not find its value) is an answer like any
other: its entry is in the log, too. Reads are no entries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from launcher.lab.history import Done
from launcher.lab.verdict.chain import Chain
from launcher.lab.verdict.finding import INVALID, UNKNOWN, VALID, Finding, Outcome
from launcher.lab.verdict.operations import told
from node.errors import WireError
from node.machines.sessions import Sessions
from node.raft.messages import COMMANDS, Batch
from node.wire import OutOfOrder, Submit, split_submits

NAME = "exactly-once"

MOST_SHOWN = 5


class Applied(msgspec.Struct):
    """What the committed log comes to, when sessions are taken into account.

    commands: by index; only those that take effect
    repeated: the indexes of commands that had taken effect before, and do so no more
    answered_again: how many requests were answered from their session
    sessions_ended: how many sessions expired, or had to go for others
    """

    commands: dict[int, bytes]
    repeated: set[int]
    answered_again: int = 0
    sessions_ended: int = 0


def apply(chain: Chain, session_timeout_s: float, most_sessions: int) -> Applied:
    """Applies the committed log. Only a chain that is whole tells what its sessions held."""
    sessions = Sessions(round(session_timeout_s * 1_000_000), most_sessions)
    applied = Applied({}, set())
    for batch in chain.batches:
        before = len(sessions)
        sessions.advance(batch.time_us)
        applied.sessions_ended += before - len(sessions)
        index = batch.first_index
        for request in _requests(batch):
            _apply_request(sessions, applied, index, batch.term, request)
            index += len(request.commands)
    return applied


def _apply_request(
    sessions: Sessions, applied: Applied, index: int, term: int, request: Submit
) -> None:
    before = len(sessions)
    outcome = sessions.apply(_Mute(), index, term, request)
    if isinstance(outcome, OutOfOrder):
        return
    new = 0 if sessions.fresh is None else len(sessions.fresh.results)
    old = len(request.commands) - new
    # One more than before when it has begun; one less when another had to go for it.
    if request.first_sequence == 1 and not old and len(sessions) == before and new:
        applied.sessions_ended += 1
    if old:
        applied.answered_again += 1
        applied.repeated.update(range(index, index + old))
    for position in range(old, len(request.commands)):
        applied.commands[index + position] = request.commands[position]


def check(history: Sequence[Done], chain: Chain, applied: Applied, begun: int = 0) -> Finding:
    """Whether each acknowledged command took effect once, where its answer said.

    begun: when the run began, in nanoseconds; for the times in a window
    """
    entries = [one for one in history if one.command is not None]
    acknowledged = [one for one in entries if one.outcome != "info"]
    if not acknowledged:
        return _finding(UNKNOWN, "no command was acknowledged")
    if not chain.batches:
        return _finding(UNKNOWN, "no committed log could be put together")
    wrong = list(_wrong(entries, acknowledged, chain, applied))
    if wrong:
        return _invalid(wrong, begun)
    unseen = sum(one.index is not None and one.index < chain.first_index for one in acknowledged)
    if unseen:
        reason = (
            f"{unseen} of {len(acknowledged)} acknowledged commands are before entry "
            f"{chain.first_index}, and no copy has those entries"
        )
        return _finding(UNKNOWN, reason)
    return _finding(VALID, f"{len(acknowledged)} acknowledged commands, each at its index")


class _Wrong(msgspec.Struct):
    reason: str
    operations: tuple[Done, ...]


def _wrong(
    entries: Sequence[Done], acknowledged: Sequence[Done], chain: Chain, applied: Applied
) -> Iterator[_Wrong]:
    yield from _doubled_answers(acknowledged)
    for one in acknowledged:
        problem = _at_its_index(one, chain, applied)
        if problem:
            yield _Wrong(problem, (one,))
    if chain.is_whole:
        yield from _doubled_effects(entries, applied)


def _doubled_answers(acknowledged: Iterable[Done]) -> Iterator[_Wrong]:
    at: dict[int, Done] = {}
    for one in acknowledged:
        if one.index is None:
            continue
        first = at.setdefault(one.index, one)
        if first is not one:
            yield _Wrong(f"entry {one.index} was answered to two operations", (first, one))


def _at_its_index(one: Done, chain: Chain, applied: Applied) -> str:
    """What is wrong at the index of an acknowledged command; empty when nothing is."""
    index = one.index
    if index is None:
        return "an acknowledged command has no index"
    if index > chain.last_index:
        last = f"the committed log ends with entry {chain.last_index}"
        return f"the acknowledged entry {index} is lost: {last}"
    if index < chain.first_index:
        return ""
    batch = chain.batch_at(index)
    assert batch is not None, "a chain has no gap"
    if not chain.is_whole:
        there = _command_at(batch, index)
    elif index in applied.repeated:
        return f"entry {index} was answered, and the same command had taken effect before"
    else:
        there = applied.commands.get(index)
    if there is None:
        return f"entry {index} was answered, and holds no command that takes effect"
    found = shown(there)
    if found != one.command:
        return f"the acknowledged entry {index} is lost: the committed log has {found!r:.60} there"
    return ""


def _doubled_effects(entries: Sequence[Done], applied: Applied) -> Iterator[_Wrong]:
    """Commands of one operation alone that took effect twice."""
    asked = Counter(one.command for one in entries)
    effects: dict[str, list[int]] = {}
    for index, command in applied.commands.items():
        effects.setdefault(shown(command), []).append(index)
    for one in entries:
        at = effects.get(one.command or "", []) if asked[one.command] == 1 else []
        if len(at) > 1:
            places = " and ".join(map(str, at))
            yield _Wrong(f"one command took effect at the entries {places}", (one,))


def _command_at(batch: Batch, index: int) -> bytes | None:
    at = batch.first_index
    for request in _requests(batch):
        if index < at + len(request.commands):
            return request.commands[index - at]
        at += len(request.commands)
    return None


def _requests(batch: Batch) -> Sequence[Submit]:
    if batch.kind is not COMMANDS:
        return ()
    try:
        requests = split_submits(batch.data)
    except WireError:
        return ()  # every node skips it
    whole = sum(len(request.commands) for request in requests) == batch.count
    return requests if whole else ()


def _invalid(wrong: list[_Wrong], begun: int) -> Finding:
    first = wrong[0]
    window = [told(one, begun) for one in first.operations]
    window += [f"also: {other.reason}" for other in wrong[1:MOST_SHOWN]]
    if len(wrong) > MOST_SHOWN:
        window.append(f"and {len(wrong) - MOST_SHOWN} more like these")
    return Finding(check=NAME, outcome=INVALID, reason=first.reason, window=window)


def shown(command: bytes) -> str:
    """A command as the history has it."""
    return command.decode("utf-8", "backslashreplace")


def _finding(outcome: Outcome, reason: str) -> Finding:
    return Finding(check=NAME, outcome=outcome, reason=reason)


class _Mute:
    """A machine that answers nothing: only what sessions make of a log is asked for."""

    def apply(self, index: int, command: bytes) -> bytes:
        return b""

    def query(self, request: bytes) -> bytes:
        return b""

    def snapshot(self) -> Iterable[bytes]:
        return ()

    def restore(self, chunks: Iterable[bytes]) -> None:
        return None
