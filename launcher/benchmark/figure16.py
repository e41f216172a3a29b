"""Figure 16 of the Raft paper: how long it takes to detect and replace a crashed leader (§9.3).

Two panels. In the upper one the shortest election timeout is 150 ms and the randomness varies; in
the lower one the timeouts are scaled. Each range of timeouts is measured on real processes
(`crashes.py`), and in simulated time on the same core (`elections.py`), where a thousand trials
take a second or two.

The paper says that the broadcast time was roughly 15 ms, but not how a vote's question and its
answer share it, and everything depends on that where the randomness is small: whoever has not heard
the question yet votes for itself. So the simulation also says what each share would have come to;
a share of 2.5 ms for the question is the one that fits the paper's 287 ms. What else the paper
reports was not used to choose it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from launcher.benchmark.crashes import Downtimes, measure
from launcher.benchmark.elections import GIVE_UP_S, Delays, Timeouts, Trial
from launcher.benchmark.report import Table, number

NONE = Timeouts(150, 150)
HARDLY_ANY = Timeouts(150, 151)
PANELS = {
    "randomness": (
        *(NONE, HARDLY_ANY, Timeouts(150, 155), Timeouts(150, 175)),
        *(Timeouts(150, 200), Timeouts(150, 300)),
    ),
    "scale": (
        *(Timeouts(12, 24), Timeouts(25, 50), Timeouts(50, 100), Timeouts(100, 200)),
        Timeouts(150, 300),
    ),
}
"""The lines of either panel; the last is the same one."""

RANGES = tuple(dict.fromkeys(PANELS["randomness"] + PANELS["scale"]))
BRAVE = (NONE, HARDLY_ANY)
"""So little randomness that a trial takes many seconds: a tenth of the trials, as in the paper."""

QUESTIONS_MS = (1.0, 2.0, 2.5, 3.0, 5.0, 7.5)
TELLING = Timeouts(150, 155)
"""The shares of the broadcast time, and the range, that show what the shares do."""

WITHIN = 0.2
"""So far from the paper's number a result may be."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the paper's text says of a range, in milliseconds (§9.3)."""

    median_ms: float | None = None
    mean_ms: float | None = None
    worst_ms: float | None = None
    at_least_ms: float | None = None


PAPER = {
    NONE: Said(at_least_ms=10_000),
    Timeouts(150, 155): Said(median_ms=287),
    Timeouts(150, 200): Said(worst_ms=513),
    Timeouts(12, 24): Said(mean_ms=35, worst_ms=152),
}


class FigureLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the figure: a range of timeouts, and the downtimes in seconds.

    real: None where no real processes were wanted
    simulated, with_pre_votes: without pre-votes, as in the paper, and with them, as by default here
    """

    timeouts: Timeouts
    real: Downtimes | None
    simulated: list[float]
    with_pre_votes: list[float]


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What `TELLING` comes to where so much of the broadcast time lies with the question."""

    delays: Delays
    simulated: list[float]


class Figure16Results(msgspec.Struct, frozen=True, kw_only=True):
    """The whole figure, and what explains it."""

    delays: Delays
    lines: list[FigureLine]
    shares: list[Share]


class Figure16Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done.

    trials, simulated: the number for each range, with real processes and in simulated time; a
        tenth of it for `BRAVE` ranges
    shortest_s: real elections are slowed down until the shortest timeout is at least this
    """

    trials: int = 20
    simulated: int = 1000
    delays: Delays = Delays()
    shortest_s: float = 0.6
    ranges: Sequence[Timeouts] = RANGES

    def real_trials(self, timeouts: Timeouts) -> int:
        """At least two, where any are wanted."""
        return max(min(2, self.trials), self.trials // 10) if timeouts in BRAVE else self.trials

    @property
    def turns(self) -> int:
        """How often `run` says that something is done."""
        return sum(map(self.real_trials, self.ranges)) + len(self.ranges) + len(QUESTIONS_MS)


def run(
    plan: Figure16Plan, folder: Path, random: Random, *, done: Callable[[], None]
) -> Figure16Results:
    """Makes the trials, range by range. Raises LauncherError.

    folder: where clusters write; what they have written is gone at the end
    done: called `plan.turns` times
    """
    lines = []
    for timeouts in plan.ranges:
        real = None
        if plan.trials:
            slower = max(1.0, plan.shortest_s / timeouts.min_s)
            count = plan.real_trials(timeouts)
            real = measure(timeouts, plan.delays, count, folder, random, slower=slower, done=done)
        lines.append(
            FigureLine(
                timeouts=timeouts,
                real=real,
                simulated=simulate(timeouts, plan, random),
                with_pre_votes=simulate(timeouts, plan, random, pre_vote=True),
            )
        )
        done()
    shares = []
    for question_ms in QUESTIONS_MS:
        question_s = question_ms / 15 * plan.delays.broadcast_s
        delays = Delays(question_s, plan.delays.broadcast_s - question_s)
        there = msgspec.structs.replace(plan, delays=delays)
        shares.append(Share(delays=delays, simulated=simulate(TELLING, there, random)))
        done()
    return Figure16Results(delays=plan.delays, lines=lines, shares=shares)


def simulate(
    timeouts: Timeouts, plan: Figure16Plan, random: Random, *, pre_vote: bool = False
) -> list[float]:
    """The downtimes of simulated trials, in seconds."""
    few = timeouts in BRAVE and not pre_vote
    count = -(-plan.simulated // 10) if few else plan.simulated
    return [
        Trial(timeouts, plan.delays, random, pre_vote=pre_vote).downtime_s() for _ in range(count)
    ]


# -- what is shown -------------------------------------------------------------------------------


def tables(results: Figure16Results) -> list[Table]:
    """The figure's numbers beside the paper's; and what the share of the question does."""
    return [_figure_table(results), _paper_table(results), _share_table(results)]


def _figure_table(results: Figure16Results) -> Table:
    rows = []
    for line in results.lines:
        row = [str(line.timeouts)]
        if line.real is not None:
            real = line.real
            trials = str(len(real.downtimes_s)) + f" ({real.disturbed})" * bool(real.disturbed)
            broadcast_ms = 1000 * statistics.median(real.broadcast_s)
            row += [trials, f"{real.slower:.3g}", f"{broadcast_ms:.1f}"]
            row += _cells(real.downtimes_s)
        else:
            row += ["-"] * 6
        rows.append([*row, *_cells(line.simulated), *_cells(line.with_pre_votes)[::2]])
    question_ms = results.delays.question_s * 1000
    broadcast_ms = results.delays.broadcast_s * 1000
    return Table(
        title=f"Figure 16: ms without a leader. Broadcast time {broadcast_ms:g} ms, of which the "
        f"question takes {question_ms:g} ms\n(real: processes, slowed down, and divided "
        "again; in brackets, trials\nthat did not count; broadcast: as a client saw it, the "
        "machine's own time included)",
        headers=[
            *("timeouts", "trials", "slower", "broadcast", "real median", "mean", "worst"),
            *("simulated median", "mean", "worst", "with pre-votes median", "worst"),
        ],
        rows=rows,
    )


def _paper_table(results: Figure16Results) -> Table:
    rows = []
    for line in results.lines:
        said = PAPER.get(line.timeouts)
        if said is None:
            continue
        sides = [line.simulated]
        if line.real is not None:
            sides.insert(0, line.real.downtimes_s)
        for name, expected in msgspec.structs.asdict(said).items():
            if expected is not None:
                found = [_figure(name, side) for side in sides]
                cells = [f"{_ms(one / 1000)} ({_verdict(name, one, expected)})" for one in found]
                what = f"{line.timeouts} {name.removesuffix('_ms').replace('_', ' ')}"
                rows.append([what, number(expected), *["-"] * (2 - len(cells)), *cells])
    return Table(
        title=f"Beside what the paper says, in ms (goal: within {WITHIN:.0%})\n"
        "(the paper's worst are of 1,000 trials, and fewer trials have a milder worst)",
        headers=["", "paper", "real", "simulated"],
        rows=rows,
    )


def _share_table(results: Figure16Results) -> Table:
    rows = [[_split(share.delays), *_cells(share.simulated)] for share in results.shares]
    return Table(
        title=f"What the share of the question does: {TELLING}, simulated, in ms (the paper: 287)",
        headers=["question + answer", "median", "mean", "worst"],
        rows=rows,
    )


def _split(delays: Delays) -> str:
    return f"{delays.question_s * 1000:.3g} + {delays.answer_s * 1000:.3g} ms"


def _figure(name: str, downtimes_s: Sequence[float]) -> float:
    """In milliseconds: the figure of that name in `Said`."""
    match name:
        case "median_ms":
            return 1000 * statistics.median(downtimes_s)
        case "mean_ms":
            return 1000 * statistics.mean(downtimes_s)
        case "worst_ms":
            return 1000 * max(downtimes_s)
        case _:
            return 1000 * min(downtimes_s)


def _verdict(name: str, found: float, expected: float) -> str:
    if name == "at_least_ms":
        return "yes" if found >= expected else "no"
    return f"{found / expected - 1:+.0%}"


def _cells(downtimes_s: Sequence[float]) -> list[str]:
    return [
        _ms(statistics.median(downtimes_s)),
        _ms(statistics.mean(downtimes_s)),
        _ms(max(downtimes_s)),
    ]


def _ms(seconds: float) -> str:
    return f"> {GIVE_UP_S * 1000:,.0f}" if seconds >= GIVE_UP_S else f"{seconds * 1000:,.0f}"


def draw(results: Figure16Results) -> Callable[[Any], None]:
    """What draws both panels onto a matplotlib Figure: the share of trials that were over by then.

    Dots are real processes, lines the simulation.
    """

    def onto(figure: Any) -> None:
        figure.set_size_inches(9, 9)
        by_range = {line.timeouts: line for line in results.lines}
        for axes, ranges in zip(figure.subplots(2, 1), PANELS.values(), strict=True):
            for timeouts in ranges:
                if timeouts in by_range:
                    _draw_line(axes, by_range[timeouts])
            axes.set_xscale("log")
            axes.set_xlim(10 if ranges is PANELS["scale"] else 60, 10_000)
            axes.set_xlabel("time without a leader (ms)")
            axes.set_ylabel("share of the trials")
            axes.grid(alpha=0.3, which="both")
            axes.legend(loc="lower right", fontsize="small")

    return onto


def _draw_line(axes: Any, line: FigureLine) -> None:
    (drawn,) = axes.plot(*cumulative(line.simulated), label=str(line.timeouts), linewidth=1)
    if line.real is not None:
        points = cumulative(line.real.downtimes_s)
        axes.plot(*points, ".", color=drawn.get_color(), markersize=4)


def cumulative(downtimes_s: Sequence[float]) -> tuple[list[float], list[float]]:
    """In milliseconds, rising; and for each, which share of the trials it took no longer.

    Trials that were given up are left out: the curve ends below 1.
    """
    over = sorted(1000 * one for one in downtimes_s if one < GIVE_UP_S)
    return over, [(place + 1) / len(downtimes_s) for place in range(len(over))]
