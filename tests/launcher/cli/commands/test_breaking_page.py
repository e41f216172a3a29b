"""Each fault in the table of docs/BREAKING.md can be typed as it stands there.

The nodes are no real ones. What a real node does then: `tests/cluster`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from launcher.cli.context import Context
from launcher.cli.shell import run
from tests.launcher.fake_cluster import ROOT, fake_cluster

PAGE = (ROOT / "docs" / "BREAKING.md").read_text().replace("\\|", "\0")
TABLE = PAGE[PAGE.index("| fault | words |") : PAGE.index("## What ends a fault")]


def examples() -> list[list[str]]:
    """The command lines of the third column; a row may have several, the later ones without their
    first words."""
    found = []
    for row in TABLE.splitlines()[2:]:
        if row.startswith("|"):
            first, *later = re.findall("`(.+?)`", row.split("|")[3].replace("\0", "|"))
            _, *words = shlex.split(first)
            found += [words] + [
                [*words[: len(words) - len(shlex.split(one))], *shlex.split(one)] for one in later
            ]
    return found


@pytest.mark.cluster
def test_each_example_of_the_table_is_a_command_that_breaks_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [words for words in examples() if "--power" not in words]  # it takes real files
    assert len(commands) > 20
    with fake_cluster(tmp_path, nodes=5) as cluster:
        for words in commands:
            before = len(cluster.events("fault.injected"))
            assert run(words, Context()) == 0, words
            assert len(cluster.events("fault.injected")) > before, words
            if words == ["freeze"]:
                assert run(["thaw"], Context()) == 0
            cluster.heal()
            cluster.start("all")
            cluster.wait(leader=True)
