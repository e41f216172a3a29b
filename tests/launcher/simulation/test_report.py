"""What is told of a failure holds when it is run."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from launcher.simulation import report
from launcher.simulation.report import describe_failure, shrink_failure
from launcher.simulation.situation import Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.world import Failure, Outcome
from tests.launcher.simulation.test_runner import outcome

OPTIONS = Options(time_s=60.0)
SEED = 3
FAILURE = Failure("durability", "an entry is gone", 30.0)


def came_to(failure: Failure | None) -> Outcome:
    return msgspec.structs.replace(outcome(SEED), failure=failure)


def needed() -> int:
    """The number of some fault that begins before the failure."""
    return next(one.number for one in situation(OPTIONS, SEED).schedule() if one.at_s > 10.0)


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Options], bool]], list[Options]]:
    """Runs are made up: which of them fail, and a list of those that were made."""

    def fail_if(fails: Callable[[Options], bool]) -> list[Options]:
        made: list[Options] = []

        def run_seed(options: Options, seed: int, trace: Trace | None = None) -> Outcome:
            assert seed == SEED
            made.append(options)
            return came_to(FAILURE if fails(options) else None)

        monkeypatch.setattr(report, "run_seed", run_seed)
        return made

    return fail_if


def has_it(options: Options) -> bool:
    return options.only is None or needed() in options.only


def test_it_is_no_longer_than_it_has_to_be(
    worlds: Callable[[Callable[[Options], bool]], list[Options]],
) -> None:
    worlds(has_it)
    shrunk = shrink_failure(OPTIONS, came_to(FAILURE))
    assert shrunk is not None
    assert [fault.number for fault in shrunk.schedule] == [needed()]
    assert shrunk.options.only == (needed(),)
    assert shrunk.options.time_s == 30.1


def test_a_failure_that_needs_the_whole_time_keeps_it(
    worlds: Callable[[Callable[[Options], bool]], list[Options]],
) -> None:
    """Seed 478 of 60 s: in 38 s the seed makes another world, and its sizes are others."""
    made = worlds(lambda options: options.time_s == 60.0 and has_it(options))
    shrunk = shrink_failure(OPTIONS, came_to(FAILURE))
    assert shrunk is not None
    assert shrunk.options == Options(time_s=60.0, only=(needed(),))
    assert shrunk.runs == len(made)
    smaller = list(describe_failure(OPTIONS, came_to(FAILURE), shrunk))[-1]
    assert smaller.startswith("smaller: launcher simulate --seed 3 --time 1m --only ")


def test_what_does_not_fail_again_is_not_said_to_suffice(
    worlds: Callable[[Callable[[Options], bool]], list[Options]],
) -> None:
    worlds(lambda options: options.only is None)
    assert shrink_failure(OPTIONS, came_to(FAILURE)) is None
    told = "\n".join(describe_failure(OPTIONS, came_to(FAILURE), None))
    assert "suffice" not in told
    assert "smaller" not in told
    assert told.endswith("again:   launcher simulate --seed 3 --time 1m")


def test_it_ends_with_the_first_lines_of_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is made anew with its messages; here it is one in which the faults are told."""

    def run_seed(options: Options, seed: int, trace: Trace | None = None) -> Outcome:
        if trace is not None:
            trace.world(1.0, "warn", "fault.injected", {"fault": "kill", "targets": [1], "id": 4})
            broken: dict[str, object] = {"property": "durability", "belief": "an entry is gone"}
            trace.world(2.0, "error", "property.broken", broken)
        return came_to(FAILURE)

    monkeypatch.setattr(report, "run_seed", run_seed)

    told = list(describe_failure(OPTIONS, came_to(FAILURE), None))

    at = told.index("why, as far as the run's messages tell:")
    why = told[at + 1 : told.index("", at)]
    assert "durability IS BROKEN: an entry is gone" in why[0]
    assert 1 <= len(why) <= 10
