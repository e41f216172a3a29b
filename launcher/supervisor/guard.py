"""The guard over safety: every report of every node is compared as it arrives.

It feeds the two comparisons (`safety.py`, and for what machines answer
`launcher/control/divergence.py`), and does what a violation asks for:

1. Every node is stopped at once, by signals that are sent before anything else is done, where
   `safety: freeze` is in force (`freezing.py`). What shows the mistake is then still there: the
   logs, the data, and the processes' memory.
2. The event `safety.violated` says it, with everything that was compared.
3. data/safety.json keeps it (`launcher/folders/violations.py`); from then on no log is pruned.

A violation that is on record is not found a second time, so a cluster that was thawed, or started
again, runs on until something else is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from launcher.control.divergence import Comparison, Divergence, event_of
from launcher.folders.violations import Violation
from launcher.supervisor.claim import Claim
from launcher.supervisor.safety import Safety
from node import wire
from node.printable import error_line
from node.raft.messages import NodeId


class Guard:
    """What the nodes have reported, and what is wrong with it.

    on_violation: freezes every node at once
    """

    def __init__(self, claim: Claim, emit: Callable[..., None]) -> None:
        """emit: writes an event of the supervisor's (level, name, fields)"""
        self._claim = claim
        self._emit = emit
        self._machines = Comparison()
        self._safety = Safety(claim.kept(), claim.violations)
        self.on_violation: Callable[[], None] = lambda: None

    def see(
        self,
        node: NodeId,
        life: int,
        status: wire.Status,
        nodes: Iterable[NodeId],
        *,
        asked: int,
        freezes: bool,
    ) -> None:
        """A node's report.

        life: the node's start, counted
        nodes: all that there are
        asked: the number of the last question that was put to the nodes
        freezes: a violation freezes the cluster; otherwise it is only said
        """
        self._machines.see(node, status, nodes)
        found = self._safety.see(node, life, status, _now(), asked, self._machines)
        if status.kept_term:
            self._claim.keep(node, status.kept_term, status.kept_vote)
        if not found:
            return
        if freezes:
            self.on_violation()
        for one in found:
            said = [str(report) for report in one.reports]
            self._emit(
                "error",
                "safety.violated",
                promise=one.promise,
                found=one.found,
                targets=one.nodes,
                reports=said,
                frozen=freezes,
            )
        try:
            self._claim.convict(self._safety.violations)
        except OSError as error:
            self._emit("warn", "record.failed", reason=error_line(error))

    def forget(self, node: NodeId) -> None:
        """The node's data is gone: it learns everything anew, or is not there any more."""
        self._machines.forget(node)
        self._safety.forget(node)

    @property
    def violations(self) -> list[Violation]:
        """All that was found in this cluster, also before this supervisor started."""
        return list(self._safety.violations)

    @property
    def marks(self) -> dict[NodeId, Divergence]:
        """The nodes whose machines differ from others'."""
        return self._machines.diverged

    def tell_marks(self) -> None:
        """Writes events of the nodes whose mark has changed. To be called when all have spoken."""
        for node, mark in self._machines.changes():
            level, event, fields = event_of(node, mark)
            self._emit(level, event, **fields)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
