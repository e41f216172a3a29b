"""Requests that move the clocks of nodes, and end that.

A clock is its node's, whatever becomes of the process, as a disk is: so nodes that are down count.
But a step of the monotonic clock is seen by a process that runs, and by no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from launcher.control.clocks import ClockChange, describe_change
from launcher.control.naming import node_names
from launcher.control.requests import Reply
from launcher.control.status import ClusterStatus
from launcher.control.targets import Action, resolve
from launcher.errors import LauncherError
from launcher.supervisor.clocks import TRUE_CLOCKS
from launcher.supervisor.nodes import Nodes
from node.raft.messages import NodeId


class ClockFaults:
    """The clocks of all nodes. random: chooses among targets."""

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._faults = nodes.faults
        self._injections = nodes.faults.injections
        self._random = random

    async def set(self, targets: Sequence[str], change: ClockChange) -> Reply:
        """Changes the clocks of these nodes. Raises LauncherError; then nothing has changed."""
        status = await self._nodes.status()
        action: Action = "clock ok" if change.word == "ok" else "clock"
        ids = resolve(targets, status, action, self._random)
        if change.word == "bump" and not change.wall:
            _check_running(ids, status)
        # From here to the order nothing is waited for, so two operators cannot come in between.
        fault_id = self._injections.next_id()
        ordered = {node: self._nodes.all[node].clocks.changed(change, fault_id) for node in ids}
        lasts = any(fault_id in clocks.order.ids for clocks in ordered.values())
        # A step back to where the clock was is over at once; it is a fault all the same.
        begins = lasts or (change.word == "bump" and bool(ids))
        said = describe_change(change)
        before = self._in_force()
        if begins:
            self._injections.begin("clock", "clock", ids, fault_id, targets=ids, does=said)
        unconfirmed = await self._faults.set_clocks(ordered)
        ended = before - self._in_force()
        if begins:
            self._injections.spent(ended if lasts else {*ended, fault_id})
        elif ids:
            self._injections.end(sorted(ended), fault="clock", targets=ids)
        chosen = [status.choose(node, said) for node in ids]
        return Reply(ok=True, chosen=chosen, unconfirmed=unconfirmed)

    async def end_all(self) -> tuple[list[str], list[NodeId]]:
        """All clocks run true. Returns whose did not, in a phrase, and the nodes that have not
        confirmed it."""
        moved = [node.id for node in self._nodes.all.values() if node.clocks.by]
        if not moved:
            return [], []
        said = f"clock of {node_names(moved)}"
        return [said], await self._faults.set_clocks(dict.fromkeys(moved, TRUE_CLOCKS))

    def _in_force(self) -> frozenset[int]:
        """The ids of the faults of clocks that some node still has."""
        return frozenset(one for node in self._nodes.all.values() for one in node.clocks.order.ids)


def _check_running(ids: Sequence[NodeId], status: ClusterStatus) -> None:
    for node in ids:
        found = status.node(node)
        if not found.running:
            raise LauncherError(
                f"n{node} is {found.state}: bump moves the clock of a node that runs; "
                f"`launcher start {node}` first"
            )
