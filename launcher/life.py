"""How a cluster starts and ends, and what is done with its data while it is down.

`launcher/cluster.py` is the API; this module is what it does about a data folder as a whole. The
supervisor that runs there may have been started by this object or by another process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from launcher import overrides
from launcher.client.shared_client import SharedClient
from launcher.config import MAX_NODES, ClusterConfig, load
from launcher.control import asking
from launcher.errors import LauncherError, NotRunning, UsageError
from launcher.folders import healing, lock, records, recovery, runtime_files, violations
from launcher.folders.ownership import CutOff, Holder, Running
from launcher.folders.recovery import Outlook
from launcher.folders.violations import Violation
from launcher.supervision import OwnSupervisor, check_machine
from launcher.supervisor import ending

_T = TypeVar("_T")


class DownReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `down` did.

    was_running: there was a supervisor, which has stopped the cluster, or was killed
    healed: whether it was killed, and what a dead supervisor had left behind, a phrase each
    removed_data: the cluster's data has been removed
    violations: of safety, that were found in this cluster
    """

    was_running: bool
    healed: list[str] = []
    removed_data: bool = False
    violations: list[Violation] = []


class Life:
    """What one `Cluster` object has started and holds open.

    connections: those of the object; they are closed when the cluster has ended
    """

    def __init__(self, connections: SharedClient) -> None:
        self._connections = connections
        self._own: OwnSupervisor | None = None

    @property
    def depends_on_us(self) -> bool:
        """This process has started the cluster, and the cluster ends with this process."""
        return self._own is not None and self._own.depends_on_us

    def begin(self, config: ClusterConfig, *, fresh: bool, entry: str) -> OwnSupervisor:
        """Starts a supervisor. Raises LauncherError."""
        self._own = OwnSupervisor(config, fresh=fresh, entry=entry)
        return self._own

    def down(self, config: ClusterConfig, *, volumes: bool) -> DownReport:
        """See `Cluster.down`."""
        holder = lock.look(config)
        if volumes:
            ending.check_removable(config)
        healed: list[str] = []
        if holder is not None:
            healed += ending.end(config, self._ours(config, holder))
        found = violations.read(config)[0]
        known, left = ending.clean_up(config, volumes=volumes)
        healed += left
        self.forget()
        if holder is None and not healed and not (volumes and known):
            raise _not_running(config)
        return DownReport(
            was_running=holder is not None,
            healed=healed,
            removed_data=volumes and known,
            violations=found,
        )

    def destroy(self, config: ClusterConfig) -> None:
        """See `Cluster.destroy`."""
        holder = lock.look(config)
        if holder is None:
            self.forget()
            raise _not_running(config)
        ending.force(config, self._ours(config, holder))
        with lock.locked(config):
            healing.heal(config)
        self.forget()

    def abandon(self, config: ClusterConfig) -> None:
        """Stops a cluster that did not come up, as far as that is possible."""
        with suppress(LauncherError):
            self.down(config, volumes=False)
        self.forget()

    def how_it_died(self, config: ClusterConfig) -> str:
        """See `Cluster.how_it_died`."""
        if self._own is None or lock.is_locked(config):
            return ""
        how = self._own.how_it_died()
        return how and (
            f"the supervisor (pid {self._own.pid}) {how}, and its nodes with it; what it printed "
            f"is in {config.supervisor_stderr}; `launcher up` starts the cluster again"
        )

    def forget(self) -> None:
        """Closes everything of a cluster that is down; a supervisor that depends on us ends."""
        self._connections.close()
        if self._own is not None:
            self._own.end()
            self._own = None

    def after_fork(self) -> None:
        """A forked child has started no cluster; see `forked.Forkable`."""
        self._own = None

    def _ours(self, config: ClusterConfig, holder: Holder) -> Running | CutOff:
        """The cluster that runs on the data folder, unless another than ours has replaced it there.

        Raises NotRunning if it has, and LauncherError when it cannot be reached.
        """
        if not isinstance(holder, Running | CutOff):
            raise lock.refusal(config, holder)
        if self._own is not None and self._own.depends_on_us and self._own.pid != holder.pid:
            self.forget()
            raise NotRunning(
                "the cluster that was started here has ended, and another one is running "
                f"(supervisor pid {holder.pid}, data in {config.data_dir})"
            )
        return holder


# -- which cluster -------------------------------------------------------------------------------


def configured(
    config: ClusterConfig | Path | str | None,
    *,
    name: str | None,
    nodes: int | None,
    machine: str | None,
) -> ClusterConfig:
    """The configuration, or that of a file, with what overrides it; see `Cluster`.

    Raises UsageError, ConfigError.
    """
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
    return config


def as_running(config: ClusterConfig) -> ClusterConfig:
    """The configuration with the number of nodes, the machine and the settings in force of the
    running cluster.

    Raises NotRunning.
    """
    runtime_dir = asking.running(config).runtime_dir
    config = overrides.with_texts(config, runtime_files.settings_in(runtime_dir))
    known = records.read(config)
    if known is None:
        return config
    return msgspec.structs.replace(config, nodes=len(known.founders), machine=known.machine)


def paced(
    config: ClusterConfig, timescale: float | str | None, *, as_in_the_paper: bool
) -> ClusterConfig:
    """The configuration with what `up` asks for in place of cluster.yaml. Raises UsageError."""
    texts = dict(overrides.AS_IN_THE_PAPER) if as_in_the_paper else {}
    if timescale is not None:
        texts["timescale"] = str(timescale)
    return overrides.overridden(config, texts) if texts else config


# -- while the cluster is down -------------------------------------------------------------------


def outlook(config: ClusterConfig, node: int) -> Outlook:
    """See `Cluster.outlook`."""
    return _while_down(config, lambda: recovery.look(config, node))


def recover(config: ClusterConfig, node: int) -> Outlook:
    """See `Cluster.recover`."""

    def begin() -> Outlook:
        lock.check_unshared(config)
        seen = recovery.look(config, node)
        recovery.recover(config, node)
        return seen

    return _while_down(config, begin)


def prepare(
    config: ClusterConfig, *, fresh: bool, count_given: bool, timeout_s: float
) -> ClusterConfig:
    """Finishes an interrupted recovery and checks all that a start needs; see `Cluster.up`.

    Returns the configuration as the data has it, unless `fresh`. Raises LauncherError.
    """
    # Start-up time: loads asyncio, and most commands start no cluster.
    from launcher.supervisor import limits

    if recovery.is_pending(config):
        _while_down(config, lambda: None)
    if not fresh:
        with lock.disk_errors(config.data_dir):
            config = records.as_known(config, count_given=count_given)
    limits.check(config, config.nodes)
    check_machine(config.machine, timeout_s)
    return config


def _while_down(config: ClusterConfig, action: Callable[[], _T]) -> _T:
    """Does something with the data of a cluster that must be down. Raises LauncherError."""
    if not config.data_dir.is_dir():
        raise NotRunning(f"there is no data in {config.data_dir}")
    with lock.locked(config), lock.disk_errors(config.data_dir):
        healing.heal(config)
        recovery.finish(config)
        return action()


def _not_running(config: ClusterConfig) -> LauncherError:
    return NotRunning(f"no cluster is running here (data in {config.data_dir})")
