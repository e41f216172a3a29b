"""THE TABLE: every command, its arguments, its help, and what it runs.

The shell (`cli.py`) and the prompt (`repl.py`) are two renderings of it: both hand it words, and
both run the same functions. A command does its work through `launcher.cluster.Cluster`, prints its
result, and raises an exception of `launcher/errors.py` when it fails. What the rows share is in
`table.py`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from launcher import streams
from launcher.cli.commands import bench_life, entries
from launcher.cli.commands.recover import recover
from launcher.cli.completion import completion
from launcher.cli.parameters import (
    DISK_FAULT,
    EVENT,
    LEVEL,
    MACHINE,
    PROCESS_NUMBER,
    SCENARIO,
    SIGNAL,
    SIMULATED_FAULTS,
    TARGET,
)
from launcher.cli.table import (
    TARGET_HELP,
    Context,
    as_json,
    command,
    launcher,
    positive_timeout,
    targets,
    timeout,
)
from launcher.errors import UsageError
from launcher.plain import plain

__all__ = ["Context", "launcher"]

# -- the cluster's life ---------------------------------------------------------------------------


@command(
    "up",
    "Start N nodes and wait until a quorum serves. What is not well with the others is said on "
    "standard error.\n\nOn a terminal it then opens the prompt; leaving that stops the cluster. "
    "Without a terminal it prints the timeline until SIGINT or SIGTERM.",
)
@click.argument("nodes", required=False, metavar="[N]")
@click.option("-d", "--detach", is_flag=True, help="Return as soon as there is a leader.")
@click.option("--fresh", is_flag=True, help="Begin with empty data.")
@click.option(
    "--machine",
    type=MACHINE,
    help="The state machine: files, kv, journal, lock, election, members, multicast, or "
    "package.module:Class.",
)
@timeout
@as_json
def up(
    context: Context,
    nodes: str | None,
    detach: bool,
    fresh: bool,
    machine: str | None,
    timeout: float | None,
    as_json: bool,
) -> int:
    """`launcher up`."""
    from launcher.cli.output import nodes_up, print_json, status_json
    from launcher.cluster import UP_TIMEOUT_S, Cluster
    from launcher.config import parse_node_count

    if context.open_prompt is None:
        raise UsageError("this cluster is up; another one needs another terminal, and -p NAME")
    config = context.load_config()
    count = None if nodes is None else parse_node_count(nodes)
    cluster = Cluster(count, machine=machine, config=config, fresh=fresh)
    begun, asked_at = time.monotonic(), datetime.now()
    status = cluster.up(positive_timeout(timeout, UP_TIMEOUT_S), detached=detach)
    for line in cluster.healed:
        click.echo(f"launcher: after a crash: {line}", err=True)
    for line in cluster.remarks:
        click.echo(f"{status.cluster}: {line}", err=True)
    if as_json:
        print_json(status_json(status))
    else:
        click.echo(
            f"{status.cluster}: {nodes_up(status)}, n{status.leader} leads in term {status.term} "
            f"({time.monotonic() - begun:.2f} s); data in {plain(cluster.config.data_dir)}",
            err=not detach,
        )
    if detach:
        return 0
    from launcher.cli.foreground import run

    return run(cluster, context.open_prompt, asked_at, as_json=as_json)


@command("down", "Stop the cluster, whatever state it is in.")
@click.option("-v", "--volumes", is_flag=True, help="Remove its data as well.")
@as_json
def down(context: Context, volumes: bool, as_json: bool) -> None:
    """`launcher down`."""
    from launcher.cli.output import print_json
    from launcher.cluster import Cluster

    config = context.load_config() if context.attached is None else context.attached.config
    report = Cluster(config=config).down(volumes=volumes)
    if as_json:
        print_json(report)
        return
    said = ["stopped"] if report.was_running else ["was not running"]
    said += report.healed
    if report.removed_data:
        said.append(f"removed {plain(config.data_dir)}")
    click.echo(f"{config.name}: {'; '.join(said)}")


@command("ps", "Show every node: state, role, term, indexes, process. (alias: status)")
@click.option("--watch", is_flag=True, help="Again every second, until Ctrl-C.")
@as_json
def ps(context: Context, watch: bool, as_json: bool) -> None:
    """`launcher ps`."""
    from launcher.cli.output import print_json, status_json, status_table, wants_colour

    cluster = context.cluster()
    while True:
        status = cluster.status()
        if as_json:
            print_json(status_json(status))
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            click.echo(status_table(status, wants_colour()))
        if not watch:
            return
        time.sleep(1.0)


@command(
    "wait",
    "Wait until it is so; fail at once when it cannot come about. Without an option: for a leader.",
)
@click.option(
    "--leader", is_flag=True, help="There is a leader, and all voters that are up follow it."
)
@click.option("--commit", type=click.IntRange(min=0), metavar="INDEX", help="INDEX is committed.")
@click.option(
    "--converged", is_flag=True, help="All members that are up have the same log, all applied."
)
@timeout
@as_json
def wait(
    context: Context,
    leader: bool,
    commit: int | None,
    converged: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """`launcher wait`."""
    from launcher.cli.output import print_json, status_json
    from launcher.cluster import UP_TIMEOUT_S

    status = context.cluster().wait(
        leader=leader or not (commit or converged),
        commit=commit,
        converged=converged,
        timeout_s=positive_timeout(timeout, UP_TIMEOUT_S),
    )
    if as_json:
        print_json(status_json(status))
    else:
        leads = f"n{status.leader} leads" if status.leader else "no leader"
        click.echo(f"{leads} in term {status.term}, commit {status.commit_index}")


@command("config", "Print the configuration that is in force, defaults included.")
@as_json
def config(context: Context, as_json: bool) -> None:
    """`launcher config`."""
    from launcher.cli.output import print_json
    from launcher.config import render

    config = context.load_config() if context.attached is None else context.attached.config
    if as_json:
        print_json(config)
    else:
        click.echo(render(config), nl=False)


# -- breaking and mending -------------------------------------------------------------------------


@command(
    "kill", "Send a signal, SIGKILL by default. The node stays down until started." + TARGET_HELP
)
@targets
@click.option(
    "-s", "--signal", type=SIGNAL, default="SIGKILL", show_default=True, help="Which signal."
)
@as_json
def kill(context: Context, targets: tuple[str, ...], signal: str, as_json: bool) -> None:
    """`launcher kill`."""
    _act("killed", context.cluster().kill(*targets, signal=signal), as_json)


@command("stop", "Stop nodes in good order; a leader hands over first." + TARGET_HELP)
@targets
@as_json
def stop(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher stop`."""
    _act("stopped", context.cluster().stop(*targets), as_json)


other_machine_code = click.option(
    "--other-machine-code",
    is_flag=True,
    help="Though the code of their machine is not what the nodes that run have.",
)


@command(
    "start",
    "Start nodes that are down; returns when they answer. It fails when one ends a moment later, "
    "of an entry in its log, say." + TARGET_HELP,
)
@targets
@other_machine_code
@as_json
def start(
    context: Context, targets: tuple[str, ...], other_machine_code: bool, as_json: bool
) -> None:
    """`launcher start`."""
    chosen = context.cluster().start(*targets, other_machine_code=other_machine_code)
    _act("started", chosen, as_json)


@command("restart", "Stop nodes and start them again." + TARGET_HELP)
@targets
@click.option("--rolling", is_flag=True, help="One at a time, each caught up before the next.")
@other_machine_code
@as_json
def restart(
    context: Context,
    targets: tuple[str, ...],
    rolling: bool,
    other_machine_code: bool,
    as_json: bool,
) -> None:
    """`launcher restart`."""
    chosen = context.cluster().restart(
        *targets, rolling=rolling, other_machine_code=other_machine_code
    )
    _act("restarted", chosen, as_json)


@command(
    "transfer",
    "Have the leader hand over to another node, so that nobody waits for an election.\n\nTARGET is "
    "an id (2 or n2), follower or random. One that leads already is fine.",
)
@click.argument("target", type=TARGET, metavar="TARGET")
@as_json
def transfer(context: Context, target: str, as_json: bool) -> None:
    """`launcher transfer`."""
    from launcher.cli.output import print_json

    handed_over = context.cluster().transfer(target)
    led, leads, term = handed_over.led, handed_over.leads, handed_over.term
    if as_json:
        print_json(handed_over)
    elif led == leads:
        click.echo(f"n{leads} leads already, in term {term}")
    else:
        click.echo(f"n{led} led, n{leads} leads in term {term}")


@command(
    "pause", "Freeze nodes (SIGSTOP): their processes are there, and do nothing." + TARGET_HELP
)
@targets
@as_json
def pause(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher pause`."""
    _act("paused", context.cluster().pause(*targets), as_json)


@command("resume", "Let paused nodes go on (SIGCONT)." + TARGET_HELP)
@targets
@as_json
def resume(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher resume`."""
    _act("resumed", context.cluster().resume(*targets), as_json)


@command(
    "snapshot",
    "Have nodes write down their state now, so that the log before it can go. They do so by "
    "themselves too, after as much of the log as cluster.yaml says." + TARGET_HELP,
)
@targets
@as_json
def snapshot(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher snapshot`."""
    _act("snapshot by", context.cluster().snapshot(*targets), as_json)


@command(
    "add",
    "Start N new nodes, or one, and make them voters, while the cluster runs.\n\n"
    "They learn the log first, and vote when they have caught up; ps shows them as learners. That "
    "goes on when this command is interrupted, and after the next up; remove gives it up.",
)
@click.argument("count", required=False, default=1, type=click.IntRange(min=1), metavar="[N]")
@as_json
def add(context: Context, count: int, as_json: bool) -> None:
    """`launcher add`."""
    with _what_goes_on():
        _act("added", context.cluster().add(count), as_json)


@command(
    "remove",
    "Take nodes out of the cluster while it runs, the leader too; then stop them and remove their "
    "data. Their ids are not given again." + TARGET_HELP,
)
@targets
@as_json
def remove(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher remove`."""
    with _what_goes_on():
        _act("removed", context.cluster().remove(*targets), as_json)


@command(
    "rebuild",
    "Bring nodes back from their peers: their data is removed, and they learn it anew. For a node "
    "that refuses to start because its log is damaged. One after the other." + TARGET_HELP,
)
@targets
@as_json
def rebuild(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher rebuild`."""
    with _what_goes_on():
        _act("rebuilt", context.cluster().rebuild(*targets), as_json)


launcher.add_command(recover)


@contextmanager
def _what_goes_on() -> Iterator[None]:
    """A change of the membership, which goes on when nobody waits for it any more: says so."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("launcher: it goes on: `launcher ps` shows how far it is", err=True)
        raise


@command(
    "partition",
    "Cut every link between the groups of SPEC: '1,2|3,4,5'. A node left out is on its own.",
)
@click.argument("spec")
@as_json
def partition(context: Context, spec: str, as_json: bool) -> None:
    """`launcher partition`."""
    from launcher.cli.output import print_json

    groups = context.cluster().partition(spec)
    if as_json:
        print_json({"groups": groups})
    else:
        click.echo("cut: " + " | ".join(",".join(f"n{n}" for n in group) for group in groups))


@command("heal", "Mend every link that was cut. Disks are mended by: disk all ok.")
@as_json
def heal(context: Context, as_json: bool) -> None:
    """`launcher heal`."""
    from launcher.cli.output import print_json

    context.cluster().heal()
    if as_json:
        print_json({"healed": True})
    else:
        click.echo("healed")


@command(
    "disk",
    "Have the disks of nodes fail: FAULT is hang, slow DURATION (slow 200ms), full, fail-write, "
    "fail-sync (the next one), or ok, which mends them; heal does not.\n\nIt stays when a node is "
    "started again; fail-write and fail-sync are over when they have struck." + TARGET_HELP,
)
@targets
@click.argument("fault", type=DISK_FAULT, metavar="FAULT")
@as_json
def disk(context: Context, targets: tuple[str, ...], fault: str, as_json: bool) -> None:
    """`launcher disk`."""
    from launcher.control.disks import takes_duration

    if takes_duration(targets[-1]):
        targets, fault = targets[:-1], f"{targets[-1]} {fault}"
    _act("disk of", context.cluster().disk(*targets, fault=fault), as_json)


# -- using ----------------------------------------------------------------------------------------


for one in (entries.submit, entries.read, entries.watch):
    launcher.add_command(one)


@command("repl", "Open a prompt on a running cluster; from a pipe, run each line.")
def repl(context: Context) -> int:
    """`launcher repl`."""
    if context.open_prompt is None:
        raise UsageError("this is the prompt")
    return context.open_prompt(context.cluster())


@command(
    "timeline",
    "Show what happened, on all nodes, in one order; also after the cluster is gone.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens next, until Ctrl-C.")
@click.option("-n", "--count", type=click.IntRange(min=0), help="Only the last COUNT events.")
@click.option("--node", type=PROCESS_NUMBER, help="Only this node's; 0 is the supervisor.")
@click.option("--since", metavar="T", help="Only what is younger: 10s, 5m, or an ISO time.")
@click.option("--event", type=EVENT, metavar="GLOB", help="Only events of that name: 'election.*'.")
@click.option("--level", type=LEVEL, help="At least debug, info, warn or error.")
@as_json
def timeline(
    context: Context,
    follow: bool,
    count: int | None,
    node: int | None,
    since: str | None,
    event: str | None,
    level: str | None,
    as_json: bool,
) -> None:
    """`launcher timeline`."""
    from launcher.cli.foreground import show_timeline
    from launcher.timeline.render import Filter

    config = context.load_config() if context.attached is None else context.attached.config
    wanted = Filter(node=node, since=since, event=event, level=level)
    show_timeline(config, wanted, count=count, follow=follow, as_json=as_json)


@command(
    "simulate",
    "Run a cluster in a simulated world, many times as fast as real time, under faults, and check "
    "every property at every step. A seed that fails is shrunk and explained; the same seed is the "
    "same run.",
)
@click.option("--seed", type=click.IntRange(min=0), help="One run.")
@click.option("--seeds", metavar="A..B", help="Many. By default 1..100.")
@click.option("--nodes", type=int, default=5, show_default=True, help="How many servers.")
@click.option("--time", default="60s", show_default=True, help="How long faults happen, simulated.")
@click.option(
    "--faults",
    type=SIMULATED_FAULTS,
    default="all",
    show_default=True,
    help="all, none, or kinds with commas.",
)
@click.option("--rate", type=float, default=100.0, show_default=True, help="Operations a second.")
@click.option("--clients", type=int, default=8, show_default=True, help="How many ask at once.")
@click.option("--only", metavar="N,N...", help="Of the seed's schedule only these faults.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes. By default one a core.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on the workers of this Dask scheduler.")
@click.option("--trace", type=click.Path(path_type=Path), help="Write every event of one run here.")
@click.option("--no-shrink", "shrink", flag_value=False, default=True, help="Report it as it is.")
@click.option(
    "--scenario",
    type=SCENARIO,
    metavar="NAME",
    help="Play figure7 or figure8 of the paper instead.",
)
@as_json
def simulate(context: Context, scenario: str | None, **asked: Any) -> int:
    """`launcher simulate`."""
    from launcher.cli.commands.simulate import Request, play
    from launcher.cli.commands.simulate import simulate as run

    with streams.all_or_error("not all was simulated, or not all of it was told"):
        return play(scenario) if scenario is not None else run(Request(**asked))


launcher.add_command(bench_life.bench)
launcher.add_command(completion)


# -- what several of them share -------------------------------------------------------------------


def _act(action: str, chosen: Any, as_json: bool) -> None:
    from launcher.cli.output import print_chosen

    print_chosen(action, chosen, as_json)
