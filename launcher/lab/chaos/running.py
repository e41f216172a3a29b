"""Chaos for a script: `launcher.Chaos`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from launcher.cluster import Cluster
from launcher.errors import LauncherError
from launcher.lab.chaos import healing, schedule
from launcher.lab.chaos.player import Outcome, Player


class Chaos:
    """Breaks a running cluster by a seed's schedule, as `launcher chaos` does; see docs/LAB.md.

    time_s, interval_s: in seconds; number, rounds, faults, exclude, only, beyond_quorum, folder: as
        the options of these names

        with Chaos(cluster, seed=7):
            ...  # use the cluster meanwhile

    The end of the block, as that of `run`, heals everything and waits until the cluster is well.
    Raises UsageError.

    injected, left_out, failed: how many faults were, once it has ended
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        seed: int,
        time_s: float | None = None,
        faults: str = "all",
        interval_s: float = schedule.DEFAULT_INTERVAL_S,
        number: int = 1,
        rounds: int | None = None,
        exclude: Sequence[str | int] = (),
        only: Sequence[int] | None = None,
        beyond_quorum: bool = False,
        folder: Path | str | None = None,
    ) -> None:
        plan = schedule.make(
            seed,
            schedule.parse_kinds(faults),
            time_s,
            interval_s=interval_s,
            number=number,
            rounds=rounds,
            exclude=[str(word) for word in exclude],
        )
        self._plan = plan if only is None else schedule.only(plan, only)
        schedule.check_allowed(self._plan, beyond_quorum=beyond_quorum)
        kept = None if folder is None else Path(folder)
        self._player = Player(cluster, self._plan, folder=kept, beyond_quorum=beyond_quorum)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.injected = self.left_out = self.failed = 0

    @property
    def schedule(self) -> list[str]:
        """What happens when, one line for each fault."""
        return [schedule.describe(fault) for fault in self._plan.faults]

    def run(self) -> None:
        """Plays it to its end. Blocks.

        Raises LauncherError when the cluster cannot be broken or the budget was broken, TimedOut
        when the cluster did not converge, NotRunning when it is gone.
        """
        self._take(self._player.run(self._stop))

    def __enter__(self) -> Self:
        """Plays it in a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="chaos", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Ends it, and raises as `run`, unless the block has raised something itself."""
        assert self._thread is not None, "the block has been entered"
        self._stop.set()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def _run(self) -> None:
        try:
            self.run()
        except LauncherError as error:
            self._error = error

    def _take(self, outcome: Outcome) -> None:
        self.injected, self.left_out = outcome.injected, outcome.left_out
        self.failed = outcome.failed
        healing.check(outcome.broken, outcome.unconverged)
