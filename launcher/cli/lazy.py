"""A group of commands that loads the module of a command only when that command is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Lists its commands in the given order, knows aliases, and suggests the nearest name.

    rows: where each command is, as `module:attribute`, by its name
    aliases: further names of commands
    sections: the commands of the help by topic, each with a few words that say what it does; so
        that the list of commands needs none of their modules

    The commands of `click.Group` itself, `commands`, stay empty: `list_commands` has the names.
    """

    def __init__(
        self,
        *args: Any,
        rows: Mapping[str, str],
        aliases: Mapping[str, str] | None = None,
        sections: Mapping[str, Mapping[str, str]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self._rows = rows
        self._aliases = aliases or {}
        self._sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.load(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self._sections is None:
            super().format_commands(ctx, formatter)
            return
        width = max(len(name) for briefs in self._sections.values() for name in briefs)
        for topic, briefs in self._sections.items():
            with formatter.section(topic):
                formatter.write_dl([(f"{name:<{width}}", brief) for name, brief in briefs.items()])

    def load(self, name: str) -> click.Command | None:
        """The command with this name or alias, or None."""
        place = self._rows.get(self._aliases.get(name, name))
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        loaded: click.Command = getattr(import_module(module), attribute)
        return loaded

    def all(self) -> dict[str, click.Command]:
        """Every command by its name, in the order of the help. Loads all of their modules."""
        found = {name: self.load(name) for name in self._rows}
        return {name: command for name, command in found.items() if command is not None}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and self.load(args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], [*self._rows, *self._aliases], 1)
            hint = f"; did you mean {near[0]}?" if near else f": there are {', '.join(self._rows)}"
            raise click.UsageError(f"no command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)
