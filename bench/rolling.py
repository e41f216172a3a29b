"""How long writes stand still when leaders come and go: `python -m bench.rolling`.

Five real nodes and one client that submits one entry after the other. Prints the longest time
between two answers while nothing happens, in a rolling restart of all nodes (where the leader hands
over first), and when the leader is killed, with and without the hint that its process has died;
and beside each how it compares with the rolling restart of the same run.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from launcher import Cluster
from launcher.errors import LauncherError

NODES = 5
REPEATS = 3
PAUSE_S = 1.0
"""So long the client submits before and after."""

SETTINGS = "name: rolling\nraft:\n  failure_hint: {hint}\n"


class Load:
    """A client that notes when each of its entries is answered."""

    def __init__(self, config: Path) -> None:
        self.answered: list[float] = []
        self.failed: list[str] = []
        self._cluster = Cluster.attach(config)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._cluster.submit("x")
            except LauncherError as error:
                self.failed.append(str(error))
            self.answered.append(time.monotonic())

    def during(self, deed: Callable[[], object]) -> float:
        """The longest time between two answers, in seconds, while `deed` is done and a bit more."""
        self._thread.start()
        time.sleep(PAUSE_S)
        first = len(self.answered) - 1
        deed()
        time.sleep(PAUSE_S)
        self._ended.set()
        self._thread.join()
        times = self.answered[first:]
        return max(later - sooner for sooner, later in itertools.pairwise(times))


def measure(hint: str, deed: Callable[[Cluster], object]) -> tuple[list[float], list[str]]:
    """The longest gap of each repeat, and what was refused or not answered."""
    gaps, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "cluster.yaml"
        config.write_text(SETTINGS.format(hint=hint))
        with Cluster(NODES, machine="journal", config=config) as cluster:
            for _ in range(REPEATS):
                load = Load(config)
                gaps.append(load.during(lambda: deed(cluster)))
                failed += load.failed
                cluster.start("all")
                cluster.wait(converged=True)
    return gaps, failed


def main() -> int:
    """Prints the gaps and their ratios; 1 when a request failed in a rolling restart."""
    print(f"{NODES} nodes, one client; the longest gap between two answers, of {REPEATS} runs each")
    deeds: list[tuple[str, str, Callable[[Cluster], object]]] = [
        ("rolling restart", "off", lambda cluster: cluster.restart("all", rolling=True)),
        ("nothing happens", "off", lambda cluster: time.sleep(PAUSE_S)),
        ("transfer", "off", lambda cluster: cluster.transfer("follower")),
        ("leader killed, hinted", "on", lambda cluster: cluster.kill("leader")),
        ("leader killed", "off", lambda cluster: cluster.kill("leader")),
    ]
    rolling = 0.0
    status = 0
    for name, hint, deed in deeds:
        gaps, failed = measure(hint, deed)
        middle = statistics.median(gaps)
        rolling = rolling or middle
        print(
            f"{name:>22}: {1000 * middle:7.1f} ms (from {1000 * min(gaps):.1f} to "
            f"{1000 * max(gaps):.1f}), {middle / rolling:5.2f} times that of a rolling restart"
        )
        if failed:
            print(f"{'':>22}  {len(failed)} requests failed: {failed[0]}")
            status = status or int(name == "rolling restart")
    return status


if __name__ == "__main__":
    sys.exit(main())
