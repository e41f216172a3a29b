"""The commands for the record of messages: which nodes write one, and what it shows live."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from launcher.cli.context import Context
from launcher.cli.output import print_json
from launcher.cli.parameters import TAP_MODE, TARGETS
from launcher.cli.rows import TARGET_HELP, as_json, row

if TYPE_CHECKING:
    from launcher.evidence.messages.top import Top
    from node.raft.messages import NodeId

_INTERVAL_S = 1.0
_READ_AGAIN_S = 0.1


@row(
    "tap",
    "Have nodes record every message that they send and receive, and what becomes of it; without "
    "MODE, print how they do it now.\n\nMODE is off, ring (the newest messages are kept, "
    "tap.segment twice) or full (up to tap.keep). Without a TARGET: all nodes. The records are in "
    "the folder tap of the logs; they are read without asking the nodes, so also when a node "
    "hangs or is dead. The mode is in force until the cluster is stopped; then cluster.yaml "
    "(tap.mode) counts again." + TARGET_HELP,
)
@click.argument("mode", required=False, type=TAP_MODE, metavar="[MODE]")
@click.argument("targets", nargs=-1, type=TARGETS, metavar="[TARGET...]")
@as_json
def tap(context: Context, mode: str | None, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher tap`."""
    cluster = context.cluster()
    if mode is None:
        nodes = cluster.status().nodes
        if as_json:
            print_json({"taps": [{"node": node.id, "mode": node.tap} for node in nodes]})
        else:
            click.echo("\n".join(f"n{node.id}: {node.tap or 'not known'}" for node in nodes))
        return
    taps = cluster.tap(mode, *targets)
    if as_json:
        print_json({"taps": taps})
        return
    for one in taps:
        click.echo(f"n{one.node}: {one.mode}" + (f" ({one.note})" if one.note else ""))


@row(
    "top",
    "Show messages, bytes and entries a second on each link, and elections a second, again every "
    "second until Ctrl-C.\n\nThe numbers are of what the nodes record (`launcher tap`), averaged "
    "over three seconds. No node is asked.",
)
@click.option("--once", is_flag=True, help="Measure for a second, print it, and end.")
@as_json
def top(context: Context, once: bool, as_json: bool) -> None:
    """`launcher top`."""
    # Start-up time: loads what reads records, and tabulate.
    from launcher.cli.live import Live, can_redraw
    from launcher.cli.rates_table import rates_table
    from launcher.evidence.messages.top import Top

    cluster = context.cluster()
    nodes = [node.id for node in cluster.status().nodes]
    watched = Top(cluster.config.tap_folder)

    def text() -> str:
        return rates_table(watched.rates(), watched.off(nodes), watched.missed())

    try:
        _look(watched)
        if as_json:
            _print_rates(watched, nodes)
            while not once:
                _look(watched)
                _print_rates(watched, nodes)
        elif once:
            click.echo(text())
        elif can_redraw():
            with Live() as screen:
                while True:
                    screen.show(text())
                    _look(watched)
        else:
            while True:
                click.echo(text() + "\n")
                _look(watched)
    finally:
        watched.close()


def _print_rates(watched: Top, nodes: Sequence[NodeId]) -> None:
    rates, off, missed = watched.rates(), watched.off(nodes), watched.missed()
    print_json({"rates": rates, "off": off, "missed": missed})


def _look(watched: Top) -> None:
    """Reads what comes in a second. Often: a ring holds only so much."""
    until = time.monotonic() + _INTERVAL_S
    while (now := time.monotonic()) < until:
        time.sleep(min(_READ_AGAIN_S, until - now))
        watched.read()
