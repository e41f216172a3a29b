"""What `launcher chaos` does: makes or reads a schedule, plays it, and prints what happens."""

from __future__ import annotations

import random
import re
from pathlib import Path

import click
import msgspec

from launcher.cli.context import Context
from launcher.cli.output import print_json
from launcher.errors import UsageError
from launcher.lab.chaos import healing, schedule
from launcher.lab.chaos.kinds import KINDS
from launcher.lab.chaos.player import Outcome, Player
from launcher.lab.chaos.record import Happening
from launcher.lab.chaos.schedule import Schedule
from node.printable import error_line, printable
from node.quantities import parse_duration_s

_MOST_SEED = 1 << 31


class ChaosOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks for, as typed; an option that was not given is None."""

    time: str | None
    seed: int | None
    faults: str | None
    interval: str | None
    rounds: int | None
    number: int | None
    exclude: tuple[str, ...]
    file: Path | None
    only: str | None
    beyond_quorum: bool
    show: bool
    folder: Path | None
    as_json: bool


def chaos(context: Context, asked: ChaosOptions) -> None:
    """Raises UsageError for what makes no sense, TimedOut when the cluster did not converge,
    LauncherError when the budget was broken or the cluster cannot be broken."""
    plan = _schedule(asked)
    if asked.show:
        _print(plan, asked.as_json)
        return
    schedule.check_allowed(plan, beyond_quorum=asked.beyond_quorum)
    cluster = context.cluster()
    player = Player(
        cluster,
        plan,
        folder=asked.folder,
        beyond_quorum=asked.beyond_quorum,
        say=_say_json if asked.as_json else _say,
    )
    outcome = player.run()
    _conclude(plan, outcome, asked.as_json)


def _conclude(plan: Schedule, outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print_json({"seed": plan.head.seed, **msgspec.to_builtins(outcome)})
    else:
        failed = f", {outcome.failed} failed" if outcome.failed else ""
        click.echo(
            f"seed {plan.head.seed}: {outcome.injected} injected, "
            f"{outcome.left_out} left out{failed}"
        )
    healing.check(outcome.broken, outcome.unconverged)


def _schedule(asked: ChaosOptions) -> Schedule:
    if asked.file is not None:
        plan = _read(asked.file, asked)
    else:
        seed = random.randrange(_MOST_SEED) if asked.seed is None else asked.seed
        plan = schedule.make(
            seed,
            tuple(KINDS) if asked.faults is None else schedule.parse_kinds(asked.faults),
            None if asked.time is None else _duration_s("--time", asked.time),
            interval_s=(
                schedule.DEFAULT_INTERVAL_S
                if asked.interval is None
                else _duration_s("--interval", asked.interval)
            ),
            number=1 if asked.number is None else asked.number,
            rounds=asked.rounds,
            exclude=[word.lower() for words in asked.exclude for word in words.split(",") if word],
        )
    return plan if asked.only is None else schedule.only(plan, _numbers(asked.only))


def _read(file: Path, asked: ChaosOptions) -> Schedule:
    """The schedule of a file, which says everything but what part of it is played."""
    given = {
        "--seed": asked.seed, "--faults": asked.faults, "--interval": asked.interval,
        "--rounds": asked.rounds, "--number": asked.number, "--time": asked.time,
    }  # fmt: skip
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"either --schedule or {option}: the file says what happens when")
    try:
        data = file.read_bytes()
    except OSError as error:
        said = error.strerror or error_line(error)
        raise UsageError(f"--schedule {printable(file)} cannot be read: {said}") from None
    plan = schedule.read(data, printable(file))
    if asked.exclude:
        exclude = [word.lower() for words in asked.exclude for word in words.split(",") if word]
        head = msgspec.structs.replace(plan.head, exclude=exclude)
        plan = Schedule(head, plan.faults)
    return plan


def _duration_s(option: str, text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError:
        raise UsageError(f"{option} {text}: a duration with a unit, such as 500ms or 60s") from None


def _numbers(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise UsageError(f"--only {text}: numbers of faults with commas, such as 3,17")
    return tuple(map(int, text.split(",")))


def _print(plan: Schedule, as_json: bool) -> None:
    if as_json:
        click.echo(schedule.write(plan), nl=False)
        return
    click.echo(f"seed {plan.head.seed}: {len(plan.faults)} faults in {plan.time_s:g} s")
    for fault in plan.faults:
        click.echo(f"  {schedule.describe(fault)}")


def _say(happening: Happening) -> None:
    click.echo(str(happening))


def _say_json(happening: Happening) -> None:
    print_json(happening)
