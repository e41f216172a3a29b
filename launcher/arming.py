"""The part of `Cluster` that arms points (`node/faults/points.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from launcher.control import requests
from launcher.control.points import PointRow, check_point, parse_actions
from launcher.control.requests import Reply, Request
from launcher.control.status import Chosen


class Armed(list[Chosen]):
    """The nodes at which a point was armed. At the end of a `with` it is disarmed there."""

    def __init__(self, chosen: Iterable[Chosen], disarm: Callable[[], object]) -> None:
        super().__init__(chosen)
        self._disarm = disarm

    def __enter__(self) -> Armed:
        return self

    def __exit__(self, *error: object) -> None:
        self._disarm()


class Arming(ABC):
    """Arms points at the nodes of a cluster."""

    @abstractmethod
    def _call(self, request: Request) -> Reply:
        """Asks the supervisor. Raises LauncherError."""

    def arm(self, *targets: str | int, point: str, action: str) -> Armed:
        """Arms a point in the code of nodes, in place of what it was armed with.

        point: its name, such as `before-sync`; `points` has all
        action: what strikes there, such as `kill`, `2*kill`, `20%sleep(10ms)`; `off` disarms it

        A node that is down is armed for its next life. In a `with`, the point is disarmed at the
        end. Raises UsageError.
        """
        name, terms = check_point(point), parse_actions(action)
        chosen = self._call(requests.Arm(words(targets), name, terms)).chosen
        ids = [str(node.id) for node in chosen]
        return Armed(chosen, lambda: ids and self._call(requests.Arm(ids, name, [])))

    def points(self) -> list[PointRow]:
        """Every point, with its hits at each node at which it was armed."""
        return self._call(requests.ListPoints()).points


def words(targets: Iterable[str | int]) -> list[str]:
    """Targets as a request has them."""
    return [str(target) for target in targets]
