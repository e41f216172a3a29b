"""A cluster in memory, for the player: commands change its status, and nothing else happens."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from launcher.cluster import Cluster
from launcher.config import load
from launcher.control.links import parse_change
from launcher.control.requests import NoteChaos
from launcher.control.status import Chosen, ClusterStatus, LinkStatus
from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.folders.violations import Violation
from launcher.injected import Injected, InjectedList
from node.errors import CommandError
from node.raft.membership import stable
from tests.launcher.lab.chaos.test_budget import up


class ToyCluster(Cluster):
    """fails: by the name of a method: what it raises instead of doing anything
    done: what was done, in words
    notes: what the player has told the supervisor
    takes_s: how long each command takes before it has an effect
    led_at_s: when there is a leader again, on the monotonic clock
    """

    def __init__(self, folder: Path, nodes: int = 5) -> None:
        super().__init__(config=load(directory=folder))
        self.fails: dict[str, LauncherError] = {}
        self.done: list[str] = []
        self.notes: list[NoteChaos] = []
        self.gone = False
        self.takes_s = 0.0
        self.led_at_s = 0.0
        self.violations: list[Violation] = []
        self.writes = 0
        self._guard = threading.Lock()
        self._nodes = {n: up(n, commit_index=9, applied_index=9) for n in range(1, nodes + 1)}
        self._links: dict[tuple[int, int], str] = {}
        self._members = stable(self._nodes)

    # -- what is so ------------------------------------------------------------------------------

    def status(self) -> ClusterStatus:
        self._check("status")
        with self._guard:
            runs = [node.id for node in self._nodes.values() if node.state == "up"]
            leader = min(runs, default=None) if time.monotonic() >= self.led_at_s else None
            nodes = [
                msgspec.structs.replace(
                    node, leader=leader, role="leader" if node.id == leader else "follower"
                )
                for node in self._nodes.values()
            ]
            return ClusterStatus(
                cluster="toy",
                supervisor_pid=1,
                leader=leader,
                term=1,
                nodes=nodes,
                membership=self._members,
                membership_committed=True,
                frozen=bool(self.violations),
                frozen_because="the leaders differ" if self.violations else "",
                violations=self.violations,
                links=[LinkStatus(*link, does) for link, does in self._links.items()],
            )

    def change(self, node: int, **fields: Any) -> None:
        with self._guard:
            self._nodes[node] = msgspec.structs.replace(self._nodes[node], **fields)

    # -- what is done ----------------------------------------------------------------------------

    def kill(self, *targets: str | int, **options: Any) -> list[Chosen]:
        return self._each("kill", targets, state="down")

    def start(self, *targets: str | int, **options: Any) -> list[Chosen]:
        return self._each("start", targets, state="up")

    def resume(self, *targets: str | int) -> list[Chosen]:
        return self._each("resume", targets, state="up")

    def pause(self, *targets: str | int) -> InjectedList[Chosen]:
        chosen = self._each("pause", targets, state="paused")
        return InjectedList(chosen, chosen, end=lambda: self.resume(*targets))

    def disk(self, *targets: str | int, fault: str) -> InjectedList[Chosen]:
        chosen = self._each(f"disk {fault}", targets, disk=f"{fault}-disk")
        end = lambda: self._each("disk ok", targets, disk="")  # noqa: E731
        return InjectedList(chosen, chosen, end=end)

    def partition(self, spec: str) -> InjectedList[list[int]]:
        self._do(f"partition {spec}")
        groups = [[*map(int, group.split(","))] for group in spec.split("|")]
        cut = {(a, b) for one in groups for a in one for b in self._nodes if b not in one}
        return InjectedList(groups, [], end=self._put(cut, "cut"))

    def link(self, links: str, *words: str) -> Injected:
        self._do(f"link {links} {' '.join(words)}")
        parse_change(words)
        source, targets = links.split(">")
        pairs = {(int(source), int(target)) for target in targets.split(",")}
        return Injected([], end=self._put(pairs, " ".join(words)))

    def wait(self, *, timeout_s: float | None = None, **_: Any) -> ClusterStatus:
        deadline = time.monotonic() + (timeout_s or 0.0)
        while (status := self.status()).leader is None:
            if time.monotonic() > deadline:
                raise TimedOut("no leader")
            time.sleep(0.01)
        return status

    def rebuild(self, *targets: str | int, **options: Any) -> list[Chosen]:
        if self.status().leader is None:
            raise LauncherError("there is no leader now")
        return self._each("rebuild", targets, state="up", reason="")

    def heal(self) -> list[str]:
        self._do("heal")
        with self._guard:
            self._links.clear()
            for node, known in self._nodes.items():
                state = "up" if known.state == "paused" else known.state
                self._nodes[node] = msgspec.structs.replace(known, disk="", state=state)
        return []

    def submit(self, entry: str | bytes, *, timeout_s: float | None = None) -> Any:
        self._do("submit")
        self.writes += 1
        for node in self._nodes:
            self.change(node, commit_index=10, applied_index=10)
        raise CommandError("not understood")

    def take_note(self, note: NoteChaos) -> None:
        self.notes.append(note)

    # -- how -------------------------------------------------------------------------------------

    def _put(self, links: Iterable[tuple[int, int]], does: str) -> Callable[[], None]:
        chosen = set(links)
        with self._guard:
            self._links |= dict.fromkeys(chosen, does)

        def end() -> None:
            self._do("links ok")
            with self._guard:
                for link in chosen:
                    self._links.pop(link, None)

        return end

    def _each(self, what: str, targets: Iterable[str | int], **fields: Any) -> list[Chosen]:
        ids = [int(target) for target in targets]
        self._do(f"{what} {','.join(map(str, ids))}")
        for node in ids:
            self.change(node, **fields)
        return [Chosen(node, "follower", 1, 9) for node in ids]

    def _do(self, what: str) -> None:
        self._check(what.split()[0])
        time.sleep(self.takes_s)
        self.done.append(what)

    def _check(self, what: str) -> None:
        if self.gone:
            raise NotRunning("no cluster is running here")
        if what in self.fails:
            raise self.fails[what]
