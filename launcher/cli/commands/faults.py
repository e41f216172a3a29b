"""Commands that break nodes, links and disks, and mend them."""

from __future__ import annotations

import click

from launcher.cli.context import Context
from launcher.cli.output import print_chosen, print_json, warn_of
from launcher.cli.parameters import DISK_FAULT, PARTITION, SHARE, SIGNAL
from launcher.cli.rows import TARGET_HELP, as_json, row, targets
from launcher.control import requests
from launcher.control.naming import link_name


@row(
    "kill",
    "Send nodes a signal, SIGKILL by default, or let their power fail. They stay down until they "
    "are started." + TARGET_HELP,
)
@targets
@click.option(
    "-s", "--signal", type=SIGNAL, default="SIGKILL", show_default=True, help="Which signal."
)
@click.option("--power", is_flag=True, help="Their power fails: what they have not synced is lost.")
@click.option("--torn", is_flag=True, help="With --power: by chance, a part of that is lost.")
@as_json
def kill(
    context: Context,
    targets: tuple[str, ...],
    signal: str,
    power: bool,
    torn: bool,
    as_json: bool,
) -> None:
    """`launcher kill`."""
    requests.check(requests.Kill(list(targets), signal, power, torn))
    chosen = context.cluster().kill(*targets, signal=signal, power=power, torn=torn)
    print_chosen("power failed at" if power else "killed", chosen, as_json)


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
        click.echo("cut: " + ", ".join(link_name((one.source, one.target)) for one in cut))


@row(
    "heal",
    "End every fault: of links, clocks and disks, throttles, armed points, and messages still to "
    "be dropped; and resume what is paused. It starts nothing that is down.",
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
    "fail-sync (the next one), cycle STALLS WORKS (cycle 5s 5s: it hangs for 5 s, works for 5 s, "
    "and so on), or ok, which mends them, as heal does.\n\nThe fault stays when a "
    "node is started again; fail-write and fail-sync end once they have struck." + TARGET_HELP,
)
@targets
@click.argument("fault", type=DISK_FAULT, metavar="FAULT")
@as_json
def disk(context: Context, targets: tuple[str, ...], fault: str, as_json: bool) -> None:
    """`launcher disk`."""
    # Start-up time: loads YAML and the wire's messages.
    from launcher.control.disks import split_words

    chosen, fault = split_words([*targets, fault])
    print_chosen("disk of", context.cluster().disk(*chosen, fault=fault), as_json)


@row(
    "throttle",
    "Give nodes a SHARE of a core, such as 20%: their processes are stopped and continued in turn, "
    "every 100 ms. ok ends it, as heal does.\n\nA throttled node is not paused: it answers, late. "
    "A pause wins while it lasts. A node that is started again has the same share." + TARGET_HELP,
)
@targets
@click.argument("share", type=SHARE, metavar="SHARE")
@as_json
def throttle(context: Context, targets: tuple[str, ...], share: str, as_json: bool) -> None:
    """`launcher throttle`."""
    # Start-up time: loads the wire's messages.
    from launcher.control.throttles import parse_share

    parse_share(share)  # what is no share is refused whether a cluster runs or not
    injected = context.cluster().throttle(",".join(targets), share)
    print_chosen("share of", injected.chosen, as_json)


@row(
    "freeze",
    "Stop every node and its forks at one moment, and start none, until thaw.\n\nUntil then ps, "
    "log, timeline, kill and down work; other commands say that the cluster is frozen.",
)
@as_json
def freeze(context: Context, as_json: bool) -> None:
    """`launcher freeze`."""
    print_chosen("frozen", context.cluster().freeze().chosen, as_json)


@row("thaw", "Let the nodes of a frozen cluster continue, but for those that were paused before.")
@as_json
def thaw(context: Context, as_json: bool) -> None:
    """`launcher thaw`."""
    cluster = context.cluster()
    violations = cluster.status().violations
    chosen = cluster.thaw()
    if not as_json:
        warn_of(violations)
    print_chosen("thawed", chosen, as_json)
