"""The command that arms points in the code of nodes, and lists them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from launcher.cli.context import Context
from launcher.cli.output import print_chosen, print_json
from launcher.cli.parameters import ARM_WORD
from launcher.cli.rows import TARGET_HELP, as_json, row
from launcher.errors import UsageError

if TYPE_CHECKING:
    from launcher.control.points import PointAtNode, PointRow


@row(
    "arm",
    "Arm a POINT in the code of nodes: when a node is there next, ACTION strikes. Without "
    "arguments, list the points, how often each was reached, and what is armed.\n\n"
    "ACTION is kill, power, pause, sleep(DURATION), fail-sync, cut, or off, which disarms the "
    "point. In front of it may stand a percentage and a count (20%3*pause), and several are "
    "chained (3*off->kill strikes at the fourth hit). What ends the process strikes once, unless "
    "a count says otherwise." + TARGET_HELP,
)
@click.argument("words", nargs=-1, type=ARM_WORD, metavar="[TARGET... POINT ACTION]")
@as_json
def arm(context: Context, words: tuple[str, ...], as_json: bool) -> None:
    """`launcher arm`."""
    if not words:
        _print_points(context.cluster().points(), as_json)
        return
    if len(words) < 3:
        raise UsageError(
            "arm takes a target, a point and an action, such as `arm leader before-reply kill`; "
            "without arguments it lists the points"
        )
    *targets, point, action = words
    chosen = context.cluster().arm(*targets, point=point, action=action)
    print_chosen("disarmed" if action.lower() == "off" else "armed", chosen.chosen, as_json)


def _print_points(points: Sequence[PointRow], as_json: bool) -> None:
    # Start-up time: only this list has a table.
    from tabulate import tabulate

    if as_json:
        for one in points:
            print_json(one)
        return
    lines = [[one.point, one.etcd or "-", _hits(one.nodes), _armed(one.nodes)] for one in points]
    titles = ["point", "in etcd", "hits", "armed"]
    click.echo(tabulate(lines, titles, tablefmt="plain", disable_numparse=True, stralign="left"))


def _hits(nodes: Sequence[PointAtNode]) -> str:
    return ", ".join(f"n{one.node}: {one.hits}" for one in nodes) or "-"


def _armed(nodes: Sequence[PointAtNode]) -> str:
    return ", ".join(f"n{one.node}: {one.actions}" for one in nodes if one.actions) or "-"
