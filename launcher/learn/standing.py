"""What looks alarming in `ps` and is not: a line under its table. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from launcher.control.status import ClusterStatus


def remarks(status: ClusterStatus, width: int | None = None) -> list[str]:
    """A sentence for each thing that a reader may take for a fault, in lines of at most `width`."""
    found = [*_two_leaders(status), *_commits_that_lag(status)]
    return found if width is None else [line for one in found for line in wrap(one, width)]


def _two_leaders(status: ClusterStatus) -> Iterator[str]:
    if status.leader is None:
        return
    term = status.node(status.leader).term
    for node in status.nodes:
        if node.role == "leader" and node.id != status.leader and node.term < term:
            yield (
                f"n{node.id} still calls itself leader, of term {node.term}: it has not heard yet "
                f"that n{status.leader} leads term {term}. It can commit nothing, so this is safe."
            )


def _commits_that_lag(status: ClusterStatus) -> Iterator[str]:
    """A node that restarts knows nothing to be committed beyond its snapshot, whatever it holds."""
    lag = [
        f"n{node.id}"
        for node in status.up
        if not node.hangs
        and node.last_index > node.commit_index
        and node.commit_index == node.snapshot_index
    ]
    if lag and status.leader is None:
        yield (
            f"{', '.join(lag)}: entries behind `commit` are not lost. A node that has restarted "
            "learns from the next leader which of them are committed."
        )
