"""The ids of the faults that are in force at a node, as it tells its supervisor.

The supervisor gives each fault an id. A node that has been told of a fault names its id in each
`Status` from then on, until the fault is ended or has struck for the last time. So whoever injects
or ends a fault knows when it is in force, and at which nodes it is not yet.
"""

from __future__ import annotations

from collections.abc import Iterable


class InForce:
    """The ids, by the port that the faults concern: `links`, `disk`, ..."""

    def __init__(self) -> None:
        self._ids: dict[str, frozenset[int]] = {}

    def set(self, port: str, ids: Iterable[int]) -> None:
        """From now on these faults are in force at this port, and no others."""
        self._ids[port] = frozenset(ids)

    def ids(self) -> list[int]:
        """All of them, in their order."""
        return sorted(frozenset().union(*self._ids.values()))
