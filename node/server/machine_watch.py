"""What a node notices of its machine: that it fails, where, and that it is slow.

A machine is a user's code, and a failing one is hard to find from outside. So an exception out of
it goes to the event log with its traceback and the command, as one event of bounded size
(`machine.failed`), before it ends the node. A query that fails ends nothing; it is told of as
`query.failed`, with the traceback of the last one. An `apply` or `query` that takes longer than
`log.slow` is a warning (`machine.slow`). The last two are told once a second at most.

Times are only measured and told: nothing that is replicated depends on one. Commands that come
together are timed together, so that nothing is done for each; when some have taken too long, each
one is timed from then on, and the slow one is found.
"""

from __future__ import annotations

from collections.abc import Callable

from node.errors import MachineError
from node.events import Note, Repeated
from node.machines.failures import FailedOn, place, raised, traceback_of, what
from node.machines.protocol import Machine, is_batched, shown

Stopwatch = Callable[[], float]
"""Seconds, from whenever; what passes between two calls counts."""


class MachineWatch:
    """Of one server's machine.

    slow_s: an apply or a query that takes so long is told of
    slowest_apply_s, slowest_query_s: the longest that one took in this life; or that several
        commands took which came together, none of which is known to have been slow
    """

    def __init__(self, name: str, slow_s: float, stopwatch: Stopwatch, note: Note) -> None:
        """name: the machine's, as the cluster calls it"""
        self._name = name
        self._note = note
        self._slow = Repeated("machine.slow", note)
        self._failed_queries = Repeated("query.failed", note)
        self._timed: _EachTimed | None = None
        self._times_each = False
        self.stopwatch = stopwatch
        self.slow_s = slow_s
        self.slowest_apply_s = 0.0
        self.slowest_query_s = 0.0

    def tell(self, now: float) -> None:
        """Writes the warnings that are due."""
        self._slow.tell(now)
        self._failed_queries.tell(now)

    # -- what fails ------------------------------------------------------------------------------

    def failed_on(self, failed: FailedOn) -> MachineError:
        """The machine has failed on an entry: tells of it, and makes the error that ends the
        node."""
        cause = failed.__cause__
        assert cause is not None, "it is raised from what the machine raised"
        first, last = failed.first_index, failed.last_index
        on = f"on entry {first}" if first == last else f"on an entry in {first}..{last}"
        error = raised(self._name, on, cause)
        self._tell_of(error, cause, first_index=first, last_index=last, command=failed.command)
        return error

    def failed(self, doing: str, cause: BaseException) -> MachineError:
        """The machine has failed while it was asked for something else."""
        error = raised(self._name, doing, cause)
        self._tell_of(error, cause)
        return error

    def query_failed(self, query: bytes, error: BaseException) -> None:
        """A query has raised what is no refusal. The node goes on."""
        reason = f"{shown(query)}: {what(error)}"
        self._failed_queries.add(reason, traceback=traceback_of(error))

    def _tell_of(
        self, error: MachineError, cause: BaseException, *, command: bytes | None = None,
        **fields: object,
    ) -> None:  # fmt: skip
        if command is not None:
            fields["command"] = shown(command)
        where = place(cause)
        if where:
            fields["where"] = where
        self._note(
            "error", "machine.failed", reason=str(error), **fields, traceback=traceback_of(cause)
        )

    # -- what is slow ----------------------------------------------------------------------------

    def timing(self, machine: Machine) -> Machine:
        """What commands are to be handed to: the machine itself, or, once it has been slow, one
        that times each of them."""
        if not self._times_each or is_batched(type(machine)):
            return machine
        if self._timed is None or self._timed.machine is not machine:
            self._timed = _EachTimed(machine, self)
        return self._timed

    def applied(self, first_index: int, commands: list[bytes], took_s: float) -> None:
        """These commands, which came together, took so long. Called where that is worth a look."""
        self.slowest_apply_s = max(self.slowest_apply_s, took_s)
        if took_s < self.slow_s:
            return
        self._times_each = True
        if len(commands) == 1:
            self._slow.add(
                f"applying entry {first_index} took {took_s:.3f} s: {shown(commands[0])}"
            )
        else:
            last = first_index + len(commands) - 1
            self._slow.add(f"applying the entries {first_index} to {last} took {took_s:.3f} s")

    def queried(self, query: bytes, took_s: float) -> None:
        """A query took so long."""
        self.slowest_query_s = max(self.slowest_query_s, took_s)
        if took_s >= self.slow_s:
            self._slow.add(f"a query took {took_s:.3f} s: {shown(query)}")


class _EachTimed:
    """A machine whose every `apply` is timed."""

    def __init__(self, machine: Machine, watch: MachineWatch) -> None:
        self.machine = machine
        self.query = machine.query
        self.snapshot = machine.snapshot
        self.restore = machine.restore
        self._apply = machine.apply
        self._watch = watch

    def apply(self, index: int, command: bytes) -> bytes:
        watch = self._watch
        began = watch.stopwatch()
        answer = self._apply(index, command)
        took_s = watch.stopwatch() - began
        if took_s >= watch.slow_s or took_s > watch.slowest_apply_s:
            watch.applied(index, [command], took_s)
        return answer
