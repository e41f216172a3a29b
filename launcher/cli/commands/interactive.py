"""Commands for a person at a keyboard: the prompt, and the completion of shells."""

from __future__ import annotations

import click

from launcher.cli.completion import SHELLS, script
from launcher.cli.context import Context
from launcher.cli.rows import row
from launcher.errors import UsageError


@row("repl", "Open a prompt on a running cluster; from a pipe, run each line.")
def repl(context: Context) -> int:
    """`launcher repl`."""
    if context.open_prompt is None:
        raise UsageError("this is the prompt")
    return context.open_prompt(context.cluster())


@row(
    "completion",
    "Print a script with which bash, zsh or fish completes commands, options, targets and names."
    '\n\nFor bash, in ~/.bashrc:  eval "$(launcher completion bash)"\n\n'
    'For zsh, in ~/.zshrc after compinit:  eval "$(launcher completion zsh)"\n\n'
    "For fish, in ~/.config/fish/config.fish:  launcher completion fish | source",
)
@click.argument("shell", type=click.Choice(list(SHELLS)), metavar="SHELL")
def completion(context: Context, shell: str) -> None:
    """`launcher completion`."""
    click.echo(script(shell), nl=False)
