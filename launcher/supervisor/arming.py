"""Requests that arm points, disarm them and list them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from launcher.control.points import check_point, describe
from launcher.control.requests import Reply
from launcher.control.targets import resolve
from launcher.supervisor.nodes import Nodes
from launcher.supervisor.points import LAYER, rows
from node.raft.messages import NodeId
from node.wire import PointTerm


class Arming:
    """The points that requests arm. random: chooses among targets."""

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._faults = nodes.faults
        self._injections = nodes.faults.injections
        self._random = random

    async def list_all(self) -> Reply:
        """Every point, with its counts."""
        await self._nodes.status()  # which has the nodes tell their counts
        return Reply(ok=True, points=rows({n: node.points for n, node in self._nodes.all.items()}))

    async def arm(self, targets: Sequence[str], point: str, terms: list[PointTerm]) -> Reply:
        """Arms a point, or disarms it when there are no terms. Raises LauncherError.

        A point is its node's, whatever becomes of the process: so nodes that are down count.
        """
        point = check_point(point)
        status = await self._nodes.status()
        ids = resolve(targets, status, "arm" if terms else "arm off", self._random)
        notes = {node_id: self._note(node_id, point, terms) for node_id in ids}
        before = self._armed_ids()
        begun: list[int] = []
        if terms and ids:
            begun = [self._injections.next_id()]
            fields = {"targets": ids, "point": point, "action": describe(terms)}
            self._injections.begin("point", LAYER, ids, begun[0], **fields)
        for node_id in ids:
            node = self._nodes.all[node_id]
            if terms:
                node.points.arm(point, begun[0], terms)
            else:
                node.points.disarm(point)
            if node.process is not None:
                node.process.send(node.points.order())
        unconfirmed = await self._faults.confirm(ids, begun)
        ended = before - self._armed_ids()
        if ids and not terms:
            self._injections.end(sorted(ended), fault="point", targets=ids)
        else:  # replaced
            self._injections.spent(ended)
        chosen = [status.choose(node_id, notes[node_id]) for node_id in ids]
        return Reply(ok=True, chosen=chosen, unconfirmed=unconfirmed)

    async def end_all(self) -> tuple[list[str], list[NodeId]]:
        """Disarms every point, and ends what the action `cut` has done. Returns what that was, a
        phrase each, and the nodes that have not confirmed it."""
        await self._nodes.status()  # the counts of this moment stay on record
        ended = self._armed_ids()
        said = [
            f"{what} of n{node.id}"
            for node in self._nodes.all.values()
            for what in (
                *(f"point {state.point}" for state in node.points.armed()),
                *(["cut-off"] if node.points.cut_at else []),
            )
        ]
        for node in self._nodes.all.values():
            node.points.heal()
            if node.process is not None:
                node.process.send(node.points.order(cut=False))
        return said, await self._faults.confirm(list(self._nodes.all), (), ended)

    def _armed_ids(self) -> set[int]:
        return {one for node in self._nodes.all.values() for one in node.points.ids()}

    def _note(self, node_id: NodeId, point: str, terms: list[PointTerm]) -> str:
        node = self._nodes.all[node_id]
        armed = {state.point: describe(state.terms) for state in node.points.armed()}
        before = armed.get(point)
        if not terms:
            return f"{point} was not armed" if before is None else f"{point} off, was {before}"
        replaced = "" if before is None else f", in place of {before}"
        later = "" if node.process is not None else ", for its next life"
        return f"{point} {describe(terms)}{replaced}{later}"
