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
    "throttle": f"{_COMMANDS}.faults:throttle",
    "freeze": f"{_COMMANDS}.faults:freeze",
    "thaw": f"{_COMMANDS}.faults:thaw",
    "snapshot": f"{_COMMANDS}.lifecycle:snapshot",
    "add": f"{_COMMANDS}.membership:add",
    "remove": f"{_COMMANDS}.membership:remove",
    "rebuild": f"{_COMMANDS}.membership:rebuild",
    "recover": f"{_COMMANDS}.membership:recover",
    "partition": f"{_COMMANDS}.faults:partition",
    "link": f"{_COMMANDS}.links:link",
    "heal": f"{_COMMANDS}.faults:heal",
    "chaos": f"{_COMMANDS}.chaos:chaos",
    "disk": f"{_COMMANDS}.faults:disk",
    "arm": f"{_COMMANDS}.points:arm",
    "clock": f"{_COMMANDS}.clocks:clock",
    "drop": f"{_COMMANDS}.steering:drop",
    "time-out": f"{_COMMANDS}.steering:time_out",
    "set": f"{_COMMANDS}.steering:set_",
    "submit": f"{_COMMANDS}.entries:submit",
    "read": f"{_COMMANDS}.entries:read",
    "watch": f"{_COMMANDS}.entries:watch",
    "repl": f"{_COMMANDS}.interactive:repl",
    "timeline": f"{_COMMANDS}.timeline:timeline",
    "page": f"{_COMMANDS}.page:page",
    "tap": f"{_COMMANDS}.tap:tap",
    "top": f"{_COMMANDS}.tap:top",
    "explain": f"{_COMMANDS}.learning:explain",
    "why": f"{_COMMANDS}.learning:why_command",
    "workload": f"{_COMMANDS}.workload:workload",
    "story": f"{_COMMANDS}.story:story",
    "simulate": f"{_COMMANDS}.simulate:simulate",
    "lesson": f"{_COMMANDS}.lesson:lesson",
    "test": f"{_COMMANDS}.trial:test",
    "check": f"{_COMMANDS}.trial:check",
    "bench": f"{_COMMANDS}.bench:bench",
    "completion": f"{_COMMANDS}.interactive:completion",
}
"""Where each command is."""

SECTIONS = {
    "Run a cluster": {
        "up": "start N nodes and wait for a leader",
        "down": "stop the cluster, whatever state it is in",
        "stop": "stop nodes cleanly",
        "start": "start nodes that are down",
        "restart": "stop nodes and start them again; all at once or rolling",
        "wait": "wait for a leader, a commit, or equal logs",
        "config": "print the settings in force",
        "set": "change a setting of all nodes while they run",
    },
    "Use it": {
        "submit": "append entries to the log",
        "read": "query the state machine",
        "watch": "print the messages of a multicast cluster",
        "repl": "open a prompt on a running cluster",
    },
    "See what happens": {
        "ps": "every node: state, role, term, indexes, process",
        "log": "the nodes' logs side by side",
        "timeline": "what happened on all nodes, in one order",
        "page": "the cluster in a browser: watch it, break it, go back in time",
        "tap": "have nodes record every message",
        "top": "messages, bytes and entries a second on each link",
        "why": "why a node does not lead, or why it does",
    },
    "Break it and mend it": {
        "kill": "send nodes a signal, SIGKILL by default",
        "pause": "freeze nodes",
        "resume": "let paused nodes continue",
        "throttle": "give nodes only a share of a core",
        "freeze": "stop every node at one moment",
        "thaw": "let the nodes of a frozen cluster continue",
        "partition": "cut the links between groups of nodes",
        "link": "make messages between nodes late, lost, slow or held",
        "drop": "lose the next message of a type",
        "disk": "make disks hang, slow, full, or fail",
        "clock": "move the clocks of nodes",
        "arm": "have a node fail at a point in its code",
        "time-out": "have nodes campaign now",
        "heal": "end every fault, and resume what is paused",
        "chaos": "break a running cluster by seed, within what it survives",
    },
    "Test it": {
        "workload": "have clients use the cluster, and check what they saw",
        "test": "start a cluster, use it, break it by a seed, and judge it",
        "check": "judge a run again, by what it has left",
    },
    "Change its nodes": {
        "transfer": "hand leadership over to another node",
        "snapshot": "have nodes take a snapshot now",
        "add": "start new nodes and make them voters",
        "remove": "take nodes out of the cluster",
        "rebuild": "give a node with a damaged disk its data back",
        "recover": "begin anew from one node, when a majority is lost",
    },
    "Learn": {
        "explain": "what a word means: term, commit, quorum, ...",
        "lesson": "ten lessons about Raft, on real processes",
        "story": "small scripts that each show one thing about Raft",
        "simulate": "a simulated cluster under faults, with every property checked",
    },
    "More": {
        "bench": "benchmarks, each beside something to compare with",
        "completion": "the completion script for bash, zsh or fish",
    },
}
"""The commands by topic, as the help lists them, each with a few words."""

NOT_AT_PROMPT = ("up", "repl", "completion", "page")
"""The commands that the prompt does not have."""


@click.group(
    cls=LazyGroup,
    rows=ROWS,
    sections=SECTIONS,
    aliases={"status": "ps"},
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A Raft cluster of real processes on this machine, and the means to break it.",
    epilog="`launcher COMMAND --help` explains a command. The quickest start: launcher up 5",
)
@which_cluster
@click.version_option(__version__, message=f"leeky-raft {__version__}")
def launcher() -> None:
    """The group itself does nothing."""
