"""The command that moves nodes' clocks."""

from __future__ import annotations

import click

from launcher.cli.context import Context
from launcher.cli.output import print_chosen
from launcher.cli.parameters import CLOCK_WORDS
from launcher.cli.rows import TARGET_HELP, WithNumbers, as_json, row
from launcher.errors import UsageError


@row(
    "clock",
    "Move the clocks of nodes. FAULT is bump STEP (bump 200ms, or back: bump -200ms), strobe STEP "
    "PERIOD (strobe 200ms 100ms: a step forward and back again, in turn, one each 100 ms), rate "
    "NUMBER (rate 1.05), or ok, which ends all of it, as heal does.\n\nIt is the clock by which a "
    "node runs elections, leases and cluster time. Steps add up; a new strobe or rate replaces the "
    "one before, and anything else stays as it is, also when a node is started again. With ok the "
    "clock runs true from where it is." + TARGET_HELP,
    cls=WithNumbers,
)
@click.argument("words", nargs=-1, required=True, type=CLOCK_WORDS, metavar="TARGET... FAULT")
@click.option(
    "--wall",
    is_flag=True,
    help="The wall clock instead, from which the times of events come.",
)
@as_json
def clock(context: Context, words: tuple[str, ...], wall: bool, as_json: bool) -> None:
    """`launcher clock`."""
    # Start-up time: loads YAML and the wire's messages.
    from launcher.control.clocks import parse_change, split_words

    targets, fault = split_words(words)
    if words == tuple(targets[:1]):
        raise UsageError(f"no fault: write for example `clock {words[0]} rate 1.05`")
    change = " ".join(fault or targets[-1:])
    parse_change(change)  # before the targets: a word that is none may be meant for the clock
    if not targets:
        raise UsageError(f"no target: write for example `clock 2 {change}`")
    injected = context.cluster().clock(",".join(targets), change, wall=wall)
    print_chosen("clock of", injected.chosen, as_json)
