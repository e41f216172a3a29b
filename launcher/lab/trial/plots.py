"""Plots of a run: the latency of each operation and the rate, with faults and elections.

Faults are shaded in Jepsen's colours. Times are seconds since the clients began. Without
matplotlib, which comes with the extra `bench`, there are none.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from launcher.benchmark.report import draw
from launcher.errors import LauncherError
from launcher.lab import history
from launcher.lab.chaos.record import Happening
from launcher.lab.folder import RunFolder
from launcher.lab.history import Done
from launcher.lab.verdict.judge import LOAD
from launcher.timeline.reading import read_timeline

NO_PLOTS = "no plots: matplotlib is not installed (pip install 'leeky-raft[bench]')"

COLOURS = {
    "processes end": "#E9A4A0",
    "processes stop": "#A0B1E9",
    "links are cut": "#E9DCA0",
    "messages are late or lost": "#D1E8A0",
    "clocks": "#A0E9E3",
    "disks": "#D0A0E9",
    "membership": "#C8C8C8",
}
"""What faults do, and how it is shaded: the first five are Jepsen's colours of kill, pause,
partition, packet and clock."""

_DOES = {
    "processes stop": ("pause", "throttle", "freeze"),
    "links are cut": ("partition", "isolate", "deafen", "mute", "cut", "hold"),
    "messages are late or lost": ("flaky", "reorder", "slow-link", "rate", "drop"),
    "clocks": ("clock",),
    "disks": ("slow-disk", "hang-disk", "full-disk", "fail-write", "fail-sync", "cycle-disk"),
    "membership": ("add", "remove", "reconfigure", "rebuild", "wipe", "set-back", "recover"),
}

_LEAST_SHADED_S = 0.05
_NANOSECONDS = 1e9


class Shade(msgspec.Struct, frozen=True):
    """A fault in a plot, in seconds since the clients began."""

    does: str
    began_s: float
    ended_s: float


class Plotted(msgspec.Struct, frozen=True):
    """What is drawn of a run. elections: when leaders were elected, in seconds"""

    operations: list[Done]
    began: int
    shades: list[Shade]
    elections: list[float]


def plot(run: RunFolder) -> list[Path]:
    """Draws latency.png and rate.png into the folder; returns where they are, nothing without
    matplotlib.

    Raises LauncherError when the folder is damaged.
    """
    began = next((step.t for step in run.course() if step.step == LOAD), None)
    if began is None:
        return []
    operations = [one for one in history.read(run.path).operations if one.process]
    if not operations:
        return []
    elections = [
        (event.t - began) / _NANOSECONDS
        for event in read_timeline(run.log_dir)
        if event.event == "leader.elected"
    ]
    plotted = Plotted(operations, began, shades(_happenings(run.chaos_file), began), elections)
    drawn = [
        draw(run.path, "latency", lambda figure: _latency(figure, plotted)),
        draw(run.path, "rate", lambda figure: _rate(figure, plotted)),
    ]
    return [path for path in drawn if path is not None]


def shades(happenings: Sequence[Happening], began: int) -> list[Shade]:
    """When which faults were in force; those without an end last until all is healed."""
    begun: dict[int, Happening] = {}
    found = []

    def end(one: Happening, t: int) -> None:
        start_s, end_s = (one.t - began) / _NANOSECONDS, (t - began) / _NANOSECONDS
        found.append(Shade(does(one.kind), start_s, max(end_s, start_s + _LEAST_SHADED_S)))

    for one in happenings:
        if one.what == "began":
            begun.setdefault(one.number, one)
        elif one.what == "ended" and one.number in begun:
            end(begun.pop(one.number), one.t)
    for one in begun.values():
        end(one, happenings[-1].t)
    return sorted(found, key=lambda shade: shade.began_s)


def does(kind: str) -> str:
    """What a kind of fault does, a key of COLOURS."""
    return next((text for text, kinds in _DOES.items() if kind in kinds), "processes end")


def _happenings(path: Path) -> list[Happening]:
    found = []
    with contextlib.suppress(OSError):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(msgspec.MsgspecError):
                found.append(msgspec.json.decode(line, type=Happening))
    return found


def _latency(figure: Any, plotted: Plotted) -> None:
    axes = _axes(figure, plotted, "latency (ms)")
    axes.set_yscale("log")
    for name in sorted({one.f for one in plotted.operations}):
        points = [one for one in plotted.operations if one.f == name and one.completed is not None]
        axes.plot(
            [(one.invoked - plotted.began) / _NANOSECONDS for one in points],
            [_took_ms(one) for one in points],
            ".",
            markersize=2,
            label=f"{name} ({len(points)})",
        )
    unknown = [one for one in plotted.operations if one.completed is None]
    if unknown:
        top = max([_took_ms(one) for one in plotted.operations if one.completed], default=1.0)
        times = [(one.invoked - plotted.began) / _NANOSECONDS for one in unknown]
        label = f"no answer ({len(unknown)})"
        axes.plot(times, [top] * len(times), "kx", markersize=4, label=label)
    axes.legend(fontsize="small", ncols=2)


def _rate(figure: Any, plotted: Plotted) -> None:
    axes = _axes(figure, plotted, "answers a second")
    seconds = range(int(max(_second(one, plotted) for one in plotted.operations)) + 1)
    for outcome in ("ok", "fail", "info"):
        counts = Counter(
            int(_second(one, plotted)) for one in plotted.operations if one.outcome == outcome
        )
        label = {"ok": "done", "fail": "refused by the machine", "info": "no answer"}[outcome]
        axes.plot(list(seconds), [counts[second] for second in seconds], label=label)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")


def _axes(figure: Any, plotted: Plotted, label: str) -> Any:
    axes = figure.subplots()
    named: set[str] = set()
    for shade in plotted.shades:
        text = "" if shade.does in named else shade.does
        named.add(shade.does)
        axes.axvspan(
            shade.began_s, shade.ended_s, color=COLOURS[shade.does], alpha=0.5, label=text or None
        )
    for number, at_s in enumerate(plotted.elections):
        leaders = None if number else f"a leader is elected ({len(plotted.elections)})"
        axes.axvline(at_s, color="black", linewidth=0.6, linestyle=":", label=leaders)
    axes.set_xlabel("seconds since the clients began")
    axes.set_ylabel(label)
    return axes


def _took_ms(one: Done) -> float:
    return max(1e-3, ((one.completed or one.invoked) - one.invoked) / 1e6)


def _second(one: Done, plotted: Plotted) -> float:
    return max(0.0, (one.invoked - plotted.began) / _NANOSECONDS)


def try_plot(run: RunFolder) -> str:
    """Draws what can be drawn, and says in one line what was drawn, or why nothing was."""
    try:
        import matplotlib  # noqa: F401 (whether it is there)
    except ImportError:
        return NO_PLOTS
    try:
        drawn = plot(run)
    except (LauncherError, OSError, ValueError) as error:
        return f"no plots: {error}"
    names = " ".join(path.name for path in drawn)
    return f"plots:     {names} in the run's folder" if drawn else "no plots: nothing was done"
