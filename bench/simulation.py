"""How much faster than real time a simulated cluster is: `python -m bench.simulation`.

Five nodes, all faults, every property checked at every step and every history by the checker, on
one core. Prints simulated seconds for each second of this process's own time on a core (so that
other work on the machine does not count). Of "100 operations a second" there are two readings, and
both are measured: that many are *asked for*, which is what `launcher simulate` does, and fewer are
done, for clients wait while there is no leader; or so many more are asked for that 100 are *done*.
Beside them the same seeds without faults.

A core that is shared does less in a second whenever its neighbours do more. With all faults each
seed is therefore run `ROUNDS` times, which is the same work to the last event, and its fastest run
counts: the others tell of the neighbours.

What a core does at its best differs from machine to machine, and from one build of Python to the
next. So beside each a bare heap of callbacks is run, a discrete-event simulation of nothing: as how
many of its events one of ours takes is a ratio that other machines should give, too.
"""

from __future__ import annotations

import heapq
import math
import platform
import sys
import time

from launcher.simulation.runner import Tally, run_seed
from launcher.simulation.situation import Options

SEEDS = range(1, 13)
ROUNDS = 5
TIME_S = 60.0
BOUND = 50.0

RATE = 220.0
"""So many operations a second must the clients try for 100 to be done: while a cluster has no
leader they wait."""

BARE_EVENTS = 300_000


def measure(options: Options, rounds: int) -> tuple[Tally, int, float, float]:
    """The seeds' outcomes together, their events, and the seconds of an event at the best: ours,
    and a bare one, which had its turn before each run."""
    tally = Tally()
    events, bare_s = 0, math.inf
    took_s = dict.fromkeys(SEEDS, math.inf)
    for number in range(rounds):  # one after the other: a neighbour stays for a while
        for seed in SEEDS:
            bare_s = min(bare_s, bare(BARE_EVENTS))
            begun = time.process_time()
            outcome = run_seed(options, seed)
            took_s[seed] = min(took_s[seed], time.process_time() - begun)
            if number == 0:
                tally.add(outcome)
                events += outcome.events
    return tally, events, sum(took_s.values()), bare_s / BARE_EVENTS


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
    python = f"{platform.python_version()} ({platform.python_compiler()})"
    print(
        f"{len(SEEDS)} seeds, each {TIME_S:g} s and a liveness phase, 5 nodes, one core; "
        f"Python {python}"
    )
    for name, options, rounds in (
        ("100/s are asked for", Options(time_s=TIME_S, rate=100.0), ROUNDS),
        ("100/s are done", Options(time_s=TIME_S, rate=RATE), ROUNDS),
        ("no faults", Options(time_s=TIME_S, rate=RATE, faults=()), 1),
    ):
        tally, events, took_s, bare_s = measure(options, rounds)
        ratio = tally.simulated_s / took_s
        rate = tally.operations / (TIME_S * len(SEEDS))
        print(
            f"{name:>19}: {ratio:6.1f} times real time, {rate:5.1f} operations a simulated second, "
            f"{tally.faults} faults, {tally.crashes} crashes, {tally.elections} leaders"
        )
        print(
            f"{'':>19}  {events / took_s:,.0f} events/s, each as long as "
            f"{took_s / events / bare_s:.0f} of a bare heap of callbacks ({1e6 * bare_s:.2f} us)"
        )
        if tally.failed is not None:
            failed = True
            print(f"{name}: seed {tally.failed.seed} fails: {tally.failed.failure}")
        if options.faults:
            print(f"{'':>19}  the bound is {BOUND:g}: {ratio / BOUND:.2f} of it")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
