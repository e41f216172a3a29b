"""What is done beside a test: load on a cluster, and other work that goes on until `stop`."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from launcher import Cluster, Submitted
from tests.cluster.lab import Lab, eventually

KEYS = 20_000
VALUE = "v" * 256


class Background(threading.Thread, ABC):
    """Work that goes on beside a test until `stop`, which raises what the work has raised.

    ends: set when the work is to end
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ends = threading.Event()
        self.failure: BaseException | None = None

    @abstractmethod
    def work(self) -> None:
        """The work; it returns soon after `ends` is set."""

    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        """Ends the work. Raises what it has raised."""
        self.ends.set()
        self.join(90)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, error: object, at: object) -> None:
        self.stop()


class Load(Background):
    """A client that submits entries without end; an entry that fails ends it.

    folder: where the cluster's cluster.yaml is
    entry: the text of an entry, by its number, from 1
    many: many are under way at once; else each waits for the answer to the one before
    pause_s: how long it waits after `every` entries
    count: how many are acknowledged: the first ones
    longest_gap_s: the longest time between two answers
    """

    def __init__(
        self,
        folder: Path,
        entry: Callable[[int], str] = "ADD load {:06d}".format,
        *,
        many: bool = False,
        timeout_s: float = 30.0,
        pause_s: float = 0.0,
        every: int = 1,
    ) -> None:
        super().__init__()
        self._cluster = Cluster.attach(folder / "cluster.yaml")
        self._entry = entry
        self._many = many
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._every = every
        self.count = 0
        self.longest_gap_s = 0.0

    def work(self) -> None:
        with self._cluster:
            last = time.monotonic()
            for done in self._answers():
                assert done.ok, done
                now = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now - last)
                last = now
                self.count += 1

    @property
    def acknowledged(self) -> list[str]:
        """The entries that are acknowledged."""
        return [self._entry(number) for number in range(1, self.count + 1)]

    def goes_on(self, more: int = 20) -> None:
        """Waits until this many more entries are acknowledged. Raises what the load has raised."""
        count = self.count + more
        eventually(lambda: self.count >= count or self.failure, f"{more} more entries")
        if self.failure is not None:
            raise self.failure

    def _answers(self) -> Iterator[Submitted]:
        if self._many:
            yield from self._cluster.submit_many(self._entries(), timeout_s=self._timeout_s)
            return
        for entry in self._entries():
            yield self._cluster.submit(entry, timeout_s=self._timeout_s)

    def _entries(self) -> Iterator[str]:
        number = 0
        while not self.ends.is_set():
            number += 1
            yield self._entry(number)
            if self._pause_s and number % self._every == 0:
                self.ends.wait(self._pause_s)


def long_load(lab: Lab, pause_s: float = 0.0) -> Load:
    """The load of a long run: many entries of 256 bytes at once, over `KEYS` keys.

    pause_s: after every twenty entries
    """
    return Load(
        lab.folder,
        lambda number: f"SET k{number % KEYS} {number}-{VALUE}",
        many=True,
        timeout_s=60.0,
        pause_s=pause_s,
        every=20,
    )


def disk_of(lab: Lab, node_id: int) -> int:
    """The bytes of a node's folder."""
    total = 0
    for file in (lab.folder / "data" / f"node-{node_id}").iterdir():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue  # recycled meanwhile
    return total
