"""The fault schedule of a seed, as plain data: which fault happens when.

A schedule is made before the run and does not depend on it. It is a list of `Fault`s, each with a
time, a duration, a target and an amount. So any part of it can be left out (`--only`, and the
shrinking of a failure), and the other faults stay the same. Which node is the `leader` is decided
when the fault begins.

Not every seed uses every kind of fault: each draws a subset of those that are allowed, and how
often they happen ("swarm testing", Groce et al., ISSTA 2012). Some bugs show only while little else
goes wrong.

The oldest kinds are drawn together, from one random stream. A new kind would change all of those
draws, and with them what every known seed does. So each newer kind is *apart*: it has a random
stream of its own and numbers of its own, and half of all seeds have no fault of such a kind. To add
a kind, add one entry to `FAULTS`, with the next free number as `apart`, and the method that begins
it, to one of the modules that `nemesis.py` puts together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypeAlias

import msgspec

from launcher.errors import UsageError
from launcher.fault_kinds import (
    ADD,
    ALL,
    ANY,
    CYCLE_DISK,
    FLIP_BIT,
    FOLLOWER,
    HOLD,
    LEADER,
    POINT,
    RATE,
    REBUILD,
    RECONFIGURE,
    RECOVER,
    REMOVE,
    ROLL,
    SET_BACK,
    SUPERVISOR,
    TEXTS,
    THROTTLE,
    WIPE,
)

APART_NUMBERS = 100_000
"""The faults of the kind whose `apart` is k have the numbers from k times this, plus 1. It is more
than any run has of one kind."""

_GAPS_S = (0.4, 1.0, 3.0)
_GAPS_APART_S = (1.0, 3.0, 10.0)
"""A seed draws one of these: the average time between two faults, in seconds. The faults of a kind
that is apart are rarer, because no other kinds share their gaps."""

_APART_SHARES = (0.0, 0.0, 0.5, 1.0)
"""A seed draws one of these: the probability with which each kind that is apart takes part."""

RandomFor: TypeAlias = Callable[[str], random.Random]
"""Returns the random stream of one seed for one purpose. Each purpose has a stream of its own."""


class Fault(msgspec.Struct, frozen=True):
    """Something that goes wrong.

    number: identifies it in the seed's schedule. The kinds that are drawn together count from 1,
        each kind that is apart from `APART_NUMBERS` times its `apart`, plus 1. So the same fault
        has the same number in a shorter run, and with more kinds that are apart
    at_s, duration_s: when it begins, and how long it lasts; simulated seconds
    kind: one of `FAULTS`
    target: leader, follower, any or all; which nodes these are is decided at `at_s`
    amount: from 0 to 1; its meaning depends on the kind
    """

    number: int
    at_s: float
    duration_s: float
    kind: str
    target: str
    amount: float

    def __str__(self) -> str:
        return (
            f"#{self.number} {self.at_s:.3f} s: {self.kind} ({self.target}) for "
            f"{self.duration_s:.3f} s, amount {self.amount:.2f}"
        )


class FaultKind(msgspec.Struct, frozen=True):
    """One kind of fault.

    text: what it does, for people
    targets: what it may be aimed at, each equally likely
    weight: how often it is chosen, relative to the other kinds
    lasts_s: the least and the most that it lasts, in seconds
    apart: 0 for the kinds that are drawn together; a number of its own for any other kind
    """

    text: str
    targets: tuple[str, ...]
    weight: float = 1.0
    lasts_s: tuple[float, float] = (0.1, 3.0)
    apart: int = 0


_ONE = (LEADER, FOLLOWER, ANY)

FAULTS: dict[str, FaultKind] = {
    "partition": FaultKind(TEXTS["partition"], (ALL,), 2.0),
    "isolate": FaultKind(TEXTS["isolate"], _ONE),
    "deafen": FaultKind(TEXTS["deafen"], _ONE),
    "mute": FaultKind(TEXTS["mute"], _ONE),
    "cut": FaultKind(TEXTS["cut"], (ALL,)),
    "flaky": FaultKind(TEXTS["flaky"], (ALL,)),
    "reorder": FaultKind(TEXTS["reorder"], (ALL,)),
    "slow-link": FaultKind(TEXTS["slow-link"], _ONE),
    "kill": FaultKind(TEXTS["kill"], _ONE, 2.0),
    "kill-twice": FaultKind(TEXTS["kill-twice"], _ONE, 0.5),
    "kill-all": FaultKind(TEXTS["kill-all"], (ALL,), 0.3, (0.1, 1.5)),
    "power": FaultKind(TEXTS["power"], _ONE, 2.0),
    "blackout": FaultKind(TEXTS["blackout"], (ALL,), 0.5, (0.1, 1.5)),
    "hunt": FaultKind(TEXTS["hunt"], (ALL,), 1.5, (1.0, 6.0)),
    "ambush": FaultKind(TEXTS["ambush"], (ALL,), 0.5, (1.0, 6.0)),
    "pause": FaultKind(TEXTS["pause"], _ONE, 1.5),
    "clock": FaultKind(TEXTS["clock"], (ANY, ALL), 0.7, (0.5, 5.0)),
    "slow-disk": FaultKind(TEXTS["slow-disk"], (*_ONE, ALL), 1.5),
    "hang-disk": FaultKind(TEXTS["hang-disk"], _ONE),
    "full-disk": FaultKind(TEXTS["full-disk"], _ONE, 0.5),
    "fail-write": FaultKind(TEXTS["fail-write"], _ONE, 0.5),
    "fail-sync": FaultKind(TEXTS["fail-sync"], _ONE, 0.5),
    "snapshot": FaultKind(TEXTS["snapshot"], (*_ONE, ALL), 1.0, (0.0, 0.0)),
    RECONFIGURE: FaultKind(TEXTS[RECONFIGURE], (ALL,), 1.0, (0.0, 0.0)),
    REBUILD: FaultKind(TEXTS[REBUILD], _ONE, 1.0, (0.5, 10.0)),
    FLIP_BIT: FaultKind(TEXTS[FLIP_BIT], _ONE, 0.5),
    "transfer": FaultKind(TEXTS["transfer"], _ONE),
    WIPE: FaultKind(TEXTS[WIPE], _ONE, apart=11),
    SET_BACK: FaultKind(TEXTS[SET_BACK], _ONE, 1.0, (0.1, 10.0), 12),
    RECOVER: FaultKind(TEXTS[RECOVER], (ALL,), 1.0, (0.0, 0.0), 13),
    ADD: FaultKind(TEXTS[ADD], (ALL,), 1.0, (0.0, 0.0), 21),
    REMOVE: FaultKind(TEXTS[REMOVE], _ONE, 1.0, (0.0, 0.0), 22),
    SUPERVISOR: FaultKind(TEXTS[SUPERVISOR], (ALL,), 1.0, (0.1, 3.0), 23),
    ROLL: FaultKind(TEXTS[ROLL], (ALL,), lasts_s=(1.0, 10.0), apart=1),
    THROTTLE: FaultKind(TEXTS[THROTTLE], (*_ONE, ALL), 1.0, (0.5, 10.0), 41),
    CYCLE_DISK: FaultKind(TEXTS[CYCLE_DISK], (*_ONE, ALL), 1.0, (0.5, 10.0), 42),
    RATE: FaultKind(TEXTS[RATE], (*_ONE, ALL), apart=43),
    HOLD: FaultKind(TEXTS[HOLD], (*_ONE, ALL), apart=44),
    POINT: FaultKind(
        TEXTS[POINT],
        (*_ONE, ALL),
        lasts_s=(0.5, 10.0),
        apart=31,
    ),
}
"""Every kind, by name."""


def make_schedule(kinds: Sequence[str], time_s: float, random_for: RandomFor) -> list[Fault]:
    """The faults of one run of `time_s` seconds, in the order in which they begin."""
    together = [kind for kind in kinds if not FAULTS[kind].apart]
    rng = random_for("schedule")
    schedule = _draw(_subset(together, rng), 0, _GAPS_S, time_s, rng)
    for kind, own in _kinds_apart(kinds, random_for):
        number = FAULTS[kind].apart * APART_NUMBERS
        schedule += _draw([kind], number, _GAPS_APART_S, time_s, own)
    return sorted(schedule, key=attrgetter("at_s"))


def _draw(
    kinds: list[str],
    number: int,
    gaps_s: Sequence[float],
    time_s: float,
    rng: random.Random,
) -> list[Fault]:
    """Draws faults of these kinds, with numbers from `number` plus 1."""
    if not kinds:
        return []
    weights = [FAULTS[kind].weight for kind in kinds]
    gap_s = rng.choice(gaps_s)
    faults: list[Fault] = []
    at_s = 0.5 + rng.expovariate(1 / gap_s)
    while at_s < time_s:
        kind = rng.choices(kinds, weights)[0]
        traits = FAULTS[kind]
        duration_s = rng.uniform(*traits.lasts_s) * rng.choice([0.2, 1.0, 1.0])
        target = rng.choice(traits.targets)
        number += 1
        faults.append(Fault(number, at_s, duration_s, kind, target, rng.random()))
        # Often several faults come close together.
        at_s += rng.expovariate(1 / (gap_s if rng.random() < 0.7 else 0.03))
    return faults


def _kinds_apart(kinds: Sequence[str], random_for: RandomFor) -> list[tuple[str, random.Random]]:
    """The kinds that are apart and take part in this seed, each with its random stream.

    If none is drawn and no other kind is allowed, all of them take part: a run without any fault
    shows little.
    """
    share = random_for("schedule: kinds apart").choice(_APART_SHARES)
    apart = [(kind, random_for(f"schedule: {kind}")) for kind in kinds if FAULTS[kind].apart]
    chosen = [(kind, rng) for kind, rng in apart if rng.random() < share]
    return chosen if chosen or len(apart) < len(kinds) else apart


def only(schedule: Sequence[Fault], numbers: Sequence[int]) -> list[Fault]:
    """The faults of a schedule with these numbers. Raises UsageError for an unknown number."""
    known = {fault.number for fault in schedule}
    if unknown := [number for number in numbers if number not in known]:
        raise UsageError(f"--only {unknown[0]}: this seed's schedule has {len(known)} faults")
    wanted = set(numbers)
    return [fault for fault in schedule if fault.number in wanted]


def _subset(kinds: Sequence[str], rng: random.Random) -> list[str]:
    share = rng.choice([0.25, 0.5, 1.0])
    chosen = [kind for kind in kinds if rng.random() < share]
    return chosen or list(kinds)


def shrink(
    schedule: list[Fault], fails: Callable[[list[Fault]], bool], *, most_runs: int = 200
) -> list[Fault]:
    """The smallest part found that still fails (`ddmin`, Zeller and Hildebrandt, TSE 2002).

    fails: whether a run with this part of the schedule fails as the whole does. It is called at
    most
        `most_runs` times. If that is enough, a run without any single fault of the result passes.
    """
    runs = 0

    def asked(part: list[Fault]) -> bool:
        nonlocal runs
        runs += 1
        return fails(part)

    if runs < most_runs and asked([]):
        return []
    pieces = 2
    while len(schedule) >= 2 and runs < most_runs:
        size = -(-len(schedule) // pieces)
        parts = [schedule[at : at + size] for at in range(0, len(schedule), size)]
        for position in range(len(parts)):
            rest = [f for other, part in enumerate(parts) if other != position for f in part]
            if runs < most_runs and asked(rest):
                schedule, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(pieces * 2, len(schedule))
    return schedule
