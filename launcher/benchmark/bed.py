"""A cluster of real processes for one benchmark, with settings of its own; and what it says.

Settings are fields of `ClusterConfig`, set behind the back of cluster.yaml's checks: a benchmark
may want what nobody should run, such as a heartbeat of half of the shortest election timeout.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from launcher.client.sockets import Sockets
from launcher.cluster import Cluster
from launcher.config import ClusterConfig, load
from launcher.errors import NotRunning
from launcher.folders import lock
from node.raft.messages import NodeId

UP_TIMEOUT_S = 60.0
"""However slow the machine is."""

LONG_LOG_BYTES = 1 << 30
"""An event log that is read while it is written is not to be put aside meanwhile."""


@contextlib.contextmanager
def settings_in(folder: Path, nodes: int, **settings: Any) -> Iterator[ClusterConfig]:
    """The defaults, but for `settings`, with data and logs in a new folder, for a while.

    folder: where the new one is to be; made where there is none
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cluster-", dir=folder) as home:
        config = load(directory=Path(home))
        yield msgspec.structs.replace(
            config,
            name="bench",
            nodes=nodes,
            data_dir=Path(home).resolve() / "data",
            log_dir=Path(home).resolve() / "logs",
            log_rotate_bytes=LONG_LOG_BYTES,
            source=None,
            **settings,
        )


@contextlib.contextmanager
def running(
    folder: Path, nodes: int, kind: type[Cluster] = Cluster, **settings: Any
) -> Iterator[Cluster]:
    """A cluster that runs, has a leader, and is gone at the end, with all that it has written."""
    with settings_in(folder, nodes, **settings) as config:
        cluster = kind(config=config)
        cluster.up(UP_TIMEOUT_S)
        try:
            yield cluster
        finally:
            cluster.down()


def sockets(cluster: Cluster) -> Sockets:
    """Where the nodes of a cluster that runs listen. Raises NotRunning."""
    record = lock.running(cluster.config)
    if record is None:
        raise NotRunning("the cluster is down")
    return Sockets(cluster.config, record.runtime_dir)


class Event(msgspec.Struct, frozen=True):
    """One line of a node's event log, as far as a benchmark looks at it; `t` as in time.time_ns."""

    t: int
    node: NodeId
    term: int
    event: str


class Sightings:
    """The events of a cluster's nodes as they are written, those of certain names."""

    def __init__(self, config: ClusterConfig, *names: str) -> None:
        self._names = [f'"{name}"'.encode() for name in names]
        self._read: dict[Path, int] = {
            config.event_log(node): 0 for node in range(1, config.nodes + 1)
        }
        self._decoder = msgspec.json.Decoder(Event)

    def new(self) -> list[Event]:
        """What has been written since the last call, in the order of its time."""
        events: list[Event] = []
        for path, offset in self._read.items():
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read()
            whole, _, _ = data.rpartition(b"\n")  # half a line may have been written
            self._read[path] = offset + len(whole) + bool(whole)
            lines = [line for line in whole.splitlines() if any(n in line for n in self._names)]
            events += map(self._decoder.decode, lines)
        return sorted(events, key=lambda event: event.t)
