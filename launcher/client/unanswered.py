"""What is known of entries that were not answered in time, and how they are sent again.

An entry without an answer may be committed or not, now or later. Submitting it once more as a new
entry could apply it twice. So `NoAnswer` keeps its place: the session, and its number there. Sent
again under that number, an entry that was applied is not applied again; its first answer comes
instead (`node/machines/sessions.py`).

The other half of this file is the text: why a cluster does not answer, as far as that can be seen
from outside.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from launcher.client.answers import Submitted
from launcher.client.session import Unanswered
from launcher.errors import TimedOut, UsageError
from node.raft.membership import Configuration, majority, stable
from node.raft.messages import NodeId


class NoAnswer(TimedOut):
    """The cluster did not answer in time; what it was asked to commit, it may still commit.

        try:
            cluster.submit("TRANSFER ann bob 10")
        except NoAnswer as error:
            (done,) = error.resend(timeout_s=60)   # the same entry: it moves 10, never 20

    unanswered: the entries (or queries) without an answer, in order
    left: where the entries stand in their session, and what else `resend` needs; None for queries
    missing: the nodes that did not answer a roll call either

    elsewhere: how any process can resend the entries; None where only a `Client` was used

    It survives pickling, and so does the entries' place in their session.
    """

    def __init__(
        self,
        text: str,
        unanswered: list[bytes],
        *,
        left: Unanswered | None = None,
        missing: Sequence[NodeId] = (),
    ) -> None:
        super().__init__(text)
        self.unanswered = unanswered
        self.left = left
        self.missing = list(missing)
        self.elsewhere: Resend | None = None
        self._resend: Resend | None = None

    @property
    def first_sequence(self) -> int:
        """The sequence number of the first of them in its session; 0 for queries."""
        return 0 if self.left is None else self.left.first_sequence

    def resend(self, *, timeout_s: float | None = None) -> list[Submitted]:
        """Sends the same entries again, in their session, and waits for all their answers.

        timeout_s: bounds the wait for the oldest entry without an answer; by default the client's
        returns: an answer for each entry of `unanswered`, in order; one that the machine refused
            has its `error` set, and raises CommandError when it is asked for its value

        Each entry takes effect once, however often it is sent. So this may be called again, also
        after it succeeded: then the same answers come. Only entries of which nothing was ever sent
        (`left.sent`) begin their session here: resend those in one process, not in two copies.

        Raises NoAnswer when they are not answered in time this time either, SessionLost when the
        cluster has forgotten the session meanwhile (`sessions.timeout`, `sessions.most`), and
        UsageError for queries, which change nothing and can simply be asked again.
        """
        if self.left is None:
            raise UsageError("a read changes nothing: ask again instead of resending it")
        # What begins with an underscore has not survived pickling.
        resend: Resend | None = self.elsewhere or getattr(self, "_resend", None)
        if resend is None:
            raise UsageError(
                "the client that raised this error is in another process: resend(error) of a "
                "client or a cluster sends its entries again"
            )
        return resend(self, timeout_s)

    def resent_here(self, resend: Resend) -> None:
        """In this process `resend` asks this: whoever has the connections."""
        self._resend = resend

    @contextmanager
    def one_at_a_time(self) -> Iterator[Unanswered]:
        """What is to be sent again; a second thread that wants to do the same waits.

        Raises UsageError for queries.
        """
        # By process: in a forked child nobody would release a lock that another thread has held.
        lock = self.__dict__.setdefault(f"_lock_{os.getpid()}", threading.Lock())
        with lock:
            if self.left is None:
                raise UsageError("a read changes nothing: ask again instead of resending it")
            yield self.left


Resend: TypeAlias = Callable[[NoAnswer, float | None], list[Submitted]]


# -- why -----------------------------------------------------------------------------------------


def reason(
    nodes: Sequence[NodeId],
    asked: Sequence[NodeId],
    missing: Sequence[NodeId],
    leader: NodeId | None,
    objection: str,
    failure: str = "",
) -> str:
    """Why nobody has answered, as far as that can be seen from outside.

    nodes: all there are
    asked: those that the request could go to
    missing: the nodes that did not answer a roll call either
    leader: the node that was last known to lead
    objection: why a node that was asked would not do it
    failure: what a node said that has ended since
    """
    if failure:
        return failure
    if len(asked) == 1 and len(nodes) > 1:
        does = "does not answer" if asked[0] in missing else "is slow to answer"
        return f"node {asked[0]} {does}"
    if objection and not missing:
        return objection
    return _quorum_situation(nodes, missing, leader)


def _quorum_situation(
    nodes: Sequence[NodeId], missing: Sequence[NodeId], leader: NodeId | None
) -> str:
    """A client does not know who votes, so it says what holds when all nodes do."""
    everybody = Configuration(stable(nodes))
    needed = f"{majority(everybody.voters)} of {len(nodes)}"
    silent = ""
    if missing:
        silent = f"{names(missing)} {'does' if len(missing) == 1 else 'do'} not answer"
    if not everybody.has_quorum(set(nodes) - set(missing)):
        return f"no quorum: {silent}; {needed} are needed (if all of them vote)"
    if leader is not None and leader not in missing:
        why = f"node {leader} leads and has not committed it (is it cut off, or too slow?)"
    else:
        why = f"no leader found; {needed} must reach each other (if all of them vote)"
    return f"{why}; {silent}" if missing else why


def names(nodes: Iterable[NodeId]) -> str:
    """`node 2`, or `nodes 1, 2 and 5`."""
    numbers = [str(node) for node in sorted(nodes)]
    if len(numbers) == 1:
        return f"node {numbers[0]}"
    return f"nodes {', '.join(numbers[:-1])} and {numbers[-1]}"
