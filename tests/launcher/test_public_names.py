"""The names that `launcher` offers, the page that lists them, and what importing them costs."""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import launcher
from launcher.cli import table
from launcher.client.subscriber import Message
from launcher.logs import ClusterLog
from launcher.timeline.events import Event
from launcher.timeline.filter import Filter

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "API.md").read_text()


def paragraphs() -> dict[str, str]:
    """The text below each heading of the page that is a name."""
    parts = re.split(r"(?m)^#+ (.*)$", PAGE)[1:]
    headed = zip(parts[::2], parts[1::2], strict=True)
    return {heading[1:-1]: text.strip() for heading, text in headed if heading.startswith("`")}


def test_the_page_lists_the_public_names_and_no_others() -> None:
    assert sorted(paragraphs()) == sorted(launcher.__all__)


def test_each_name_has_a_paragraph() -> None:
    assert [name for name, text in paragraphs().items() if len(text) < 30] == []


def test_every_name_has_a_home() -> None:
    homes = vars(launcher)["_HOMES"]
    assert sorted([*homes, "__version__"]) == sorted(launcher.__all__) == launcher.__all__


@pytest.mark.parametrize("name", [name for name in launcher.__all__ if name != "__version__"])
def test_a_public_name_is_a_class_with_that_name(name: str) -> None:
    found = getattr(launcher, name)
    assert isinstance(found, type)
    assert found.__name__ == name


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Claster'"):
        _ = vars(launcher)["__getattr__"]("Claster")


def ours(hint: object) -> Iterator[str]:
    """The classes of this project in a type hint."""
    if isinstance(hint, type) and hint.__module__.split(".")[0] in ("launcher", "node"):
        yield hint.__name__
    for part in typing.get_args(hint):
        yield from ours(part)


def test_whatever_a_cluster_takes_or_returns_is_public() -> None:
    late = {"ClusterLog": ClusterLog, "Event": Event, "Filter": Filter, "Message": Message}
    found: set[str] = set()
    methods = [item for owner in launcher.Cluster.__mro__[:-1] for item in vars(owner).items()]
    for name, method in methods:
        if name.startswith("_") or not callable(getattr(method, "__func__", method)):
            continue
        for hint in typing.get_type_hints(getattr(method, "__func__", method), None, late).values():
            found.update(ours(hint))
    assert {"Submitted", "ClusterStatus", "Event"} <= found
    assert found <= set(launcher.__all__)


def test_importing_the_package_loads_nothing_of_it() -> None:
    """The supervisor and each node import it, and a cluster's start waits for them."""
    code = (
        "import sys, launcher\n"
        "heavy = ('launcher.', 'node', 'click', 'msgspec', 'asyncio', 'importlib.metadata')\n"
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"


def test_the_command_prints_the_version() -> None:
    said = CliRunner().invoke(table.launcher, ["--version"])
    assert said.output == f"leeky-raft {launcher.__version__}\n"
