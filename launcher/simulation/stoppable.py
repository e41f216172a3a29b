"""A simulated process that signals stop and continue: what arrives meanwhile waits for it."""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from launcher.simulation.network import Time
from launcher.simulation.timer import Waiting
from node.server.server import Server

Told: TypeAlias = tuple[str, dict[str, object]]
"""An event that tells of what is done to a process: its name and its fields."""


class Stoppable(Waiting):
    """What a node has of that.

    paused: stopped by SIGSTOP
    held: stopped at the moment because it is throttled
    """

    __slots__ = ("_waiting", "held", "paused")

    server: Server | None

    def __init__(self, time: Time) -> None:
        super().__init__(time)
        self.paused = self.held = False
        self._waiting: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        """what has arrived for this life while the process is stopped"""

    @abc.abstractmethod
    def _schedule_pump(self) -> None:
        """Has the process do what there is to do."""

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = self.server is not None

    def resume(self) -> None:
        """SIGCONT: whatever arrived meanwhile is handled now, all at once."""
        if self.paused:
            self.paused = False
            self._go_on()

    def hold(self) -> None:
        """SIGSTOP, because it is throttled and has had its slice."""
        self.held = self.server is not None

    def release(self) -> None:
        """SIGCONT, for its next slice; unless it is paused."""
        if self.held:
            self.held = False
            self._go_on()

    def _go_on(self) -> None:
        """Any of what has arrived may stop the process at a point, or kill it. The end of a life
        empties the queue, so a dead server is handed nothing."""
        while self._waiting and not (self.paused or self.held):
            what, arguments = self._waiting.popleft()
            what(*arguments)
        self._schedule_pump()
