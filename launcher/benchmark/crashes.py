"""How long a cluster of real processes is without a leader: the paper's experiment (§9.3).

A trial, on five nodes without the failure hint and without pre-votes:

1. The answers of one follower after another are cut off. A leader that may have one batch on its
   way to each (`limits.inflight_batches: 1`) sends such a follower the next one, and no more; so
   the four followers come to have logs of four different lengths, and two of them cannot win.
2. From here on every message takes its time. A read has the leader tell all four at the same moment
   that it leads.
3. When they have heard it, the leader's process is killed (SIGKILL) at a moment that is uniformly
   random within its heartbeat interval.
4. The downtime is from just before the kill until a node notes that it leads (`leader.elected`).

Then the links are mended, the dead node is started, and everybody catches up. A trial in which
a node campaigned before the kill (on a busy machine a short timeout passes by itself), or in which
the logs are not as they should be, does not count and is repeated.

Everything may run slower than the paper had it: timeouts, heartbeats and delays by the same factor,
by which the downtime is divided again. Elections know no other measure, so that changes nothing but
how much of the result is the machine's own: a process that waits a millisecond for a core, or for
its disk, comes a fifth of those 5 ms late that the randomness of 150-155 ms is.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from random import Random

import msgspec

from launcher.benchmark.bed import Sightings, running, sockets
from launcher.benchmark.elections import GIVE_UP_S, Delays, Timeouts
from launcher.benchmark.late_answers import VARIABLE, LateCluster
from launcher.cluster import Cluster
from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError
from node import wire
from node.machines.sessions import session_id
from node.raft.messages import NodeId
from node.wire import LinkFault

NODES = 5
RECOVERY_S = 60.0
MOST_ATTEMPTS = 4
"""For each trial that is wanted."""

_POLL_S = 0.003
_COMMIT_NOTICE_S = 0.02
"""A leader tells of a commit by itself within half of this."""


class Downtimes(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the trials, in seconds; GIVE_UP_S stands for that and more.

    slower: by so much everything ran slower; the seconds here are divided by it
    broadcast_s: of each of a few reads before, how long the leader took to hear from a majority
    disturbed: trials that did not count
    """

    slower: float
    downtimes_s: list[float]
    broadcast_s: list[float]
    disturbed: int


class _Disturbed(Exception):
    """Something has happened that the trial is not about."""


def measure(
    timeouts: Timeouts,
    delays: Delays,
    trials: int,
    folder: Path,
    random: Random,
    *,
    slower: float = 1.0,
    done: Callable[[], None],
) -> Downtimes:
    """Makes a number of trials with a cluster of its own.

    folder: where everything writes; gone again at the end
    slower: the factor by which everything runs slower
    done: called after each trial

    Raises LauncherError when hardly any trial comes off.
    """
    downtimes: list[float] = []
    disturbed = 0
    with _cluster(timeouts, delays, slower, folder) as cluster:
        stage = Stage(cluster, timeouts, delays, slower, random)
        broadcast_s = stage.broadcast_s()
        while len(downtimes) < trials:
            try:
                downtimes.append(stage.trial())
                done()
            except _Disturbed as disturbance:
                disturbed += 1
                if disturbed > MOST_ATTEMPTS * trials:
                    raise LauncherError(
                        f"{timeouts}: {disturbed} trials did not come off, the last because "
                        f"{disturbance}: is the machine busy?"
                    ) from None
            stage.recover()
    return Downtimes(
        slower=slower, downtimes_s=downtimes, broadcast_s=broadcast_s, disturbed=disturbed
    )


@contextmanager
def _cluster(timeouts: Timeouts, delays: Delays, slower: float, folder: Path) -> Iterator[Cluster]:
    os.environ[VARIABLE] = str(delays.answer_s / delays.question_s)
    try:
        with running(
            folder,
            NODES,
            LateCluster,
            machine="journal",
            heartbeat_interval_s=timeouts.heartbeat_s * slower,
            election_timeout_min_s=timeouts.min_s * slower,
            election_timeout_max_s=timeouts.max_s * slower,
            failure_hint=False,
            pre_vote=False,
            inflight_batches=1,
        ) as cluster:
            yield cluster
    finally:
        del os.environ[VARIABLE]


class Stage:
    """A cluster that runs, on which trials are made one after the other."""

    def __init__(
        self,
        cluster: Cluster,
        timeouts: Timeouts,
        delays: Delays,
        slower: float,
        random: Random,
    ) -> None:
        self._cluster = cluster
        self._heartbeat_s = timeouts.heartbeat_s * slower
        self._question_s = delays.question_s * slower
        self._slower = slower
        self._random = random
        self._sightings = Sightings(cluster.config, "leader.elected", "election.started")
        self._sockets = sockets(cluster)

    def broadcast_s(self, times: int = 9) -> list[float]:
        """How long the leader takes to hear from a majority, as a client sees it: each of some."""
        self._set_links(delay_s=self._question_s)
        took = []
        for _ in range(times):
            begun = time.perf_counter()
            self._cluster.read("COUNT")
            took.append((time.perf_counter() - begun) / self._slower)
        self._set_links()
        return took[1:]  # the first one looks for the leader

    def trial(self) -> float:
        """The downtime of one crash. Raises _Disturbed; what is left behind is for `recover`."""
        status = self._cluster.wait(leader=True, converged=True, timeout_s=RECOVERY_S)
        leader = status.leader
        pid = None if leader is None else status.node(leader).pid
        if leader is None or pid is None:
            raise _Disturbed("there was no leader")
        self._sightings.new()
        with self._connected(leader) as connection:
            self._make_logs_differ(leader, status, connection)
            killed_at_ns = self._crash(pid, connection)
        return self._next_leader(killed_at_ns)

    def recover(self) -> None:
        """Mends the links and starts who is down; returns when all have the same log."""
        self._cluster.heal()
        self._cluster.start("all")
        self._cluster.wait(leader=True, converged=True, timeout_s=RECOVERY_S)

    # -- before the crash --------------------------------------------------------------------

    def _make_logs_differ(
        self, leader: NodeId, status: ClusterStatus, connection: socket.socket
    ) -> None:
        followers = [node.id for node in status.nodes if node.id != leader]
        self._random.shuffle(followers)
        first, second, third, fourth = followers
        for deaf_to in ([first], [first, second]):
            self._set_links((follower, leader) for follower in deaf_to)
            for entry in (b"one more for them all", b"one for the others"):
                self._cluster.submit(entry)
        time.sleep(_COMMIT_NOTICE_S)
        silent = [(follower, leader) for follower in (first, second, third)]
        self._set_links(silent)
        # Nobody will be told that these are committed, for they will not be.
        connection.sendall(_submit(b"one for two of them"))
        self._wait_for({third, fourth}, longer_than=second)
        connection.sendall(_submit(b"one for one of them"))
        self._wait_for({fourth}, longer_than=third)
        now = self._cluster.status()
        held = [now.node(follower).last_index for follower in followers]
        if held != sorted(set(held)):
            raise _Disturbed(f"the logs did not come to differ: {held}")
        self._set_links(silent, self._question_s)

    def _wait_for(self, followers: set[NodeId], *, longer_than: NodeId) -> None:
        give_up = time.monotonic() + self._heartbeat_s
        while time.monotonic() < give_up:
            now = self._cluster.status()
            length = now.node(longer_than).last_index
            if all(now.node(follower).last_index > length for follower in followers):
                return

    def _set_links(self, cut: Iterable[tuple[NodeId, NodeId]] = (), delay_s: float = 0.0) -> None:
        """These are cut, and every message on any of the others takes so long."""
        links = permutations(range(1, NODES + 1), 2)
        faults = [LinkFault(source=a, target=b, delay_s=delay_s) for a, b in links]
        faults += [LinkFault(source=a, target=b, cut=True) for a, b in cut]
        self._cluster.set_links(faults)

    @contextmanager
    def _connected(self, node_id: NodeId) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._sockets[node_id]))
            yield connection

    # -- the crash, and after ----------------------------------------------------------------

    def _crash(self, pid: int, connection: socket.socket) -> int:
        """Kills the leader some time after all have heard it; when, as in time.time_ns."""
        connection.sendall(wire.frame(wire.encode_client(wire.Read(1, [b"COUNT"]))))
        time.sleep(self._question_s + self._random.uniform(0, self._heartbeat_s))
        before = self._sightings.new()
        killed_at_ns = time.time_ns()
        os.kill(pid, signal.SIGKILL)
        if before:
            raise _Disturbed(f"n{before[0].node} campaigned before the crash")
        return killed_at_ns

    def _next_leader(self, killed_at_ns: int) -> float:
        give_up = time.monotonic() + GIVE_UP_S * self._slower
        while time.monotonic() < give_up:
            for event in self._sightings.new():
                if event.t < killed_at_ns:
                    raise _Disturbed(f"n{event.node} campaigned before the crash")
                if event.event == "leader.elected":
                    return min((event.t - killed_at_ns) / 1e9 / self._slower, GIVE_UP_S)
            time.sleep(_POLL_S)
        return GIVE_UP_S


def _submit(command: bytes) -> bytes:
    """A frame with a command of a session of its own."""
    submit = wire.Submit(session_id(1, secrets.token_bytes(16)), 1, 1, [command])
    return wire.frame(wire.encode_client(submit))
