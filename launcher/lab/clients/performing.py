"""One client's operations on the cluster: each is recorded, sent, and recorded again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from launcher.client.answers import encoded
from launcher.client.client import Client, NoAnswer, Refused, SessionLost
from launcher.errors import NotRunning, UsageError
from launcher.lab.history import Completed, Done, Invoked, Outcome, Writer, done
from launcher.lab.workloads.protocol import Operation


class Performer:
    """Does the operations of one client, one after the other.

    An operation that is not answered in time, and one whose session the cluster has forgotten, has
    an unknown outcome; the client then begins a new session by itself.
    """

    def __init__(
        self,
        process: int,
        client: Client,
        writer: Writer,
        *,
        node: int | None,
        offset_ns: int,
        still_there: Callable[[], None],
    ) -> None:
        """node: that its reads are asked of; None: none in particular
        still_there: raises NotRunning when the cluster has gone"""
        self._process = process
        self._client = client
        self._writer = writer
        self._node = node
        self._offset_ns = offset_ns
        self._still_there = still_there
        self._ids = itertools.count(1)

    def do(self, operation: Operation) -> Done:
        """Does one. Raises NotRunning, and LauncherError when it cannot be recorded."""
        node = None if operation.how == "submit" else self._node
        asked = Invoked(
            t=self._now(),
            process=self._process,
            id=next(self._ids),
            f=operation.f,
            value=operation.value,
            node=node,
            command=_as_text(operation.command) if operation.how == "submit" else None,
            stale=operation.how == "stale",
        )
        self._writer.write(asked)
        outcome, value, error, index, by = self._send(operation, node)
        ended = Completed(
            t=self._now(),
            process=self._process,
            id=asked.id,
            type=outcome,
            f=operation.f,
            value=value,
            error=error,
            index=index,
            by=by,
        )
        self._writer.write(ended)
        if outcome == "info":
            self._still_there()
        return done(asked, ended)

    def _send(
        self, operation: Operation, node: int | None
    ) -> tuple[Outcome, str | None, str, int | None, int | None]:
        """The outcome, the answer, the error, the entry that it comes from, and who answered."""
        command = encoded(operation.command)
        try:
            if operation.how == "submit":
                answer = self._client.submit(command)
                return *_outcome(answer.raw, answer.error, answer.index), answer.leader
            stale = operation.how == "stale"
            (read,) = self._client.read([command], stale=stale, node=node)
            return *_outcome(read.raw, read.error, read.index), read.leader
        except (NoAnswer, SessionLost, Refused) as error:
            return "info", None, str(error), None, None
        except NotRunning:
            raise
        except UsageError as error:  # its node was removed
            self._node = None
            return "info", None, str(error), None, None

    def _now(self) -> int:
        return time.monotonic_ns() + self._offset_ns


def _as_text(command: str | bytes) -> str:
    return encoded(command).decode("utf-8", "backslashreplace")


def _outcome(
    raw: bytes, error: str | None, index: int
) -> tuple[Outcome, str | None, str, int | None]:
    if error is not None:
        return "fail", None, error.encode("utf-8", "backslashreplace").decode(), index
    return "ok", raw.decode("utf-8", "backslashreplace"), "", index
