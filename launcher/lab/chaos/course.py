"""What the player and the faults that are in force have in common, each in a thread of its own.

One lock stands around the budget: a fault is aimed, and what it takes away is counted from then on,
in one step. So two faults cannot both take the last node that may be taken.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from launcher.cluster import Cluster
from launcher.errors import LauncherError
from launcher.lab.chaos.aiming import Aim, View, aim, where
from launcher.lab.chaos.record import Happening, NowNs, What
from launcher.lab.chaos.schedule import Fault
from node.raft.messages import NodeId


class Course:
    """One run of chaos on a cluster.

    view: what does not change of what faults are aimed with
    ends: set when faults are to end before their time
    happened: what there is to say, for the player's thread
    lost: nodes whose data was taken away and that have not been rebuilt
    """

    def __init__(self, cluster: Cluster, view: View, now_ns: NowNs) -> None:
        self.cluster = cluster
        self.view = view
        self.ends = threading.Event()
        self.happened: queue.Queue[Happening] = queue.Queue()
        self.lost: set[NodeId] = set()
        self._now_ns = now_ns
        self._began_ns = now_ns()
        self._lock = threading.Lock()
        self._in_force: dict[str, Aim] = {}

    @property
    def at_s(self) -> float:
        """Seconds since the run began."""
        return (self._now_ns() - self._began_ns) / 1e9

    def wait(self, seconds: float) -> bool:
        """Waits, and returns whether the run ends."""
        return self.ends.wait(seconds)

    def say(
        self, what: What, fault: Fault | None = None, struck: Aim | None = None, why: str = ""
    ) -> None:
        """Something has happened."""
        t = self._now_ns()
        self.happened.put(
            Happening(
                t=t,
                at_s=round((t - self._began_ns) / 1e9, 3),
                what=what,
                number=0 if fault is None else fault.number,
                kind="" if fault is None else fault.kind,
                target="" if fault is None else fault.target,
                words="" if fault is None else fault.words,
                nodes=[] if struck is None else list(struck.nodes),
                links=[] if struck is None else list(struck.links),
                where="" if struck is None else where(struck),
                why=why,
            )
        )

    # -- the budget ------------------------------------------------------------------------------

    def take(self, key: str, fault: Fault) -> Aim | str:
        """Aims a fault and counts what it takes away from now on, until `give_back`; or returns why
        it strikes nothing. Raises LauncherError when the cluster says nothing.

        key: of the fault, and of each strike of a fault that strikes again and again
        """
        with self._lock:
            status = self.cluster.status()
            in_force = tuple(self._in_force.values())
            struck = aim(
                fault, msgspec.structs.replace(self.view, status=status, in_force=in_force)
            )
            if isinstance(struck, Aim):
                self._in_force[key] = struck
            return struck

    def give_back(self, key: str) -> None:
        """What this fault took away is there again."""
        with self._lock:
            self._in_force.pop(key, None)

    @contextmanager
    def taken(self, key: str, fault: Fault) -> Iterator[Aim | str]:
        """`take`, and `give_back` at the end."""
        try:
            yield self.take(key, fault)
        finally:
            self.give_back(key)

    # -- nodes -----------------------------------------------------------------------------------

    def revive(self, nodes: Iterable[NodeId], key: str) -> None:
        """Lets these nodes run, whatever they died of; not one that another fault holds down, nor
        one that has lost its data. Raises LauncherError when one cannot be started.

        key: of the fault that has ended
        """
        status = self.cluster.status()
        with self._lock:
            others = {
                slot
                for one, struck in self._in_force.items()
                if one != key
                for slot in struck.slots
            }
        for node in nodes:
            if not status.has(node) or node in self.lost or f"process n{node}" in others:
                continue
            state = status.node(node).state
            if state == "paused":
                self.cluster.resume(node)
            elif state != "up":
                self.cluster.start(node)

    @contextmanager
    def noting(self, fault: Fault | None = None, struck: Aim | None = None) -> Iterator[None]:
        """What fails in here is said, and ends nothing else."""
        try:
            yield
        except (LauncherError, OSError) as error:
            self.say("failed", fault, struck, str(error) or type(error).__name__)
