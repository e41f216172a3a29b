"""safety.json: which promises of Raft were found broken in this cluster, and by what.

    data/safety.json    sealed; not there as long as nothing was found

It is written at once when something is found (`launcher/supervisor/guard.py`), so that a restart of
the supervisor, or of the machine, does not forget it. It goes with the data: by `down --volumes`
or `up --fresh`. As long as it is there, no log of the cluster is pruned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from launcher.config import ClusterConfig
from launcher.folders import sealed
from node.raft.messages import NodeId

MARK = "SAFETY IS VIOLATED"
"""How each line begins that tells people of a violation."""

FILE = "safety.json"
FORMAT = 1

Promise: TypeAlias = Literal[
    "election safety",
    "leader completeness",
    "state machine safety",
    "one vote in each term",
    "terms and commit indexes only rise",
    "a leader counts replicas of its own term only",
    "what is committed is on a majority of disks",
    "what was acknowledged is kept",
    "machines compute the same",
]
"""Which promise is broken: those of Figure 3, and those on which they rest."""


class Report(msgspec.Struct, frozen=True):
    """What one node said at one moment, as far as it was compared.

    life: its start, counted; 0: it is not known which
    at: when the supervisor heard it: UTC, as ISO 8601, in milliseconds; or `before`, when another
        supervisor did
    """

    node: NodeId
    life: int
    at: str
    said: str

    def __str__(self) -> str:
        life = f" (life {self.life})" if self.life else ""
        return f"n{self.node}{life} said {self.at}: {self.said}"


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A promise that is broken.

    subject: what it is about; of each subject only the first violation is kept
    found: what is wrong, in one sentence
    reports: what was compared
    """

    promise: Promise
    subject: str
    found: str
    reports: list[Report]

    @property
    def nodes(self) -> list[NodeId]:
        """Those that said what was compared."""
        return sorted({report.node for report in self.reports})

    def __str__(self) -> str:
        """For `ps`, `down`, and whoever must read it, in one line."""
        said = "; ".join(map(str, self.reports))
        return f"{MARK} ({self.promise}): {self.found} [{said}]"


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    format: int = FORMAT
    cluster_id: str
    violations: list[Violation]


def file_of(config: ClusterConfig) -> Path:
    """Where the record stands."""
    return config.data_dir / FILE


def read(config: ClusterConfig, cluster_id: str | None = None) -> tuple[list[Violation], str]:
    """What was found in this cluster; and a warning where that cannot be read.

    cluster_id: None: of whatever cluster there is. A record of another cluster counts for nothing:
        `recover` has made a new one

    Never raises: a record that is damaged must not keep the cluster from starting.
    """
    file = file_of(config)
    try:
        record = sealed.unseal(file.read_bytes(), _Record)
    except FileNotFoundError:
        return [], ""
    except (sealed.BrokenSeal, OSError) as error:
        return [], f"{file.name} cannot be read ({error}): safety was violated here; see the logs"
    if cluster_id not in (None, record.cluster_id):
        return [], ""
    return record.violations, ""


def write(config: ClusterConfig, cluster_id: str, violations: list[Violation]) -> None:
    """Durable. Raises OSError."""
    record = _Record(cluster_id=cluster_id, violations=violations)
    sealed.replace(file_of(config), sealed.seal(record), durable=True)
