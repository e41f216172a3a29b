"""THE TABLE: every command, and the module in which it is.

The shell (`shell.py`) and the prompt (`prompt.py`, `repl.py`) both run the commands of this table.
A command does its work through `launcher.cluster.Cluster`, prints the result, and raises an
exception of `launcher/errors.py` when it fails.
"""

from __future__ import annotations

import click

from launcher import __version__
from launcher.cli.lazy import LazyGroup
from launcher.cli.rows import which_cluster

_COMMANDS = "launcher.cli.commands"

ROWS = {
    "up": f"{_COMMANDS}.lifecycle:up",
    "down": f"{_COMMANDS}.lifecycle:down",
    "ps": f"{_COMMANDS}.looking:ps",
    "log": f"{_COMMANDS}.looking:log",
    "wait": f"{_COMMANDS}.looking:wait",
    "config": f"{_COMMANDS}.looking:config",
    "kill": f"{_COMMANDS}.faults:kill",
    "stop": f"{_COMMANDS}.lifecycle:stop",
    "start": f"{_COMMANDS}.lifecycle:start",
    "restart": f"{_COMMANDS}.lifecycle:restart",
    "transfer": f"{_COMMANDS}.membership:transfer",
    "pause": f"{_COMMANDS}.faults:pause",
    "resume": f"{_COMMANDS}.faults:resume",
    "snapshot": f"{_COMMANDS}.lifecycle:snapshot",
    "add": f"{_COMMANDS}.membership:add",
    "remove": f"{_COMMANDS}.membership:remove",
    "rebuild": f"{_COMMANDS}.membership:rebuild",
    "recover": f"{_COMMANDS}.membership:recover",
    "partition": f"{_COMMANDS}.faults:partition",
    "link": f"{_COMMANDS}.links:link",
    "heal": f"{_COMMANDS}.faults:heal",
    "disk": f"{_COMMANDS}.faults:disk",
    "clock": f"{_COMMANDS}.clocks:clock",
    "drop": f"{_COMMANDS}.steering:drop",
    "time-out": f"{_COMMANDS}.steering:time_out",
    "set": f"{_COMMANDS}.steering:set_",
    "submit": f"{_COMMANDS}.entries:submit",
    "read": f"{_COMMANDS}.entries:read",
    "watch": f"{_COMMANDS}.entries:watch",
    "repl": f"{_COMMANDS}.interactive:repl",
    "timeline": f"{_COMMANDS}.timeline:timeline",
    "explain": f"{_COMMANDS}.learning:explain",
    "why": f"{_COMMANDS}.learning:why_command",
    "story": f"{_COMMANDS}.story:story",
    "simulate": f"{_COMMANDS}.simulate:simulate",
    "lesson": f"{_COMMANDS}.lesson:lesson",
    "bench": f"{_COMMANDS}.bench:bench",
    "completion": f"{_COMMANDS}.interactive:completion",
}
"""Where each command is, in the order in which the help lists them."""

NOT_AT_PROMPT = ("up", "repl", "completion")
"""The commands that the prompt does not have."""


@click.group(
    cls=LazyGroup,
    rows=ROWS,
    aliases={"status": "ps"},
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A Raft cluster of real processes on this machine, and the means to break it.",
    epilog="`launcher COMMAND --help` explains a command. The quickest start: launcher up 5",
)
@which_cluster
@click.version_option(__version__, message=f"leeky-raft {__version__}")
def launcher() -> None:
    """The group itself does nothing."""
