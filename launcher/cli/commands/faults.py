"""Commands that break nodes, links and disks, and mend them."""

from __future__ import annotations

import click

from launcher.cli.context import Context
from launcher.cli.output import print_chosen, print_json
from launcher.cli.parameters import DISK_FAULT, PARTITION, SIGNAL
from launcher.cli.rows import TARGET_HELP, as_json, row, targets


@row(
    "kill",
    "Send nodes a signal, SIGKILL by default. They stay down until they are started." + TARGET_HELP,
)
@targets
@click.option(
    "-s", "--signal", type=SIGNAL, default="SIGKILL", show_default=True, help="Which signal."
)
@as_json
def kill(context: Context, targets: tuple[str, ...], signal: str, as_json: bool) -> None:
    """`launcher kill`."""
    print_chosen("killed", context.cluster().kill(*targets, signal=signal), as_json)


@row("pause", "Freeze nodes (SIGSTOP): their processes exist and do nothing." + TARGET_HELP)
@targets
@as_json
def pause(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher pause`."""
    print_chosen("paused", context.cluster().pause(*targets), as_json)


@row("resume", "Let paused nodes continue (SIGCONT)." + TARGET_HELP)
@targets
@as_json
def resume(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher resume`."""
    print_chosen("resumed", context.cluster().resume(*targets), as_json)


@row(
    "partition",
    "Cut every link between the groups of SPEC: '1,2|3,4,5'. A node in no group is on its own.\n\n"
    "SPEC may also be the name of a shape: halves, minority (against the rest), leader (against "
    "the rest), bridge (two halves, and one node that reaches both), or majorities-ring (each node "
    "hears a majority, and no two hear the same one). A partition replaces the one before it, and "
    "nothing else; heal ends it.",
)
@click.argument("spec", type=PARTITION)
@as_json
def partition(context: Context, spec: str, as_json: bool) -> None:
    """`launcher partition`."""
    cluster = context.cluster()
    groups = cluster.partition(spec)
    if as_json:
        print_json({"groups": groups})
    elif groups:
        click.echo("cut: " + " | ".join(",".join(f"n{n}" for n in group) for group in groups))
    else:
        cut = [one for one in cluster.status().links if "cut" in one.does]
        click.echo("cut: " + ", ".join(f"n{one.source}>n{one.target}" for one in cut))


@row(
    "heal",
    "End every fault: of links, clocks and disks, armed points, and messages still to be dropped; "
    "and resume what is paused. It starts nothing that is down.",
)
@as_json
def heal(context: Context, as_json: bool) -> None:
    """`launcher heal`."""
    ended = context.cluster().heal()
    if as_json:
        print_json({"healed": True, "ended": ended})
    elif ended:
        click.echo(f"healed: {'; '.join(ended)}")
    else:
        click.echo("nothing to do: no fault is in force", err=True)


@row(
    "disk",
    "Make the disks of nodes fail. FAULT is hang, slow DURATION (slow 200ms), full, fail-write, "
    "fail-sync (the next one), or ok, which mends them, as heal does.\n\nThe fault stays when a "
    "node is started again; fail-write and fail-sync end once they have struck." + TARGET_HELP,
)
@targets
@click.argument("fault", type=DISK_FAULT, metavar="FAULT")
@as_json
def disk(context: Context, targets: tuple[str, ...], fault: str, as_json: bool) -> None:
    """`launcher disk`."""
    # Start-up time: loads YAML and the wire's messages.
    from launcher.control.disks import takes_duration

    if takes_duration(targets[-1]):
        targets, fault = targets[:-1], f"{targets[-1]} {fault}"
    print_chosen("disk of", context.cluster().disk(*targets, fault=fault), as_json)
