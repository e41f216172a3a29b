"""The methods of `Cluster` that inject faults and return a handle that ends them.

They are kept here so that `launcher/cluster.py` stays of a readable length.
"""

from __future__ import annotations

import abc

from launcher.control import requests
from launcher.control.clocks import ClockChange, parse_change
from launcher.control.links import LinkChange, ended_by
from launcher.control.links import parse_change as parse_link_change
from launcher.control.points import PointRow, check_point, parse_actions
from launcher.control.requests import Reply, Request
from launcher.injected import Injected


class Breaking(abc.ABC):
    """What `Cluster` has besides the methods of its own module."""

    @abc.abstractmethod
    def _call(self, request: Request) -> Reply:
        """Asks the supervisor. Raises LauncherError."""

    def clock(self, target: str | int, fault: str, *, wall: bool = False) -> Injected:
        """Moves the clock by which nodes run elections, leases and cluster time.

        fault: `bump 200ms` (one step; `bump -200ms`: back), `strobe 200ms 100ms` (jumps by the
            first and back, in turn, in each of the second), `rate 1.05`, or `ok`, which ends all
        wall: the wall clock, from which the times of events come; `ok` then ends only its faults

        It changes only what it names, and the handle ends only that. The clock then runs true from
        where it is; only a wall clock without faults is set right. A node that is started again
        keeps what moves its clock. Raises UsageError, and LauncherError when a node to be bumped is
        not running.
        """
        change = parse_change(fault, wall=wall)
        reply = self._call(requests.SetClocks([str(target)], change))
        if change.word == "ok" or not reply.chosen:
            return Injected(reply.chosen, reply.unconfirmed)
        ids = [str(node.id) for node in reply.chosen]
        undo = ClockChange(word="ok", only=change.word, wall=wall)
        return Injected(
            reply.chosen,
            reply.unconfirmed,
            lambda: self._call(requests.SetClocks(ids, undo)),
        )

    def link(self, links: str, *words: str) -> Injected:
        """Changes what links between nodes do to their messages.

        links: `1>2` (one direction), `1-2` (both), `leader>followers`, or `all`
        words: `delay 50ms 10ms`, `loss 5%`, `duplicate 1%`, `reorder 2%`, `rate 1mbit`, `cut`,
            `hold`, `profile wifi`, several of them in one text or in several; or `ok`, which ends
            all of it and lets go what was held

        It changes only what it names, and the handle ends only that. A partition is another layer:
        `ok` does not end it. Raises UsageError; then nothing has changed.
        """
        change = parse_link_change(words)
        reply = self._call(requests.ChangeLinks(links, change))
        undo = LinkChange(ends=sorted(ended_by(change)))
        pairs = [(one.source, one.target) for one in reply.links]
        return Injected(
            reply.chosen,
            reply.unconfirmed,
            None if change.ok else lambda: self._call(requests.ChangeLinks("", undo, pairs)),
            reply.links,
        )

    def arm(self, *targets: str | int, point: str, action: str) -> Injected:
        """Arms a point in the code of nodes, in place of what it was armed with.

        point: its name, such as `before-sync`; `points` has all
        action: what strikes there, such as `kill`, `2*kill`, `20%sleep(10ms)`; `off` disarms it

        A node that is down is armed for its next life. The handle disarms the point. Raises
        UsageError.
        """
        name, terms = check_point(point), parse_actions(action)
        reply = self._call(requests.Arm([str(target) for target in targets], name, terms))
        if not terms or not reply.chosen:
            return Injected(reply.chosen, reply.unconfirmed)
        ids = [str(node.id) for node in reply.chosen]
        return Injected(
            reply.chosen, reply.unconfirmed, lambda: self._call(requests.Arm(ids, name, []))
        )

    def points(self) -> list[PointRow]:
        """Every point, with its hits at each node at which it was armed."""
        return self._call(requests.ListPoints()).points
