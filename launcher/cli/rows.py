"""What the commands are made of: the decorator that makes one, and options that several have."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from launcher.cli.context import Context
from launcher.cli.parameters import CLUSTER_NAME, TARGETS
from launcher.errors import UsageError

_F = TypeVar("_F", bound=Callable[..., Any])


def which_cluster(function: _F) -> _F:
    """Adds -c and -p, which may stand before the command's name or after it."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is not None:
            setattr(ctx.ensure_object(Context), str(parameter.name), value)
        return value

    name = click.option(
        "-p",
        "--name",
        type=CLUSTER_NAME,
        help="The name of the cluster, where several run side by side.",
        expose_value=False,
        callback=keep,
    )
    config = click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        help="The configuration file; by default cluster.yaml here or in a parent folder.",
        expose_value=False,
        callback=keep,
    )
    return config(name(function))


def row(
    name: str, text: str, *, cls: type[click.Command] = click.Command
) -> Callable[[Callable[..., Any]], click.Command]:
    """Makes a command of a function whose first argument is the `Context`.

    text: the help; its first sentence is the one in lists of commands
    cls: the class of the command
    """

    def make(function: Callable[..., Any]) -> click.Command:
        @functools.wraps(function)
        def run(context: Context, *args: Any, **options: Any) -> Any:
            status = function(context, *args, **options)
            context.print_unconfirmed()
            return status

        return click.command(name, cls, help=text)(which_cluster(click.pass_obj(run)))

    return make


class WithNumbers(click.Command):
    """A command with words such as -200ms, which are no options: nothing that begins with a dash
    and a digit is one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; such a word has another character in front meanwhile."""
        rest = super().parse_args(ctx, [re.sub(r"^-(?=[0-9.])", "\0-", word) for word in args])
        for name, value in ctx.params.items():
            if isinstance(value, tuple):
                ctx.params[name] = tuple(word.removeprefix("\0") for word in value)
        return rest


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
timeout = click.option("--timeout", type=float, metavar="SECONDS", help="How long to wait.")
targets = click.argument("targets", nargs=-1, required=True, type=TARGETS, metavar="TARGET...")
other_machine_code = click.option(
    "--other-machine-code",
    is_flag=True,
    help="Even if their machine's code differs from that of the running nodes.",
)

TARGET_HELP = (
    "\n\nTARGET is an id (2 or n2), several ids, or leader, follower, followers, minority, "
    "majority, all, random."
)


def positive_timeout(seconds: float | None, default: float) -> float:
    """The value of `--timeout`, in seconds, or the default. Raises UsageError."""
    if seconds is None:
        return default
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--timeout takes a number of seconds above 0, not {seconds:g}")
    return seconds
