"""Applying commands within a budget: what the answers weigh decides how many are applied.

An answer weighs its length and ANSWER_OVERHEAD_BYTES. Commands are applied until the lengths of the
answers have come to the room that there is. The one that passes it is the last; whatever follows is
not applied and gets the answer NOT_APPLIED. All of that follows from the machine and the commands,
so every node does the same.

A machine that takes many commands at once has applied all of them by the time that their answers
are seen: then answers that do not fit are replaced by an error that says that the command was
carried out.
"""

from __future__ import annotations

from typing import cast

from node.errors import CommandError
from node.machines.failures import FailedOn
from node.machines.protocol import Batched, Machine, error_answer, is_batched
from node.wire import Answers

NOT_APPLIED = (
    b"not applied: too many answers to this session wait to be acknowledged; submit it again"
)
"""The answer to a command that found its session's budget used up."""

ANSWER_OVERHEAD_BYTES = 32
"""About what a kept answer costs besides its length, so that empty ones are counted too."""


def weigh(results: list[bytes]) -> int:
    """What the answers weigh, in bytes."""
    return sum(map(len, results)) + ANSWER_OVERHEAD_BYTES * len(results)


def apply_all(
    machine: Machine,
    first_sequence: int,
    first_index: int,
    term: int,
    commands: list[bytes],
    limit: int,
    room: int,
) -> tuple[Answers, int]:
    """Applies the commands, as far as there is room for the answers; all the answers, and what they
    weigh.

    limit: the longest answer, in bytes
    room: when the answers have come to that length, nothing more is applied

    Raises FailedOn for whatever the machine raises that is no refusal, SystemExit and its like too,
    and where it answers with anything but bytes.
    """
    apply_some = _apply_many if is_batched(type(machine)) else _apply_each
    results, errors, weight = apply_some(machine, first_index, commands, limit, room)
    if len(results) < len(commands):
        errors += range(len(results), len(commands))
        refused = [NOT_APPLIED] * (len(commands) - len(results))
        results += refused
        weight += weigh(refused)
    return Answers(first_sequence, first_index, term, results, errors), weight


def _apply_each(
    machine: Machine, first_index: int, commands: list[bytes], limit: int, room: int
) -> tuple[list[bytes], list[int], int]:
    """As many commands as there is room for: the answers, which of them are errors, and what they
    weigh. Nothing is done for each command that is not needed for each."""
    apply = machine.apply
    results: list[bytes] = []
    errors: list[int] = []
    answer = results.append
    left = room
    index, command = first_index, b""
    try:
        for index, command in enumerate(commands, first_index):
            if left <= 0:
                break
            try:
                result = apply(index, command)
            except CommandError as error:
                errors.append(len(results))
                result = error_answer(error)
            if result.__class__ is not bytes:  # faster than a call of type()
                raise _not_bytes(result)
            left -= len(result)
            if left < 0 and len(result) > limit:
                left += len(result)
                result = _replaced(result, limit, results, errors)
                left -= len(result)
            answer(result)
    except BaseException as error:
        raise FailedOn(index, index, command) from error
    return results, errors, room - left + ANSWER_OVERHEAD_BYTES * len(results)


def _apply_many(
    machine: Machine, first_index: int, commands: list[bytes], limit: int, room: int
) -> tuple[list[bytes], list[int], int]:
    """As `_apply_each`, but the machine takes all commands at once, if there is any room."""
    if room <= 0:
        return [], [], 0
    try:
        results, errors = cast(Batched, machine).apply_many(first_index, commands)
        if len(results) != len(commands):
            raise TypeError(f"apply_many gave {len(results)} answers to {len(commands)} commands")
        if set(map(type, results)) != {bytes}:
            raise _not_bytes(next(result for result in results if type(result) is not bytes))
    except BaseException as error:
        raise FailedOn(first_index, first_index + len(commands) - 1, commands[0]) from error
    weight = weigh(results)
    if weight <= room:
        return results, errors, weight
    # The commands have been applied already, so the answers that do not fit are all that can go.
    fitting: list[bytes] = []
    failed: list[int] = []
    for position, result in enumerate(results):
        if position in errors:
            failed.append(position)
        if len(result) > min(limit, max(room, 0)):
            result = _replaced(result, min(limit, max(room, 0)), fitting, failed)
        room -= len(result) + ANSWER_OVERHEAD_BYTES
        fitting.append(result)
    return fitting, failed, weigh(fitting)


def _replaced(result: bytes, limit: int, before: list[bytes], errors: list[int]) -> bytes:
    """What is said in the place of the next answer, which is too long; it is an error then."""
    position = len(before)
    refused = errors[-1:] == [position]
    if not refused:
        errors.append(position)
    what = b"refused" if refused else b"carried out"
    return b"%s, but the answer of %d bytes is over the bound of %d and is not kept" % (
        what,
        len(result),
        limit,
    )


def _not_bytes(result: object) -> TypeError:
    return TypeError(f"apply must answer with bytes, and answered with {type(result).__name__}")
