"""The table of commands: each row is where the table says, and costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from launcher.cli.commands import bench
from launcher.cli.table import ROWS, SECTIONS, launcher

ROOT = Path(__file__).resolve().parents[3]
HEAVY = {"launcher.cluster", "launcher.config", "launcher.control", "psutil", "yaml", "tabulate"}
HEAVY |= {"asyncio", "launcher.benchmark", "launcher.simulation", "prompt_toolkit", "node.wire"}


@pytest.mark.parametrize(("group", "rows"), [(launcher, ROWS), (bench.bench, bench.ROWS)])
def test_each_row_is_a_command_of_that_name(group: click.Group, rows: dict[str, str]) -> None:
    with click.Context(group) as context:
        assert group.list_commands(context) == list(rows)
        for name in rows:
            command = group.get_command(context, name)
            assert command is not None
            assert command.name == name
            assert command.help


def test_an_alias_is_the_same_command() -> None:
    assert launcher.load("status") is launcher.load("ps")
    assert launcher.load("nonsense") is None


def loaded(words: list[str]) -> set[str]:
    """The modules that a process has loaded after it has run a command line."""
    code = (
        "import sys\n"
        "from launcher.cli.context import Context\n"
        "from launcher.cli.shell import run\n"
        f"assert run({words!r}, Context()) == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("words", ["--help", "ps --help", "bench --help", "completion bash"])
def test_help_and_completion_load_no_cluster(words: str) -> None:
    """A shell starts the program at each press of Tab, and waits for it."""
    assert not HEAVY & loaded(words.split())


def test_a_command_loads_no_other_topic() -> None:
    topics = {
        name for name in loaded(["ps", "--help"]) if name.startswith("launcher.cli.commands.")
    }
    assert topics == {"launcher.cli.commands.looking"}


def test_the_help_lists_each_command_once_by_topic_in_a_few_words() -> None:
    listed = [name for briefs in SECTIONS.values() for name in briefs]

    assert sorted(listed) == sorted(ROWS)
    for briefs in SECTIONS.values():
        for name, brief in briefs.items():
            assert len(brief) <= 64, name
            assert brief[0].islower(), name
            assert not brief.endswith(".") or brief.endswith("..."), name
    text = launcher.get_help(click.Context(launcher, info_name="launcher", terminal_width=80))
    assert "\nBreak it and mend it:\n  kill " in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert all(brief in text for briefs in SECTIONS.values() for brief in briefs.values())
