"""Requests that throttle nodes, and end that.

A throttle is its node's, whatever becomes of the process, as a disk's fault is: so nodes that are
down count, and a process that is started has it from the first moment on.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from launcher.control.requests import Reply
from launcher.control.targets import Action, resolve
from launcher.control.throttles import write_share
from launcher.supervisor.nodes import Nodes
from launcher.supervisor.processes import Throttle
from node.raft.messages import NodeId


class ThrottleFaults:
    """The throttles of all nodes. random: chooses among targets."""

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._injections = nodes.faults.injections
        self._random = random

    async def set(self, targets: Sequence[str], share: float | None) -> Reply:
        """These nodes get this share of a core, in place of an earlier one; None: all of it."""
        status = await self._nodes.status()
        action: Action = "throttle ok" if share is None else "throttle"
        ids = resolve(targets, status, action, self._random)
        before = self._in_force()
        if share is None:
            self._put(ids, None)
            if ids:
                ended = sorted(before - self._in_force())
                self._injections.end(ended, fault="throttle", targets=ids)
        elif ids:
            fault_id = self._injections.next_id()
            self._injections.begin("throttle", "throttle", ids, fault_id, targets=ids, share=share)
            self._put(ids, Throttle(share, fault_id))
            self._injections.spent(before - self._in_force())
        note = "ok" if share is None else write_share(share)
        return Reply(ok=True, chosen=[status.choose(node, note) for node in ids])

    def end_all(self) -> list[NodeId]:
        """Every node gets all of its core. The caller ends the injections of this layer.

        Returns the nodes that were throttled.
        """
        throttled = [node.id for node in self._nodes.all.values() if node.throttle]
        self._put(throttled, None)
        return throttled

    def _put(self, ids: Sequence[NodeId], throttle: Throttle | None) -> None:
        for node_id in ids:
            node = self._nodes.all[node_id]
            node.throttle = throttle
            if node.process is not None:
                share = None if throttle is None else throttle.share
                node.process.throttling.set(share, begin=not node.process.is_paused())

    def _in_force(self) -> frozenset[int]:
        """The ids of the throttles that some node still has."""
        throttles = (node.throttle for node in self._nodes.all.values())
        return frozenset(one.fault_id for one in throttles if one is not None)
