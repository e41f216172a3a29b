"""The methods of `Cluster` that inject faults and return a handle that ends them.

They are kept here so that `launcher/cluster.py` stays of a readable length.
"""

from __future__ import annotations

import abc

from launcher.control import requests
from launcher.control.clocks import ClockChange, parse_change
from launcher.control.disks import parse_fault
from launcher.control.links import LinkChange, ended_by
from launcher.control.links import parse_change as parse_link_change
from launcher.control.points import PointRow, check_point, parse_actions
from launcher.control.requests import Reply, Request
from launcher.control.status import Chosen, ClusterStatus
from launcher.control.targets import words
from launcher.control.throttles import parse_share
from launcher.injected import Injected, InjectedList
from node.raft.messages import NodeId


class Breaking(abc.ABC):
    """What `Cluster` has besides the methods of its own module."""

    @abc.abstractmethod
    def _call(self, request: Request) -> Reply:
        """Asks the supervisor. Raises LauncherError."""

    @abc.abstractmethod
    def status(self) -> ClusterStatus:
        """The current state of every node. Raises NotRunning."""

    # -- processes -------------------------------------------------------------------------------

    def pause(self, *targets: str | int) -> InjectedList[Chosen]:
        """Stops nodes with SIGSTOP: their processes exist and do nothing.

        Returns the nodes; as a context manager it resumes, at its end, those that are still paused.
        """
        chosen = self._call(requests.Pause(words(targets))).chosen
        ids = [node.id for node in chosen]

        def end() -> None:
            status = self.status()
            paused = [n for n in ids if status.has(n) and status.node(n).state == "paused"]
            if paused:
                self._call(requests.Resume(words(paused)))

        return InjectedList(chosen, chosen, end=end if ids else None)

    def throttle(self, target: str | int, share: str) -> Injected:
        """Gives nodes only a share of a core: they are stopped and continued in turn.

        share: such as `20%`, from 1 % to 99 %; or `ok`, which ends it

        A throttled node is not paused. A node that is started again has the same share. Raises
        UsageError.
        """
        parsed = parse_share(str(share))
        reply = self._call(requests.SetThrottles([str(target)], parsed))
        if parsed is None or not reply.chosen:
            return Injected(reply.chosen)
        undo = requests.SetThrottles(words(node.id for node in reply.chosen), None)
        return Injected(reply.chosen, end=lambda: self._call(undo))

    def freeze(self) -> Injected:
        """Stops every node and its forks at one moment; none is started until `thaw`.

        Returns when the kernel says that all are stopped. Meanwhile `status`, `log`, `timeline`,
        `kill` and `down` work, and other methods raise LauncherError at once. The handle's end
        thaws the cluster, unless somebody else has. Raises LauncherError when it is frozen already.
        """

        def end() -> None:
            if self.status().frozen:
                self.thaw()

        return Injected(self._call(requests.Freeze()).chosen, end=end)

    def thaw(self) -> list[Chosen]:
        """Lets the nodes of a frozen cluster continue, but for those that were paused before.
        Returns those that continue. Raises LauncherError when the cluster is not frozen."""
        return self._call(requests.Thaw()).chosen

    # -- links -----------------------------------------------------------------------------------

    def partition(self, spec: str) -> InjectedList[list[NodeId]]:
        """Cuts every link between the groups of `spec` (`1,2|3,4,5`), in place of an earlier
        partition.

        spec: or a shape: `halves`, `minority`, `leader` (it against the rest), `bridge` (one node
            is in both groups), `majorities-ring` (there are no groups)

        Returns the groups; as a context manager it ends the partition at its end. Raises
        UsageError.
        """
        reply = self._call(requests.Partition(spec))
        undo = requests.Heal(only_partition=True)
        return InjectedList(reply.groups, [], reply.unconfirmed, lambda: self._call(undo))

    # -- disks -----------------------------------------------------------------------------------

    def disk(self, *targets: str | int, fault: str) -> InjectedList[Chosen]:
        """Gives the disks of nodes this fault, in place of an earlier one.

        fault: `hang`, `slow 200ms`, `full`, `fail-write`, `fail-sync`, `cycle 5s 5s` (it hangs for
            the first duration and works for the second, in turn), or `ok`, which mends them

        Returns the nodes; as a context manager it mends their disks at its end. A node that is
        started again has the fault once it has recovered; but `fail-write` and `fail-sync` end when
        they have struck, or when the node ends. Raises UsageError.
        """
        parsed = parse_fault(fault)
        reply = self._call(requests.SetDisks(words(targets), parsed))
        undo = requests.SetDisks(words(node.id for node in reply.chosen), None)
        ends = parsed is not None and bool(reply.chosen)
        return InjectedList(
            reply.chosen,
            reply.chosen,
            reply.unconfirmed,
            (lambda: self._call(undo)) if ends else None,
        )

    # -- clocks ----------------------------------------------------------------------------------

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
