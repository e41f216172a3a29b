"""How much faster than real time a simulated cluster is: `python -m bench.simulation`.

Five nodes, all faults, at least 100 operations in each simulated second, every property checked at
every step and every history by the checker, on one core. Prints simulated seconds for each second
of this process's own time on a core (so that other work on the machine does not count), and beside
it the same seeds without faults.
"""

from __future__ import annotations

import sys
import time

from launcher.simulation.runner import Tally, run_seed
from launcher.simulation.situation import Options

SEEDS = range(1, 13)
TIME_S = 60.0
BOUND = 50.0

RATE = 225.0
"""What the clients try; while a cluster has no leader they wait, so what they do is less."""


def measure(options: Options) -> tuple[Tally, float]:
    """The seeds' outcomes together, and the seconds that they took."""
    tally = Tally()
    begun = time.process_time()
    for seed in SEEDS:
        tally.add(run_seed(options, seed))
    return tally, time.process_time() - begun


def main() -> int:
    """Prints the ratios; 1 when a seed failed."""
    failed = False
    print(f"{len(SEEDS)} seeds, each {TIME_S:g} s and a liveness phase, 5 nodes, one core")
    for name, options in (
        ("all faults", Options(time_s=TIME_S, rate=RATE)),
        ("no faults", Options(time_s=TIME_S, rate=RATE, faults=())),
    ):
        tally, took_s = measure(options)
        ratio = tally.simulated_s / took_s
        rate = tally.operations / (TIME_S * len(SEEDS))
        print(
            f"{name:>10}: {ratio:6.1f} times real time, {rate:5.1f} operations a simulated second, "
            f"{tally.faults} faults, {tally.crashes} crashes, {tally.elections} leaders"
        )
        if tally.failed is not None:
            failed = True
            print(f"{name}: seed {tally.failed.seed} fails: {tally.failed.failure}")
        if options.faults:
            print(f"{'':>10}  the bound is {BOUND:g}: {ratio / BOUND:.2f} of it")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
