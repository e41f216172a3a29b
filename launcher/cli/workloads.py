"""What `launcher workload` does: checks what is asked for, shows progress, prints the verdict."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import click
import msgspec

from launcher import streams
from launcher.cli.context import Context
from launcher.cli.output import print_json
from launcher.cli.progress import progress_bar
from launcher.cli.run_causes import causes_of_judgement, echo_causes
from launcher.cluster import Cluster
from launcher.errors import LauncherError, Undecided, UsageError, saying
from launcher.lab import history
from launcher.lab.clients import Plan, Ran, Summary, Tally, check_plan, judge, run, summarise
from launcher.lab.clients.plan import PLAN_FILE, latency_ms
from launcher.lab.clients.summary import Counted
from launcher.lab.verdict.operations import told
from launcher.lab.workloads import Judgement, Options, names
from node.machines.failures import shown_path
from node.printable import printable_line
from node.quantities import parse_duration_s, write_duration

REDRAW_S = 0.2
KEPT = 20
"""How many histories are kept under a cluster's logs."""

_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]+(-[0-9]+)?")
MOST_SHOWN = 12
"""Operations of a window that are printed; the rest is in the history."""


class WorkloadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks for, as typed; an option that was not given is None."""

    workload_name: str | None
    clients: int | None
    rate: float | None
    time: str | None
    mix: str | None
    keys: int | None
    values: int | None
    seed: int | None
    timeout: float | None
    to: Path | None
    as_json: bool


def run_workload(context: Context, asked: WorkloadOptions) -> int:
    """Runs it, prints the summary and the verdict, and returns 0, the exit status.

    Raises UsageError, LauncherError for an invalid history, Undecided for an unknown verdict.
    """
    plan = _plan(asked, "kv" if asked.workload_name is None else asked.workload_name)
    if asked.workload_name is not None:
        check_plan(plan)
    cluster = context.cluster()
    if asked.workload_name is None:
        plan = _for_machine(plan, cluster.config.machine)
    plan = _at_pace(plan, asked, cluster)
    folder = asked.to or _folder(cluster, plan)
    begun = time.monotonic()
    try:
        with _telling(plan, quiet=asked.as_json) as progress:
            ran = run(cluster, plan, folder, progress=progress)
        if not ran.closed:
            click.echo("launcher: the last reads had no answer: the check sees less", err=True)
        summary = summarise(history.read(folder).operations, ran.begun, ran.took_s)
        judgement = judge(folder)
    except LauncherError as error:
        if (folder / history.FOLDER).exists() and not isinstance(error, UsageError):
            kept = f"what was recorded is in {shown_path(str(folder))}"
            raise type(error)(f"{error}; {kept}") from error
        raise
    except BaseException:  # Ctrl-C, SIGTERM
        _tell_kept(folder, begun)
        raise
    try:
        why = causes_of_judgement(cluster.config, ran, judgement)
        _print(ran, summary, judgement, why, as_json=asked.as_json)
    except streams.ReaderGone:  # the verdict is in the exit status
        streams.silence()
    return _conclude(judgement)


def _conclude(judgement: Judgement) -> int:
    verdict = judgement.validity.value
    if verdict == "invalid":
        raise LauncherError(f"invalid: {judgement.reason}")
    if verdict == "unknown":
        raise Undecided(f"unknown: {judgement.reason}")
    return 0


# -- what was asked for --------------------------------------------------------------------------


def _plan(asked: WorkloadOptions, name: str) -> Plan:
    default = Plan()
    seed = random.randrange(1, 1_000_000) if asked.seed is None else asked.seed
    options = Options(
        mix=asked.mix or "",
        keys=default.options.keys if asked.keys is None else asked.keys,
        values=_values(asked.values),
        tag=_tag(),
    )
    if asked.mix is not None and not asked.mix.strip():
        raise UsageError("--mix: write F=N,F=N, such as read=40,write=60")
    return Plan(
        workload=name,
        options=options,
        clients=default.clients if asked.clients is None else asked.clients,
        rate=default.rate if asked.rate is None else asked.rate,
        time_s=default.time_s if asked.time is None else _time_s(asked.time),
        seed=seed,
        timeout_s=default.timeout_s if asked.timeout is None else asked.timeout,
    )


def _values(count: int | None) -> int:
    if count is not None and count < 1:
        raise UsageError(f"--values {count}: how many different values, from 1 on")
    return count or 0


def _tag() -> str:
    """Begins every name of this run: what earlier runs have left in the machine is no matter."""
    return f"r{time.time_ns() // 1_000_000:x}-"


def _time_s(text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"--time: {error}") from None


def _for_machine(plan: Plan, machine: str) -> Plan:
    """The workload that is called as the cluster's machine. Raises UsageError."""
    if machine not in names():
        raise UsageError(
            f"the machine {machine} has no workload that comes along (there are "
            f"{', '.join(names())}): name your own, `launcher workload package.module:Class`"
        )
    plan = msgspec.structs.replace(plan, workload=machine)
    check_plan(plan)
    return plan


def _at_pace(plan: Plan, asked: WorkloadOptions, cluster: Cluster) -> Plan:
    """Where the timers are slow, clients wait longer, unless the user says how long."""
    if asked.timeout is not None:
        return plan
    return msgspec.structs.replace(plan, timeout_s=plan.timeout_s * cluster.settings().patience)


def _folder(cluster: Cluster, plan: Plan) -> Path:
    """A new one under the cluster's logs. The oldest are removed when there are many."""
    root = cluster.config.log_dir / "workloads"
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{plan.seed}"
    names = (name if n == 1 else f"{name}-{n}" for n in itertools.count(1))
    _remove_oldest(root, KEPT - 1)
    return next(root / one for one in names if not (root / one).exists())


def _remove_oldest(root: Path, keep: int) -> None:
    """Removes all histories but the newest, and says so. Others' folders are left alone."""
    found = sorted(
        path
        for path in root.glob("*")
        if _NAME.fullmatch(path.name) and (path / PLAN_FILE).exists()
    )
    for path in found[: max(0, len(found) - keep)]:
        with saying(f"{shown_path(str(path))} cannot be removed"):
            shutil.rmtree(path)
        kept = f"the newest {KEPT} are kept"
        click.echo(f"removed the history {shown_path(str(path))}: {kept}", err=True)


# -- how it goes ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _telling(plan: Plan, *, quiet: bool) -> Iterator[Callable[[Tally], None]]:
    """On a terminal: a bar of the time, with the rate and the latency of the last moments."""
    if quiet or not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        yield lambda tally: None
        return
    shown, drawn_at, before = 0, 0.0, Tally()
    with progress_bar("workload", int(plan.time_s * 10)) as bar:

        def progress(tally: Tally) -> None:
            nonlocal shown, drawn_at, before
            if tally.at_s - drawn_at < REDRAW_S:
                return
            steps = min(int(tally.at_s * 10), int(plan.time_s * 10))
            bar.update(steps - shown, _moment(before, tally))
            shown, drawn_at = steps, tally.at_s
            before = msgspec.structs.replace(tally, buckets=dict(tally.buckets))

        yield progress


def _moment(before: Tally, now: Tally) -> str:
    seconds = max(1e-9, now.at_s - before.at_s)
    rate = (now.operations - before.operations) / seconds
    fresh = {b: n - before.buckets.get(b, 0) for b, n in now.buckets.items()}
    count, so_far, middle = sum(fresh.values()), 0, 0.0
    for bucket in sorted(fresh):
        so_far += fresh[bucket]
        if so_far * 2 >= count > 0:
            middle = latency_ms(bucket)
            break
    latency = f", {middle:.1f} ms" if count else ""
    unknown = f", {now.info} unknown" if now.info else ""
    return f"{rate:4.0f}/s{latency}{unknown}"


def _tell_kept(folder: Path, begun: float) -> None:
    took = time.monotonic() - begun
    if (folder / history.FOLDER).exists():
        click.echo(
            f"launcher: interrupted after {took:.0f} s; what was recorded is in "
            f"{shown_path(str(folder))}",
            err=True,
        )


# -- what came of it -----------------------------------------------------------------------------


def _print(
    ran: Ran, summary: Summary, judgement: Judgement, why: list[str], *, as_json: bool
) -> None:
    if as_json:
        print_json({**_as_json(ran, summary, judgement), "why": why})
        return
    from tabulate import tabulate

    plan = ran.plan
    rows = [_cells(name, one) for name, one in summary.by_operation.items()]
    if len(rows) != 1:
        rows.append(_cells("all", summary.all))
    headers = ["operation", "ok", "fail", "info", "p50 ms", "p99 ms"]
    align = ["left", *["right"] * 5]
    click.echo(tabulate(rows, headers, "simple", disable_numparse=True, colalign=align))
    click.echo(
        f"\n{plan.workload}, {plan.clients} clients, {ran.took_s:.1f} s of "
        f"{write_duration(plan.time_s)}: {summary.rate:.0f} answers/s of {plan.rate:g} asked; "
        f"seed {plan.seed}\nhistory: {shown_path(str(ran.folder))}"
    )
    for line in window_lines(judgement, ran.begun):
        click.echo(line)
    echo_causes("the cluster's", why)
    if judgement.validity.value == "valid":
        click.echo(f"valid{f': {judgement.reason}' if judgement.reason else ''}")


def window_lines(judgement: Judgement, begun: int) -> Iterator[str]:
    """The operations of a window, one a line, each with its times.

    begun: when the run began, in nanoseconds
    """
    for one in judgement.window[:MOST_SHOWN]:
        yield f"  {told(one, begun)}"
    if len(judgement.window) > MOST_SHOWN:
        yield f"  and {len(judgement.window) - MOST_SHOWN} more"


def _cells(name: str, one: Counted) -> list[str]:
    p50, p99 = ("-" if ms is None else f"{ms:.1f}" for ms in (one.p50_ms, one.p99_ms))
    return [printable_line(name, 40), str(one.ok), str(one.fail), str(one.info), p50, p99]


def _as_json(ran: Ran, summary: Summary, judgement: Judgement) -> dict[str, object]:
    return {
        "verdict": judgement.validity.value,
        "reason": judgement.reason,
        "window": judgement.window,
        "folder": str(ran.folder),
        "machine": ran.machine,
        "plan": ran.plan,
        "took_s": round(ran.took_s, 3),
        "rate": round(summary.rate, 1),
        "all": summary.all,
        "by_operation": summary.by_operation,
    }
