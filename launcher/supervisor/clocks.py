"""What an operator has ordered of one node's clocks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from launcher.control import clocks
from launcher.control.clocks import ClockChange
from node.faults.clocks import TRUE
from node.wire import ClockFault, SetClock


@dataclass(frozen=True)
class OrderedClocks:
    """It stays when the node is started again. The process that starts has a new monotonic scale:
    its steps are part of that from the beginning, and so without effect.

    by: the id of the injection behind each of them, by clock and word: `bump`, `wall rate`, ...
    """

    monotonic: ClockFault = TRUE
    wall: ClockFault = TRUE
    by: Mapping[str, int] = field(default_factory=dict)

    @property
    def order(self) -> SetClock:
        """What the node is told."""
        return SetClock(self.monotonic, self.wall, sorted(set(self.by.values())))

    def changed(self, change: ClockChange, fault_id: int) -> OrderedClocks:
        """After this change. Raises UsageError for steps that come to too much.

        fault_id: of the injection that it is; without meaning for a change that ends something
        """
        monotonic, wall, by = self.monotonic, self.wall, dict(self.by)
        if change.wall:
            wall = clocks.apply(change, wall)
        else:
            monotonic = clocks.apply(change, monotonic)
        if change.word != "ok":
            by[_key(change.word, change.wall)] = fault_id
        elif change.only:
            by.pop(_key(change.only, change.wall), None)
        else:
            if not change.wall:
                wall = TRUE
            by = {key: one for key, one in by.items() if change.wall and not _is_wall(key)}
        for fault, is_wall in ((monotonic, False), (wall, True)):
            if fault.rate == 1.0:
                by.pop(_key("rate", is_wall), None)
            if not fault.bump_s:  # the last step went back to where the clock was
                by.pop(_key("bump", is_wall), None)
        return OrderedClocks(monotonic, wall, by)

    def __str__(self) -> str:
        return clocks.describe(self.monotonic, self.wall)


TRUE_CLOCKS = OrderedClocks()
_WALL = "wall "


def _key(word: str, wall: bool) -> str:
    return f"{_WALL}{word}" if wall else word


def _is_wall(key: str) -> bool:
    return key.startswith(_WALL)
