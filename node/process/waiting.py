"""The frames of one link that a fault keeps for a while: held until they are let go, or delayed.

Both are bounded in bytes. One that waits is the next to leave, so a message that is to be lost by
its type is looked for here first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class WaitingFrames:
    """What waits on one link.

    held: in the order in which it was to be sent
    """

    def __init__(self, send: Callable[[bytes], None], most_bytes: int) -> None:
        """send: for a frame whose delay is over
        most_bytes: of those that are held, and of those that are delayed
        """
        self.held: list[bytes] = []
        self._send = send
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._late: dict[asyncio.TimerHandle, bytes] = {}
        self._late_bytes = 0

    def delay(self, body: bytes, delay_s: float) -> bool:
        """Sends a frame after `delay_s` seconds. False: there is no room for it."""
        if self._late_bytes > self._most_bytes:
            return False
        self._late_bytes += len(body)

        def send() -> None:
            del self._late[timer]
            self._late_bytes -= len(body)
            self._send(body)

        timer = asyncio.get_running_loop().call_later(delay_s, send)
        self._late[timer] = body
        return True

    def hold(self, body: bytes) -> bool:
        """Keeps a frame until `take_held`. False: there is no room for it."""
        if self._held_bytes > self._most_bytes:
            return False
        self._held_bytes += len(body)
        self.held.append(body)
        return True

    def take_held(self) -> list[bytes]:
        """The frames that were held, in the order in which they were to be sent."""
        held, self.held, self._held_bytes = self.held, [], 0
        return held

    def take_all(self) -> list[bytes]:
        """Everything that waits. Nothing of it is sent any more."""
        for timer in self._late:
            timer.cancel()
        late, self._late, self._late_bytes = list(self._late.values()), {}, 0
        return [*self.take_held(), *late]

    def strike(self, is_lost: Callable[[bytes], bool]) -> None:
        """Removes what is lost: of what is held the oldest first, then of what is delayed."""
        self.held = [body for body in self.held if not is_lost(body)]
        self._held_bytes = sum(map(len, self.held))
        for timer, body in list(self._late.items()):
            if is_lost(body):
                timer.cancel()
                del self._late[timer]
                self._late_bytes -= len(body)
