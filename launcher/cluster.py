"""What an operator can do with a cluster: the Python API, and what every command calls.

    with Cluster(5, machine="kv") as cluster:
        cluster.submit("SET a 1")
        cluster.kill("leader")
        print(cluster.read("GET a").text)

The cluster is not in this process: `up` starts a supervisor of its own
(`launcher/supervisor/supervisor.py`), and everything else talks to it, or to the nodes, over their
sockets. So several processes may use one cluster, `Cluster.attach` reaches one that runs already,
and a script needs no `if __name__ == "__main__"`.

Every method blocks, and raises an exception of `launcher/errors.py`, whose text is one line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import msgspec

from launcher import forked
from launcher.client.answers import ReadAnswer, Submitted
from launcher.client.client import Client, NoAnswer
from launcher.client.shared_client import SharedClient
from launcher.config import MAX_NODES, ClusterConfig, load
from launcher.control import asking, readiness
from launcher.control import requests as control
from launcher.control.disks import parse_fault
from launcher.control.requests import Reply, Request
from launcher.control.status import Chosen, ClusterStatus, HandedOver
from launcher.errors import LauncherError, NotRunning, UsageError
from launcher.folders import healing, lock, records, recovery
from launcher.folders.ownership import CutOff, Holder, Running
from launcher.folders.recovery import Outlook
from launcher.supervision import OwnSupervisor, check_machine
from launcher.supervisor import ending, limits
from node.errors import CommandError
from node.raft.messages import NodeId
from node.wire import LinkFault

if TYPE_CHECKING:
    from launcher.client.subscriber import Message
    from launcher.timeline.render import Event, Filter

UP_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 120.0
"""The longest that the supervisor may take over one request; a rolling restart takes longest."""

STATUS_TIMEOUT_S = 5.0
START_PATIENCE_S = 3.0
"""How long `start` watches nodes that answer; who has a long log to apply takes longer."""

_T = TypeVar("_T")


class DownReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `down` did.

    was_running: there was a supervisor, and it has taken the cluster down, or was made to end
    healed: that it was made to end, and what a dead supervisor had left behind, a phrase each
    removed_data: the cluster's data is gone
    """

    was_running: bool
    healed: list[str] = []
    removed_data: bool = False


class Cluster:
    """A cluster of this machine, whether it runs or not.

    nodes, machine: override the config's
    config: what is in force, or the file that says so; by default the cluster.yaml of this folder
        or of a parent, or the built-in defaults
    name: for several clusters side by side
    fresh: `up` begins with empty data

    Several threads may use one object; their entries have no order among each other. A forked child
    may too: it begins connections and sessions of its own, and has no cluster to take down.

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
    ) -> None:
        if not isinstance(config, ClusterConfig):
            config = load(Path(config) if config is not None else None, name=name)
        elif name is not None and name != config.name:
            raise UsageError(f"the config is of the cluster {config.name}, not {name}")
        if nodes is not None:
            if isinstance(nodes, bool) or not isinstance(nodes, int) or not 1 <= nodes <= MAX_NODES:
                raise UsageError(f"a cluster has 1 to {MAX_NODES} nodes, not {nodes!r}")
            config = msgspec.structs.replace(config, nodes=nodes)
        if machine is not None:
            config = msgspec.structs.replace(config, machine=machine, machine_named=True)
        self.config = config
        self.healed: list[str] = []
        """what the last `up` found left behind by a dead supervisor, and cleaned up"""
        self.remarks: list[str] = []
        """what is not well with the nodes of the cluster that the last `up` started, a line each"""
        self._fresh = fresh
        self._count_given = nodes is not None
        self._own: OwnSupervisor | None = None
        self._entered: list[bool] = []
        """for each `with` that is open: whether entering it has started the cluster"""
        self._shared = SharedClient()
        forked.tell_children(self)

    @classmethod
    def attach(
        cls, config: ClusterConfig | Path | str | None = None, *, name: str | None = None
    ) -> Cluster:
        """The cluster that runs already. Raises NotRunning.

        It holds connections from its first `submit` or `read` to `close`, or to the end of a
        `with`, which leaves the cluster running.
        """
        cluster = cls(config=config, name=name)
        cluster._adopt()
        return cluster

    # -- its whole life ----------------------------------------------------------------------

    def up(self, timeout_s: float = UP_TIMEOUT_S, *, detached: bool = False) -> ClusterStatus:
        """Starts the cluster and waits until a quorum of its voters follows a leader.

        It waits a moment longer for the other nodes. What is not well with them then is in
        `remarks`: that one has failed, say, or learns and does not vote yet.

        detached: it outlives this process. Otherwise it goes down with it, however that ends.

        Raises LauncherError when it runs already, cannot start, or too few nodes come up; TimedOut
        when there is no leader in time. Then the cluster is down again.
        """
        if recovery.is_pending(self.config):
            self._while_down(lambda: None)
        if not self._fresh:
            with lock.disk_errors(self.config.data_dir):
                self.config = records.as_known(self.config, count_given=self._count_given)
        limits.check(self.config, self.config.nodes)
        check_machine(self.config.machine, timeout_s)
        self._own = OwnSupervisor(self.config, fresh=self._fresh, entry=self._entry)
        self.healed = self._own.healed
        self._fresh = False
        try:
            status, remarks = readiness.wait_until_up(self._status, timeout_s)
        except BaseException:
            self._abandon()
            raise
        self.remarks = [*self._own.remarks, *remarks]
        if detached:
            self._own.let_go()
        return status

    def down(self, *, volumes: bool = False) -> DownReport:
        """Takes the cluster down, whatever state it is in, and cleans up after a dead supervisor.

        volumes: removes its data as well; the logs stay until the next `up`. When the data cannot
            be removed, nothing is done.

        Raises NotRunning when there was nothing to do, LauncherError when it could not be done.
        """
        holder = lock.look(self.config)
        if volumes:
            ending.check_removable(self.config)
        healed: list[str] = []
        if holder is not None:
            healed += ending.end(self.config, self._own_cluster(holder))
        known, left = ending.clean_up(self.config, volumes=volumes)
        healed += left
        self._forget()
        if holder is None and not healed and not (volumes and known):
            raise NotRunning(f"no cluster is running here (data in {self.config.data_dir})")
        return DownReport(
            was_running=holder is not None, healed=healed, removed_data=volumes and known
        )

    def outlook(self, node: int) -> Outlook:
        """What `recover` would come to: what would count, and what may be missing.

        Raises LauncherError when the cluster runs, or the node's data is of no use.
        """
        return self._while_down(lambda: recovery.look(self.config, node))

    def recover(self, node: int) -> Outlook:
        """Begins a new cluster, of this node alone, from its data; what `outlook` says may be lost.

        For when a majority of the data is lost. The cluster stays down: `up` starts it, and `add`
        brings other nodes. Raises LauncherError, as `outlook`.
        """

        def begin() -> Outlook:
            lock.check_unshared(self.config)
            seen = recovery.look(self.config, node)
            recovery.recover(self.config, node)
            return seen

        seen = self._while_down(begin)
        self._forget()
        return seen

    def _while_down(self, what: Callable[[], _T]) -> _T:
        """Does something with the data that nobody may be running on. Raises LauncherError."""
        if not self.config.data_dir.is_dir():
            raise NotRunning(f"there is no data in {self.config.data_dir}")
        with lock.locked(self.config), lock.disk_errors(self.config.data_dir):
            healing.heal(self.config)
            recovery.finish(self.config)
            return what()

    def how_it_died(self) -> str:
        """Why the cluster that this object has started is gone, where nobody asked it to end.

        One line; empty while it runs, and when it has ended in good order.
        """
        if self._own is None or lock.is_locked(self.config):
            return ""
        how = self._own.how_it_died()
        return how and (
            f"the supervisor (pid {self._own.pid}) {how}, and its nodes with it; what it printed "
            f"is in {self.config.supervisor_stderr}; `launcher up` starts the cluster again"
        )

    def destroy(self) -> None:
        """Kills every process of the cluster at once; for when `down` takes too long.

        The data is none the worse for it. Raises NotRunning.
        """
        holder = lock.look(self.config)
        if holder is None:
            self._forget()
            raise NotRunning(f"no cluster is running here (data in {self.config.data_dir})")
        ending.force(self.config, self._own_cluster(holder))
        with lock.locked(self.config):
            healing.heal(self.config)
        self._forget()

    def __enter__(self) -> Cluster:
        """Starts the cluster, unless it runs already; leaving ends only what entering has started.

        Raises LauncherError when what runs already is not what was asked for: another number of
        nodes, or another machine, or data that `fresh` would have removed. And as `up` does.
        """
        began = not lock.is_locked(self.config)
        if began:
            self.up()
        else:
            asking.running(self.config)
            records.check_wanted(self.config, count_given=self._count_given, fresh=self._fresh)
            self._adopt()
        self._entered.append(began)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        began = self._entered.pop() if self._entered else False  # in a forked child nothing did
        if began and self._own is not None and self._own.depends_on_us:
            with contextlib.suppress(NotRunning):  # it is down already, or what runs is another
                self.down()
        self.close()

    def close(self) -> None:
        """Closes this object's connections. The cluster goes on; the next call opens others."""
        self._shared.close()

    def after_fork(self) -> None:
        """See `forked.Forkable`: a child has started no cluster."""
        self._own = None
        self._entered.clear()

    # -- looking -----------------------------------------------------------------------------

    def status(self) -> ClusterStatus:
        """How the nodes are now. Raises NotRunning."""
        return self._status()[0]

    def wait(
        self,
        *,
        leader: bool = False,
        commit: int | None = None,
        converged: bool = False,
        timeout_s: float = UP_TIMEOUT_S,
    ) -> ClusterStatus:
        """Waits for all that is asked for, and returns the status in which it was so.

        leader: there is one, and every voter that is up follows it, a quorum at least
        commit: this index is committed
        converged: every member that is up, learners too, has the same log, all of it committed and
            applied

        Raises TimedOut, and LauncherError as soon as it cannot come about: the nodes that are up,
        and those about to be restarted, are no quorum; or some have diverged.
        """
        reached, what = readiness.goal(leader=leader, commit=commit, converged=converged)
        return readiness.wait(self._status, reached, what, timeout_s)

    # -- breaking and mending ----------------------------------------------------------------

    def kill(self, *targets: str | int, signal: str = "SIGKILL") -> list[Chosen]:
        """Sends a signal; returns when the processes are gone. They stay down until started."""
        control.parse_signal(signal)
        return self._act(control.Kill(_words(targets), signal))

    def stop(self, *targets: str | int) -> list[Chosen]:
        """Stops nodes in good order; a leader first has another lead."""
        return self._act(control.StopNodes(_words(targets)))

    def start(self, *targets: str | int, other_machine_code: bool = False) -> list[Chosen]:
        """Starts nodes; returns when they answer and have applied the log, or are busy with it.

        other_machine_code: also one whose machine has other code than the nodes that run; it is
            refused otherwise

        Raises LauncherError when one cannot be started, or ends a moment later.
        """
        return self._started(control.StartNodes(_words(targets), other_machine_code))

    def restart(
        self, *targets: str | int, rolling: bool = False, other_machine_code: bool = False
    ) -> list[Chosen]:
        """Stops and starts nodes, as `start`. rolling: one at a time, never losing the quorum."""
        return self._started(control.RestartNodes(_words(targets), rolling, other_machine_code))

    def _started(self, request: Request) -> list[Chosen]:
        chosen = self._act(request)
        if chosen:
            ids = [node.id for node in chosen]
            readiness.wait_started(self._status, ids, self._start_patience_s)
        return chosen

    def transfer(self, target: str | int) -> HandedOver:
        """Has the leader hand over to a node; returns when that leads, also if it did already.

        Raises LauncherError when it does not come to lead within an election timeout; then the old
        leader leads on, unless it has died meanwhile.
        """
        handed_over = self._call(control.Transfer(_words([target]))).handed_over
        assert handed_over is not None, "a transfer is answered with who leads"
        return handed_over

    def pause(self, *targets: str | int) -> list[Chosen]:
        """Stops nodes as by SIGSTOP: they are there, and do nothing."""
        return self._act(control.Pause(_words(targets)))

    def resume(self, *targets: str | int) -> list[Chosen]:
        """Lets paused nodes go on."""
        return self._act(control.Resume(_words(targets)))

    def add(self, count: int = 1) -> list[Chosen]:
        """Starts so many new nodes; returns when they have caught up and vote.

        Raises TimedOut when they have not in a minute; they go on learning. What was begun goes on
        without this call, and after the next `up`; `remove` gives it up. One change of the
        membership is made at a time: another one is refused meanwhile.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"one node at least is added, not {count!r}")
        return self._act(control.AddNodes(count))

    def remove(self, *targets: str | int) -> list[Chosen]:
        """Makes nodes no members any more, the leader too; then they are stopped, and their data
        is removed. Their ids are not given again."""
        return self._act(control.RemoveNodes(_words(targets)))

    def rebuild(self, *targets: str | int) -> list[Chosen]:
        """Has nodes forget everything and learn it from their peers: for one with a damaged disk.

        Its damaged data never counts: it is no voter before it has learnt all. Returns when it is.
        """
        return self._act(control.Rebuild(_words(targets)))

    def snapshot(self, *targets: str | int) -> list[Chosen]:
        """Has nodes take a snapshot of what they have applied; returns when it is on their disks.

        They take them by themselves too, after as much of the log as the config says.
        """
        return self._act(control.TakeSnapshots(_words(targets)))

    def partition(self, spec: str) -> list[list[NodeId]]:
        """Cuts every link between the groups of `spec` (`1,2|3,4,5`). Returns the groups."""
        return self._call(control.Partition(spec)).groups

    def set_links(self, faults: Iterable[LinkFault]) -> None:
        """Sets what the links do to their messages from now on (`node/faults/links.py`).

        Takes the place of every fault that was set before, a partition too; `heal` ends it. Returns
        when every node that is up has heard it. Raises UsageError for what no link can do.
        """
        self._call(control.SetLinks(list(faults)))

    def heal(self) -> None:
        """Mends every link; `disk("all", fault="ok")` mends the disks."""
        self._call(control.Heal())

    def disk(self, *targets: str | int, fault: str) -> list[Chosen]:
        """Has the disks of nodes do this, and nothing else, until they are told otherwise.

        fault: `hang`, `slow 200ms`, `full`, `fail-write`, `fail-sync`, or `ok`, which mends them

        It stays when a node is started again, once that has recovered; but `fail-write` and
        `fail-sync` are over when they have struck, or the node has ended. Raises UsageError.
        """
        return self._act(control.SetDisks(_words(targets), parse_fault(fault)))

    # -- using -------------------------------------------------------------------------------

    def submit(self, entry: str | bytes, *, timeout_s: float | None = None) -> Submitted:
        """Appends an entry to the log and returns when it is committed and applied.

        Raises CommandError with the machine's answer when it refused the entry, which is committed
        all the same; UsageError for an entry that can never be; NoAnswer when it is not known to be
        committed in time, and may yet be: `error.resend()` sends the same entry again, and it takes
        effect once.
        """
        done = self._client().submit(_encoded(entry), timeout_s=timeout_s)
        if done.error is not None:
            raise CommandError(done.error)
        return done

    def submit_many(
        self, entries: Iterable[str | bytes], *, timeout_s: float | None = None
    ) -> Iterator[Submitted]:
        """Appends entries, many of them on the way at once; yields in their order.

        timeout_s: bounds the wait for the oldest unanswered entry

        A refused entry is yielded with its `error`; asked for its value, it raises CommandError.
        Otherwise raises as `submit` does; what came before an entry that can never be is answered
        first, unless `entries` is a list. NoAnswer has those that were read and have no answer; of
        an iterator one more may have been read, which was not sent.
        """
        encoded = map(_encoded, entries)
        given = list(encoded) if isinstance(entries, list | tuple) else encoded
        return self._client().submit_many(given, timeout_s=timeout_s)

    def resend(self, error: NoAnswer, *, timeout_s: float | None = None) -> list[Submitted]:
        """Sends the entries that were not answered again: the same ones, each applied once.

        `error.resend()` does the same. Returns and raises as that does
        (`launcher/client/unanswered.py`)."""
        return self._client().resend(error, timeout_s=timeout_s)

    def read(
        self,
        query: str | bytes,
        *,
        stale: bool = False,
        node: NodeId | None = None,
        timeout_s: float | None = None,
    ) -> ReadAnswer:
        """Asks the machine; linearizable unless `stale`, and then of any node's state, however old.

        node: who answers; without it the leader does, or anyone when it is `stale`

        The answer to a query that the machine refuses has its `error`, and raises CommandError when
        it is asked for its value. Raises NoAnswer when nobody answers in time.
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
        """As `read`: an answer for each query, all of them at one point of the log."""
        encoded = list(map(_encoded, queries))
        return self._client().read(encoded, stale=stale, node=node, timeout_s=timeout_s)

    def watch(self, first: int | None = None, *, node: NodeId | None = None) -> Iterator[Message]:
        """The messages of a cluster whose machine is `multicast`, each once and in order, for ever.

        first: the number of the first message wanted; by default the oldest that is kept
        node: sees them as this node does, however far behind it is

        Goes on across kills, restarts and leader changes. Raises NotRunning when the cluster goes
        down, LauncherError when the machine is another, or has dropped what comes next.
        """
        from launcher.client.subscriber import ANSWER_S, messages

        def ask(queries: Sequence[str]) -> list[ReadAnswer]:
            return self.read_many(queries, stale=node is not None, node=node, timeout_s=ANSWER_S)

        return forked.Own(messages(ask, first), "watch")

    def timeline(self, wanted: Filter | None = None, *, follow: bool = False) -> Iterator[Event]:
        """What has happened, on all nodes, in one order; also when the cluster is down.

        follow: goes on with what happens, until the cluster is down
        """
        from launcher.timeline.reading import follow_timeline, read_timeline
        from launcher.timeline.render import Filter

        log_dir = self.config.log_dir
        events: Iterator[Event]
        if follow:
            events = follow_timeline(
                log_dir, stop=lambda: not lock.is_locked(self.config), wanted=wanted
            )
        else:
            wanted = wanted or Filter()
            events = filter(wanted.accepts, read_timeline(log_dir, wanted.since_t))
        return forked.Own(events, "timeline")

    def _client(self) -> Client:
        """The connections to the nodes of the cluster as it runs now. Raises NotRunning."""
        return self._shared.get(self.config)

    # -- asking ------------------------------------------------------------------------------

    def _act(self, request: Request) -> list[Chosen]:
        return self._call(request).chosen

    def _call(self, request: Request, timeout_s: float = CALL_TIMEOUT_S) -> Reply:
        return asking.ask(self.config, request, timeout_s)

    def _adopt(self) -> None:
        """Takes what runs for what it is. Raises NotRunning."""
        asking.running(self.config)
        known = records.read(self.config)
        if known is not None:
            self.config = msgspec.structs.replace(
                self.config, nodes=len(known.founders), machine=known.machine
            )

    def _status(self) -> tuple[ClusterStatus, list[NodeId]]:
        """The status, and the nodes that are about to come up by themselves."""
        reply = self._call(control.AskStatus(), STATUS_TIMEOUT_S)
        assert reply.status is not None, "a status is answered with a status"
        return reply.status, reply.restarting

    # -- the supervisor's process ------------------------------------------------------------

    def _own_cluster(self, holder: Holder) -> Running | CutOff:
        """The cluster of this data folder; of several that ran on it one after the other the one
        that this process has started and not let go of. Raises LauncherError."""
        if not isinstance(holder, Running | CutOff):
            raise lock.refusal(self.config, holder)
        if self._own is not None and self._own.depends_on_us and self._own.pid != holder.pid:
            self._forget()
            raise NotRunning(
                "the cluster that was started here has ended, and another one is running "
                f"(supervisor pid {holder.pid}, data in {self.config.data_dir})"
            )
        return holder

    def _abandon(self) -> None:
        """Takes down what could not be brought up."""
        with contextlib.suppress(LauncherError):
            self.down()
        self._forget()

    def _forget(self) -> None:
        """Keeps nothing of a cluster that is down; a supervisor that depends on us ends."""
        self.close()
        if self._own is not None:
            self._own.end()
            self._own = None


def _encoded(text: str | bytes) -> bytes:
    """As the shell would hand it over: what is no UTF-8 stays what it was."""
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _words(targets: Iterable[str | int]) -> list[str]:
    return [str(target) for target in targets]
