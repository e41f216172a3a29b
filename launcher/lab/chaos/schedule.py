"""The faults of one chaos run, as plain data: which fault happens when. Pure.

A schedule is made before the run and does not depend on it: it is a function of the seed and of
what is asked for. It is a list of `Fault`s, each with a number, a time, a length, a target and the
words of what it does. So any part of it can be played again (`--only 3,17`), and a schedule can be
kept in a file and changed by hand (`--schedule FILE`). Which nodes the `leader` and the others are
is decided when the fault begins; so the same schedule does not do the same to real processes twice,
and what it did stands in the record of the run.

Not every seed uses every kind: each draws a subset, unless few kinds are asked for ("swarm
testing", Groce et al., ISSTA 2012). Some bugs show only while little else goes wrong.

A file of a schedule has one JSON object a line: the head, with the format and what the schedule was
made from, then the faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from launcher.errors import UsageError
from launcher.fault_kinds import ALL, ANY, FOLLOWER, LEADER, parse_faults
from launcher.lab.chaos.kinds import ALL_GROUPS, BEYOND, KINDS, NOT_HERE, text_of
from launcher.lab.chaos.wording import check_words
from node.quantities import write_duration

FORMAT = 1
DEFAULT_TIME_S = 60.0
DEFAULT_INTERVAL_S = 2.0
LEAST_INTERVAL_S = 0.01
MOST_TIME_S = 7 * 24 * 3600.0
MOST_FAULTS = 100_000
MOST_FILE_BYTES = 64 << 20

_FEW_KINDS = 8
"""If no more kinds are asked for, each of them takes part."""

_MOST_LASTS_S = 3600.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong.

    number: identifies it in its schedule, from 1
    at_s, duration_s: when it begins, from the beginning of the run, and how long it lasts
    kind: one of `KINDS`
    target: leader, follower, any or all; which nodes these are is decided at `at_s`
    words: what it does exactly; empty: there is nothing to say
    draw: the seed of what is chosen when it begins, such as one of several followers
    """

    number: int
    at_s: float
    duration_s: float
    kind: str
    target: str
    words: str = ""
    draw: int = 0

    def __str__(self) -> str:
        lasts = f" for {self.duration_s:.3f} s" if self.duration_s else ""
        words = f": {self.words}" if self.words else ""
        return f"#{self.number} {self.at_s:.3f} s: {self.kind} ({self.target}){lasts}{words}"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule was made from.

    number: how many faults begin together in each round
    exclude: nodes that are never struck, as TARGETs
    """

    format: int = FORMAT
    seed: int
    kinds: list[str]
    time_s: float
    interval_s: float
    number: int = 1
    exclude: list[str] = []


class Schedule(msgspec.Struct, frozen=True):
    """The faults of a run, in the order in which they begin, and what they were made from."""

    head: Head
    faults: tuple[Fault, ...]

    @property
    def time_s(self) -> float:
        """How long the run lasts, until it heals."""
        return self.head.time_s


def parse_kinds(text: str) -> tuple[str, ...]:
    """The kinds of `--faults`: names and groups, with commas. Raises UsageError."""
    for name in (part.strip() for part in text.split(",")):
        if name in NOT_HERE:
            raise UsageError(
                f"--faults {name}: real processes do not have it, since it damages what was "
                f"acknowledged: `launcher simulate --faults {name}`"
            )
    kinds = parse_faults(text, KINDS, ALL_GROUPS)
    if not kinds:
        raise UsageError(f"--faults {text}: no fault is allowed, so there is nothing to do")
    return kinds


def make(
    seed: int,
    kinds: Sequence[str],
    time_s: float | None = None,
    *,
    interval_s: float = DEFAULT_INTERVAL_S,
    number: int = 1,
    rounds: int | None = None,
    exclude: Sequence[str] = (),
) -> Schedule:
    """The schedule of a seed. The same arguments give the same schedule, everywhere.

    time_s: how long faults begin; by default until `rounds` are over, or for a minute
    interval_s: the time between two rounds, on average
    number: how many faults begin together in each round
    rounds: no more rounds than this

    Raises UsageError for what makes no sense.
    """
    _check(seed, time_s, interval_s, number, rounds)
    if time_s is None:
        time_s = DEFAULT_TIME_S if rounds is None else (rounds + 1) * interval_s
    rng = Random(f"chaos {seed}")
    names = _subset(list(kinds), rng)
    weights = [KINDS[name].weight for name in names]
    faults: list[Fault] = []
    at_s, past = interval_s * rng.uniform(0.2, 1.0), 0
    while at_s < time_s and (rounds is None or past < rounds):
        for _ in range(number):
            kind = rng.choices(names, weights)[0]
            faults.append(_draw(kind, len(faults) + 1, at_s, exclude, rng))
        past += 1
        if len(faults) > MOST_FAULTS:
            raise UsageError(f"a schedule has at most {MOST_FAULTS} faults: make --interval longer")
        at_s += interval_s * rng.uniform(0.5, 1.5)
    head = Head(
        seed=seed,
        kinds=list(kinds),
        time_s=time_s,
        interval_s=interval_s,
        number=number,
        exclude=list(exclude),
    )
    return Schedule(head, tuple(faults))


def only(schedule: Schedule, numbers: Iterable[int]) -> Schedule:
    """The part of a schedule that has these numbers. Raises UsageError for an unknown number."""
    wanted = set(numbers)
    known = {fault.number for fault in schedule.faults}
    if unknown := sorted(wanted - known):
        there = f"its faults are 1 to {max(known)}" if known else "it has no fault"
        raise UsageError(f"--only {unknown[0]}: the schedule has no such fault; {there}")
    return Schedule(schedule.head, tuple(one for one in schedule.faults if one.number in wanted))


def check_allowed(schedule: Schedule, *, beyond_quorum: bool) -> None:
    """Raises UsageError for a schedule none of whose faults could ever be injected."""
    exclude = set(schedule.head.exclude)
    if ALL in exclude or (LEADER in exclude and exclude & {FOLLOWER, "followers"}):
        raise UsageError(
            f"--exclude {','.join(schedule.head.exclude)}: every node is left out, so no fault is "
            "allowed, and nothing is tested"
        )
    kinds = {fault.kind for fault in schedule.faults}
    if kinds and kinds <= set(BEYOND) and not beyond_quorum:
        named = " and ".join(sorted(kinds))
        raise UsageError(
            f"no fault is allowed: {named} would take every node at once; add --beyond-quorum, or "
            "another kind to --faults"
        )


def describe(fault: Fault) -> str:
    """One line for people: the fault, and what its kind does."""
    return f"{fault} ({text_of(fault.kind)})"


def _check(
    seed: int, time_s: float | None, interval_s: float, number: int, rounds: int | None
) -> None:
    if seed < 0:
        raise UsageError(f"a seed is a whole number from 0 on, not {seed}")
    if time_s is not None and not 0 < time_s <= MOST_TIME_S:
        raise UsageError("--time takes a duration above 0 and of at most 7 days, such as 60s")
    if not LEAST_INTERVAL_S <= interval_s <= MOST_TIME_S:
        least = write_duration(LEAST_INTERVAL_S)
        raise UsageError(f"--interval takes a duration of at least {least}, such as 2s")
    if not 1 <= number <= 100:
        raise UsageError(f"--number takes a number of faults from 1 to 100, not {number}")
    if rounds is not None and not 1 <= rounds <= MOST_FAULTS:
        raise UsageError(f"--rounds takes a number from 1 to {MOST_FAULTS}, not {rounds}")


def _subset(kinds: list[str], rng: Random) -> list[str]:
    share = rng.choice([0.4, 0.7, 1.0])
    chosen = [kind for kind in kinds if rng.random() < share]
    return chosen if chosen and len(kinds) > _FEW_KINDS else kinds


def _draw(kind: str, number: int, at_s: float, exclude: Sequence[str], rng: Random) -> Fault:
    traits = KINDS[kind]
    never = set(exclude) | ({FOLLOWER} if "followers" in exclude else set())
    targets = [target for target in traits.targets if target not in never] or [ANY]
    if LEADER in never and FOLLOWER in targets and ANY in targets:
        targets.remove(ANY)  # with the leader left out, any node is a follower
    return Fault(
        number=number,
        at_s=round(at_s, 3),
        duration_s=round(rng.uniform(*traits.lasts_s), 3),
        kind=kind,
        target=rng.choice(targets),
        words=traits.words(rng),
        draw=rng.getrandbits(32),
    )


# -- a file of it --------------------------------------------------------------------------------


def write(schedule: Schedule) -> bytes:
    """The schedule as a file: one JSON object a line."""
    lines = [msgspec.json.encode(one) for one in (schedule.head, *schedule.faults)]
    return b"\n".join(lines) + b"\n"


def read(data: bytes, name: str) -> Schedule:
    """The inverse of `write`. Raises UsageError, with the line, for what is no schedule.

    name: of the file, for the error
    """
    if len(data) > MOST_FILE_BYTES:
        raise UsageError(f"{name} has {len(data)} bytes, and no schedule is that long")
    head: Head | None = None
    faults: list[Fault] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            if head is None:
                head = msgspec.json.decode(line, type=Head)
                _check_head(head)
            else:
                faults.append(msgspec.json.decode(line, type=Fault))
                _check_fault(faults[-1])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise UsageError(f"{name}, line {number}, is no line of a schedule: {error}") from None
        except UsageError as error:
            raise UsageError(f"{name}, line {number}: {error}") from None
    if head is None:
        raise UsageError(f"{name} is empty: `launcher chaos --print --json` prints a schedule")
    if len({fault.number for fault in faults}) < len(faults):
        raise UsageError(f"{name}: two faults have the same number")
    return Schedule(head, tuple(sorted(faults, key=lambda fault: (fault.at_s, fault.number))))


def _check_head(head: Head) -> None:
    if head.format > FORMAT:
        raise UsageError(f"its format is {head.format}, and this version knows formats to {FORMAT}")
    _check(head.seed, head.time_s, head.interval_s, head.number, None)


def _check_fault(fault: Fault) -> None:
    if fault.kind not in KINDS:
        raise UsageError(f"no fault is called {fault.kind!r}; there are {', '.join(KINDS)}")
    allowed = {LEADER, FOLLOWER, ANY} if ANY in KINDS[fault.kind].targets else set()
    allowed |= set(KINDS[fault.kind].targets)
    if fault.target not in allowed:
        raise UsageError(
            f"{fault.kind} is aimed at {', '.join(sorted(allowed))}, not {fault.target!r}"
        )
    if not (0 <= fault.at_s <= MOST_TIME_S and 0 <= fault.duration_s <= _MOST_LASTS_S):
        raise UsageError(f"a fault begins within 7 days and lasts at most {_MOST_LASTS_S:g} s")
    check_words(fault.kind, fault.words)
    if fault.number < 1:
        raise UsageError("the number of a fault is 1 or more")
