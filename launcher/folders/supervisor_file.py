"""data/supervisor.json: where the supervisor of a data folder is to be found, alive or dead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from launcher.config import ClusterConfig
from launcher.folders import ownership, runtime_files, sealed
from launcher.folders.ownership import SupervisorRecord


def read_supervisor(config: ClusterConfig) -> SupervisorRecord | None:
    """supervisor.json; None when there is nothing that can be understood."""
    try:
        return sealed.unseal(config.supervisor_file.read_bytes(), SupervisorRecord)
    except (OSError, sealed.BrokenSeal):
        return None


def write_supervisor(config: ClusterConfig, record: SupervisorRecord) -> None:
    """Not durable: it is worthless after a loss of power. Raises OSError."""
    sealed.replace(config.supervisor_file, sealed.seal(record), durable=False)


def runtime_folders(named: SupervisorRecord | None) -> Iterator[ownership.RuntimeSeen]:
    """Those that may be meant. The named one may lie where another TMPDIR points; and where an old
    supervisor.json was put back over the true one, the others are worth a look."""
    if named is not None:
        seen = runtime_files.look(Path(named.runtime_dir))
        if seen is not None:
            yield seen
    for seen in runtime_files.look_around():
        if named is None or str(seen.path) != named.runtime_dir:
            yield seen
