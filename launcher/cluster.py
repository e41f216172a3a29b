"""What an operator can do with a cluster: the Python API, and what every command calls.

    with Cluster(5, machine="kv") as cluster:
        cluster.submit("SET a 1")
        cluster.kill("leader")
        print(cluster.read("GET a").text)

The cluster is not in this process: `up` starts a supervisor process
(`launcher/supervisor/supervisor.py`), and every other method talks to it, or to the nodes, over
sockets. So several processes can use one cluster, `Cluster.attach` reaches one that is already
running, and a script needs no `if __name__ == "__main__"`. How a cluster starts and ends, and what
is done with its data while it is down, is in `launcher/life.py`.

Every method blocks, and raises an exception of `launcher/errors.py`, whose text is one line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from launcher import forked, life
from launcher.breaking import Breaking
from launcher.client.answers import ReadAnswer, Submitted, encoded
from launcher.client.client import Client, NoAnswer
from launcher.client.shared_client import SharedClient
from launcher.config import ClusterConfig
from launcher.control import asking, readiness, requests
from launcher.control.requests import Reply, Request
from launcher.control.status import Chosen, ClusterStatus, HandedOver
from launcher.control.targets import words
from launcher.errors import NotRunning, UsageError
from launcher.folders import lock, records
from launcher.folders.recovery import Outlook
from launcher.life import DownReport, Life
from launcher.steering import Steering
from node.errors import CommandError
from node.raft.messages import NodeId

if TYPE_CHECKING:
    from launcher.client.subscriber import Message
    from launcher.logs import ClusterLog
    from launcher.timeline.events import Event
    from launcher.timeline.filter import Filter

UP_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 120.0
"""How long the supervisor may take over one request; a rolling restart takes longest."""

STATUS_TIMEOUT_S = 5.0
START_PATIENCE_S = 3.0
"""How long `start` watches nodes that answer; one with a long log to apply takes longer."""


class Cluster(Breaking, Steering):
    """A cluster of this machine, whether it runs or not.

    nodes, machine: override those of the configuration
    config: the configuration, or its file; by default the cluster.yaml in this folder or in a
        parent, or the built-in defaults
    name: which cluster, where several run side by side
    fresh: `up` begins with empty data
    timescale, as_in_the_paper: as `launcher up --help` explains

    Several threads may use one object; entries of different threads have no order. A forked child
    may use it, too: it opens its own connections and sessions, and does not stop the cluster.

    Raises UsageError or ConfigError.
    """

    _entry = "node.process.process:main"
    _start_patience_s = START_PATIENCE_S

    def __init__(
        self,
        nodes: int | None = None,
        *,
        machine: str | None = None,
        config: ClusterConfig | Path | str | None = None,
        name: str | None = None,
        fresh: bool = False,
        timescale: float | str | None = None,
        as_in_the_paper: bool = False,
    ) -> None:
        self.config = life.configured(config, name=name, nodes=nodes, machine=machine)
        self.config = life.paced(self.config, timescale, as_in_the_paper=as_in_the_paper)
        self.healed: list[str] = []
        """What a dead supervisor had left behind and the last `up` cleaned up, a phrase each."""
        self.remarks: list[str] = []
        """Problems of nodes of the cluster that the last `up` started, a line each."""
        self.unconfirmed: list[NodeId] = []
        """The nodes that run and have not confirmed what was last asked, such as paused ones: they
        obey as soon as they read it."""
        self._fresh = fresh
        self._count_given = nodes is not None
        self._entered: list[bool] = []
        """Whether entering has started the cluster, for each open `with`."""
        self._shared = SharedClient()
        self._life = Life(self._shared)
        forked.tell_children(self)

    @classmethod
    def attach(
        cls, config: ClusterConfig | Path | str | None = None, *, name: str | None = None
    ) -> Cluster:
        """The cluster that is already running. Raises NotRunning.

        It keeps connections open from its first `submit` or `read` until `close`, or until the end
        of a `with`, which leaves the cluster running.
        """
        cluster = cls(config=config, name=name)
        cluster.config = life.as_running(cluster.config)
        return cluster

    # -- its whole life ----------------------------------------------------------------------

    def up(self, timeout_s: float | None = None, *, detached: bool = False) -> ClusterStatus:
        """Starts the cluster and waits until a quorum of its voters follows a leader.

        It waits a moment longer for the other nodes; `remarks` has what is wrong with them then.

        detached: the cluster outlives this process; otherwise it ends with it, in whatever way

        Raises LauncherError when the cluster is already running or too few nodes start, TimedOut
        when there is no leader in time. Then the cluster is down again.
        """
        patience = self.config.patience
        timeout_s = UP_TIMEOUT_S * patience if timeout_s is None else timeout_s
        self.config = life.prepare(
            self.config, fresh=self._fresh, count_given=self._count_given, timeout_s=timeout_s
        )
        own = self._life.begin(self.config, fresh=self._fresh, entry=self._entry)
        self.healed = own.healed
        self._fresh = False
        try:
            status, remarks = readiness.wait_until_up(self._status, timeout_s, patience)
        except BaseException:
            self._life.abandon(self.config)
            raise
        self.remarks = [*own.remarks, *remarks]
        if detached:
            own.let_go()
        return status

    def down(self, *, volumes: bool = False) -> DownReport:
        """Stops the cluster, whatever state it is in, and cleans up after a dead supervisor.

        volumes: removes its data as well; the logs stay until the next `up`. When the data cannot
            be removed, nothing is done.

        Raises NotRunning when there was nothing to do, LauncherError when it could not be done.
        """
        return self._life.down(self.config, volumes=volumes)

    def outlook(self, node: int) -> Outlook:
        """What `recover` would do: what would count, and what may be missing.

        Raises LauncherError when the cluster runs, or the node's data is unusable.
        """
        return life.outlook(self.config, node)

    def recover(self, node: int) -> Outlook:
        """Begins a new cluster from the data of this node alone; `outlook` tells what may be lost.

        For when a majority of the data is lost. The cluster stays down: `up` starts it, and `add`
        adds other nodes. Raises LauncherError, as `outlook` does.
        """
        seen = life.recover(self.config, node)
        self._life.forget()
        return seen

    def how_it_died(self) -> str:
        """Why the cluster that this object has started is gone, if nobody has stopped it: one line;
        empty while the cluster runs, and when it was stopped."""
        return self._life.how_it_died(self.config)

    def destroy(self) -> None:
        """Kills every process of the cluster at once; for when `down` takes too long.

        The data survives. Raises NotRunning.
        """
        self._life.destroy(self.config)

    def __enter__(self) -> Cluster:
        """Starts the cluster unless it is running; leaving stops only what entering has started.

        Raises LauncherError when the running cluster has another number of nodes or another machine
        than this object, or data that `fresh` would have removed; and what `up` raises.
        """
        began = not lock.is_locked(self.config)
        if began:
            self.up()
        else:
            asking.running(self.config)
            records.check_wanted(self.config, count_given=self._count_given, fresh=self._fresh)
            self.config = life.as_running(self.config)
        self._entered.append(began)
        return self

    def __exit__(self, *error: object) -> None:
        began = self._entered.pop() if self._entered else False  # empty in a forked child
        if began and self._life.depends_on_us:
            with contextlib.suppress(NotRunning):  # it is down, or another cluster is running
                self.down()
        self.close()

    def close(self) -> None:
        """Closes this object's connections. The cluster goes on; the next call opens others."""
        self._shared.close()

    def after_fork(self) -> None:
        """See `forked.Forkable`: a child has started no cluster."""
        self._life.after_fork()
        self._entered.clear()

    # -- looking -----------------------------------------------------------------------------

    def status(self) -> ClusterStatus:
        """The current state of every node. Raises NotRunning."""
        return self._status()[0]

    def wait(
        self,
        *,
        leader: bool = False,
        commit: int | None = None,
        converged: bool = False,
        timeout_s: float | None = None,
    ) -> ClusterStatus:
        """Waits until every given condition holds at once; returns the status in which they do.

        leader: there is a leader, and every voter that is up follows it, at least a quorum
        commit: this index is committed
        converged: every member that is up, learners too, has the same log and has applied all of it

        Raises TimedOut, and LauncherError as soon as that is impossible: the nodes that are up or
        about to be restarted are no quorum, or some have diverged.
        """
        if timeout_s is None:
            timeout_s = UP_TIMEOUT_S * self.settings().patience
        reached, what = readiness.goal(leader=leader, commit=commit, converged=converged)
        return readiness.wait(self._status, reached, what, timeout_s)

    # -- breaking and mending ----------------------------------------------------------------

    def kill(
        self,
        *targets: str | int,
        signal: str = "SIGKILL",
        power: bool = False,
        torn: bool = False,
    ) -> list[Chosen]:
        """Sends a signal; returns when the processes have ended. They stay down until started.

        power: their power fails: what they have not synced is lost on their files
        torn: with `power`: by chance, only a part of that is lost

        Raises UsageError for another signal with `power`, and for `torn` without it.
        """
        request = requests.Kill(words(targets), signal, power, torn)
        requests.check(request)
        return self._act(request)

    def stop(self, *targets: str | int) -> list[Chosen]:
        """Stops nodes cleanly; a leader transfers its leadership first."""
        return self._act(requests.StopNodes(words(targets)))

    def start(self, *targets: str | int, other_machine_code: bool = False) -> list[Chosen]:
        """Starts nodes; returns when they answer and have applied the log, or are applying it.

        other_machine_code: starts a node even if its machine's code differs from that of the
            running nodes

        Raises LauncherError when a node cannot be started, or ends a moment later.
        """
        return self._started(requests.StartNodes(words(targets), other_machine_code))

    def restart(
        self, *targets: str | int, rolling: bool = False, other_machine_code: bool = False
    ) -> list[Chosen]:
        """Stops and starts nodes, as `start`. rolling: one at a time, never without a quorum."""
        return self._started(requests.RestartNodes(words(targets), rolling, other_machine_code))

    def transfer(self, target: str | int) -> HandedOver:
        """Has the leader transfer its leadership to a node; returns when that node leads.

        Raises LauncherError when it does not lead within an election timeout.
        """
        handed_over = self._call(requests.Transfer(words([target]))).handed_over
        assert handed_over is not None, "the reply to a transfer names the leader"
        return handed_over

    def resume(self, *targets: str | int) -> list[Chosen]:
        """Lets paused nodes continue."""
        return self._act(requests.Resume(words(targets)))

    def add(self, count: int = 1) -> list[Chosen]:
        """Starts `count` new nodes; returns when they have caught up and vote.

        Raises TimedOut after a minute. The change continues without this call, and after the next
        `up`; `remove` cancels it. Until it has ended, other changes of the membership are refused.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"at least one node is added, not {count!r}")
        return self._act(requests.AddNodes(count))

    def remove(self, *targets: str | int) -> list[Chosen]:
        """Takes nodes, the leader too, out of the cluster; then stops them and removes their data.
        Their ids are not used again."""
        return self._act(requests.RemoveNodes(words(targets)))

    def rebuild(self, *targets: str | int) -> list[Chosen]:
        """Removes the data of nodes, which then learn it from their peers; for a damaged disk.
        A rebuilt node has no vote until it has caught up. Returns when it votes again."""
        return self._act(requests.Rebuild(words(targets)))

    def snapshot(self, *targets: str | int) -> list[Chosen]:
        """Has nodes take a snapshot of all they have applied; returns when it is on disk."""
        return self._act(requests.TakeSnapshots(words(targets)))

    # -- using -------------------------------------------------------------------------------

    def submit(self, entry: str | bytes, *, timeout_s: float | None = None) -> Submitted:
        """Appends an entry to the log and returns when it is committed and applied.

        Raises CommandError with the machine's answer when the machine refused the entry, which is
        committed nevertheless; UsageError for an impossible entry; NoAnswer when there is none in
        time: the entry may be committed or not, and `error.resend()` has it take effect once.
        """
        done = self._client().submit(encoded(entry), timeout_s=timeout_s)
        if done.error is not None:
            raise CommandError(done.error)
        return done

    def submit_many(
        self, entries: Iterable[str | bytes], *, timeout_s: float | None = None
    ) -> Iterator[Submitted]:
        """Appends entries, many of them concurrently; yields the answers in the entries' order.

        timeout_s: how long to wait for the oldest unanswered entry

        The answer to a refused entry has its `error`, and its value raises CommandError. Otherwise
        raises as `submit`; the entries before an impossible one are answered first, unless they are
        a list. NoAnswer has the unanswered entries; one more may have been read and not sent.
        """
        commands = map(encoded, entries)
        given = list(commands) if isinstance(entries, list | tuple) else commands
        return self._client().submit_many(given, timeout_s=timeout_s)

    def resend(self, error: NoAnswer, *, timeout_s: float | None = None) -> list[Submitted]:
        """As `error.resend()`: sends the unanswered entries again; each takes effect once."""
        return self._client().resend(error, timeout_s=timeout_s)

    def read(
        self,
        query: str | bytes,
        *,
        stale: bool = False,
        node: NodeId | None = None,
        timeout_s: float | None = None,
    ) -> ReadAnswer:
        """Queries the machine; linearizably, unless `stale`: then a node's state may be of any age.

        node: the node that answers; by default the leader, or any node when `stale`

        The answer to a refused query has its `error`, and its value raises CommandError. Raises
        NoAnswer when no node answers in time.
        """
        (answer,) = self.read_many([query], stale=stale, node=node, timeout_s=timeout_s)
        return answer

    def read_many(
        self,
        queries: Iterable[str | bytes],
        *,
        stale: bool = False,
        node: NodeId | None = None,
        timeout_s: float | None = None,
    ) -> list[ReadAnswer]:
        """As `read`, with an answer for each query, all of them at one point of the log."""
        asked = list(map(encoded, queries))
        return self._client().read(asked, stale=stale, node=node, timeout_s=timeout_s)

    def watch(self, first: int | None = None, *, node: NodeId | None = None) -> Iterator[Message]:
        """The messages of a cluster whose machine is `multicast`, each once and in order, for ever.

        first: the number of the first message; by default the oldest that is kept
        node: the node to read from, however far behind it is

        Continues across kills, restarts and changes of the leader. Raises NotRunning when the
        cluster stops, LauncherError when the machine is another, or no longer has the next message.
        """
        # Start-up time: most programs watch nothing.
        from launcher.client.subscriber import ANSWER_S, messages

        def ask(queries: Sequence[str]) -> list[ReadAnswer]:
            limit_s = ANSWER_S * self.config.patience
            return self.read_many(queries, stale=node is not None, node=node, timeout_s=limit_s)

        return forked.Own(messages(ask, first), "watch")

    def log(self, *targets: str | int, first: int | None = None, count: int = 20) -> ClusterLog:
        """What `count` indexes of the nodes' logs hold, from `first` on; by default the last ones.
        The files of nodes that do not answer are read; also when the cluster is down."""
        from launcher.logs import read  # start-up time

        return read(self.config, words(targets), first, count)

    def timeline(self, wanted: Filter | None = None, *, follow: bool = False) -> Iterator[Event]:
        """The events of all nodes in one order; also when the cluster is down.

        follow: goes on with new events until the cluster is down
        """
        # Start-up time: loads what reads logs.
        from launcher.history import events

        return forked.Own(events(self.config, wanted, follow=follow), "timeline")

    def _client(self) -> Client:
        """The connections to the nodes of the running cluster. Raises NotRunning."""
        return self._shared.get(self.config)

    # -- asking ------------------------------------------------------------------------------

    def _act(self, request: Request) -> list[Chosen]:
        return self._call(request).chosen

    def _started(self, request: Request) -> list[Chosen]:
        chosen = self._act(request)
        if ids := [node.id for node in chosen]:
            patience_s = self._start_patience_s * self.settings().patience
            readiness.wait_started(self._status, ids, patience_s)
        return chosen

    def _call(self, request: Request, timeout_s: float | None = None) -> Reply:
        if timeout_s is not None:
            return asking.ask(self.config, request, timeout_s)
        reply = asking.ask(self.config, request, CALL_TIMEOUT_S, at_pace=True)
        self.unconfirmed = reply.unconfirmed
        return reply

    def _status(self) -> tuple[ClusterStatus, list[NodeId]]:
        """The status, and the nodes that the supervisor is about to restart."""
        reply = self._call(requests.AskStatus(), STATUS_TIMEOUT_S)
        assert reply.status is not None, "the reply to AskStatus has a status"
        return reply.status, reply.restarting
