"""The command that changes what links between nodes do to their messages."""

from __future__ import annotations

import click

from launcher.cli.context import Context
from launcher.cli.output import print_json
from launcher.cli.parameters import LINK_WORDS, LINKS
from launcher.cli.rows import WithNumbers, as_json, row


@row(
    "link",
    "Make messages between nodes late, lost or held. LINKS is '1>2' (one direction; in quotes, "
    "because the shell takes > for a file), 1-2 (both directions), 'leader>followers', or all.\n\n"
    "The words are netem's: delay 50ms, delay 50ms 10ms (it varies by up to 10 ms), loss 5%, "
    "duplicate 1%, reorder 2%, rate 1mbit, cut, hold (messages wait until the link is ok), profile "
    "NAME (3g, dsl, wifi, satellite, wan3: three regions), several of them, or ok, which ends all "
    "of it, as heal does. A command changes only what it names: a later `loss 5%` keeps the delay, "
    "and `loss 0%` ends the loss. A partition is another layer: `link all ok` does not end it, and "
    "a message has to get through both. `ps --links` shows every link.",
    cls=WithNumbers,
)
@click.argument("links", type=LINKS)
@click.argument("words", nargs=-1, required=True, type=LINK_WORDS, metavar="WORD...")
@as_json
def link(context: Context, links: str, words: tuple[str, ...], as_json: bool) -> None:
    """`launcher link`."""
    # Start-up time: loads YAML and the wire's messages.
    from launcher.cli.links_table import said_of
    from launcher.control.links import parse_change, split_links

    split_links(links)
    parse_change(words)
    changed = context.cluster().link(links, *words).links
    if as_json:
        print_json({"action": "link", "links": changed})
    else:
        click.echo("\n".join(said_of(changed)))
