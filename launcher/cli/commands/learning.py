"""Commands for a learner: what a word means, and why a node does not lead."""

from __future__ import annotations

import shutil
import textwrap

import click

from launcher.cli.context import Context
from launcher.cli.output import print_json
from launcher.cli.parameters import NODE, TOPIC
from launcher.cli.rows import as_json, row

_MOST_COLUMNS = 100


@row(
    "explain",
    "Explain a word: term, commit, quorum, no-op, ...; without a word, list all that can be "
    "explained.\n\nTOPIC is a word of the glossary, a column of ps, the name of an event such as "
    "leader.elected, or an exit status. No cluster needs to run.",
)
@click.argument("topic", nargs=-1, type=TOPIC, metavar="[TOPIC]")
@as_json
def explain(context: Context, topic: tuple[str, ...], as_json: bool) -> None:
    """`launcher explain`."""
    # Start-up time: loads the glossary and the table of sentences.
    from launcher.learn import topics

    if not topic:
        listed = topics.listed()
        if as_json:
            print_json(listed)
            return
        for section, names in listed.items():
            click.echo(f"{section}:")
            click.echo(_wrapped(", ".join(names), indent="  "))
        click.echo("explain TOPIC explains one of them; § is a section of the Raft paper.")
        return
    paragraphs = topics.explain(" ".join(topic))
    if as_json:
        print_json({"topic": " ".join(topic), "text": paragraphs})
        return
    for paragraph in paragraphs:
        click.echo(_wrapped(paragraph))


@row(
    "why",
    "Say why a node does not lead, or why it does; without a node, why there is a leader or none.",
)
@click.argument("node", required=False, type=NODE, metavar="[NODE]")
@as_json
def why_command(context: Context, node: str | None, as_json: bool) -> None:
    """`launcher why`."""
    # Start-up time: loads the client, sockets and what reads logs.
    from launcher.control.targets import parse_id
    from launcher.learn.why import gather, why

    wanted = None if node is None else parse_id(node)
    cluster = context.cluster()
    told = why(gather(cluster.status(), cluster.timeline()), wanted)
    if as_json:
        print_json({"node": node, "why": told})
        return
    for sentence in told:
        click.echo(_wrapped(sentence))


def _wrapped(text: str, indent: str = "") -> str:
    width = min(shutil.get_terminal_size().columns, _MOST_COLUMNS)
    return textwrap.fill(
        text,
        max(width, 20),
        initial_indent=indent,
        subsequent_indent=indent or "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
