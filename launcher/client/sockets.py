"""Where the nodes of a cluster listen for clients, as the membership is now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

from launcher.config import ClusterConfig
from launcher.folders import records
from node.raft.messages import NodeId


class Sockets(Mapping[NodeId, Path]):
    """The socket of each node that is to run. It changes when nodes are added and removed."""

    def __init__(self, config: ClusterConfig, runtime_dir: Path) -> None:
        self._config = config
        self._runtime_dir = runtime_dir
        self._changed_at = 0
        self._ids: list[NodeId] = list(range(1, config.nodes + 1))

    def __getitem__(self, node: NodeId) -> Path:
        if node not in self._look():
            raise KeyError(node)
        return self._runtime_dir / f"node-{node}.sock"

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._look())

    def __len__(self) -> int:
        return len(self._look())

    def _look(self) -> list[NodeId]:
        try:
            changed_at = self._config.cluster_file.stat().st_mtime_ns
            if changed_at != self._changed_at:
                record = records.read(self._config)
                if record is not None:
                    self._ids, self._changed_at = list(record.members), changed_at
        except OSError:
            pass  # the data has been removed: the last that was known is as good as any
        return self._ids


class Keys(Sequence[NodeId]):
    """The nodes of a mapping as a sequence, as they are whenever it is looked at."""

    def __init__(self, sockets: Mapping[NodeId, object]) -> None:
        self._sockets = sockets

    @overload
    def __getitem__(self, position: int) -> NodeId: ...
    @overload
    def __getitem__(self, position: slice) -> list[NodeId]: ...
    def __getitem__(self, position: int | slice) -> NodeId | list[NodeId]:
        return list(self._sockets)[position]

    def __len__(self) -> int:
        return len(self._sockets)
