"""The report on a failed run: the property, the last events, a smaller schedule, why, the commands.

The seed repeats the run, so the report runs it again: the first run keeps nothing for it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from launcher.evidence.why import explain_first_lines
from launcher.simulation.faults.schedule import FAULTS, Fault, shrink
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.world import Failure, Outcome
from launcher.timeline.events import Event, parse_line
from launcher.timeline.render import render
from node.quantities import write_duration

EVENTS_OF_A_NODE = 6
"""How many events of each node are shown."""

MOST_KEPT = 400_000
"""How many lines of a trace are kept to explain a failure: more than a run of a minute has."""

UNREMARKABLE = ("applied.digest", "leader.heard")
"""Events that are not shown, because others tell more."""


Command: TypeAlias = Callable[[Options, int], str]
"""Options and a seed to the command that repeats the run."""


class Shrunk(msgspec.Struct, frozen=True):
    """A smaller schedule that breaks the same property.

    options: those of the smaller run: `only` has its faults, and `time_s` is as short as it can be
    failure: the failure of the smaller run
    runs: how many runs the search took
    """

    options: Options
    schedule: list[Fault]
    failure: Failure
    runs: int


def shrink_failure(
    options: Options,
    outcome: Outcome,
    *,
    most_runs: int = 150,
    progress: Callable[[int], None] = lambda runs: None,
) -> Shrunk | None:
    """Searches for the smallest part of the seed's schedule that breaks the same property.

    Returns None when not even all faults that had begun before the failure break it. A shorter run
    may differ from the seed's run, so each shorter run is tried.
    """
    failure = outcome.failure
    assert failure is not None, "only a failure can be shrunk"
    full = situation(options, outcome.seed).schedule()
    begun = [fault for fault in full if fault.at_s <= failure.at_s]
    runs = 0

    def run(part: Sequence[Fault], within: Options) -> Shrunk | None:
        nonlocal runs
        runs += 1
        progress(runs)
        tried = msgspec.structs.replace(within, only=tuple(fault.number for fault in part))
        again = run_seed(tried, outcome.seed).failure
        if again is None or again.broken != failure.broken:
            return None
        return Shrunk(tried, list(part), again, runs)

    for within in dict.fromkeys((_no_longer_than(options, failure), options)):
        found = run(begun, within)
        if found is not None:
            break
    else:
        return None

    def fails(part: list[Fault]) -> bool:
        nonlocal found
        smaller = run(part, within)
        found = smaller or found
        return smaller is not None

    shrink(begun, fails, most_runs=most_runs)
    shorter = _no_longer_than(found.options, found.failure)
    if all(fault.at_s < shorter.time_s for fault in found.schedule) and shorter != found.options:
        found = run(found.schedule, shorter) or found
    return msgspec.structs.replace(found, runs=runs)


def _no_longer_than(options: Options, failure: Failure) -> Options:
    """Options that end the faults soon after the failure, if it came while there were faults."""
    end_s = failure.at_s + 0.1
    if end_s >= options.time_s:
        return options
    return msgspec.structs.replace(options, time_s=round(end_s, 3))


def last_events(options: Options, seed: int) -> list[str]:
    """The last events of each node before a failure, as lines, in the order in which they happened.

    Runs the seed again.
    """
    kept: dict[int, deque[tuple[int, str]]] = {}
    number = 0

    def keep(line: str) -> None:
        nonlocal number
        record = json.loads(line)
        if record["level"] == "debug" or record["event"] in UNREMARKABLE:
            return
        number += 1
        record["t"] = int(record.pop("at_s") * 1e9)
        event = parse_line(json.dumps(record).encode())
        assert event is not None, "a trace is made of events"
        text = render(event, clock=_seconds, names={0: "world"})
        queue = kept.setdefault(event.node, deque(maxlen=EVENTS_OF_A_NODE))
        queue.append((number, text))

    run_seed(options, seed, Trace(keep, messages=False))
    return [text for _, text in sorted(item for queue in kept.values() for item in queue)]


def first_causes(options: Options, seed: int) -> list[str]:
    """The first lines of why a run failed, as `launcher timeline --why last-violation` says it.

    Runs the seed again, with its messages, of which the last MOST_KEPT lines are kept.
    """
    kept: deque[str] = deque(maxlen=MOST_KEPT)
    run_seed(options, seed, Trace(kept.append))

    def events() -> Iterator[Event]:
        for line in kept:
            event = parse_line(line.rstrip("\n").encode())
            assert event is not None, "a trace is made of events"
            yield event

    return explain_first_lines(events, "last-violation", clock=_seconds)


def describe_failure(
    options: Options, outcome: Outcome, shrunk: Shrunk | None, again: Command | None = None
) -> Iterator[str]:
    """The report, line by line.

    again: gives the command that repeats a run; None for `command`
    """
    again = again or command
    failure = outcome.failure
    assert failure is not None, "only a failure is reported"
    yield f"seed {outcome.seed} breaks {failure.broken} at {failure.at_s:.3f} s (simulated):"
    yield f"  {failure.belief}"
    for line in failure.detail.splitlines():
        yield f"  {line}"
    told = options if shrunk is None else shrunk.options
    if shrunk is not None:
        yield ""
        yield f"{_faults(len(shrunk.schedule))} of {outcome.faults} suffice ({shrunk.runs} runs):"
        for fault in shrunk.schedule:
            yield f"  {fault}: {FAULTS[fault.kind].text}"
        if shrunk.failure.belief != failure.belief:
            yield f"  at {shrunk.failure.at_s:.3f} s: {shrunk.failure.belief}"
    yield ""
    yield "the last events before it:"
    for line in last_events(told, outcome.seed):
        yield f"  {line}"
    yield ""
    yield "why, as far as the run's messages tell:"
    for line in first_causes(told, outcome.seed):
        yield f"  {line}"
    yield ""
    yield f"again:   {again(options, outcome.seed)}"
    if shrunk is not None and shrunk.options != options:
        yield f"smaller: {again(shrunk.options, outcome.seed)}"


def command(
    options: Options, seed: int, *, planted: str = "", default: Options | None = None
) -> str:
    """The command that repeats this run.

    planted: the key of a planted bug, or nothing
    default: the options that the command has without being told
    """
    default = default or Options()
    words = ["launcher", "simulate", *(["--plant", planted] if planted else [])]
    words += ["--seed", str(seed)]
    if options.nodes != default.nodes:
        words += ["--nodes", str(options.nodes)]
    words += ["--time", write_duration(options.time_s)]
    if options.faults != default.faults:
        words += ["--faults", ",".join(options.faults) or "none"]
    if options.rate != default.rate:
        words += ["--rate", f"{options.rate:g}"]
    if options.clients != default.clients:
        words += ["--clients", str(options.clients)]
    if options.only is not None:
        words += ["--only", ",".join(map(str, options.only)) or "none"]
    return " ".join(words)


def _faults(count: int) -> str:
    return "1 fault" if count == 1 else f"{count} faults" if count else "no faults"


def _seconds(t: int) -> str:
    return f"{t / 1e9:10.4f}"
