"""What an operator changes in how a running cluster runs: settings, timers, single messages."""

from __future__ import annotations

from random import Random

from launcher import overrides
from launcher.control import requests
from launcher.control.links import pairs
from launcher.control.requests import Reply
from launcher.control.steering import (
    SettingChange,
    Unconfirmed,
    check_count,
    parse_message_type,
    split_link,
)
from launcher.control.targets import resolve
from launcher.errors import LauncherError
from launcher.supervisor.nodes import Nodes
from node.printable import error_line
from node.raft.messages import NodeId
from node.wire import Drop


class Steering:
    """Carries out those requests."""

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._random = random

    # -- settings --------------------------------------------------------------------------------

    async def change_setting(self, request: requests.ChangeSetting) -> Reply:
        """Changes one setting on all nodes. Raises LauncherError."""
        before = self._nodes.config
        key = overrides.key_of(request.key)
        after = overrides.changed(before, request.key, request.value)
        old, new = (overrides.text_of(config, key) for config in (before, after))
        try:
            self._nodes.publish(after)
        except OSError as error:
            raise LauncherError(f"nothing was changed: {error_line(error)}") from error
        self._nodes.emit("info", "setting.changed", setting=key, before=old, after=new)
        confirmed_by = await self._nodes.tell_settings()
        change = SettingChange(key, old, new, self._unconfirmed(confirmed_by))
        return Reply(ok=True, changed=change)

    def _unconfirmed(self, request: int) -> list[Unconfirmed]:
        """The nodes with a process whose status is older than this request."""
        found = []
        for node_id, process in self._nodes.roster.running():
            status = self._nodes.all[node_id].status
            if not process.ready.is_set():
                found.append(Unconfirmed(node_id, "starting"))
            elif process.is_paused():
                found.append(Unconfirmed(node_id, "paused"))
            elif status is None or status.request < request:
                found.append(Unconfirmed(node_id, "not responding"))
        return found

    # -- one node's timer ------------------------------------------------------------------------

    async def time_out(self, node_id: NodeId) -> str:
        """Has its election timer fire. Returns for what it campaigns; raises LauncherError."""
        process = await self._nodes.quiesce(node_id)
        if process is None or process.is_paused():
            state = "not running" if process is None else "paused"
            raise LauncherError(f"n{node_id} is {state}, and campaigns for nothing")
        said = await self._nodes.time_out(node_id)
        if said.failure:
            who = "" if said.failure.startswith(f"n{node_id} ") else f"n{node_id}: "
            raise LauncherError(f"{who}{said.failure}")
        if said.pre_vote:
            return f"asks for pre-votes for term {said.term}"
        return f"campaigns in term {said.term}"

    # -- single messages -------------------------------------------------------------------------

    async def drop(self, request: requests.DropMessages) -> Reply:
        """The next messages of a type on a link are to be lost. Raises LauncherError."""
        kind = parse_message_type(request.type)
        check_count(request.count)
        status = await self._nodes.status()
        one, other = split_link(request.link)
        sources, targets = (resolve([end], status, "drop", self._random) for end in (one, other))
        links = pairs(sources, targets, both=False)
        drops = [Drop(a, b, kind, request.count) for a, b in links]
        await self._nodes.drops.add(drops)
        several = {} if request.count == 1 else {"count": request.count}
        self._nodes.emit("info", "drop.asked", links=links, type=kind, **several)
        return Reply(ok=True, drops=drops)
