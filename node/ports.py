"""The ports: all that a server touches of the world outside it.

Each has two implementers: the real one around an operating system, and a simulated one. Nothing in
`node/server/server.py` or `node/storage/` reaches a disk, a link or a client in any other way, so
whatever runs them runs the product's own order of *persist, send, apply* and its own recovery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from node.raft.messages import NodeId


class DiskFile(Protocol):
    """One open file. Every method raises OSError when the operation fails."""

    def size(self) -> int: ...

    def read_at(self, offset: int, size: int) -> bytes:
        """At most `size` bytes from `offset`; fewer only at the end of the file."""
        ...

    def write_at(self, offset: int, data: bytes) -> None:
        """Writes all of `data` or raises. Not durable before `sync`."""
        ...

    def write_synced(self, offset: int, data: bytes) -> None:
        """As `write_at` and then `sync`, but only what is written here is durable for certain."""
        ...

    def sync(self) -> None:
        """Returns when what was written is durable, the file's size included (fdatasync)."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """One node's folder. Names are plain file names in it. Every method raises OSError."""

    def list(self) -> list[str]: ...

    def open(self, name: str, *, create: bool = False) -> DiskFile:
        """Opens for reading and writing. With `create`, the file must not exist yet."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Atomic; replaces `new` if it exists. Durable after `sync_directory`."""
        ...

    def remove(self, name: str) -> None: ...

    def sync_directory(self) -> None:
        """Returns when creations, renames and removals are durable."""
        ...


class DiskQueue(Protocol):
    """Runs disk work beside the server, strictly in order."""

    def run(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Runs `work` after all earlier work; then `done(None)` or `done(error)` in the loop."""
        ...


class Fork(Protocol):
    """Runs work on the state as it is at this moment, beside everything that happens to it."""

    def run(
        self,
        work: Callable[[Callable[[], None]], bytes],
        done: Callable[[bytes | None, BaseException | None], None],
    ) -> None:
        """`work` sees every object as it is now, whatever becomes of it meanwhile, and changes
        nothing but files; then `done(result, None)` or `done(None, error)` in the loop.

        `work` is handed a function, and calls it after each step to say that it goes on: one that
        is silent for minutes is taken for stuck, and ended.
        """
        ...


class Points(Protocol):
    """The armed points (`node/faults/points.py`): places in the code at which a fault may strike.

    Whoever comes to one looks at `armed` first, so a point that is not armed costs next to nothing:
    `if points.armed: points.reach("before-sync")`.

    armed: whether any point is
    """

    armed: bool

    def reach(self, point: str) -> None:
        """This point is reached. It may never return, take long, or break a disk or a link."""
        ...


class NoPoints:
    """The `Points` port where nothing is ever armed."""

    armed = False

    def reach(self, point: str) -> None:
        """Nothing strikes."""


UNARMED: Points = NoPoints()


class Links(Protocol):
    """The links to the other nodes. A message may be lost, late, twice or out of order."""

    def send(self, peer: NodeId, frame: bytes) -> None:
        """Never blocks, never raises. A frame that finds no open link, or a full one, is lost."""
        ...


class ClientConnection(Protocol):
    """One client that is connected."""

    def send(self, frame: bytes) -> None:
        """Never blocks, never raises. A frame for a client that is gone is dropped."""
        ...


class EventSink(Protocol):
    """Where events go: `node/events.py` says what they are."""

    def emit(
        self, level: str, event: str, term: int, role: str, commit: int, **fields: object
    ) -> None: ...
