"""How much faster than real time a simulated cluster is: `python -m bench.simulation`.

Five nodes, all faults, at least 100 operations in each simulated second, every property checked at
every step and every history by the checker, on one core. Prints simulated seconds for each second
of this process's own time on a core (so that other work on the machine does not count), and beside
it the same seeds without faults.

What a core does in a second differs from machine to machine, and on a virtual one from hour to
hour. So beside each a bare heap of callbacks is run, a discrete-event simulation of nothing: as how
many of its events one of ours takes is a ratio that other machines should give, too.
"""

from __future__ import annotations

import heapq
import sys
import time

from launcher.simulation.runner import Tally, run_seed
from launcher.simulation.situation import Options

SEEDS = range(1, 13)
TIME_S = 60.0
BOUND = 50.0

RATE = 225.0
"""What the clients try; while a cluster has no leader they wait, so what they do is less."""


BARE_EVENTS = 300_000


def measure(options: Options) -> tuple[Tally, int, float, float]:
    """The seeds' outcomes together, their events, and the seconds of an event: ours, and a bare
    one, which had its turn before each seed."""
    tally = Tally()
    events, ours_s, bare_s = 0, 0.0, 0.0
    for seed in SEEDS:
        bare_s += bare(BARE_EVENTS)
        begun = time.process_time()
        outcome = run_seed(options, seed)
        ours_s += time.process_time() - begun
        tally.add(outcome)
        events += outcome.events
    return tally, events, ours_s, bare_s / (BARE_EVENTS * len(SEEDS))


def bare(events: int) -> float:
    """The seconds of so many events that each only bring about the next, a hundred at a time."""
    begun = time.process_time()
    heap = [(0.0, number, float) for number in range(100)]
    for number in range(100, events):
        when, _, what = heapq.heappop(heap)
        what()
        heapq.heappush(heap, (when + 1.0, number, what))
    return time.process_time() - begun


def main() -> int:
    """Prints the ratios; 1 when a seed failed."""
    failed = False
    print(f"{len(SEEDS)} seeds, each {TIME_S:g} s and a liveness phase, 5 nodes, one core")
    for name, options in (
        ("all faults", Options(time_s=TIME_S, rate=RATE)),
        ("no faults", Options(time_s=TIME_S, rate=RATE, faults=())),
    ):
        tally, events, took_s, bare_s = measure(options)
        ratio = tally.simulated_s / took_s
        rate = tally.operations / (TIME_S * len(SEEDS))
        print(
            f"{name:>10}: {ratio:6.1f} times real time, {rate:5.1f} operations a simulated second, "
            f"{tally.faults} faults, {tally.crashes} crashes, {tally.elections} leaders"
        )
        print(
            f"{'':>10}  {events / took_s:,.0f} events/s, each as long as "
            f"{took_s / events / bare_s:.0f} of a bare heap of callbacks ({1e6 * bare_s:.2f} us)"
        )
        if tally.failed is not None:
            failed = True
            print(f"{name}: seed {tally.failed.seed} fails: {tally.failed.failure}")
        if options.faults:
            print(f"{'':>10}  the bound is {BOUND:g}: {ratio / BOUND:.2f} of it")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
