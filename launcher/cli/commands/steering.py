"""Commands that steer a running cluster: its settings, single elections and single messages."""

from __future__ import annotations

import click

from launcher.cli.context import Context
from launcher.cli.output import print_chosen, print_json
from launcher.cli.parameters import MESSAGE_TYPE, SETTING, VALUE
from launcher.cli.rows import TARGET_HELP, as_json, row, targets
from launcher.errors import UsageError


@row(
    "set",
    "Change a setting of all nodes at once, without a restart; without VALUE, print it.\n\n"
    "KEY is timescale (`set timescale 20`: all timers are 20 times as slow as the default ones), "
    "log-level, pre-vote, failure-hint (on or off), or message-delay (`set message-delay 30ms`: "
    "each message between nodes takes that long, times the timescale). The command returns when "
    "the nodes have confirmed the change, and names those that have not. The change lasts until "
    "the cluster is stopped; then cluster.yaml counts again.",
)
@click.argument("key", required=False, type=SETTING, metavar="[KEY]")
@click.argument("value", required=False, type=VALUE, metavar="[VALUE]")
@as_json
def set_(context: Context, key: str | None, value: str | None, as_json: bool) -> None:
    """`launcher set`."""
    # Start-up time: loads YAML.
    from launcher import overrides

    cluster = context.cluster()
    if key is None or value is None:
        config = cluster.settings()
        keys = [overrides.key_of(key)] if key is not None else overrides.CHANGEABLE.values()
        found = {one: overrides.text_of(config, one) for one in keys}
        if as_json:
            print_json(found)
        else:
            click.echo("\n".join(f"{one}: {text}" for one, text in found.items()))
        return
    changed = cluster.set(key, value)
    if as_json:
        print_json(changed)
        return
    click.echo(f"{changed.key}: {changed.before} -> {changed.after}")
    for one in changed.unconfirmed:
        click.echo(
            f"n{one.node} is {one.state} and has not confirmed it: it changes when it runs again"
        )


@row(
    "time-out",
    "Have nodes campaign now, as if their election timers had fired. Several campaign at once, "
    "which can split the vote. The leader has no such timer." + TARGET_HELP,
)
@targets
@as_json
def time_out(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher time-out`."""
    print_chosen("timed out", context.cluster().time_out(*targets), as_json)


@row(
    "drop",
    "Lose the next message of a type from one node to another; one that the link holds or delays "
    "is the next. Without arguments, list the messages that are still to be lost.\n\n"
    "LINK is 'n1>n2', in quotes; each end may be any TARGET, as in 'leader>followers'. TYPE is the "
    "message's name in the Raft paper: RequestVote, RequestVoteReply, AppendEntries (heartbeat: "
    "one without entries; entries: one with some), AppendEntriesReply, InstallSnapshot, "
    "InstallSnapshotReply; or PreVote, PreVoteReply, TimeoutNow, ReadIndex, ReadIndexReply. "
    "`heal` forgets what is still to be lost.",
)
@click.argument("link", required=False, metavar="[LINK]")
@click.argument("message", required=False, type=MESSAGE_TYPE, metavar="[TYPE]")
@click.option(
    "-n", "--count", type=int, default=1, show_default=True, help="Lose the next COUNT of them."
)
@as_json
def drop(
    context: Context, link: str | None, message: str | None, count: int, as_json: bool
) -> None:
    """`launcher drop`."""
    cluster = context.cluster()
    if link is None:
        drops = cluster.drops()
    elif message is None:
        raise UsageError(
            "drop takes a link and the type of a message: drop 'n1>n2' RequestVote"
            + ("" if ">" in link else "; the link needs quotes, since the shell takes > for a file")
        )
    else:
        drops = cluster.drop(link, message, count=count)
    if as_json:
        print_json({"drops": drops})
        return
    if not drops:
        click.echo("no message is to be lost", err=True)
    for one in drops:
        times = "" if one.count == 1 else f", {one.count} times"
        click.echo(f"to be lost: n{one.source}>n{one.target} {one.type}{times}")
