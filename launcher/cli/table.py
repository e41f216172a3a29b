"""What every row of the table of commands is made of: the group, options, and what all can reach.

The rows are in `commands.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from launcher import __version__
from launcher.cli.parameters import CLUSTER_NAME, TARGETS
from launcher.errors import UsageError

if TYPE_CHECKING:
    from launcher.cluster import Cluster
    from launcher.config import ClusterConfig

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass
class Context:
    """What every command can reach: which cluster is meant, and how a prompt is opened.

    open_prompt: reads lines for a cluster until it is left, and answers the exit status; None
        where a prompt is what runs the commands. The table does not know its renderings.
    """

    config: Path | None = None
    name: str | None = None
    attached: Cluster | None = None
    open_prompt: Callable[[Cluster], int] | None = None

    def load_config(self) -> ClusterConfig:
        """What is in force. Raises ConfigError."""
        from launcher.config import load

        return load(self.config, name=self.name)

    def cluster(self) -> Cluster:
        """The cluster that runs. Raises NotRunning."""
        if self.attached is None:
            from launcher.cluster import Cluster

            self.attached = Cluster.attach(self.load_config())
        return self.attached


class Table(click.Group):
    """A group that lists its commands as they stand here, knows aliases, and suggests."""

    aliases = {"status": "ps"}  # noqa: RUF012 (never changed)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], [*self.commands, *self.aliases], 1)
            hint = (
                f"; did you mean {near[0]}?" if near else f": there are {', '.join(self.commands)}"
            )
            raise click.UsageError(f"no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)


def _where(function: _F) -> _F:
    """-c and -p may stand before the command or behind it."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is not None:
            setattr(ctx.ensure_object(Context), str(parameter.name), value)
        return value

    name = click.option(
        "-p",
        "--name",
        type=CLUSTER_NAME,
        help="Which cluster, of several side by side.",
        expose_value=False,
        callback=keep,
    )
    config = click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        help="The cluster.yaml; by default the one here or in a parent folder.",
        expose_value=False,
        callback=keep,
    )
    return config(name(function))


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
timeout = click.option("--timeout", type=float, metavar="SECONDS", help="How long to wait.")
targets = click.argument("targets", nargs=-1, required=True, type=TARGETS, metavar="TARGET...")

TARGET_HELP = (
    "\n\nTARGET is an id (2 or n2), several of them, or leader, follower, followers, minority, "
    "majority, all, random."
)


@click.group(
    cls=Table,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A Raft cluster of real processes on this machine, and the means to break it.",
    epilog="`launcher COMMAND --help` tells more of each. The shortest way in: launcher up 5",
)
@_where
@click.version_option(__version__, message=f"leeky-raft {__version__}")
def launcher() -> None:
    """The group itself does nothing."""


def row(name: str, text: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A row that is yet to be put into the table."""

    def make(function: Callable[..., Any]) -> click.Command:
        return click.command(name, help=text)(_where(click.pass_obj(function)))

    return make


def command(name: str, text: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A row of the table, added below those before it."""

    def add(function: Callable[..., Any]) -> click.Command:
        made = row(name, text)(function)
        launcher.add_command(made)
        return made

    return add


def positive_timeout(seconds: float | None, default: float) -> float:
    """What `--timeout` says. Raises UsageError."""
    if seconds is None:
        return default
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--timeout takes a number of seconds above 0, not {seconds:g}")
    return seconds
